//! What may be plugged in.

use std::fmt;

/// Estimates how many tokens a text has. Implemented by the count of characters here and by tokenizers outside.
pub trait TokenEstimator: Send + Sync + fmt::Debug {
    /// The estimate for the whole text. Called again for the whole unflushed text at each delta, so that nothing is
    /// rounded per delta; the text is about as long as the flush threshold, not as long as the reply.
    fn estimate(&self, text: &str) -> u64;
}
