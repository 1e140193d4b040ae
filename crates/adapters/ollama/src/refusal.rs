//! What a status and a body that are no answer mean.

use openclaw_ai_fabric::{ModelCapability, ModelError};
use openclaw_core::Timestamp;
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::{by_status, retry_after, shown};
use serde_json::Value;

/// Decodes a refusal: `{"error": "…"}`, or whatever a proxy in between answers.
pub(crate) fn decode(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> ModelError {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = body.get("error").and_then(Value::as_str).unwrap_or_default();
    let lower = text.to_lowercase();
    match status {
        400 if lower.contains("does not support tools") => ModelError::Unsupported {
            capability: ModelCapability::ToolUse,
        },
        400 if lower.contains("context length") || lower.contains("exceeds the context") => {
            ModelError::ContextTooLong
        }
        // A 503 says that its queue is full, or that of a gateway before it.
        _ => by_status(status, || retry_after(headers, now), || shown(text, status, [])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(status: u16, text: &str, expected: &ModelError) {
        let body = json!({"error": text}).to_string();
        let now = Timestamp::from_millis(0);
        assert_eq!(&decode(status, &HeaderMap::new(), body.as_bytes(), now), expected);
    }

    #[test]
    fn every_status_has_its_meaning() {
        check(404, "model 'x' not found", &ModelError::UnknownModel);
        let tools = ModelError::Unsupported {
            capability: ModelCapability::ToolUse,
        };
        check(400, "registry.ollama.ai/library/x does not support tools", &tools);
        let message = "invalid\u{7}option".replace('\u{7}', " ");
        check(400, "invalid\u{7}option", &ModelError::BadRequest { message });
        check(503, "server busy", &ModelError::Overloaded { retry_after: None });
        let server = ModelError::Server {
            status: 500,
            retry_after: None,
        };
        check(500, "llama runner terminated", &server);
        check(413, "", &ModelError::ContextTooLong);
    }
}
