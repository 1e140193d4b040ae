//! Pieces of replies on their way to the person.

use super::EntryId;
use openclaw_core::{AccessTier, BotId, CorrelationId, MessageId, OutgoingMessage, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// A piece of a reply waiting to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutboxId(pub i64);

/// A piece of a reply to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOutboxPart {
    /// Which part of the reply, from 0.
    pub part: u32,
    /// What is to stand in the chat.
    pub message: OutgoingMessage,
    /// The message to edit; `None` sends a new one.
    pub edits: Option<MessageId>,
}

/// A piece of a reply that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxPart {
    /// Its id; grows in the order parts were written.
    pub id: OutboxId,
    /// The entry it answers.
    pub entry: EntryId,
    /// Whose chat it goes to.
    pub tenant: TenantId,
    /// What the tenant has been granted.
    pub tier: AccessTier,
    /// Which of our bots sends it.
    pub bot: BotId,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// The piece.
    pub part: NewOutboxPart,
    /// How often delivery was tried.
    pub attempts: u32,
    /// How many of these may have reached the person without our knowing.
    pub ambiguous: u32,
    /// Not before this time.
    pub due_at: Timestamp,
}

/// What became of an attempt to deliver a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It stands in the chat. The text is forgotten.
    Delivered {
        /// The platform's id of it, where it has one.
        message_id: Option<MessageId>,
    },
    /// To be tried again.
    Retry {
        /// Not before this time.
        due_at: Timestamp,
        /// Whether this attempt may have reached the person.
        ambiguous: bool,
    },
    /// Given up.
    Failed {
        /// Why, for the log.
        reason: String,
    },
}
