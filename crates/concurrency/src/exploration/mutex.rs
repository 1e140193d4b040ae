//! [`SessionMutex`]: one holder, growing tokens, no lost wake-up, nothing left behind.

use super::explore;
use crate::error::AcquireError;
use crate::session_mutex::SessionMutex;
use crate::sync::between;
use futures::FutureExt;
use openclaw_core::testing::ManualClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);

/// What the lock protects: knows whether somebody is inside and the newest token it has seen.
#[derive(Default)]
struct Room {
    taken: AtomicBool,
    newest: AtomicU64,
}

impl Room {
    fn visit(&self, token: u64) {
        assert!(!self.taken.swap(true, Ordering::SeqCst), "two are inside");
        assert!(
            self.newest.fetch_max(token, Ordering::SeqCst) < token,
            "a token did not grow"
        );
        between();
        self.taken.store(false, Ordering::SeqCst);
    }
}

#[test]
fn one_holder_at_a_time_and_everybody_gets_it() {
    explore(|| {
        let mutex = SessionMutex::new(ManualClock::new(), LIFE);
        let room = Arc::new(Room::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (mutex, room) = (mutex.clone(), Arc::clone(&room));
                shuttle::thread::spawn(move || {
                    shuttle::future::block_on(async {
                        for _ in 0..2 {
                            let guard = mutex.acquire("s", PATIENCE).await.expect("in time");
                            room.visit(guard.token());
                            assert!(guard.release(), "it was held until here");
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(mutex.is_empty(), "nothing stays of an idle session");
    });
}

#[test]
fn who_leaves_the_line_in_the_moment_of_the_grant_passes_it_on() {
    explore(|| {
        let mutex = SessionMutex::new(ManualClock::new(), LIFE);
        let room = Arc::new(Room::default());
        let held = mutex
            .acquire("s", PATIENCE)
            .now_or_never()
            .expect("free")
            .expect("free");
        let fickle = mutex.clone();
        let leaves = shuttle::thread::spawn(move || {
            let mut asking = Box::pin(fickle.acquire("s", PATIENCE));
            let granted = (&mut asking).now_or_never();
            between();
            drop(asking);
            drop(granted);
        });
        let (patient, own) = (mutex.clone(), Arc::clone(&room));
        let waits = shuttle::thread::spawn(move || {
            let guard = shuttle::future::block_on(patient.acquire("s", PATIENCE)).expect("in time");
            own.visit(guard.token());
        });
        room.visit(held.token());
        drop(held);
        leaves.join().expect("no panic");
        waits.join().expect("no panic");
        assert!(mutex.is_empty());
    });
}

#[test]
fn a_holder_past_its_time_never_releases_the_next_ones_lock() {
    explore(|| {
        let clock = ManualClock::new();
        let mutex = SessionMutex::new(clock.clone(), LIFE);
        let stale = mutex
            .acquire("s", PATIENCE)
            .now_or_never()
            .expect("free")
            .expect("free");
        let old = stale.token();
        let next = mutex.clone();
        let waits = shuttle::thread::spawn(move || {
            let guard = shuttle::future::block_on(next.acquire("s", LIFE * 2)).expect("in time");
            assert!(guard.token() > old);
            between();
            assert!(guard.release(), "somebody else released it");
        });
        let time = shuttle::thread::spawn(move || clock.advance(LIFE));
        between();
        drop(stale);
        time.join().expect("no panic");
        waits.join().expect("no panic");
        assert!(mutex.is_empty());
    });
}

#[test]
fn a_timeout_in_the_moment_of_the_grant_is_one_or_the_other() {
    explore(|| {
        let clock = ManualClock::new();
        let mutex = SessionMutex::new(clock.clone(), LIFE);
        let held = mutex
            .acquire("s", PATIENCE)
            .now_or_never()
            .expect("free")
            .expect("free");
        let impatient = mutex.clone();
        let waits = shuttle::thread::spawn(move || {
            match shuttle::future::block_on(impatient.acquire("s", PATIENCE)) {
                Ok(guard) => assert!(guard.release()),
                Err(error) => {
                    assert!(matches!(error, AcquireError::Timeout { waited } if waited >= PATIENCE))
                }
            }
        });
        let time = shuttle::thread::spawn(move || clock.advance(PATIENCE));
        between();
        drop(held);
        time.join().expect("no panic");
        waits.join().expect("no panic");
        assert!(mutex.is_empty(), "neither holder nor waiter is left");
    });
}
