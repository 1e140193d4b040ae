//! What an error of the provider's means, whether it comes with a status or inside a stream.

use openclaw_ai_fabric::ModelError;
use openclaw_core::{Secret, Timestamp};
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::{by_status, retry_after, shown};
use serde::Deserialize;

/// An error as the provider writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireError {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    error: WireError,
}

/// Decodes a refusal. Bodies need not be JSON: the network in front of the provider answers in HTML.
pub(crate) fn decode(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    key: Option<&Secret>,
) -> ModelError {
    let error = serde_json::from_slice::<Envelope>(body).unwrap_or_default().error;
    if out_of_money(&error) {
        return ModelError::QuotaExhausted {
            message: said(&error, status, key),
        };
    }
    if matches!(status, 400 | 422) && too_long(&error) {
        return ModelError::ContextTooLong;
    }
    by_status(status, || retry_after(headers, now), || said(&error, status, key))
}

/// Decodes an `error` event. Before anything was said it means what its status would have meant; later the answer has
/// broken off, whatever the cause.
pub(crate) fn in_stream(error: &WireError, begun: bool, key: Option<&Secret>) -> ModelError {
    let message = || said(error, 200, key);
    if out_of_money(error) {
        return ModelError::QuotaExhausted { message: message() };
    }
    match error.kind.as_str() {
        _ if begun => {}
        "overloaded_error" => return ModelError::Overloaded { retry_after: None },
        "rate_limit_error" => return ModelError::RateLimited { retry_after: None },
        "authentication_error" => return ModelError::Unauthorized { status: 401 },
        "permission_error" => return ModelError::Unauthorized { status: 403 },
        _ => {}
    }
    ModelError::InStream { message: message() }
}

/// A reached spend limit is called a bad request; it is not the caller's.
fn out_of_money(error: &WireError) -> bool {
    let lower = error.message.to_lowercase();
    let words = [
        "credit balance",
        "billing",
        "spend limit",
        "spending limit",
        "usage limit",
    ];
    error.kind == "billing_error"
        || (error.kind == "invalid_request_error" && words.iter().any(|word| lower.contains(word)))
}

fn too_long(error: &WireError) -> bool {
    let lower = error.message.to_lowercase();
    ["prompt is too long", "context limit", "context window"]
        .iter()
        .any(|word| lower.contains(word))
}

fn said(error: &WireError, status: u16, key: Option<&Secret>) -> String {
    let text = if error.message.is_empty() {
        &error.kind
    } else {
        &error.message
    };
    shown(text, status, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_http_client::header::HeaderValue;
    use serde_json::json;
    use std::time::Duration;

    #[track_caller]
    fn check(status: u16, kind: &str, message: &str, expected: &ModelError) {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"});
        let key = Secret::new("sk-hush");
        let now = Timestamp::from_millis(0);
        let headers = HeaderMap::new();
        let got = decode(status, &headers, body.to_string().as_bytes(), now, Some(&key));
        assert_eq!(&got, expected, "{status} {kind}");
    }

    #[test]
    fn every_status_has_its_meaning() {
        let server = |status| ModelError::Server {
            status,
            retry_after: None,
        };
        check(
            401,
            "authentication_error",
            "invalid x-api-key",
            &ModelError::Unauthorized { status: 401 },
        );
        check(
            403,
            "permission_error",
            "no",
            &ModelError::Unauthorized { status: 403 },
        );
        check(404, "not_found_error", "model: x", &ModelError::UnknownModel);
        check(409, "conflict_error", "again", &server(409));
        check(413, "request_too_large", "big", &ModelError::ContextTooLong);
        check(
            429,
            "rate_limit_error",
            "slow",
            &ModelError::RateLimited { retry_after: None },
        );
        check(500, "api_error", "oh", &server(500));
        check(
            529,
            "overloaded_error",
            "busy",
            &ModelError::Overloaded { retry_after: None },
        );
        let message = "field sk-… is bad".to_owned();
        check(
            400,
            "invalid_request_error",
            "field sk-… is bad",
            &ModelError::BadRequest { message },
        );
        check(
            400,
            "invalid_request_error",
            "prompt is too long: 300000 tokens > 200000 maximum",
            &ModelError::ContextTooLong,
        );
    }

    #[test]
    fn a_reached_spend_limit_is_no_bad_request() {
        let money = |message: &str| ModelError::QuotaExhausted {
            message: message.into(),
        };
        let low = "Your credit balance is too low to access the API.";
        check(400, "invalid_request_error", low, &money(low));
        let limit = "You have reached your specified API usage limits.";
        check(400, "invalid_request_error", limit, &money(limit));
        check(402, "billing_error", "pay", &money("pay"));
    }

    #[test]
    fn a_refusal_that_is_no_json_is_judged_by_its_status_and_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        let now = Timestamp::from_millis(0);
        let got = decode(529, &headers, b"<html>", now, None);
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(got, ModelError::Overloaded { retry_after });
        assert_eq!(
            decode(413, &HeaderMap::new(), b"<html>", now, None),
            ModelError::ContextTooLong
        );
    }

    #[test]
    fn the_key_is_blotted_out() {
        let error = WireError {
            kind: "invalid_request_error".into(),
            message: "x-api-key sk-hush is odd".into(),
        };
        let shown = in_stream(&error, true, Some(&Secret::new("sk-hush"))).to_string();
        assert!(!shown.contains("hush") && shown.contains("is odd"), "{shown}");
    }

    #[test]
    fn an_error_before_the_first_word_means_what_its_status_would() {
        let error = WireError {
            kind: "overloaded_error".into(),
            message: "Overloaded".into(),
        };
        let message = "Overloaded".to_owned();
        assert_eq!(
            in_stream(&error, false, None),
            ModelError::Overloaded { retry_after: None }
        );
        assert_eq!(in_stream(&error, true, None), ModelError::InStream { message });
    }
}
