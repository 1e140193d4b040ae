//! What the fuzz targets see of this crate. Compiled under `--cfg fuzzing`, which they alone set.

use crate::chunk::Decoder;
use crate::stream::AnswerDecoder;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::BodyDecoder;

/// The decoder of a streamed answer.
#[must_use]
pub fn answer() -> impl BodyDecoder<Item = ModelEvent, Error = ModelError> {
    AnswerDecoder::default()
}

/// An answer in one piece.
///
/// # Errors
/// When it is none.
pub fn whole_answer(body: &str) -> Result<Vec<ModelEvent>, ModelError> {
    Decoder::decode_whole(body).map(Vec::from)
}
