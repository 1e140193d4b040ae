//! The state table and the time to live.

use openclaw_core::{SessionId, TenantId, Timestamp};
use openclaw_session::{
    InvalidStateTransition, SessionState, TenantSession, end_session, enter_session, extend_session,
    leave_session, suspend_session, transition_session,
};
use proptest::prelude::*;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(3_600);

fn tenant() -> TenantId {
    "telegram:1:2".parse().expect("a tenant")
}

fn session(state: SessionState) -> TenantSession {
    TenantSession {
        state,
        ..TenantSession::open(SessionId::of(tenant()), 1, Timestamp::from_millis(0), TTL)
    }
}

/// The table of the specification, a row for each state: which of idle, active, processing, expired, suspended.
const TABLE: [(SessionState, [bool; 5]); 5] = [
    (SessionState::Idle, [false, true, false, true, true]),
    (SessionState::Active, [false, false, true, true, true]),
    (SessionState::Processing, [false, true, false, true, true]),
    (SessionState::Expired, [false, false, false, false, true]),
    (SessionState::Suspended, [false, false, false, false, false]),
];

#[test]
fn every_pair_of_states_is_as_in_the_table() {
    for (from, row) in TABLE {
        for (to, allowed) in SessionState::ALL.into_iter().zip(row) {
            let expected = if allowed {
                Ok(session(to))
            } else {
                Err(InvalidStateTransition { from, to })
            };
            assert_eq!(transition_session(&session(from), to), expected, "{from} to {to}");
        }
    }
}

#[test]
fn a_refused_transition_names_both_states() {
    let error =
        transition_session(&session(SessionState::Expired), SessionState::Active).expect_err("refused");
    assert_eq!(error.to_string(), "a session cannot go from expired to active");
}

#[test]
fn a_session_ends_an_hour_after_its_last_activity_and_not_before() {
    let session = session(SessionState::Idle).active_at(Timestamp::from_millis(1_000), TTL);
    let end = Timestamp::from_millis(1_000) + TTL;
    assert!(!session.is_past(end - Duration::from_millis(1)));
    assert!(session.is_past(end));
}

#[test]
fn extending_moves_the_end_only() {
    let before = session(SessionState::Active);
    let extended = extend_session(&before, Duration::from_millis(1_500));
    assert_eq!(
        extended.expires_at,
        before.expires_at + Duration::from_millis(1_500)
    );
    let restored = TenantSession {
        expires_at: before.expires_at,
        ..extended
    };
    assert_eq!(restored, before);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter,
    Leave,
    End,
    Suspend,
    Delete,
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Enter),
        3 => Just(Step::Leave),
        1 => Just(Step::End),
        1 => Just(Step::Suspend),
        1 => Just(Step::Delete),
        2 => (0_u32..5_000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn no_session_is_revived_and_no_generation_comes_twice(steps in steps()) {
        let mut now = Timestamp::from_millis(0);
        let mut current: Option<TenantSession> = None;
        let mut last_generation = 0;
        for step in steps {
            match step {
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds.into()),
                Step::Delete => current = None,
                Step::Leave => current = current.map(|session| leave_session(&session, now, TTL)),
                Step::End => current = current.map(|session| end_session(&session)),
                Step::Suspend => current = current.map(|session| suspend_session(&session)),
                Step::Enter => {
                    let was_live = current.as_ref().is_some_and(|session| {
                        !session.is_past(now)
                            && !matches!(session.state, SessionState::Expired | SessionState::Suspended)
                    });
                    let entered = enter_session(&tenant(), current.as_ref(), last_generation, now, TTL);
                    prop_assert_eq!(entered.opened, !was_live);
                    prop_assert_eq!(entered.session.state, SessionState::Processing);
                    let step = u64::from(entered.opened);
                    prop_assert_eq!(entered.session.generation, last_generation + step);
                    prop_assert!(!entered.session.is_past(now));
                    if let Some(ended) = entered.ended {
                        prop_assert_eq!(ended.state, SessionState::Expired);
                        prop_assert!(ended.is_past(now));
                    }
                    last_generation = entered.session.generation;
                    current = Some(entered.session);
                }
            }
        }
    }
}
