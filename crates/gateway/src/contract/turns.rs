//! Turns: attempts, fences, sessions, reservations, crashes.

use super::{
    Store, StoreUnderTest, TTL, accept_one, answer, begin, begin_with, close_as, commit, lost, message_from,
    part, said, t, tenant_of,
};
use crate::ports::{
    AccountUsage, BeginError, BeginTurn, CommitTurn, EntryId, Fence, Outcome, Recovery, ReservationRecord,
    ShownPart, StoreError, Sweep, UsageDelta,
};
use openclaw_session::{SessionState, suspend_tenant};
use std::time::Duration;

fn shown(part: u32, id: &str) -> ShownPart {
    ShownPart {
        part,
        message_id: id.parse().unwrap(),
    }
}

async fn used(store: &dyn Store) -> Option<u64> {
    store.usage("budget").await.unwrap().map(|usage| usage.used)
}

async fn is_stale(store: &dyn Store, entry: EntryId, fence: Fence) {
    let sent = store.record_send(entry, fence, shown(0, "1")).await;
    assert!(matches!(sent, Err(StoreError::Stale)), "{sent:?}");
    let late = CommitTurn {
        history: vec![said("late", 1)],
        usage: vec![UsageDelta {
            account: "late".into(),
            window_started_at: t(0),
            tokens: 1,
            settled: 1,
        }],
        outbox: vec![part(0, "late")],
        ..answer(entry, fence, t(50))
    };
    let committed = store.commit_turn(late).await;
    assert!(matches!(committed, Err(StoreError::Stale)), "{committed:?}");
    let released = store.release(entry, fence, t(50)).await;
    assert!(matches!(released, Err(StoreError::Stale)), "{released:?}");
    assert_eq!(store.usage("late").await.unwrap(), None);
    let waiting = store.pending_outbox(None, 99).await.unwrap();
    assert!(waiting.iter().all(|part| part.part.message.text != "late"));
}

/// The first turn of a tenant.
pub async fn a_turn_counts_its_attempt_and_opens_the_session<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    assert_eq!((grant.attempt, grant.opened, &grant.ended), (1, true, &None));
    assert_eq!(grant.session.state, SessionState::Processing);
    assert_eq!(grant.session.id.to_string(), "session:telegram:1:chat-1");
    assert_eq!((grant.session.generation, grant.session.created_at), (1, t(1)));
    assert_eq!(grant.session.expires_at, t(1) + TTL);
    assert_eq!(store.open_entries(None, 9).await.unwrap()[0].attempts, 1);
}

/// There is nothing left to do for them.
pub async fn a_closed_or_unknown_entry_begins_no_turn<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    close_as(store, entry.id, Outcome::Refused, t(1), Vec::new()).await;
    for id in [entry.id, EntryId(entry.id.0 + 7)] {
        let begun = begin_with(store, id, t(2), Some(5)).await;
        assert!(matches!(begun, Err(BeginError::Closed)), "{begun:?}");
    }
}

/// Suspension between acceptance and the turn counts.
pub async fn a_suspended_tenant_begins_no_turn<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let stored = tenant_of(store, "1").await;
    store
        .update(stored.key, stored.version, suspend_tenant(&stored.tenant))
        .await
        .unwrap();
    let begun = begin_with(store, entry.id, t(2), Some(5)).await;
    assert!(matches!(begun, Err(BeginError::Suspended)), "{begun:?}");
    let open = store.open_entries(None, 9).await.unwrap();
    assert_eq!(open[0].attempts, 0);
    assert!(open[0].tenant.suspended);
}

/// Over entries too.
pub async fn fences_grow_with_every_turn_of_a_tenant<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let mut last = None;
    for key in ["a", "b", "c"] {
        let entry = accept_one(store, "1", key, t(0)).await;
        for _ in 0..2 {
            let fence = begin(store, entry.id, t(1)).await.fence;
            assert!(Some(fence) > last, "{fence:?} after {last:?}");
            last = Some(fence);
        }
        store
            .commit_turn(answer(entry.id, last.unwrap(), t(2)))
            .await
            .unwrap();
    }
}

/// The newest turn of an entry wins.
pub async fn an_older_turn_changes_nothing<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let old = begin(store, entry.id, t(1)).await;
    let new = begin(store, entry.id, t(2)).await;
    assert_eq!((old.attempt, new.attempt), (1, 2));
    is_stale(store, entry.id, old.fence).await;
    store
        .record_send(entry.id, new.fence, shown(0, "5"))
        .await
        .unwrap();
    store
        .commit_turn(answer(entry.id, new.fence, t(3)))
        .await
        .unwrap();
    assert_eq!(store.depths().await.unwrap().inbox_open, 0);
}

/// A turn ends once.
pub async fn an_ended_turn_changes_nothing_more<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    store
        .commit_turn(answer(entry.id, grant.fence, t(2)))
        .await
        .unwrap();
    is_stale(store, entry.id, grant.fence).await;
    let open = accept_one(store, "1", "b", t(3)).await;
    let grant = begin(store, open.id, t(4)).await;
    store.release(open.id, grant.fence, t(5)).await.unwrap();
    is_stale(store, open.id, grant.fence).await;
    assert_eq!(store.depths().await.unwrap().inbox_open, 1);
}

/// A turn cannot end its neighbour.
pub async fn a_fence_is_good_for_its_own_entry_only<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let own = accept_one(store, "1", "a", t(0)).await;
    let other = accept_one(store, "1", "b", t(0)).await;
    let stranger = accept_one(store, "2", "c", t(0)).await;
    let grant = begin(store, own.id, t(1)).await;
    is_stale(store, other.id, grant.fence).await;
    is_stale(store, stranger.id, grant.fence).await;
    is_stale(store, own.id, Fence(grant.fence.0 + 1)).await;
    store
        .commit_turn(answer(own.id, grant.fence, t(2)))
        .await
        .unwrap();
}

/// What a shutdown does.
pub async fn a_released_turn_is_not_counted_and_can_begin_again<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let entry = accept_one(under_test.store(), "1", "a", t(0)).await;
    for _ in 0..5 {
        let grant = begin(under_test.store(), entry.id, t(1)).await;
        assert_eq!(grant.attempt, 1);
        under_test
            .store()
            .release(entry.id, grant.fence, t(2))
            .await
            .unwrap();
    }
    let under_test = under_test.crash().await;
    let expected = Recovery {
        open_entries: 1,
        ..Recovery::default()
    };
    assert_eq!(under_test.store().recovery(), expected);
    let grant = begin(under_test.store(), entry.id, t(3)).await;
    assert_eq!((grant.attempt, grant.opened), (1, false));
}

/// A poison message comes to an end.
pub async fn a_crashed_turn_stays_counted_until_there_were_too_many<U: StoreUnderTest>() {
    let mut under_test = U::fresh().await;
    let entry = accept_one(under_test.store(), "1", "a", t(0)).await;
    for attempt in 1..=3 {
        assert_eq!(begin(under_test.store(), entry.id, t(1)).await.attempt, attempt);
        under_test = under_test.crash().await;
        assert_eq!(under_test.store().recovery().interrupted_turns, 1);
    }
    let store = under_test.store();
    let begun = begin_with(store, entry.id, t(2), Some(9)).await;
    assert!(
        matches!(begun, Err(BeginError::TooManyAttempts { attempts: 3 })),
        "{begun:?}"
    );
    assert_eq!(store.open_entries(None, 9).await.unwrap()[0].attempts, 3);
    let told = close_as(
        store,
        entry.id,
        Outcome::DeadLettered,
        t(3),
        vec![part(0, "sorry")],
    )
    .await;
    assert_eq!(told.map(|parts| parts.len()), Some(1));
}

/// I-18: what the request cost is charged, the rest is free again.
pub async fn a_crash_settles_reservations_at_the_input_estimate<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let entry = accept_one(under_test.store(), "1", "a", t(0)).await;
    begin_with(under_test.store(), entry.id, t(1), Some(40))
        .await
        .unwrap();
    assert_eq!(used(under_test.store()).await, None);
    let under_test = under_test.crash().await;
    let expected = Recovery {
        open_entries: 1,
        interrupted_turns: 1,
        settled_reservations: 1,
    };
    assert_eq!(under_test.store().recovery(), expected);
    let charged = AccountUsage {
        account: "budget".into(),
        window_started_at: t(0),
        used: 40,
        settled: 1,
    };
    assert_eq!(under_test.store().usage("budget").await.unwrap(), Some(charged));
    let under_test = under_test.crash().await;
    assert_eq!(used(under_test.store()).await, Some(40), "once");
    assert_eq!(under_test.store().recovery().settled_reservations, 0);
}

/// A window that was reset or replaced meanwhile is not the crashed turn's.
pub async fn a_crash_is_charged_to_the_window_of_its_reservation<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    begin_with(store, entry.id, t(1), Some(40)).await.unwrap();
    let newer = UsageDelta {
        account: "budget".into(),
        window_started_at: t(90_000),
        tokens: 5,
        settled: 1,
    };
    store.add_usage(vec![newer], Vec::new()).await.unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(used(under_test.store()).await, Some(5));
}

/// What all free tenants share is charged with the tenant's own.
pub async fn a_crash_is_charged_to_the_shared_budget_too<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let begin = BeginTurn {
        entry: entry.id,
        now: t(1),
        session_ttl: TTL,
        reservation: Some(ReservationRecord {
            account: "budget".into(),
            tokens: 1_000,
            input_estimate: 40,
            window_started_at: t(0),
            shared: Some(("shared".into(), t(-9))),
            if_lost: lost(40),
        }),
        max_attempts: 3,
    };
    store.begin_turn(begin).await.unwrap();
    let under_test = under_test.crash().await;
    let shared = under_test.store().usage("shared").await.unwrap().unwrap();
    assert_eq!(
        (shared.window_started_at, shared.used, shared.settled),
        (t(-9), 40, 1)
    );
    assert_eq!(used(under_test.store()).await, Some(40));
}

/// A turn of the process before cannot write in this one.
pub async fn a_crash_keeps_fences_growing<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let entry = accept_one(under_test.store(), "1", "a", t(0)).await;
    let before = begin(under_test.store(), entry.id, t(1)).await;
    let under_test = under_test.crash().await;
    is_stale(under_test.store(), entry.id, before.fence).await;
    let after = begin(under_test.store(), entry.id, t(2)).await;
    assert!(after.fence > before.fence);
    assert_eq!(
        (after.opened, after.session.generation),
        (false, 1),
        "the session went on"
    );
    is_stale(under_test.store(), entry.id, before.fence).await;
}

/// I-13: a repaired turn edits.
pub async fn a_crash_keeps_what_was_shown<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    for part in [shown(1, "11"), shown(0, "10"), shown(1, "12")] {
        store.record_send(entry.id, grant.fence, part).await.unwrap();
    }
    let under_test = under_test.crash().await;
    let open = under_test.store().open_entries(None, 9).await.unwrap();
    assert_eq!(open[0].shown, [shown(0, "10"), shown(1, "12")]);
}

/// No reservation without its turn.
pub async fn a_turn_that_is_taken_over_is_charged_its_estimate<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "a", t(0)).await;
    let second = accept_one(store, "1", "b", t(0)).await;
    begin_with(store, first.id, t(1), Some(7)).await.unwrap();
    begin_with(store, first.id, t(2), Some(20)).await.unwrap();
    assert_eq!(used(store).await, Some(7));
    let grant = begin_with(store, second.id, t(3), None).await.unwrap();
    assert_eq!(used(store).await, Some(27));
    assert_eq!(grant.session.state, SessionState::Processing);
    store
        .commit_turn(answer(second.id, grant.fence, t(4)))
        .await
        .unwrap();
    let open = store.open_entries(None, 9).await.unwrap();
    assert_eq!((open[0].id, open[0].attempts), (first.id, 2));
}

/// Giving back costs nothing.
pub async fn a_released_turn_is_charged_nothing<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin_with(store, entry.id, t(1), Some(40)).await.unwrap();
    store.release(entry.id, grant.fence, t(2)).await.unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(used(under_test.store()).await, None);
}

/// Usage takes the reservation's place.
pub async fn a_committed_turn_is_charged_what_it_cost_and_nothing_after_a_crash<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin_with(store, entry.id, t(1), Some(40)).await.unwrap();
    let cost = UsageDelta {
        account: "budget".into(),
        window_started_at: t(1),
        tokens: 55,
        settled: 1,
    };
    let end = CommitTurn {
        usage: vec![cost],
        ..answer(entry.id, grant.fence, t(2))
    };
    store.commit_turn(end).await.unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(used(under_test.store()).await, Some(55));
    assert_eq!(under_test.store().recovery(), Recovery::default());
}

/// Whoever closes has the last word.
pub async fn closing_takes_the_right_from_a_turn_left_running<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin_with(store, entry.id, t(1), Some(9)).await.unwrap();
    assert!(
        close_as(store, entry.id, Outcome::DeadLettered, t(2), Vec::new())
            .await
            .is_some()
    );
    is_stale(store, entry.id, grant.fence).await;
    assert_eq!(used(store).await, Some(9));
    let next = accept_one(store, "1", "b", t(3)).await;
    assert!(!begin(store, next.id, t(3)).await.opened);
}

/// `idle → active → processing → active`.
pub async fn a_session_goes_to_processing_and_back_to_active<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    commit(store, entry.id, t(10), "hello", 5).await.unwrap();
    let ended = store.start_over(entry.key, t(11)).await.unwrap().unwrap();
    assert_eq!(ended.state, SessionState::Expired);
    assert_eq!((ended.last_activity_at, ended.expires_at), (t(10), t(10) + TTL));
    assert_eq!(store.start_over(entry.key, t(12)).await.unwrap(), None);
}

/// Never revived.
pub async fn a_session_past_its_time_is_followed_by_the_next_generation<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    commit(store, entry.id, t(0), "hello", 5).await.unwrap();
    let on_time = accept_one(store, "1", "b", t(10)).await;
    let grant = begin(store, on_time.id, t(0) + TTL - Duration::from_millis(1)).await;
    assert_eq!((grant.session.generation, grant.opened), (1, false));
    store
        .commit_turn(answer(on_time.id, grant.fence, t(1_000)))
        .await
        .unwrap();
    let late = accept_one(store, "1", "c", t(9_000)).await;
    let after_end = grant.session.expires_at;
    let grant = begin(store, late.id, after_end).await;
    assert_eq!((grant.session.generation, grant.opened), (2, true));
    let ended = grant.ended.unwrap();
    assert_eq!((ended.generation, ended.state), (1, SessionState::Expired));
}

/// The generation lives with the tenant.
pub async fn generations_survive_the_deletion_of_sessions<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let fence = {
        let grant = begin(store, entry.id, t(0)).await;
        store
            .commit_turn(answer(entry.id, grant.fence, t(0)))
            .await
            .unwrap();
        grant.fence
    };
    let swept = store
        .sweep(Sweep {
            now: t(0) + TTL,
            closed_before: t(-1),
            history_before: t(-1),
            limit: 10,
        })
        .await
        .unwrap();
    assert_eq!(swept.sessions.len(), 1);
    assert_eq!(swept.sessions[0].state, SessionState::Expired);
    let next = accept_one(store, "1", "b", t(5_000)).await;
    let grant = begin(store, next.id, t(5_000)).await;
    assert_eq!(
        (grant.session.generation, grant.opened, grant.ended),
        (2, true, None)
    );
    assert!(grant.fence > fence);
}

/// A reinstated tenant starts a new session.
pub async fn suspending_ends_the_session_for_good<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "a", t(0)).await;
    let running = begin(store, first.id, t(1)).await;
    let stored = tenant_of(store, "1").await;
    let suspended = store
        .update(stored.key, stored.version, suspend_tenant(&stored.tenant))
        .await
        .unwrap()
        .unwrap();
    store
        .commit_turn(answer(first.id, running.fence, t(2)))
        .await
        .unwrap();
    let reinstated = openclaw_session::reinstate_tenant(&suspended.tenant);
    store
        .update(stored.key, suspended.version, reinstated)
        .await
        .unwrap()
        .unwrap();
    let second = accept_one(store, "1", "b", t(3)).await;
    let grant = begin(store, second.id, t(3)).await;
    assert_eq!(
        (grant.session.generation, grant.opened, grant.ended),
        (2, true, None)
    );
}

/// Nothing is taken that could not be kept.
pub async fn every_call_after_the_end_is_unavailable<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    store.shut_down().await;
    store.shut_down().await;
    fn refused<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
        assert!(
            matches!(result, Err(StoreError::Unavailable { .. })),
            "{result:?}"
        );
    }
    refused(&store.accept(vec![super::entry_from("1", "b", t(0))]).await);
    refused(&store.open_entries(None, 1).await);
    refused(&store.put_meta("k", "v").await);
    refused(
        &store
            .find(&super::bot(), &message_from("1", "b", "").tenant_id())
            .await,
    );
    refused(&store.writable());
    let begun = begin_with(store, entry.id, t(1), None).await;
    assert!(
        matches!(begun, Err(BeginError::Store(StoreError::Unavailable { .. }))),
        "{begun:?}"
    );
}
