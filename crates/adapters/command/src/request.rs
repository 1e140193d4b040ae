//! A request as the line of JSON a program reads.

use openclaw_ai_fabric::{ChatRequest, ToolSpec};
use openclaw_core::{ChatMessage, ContentBlock, CorrelationId, ModelId, Role};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The line, without its end.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    model: &'a ModelId,
    correlation_id: String,
    /// 0 leaves it to the program.
    max_output_tokens: u64,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [ToolSpec],
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: Role,
    content: Content<'a>,
}

struct Content<'a>(&'a [ContentBlock]);

// === impl Line ===

impl<'a> Line<'a> {
    pub(crate) fn new(model: &'a ModelId, request: &'a ChatRequest, correlation_id: CorrelationId) -> Self {
        Self {
            model,
            correlation_id: correlation_id.to_string(),
            max_output_tokens: request.max_output_tokens,
            messages: request.messages.iter().map(Message::new).collect(),
            tools: &request.tools,
            parameters: &request.parameters,
            user: request.user.as_deref(),
        }
    }
}

// === impl Message ===

impl<'a> Message<'a> {
    fn new(message: &'a ChatMessage) -> Self {
        Self {
            role: message.role,
            content: Content(&message.content),
        }
    }
}

// === impl Content ===

impl Serialize for Content<'_> {
    /// A string where there is nothing but text: what a small script wants to read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut joined = String::new();
        for block in self.0 {
            match block {
                ContentBlock::Text { text } => joined.push_str(text),
                ContentBlock::ToolUse { .. }
                | ContentBlock::ToolResult { .. }
                | ContentBlock::Other { .. } => return self.0.serialize(serializer),
            }
        }
        serializer.serialize_str(&joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_a_string_and_more_than_text_a_list_of_blocks() {
        let id = "0199f0a0-0000-7000-8000-000000000000";
        let result = ContentBlock::ToolResult {
            id: "c1".into(),
            content: "sun".into(),
            is_error: false,
        };
        let messages = vec![
            ChatMessage::text(Role::User, "hi"),
            ChatMessage {
                role: Role::Tool,
                content: vec![result],
            },
        ];
        let request = ChatRequest::new(messages, 9);
        let model = "m".parse().unwrap();
        let line = Line::new(&model, &request, id.parse().unwrap());
        assert_eq!(
            serde_json::to_value(line).unwrap(),
            json!({
                "model": "m",
                "correlationId": id,
                "maxOutputTokens": 9,
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "tool", "content": [
                        {"type": "tool_result", "id": "c1", "content": "sun", "is_error": false}]},
                ],
            })
        );
    }
}
