//! A turn as the store knows it, from its beginning to its end.

use super::{EntryId, NewHistoryMessage, NewOutboxPart, Outcome, ReservationRecord, StoreError, UsageDelta};
use crate::ledger::Spent;
use openclaw_core::Timestamp;
use openclaw_session::TenantSession;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The right to write the results of a turn. Grows per tenant with every turn begun; an older one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// A turn to be begun.
#[derive(Clone, Debug)]
pub struct BeginTurn {
    /// For this entry.
    pub entry: EntryId,
    /// Now.
    pub now: Timestamp,
    /// The time to live of a session that is opened, and the life added by activity.
    pub session_ttl: Duration,
    /// What is set aside, unless the budget is unlimited.
    pub reservation: Option<ReservationRecord>,
    /// How many turns may crash before the entry is set aside.
    pub max_attempts: u32,
}

/// A turn that has begun: the attempt is counted, the session is `processing`, the reservation is written.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnGrant {
    /// The right to write its results.
    pub fence: Fence,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The session, `processing`.
    pub session: TenantSession,
    /// Whether this turn opened the session.
    pub opened: bool,
    /// The session that had ended before, if this turn found one that was past its time.
    pub ended: Option<TenantSession>,
}

/// Why a turn could not begin. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The entry has an end already.
    #[error("the inbox entry is closed")]
    Closed,
    /// The entry's turns crashed as often as is allowed.
    #[error("{attempts} turns of this entry did not end")]
    TooManyAttempts {
        /// How many.
        attempts: u32,
    },
    /// The tenant was suspended meanwhile.
    #[error("the tenant is suspended")]
    Suspended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The end of a turn.
#[derive(Clone, Debug)]
pub struct CommitTurn {
    /// Its entry.
    pub entry: EntryId,
    /// Its right to write.
    pub fence: Fence,
    /// Now.
    pub now: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be remembered, in order. Empty when texts are not stored or nothing was said.
    pub history: Vec<NewHistoryMessage>,
    /// What it cost, by budget; takes the place of the reservation.
    pub usage: Vec<UsageDelta>,
    /// What that was spent on.
    pub spent: Vec<Spent>,
    /// What is still to be delivered. Parts that already stand in the chat as they should are left out.
    pub outbox: Vec<NewOutboxPart>,
    /// The time to live added to the session by activity.
    pub session_ttl: Duration,
}
