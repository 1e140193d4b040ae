//! One holder at a time, in the order they came, nothing left behind.

use crate::support::CountWakes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_concurrency::{AcquireError, SessionGuard, SessionLocks, SessionMutex};
use openclaw_core::testing::ManualClock;
use proptest::prelude::*;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);

type Acquiring = BoxFuture<'static, Result<SessionGuard, AcquireError>>;

fn mutex() -> (Arc<ManualClock>, SessionMutex) {
    let clock = ManualClock::new();
    (clock.clone(), SessionMutex::new(clock, LIFE))
}

/// Asks for the lock and takes a place in line.
fn ask(mutex: &SessionMutex, session: &'static str, timeout: Duration) -> Acquiring {
    let mutex = mutex.clone();
    let mut asking: Acquiring = async move { mutex.acquire(session, timeout).await }.boxed();
    match (&mut asking).now_or_never() {
        Some(ended) => futures::future::ready(ended).boxed(),
        None => asking,
    }
}

#[track_caller]
fn got(asking: &mut Acquiring) -> SessionGuard {
    asking.now_or_never().expect("it has ended").expect("it was got")
}

#[test]
fn one_holder_at_a_time_and_waiters_in_the_order_they_came() {
    let (_clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    assert!(mutex.is_locked("s"));
    let (mut second, mut third) = (ask(&mutex, "s", PATIENCE), ask(&mutex, "s", PATIENCE));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert!((&mut third).now_or_never().is_none());
    let second = got(&mut second);
    assert!((&mut third).now_or_never().is_none());
    assert!(second.release());
    drop(got(&mut third));
    assert!(!mutex.is_locked("s"));
    assert!(mutex.is_empty(), "nothing stays of an idle session");
}

#[tokio::test]
async fn the_port_says_what_the_mutex_does() {
    let (_clock, mutex) = mutex();
    let locks: Arc<dyn SessionLocks> = Arc::new(mutex.clone());
    assert_eq!(locks.is_locked("s").await, Ok(false));
    let guard = locks.acquire("s", PATIENCE).await.expect("free");
    assert_eq!(locks.is_locked("s").await, Ok(true));
    assert_eq!(
        format!("{guard:?}"),
        format!("SessionGuard {{ token: {}, .. }}", guard.token())
    );
    assert_eq!(format!("{mutex:?}"), "SessionMutex { sessions: 1, .. }");
    let refused = locks.acquire("s", Duration::ZERO).await.expect_err("it is held");
    assert_eq!(
        refused,
        AcquireError::Timeout {
            waited: Duration::ZERO
        }
    );
    assert!(guard.release());
    assert_eq!(locks.is_locked("s").await, Ok(false));
}

#[test]
fn sessions_do_not_know_of_each_other() {
    let (_clock, mutex) = mutex();
    let _one = got(&mut ask(&mutex, "s", PATIENCE));
    let _other = got(&mut ask(&mutex, "t", PATIENCE));
    assert_eq!(mutex.len(), 2);
    assert!(!mutex.is_empty());
}

#[test]
fn waiting_ends_with_the_timeout() {
    let (clock, mutex) = mutex();
    let _held = got(&mut ask(&mutex, "s", PATIENCE));
    let mut waiting = ask(&mutex, "s", PATIENCE);
    clock.advance(PATIENCE - Duration::from_millis(1));
    assert!((&mut waiting).now_or_never().is_none());
    clock.advance(Duration::from_millis(1));
    let error = (&mut waiting)
        .now_or_never()
        .expect("it has ended")
        .expect_err("it is held");
    assert_eq!(error, AcquireError::Timeout { waited: PATIENCE });
    let mut hasty = ask(&mutex, "s", Duration::ZERO);
    assert!(matches!(
        (&mut hasty).now_or_never(),
        Some(Err(AcquireError::Timeout { .. }))
    ));
}

#[test]
fn a_holder_that_outlives_its_time_loses_the_lock_and_cannot_release_the_next_ones() {
    let (clock, mutex) = mutex();
    let stale = got(&mut ask(&mutex, "s", PATIENCE));
    let mut waiting = ask(&mutex, "s", LIFE * 2);
    clock.advance(LIFE);
    let fresh = got(&mut waiting);
    assert!(fresh.token() > stale.token());
    assert!(!stale.release(), "it is somebody else's");
    assert!(mutex.is_locked("s"));
    assert!(fresh.release());
    assert!(mutex.is_empty());
}

#[test]
fn an_outlived_lock_nobody_waited_for_is_free() {
    let (clock, mutex) = mutex();
    let stale = got(&mut ask(&mutex, "s", PATIENCE));
    clock.advance(LIFE);
    assert!(!mutex.is_locked("s"));
    let fresh = got(&mut ask(&mutex, "s", Duration::ZERO));
    drop(stale);
    assert!(mutex.is_locked("s"));
    drop(fresh);
    assert!(mutex.is_empty());
}

#[test]
fn a_lock_granted_to_a_sleeper_lives_from_when_it_wakes() {
    let (clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    let mut second = ask(&mutex, "s", LIFE * 3);
    drop(first);
    clock.advance(LIFE);
    let second = got(&mut second);
    assert!(mutex.is_locked("s"), "its time began when it came to know");
    assert!(second.release());
}

#[test]
fn a_lock_just_granted_is_not_free_for_who_asks_next() {
    let (_clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    let mut second = ask(&mutex, "s", PATIENCE);
    drop(first);
    let mut third = ask(&mutex, "s", PATIENCE);
    assert!(
        (&mut third).now_or_never().is_none(),
        "the second has it and has not looked yet"
    );
    drop(got(&mut second));
    drop(got(&mut third));
}

#[test]
fn a_lock_granted_to_a_sleeper_that_sleeps_on_goes_to_who_asks_next() {
    let (clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    let mut second = ask(&mutex, "s", LIFE * 3);
    drop(first);
    clock.advance(LIFE);
    let third = got(&mut ask(&mutex, "s", PATIENCE));
    assert!(
        (&mut second).now_or_never().is_none(),
        "it is held by somebody else"
    );
    let newest = third.token();
    assert!(third.release());
    let second = got(&mut second);
    assert!(second.token() > newest);
    drop(second);
    assert!(mutex.is_empty());
}

#[test]
fn who_is_next_is_woken_once_and_by_the_waker_of_its_last_look() {
    let (_clock, mutex) = mutex();
    let held = got(&mut ask(&mutex, "s", PATIENCE));
    let (mut second, mut third) = (ask(&mutex, "s", PATIENCE), ask(&mutex, "s", PATIENCE));
    let look = |asking: &mut Acquiring| {
        let woken = Arc::new(CountWakes::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(asking.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        woken
    };
    let (earlier, last, behind) = (look(&mut second), look(&mut second), look(&mut third));
    assert!(held.release());
    let counts = || (earlier.count(), last.count(), behind.count());
    assert_eq!(counts(), (0, 1, 0));
    // It leaves without a look: the lock is the next one's.
    drop(second);
    assert_eq!(counts(), (0, 1, 1));
    drop(got(&mut third));
}

#[test]
fn a_sleeper_that_finds_its_lock_lost_and_the_session_free_has_left_its_place() {
    let (clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    let mut sleeper = ask(&mutex, "s", LIFE * 3);
    drop(first);
    clock.advance(LIFE);
    drop(got(&mut ask(&mutex, "s", PATIENCE)));
    assert!(mutex.is_empty());
    let held = got(&mut sleeper);
    drop(sleeper);
    // Each of these has a place of its own.
    let (mut second, mut third) = (ask(&mutex, "s", PATIENCE), ask(&mutex, "s", PATIENCE));
    drop(held);
    assert!((&mut third).now_or_never().is_none());
    drop(got(&mut second));
    drop(got(&mut third));
    assert!(mutex.is_empty());
}

#[test]
fn who_stops_waiting_leaves_the_line_and_passes_on_a_lock_just_granted() {
    let (_clock, mutex) = mutex();
    let first = got(&mut ask(&mutex, "s", PATIENCE));
    let (second, third) = (ask(&mutex, "s", PATIENCE), ask(&mutex, "s", PATIENCE));
    let mut fourth = ask(&mutex, "s", PATIENCE);
    drop(second);
    // Granted to the third, which goes before it looks.
    drop(first);
    drop(third);
    drop(got(&mut fourth));
    assert!(mutex.is_empty());
}

#[test]
fn the_line_of_one_session_is_bounded() {
    let (_clock, mutex) = mutex();
    let held = got(&mut ask(&mutex, "s", PATIENCE));
    let waiting: Vec<Acquiring> = (0..SessionMutex::MAX_WAITERS)
        .map(|_| ask(&mutex, "s", PATIENCE))
        .collect();
    let limit = SessionMutex::MAX_WAITERS;
    let refused = ask(&mutex, "s", PATIENCE)
        .now_or_never()
        .expect("at once")
        .expect_err("full");
    assert_eq!(refused, AcquireError::TooManyWaiters { limit });
    drop(waiting);
    drop(held);
    assert!(mutex.is_empty());
}

#[test]
fn who_leaves_a_full_line_or_is_served_makes_room_for_one() {
    let (_clock, mutex) = mutex();
    let held = got(&mut ask(&mutex, "s", PATIENCE));
    let mut line: Vec<Acquiring> = (0..SessionMutex::MAX_WAITERS)
        .map(|_| ask(&mutex, "s", PATIENCE))
        .collect();
    let one_fits = |line: &mut Vec<Acquiring>| {
        line.push(ask(&mutex, "s", PATIENCE));
        let last = line.last_mut().expect("just put there");
        assert!(last.now_or_never().is_none(), "there is room");
        let next = ask(&mutex, "s", PATIENCE).now_or_never().expect("at once");
        assert!(matches!(next, Err(AcquireError::TooManyWaiters { .. })));
    };
    drop(line.remove(7));
    one_fits(&mut line);
    drop(held);
    let served = got(&mut line.remove(0));
    one_fits(&mut line);
    drop(served);
}

proptest! {
    #[test]
    fn never_two_holders_and_tokens_only_grow(ops in proptest::collection::vec((0_u8..5, 0_usize..8), 1..120)) {
        let clock = ManualClock::new();
        let mutex = SessionMutex::new(clock.clone(), Duration::from_secs(1_000));
        let mut asking: Vec<Acquiring> = Vec::new();
        let mut held: Vec<SessionGuard> = Vec::new();
        let mut newest = 0;
        for (op, which) in ops {
            match op {
                0 | 1 => asking.push(ask(&mutex, "s", PATIENCE)),
                2 if which < held.len() => drop(held.remove(which)),
                3 if which < asking.len() => drop(asking.remove(which)),
                4 => clock.advance(Duration::from_secs(1)),
                _ => {}
            }
            let mut index = 0;
            while index < asking.len() {
                match (&mut asking[index]).now_or_never() {
                    None => index += 1,
                    Some(ended) => {
                        drop(asking.remove(index));
                        if let Ok(guard) = ended {
                            prop_assert!(held.is_empty(), "two hold it");
                            prop_assert!(guard.token() > newest);
                            newest = guard.token();
                            held.push(guard);
                        }
                    }
                }
            }
            // Nobody lives past the time of a lock here, so that waiting for a free one is a lost wake-up.
            prop_assert!(!held.is_empty() || asking.is_empty());
            prop_assert_eq!(mutex.is_locked("s"), !held.is_empty());
        }
        drop(asking);
        drop(held);
        prop_assert!(mutex.is_empty());
    }
}
