//! A session's lock, taken and given back with nobody else there, and handed over to the one that waits; with so many
//! other sessions held.
//!
//! The peer is a map of tokio's mutexes, as one would write it: it has no time to live, no tokens, and forgets nothing.

use crate::{Case, sizes};
use futures::FutureExt;
use openclaw_concurrency::SessionMutex;
use openclaw_core::Clock;
use openclaw_core::testing::ManualClock;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in sizes(SIZES) {
        cases.push(Case::new(
            format!("session_mutex_uncontended/{size}"),
            move || {
                let (locks, _others) = held(size);
                move || {
                    black_box(&_others);
                    let guard = locks.acquire("telegram:1:-1", Duration::ZERO).now_or_never();
                    drop(black_box(guard));
                }
            },
        ));
        cases.push(Case::new(format!("session_mutex_hand_over/{size}"), move || {
            let (locks, _others) = held(size);
            move || {
                black_box(&_others);
                let first = locks.acquire("telegram:1:-1", PATIENCE).now_or_never();
                let mut second = pin!(locks.acquire("telegram:1:-1", PATIENCE));
                assert!(poll(second.as_mut()).is_pending());
                drop(first);
                drop(black_box(poll(second)));
            }
        }));
        cases.push(Case::new(format!("session_mutex_peer_tokio/{size}"), move || {
            let locks = peer(size);
            move || {
                let lock = entry(&locks, "telegram:1:-1");
                drop(black_box(lock.try_lock_owned()));
            }
        }));
        cases.push(Case::new(
            format!("session_mutex_peer_tokio_hand_over/{size}"),
            move || {
                let locks = peer(size);
                move || {
                    let first = entry(&locks, "telegram:1:-1").lock_owned().now_or_never();
                    let mut second = pin!(entry(&locks, "telegram:1:-1").lock_owned());
                    assert!(poll(second.as_mut()).is_pending());
                    drop(first);
                    drop(black_box(poll(second)));
                }
            },
        ));
    }
    cases
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Locks of which so many are held.
fn held(size: usize) -> (SessionMutex, impl Sized) {
    let locks = SessionMutex::new(ManualClock::new() as Arc<dyn Clock>, Duration::from_secs(600));
    let others: Vec<_> = (0..size)
        .map(|n| {
            let name = format!("telegram:{n}:{n}");
            locks.acquire(&name, Duration::ZERO).now_or_never()
        })
        .collect();
    (locks, others)
}

type Peer = Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>;

fn peer(size: usize) -> Peer {
    let names = (0..size).map(|n| Arc::from(format!("telegram:{n}:{n}")));
    Mutex::new(names.map(|name| (name, Arc::default())).collect())
}

fn entry(locks: &Peer, session: &str) -> Arc<tokio::sync::Mutex<()>> {
    let mut locks = locks.lock();
    if let Some(lock) = locks.get(session) {
        return Arc::clone(lock);
    }
    let lock = Arc::default();
    locks.insert(Arc::from(session), Arc::clone(&lock));
    lock
}
