//! What an error looks like to a caller of the native and admin API: RFC 9457 `application/problem+json`.
//!
//! One table joins an error's code with its status, its page and its name on `/v1`; only this module and
//! [`crate::openai_wire`] know status codes. The log's text of an error never gets here, only the person's.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use openclaw_core::{CodedError, CorrelationId, Language};
use serde_json::{Map, Value};
use std::time::Duration;

/// What an error's code means over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// `CodedError::code`, or a code of the edge's own.
    pub(crate) code: &'static str,
    /// The status.
    pub(crate) status: StatusCode,
    /// The code that `/v1` gives it.
    pub(crate) openai: &'static str,
    /// In one line, for people who read English.
    pub(crate) title: &'static str,
}

const fn row(code: &'static str, status: StatusCode, openai: &'static str, title: &'static str) -> Meaning {
    Meaning {
        code,
        status,
        openai,
        title,
    }
}

use StatusCode as S;

/// Every code that is not an internal error. The edge's own are in the first block.
#[rustfmt::skip]
pub(crate) const MEANINGS: &[Meaning] = &[
    row("UNAUTHORIZED", S::UNAUTHORIZED, "invalid_api_key", "The key or token is missing or wrong"),
    row("FORBIDDEN", S::FORBIDDEN, "forbidden", "This is not allowed"),
    row("NOT_FOUND", S::NOT_FOUND, "not_found", "There is no such thing"),
    row("METHOD_NOT_ALLOWED", S::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not take this method"),
    row("MISDIRECTED_REQUEST", S::MISDIRECTED_REQUEST, "misdirected_request", "This server is not called by that name"),
    row("STALE_WRITE", S::PRECONDITION_FAILED, "stale_write", "It has changed since you read it"),
    row("TOO_LARGE", S::PAYLOAD_TOO_LARGE, "too_large", "The request is too large"),
    row("UNSUPPORTED_MEDIA_TYPE", S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be JSON"),
    row("REQUEST_TIMEOUT", S::REQUEST_TIMEOUT, "request_timeout", "The request took too long to arrive"),
    row("CONFIG_INVALID", S::UNPROCESSABLE_ENTITY, "invalid_request", "The configuration is not valid; nothing was changed"),
    row("IDEMPOTENCY_MISMATCH", S::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "The key was used with another request"),
    row("IDEMPOTENCY_IN_FLIGHT", S::CONFLICT, "idempotency_in_flight", "The first request with this key is still running"),
    row("INBOX_FULL", S::SERVICE_UNAVAILABLE, "overloaded", "Too many messages are waiting"),
    row("STORE_UNAVAILABLE", S::SERVICE_UNAVAILABLE, "unavailable", "The store is not available"),

    row("VALIDATION", S::BAD_REQUEST, "invalid_request", "The request is not valid"),
    row("SECURITY", S::FORBIDDEN, "forbidden", "This is not allowed"),
    row("TOOL_ACCESS_DENIED", S::FORBIDDEN, "forbidden", "This tool is not allowed"),
    row("TENANT_SUSPENDED", S::FORBIDDEN, "forbidden", "This account is suspended"),
    row("MESSAGE_BLOCKED", S::FORBIDDEN, "forbidden", "The message was refused"),
    row("LOCK_ACQUISITION", S::CONFLICT, "conversation_busy", "The conversation is busy"),
    row("SESSION_BUSY", S::CONFLICT, "conversation_busy", "The conversation is busy"),
    row("SESSION_QUEUE_FULL", S::CONFLICT, "conversation_busy", "The conversation is busy"),
    row("INVALID_STATE_TRANSITION", S::CONFLICT, "conflict", "Its state does not allow this"),
    row("RATE_LIMIT", S::TOO_MANY_REQUESTS, "rate_limit_exceeded", "Too many requests"),
    row("TOKEN_BUDGET_EXCEEDED", S::TOO_MANY_REQUESTS, "insufficient_quota", "The daily token budget has not enough left"),
    row("TOKEN_BUDGET_TOO_SMALL", S::TOO_MANY_REQUESTS, "insufficient_quota", "The request needs more than the whole daily token budget"),
    row("BACKPRESSURE", S::SERVICE_UNAVAILABLE, "overloaded", "The server is at capacity"),
    row("QUEUE_FULL", S::SERVICE_UNAVAILABLE, "overloaded", "The server is at capacity"),
    row("REQUEST_EXPIRED", S::SERVICE_UNAVAILABLE, "overloaded", "The request waited too long"),
    row("REQUEST_DROPPED", S::FORBIDDEN, "request_dropped", "The operator took the request out of the queue"),
    row("SHUTTING_DOWN", S::SERVICE_UNAVAILABLE, "shutting_down", "The server is shutting down"),
    row("MODEL_UNKNOWN", S::NOT_FOUND, "model_not_found", "There is no such model"),
    row("NO_SUITABLE_MODEL", S::BAD_REQUEST, "invalid_request", "No model can serve this request"),
    row("MODEL_UNSUITABLE", S::BAD_REQUEST, "invalid_request", "This model cannot serve this request"),
    row("MODEL_UNSUPPORTED", S::BAD_REQUEST, "invalid_request", "This model cannot serve this request"),
    row("MODEL_BAD_REQUEST", S::BAD_REQUEST, "invalid_request", "The model refused the request"),
    row("MODEL_CONTEXT_TOO_LONG", S::BAD_REQUEST, "context_length_exceeded", "The conversation is too long for the model"),
    row("MODEL_CONTENT_REFUSED", S::BAD_REQUEST, "content_filter", "The model's provider refused the content"),
    row("RATE_LIMIT_EXCEEDED", S::SERVICE_UNAVAILABLE, "provider_unavailable", "The model's provider is at its limit"),
    row("ALL_MODELS_FAILED", S::BAD_GATEWAY, "provider_unavailable", "No model answered"),
    row("MODEL_INTERRUPTED", S::BAD_GATEWAY, "provider_unavailable", "The model's answer was cut off"),
    row("WORKER_TIMEOUT", S::GATEWAY_TIMEOUT, "timeout", "The answer took too long"),
];

/// What is left: nothing about it is anybody's business but the operator's.
pub(crate) const INTERNAL: Meaning = row(
    "INTERNAL",
    S::INTERNAL_SERVER_ERROR,
    "internal_error",
    "Something went wrong here",
);

/// How long a server that stops may take until it, or another, is there again.
pub(crate) const RESTART: Duration = Duration::from_secs(5);

/// A problem as RFC 9457 has it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    meaning: Meaning,
    /// The error's own code; for internal errors too, so that it can be reported.
    code: &'static str,
    detail: String,
    correlation_id: Option<CorrelationId>,
    retry_after: Option<Duration>,
    extra: Map<String, Value>,
}

/// What a code means over HTTP. An unknown one is an internal error.
pub(crate) fn meaning(code: &str) -> Meaning {
    MEANINGS
        .iter()
        .find(|meaning| meaning.code == code)
        .copied()
        .unwrap_or(INTERNAL)
}

/// A code as the name of its page: `RATE_LIMIT` as `rate-limit`.
pub(crate) fn slug(code: &str) -> String {
    code.to_ascii_lowercase().replace('_', "-")
}

/// Adds to a problem that has its `code` what only this edge knows: the `type` that opens, the `title` and the `status`
/// the same problem has where it is a response of its own. What a problem does not have is left out.
pub(crate) fn complete(problem: &mut Map<String, Value>) {
    let meaning = meaning(problem.get("code").and_then(Value::as_str).unwrap_or_default());
    problem.insert("type".into(), format!("/problems/{}", slug(meaning.code)).into());
    problem.insert("title".into(), meaning.title.into());
    problem.insert("status".into(), meaning.status.as_u16().into());
    problem.retain(|_, value| !value.is_null());
}

/// When to come again after an error, where that can be said.
pub(crate) fn retry_after(error: &dyn CodedError) -> Option<Duration> {
    match error.code() {
        // Whoever refuses knows that the server stops, and not when there is one again.
        "SHUTTING_DOWN" => Some(RESTART),
        _ => error.retry_after(),
    }
}

/// The value of `Retry-After`: whole seconds, rounded up, at least one.
pub(crate) fn retry_after_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
        .max(1)
}

// === impl Problem ===

impl Problem {
    /// From an error, in the caller's language.
    pub(crate) fn from_error(error: &dyn CodedError, language: Language) -> Self {
        Self {
            meaning: meaning(error.code()),
            code: error.code(),
            detail: error.user_message(language).into_owned(),
            correlation_id: None,
            retry_after: retry_after(error),
            extra: Map::new(),
        }
    }

    /// A problem of the edge's own, by its code.
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            meaning: meaning(code),
            code,
            detail: detail.into(),
            correlation_id: None,
            retry_after: None,
            extra: Map::new(),
        }
    }

    /// What the caller names when asking about it.
    pub(crate) fn with_correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// One more fact, such as `limit`.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    #[cfg(test)]
    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.meaning.status
    }

    /// The body.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = self.extra.clone();
        body.insert(
            "type".into(),
            format!("/problems/{}", slug(self.meaning.code)).into(),
        );
        body.insert("title".into(), self.meaning.title.into());
        body.insert("status".into(), self.meaning.status.as_u16().into());
        body.insert("detail".into(), self.detail.as_str().into());
        body.insert("code".into(), self.code.into());
        if let Some(id) = self.correlation_id {
            body.insert("correlationId".into(), id.to_string().into());
        }
        if let Some(wait) = self.retry_after {
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            body.insert("retryAfterMs".into(), millis.into());
        }
        Value::Object(body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.meaning.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait)));
        }
        if self.meaning.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.correlation_id.is_none() {
            response.extensions_mut().insert(Unnamed(self));
        }
        response
    }
}

/// A problem made where the request's id was not at hand.
#[derive(Clone, Debug)]
struct Unnamed(Problem);

/// Gives a response's problem the request's id, if it has none: whoever made it, it can be asked about.
pub(crate) fn name(response: &mut Response, id: CorrelationId) {
    if let Some(Unnamed(problem)) = response.extensions_mut().remove() {
        *response.body_mut() = problem.with_correlation_id(id).to_json().to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::ValidationError;
    use std::borrow::Cow;
    use std::collections::BTreeSet;

    #[derive(Debug, thiserror::Error)]
    #[error("log text: password=hunter2")]
    struct Sample(&'static str);

    impl CodedError for Sample {
        fn code(&self) -> &'static str {
            self.0
        }

        fn recoverable(&self) -> bool {
            true
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_millis(1_200))
        }

        fn user_message(&self, language: Language) -> Cow<'static, str> {
            Cow::Borrowed(match language {
                Language::En => "Please wait.",
                Language::Ru => "Подождите.",
            })
        }
    }

    #[test]
    fn an_error_becomes_its_status_with_the_persons_words_and_not_the_logs() {
        let problem = Problem::from_error(&Sample("BACKPRESSURE"), Language::Ru).with("level", 0.75);
        let body = problem.to_json();
        assert_eq!(body["type"], "/problems/backpressure");
        assert_eq!(body["status"], 503);
        assert_eq!(body["code"], "BACKPRESSURE");
        assert_eq!(body["detail"], "Подождите.");
        assert_eq!(body["retryAfterMs"], 1_200);
        assert_eq!(body["level"], 0.75);
        let response = problem.into_response();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(!body.to_string().contains("hunter2"));
    }

    #[test]
    fn an_unknown_code_is_an_internal_error_that_keeps_its_code() {
        let body = Problem::from_error(&Sample("WORKER_STUCK"), Language::En).to_json();
        assert_eq!(
            (body["status"].as_u64(), body["code"].as_str()),
            (Some(500), Some("WORKER_STUCK"))
        );
        assert_eq!(body["type"], "/problems/internal");
        let refused = ValidationError::one("tier", "gold", "unknown");
        assert_eq!(Problem::from_error(&refused, Language::En).status(), 400);
    }

    #[test]
    fn no_code_has_two_meanings() {
        let codes: BTreeSet<_> = MEANINGS.iter().map(|meaning| meaning.code).collect();
        assert_eq!(codes.len(), MEANINGS.len());
    }

    #[test]
    fn waiting_is_rounded_up_and_never_zero() {
        assert_eq!(retry_after_seconds(Duration::ZERO), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(retry_after_seconds(Duration::MAX), u64::MAX);
    }
}
