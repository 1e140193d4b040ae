//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use crate::decode::decoder;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::BodyDecoder;

/// The decoder of an answer.
#[must_use]
pub fn answer() -> impl BodyDecoder<Item = ModelEvent, Error = ModelError> {
    decoder(None)
}
