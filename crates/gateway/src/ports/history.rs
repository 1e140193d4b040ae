//! What was said in a conversation.

use super::{EntryId, Outcome};
use openclaw_core::{ChatMessage, ModelId, Timestamp};

/// Of a conversation the newest messages are kept, so many.
pub const HISTORY_KEPT: usize = 2_000;

/// One message of the conversation to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHistoryMessage {
    /// What was said and by whom.
    pub message: ChatMessage,
    /// What it counts against the history limit.
    pub tokens: u64,
    /// Which model said it, if one did.
    pub model: Option<ModelId>,
    /// How the message ended that this belongs to, when that was without an answer: what its person wrote, and the words
    /// they were told. Such messages are there to be read and are never told to a model.
    pub unanswered: Option<Outcome>,
    /// When it was said; `None` for the moment its entry ends.
    pub at: Option<Timestamp>,
    /// Of the last message of an answer: how the answer ended, as events tell it (`stop`, `length`, `stopped`, …).
    pub finish_reason: Option<String>,
}

/// One message of the conversation as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryMessage {
    /// What it is known by within its tenant; grows in the order of writing, which need not be the one of the conversation.
    pub seq: i64,
    /// The generation of the session it was said in.
    pub generation: u64,
    /// What was said and by whom.
    pub message: ChatMessage,
    /// What it counts against the history limit.
    pub tokens: u64,
    /// Which model said it, if one did.
    pub model: Option<ModelId>,
    /// When it was said: a question when it was accepted, an answer when it had its end.
    pub at: Timestamp,
    /// The entry whose end brought it; `None` for what was written before that was noted.
    pub entry: Option<EntryId>,
    /// As in [`NewHistoryMessage`].
    pub unanswered: Option<Outcome>,
    /// As in [`NewHistoryMessage`]; `None` also for what was written before that was noted.
    pub finish_reason: Option<String>,
}
