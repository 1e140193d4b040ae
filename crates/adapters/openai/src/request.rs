//! A request in OpenAI's words.
//!
//! Written straight from the domain's values, borrowed: a long conversation is not copied once more.

use crate::config::Endpoint;
use openclaw_ai_fabric::{AnswerForm, ChatRequest, ToolSpec};
use openclaw_core::{ChatMessage, ContentBlock, ModelId, Role};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// What a caller's parameters cannot change: it is said by the request itself or decided here. (`n` above 1 would
/// interleave several answers in one stream.)
const RESERVED: [&str; 9] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "user",
    "n",
];

/// The body of a call.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) model: &'a ModelId,
    pub(crate) request: &'a ChatRequest,
}

struct Messages<'a>(&'a [ChatMessage]);
struct Tools<'a>(&'a [ToolSpec]);
struct Content<'a>(&'a [ContentBlock]);
struct Calls<'a>(&'a [ContentBlock]);

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Calls<'a>>,
}

#[derive(Serialize)]
struct ToolMessage<'a> {
    role: &'static str,
    tool_call_id: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct Tool<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: T,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct TextPart<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

// === impl Body ===

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", self.endpoint.full_name(self.model.as_str()).as_ref())?;
        map.serialize_entry("messages", &Messages(&request.messages))?;
        let streamed = request.form == AnswerForm::Streamed;
        map.serialize_entry("stream", &streamed)?;
        // An answer in one piece always has its usage.
        if streamed && self.endpoint.include_usage {
            map.serialize_entry("stream_options", &StreamOptions { include_usage: true })?;
        }
        if request.max_output_tokens > 0 {
            let field = self.endpoint.max_tokens_field.name(self.model.as_str());
            map.serialize_entry(field, &request.max_output_tokens)?;
        }
        if !request.tools.is_empty() {
            map.serialize_entry("tools", &Tools(&request.tools))?;
        }
        if let Some(user) = &request.user {
            map.serialize_entry("user", user)?;
        }
        for (name, value) in &request.parameters {
            if !RESERVED.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

// === impl Messages ===

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for message in self.0 {
            // The results of tools are messages of their own, and come before what is said beside them.
            for block in &message.content {
                if let ContentBlock::ToolResult { id, content, .. } = block {
                    seq.serialize_element(&ToolMessage {
                        role: "tool",
                        tool_call_id: id,
                        content,
                    })?;
                }
            }
            let blocks = &message.content;
            let says = blocks
                .iter()
                .any(|block| matches!(block, ContentBlock::Text { .. } | ContentBlock::Other { .. }));
            let calls = blocks
                .iter()
                .any(|block| matches!(block, ContentBlock::ToolUse { .. }));
            let results = blocks
                .iter()
                .any(|block| matches!(block, ContentBlock::ToolResult { .. }));
            if !says && !calls && results {
                continue;
            }
            seq.serialize_element(&Message {
                role: role(message.role),
                tool_call_id: None,
                // An empty text is written as one; only a message of mere calls has none.
                content: (says || !calls).then_some(Content(blocks)),
                tool_calls: calls.then_some(Calls(blocks)),
            })?;
        }
        seq.end()
    }
}

/// What a tool says without naming a call is passed on as the user's word: the protocol has no other place for it.
fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

// === impl Content ===

impl Serialize for Content<'_> {
    /// A string where there is nothing but text, which every server understands; a list of parts else.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self
            .0
            .iter()
            .any(|block| matches!(block, ContentBlock::Other { .. }));
        if !parts {
            let mut texts = self.0.iter().filter_map(|block| match block {
                ContentBlock::Text { text } => Some(text.as_str()),
                ContentBlock::ToolUse { .. }
                | ContentBlock::ToolResult { .. }
                | ContentBlock::Other { .. } => None,
            });
            return match (texts.next(), texts.next()) {
                (None, _) => serializer.serialize_str(""),
                (Some(only), None) => serializer.serialize_str(only),
                (Some(first), Some(second)) => {
                    let mut joined = [first, second].concat();
                    joined.extend(texts);
                    serializer.serialize_str(&joined)
                }
            };
        }
        let mut seq = serializer.serialize_seq(None)?;
        for block in self.0 {
            match block {
                ContentBlock::Text { text } => seq.serialize_element(&TextPart { kind: "text", text })?,
                ContentBlock::Other { value } => seq.serialize_element(value)?,
                ContentBlock::ToolUse { .. } | ContentBlock::ToolResult { .. } => {}
            }
        }
        seq.end()
    }
}

// === impl Calls ===

impl Serialize for Calls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for block in self.0 {
            if let ContentBlock::ToolUse { id, name, arguments } = block {
                let arguments = if arguments.trim().is_empty() {
                    "{}"
                } else {
                    arguments
                };
                seq.serialize_element(&Tool {
                    id: Some(id),
                    kind: "function",
                    function: FunctionCall { name, arguments },
                })?;
            }
        }
        seq.end()
    }
}

// === impl Tools ===

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|tool| Tool {
            id: None,
            kind: "function",
            function: tool,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OpenAiConfig;
    use serde_json::{Value, json};

    fn body(request: &ChatRequest, model: &str) -> Value {
        let config = OpenAiConfig::new("p".parse().unwrap(), "http://x/v1/", None);
        let endpoint = config.validate().unwrap();
        let model = model.parse().unwrap();
        serde_json::to_value(Body {
            endpoint: &endpoint,
            model: &model,
            request,
        })
        .unwrap()
    }

    #[test]
    fn a_request_is_written_in_openais_words() {
        let mut request = ChatRequest::new(
            vec![
                ChatMessage::text(Role::System, "be kind"),
                ChatMessage::text(Role::User, "weather?"),
                ChatMessage {
                    role: Role::Assistant,
                    content: vec![ContentBlock::ToolUse {
                        id: "c1".into(),
                        name: "weather".into(),
                        arguments: String::new(),
                    }],
                },
                ChatMessage {
                    role: Role::Tool,
                    content: vec![ContentBlock::ToolResult {
                        id: "c1".into(),
                        content: "sun".into(),
                        is_error: false,
                    }],
                },
                ChatMessage {
                    role: Role::User,
                    content: vec![
                        ContentBlock::Text { text: "see".into() },
                        ContentBlock::Other {
                            value: json!({"type": "image_url", "image_url": {"url": "data:x"}}),
                        },
                    ],
                },
            ],
            77,
        );
        request.tools.push(ToolSpec {
            name: "weather".into(),
            description: Some("tells".into()),
            parameters: Some(json!({"type": "object"})),
            strict: None,
        });
        request.user = Some("u".into());
        request.parameters =
            json!({"temperature": 0.5, "stream": false, "model": "other", "n": 4, "max_tokens": 9})
                .as_object()
                .cloned()
                .unwrap();
        assert_eq!(
            body(&request, "m"),
            json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "weather?"},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "c1", "content": "sun"},
                    {"role": "user", "content": [{"type": "text", "text": "see"},
                        {"type": "image_url", "image_url": {"url": "data:x"}}]},
                ],
                "stream": true,
                "stream_options": {"include_usage": true},
                "max_tokens": 77,
                "tools": [{"type": "function", "function":
                    {"name": "weather", "description": "tells", "parameters": {"type": "object"}}}],
                "user": "u",
                "temperature": 0.5,
            })
        );
    }

    #[test]
    fn reasoning_models_have_another_name_for_the_longest_answer() {
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "x")], 5);
        assert_eq!(body(&request, "o3-mini")["max_completion_tokens"], 5);
        assert_eq!(body(&request, "openai/gpt-5")["max_completion_tokens"], 5);
        assert_eq!(body(&request, "gpt-4o")["max_tokens"], 5);
    }
}
