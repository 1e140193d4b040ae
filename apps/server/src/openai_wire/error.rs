//! The error object of `/v1`: `{ "error": { "message", "type", "param", "code" } }`.

use crate::problem::{meaning, retry_after, retry_after_seconds};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode, header};
use openclaw_core::{CodedError, Language};
use std::borrow::Cow;
use std::time::Duration;

use super::response::escape;

/// An error as OpenAI's clients read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The status.
    pub(crate) status: StatusCode,
    /// For people; English unless the caller asked otherwise.
    pub(crate) message: Cow<'static, str>,
    /// The parameter that is wrong, such as `messages[0].role`.
    pub(crate) param: Option<String>,
    /// What programs decide by.
    pub(crate) code: &'static str,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
}

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

// === impl ApiError ===

impl ApiError {
    /// From an error of any context.
    pub(crate) fn from_error(error: &dyn CodedError, language: Language) -> Self {
        let meaning = meaning(error.code());
        Self {
            status: meaning.status,
            message: match (meaning.openai, language) {
                // Said to people in a chat, it names the command that begins a new one.
                ("context_length_exceeded", Language::En) => {
                    "The request is too long for the model; send fewer or shorter messages.".into()
                }
                ("context_length_exceeded", Language::Ru) => {
                    "Запрос слишком длинный для модели; пришлите меньше сообщений или сделайте их короче."
                        .into()
                }
                _ => error.user_message(language),
            },
            param: match meaning.openai {
                "model_not_found" => Some("model".to_owned()),
                "context_length_exceeded" => Some("messages".to_owned()),
                _ => None,
            },
            code: meaning.openai,
            retry_after: retry_after(error),
        }
    }

    /// From one of the edge's own codes, such as `UNAUTHORIZED`.
    pub(crate) fn new(code: &str, message: impl Into<Cow<'static, str>>) -> Self {
        let meaning = meaning(code);
        Self {
            status: meaning.status,
            message: message.into(),
            param: None,
            code: meaning.openai,
            retry_after: None,
        }
    }

    /// A parameter is wrong.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param: Some(param.into()),
            code: "invalid_request",
            retry_after: None,
        }
    }

    /// A parameter is understood and cannot be honoured.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: "unsupported_parameter",
            ..Self::invalid(param, message)
        }
    }

    /// The family OpenAI puts it in.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.status, self.code) {
            (_, "insufficient_quota") => "insufficient_quota",
            (StatusCode::UNAUTHORIZED, _) => "authentication_error",
            (StatusCode::FORBIDDEN, _) => "permission_error",
            (StatusCode::TOO_MANY_REQUESTS, _) => "rate_limit_error",
            (status, _) if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// Whether a client that repeats by itself should. It must not where trying again costs another turn for nothing:
    /// a used-up budget, a conversation in use, an answer that took too long, an error of ours.
    pub(crate) fn should_retry(&self) -> bool {
        matches!(
            self.code,
            "rate_limit_exceeded" | "overloaded" | "shutting_down" | "unavailable" | "request_timeout"
        )
    }

    /// Appends the object.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"{\"error\":{\"message\":\"");
        escape(&self.message, out);
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(self.kind().as_bytes());
        out.extend_from_slice(b"\",\"param\":");
        match &self.param {
            Some(param) => {
                out.extend_from_slice(b"\"");
                escape(param, out);
                out.extend_from_slice(b"\"");
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(self.code.as_bytes());
        out.extend_from_slice(b"\"}}");
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = BytesMut::with_capacity(192 + self.message.len());
        self.write(&mut body);
        let mut response = (self.status, body.freeze()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait)));
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
        }
        let status = self.status;
        if !self.should_retry()
            && (status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::CONFLICT)
        {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_ai_fabric::ModelError;

    #[track_caller]
    fn check(code: &str, status: u16, kind: &str, v1: &str, retried: bool) {
        let error = ApiError::new(code, "no");
        assert_eq!(
            (
                error.status.as_u16(),
                error.kind(),
                error.code,
                error.should_retry()
            ),
            (status, kind, v1, retried),
            "{code}"
        );
    }

    #[test]
    fn our_codes_have_openais_names() {
        check(
            "VALIDATION",
            400,
            "invalid_request_error",
            "invalid_request",
            false,
        );
        check(
            "UNAUTHORIZED",
            401,
            "authentication_error",
            "invalid_api_key",
            false,
        );
        check("TENANT_SUSPENDED", 403, "permission_error", "forbidden", false);
        check(
            "MODEL_UNKNOWN",
            404,
            "invalid_request_error",
            "model_not_found",
            false,
        );
        check(
            "SESSION_BUSY",
            409,
            "invalid_request_error",
            "conversation_busy",
            false,
        );
        check("TOO_LARGE", 413, "invalid_request_error", "too_large", false);
        check("RATE_LIMIT", 429, "rate_limit_error", "rate_limit_exceeded", true);
        check(
            "TOKEN_BUDGET_EXCEEDED",
            429,
            "insufficient_quota",
            "insufficient_quota",
            false,
        );
        check("BACKPRESSURE", 503, "server_error", "overloaded", true);
        check("QUEUE_FULL", 503, "server_error", "overloaded", true);
        check("SHUTTING_DOWN", 503, "server_error", "shutting_down", true);
        check(
            "ALL_MODELS_FAILED",
            502,
            "server_error",
            "provider_unavailable",
            false,
        );
        check(
            "RATE_LIMIT_EXCEEDED",
            503,
            "server_error",
            "provider_unavailable",
            false,
        );
        check("WORKER_TIMEOUT", 504, "server_error", "timeout", false);
        check("WORKER_STUCK", 500, "server_error", "internal_error", false);
    }

    #[test]
    fn what_is_too_long_is_said_without_the_commands_of_a_chat() {
        for language in [Language::En, Language::Ru] {
            let error = ApiError::from_error(&ModelError::ContextTooLong, language);
            assert_eq!(
                (error.code, error.param.as_deref()),
                ("context_length_exceeded", Some("messages"))
            );
            assert!(!error.message.contains("/new"), "{}", error.message);
        }
        let error = ApiError::from_error(&ModelError::UnknownModel, Language::En);
        assert_eq!(
            (error.code, error.param.as_deref()),
            ("model_not_found", Some("model"))
        );
    }

    #[test]
    fn the_object_is_json_whatever_the_message() {
        let mut out = BytesMut::new();
        ApiError::invalid("messages[0].\"x\"", "a \"quote\"\n\u{1}").write(&mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["error"]["message"], "a \"quote\"\n\u{1}");
        assert_eq!(value["error"]["param"], "messages[0].\"x\"");
        assert_eq!(value["error"]["type"], "invalid_request_error");
    }

    #[test]
    fn a_used_up_budget_is_not_retried_and_an_overload_says_when() {
        let response = ApiError::new("TOKEN_BUDGET_EXCEEDED", "used up").into_response();
        assert_eq!(response.headers()["x-should-retry"], "false");
        let mut error = ApiError::new("BACKPRESSURE", "busy");
        error.retry_after = Some(Duration::from_millis(250));
        let response = error.into_response();
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["retry-after-ms"], "250");
        assert!(!response.headers().contains_key("x-should-retry"));
    }
}
