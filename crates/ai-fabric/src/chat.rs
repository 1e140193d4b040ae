//! What a model is asked.

use crate::model::ModelCapability;
use openclaw_core::{ChatMessage, ContentBlock};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tool a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// What it is called by.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` when it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Whether the model must keep to the schema exactly, where the provider can promise that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A request to a model, the same for every provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// The most tokens the answer may have; 0 leaves it to the provider. The router lowers it to what the model can give.
    pub max_output_tokens: u64,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// Passed on as they are, in OpenAI's names: `temperature`, `top_p`, `stop`, `response_format`, `tool_choice` ….
    /// What the fields above say cannot be said here again.
    pub parameters: Map<String, Value>,
    /// Who asks, for providers that watch for abuse.
    pub user: Option<String>,
    /// How the answer is wanted.
    pub form: AnswerForm,
}

/// How an answer is wanted of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerForm {
    /// In pieces, as the model says them.
    #[default]
    Streamed,
    /// In one piece, which costs both ends less where nobody reads along. Nothing is heard before the answer is
    /// complete, so it may take as long as the whole request. A provider may stream all the same.
    Whole,
}

// === impl ChatRequest ===

impl ChatRequest {
    /// A conversation and the length of its answer.
    pub fn new(messages: Vec<ChatMessage>, max_output_tokens: u64) -> Self {
        Self {
            messages,
            max_output_tokens,
            ..Self::default()
        }
    }

    /// What a model must be able to do to serve it.
    pub fn needs(&self) -> Vec<ModelCapability> {
        let mut needs = vec![ModelCapability::Chat];
        let blocks = || self.messages.iter().flat_map(|message| &message.content);
        if blocks().any(is_image) {
            needs.push(ModelCapability::Vision);
        }
        if !self.tools.is_empty() {
            needs.push(ModelCapability::ToolUse);
        }
        needs
    }
}

/// Whether a block is an image of a request in OpenAI's or Anthropic's form.
pub(crate) fn is_image(block: &ContentBlock) -> bool {
    match block {
        ContentBlock::Other { value } => value
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.contains("image")),
        ContentBlock::Text { .. } | ContentBlock::ToolUse { .. } | ContentBlock::ToolResult { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Role;
    use serde_json::json;

    #[test]
    fn images_and_tools_are_needed_where_they_are_used() {
        let mut request = ChatRequest::new(vec![ChatMessage::text(Role::User, "hi")], 10);
        assert_eq!(request.needs(), [ModelCapability::Chat]);
        request.messages.push(ChatMessage {
            role: Role::User,
            content: vec![ContentBlock::Other {
                value: json!({"type": "image_url", "image_url": {"url": "data:"}}),
            }],
        });
        request.tools.push(ToolSpec {
            name: "t".into(),
            description: None,
            parameters: None,
            strict: None,
        });
        assert_eq!(
            request.needs(),
            [
                ModelCapability::Chat,
                ModelCapability::Vision,
                ModelCapability::ToolUse
            ]
        );
    }
}
