//! What a store finds, forgets and tells of itself.

use openclaw_core::{TenantId, Timestamp};
use openclaw_session::TenantSession;
use serde::Serialize;

/// What may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Now: sessions past their time end.
    pub now: Timestamp,
    /// Entries that were closed before this time are forgotten; what comes again after that is taken for new. At
    /// least 72 hours ago.
    pub closed_before: Timestamp,
    /// What was said before this time is forgotten; so is a chat of the page or the native API that was opened before
    /// it and never written in, and a visitor's in which nobody has written since.
    pub history_before: Timestamp,
    /// How many rows of each kind are removed at most: a sweep is one short transaction.
    pub limit: usize,
}

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Closed entries removed.
    pub entries: u64,
    /// Messages of conversations removed.
    pub history: u64,
    /// Sessions that were past their time and are removed, `expired`; oldest end first.
    pub sessions: Vec<TenantSession>,
    /// Chats that are removed: of the page and the native API those that were opened and never written in, then
    /// visitors' of which nothing is kept any more; those silent for longest first. One that an operator has changed
    /// stays.
    pub chats: Vec<TenantId>,
    /// Whether a limit was reached: there may be more.
    pub more: bool,
}

/// What a store found when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries without an end.
    pub open_entries: u64,
    /// Turns that were running when the process before this one ended.
    pub interrupted_turns: u64,
    /// Reservations of that process, settled at their input estimate.
    pub settled_reservations: u64,
}

/// Depths and ages, for metrics and readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreDepths {
    /// Entries without an end.
    pub inbox_open: u64,
    /// Parts waiting to be delivered.
    pub outbox_pending: u64,
    /// When the oldest open entry was accepted.
    pub oldest_open_at: Option<Timestamp>,
}

/// Why a store could not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed; it may work later (disk full, read-only, busy).
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, for the log.
        reason: String,
    },
    /// The change may or may not have happened; the store takes no further writes until it is opened again.
    #[error("it is unknown whether the change was stored: {reason}")]
    Unknown {
        /// What is wrong, for the log.
        reason: String,
    },
    /// The fence is not the newest of its tenant. Nothing was changed.
    #[error("another turn has taken over")]
    Stale,
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// Of what.
        what: &'static str,
    },
    /// A stored row cannot be read.
    #[error("a stored {what} cannot be read: {reason}")]
    Corrupt {
        /// Of what.
        what: &'static str,
        /// What is wrong, for the log.
        reason: String,
    },
}
