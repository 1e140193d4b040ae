//! A tenant's session: a state machine with a time to live.

use openclaw_core::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Opened, nothing said yet.
    Idle,
    /// Between turns.
    Active,
    /// A turn is running.
    Processing,
    /// Its time to live has passed. Never revived.
    Expired,
    /// Its tenant was suspended. Never revived.
    Suspended,
}

/// A session of a tenant. The generation tells one session of a tenant from the next under the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSession {
    /// `session:{tenantId}`.
    pub id: SessionId,
    /// Which session of this tenant, from 1.
    pub generation: u64,
    /// Where it is in its life.
    pub state: SessionState,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When something last happened in it.
    pub last_activity_at: Timestamp,
    /// When it ends unless something happens.
    pub expires_at: Timestamp,
}

/// A session cannot go from one state to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session cannot go from {from} to {to}")]
pub struct InvalidStateTransition {
    /// The state it is in.
    pub from: SessionState,
    /// The state that was asked for.
    pub to: SessionState,
}

// === impl SessionState ===

impl SessionState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::Active,
        Self::Processing,
        Self::Expired,
        Self::Suspended,
    ];

    /// The name in stores, events and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Processing => "processing",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
        }
    }

    /// The transition table.
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Idle => matches!(to, Self::Active | Self::Expired | Self::Suspended),
            Self::Active => matches!(to, Self::Processing | Self::Expired | Self::Suspended),
            Self::Processing => matches!(to, Self::Active | Self::Expired | Self::Suspended),
            Self::Expired => matches!(to, Self::Suspended),
            Self::Suspended => false,
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl TenantSession ===

impl TenantSession {
    /// Opens a session, idle, living for `ttl` from now.
    pub fn open(id: SessionId, generation: u64, now: Timestamp, ttl: Duration) -> Self {
        Self {
            id,
            generation,
            state: SessionState::Idle,
            created_at: now,
            last_activity_at: now,
            expires_at: now + ttl,
        }
    }

    /// Whether the time to live has passed.
    pub fn is_past(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// The session with activity at `now`, living for `ttl` from then. Time does not go back.
    pub fn active_at(&self, now: Timestamp, ttl: Duration) -> Self {
        Self {
            last_activity_at: self.last_activity_at.max(now),
            expires_at: self.expires_at.max(now + ttl),
            ..self.clone()
        }
    }
}

/// The session in another state, or the error that says why not.
pub fn transition_session(
    session: &TenantSession,
    to: SessionState,
) -> Result<TenantSession, InvalidStateTransition> {
    if session.state.may_become(to) {
        Ok(TenantSession {
            state: to,
            ..session.clone()
        })
    } else {
        Err(InvalidStateTransition {
            from: session.state,
            to,
        })
    }
}

/// The session with its end moved by `duration`.
pub fn extend_session(session: &TenantSession, duration: Duration) -> TenantSession {
    TenantSession {
        expires_at: session.expires_at + duration,
        ..session.clone()
    }
}
