//! The events an operator must see at the ordinary level: why no answer came, and what is done about it.
//!
//! One line per failed call, without the provider's words and without those of people. A provider that is down is soon
//! left alone, so this does not flood the log. A reader who left is no failure.

use openclaw_ai_fabric::event::{AllModelsFailed, CircuitClosed, CircuitOpened, ModelFailed};
use openclaw_core::Envelope;

/// Writes the event's line, if it has one.
pub(super) fn write(event: &Envelope) {
    if let Some(failed) = event.payload::<ModelFailed>() {
        call_failed(failed);
    } else if let Some(failed) = event.payload::<AllModelsFailed>() {
        tracing::warn!(
            correlationId = %failed.request_id,
            primaryModel = %failed.primary_model,
            attempts = failed.calls,
            skipped = failed.skipped,
            code = failed.code,
            reasons = %failed.reasons,
            retryAfterMs = failed.retry_after_ms,
            "all models failed: the request has no answer"
        );
    } else if let Some(opened) = event.payload::<CircuitOpened>() {
        tracing::warn!(
            correlationId = event.correlation_id().map(tracing::field::display),
            provider = %opened.provider,
            model = %opened.model,
            failures = opened.failures,
            openForMs = opened.open_for_ms,
            "a model is left alone for a while"
        );
    } else if let Some(closed) = event.payload::<CircuitClosed>() {
        tracing::info!(
            correlationId = event.correlation_id().map(tracing::field::display),
            provider = %closed.provider,
            model = %closed.model,
            "a model that was left alone answers again"
        );
    }
}

fn call_failed(failed: &ModelFailed) {
    if failed.code == "CANCELLED" {
        return;
    }
    tracing::warn!(
        correlationId = %failed.request_id,
        provider = %failed.provider,
        model = %failed.model,
        code = failed.code,
        reason = %failed.reason,
        then = failed.then,
        delayMs = failed.delay_ms,
        retryAfterMs = failed.retry_after_ms,
        afterFirstToken = failed.after_first_token,
        durationMs = failed.duration_ms,
        "a model's call failed"
    );
}
