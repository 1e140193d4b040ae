//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use crate::config::OutputFormat;
use crate::decode::Decoder;
use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;

/// What a program's output says, read in these pieces, and why it was not read further.
pub fn read<'a>(
    output: OutputFormat,
    max_bytes: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut decoder = Decoder::new(output, max_bytes, "call".to_owned());
    let mut said = Vec::new();
    let mut drain = |decoder: &mut Decoder| {
        while let Some(event) = decoder.next()? {
            said.push(event);
        }
        Ok(())
    };
    let mut read = Ok(());
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        read = drain(&mut decoder);
        if read.is_err() {
            break;
        }
    }
    if read.is_ok() {
        decoder.finish();
        read = drain(&mut decoder);
    }
    (said, read.err())
}
