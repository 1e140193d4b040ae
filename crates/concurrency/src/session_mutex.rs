//! One holder per session at a time, in this process.
//!
//! Nobody runs a timer for it: the waiters of a session watch their holder's time to live themselves, and without
//! waiters nobody cares. A session that is neither held nor waited for leaves nothing behind.

mod locks;
mod name;

use self::locks::{Entered, Held, Locks, Place, Seen};
use crate::error::AcquireError;
use crate::ports::{SessionGuard, SessionLocks};
use crate::sync::Mutex;
use async_trait::async_trait;
use futures::future::BoxFuture;
use openclaw_core::{Clock, Monotonic};
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Session locks of one process. Cheap to clone; clones share the locks.
#[derive(Clone)]
pub struct SessionMutex {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    /// Keyed by chance: the names come from outside.
    hasher: RandomState,
    /// Guards the locks; held for a few operations on tables, never across an await or a waker.
    locks: Mutex<Locks>,
}

/// What a guard of this process's locks gives back.
pub(crate) struct HeldLock {
    shared: Arc<Shared>,
    lock: u32,
}

/// A caller in line; leaving it by any way gives up the place, or passes on the lock granted in that moment.
struct Waiter<'a> {
    shared: &'a Shared,
    session: &'a str,
    place: Option<Place>,
    asked_at: Monotonic,
    timeout: Duration,
    /// Wakes at the deadline, or when the holder's time is over if that is earlier.
    timer: Option<BoxFuture<'static, ()>>,
}

// === impl SessionMutex ===

impl SessionMutex {
    /// The most callers that may wait for one session.
    pub const MAX_WAITERS: usize = 1024;

    /// Locks whose holder loses them after `time_to_live`.
    pub fn new(clock: Arc<dyn Clock>, time_to_live: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                hasher: RandomState::new(),
                locks: Mutex::new(Locks::new(time_to_live)),
            }),
        }
    }

    /// Waits at most `timeout` for the session's lock. With a `timeout` of zero it is got at once or not at all.
    ///
    /// Dropping the future leaves the line.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Timeout`] and [`AcquireError::TooManyWaiters`].
    pub async fn acquire(&self, session: &str, timeout: Duration) -> Result<SessionGuard, AcquireError> {
        let held = match self.shared.enter(session)? {
            Entered::Granted(held) => held,
            Entered::InLine(place, asked_at) => {
                let mut waiter = Waiter {
                    shared: &self.shared,
                    session,
                    place: Some(place),
                    asked_at,
                    timeout,
                    timer: None,
                };
                poll_fn(|context| waiter.poll(context)).await?
            }
        };
        let own = HeldLock {
            shared: Arc::clone(&self.shared),
            lock: held.lock,
        };
        Ok(SessionGuard::of_process(held.token, own))
    }

    /// Whether somebody holds the session's lock now.
    pub fn is_locked(&self, session: &str) -> bool {
        let hash = self.shared.hash(session);
        let now = self.shared.clock.monotonic();
        let expires_at = self.shared.locks.lock().expires_at(session, hash);
        expires_at.is_some_and(|expires_at| now < expires_at)
    }

    /// Sessions that are held or waited for, those with a holder past its time included.
    pub fn len(&self) -> usize {
        self.shared.locks.lock().len()
    }

    /// Whether no session is held or waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for SessionMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMutex")
            .field("sessions", &self.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionLocks for SessionMutex {
    async fn acquire(&self, session: &str, timeout: Duration) -> Result<SessionGuard, AcquireError> {
        Self::acquire(self, session, timeout).await
    }

    async fn is_locked(&self, session: &str) -> Result<bool, AcquireError> {
        Ok(Self::is_locked(self, session))
    }
}

// === impl Shared ===

impl Shared {
    /// A name is hashed alone, so that it needs no end of its own as `str` has in composites.
    fn hash(&self, session: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(session.as_bytes());
        hasher.finish()
    }

    /// Takes the lock or a place in its line.
    fn enter(&self, session: &str) -> Result<Entered, AcquireError> {
        let hash = self.hash(session);
        let mut locks = self.locks.lock();
        // Read under the lock, so that nobody's time begins before that of the holder before it has ended.
        let now = self.clock.monotonic();
        locks.enter(session, hash, now)
    }
}

// === impl HeldLock ===

impl HeldLock {
    /// Releases the lock if it is still held under `token`, and passes it on.
    pub(crate) fn release(self, token: u64) -> bool {
        let shared = &*self.shared;
        let lock = self.lock;
        let (was_held, wakers) = shared
            .locks
            .lock()
            .release(Held { lock, token }, || shared.clock.monotonic());
        wakers.go();
        was_held
    }
}

// === impl Waiter ===

impl Waiter<'_> {
    /// Waits for the lock until the deadline.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Held, AcquireError>> {
        let deadline = self.asked_at + self.timeout;
        // The place is gone only after the end, which nobody asks again.
        while let Some(place) = &self.place {
            let mut locks = self.shared.locks.lock();
            let now = self.shared.clock.monotonic();
            let (seen, wakers) = locks.look(place, now, context.waker());
            drop(locks);
            wakers.go();
            match seen {
                Seen::Granted(held) => {
                    self.place = None;
                    return Poll::Ready(Ok(held));
                }
                // It was granted and its time passed before this caller came to know: the next one has it.
                Seen::Lost => {
                    self.place = None;
                    match self.shared.enter(self.session)? {
                        Entered::Granted(held) => return Poll::Ready(Ok(held)),
                        Entered::InLine(place, _) => self.place = Some(place),
                    }
                }
                // After the look: a lock that came with the last tick still counts.
                Seen::Held { .. } if now >= deadline => break,
                Seen::Held { expires_at } => {
                    let clock = &self.shared.clock;
                    let timer = self
                        .timer
                        .get_or_insert_with(|| clock.sleep_until(expires_at.min(deadline)));
                    ready!(timer.as_mut().poll(context));
                    self.timer = None;
                }
            }
        }
        let waited = self.shared.clock.monotonic().saturating_since(self.asked_at);
        Poll::Ready(Err(AcquireError::Timeout { waited }))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            let shared = self.shared;
            let wakers = shared.locks.lock().leave(place, || shared.clock.monotonic());
            wakers.go();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;
    use std::collections::HashSet;

    /// Or whoever chooses names could have them all meet in one place of the table.
    #[test]
    fn names_are_spread_and_in_each_mutex_otherwise() {
        let mut hashes = HashSet::new();
        for _ in 0..2 {
            let mutex = SessionMutex::new(ManualClock::new(), Duration::from_secs(60));
            hashes.extend((0..1_000).map(|n| mutex.shared.hash(&format!("session:{n}"))));
        }
        assert_eq!(hashes.len(), 2_000);
    }
}
