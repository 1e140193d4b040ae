//! The chain of models a request is offered to, and what became of each.
//!
//! [`FallbackRouter`] owns retries: adapters make each call once. Every model gets one attempt and exactly
//! `maxRetries` retries; what no retry can mend goes on to the next model at once.

mod call;
mod router;
mod stream;
mod walk;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::model::Cost;
use openclaw_core::{CorrelationId, ModelEvent, ModelId, Monotonic, ProviderId, TokenUsage};
use std::time::Duration;

pub use router::{FallbackRouter, RouterDeps};
pub use stream::RoutedStream;

/// Models in the order they are asked. A model may be named twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackChain {
    /// The model that is asked first.
    pub primary_model: ModelId,
    /// Those asked after it.
    pub fallbacks: Vec<ModelId>,
    /// Retries of each model after its first attempt.
    pub max_retries: u32,
    /// The delay before the first retry; doubled before each further one.
    pub retry_delay: Duration,
}

/// How calls are made and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// How long the first token may take, counted from the call.
    pub first_token_timeout: Duration,
    /// How long the next piece of an answer may take. A ping counts as a piece.
    pub idle_timeout: Duration,
    /// How long a call waits for its own provider's limit while the chain has another model; the last model's waits
    /// as long as the request may take.
    pub limit_wait: Duration,
    /// Retries a minute that are always allowed.
    pub retries_per_minute: u64,
    /// Per cent of all requests that retries and fallbacks together may be beyond that.
    pub retry_percent: u64,
}

/// A request and how far to go for it.
#[derive(Clone, Debug)]
pub struct RoutedRequest {
    /// What is asked.
    pub chat: ChatRequest,
    /// Whom to ask.
    pub chain: FallbackChain,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// When the whole answer must be there. One deadline for all attempts.
    pub deadline: Monotonic,
    /// Whether an answer that broke off after its first token may be started again by another model, which voids the
    /// text so far. A chat can replace what it showed; `/v1` cannot.
    pub may_restart: bool,
}

/// A piece of a routed answer.
///
/// `Began` comes first. After the last piece of text come `Stop` and exactly one `Usage`, the provider's or our
/// estimate.
#[derive(Clone, Debug, PartialEq)]
pub enum RoutedEvent {
    /// A model has begun to answer: its first token is next.
    Began {
        /// Which model.
        model: ModelId,
        /// Whose.
        provider: ProviderId,
    },
    /// A piece of its answer. Pings are not passed on.
    Event(ModelEvent),
    /// The text so far is void: another answer begins. `Began` follows.
    Restarted {
        /// Whose answer broke off.
        from: ModelId,
        /// Who answers now.
        to: ModelId,
        /// The code of the error that broke it off.
        reason: &'static str,
    },
}

/// What became of a model of the chain: one call of it, or the reason for not calling it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The model, as the chain names it when it was not found, else as its provider does.
    pub model: ModelId,
    /// Whose; `None` when it was not found.
    pub provider: Option<ProviderId>,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// Tokens it has cost, estimated where the provider did not say. Zero for what was not called.
    pub usage: TokenUsage,
    /// What these cost.
    pub cost: Cost,
    /// From the call to its end.
    pub duration: Duration,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The answer is complete.
    Answered,
    /// The call failed.
    Failed(ModelError),
    /// No call was made.
    Skipped(ModelError),
    /// The reader left.
    Cancelled,
}

// === impl FallbackChain ===

impl FallbackChain {
    /// One model, two retries, a second before the first.
    pub fn new(primary_model: ModelId) -> Self {
        Self {
            primary_model,
            fallbacks: Vec::new(),
            max_retries: 2,
            retry_delay: Duration::from_secs(1),
        }
    }

    /// The model at a place of the chain, from 0.
    pub fn model(&self, index: usize) -> Option<&ModelId> {
        match index.checked_sub(1) {
            None => Some(&self.primary_model),
            Some(index) => self.fallbacks.get(index),
        }
    }

    /// The delay before retry `n`, from 1, without jitter: `retryDelayMs × 2^(n−1)`.
    pub fn delay_before(&self, n: u32) -> Duration {
        let factor = 2_u32.checked_pow(n.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry_delay.saturating_mul(factor)
    }
}

// === impl RouterConfig ===

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            first_token_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            limit_wait: Duration::from_secs(1),
            retries_per_minute: 10,
            retry_percent: 20,
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// What stood against it; `None` for an answer and for a reader that left.
    pub fn error(&self) -> Option<&ModelError> {
        match &self.outcome {
            AttemptOutcome::Failed(error) | AttemptOutcome::Skipped(error) => Some(error),
            AttemptOutcome::Answered | AttemptOutcome::Cancelled => None,
        }
    }
}
