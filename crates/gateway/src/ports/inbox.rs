//! What is accepted, and how it ends.

use super::{NewHistoryMessage, NewOutboxPart};
use openclaw_core::{AccessTier, CorrelationId, IncomingMessage, MessageId, Timestamp};
use openclaw_session::{TenantKey, UserTenant};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An inbox entry. Grows in the order entries were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub i64);

/// A message to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// The message; unique by platform, bot and `update_key`.
    pub message: IncomingMessage,
    /// What it will be found by.
    pub correlation_id: CorrelationId,
    /// The tier its tenant gets at first contact. A known tenant keeps its own.
    pub tier_if_new: AccessTier,
    /// When it arrived.
    pub received_at: Timestamp,
    /// A message of the same key is taken for a second delivery only if it was accepted after this time; one accepted
    /// earlier gives the key up. `None` for as long as it is remembered at all.
    pub repeats_after: Option<Timestamp>,
}

/// What became of a message that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// It is in the inbox now.
    New(OpenEntry),
    /// It was there already; nothing changed.
    Duplicate {
        /// The entry of the first delivery.
        entry: EntryId,
        /// What was accepted then. Text and attachments are gone once the entry has its end.
        message: IncomingMessage,
        /// Whether what came now says the same as what was accepted then, by [`message_digest`]. Known also after
        /// the text was forgotten.
        same: bool,
    },
}

/// An entry that a message repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The entry of the first delivery.
    pub entry: EntryId,
    /// As in [`Accepted::Duplicate`].
    pub same: bool,
}

/// An inbox entry without an end.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenEntry {
    /// Its id.
    pub id: EntryId,
    /// Whose it is.
    pub key: TenantKey,
    /// The tenant as stored when this was read.
    pub tenant: UserTenant,
    /// Whether this entry was the tenant's first contact.
    pub tenant_is_new: bool,
    /// The message.
    pub message: IncomingMessage,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// When it was accepted; age counts from here.
    pub accepted_at: Timestamp,
    /// How many turns were begun for it and did not end.
    pub attempts: u32,
    /// What the person has already been shown by a turn that did not end.
    pub shown: Vec<ShownPart>,
}

/// A message of a reply that stands in the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPart {
    /// Which part of the reply, from 0.
    pub part: u32,
    /// The platform's id of it, which a repaired turn edits instead of sending again.
    pub message_id: MessageId,
}

/// How an accepted message ended. Exactly one of these, for every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// A command was carried out.
    Command,
    /// Refused with words: suspended, budget, too long, no place within the admission deadline, or dropped from the
    /// queue by an operator.
    Refused,
    /// Cancelled by a plugin.
    Cancelled,
    /// Stopped by its person.
    Stopped,
    /// Failed with words: models exhausted, time limit, worker killed.
    Failed,
    /// Too old to be answered as if nothing had happened.
    Expired,
    /// Its turns crashed too often; the operator sees it.
    DeadLettered,
    /// Nothing to answer: an empty message, an update we only take note of.
    Ignored,
}

/// The end of an entry that has no running turn.
#[derive(Clone, Debug)]
pub struct CloseEntry {
    /// The entry.
    pub entry: EntryId,
    /// Now.
    pub now: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be remembered, in order: in the session there is, or the one to come.
    pub history: Vec<NewHistoryMessage>,
    /// What the person is told.
    pub outbox: Vec<NewOutboxPart>,
}

/// What a message says, as SHA-256: its kind, text, attachments and what it answers. Not when or how it came, so that
/// a second delivery of the same message has the same digest.
pub fn message_digest(message: &IncomingMessage) -> [u8; 32] {
    let said = (
        &message.kind,
        &message.text,
        &message.attachments,
        &message.reply_to,
    );
    // Plain texts and numbers always become JSON.
    let bytes = serde_json::to_vec(&said).unwrap_or_default();
    Sha256::digest(bytes).into()
}
