//! What a status and a body that are no answer mean.

use openclaw_ai_fabric::ModelError;
use openclaw_core::{Secret, Timestamp};
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::{by_status, retry_after, shown};
use serde_json::Value;

/// Decodes a refusal: `{"status": 400, "message": "…"}`, or whatever a proxy in between answers. The secrets are blotted
/// out, should they be repeated.
pub(crate) fn decode(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    secrets: &[&Secret],
) -> ModelError {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = body
        .get("message")
        .or_else(|| body.pointer("/error/message"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let lower = text.to_lowercase();
    let too_long = ["context", "tokens limit", "too long", "max_prompt"]
        .iter()
        .any(|word| lower.contains(word));
    if matches!(status, 400 | 422) && too_long {
        return ModelError::ContextTooLong;
    }
    // A 402 says that the tokens that were paid for are used up; a 429 mostly that there are too many streams at once, and
    // the next slot is as near as the end of one.
    by_status(
        status,
        || retry_after(headers, now),
        || shown(text, status, secrets.iter().copied()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(status: u16, text: &str, expected: &ModelError) {
        let body = json!({"status": status, "message": text}).to_string();
        let now = Timestamp::from_millis(0);
        let token = Secret::new("hush");
        let got = decode(status, &HeaderMap::new(), body.as_bytes(), now, &[&token]);
        assert_eq!(&got, expected);
    }

    #[test]
    fn every_status_has_its_meaning() {
        let message = "Payment Required".to_owned();
        check(402, "Payment Required", &ModelError::QuotaExhausted { message });
        check(
            403,
            "Permission denied",
            &ModelError::Unauthorized { status: 403 },
        );
        check(404, "No such model", &ModelError::UnknownModel);
        check(
            429,
            "Too Many Requests",
            &ModelError::RateLimited { retry_after: None },
        );
        check(413, "", &ModelError::ContextTooLong);
        let message = "bad …".to_owned();
        check(422, "bad hush", &ModelError::BadRequest { message });
        let server = ModelError::Server {
            status: 500,
            retry_after: None,
        };
        check(500, "Internal Server Error", &server);
    }
}
