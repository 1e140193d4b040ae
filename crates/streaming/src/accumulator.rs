//! Gathers text and says when it is time to show it.
//!
//! Times are handed in; there is no timer. Whoever drives the accumulator calls [`TokenAccumulator::poll`] at
//! [`TokenAccumulator::next_deadline`]. The text held is bounded by the threshold and one delta.

use crate::config::StreamConfig;
use crate::ports::TokenEstimator;
use openclaw_core::Monotonic;
use std::sync::Arc;
use std::time::Duration;

/// So many characters (Unicode scalar values) count as one token, unless an estimator is plugged in.
pub const CHARACTERS_PER_TOKEN: u64 = 4;

/// Gathers the text of one reply until it is worth showing.
#[derive(Clone, Debug)]
pub struct TokenAccumulator {
    threshold: u64,
    timeout: Duration,
    estimator: Option<Arc<dyn TokenEstimator>>,
    text: String,
    /// Unicode scalar values in `text`.
    characters: u64,
    /// When the oldest text in `text` came; `None` exactly when it is empty.
    oldest: Option<Monotonic>,
}

/// Text to be shown, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Everything gathered since the flush before.
    pub text: String,
    /// Why now.
    pub reason: FlushReason,
}

/// Why text was flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlushReason {
    /// There was enough of it.
    TokenCount,
    /// It had waited long enough.
    Timeout,
    /// It was asked for, at a place where the text pauses.
    Boundary,
    /// No more will come.
    Done,
}

// === impl TokenAccumulator ===

impl TokenAccumulator {
    /// Flushes at `threshold` tokens (0 counts as 1), or when text is older than `timeout`.
    pub fn new(threshold: u64, timeout: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            timeout,
            estimator: None,
            text: String::new(),
            characters: 0,
            oldest: None,
        }
    }

    /// Counts tokens with `estimator` instead of by characters.
    pub fn with_estimator(mut self, estimator: Arc<dyn TokenEstimator>) -> Self {
        self.estimator = Some(estimator);
        self
    }

    /// More text. Flushes when there is now enough of it, or when the oldest of it has waited too long.
    pub fn push(&mut self, delta: &str, now: Monotonic) -> Option<Flush> {
        if delta.is_empty() {
            return self.poll(now);
        }
        self.oldest.get_or_insert(now);
        self.text.push_str(delta);
        self.characters = self
            .characters
            .saturating_add(u64::try_from(delta.chars().count()).unwrap_or(u64::MAX));
        if self.tokens() >= self.threshold {
            return self.flush(FlushReason::TokenCount);
        }
        self.poll(now)
    }

    /// Flushes when the oldest text has waited for the time-out.
    pub fn poll(&mut self, now: Monotonic) -> Option<Flush> {
        match self.next_deadline() {
            Some(deadline) if deadline <= now => self.flush(FlushReason::Timeout),
            Some(_) | None => None,
        }
    }

    /// When [`TokenAccumulator::poll`] will flush; `None` when nothing is held.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.oldest.map(|oldest| oldest + self.timeout)
    }

    /// Flushes what is held; nothing when nothing is.
    pub fn flush(&mut self, reason: FlushReason) -> Option<Flush> {
        self.oldest.take()?;
        self.characters = 0;
        Some(Flush {
            text: std::mem::take(&mut self.text),
            reason,
        })
    }

    /// Forgets what is held.
    pub fn clear(&mut self) {
        self.text.clear();
        self.characters = 0;
        self.oldest = None;
    }

    /// The estimate for what is held.
    pub fn tokens(&self) -> u64 {
        match &self.estimator {
            Some(estimator) => estimator.estimate(&self.text),
            None => self.characters / CHARACTERS_PER_TOKEN,
        }
    }

    /// What is held.
    pub fn pending(&self) -> &str {
        &self.text
    }
}

impl From<&StreamConfig> for TokenAccumulator {
    fn from(config: &StreamConfig) -> Self {
        Self::new(config.flush_token_threshold, config.flush_timeout)
    }
}

// === impl FlushReason ===

impl FlushReason {
    /// The name in metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenCount => "token_count",
            Self::Timeout => "timeout",
            Self::Boundary => "boundary",
            Self::Done => "done",
        }
    }
}
