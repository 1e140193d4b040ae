//! What a model says, piece by piece, whatever the provider's wire format.

use serde::{Deserialize, Serialize};

/// One piece of a model's answer. Provider adapters decode their frames into these.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    /// More text, to be appended.
    TextDelta(String),
    /// A tool call begins. Later deltas name it by `index`.
    ToolUseStart {
        /// Position among the tool calls of this answer.
        index: u32,
        /// The provider's id of the call; made by the adapter where the provider sends none.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of a tool call's arguments, a piece of JSON text.
    ToolArgumentsDelta {
        /// Which call.
        index: u32,
        /// The piece.
        delta: String,
    },
    /// Token counts; the last one wins.
    Usage(TokenUsage),
    /// The answer is complete. Nothing but [`ModelEvent::Usage`] follows.
    Stop(StopReason),
    /// A sign of life without content.
    Ping,
}

/// Tokens a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenUsage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Whether we counted, because the provider did not say.
    #[serde(default)]
    pub estimated: bool,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It had said everything.
    EndTurn,
    /// The output limit was reached.
    MaxTokens,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// The provider withheld the rest.
    ContentFilter,
}

impl TokenUsage {
    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl StopReason {
    /// The name OpenAI's `finish_reason` has for it.
    pub const fn as_openai(self) -> &'static str {
        match self {
            Self::EndTurn => "stop",
            Self::MaxTokens => "length",
            Self::ToolUse => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}
