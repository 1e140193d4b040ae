//! What a status, headers and a body that are no answer mean.

use crate::header;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{Secret, Timestamp};
use openclaw_http_client::{by_status, duration, retry_after, shown};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// Decodes a refusal. Bodies need not be JSON: gateways in between answer in HTML.
pub(crate) fn decode(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    key: Option<&Secret>,
) -> ModelError {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // Google's compatible endpoint wraps its error in a list.
    let body = body.get(0).unwrap_or(&body);
    let error = body.get("error").unwrap_or(body);
    let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default();
    let raw_message = error.as_str().unwrap_or_else(|| text("message"));
    let lower = raw_message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let named = |names: &[&str]| names.contains(&text("code")) || names.contains(&text("type"));
    let message = || shown(raw_message, status, key);
    let out_of_money = named(&[
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_error",
        "quota_exceeded",
    ]) || says(&[
        "billing",
        "credit balance",
        "insufficient credit",
        "spend limit",
        "spending limit",
    ]);
    let wait = || {
        retry_after(headers, now)
            .or_else(|| retry_delay(error))
            .or_else(|| header::wait_in_text(&lower))
    };
    match status {
        400 | 404 | 413 | 422 | 429 if out_of_money => ModelError::QuotaExhausted { message: message() },
        400 | 422 => {
            if named(&["context_length_exceeded"])
                || says(&[
                    "context length",
                    "context window",
                    "maximum context",
                    "prompt is too long",
                ])
            {
                ModelError::ContextTooLong
            } else if named(&["content_filter", "content_policy_violation"])
                || says(&["content management policy"])
            {
                ModelError::ContentRefused
            } else if named(&["model_not_found"]) {
                ModelError::UnknownModel
            } else {
                ModelError::BadRequest { message: message() }
            }
        }
        _ => by_status(status, wait, message),
    }
}

/// Google's wait: `details[].retryDelay`, such as `47s`.
fn retry_delay(error: &Value) -> Option<Duration> {
    error
        .get("details")?
        .as_array()?
        .iter()
        .find_map(|detail| duration(detail.get("retryDelay")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(status: u16, body: &Value, expected: &ModelError) {
        let now = Timestamp::from_millis(0);
        let key = Secret::new("sk-hush");
        let got = decode(
            status,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            now,
            Some(&key),
        );
        assert_eq!(&got, expected);
    }

    #[test]
    fn not_every_429_is_alike() {
        let quota =
            json!({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}});
        let message = "You exceeded your current quota".to_owned();
        check(429, &quota, &ModelError::QuotaExhausted { message });
        let rate = json!({"error": {"message": "Limit 3, please try again in 41.7s. Visit …", "code": "rate_limit_exceeded"}});
        let wait = |millis| ModelError::RateLimited {
            retry_after: Some(Duration::from_millis(millis)),
        };
        check(429, &rate, &wait(41_700));
        let google = json!([{"error": {"code": 429, "message": "slow down", "details": [{"@type": "x"}, {"retryDelay": "47s"}]}}]);
        check(429, &google, &wait(47_000));
        check(429, &json!("x"), &ModelError::RateLimited { retry_after: None });
    }

    #[test]
    fn what_no_retry_mends_is_told_apart() {
        check(
            401,
            &json!({"error": {"message": "bad key sk-hush"}}),
            &ModelError::Unauthorized { status: 401 },
        );
        check(404, &json!({}), &ModelError::UnknownModel);
        let long = json!({"error": {"message": "This model's maximum context length is 8192 tokens"}});
        check(400, &long, &ModelError::ContextTooLong);
        let refused = json!({"error": {"message": "no", "code": "content_filter"}});
        check(400, &refused, &ModelError::ContentRefused);
        let bad = json!({"error": {"message": "bad\nfield sk-hush"}});
        check(
            400,
            &bad,
            &ModelError::BadRequest {
                message: "bad field …".into(),
            },
        );
        let spent = json!({"error": {"message": "You have reached your spend limit"}});
        let message = "You have reached your spend limit".to_owned();
        check(400, &spent, &ModelError::QuotaExhausted { message });
    }

    #[test]
    fn servers_that_fail_may_be_asked_again() {
        check(503, &Value::Null, &ModelError::Overloaded { retry_after: None });
        check(529, &Value::Null, &ModelError::Overloaded { retry_after: None });
        let server = ModelError::Server {
            status: 502,
            retry_after: None,
        };
        check(502, &Value::Null, &server);
    }
}
