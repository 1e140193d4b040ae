//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use crate::chunk::Decoder;
use crate::stream::decoder;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::BodyDecoder;

/// The decoder of a streamed answer.
#[must_use]
pub fn answer() -> impl BodyDecoder<Item = ModelEvent, Error = ModelError> {
    decoder()
}

/// An answer in one piece.
///
/// # Errors
/// When it is none.
pub fn whole_answer(body: &str) -> Result<Vec<ModelEvent>, ModelError> {
    Decoder::decode_whole(body).map(Vec::from)
}
