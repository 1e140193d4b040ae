//! One holder per session at a time, in this process.
//!
//! Nobody runs a timer for it: the waiters of a session watch their holder's time to live themselves, and without
//! waiters nobody cares. A session that is neither held nor waited for leaves nothing behind.

use crate::error::AcquireError;
use crate::ports::{SessionGuard, SessionLocks};
use crate::sync::Mutex;
use async_trait::async_trait;
use futures::channel::oneshot;
use futures::future::{Either, select};
use openclaw_core::{Clock, Monotonic};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Session locks of one process. Cheap to clone; clones share the locks.
#[derive(Clone)]
pub struct SessionMutex {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    time_to_live: Duration,
    /// Guards the locks; held for a few map operations, never across an await.
    locks: Mutex<Locks>,
}

#[derive(Default)]
struct Locks {
    sessions: HashMap<Arc<str>, Lock>,
    /// Grows with every acquisition and every wait, over all sessions, so that idle ones need no state.
    last_token: u64,
}

struct Lock {
    holder: u64,
    expires_at: Monotonic,
    /// By the order they came. What is sent is the token of the acquisition.
    waiters: BTreeMap<u64, oneshot::Sender<u64>>,
}

/// A caller in line; leaving it by any way gives up the place, or passes on the lock granted in that moment.
struct Waiter<'a> {
    shared: &'a Arc<Shared>,
    session: &'a Arc<str>,
    place: u64,
    granted: oneshot::Receiver<u64>,
    done: bool,
}

enum Attempt<'a> {
    Granted(u64),
    Waiting(Waiter<'a>),
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
                time_to_live,
                locks: Mutex::default(),
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
        let session: Arc<str> = Arc::from(session);
        let asked_at = self.shared.clock.monotonic();
        let deadline = asked_at + timeout;
        let token = loop {
            match Shared::enter(&self.shared, &session)? {
                Attempt::Granted(token) => break token,
                Attempt::Waiting(waiter) => match waiter.wait(deadline).await {
                    Some(token) if self.shared.confirm(&session, token) => break token,
                    // It was granted and its time passed before this caller came to know: the next one has it.
                    Some(_) => {}
                    None => {
                        let waited = self.shared.clock.monotonic().saturating_since(asked_at);
                        return Err(AcquireError::Timeout { waited });
                    }
                },
            }
        };
        let shared = Arc::clone(&self.shared);
        Ok(SessionGuard::new(token, move |token| {
            shared.release(&session, token)
        }))
    }

    /// Whether somebody holds the session's lock now.
    pub fn is_locked(&self, session: &str) -> bool {
        let now = self.shared.clock.monotonic();
        self.shared
            .locks
            .lock()
            .sessions
            .get(session)
            .is_some_and(|lock| now < lock.expires_at)
    }

    /// Sessions that are held or waited for, those with a holder past its time included.
    pub fn len(&self) -> usize {
        self.shared.locks.lock().sessions.len()
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
    /// Takes the lock when it is free and nobody waits, otherwise a place in line: one step.
    fn enter<'a>(shared: &'a Arc<Self>, session: &'a Arc<str>) -> Result<Attempt<'a>, AcquireError> {
        let now = shared.clock.monotonic();
        let mut locks = shared.locks.lock();
        locks.last_token = locks.last_token.saturating_add(1);
        let token = locks.last_token;
        let Some(lock) = locks.sessions.get_mut(session) else {
            let lock = Lock {
                holder: token,
                expires_at: now + shared.time_to_live,
                waiters: BTreeMap::new(),
            };
            locks.sessions.insert(Arc::clone(session), lock);
            return Ok(Attempt::Granted(token));
        };
        if now >= lock.expires_at && lock.waiters.is_empty() {
            lock.holder = token;
            lock.expires_at = now + shared.time_to_live;
            return Ok(Attempt::Granted(token));
        }
        if lock.waiters.len() >= SessionMutex::MAX_WAITERS {
            return Err(AcquireError::TooManyWaiters {
                limit: SessionMutex::MAX_WAITERS,
            });
        }
        let (grant, granted) = oneshot::channel();
        lock.waiters.insert(token, grant);
        Ok(Attempt::Waiting(Waiter {
            shared,
            session,
            place: token,
            granted,
            done: false,
        }))
    }

    /// Releases the lock if it is still held under `token`, and passes it on.
    fn release(&self, session: &str, token: u64) -> bool {
        let now = self.clock.monotonic();
        let mut locks = self.locks.lock();
        let held = locks
            .sessions
            .get(session)
            .is_some_and(|lock| lock.holder == token);
        if held {
            locks.pass_on(session, now, self.time_to_live);
        }
        held
    }

    /// Begins the time to live of a lock that was granted to a waiter anew, since only now the waiter knows. `false`
    /// when it has been lost meanwhile.
    fn confirm(&self, session: &str, token: u64) -> bool {
        let now = self.clock.monotonic();
        let mut locks = self.locks.lock();
        match locks.sessions.get_mut(session) {
            Some(lock) if lock.holder == token => {
                lock.expires_at = now + self.time_to_live;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Passes the lock on when its holder's time has passed, for the waiter in `place`. Says when the present holder's
    /// will; `None` when the waiter no longer stands in line, because the lock has been granted to it.
    fn expire(&self, session: &str, place: u64) -> Option<Monotonic> {
        let now = self.clock.monotonic();
        let mut locks = self.locks.lock();
        let lock = locks
            .sessions
            .get(session)
            .filter(|lock| lock.waiters.contains_key(&place))?;
        if now >= lock.expires_at {
            locks.pass_on(session, now, self.time_to_live);
        }
        locks.sessions.get(session).map(|lock| lock.expires_at)
    }
}

// === impl Locks ===

impl Locks {
    /// Gives the lock to the first waiter that is still there; forgets the session when there is none.
    fn pass_on(&mut self, session: &str, now: Monotonic, time_to_live: Duration) {
        let Some(lock) = self.sessions.get_mut(session) else {
            return;
        };
        while let Some((_, grant)) = lock.waiters.pop_first() {
            self.last_token = self.last_token.saturating_add(1);
            lock.holder = self.last_token;
            lock.expires_at = now + time_to_live;
            if grant.send(self.last_token).is_ok() {
                return;
            }
        }
        self.sessions.remove(session);
    }
}

// === impl Waiter ===

impl Waiter<'_> {
    /// Waits for the lock until `deadline`; `None` when it did not come.
    async fn wait(mut self, deadline: Monotonic) -> Option<u64> {
        loop {
            let expiry = self.shared.expire(self.session, self.place);
            let wake_at = expiry.map_or(deadline, |expiry| expiry.min(deadline));
            let timer = self.shared.clock.sleep_until(wake_at);
            match select(&mut self.granted, timer).await {
                Either::Left((granted, _)) => {
                    self.done = true;
                    return granted.ok();
                }
                Either::Right(((), _)) => {
                    if self.shared.clock.monotonic() >= deadline {
                        // Dropping the waiter leaves the line; a grant that came with the last tick still counts.
                        let granted = self.granted.try_recv().ok().flatten();
                        self.done = granted.is_some();
                        return granted;
                    }
                }
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let granted = {
            let mut locks = self.shared.locks.lock();
            if let Some(lock) = locks.sessions.get_mut(self.session) {
                lock.waiters.remove(&self.place);
            }
            // Grants are sent under the lock, so that none can come after this look.
            self.granted.try_recv().ok().flatten()
        };
        if let Some(token) = granted {
            self.shared.release(self.session, token);
        }
    }
}
