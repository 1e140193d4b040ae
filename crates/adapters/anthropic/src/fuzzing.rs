//! What the fuzz targets see of this crate. Compiled under `--cfg fuzzing`, which they alone set.

use crate::decode::AnswerDecoder;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::BodyDecoder;

/// The decoder of an answer.
#[must_use]
pub fn answer() -> impl BodyDecoder<Item = ModelEvent, Error = ModelError> {
    AnswerDecoder::new(None)
}
