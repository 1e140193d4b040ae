//! A request as the mock has read it.

use serde_json::Value;
use std::time::Instant;

/// A request for a completion as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The path, e.g. `/v1/chat/completions`.
    pub path: String,
    /// Header names in lower case with their values; a value that is not text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
    /// When its body was complete.
    pub at: Instant,
}

impl RecordedRequest {
    /// The model asked for; empty when the body names none.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The text of the last message with the role `user`: a string, or the text parts of a list joined.
    #[must_use]
    pub fn last_user_text(&self) -> Option<String> {
        last_user_text(&self.body)
    }
}

pub(super) fn last_user_text(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array()?;
    let content = &messages.iter().rev().find(|message| message["role"] == "user")?["content"];
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        _ => None,
    }
}
