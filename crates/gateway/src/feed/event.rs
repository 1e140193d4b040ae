//! What can happen in a chat, as its readers are told.

use crate::ports::EntryId;
use openclaw_core::TokenUsage;
use serde::Serialize;

/// Something that happened in a chat. The same vocabulary for the page, the API and embedders.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", content = "data")]
pub enum FeedEvent {
    /// A turn began to work on a message.
    #[serde(rename = "turn.started", rename_all = "camelCase")]
    TurnStarted {
        /// The turn: the id the message was accepted under.
        turn_id: String,
    },
    /// More text of the answer, to be appended.
    #[serde(rename = "text.delta", rename_all = "camelCase")]
    TextDelta {
        /// The turn.
        turn_id: String,
        /// The piece.
        text: String,
    },
    /// The text shown so far is void; this takes its place.
    #[serde(rename = "text.replace", rename_all = "camelCase")]
    TextReplace {
        /// The turn.
        turn_id: String,
        /// The whole text, possibly empty.
        text: String,
    },
    /// A tool is being called.
    #[serde(rename = "tool.started", rename_all = "camelCase")]
    ToolStarted {
        /// The turn.
        turn_id: String,
        /// Which tool.
        name: String,
    },
    /// A tool has answered.
    #[serde(rename = "tool.finished", rename_all = "camelCase")]
    ToolFinished {
        /// The turn.
        turn_id: String,
        /// Which tool.
        name: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// A message waits for a worker. Comes again as it moves up, and when an operator pauses answering or lets it go on;
    /// not when there is nothing new to say.
    #[serde(rename = "notice", rename_all = "camelCase")]
    Notice {
        /// The turn.
        turn_id: String,
        /// How many messages wait, this one included.
        place: usize,
        /// Whether an operator has paused answering: then nobody moves up.
        paused: bool,
        /// How long it is likely to wait yet; `None` while nothing is known of that, or nobody moves up.
        expected_wait_ms: Option<u64>,
    },
    /// The turn ended with an answer, or with words in place of one.
    #[serde(rename = "turn.finished", rename_all = "camelCase")]
    TurnFinished {
        /// The turn.
        turn_id: String,
        /// The whole answer.
        text: String,
        /// `stop`, `length`, `content_filter`, `stopped` (by its person), `command` or `cancelled`.
        finish_reason: String,
        /// What it cost, where a model was asked.
        usage: Option<TokenUsage>,
    },
    /// The turn ended without an answer.
    #[serde(rename = "turn.failed", rename_all = "camelCase")]
    TurnFailed {
        /// The turn.
        turn_id: String,
        /// Why, in the form of RFC 9457.
        problem: serde_json::Value,
    },
}

// === impl FeedEvent ===

impl FeedEvent {
    /// The name in the `event:` field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TurnStarted { .. } => "turn.started",
            Self::TextDelta { .. } => "text.delta",
            Self::TextReplace { .. } => "text.replace",
            Self::ToolStarted { .. } => "tool.started",
            Self::ToolFinished { .. } => "tool.finished",
            Self::Notice { .. } => "notice",
            Self::TurnFinished { .. } => "turn.finished",
            Self::TurnFailed { .. } => "turn.failed",
        }
    }

    /// What it takes in a ring.
    pub(super) fn bytes(&self) -> usize {
        64 + match self {
            Self::TextDelta { text, .. }
            | Self::TextReplace { text, .. }
            | Self::TurnFinished { text, .. } => text.len(),
            Self::TurnStarted { .. }
            | Self::ToolStarted { .. }
            | Self::ToolFinished { .. }
            | Self::Notice { .. }
            | Self::TurnFailed { .. } => 0,
        }
    }
}

/// The id a turn has in feeds and in the native API.
pub fn turn_id(entry: EntryId) -> String {
    format!("turn_{}", entry.0)
}
