//! What a turn does to its tenant's session. The one place that knows; stores call it inside their transactions.
//!
//! A session that has ended is never revived: a turn that finds one opens the next generation under the same id.

use crate::session::{SessionState, TenantSession, transition_session};
use openclaw_core::{SessionId, TenantId, Timestamp};
use std::time::Duration;

/// The session of a turn that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnteredSession {
    /// The session, `processing`.
    pub session: TenantSession,
    /// Whether it was opened for this turn.
    pub opened: bool,
    /// The session that was found past its time, `expired`.
    pub ended: Option<TenantSession>,
}

/// Continues the tenant's session or opens the next one, and moves it to `processing`.
///
/// `current` is the stored session, `last_generation` the highest generation the tenant ever had (0 at first): it
/// outlives deleted sessions, so that no generation comes twice.
pub fn enter_session(
    tenant: &TenantId,
    current: Option<&TenantSession>,
    last_generation: u64,
    now: Timestamp,
    ttl: Duration,
) -> EnteredSession {
    let live = current.filter(|session| {
        !session.is_past(now) && !matches!(session.state, SessionState::Expired | SessionState::Suspended)
    });
    match live {
        Some(session) => EnteredSession {
            session: TenantSession {
                state: SessionState::Processing,
                ..session.active_at(now, ttl)
            },
            opened: false,
            ended: None,
        },
        None => {
            let generation = current
                .map_or(0, |session| session.generation)
                .max(last_generation)
                .saturating_add(1);
            let id = SessionId::of(tenant.clone());
            EnteredSession {
                session: TenantSession {
                    state: SessionState::Processing,
                    ..TenantSession::open(id, generation, now, ttl)
                },
                opened: true,
                ended: current
                    .filter(|session| session.state != SessionState::Expired)
                    .and_then(|session| transition_session(session, SessionState::Expired).ok()),
            }
        }
    }
}

/// Returns the session to `active` when its turn is over, with activity at `now`. A session that was suspended or
/// expired meanwhile stays as it is.
pub fn leave_session(session: &TenantSession, now: Timestamp, ttl: Duration) -> TenantSession {
    match session.state {
        SessionState::Processing => TenantSession {
            state: SessionState::Active,
            ..session.active_at(now, ttl)
        },
        SessionState::Idle | SessionState::Active | SessionState::Expired | SessionState::Suspended => {
            session.clone()
        }
    }
}

/// Ends the session: `expired`, or as it is when it has ended already.
pub fn end_session(session: &TenantSession) -> TenantSession {
    transition_session(session, SessionState::Expired).unwrap_or_else(|_| session.clone())
}

/// The session of a tenant that is suspended: `suspended`.
pub fn suspend_session(session: &TenantSession) -> TenantSession {
    transition_session(session, SessionState::Suspended).unwrap_or_else(|_| session.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(3600);

    fn tenant() -> TenantId {
        "telegram:1:2".parse().expect("a tenant")
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn stored(state: SessionState) -> TenantSession {
        TenantSession {
            state,
            ..TenantSession::open(SessionId::of(tenant()), 4, at(0), TTL)
        }
    }

    #[test]
    fn the_first_turn_opens_generation_one() {
        let entered = enter_session(&tenant(), None, 0, at(10), TTL);
        assert!(entered.opened);
        assert_eq!(entered.ended, None);
        assert_eq!(entered.session.generation, 1);
        assert_eq!(entered.session.state, SessionState::Processing);
        assert_eq!(entered.session.expires_at, at(10) + TTL);
    }

    #[test]
    fn a_live_session_is_continued_and_its_life_prolonged() {
        for state in [SessionState::Idle, SessionState::Active, SessionState::Processing] {
            let entered = enter_session(&tenant(), Some(&stored(state)), 4, at(1_000), TTL);
            assert!(!entered.opened, "{state}");
            assert_eq!(entered.session.generation, 4);
            assert_eq!(entered.session.state, SessionState::Processing);
            assert_eq!(entered.session.expires_at, at(1_000) + TTL);
        }
    }

    #[test]
    fn a_session_past_its_time_is_reported_ended_and_the_next_generation_opens() {
        let late = at(0) + TTL;
        let entered = enter_session(&tenant(), Some(&stored(SessionState::Active)), 4, late, TTL);
        assert_eq!(
            entered.ended.map(|session| (session.generation, session.state)),
            Some((4, SessionState::Expired))
        );
        assert_eq!((entered.opened, entered.session.generation), (true, 5));
    }

    #[test]
    fn an_ended_session_is_never_revived_nor_reported_twice() {
        for state in [SessionState::Expired, SessionState::Suspended] {
            let entered = enter_session(&tenant(), Some(&stored(state)), 4, at(1), TTL);
            assert_eq!(
                (entered.opened, entered.session.generation, entered.ended),
                (true, 5, None),
                "{state}"
            );
        }
    }

    #[test]
    fn a_generation_is_not_used_again_after_its_session_was_deleted() {
        assert_eq!(
            enter_session(&tenant(), None, 9, at(1), TTL).session.generation,
            10
        );
    }

    #[test]
    fn only_a_processing_session_returns_to_active() {
        for state in SessionState::ALL {
            let left = leave_session(&stored(state), at(5), TTL);
            let expected = if state == SessionState::Processing {
                SessionState::Active
            } else {
                state
            };
            assert_eq!(left.state, expected);
        }
        assert_eq!(
            end_session(&stored(SessionState::Suspended)).state,
            SessionState::Suspended
        );
        assert_eq!(
            suspend_session(&stored(SessionState::Expired)).state,
            SessionState::Suspended
        );
    }
}
