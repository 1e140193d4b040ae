//! What the fabric tells the rest of the system. Events carry ids, counts and codes, never texts or keys.

use openclaw_core::{CorrelationId, Event, ModelId, ProviderId, Timestamp};
use serde::Serialize;

macro_rules! event {
    ($name:literal, $(#[$doc:meta])* $type:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $type {
            $($(#[$field_doc])* pub $field: $field_type,)*
        }

        impl Event for $type {
            const NAME: &'static str = $name;
        }
    };
}

event!("ai-fabric.model.requested",
/// A model is called.
ModelRequested {
    /// Which request.
    request_id: CorrelationId,
    /// Which model.
    model: ModelId,
    /// Whose.
    provider: ProviderId,
    /// The how manieth call of this request, from 1.
    attempt: u32,
    /// Tokens of the request, estimated.
    input_tokens: u64,
});

event!("ai-fabric.model.responded",
/// A model's answer is complete.
ModelResponded {
    /// Which request.
    request_id: CorrelationId,
    /// Which model.
    model: ModelId,
    /// Whose.
    provider: ProviderId,
    /// Tokens of the request.
    input_tokens: u64,
    /// Tokens of the answer.
    output_tokens: u64,
    /// Whether we counted, because the provider did not say.
    estimated: bool,
    /// From the call to the first token, in milliseconds.
    first_token_ms: u64,
    /// From the call to the end, in milliseconds.
    duration_ms: u64,
    /// What it cost, in millionths of the operator's currency.
    cost_micros: u64,
});

event!("ai-fabric.model.failed",
/// A call failed, or was given up by its reader (`CANCELLED`).
ModelFailed {
    /// Which request.
    request_id: CorrelationId,
    /// Which model.
    model: ModelId,
    /// Whose.
    provider: ProviderId,
    /// The error's code.
    code: &'static str,
    /// Why, as [`ModelError::cause`](crate::ModelError::cause) says it.
    reason: String,
    /// Whether another try may succeed.
    retryable: bool,
    /// What follows: `retry` of the same model, `fallback` to the next of the chain, or `end`.
    then: &'static str,
    /// How long is waited before a retry, in milliseconds.
    delay_ms: Option<u64>,
    /// How long the provider asked to wait, in milliseconds, where it did.
    retry_after_ms: Option<u64>,
    /// Whether something had been answered already.
    after_first_token: bool,
    /// From the call to its end, in milliseconds.
    duration_ms: u64,
});

event!("ai-fabric.all_models.failed",
/// A chain is at its end without an answer.
AllModelsFailed {
    /// Which request.
    request_id: CorrelationId,
    /// The chain's head.
    primary_model: ModelId,
    /// Calls made, of all its models together.
    calls: u32,
    /// Times a model was passed over without a call.
    skipped: u32,
    /// The code of the failure that decided what the caller is told.
    code: &'static str,
    /// Each model that was asked or passed over, with the last thing that stood against it. Of a long chain the first
    /// eight.
    reasons: String,
    /// When to try again, in milliseconds, where it is known.
    retry_after_ms: Option<u64>,
});

event!("ai-fabric.fallback.triggered",
/// A chain goes on to another model.
FallbackTriggered {
    /// The chain's head.
    primary_model: ModelId,
    /// The model left.
    from_model: ModelId,
    /// The model taken.
    fallback_model: ModelId,
    /// The code of the error that made it leave.
    reason: &'static str,
    /// Which request.
    request_id: CorrelationId,
});

event!("ai-fabric.rate_limit.hit",
/// A provider's limit was reached, by our count or by its own word.
RateLimitHit {
    /// Whose.
    provider: ProviderId,
    /// Which: `requestsPerMinute`, `tokensPerMinute`, `concurrentRequests` or `provider`.
    limit: &'static str,
    /// When there will be room, in milliseconds.
    retry_after_ms: u64,
});

event!("ai-fabric.token_budget.warning",
/// A budget's use has reached 80 % or 100 % of its limit. Once each per window.
TokenBudgetWarning {
    /// Which budget.
    account: String,
    /// 80 or 100.
    percent: u8,
    /// Tokens used.
    used: u64,
    /// Tokens allowed.
    limit: u64,
    /// When the window ends.
    resets_at: Timestamp,
});

event!("ai-fabric.circuit.opened",
/// A model is not called for a while.
CircuitOpened {
    /// Whose.
    provider: ProviderId,
    /// Which model.
    model: ModelId,
    /// Failures in a row.
    failures: u32,
    /// For how long, in milliseconds.
    open_for_ms: u64,
});

event!("ai-fabric.circuit.closed",
/// A model that was not called for a while answers again.
CircuitClosed {
    /// Whose.
    provider: ProviderId,
    /// Which model.
    model: ModelId,
});
