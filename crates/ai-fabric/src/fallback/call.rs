//! One call of one model: what it holds while it runs, and its bookkeeping at each of its ends.

use super::router::Shared;
use super::walk::Then;
use super::{Attempt, AttemptOutcome};
use crate::circuit::CircuitPass;
use crate::error::ModelError;
use crate::estimate::TextMeter;
use crate::event::{ModelFailed, ModelResponded};
use crate::rate_limiter::RateLimitPermit;
use crate::registry::FoundModel;
use openclaw_core::{CodedError, CorrelationId, ModelEvent, Monotonic, TokenUsage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// The attempts of a routed request, shared by its stream and the walk inside it.
pub(super) type Attempts = Arc<Mutex<Vec<Attempt>>>;

/// A call under way. However it ends — answer, failure, reader gone — its permit is settled, its circuit is told, its
/// attempt is recorded and its event is published exactly once.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) found: FoundModel,
    router: Arc<Shared>,
    attempts: Attempts,
    correlation_id: CorrelationId,
    /// Taken by the end.
    held: Option<(RateLimitPermit, CircuitPass)>,
    started: Monotonic,
    first_token: Option<Duration>,
    /// The estimate of the request, without and with what was learned of the model.
    raw_input: u64,
    input_estimate: u64,
    output: TextMeter,
    /// The provider's last word on usage, and what the model has said since.
    reported: Option<TokenUsage>,
    unreported: TextMeter,
    /// Bytes of the answer, each piece counted with [`PIECE_COST`].
    length: usize,
    /// Whether the first token tells how quick the model is to begin.
    streamed: bool,
}

/// What a provider may say a call has cost, in tokens of each kind. More is taken for this: a slip must not empty a
/// budget, and with it that of all free tenants together, for ever.
const MOST_TOKENS: u64 = 100_000_000;
/// Bytes an answer may have. No model says as much; who does has gone wild, and the answer must be held somewhere.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// What a piece is held in beside its bytes: an endless answer may come in empty pieces, too.
const PIECE_COST: usize = 64;

// === impl Call ===

impl Call {
    pub(super) fn new(
        router: Arc<Shared>,
        attempts: Attempts,
        correlation_id: CorrelationId,
        found: FoundModel,
        held: (RateLimitPermit, CircuitPass),
        raw_input: u64,
        streamed: bool,
    ) -> Self {
        Self {
            started: router.deps.clock.monotonic(),
            input_estimate: router.deps.estimator.adjust(&found.model.id, raw_input),
            found,
            router,
            attempts,
            correlation_id,
            held: Some(held),
            first_token: None,
            raw_input,
            output: TextMeter::default(),
            reported: None,
            unreported: TextMeter::default(),
            length: 0,
            streamed,
        }
    }

    /// Takes note of a piece of the answer, before it is passed on.
    pub(super) fn observe(&mut self, event: &ModelEvent, now: Monotonic) {
        match event {
            ModelEvent::TextDelta(text) => self.said(text, 0),
            ModelEvent::ToolUseStart { id, name, .. } => self.said(name, id.len()),
            ModelEvent::ToolArgumentsDelta { delta, .. } => self.said(delta, 0),
            ModelEvent::Usage(usage) => {
                self.reported = Some(TokenUsage {
                    input_tokens: usage.input_tokens.min(MOST_TOKENS),
                    output_tokens: usage.output_tokens.min(MOST_TOKENS),
                    estimated: usage.estimated,
                });
                self.unreported = TextMeter::default();
                return;
            }
            ModelEvent::Stop(_) => {}
            ModelEvent::Ping => return,
        }
        if self.first_token.is_none() {
            self.first_token = Some(now.saturating_since(self.started));
        }
    }

    fn said(&mut self, text: &str, beside: usize) {
        self.output.add(text);
        self.unreported.add(text);
        let length = text.len().saturating_add(beside).saturating_add(PIECE_COST);
        self.length = self.length.saturating_add(length);
    }

    /// The error of an answer that is longer than any may be.
    pub(super) fn overlong(&self) -> Option<ModelError> {
        (self.length > MAX_ANSWER_BYTES).then(|| ModelError::Malformed {
            message: format!("an answer of more than {MAX_ANSWER_BYTES} bytes"),
        })
    }

    /// What it has cost so far: by the provider's word, else estimated. Some providers count as they go: what was said
    /// after their last word is not free for a reader who leaves before the next.
    pub(super) fn spent(&self) -> TokenUsage {
        let estimator = &self.router.deps.estimator;
        let estimate = |said: &TextMeter| estimator.adjust(&self.found.model.id, said.tokens());
        match self.reported {
            Some(reported) if self.unreported == TextMeter::default() => reported,
            Some(reported) => TokenUsage {
                output_tokens: reported.output_tokens.saturating_add(estimate(&self.unreported)),
                estimated: true,
                ..reported
            },
            None => TokenUsage {
                input_tokens: self.input_estimate,
                output_tokens: estimate(&self.output),
                estimated: true,
            },
        }
    }

    /// The answer is complete.
    pub(super) fn answered(mut self) -> TokenUsage {
        let usage = self.spent();
        let duration = self.duration();
        if let Some(reported) = self.reported.filter(|reported| !reported.estimated) {
            let estimator = &self.router.deps.estimator;
            estimator.learn(&self.found.model.id, self.raw_input, reported.input_tokens);
        }
        if let Some((permit, pass)) = self.held.take() {
            permit.settle(usage.total());
            pass.succeeded(self.first_token.filter(|_| self.streamed));
        }
        let cost = self.found.model.cost(&usage);
        let first_token = self.first_token.unwrap_or(duration);
        self.router
            .deps
            .events
            .publish(Some(self.correlation_id), || ModelResponded {
                request_id: self.correlation_id,
                model: self.found.model.id.clone(),
                provider: self.found.provider.id.clone(),
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                estimated: usage.estimated,
                first_token_ms: millis(first_token),
                duration_ms: millis(duration),
                cost_micros: cost.as_micros(),
            });
        self.record(AttemptOutcome::Answered, usage);
        usage
    }

    /// The call failed, and `then` follows.
    pub(super) fn failed(mut self, error: &ModelError, then: Then) {
        // A provider that refused the call charges nothing; one that fell silent or broke off may have begun to work.
        let charged = self.first_token.is_some()
            || self.reported.is_some()
            || matches!(
                error,
                ModelError::Timeout { .. }
                    | ModelError::Cut
                    | ModelError::InStream { .. }
                    | ModelError::Refused { .. }
            );
        let usage = if charged {
            self.spent()
        } else {
            TokenUsage::default()
        };
        if let Some((permit, pass)) = self.held.take() {
            permit.settle(usage.total());
            pass.failed(error);
        }
        // It may hold the provider's own words, which may repeat what a person wrote.
        tracing::trace!(correlationId = %self.correlation_id, model = %self.found.model.id, %error, "a call failed");
        self.publish_failure(Some(error), then);
        self.record(AttemptOutcome::Failed(error.clone()), usage);
    }

    /// Without an error its reader has left.
    fn publish_failure(&self, error: Option<&ModelError>, then: Then) {
        self.router
            .deps
            .events
            .publish(Some(self.correlation_id), || ModelFailed {
                request_id: self.correlation_id,
                model: self.found.model.id.clone(),
                provider: self.found.provider.id.clone(),
                code: error.map_or("CANCELLED", CodedError::code),
                reason: error.map_or_else(|| "its reader has left".to_owned(), ModelError::cause),
                retryable: error.is_none_or(ModelError::is_retryable),
                then: match then {
                    Then::Retry(_) => "retry",
                    Then::Fallback => "fallback",
                    Then::End => "end",
                },
                delay_ms: match then {
                    Then::Retry(delay) => Some(millis(delay)),
                    Then::Fallback | Then::End => None,
                },
                retry_after_ms: error.and_then(CodedError::retry_after).map(millis),
                after_first_token: self.first_token.is_some(),
                duration_ms: millis(self.duration()),
            });
    }

    fn record(&self, outcome: AttemptOutcome, usage: TokenUsage) {
        self.attempts.lock().push(Attempt {
            model: self.found.model.id.clone(),
            provider: Some(self.found.provider.id.clone()),
            outcome,
            usage,
            cost: self.found.model.cost(&usage),
            duration: self.duration(),
        });
    }

    fn duration(&self) -> Duration {
        self.router.deps.clock.monotonic().saturating_since(self.started)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Still held: nobody said how it ended, so its reader has left.
        let Some((permit, pass)) = self.held.take() else {
            return;
        };
        let usage = self.spent();
        permit.settle(usage.total());
        drop(pass);
        self.publish_failure(None, Then::End);
        self.record(AttemptOutcome::Cancelled, usage);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
