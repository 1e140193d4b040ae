//! What the pool needs from outside: something that runs workers, and locks that several instances may share.

use crate::error::{AcquireError, SpawnError};
use crate::lifecycle::WorkerId;
use crate::session_mutex::HeldLock;
use crate::work::{Assignment, RunId};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Runs workers. Implemented by tasks in this process and by child processes.
///
/// The pool decides which worker does what; the runtime only carries it out. No method blocks. A runtime reports
/// through the [`WorkerLink`] it was given, from any thread, but never from inside [`WorkerRuntime::spawn`]: the pool
/// is locked then.
pub trait WorkerRuntime<R, T>: Send + Sync + fmt::Debug {
    /// Starts a worker and returns its handle at once. A worker that takes time to come up keeps what it is handed
    /// meanwhile, and beats its heart; one that fails to come up reports [`WorkerExit`].
    ///
    /// # Errors
    ///
    /// When it is known at once that no worker can be started. The pool waits a while and tries again.
    fn spawn(&self, link: WorkerLink<T>) -> Result<Arc<dyn WorkerHandle<R>>, SpawnError>;

    /// Runs the pool's housekeeping to its end, where no worker can keep it from running. Called once per pool.
    ///
    /// # Errors
    ///
    /// When it cannot be run; the pool is then not made.
    fn keep_house(&self, housekeeping: BoxFuture<'static, ()>) -> Result<(), SpawnError>;

    /// Threads or processes that were killed and are not gone, because they cannot be ended from outside.
    fn abandoned(&self) -> usize {
        0
    }
}

/// One worker, as the pool holds it.
pub trait WorkerHandle<R>: Send + Sync + fmt::Debug {
    /// Begins a request. The pool hands over one at a time; the worker ends it with [`WorkerLink::finished`] or by
    /// [`WorkerLink::exited`]. A worker that is gone says so again with `exited`.
    ///
    /// While it runs, the worker beats at the link's interval, from the very place the work is done, so that work
    /// which blocks stops the beats.
    fn run(&self, assignment: Assignment<R>);

    /// Lets a worker without a request end. Needs no report.
    fn retire(&self);

    /// Ends the worker whatever it does. The pool has given up on its results already and reads none. Reports
    /// `exited` when the worker is really gone. Calling it again changes nothing.
    fn kill(&self);

    /// Memory in use.
    fn memory(&self) -> MemoryInUse;
}

/// What is known of a worker's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MemoryInUse {
    /// Megabytes resident.
    Megabytes(u64),
    /// The worker shares its memory with the server, and its part cannot be told.
    Shared,
    /// It could not be read.
    Unreadable,
}

/// Why a worker is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// It was killed or retired.
    Ended,
    /// It panicked, exited by itself or spoke garbage.
    Crashed {
        /// What is known of the cause, for the log.
        reason: String,
    },
    /// It used more memory than it may.
    OutOfMemory,
}

/// What the pool hears from workers. Reports of workers it no longer knows, and results of runs it has given up on,
/// change nothing.
pub trait WorkerReports<T>: Send + Sync {
    /// A sign of life.
    fn heartbeat(&self, worker: WorkerId);

    /// The run ended with an answer.
    fn finished(&self, worker: WorkerId, run: RunId, answer: T);

    /// The worker is gone, and its request with it.
    fn exited(&self, worker: WorkerId, exit: WorkerExit);
}

/// A worker's line to its pool. Cheap to clone.
pub struct WorkerLink<T> {
    worker: WorkerId,
    heartbeat_interval: Duration,
    memory_limit_mb: u64,
    reports: Arc<dyn WorkerReports<T>>,
}

/// Session locks that several instances may share. Implemented in process by [`SessionMutex`](crate::SessionMutex) and by lock stores.
///
/// One holder per session, waiters in the order they came, each acquisition with a fencing token larger than every
/// one before it. Dropping the returned future takes the caller out of the line; a lock that was granted in that very
/// moment is passed on.
#[async_trait]
pub trait SessionLocks: Send + Sync + fmt::Debug {
    /// Waits at most `timeout` for the session's lock.
    ///
    /// # Errors
    ///
    /// When the time is up, too many wait already, or the store does not answer; the caller then holds nothing.
    async fn acquire(&self, session: &str, timeout: Duration) -> Result<SessionGuard, AcquireError>;

    /// Whether somebody holds the session's lock now.
    async fn is_locked(&self, session: &str) -> Result<bool, AcquireError>;
}

/// A held session lock. Dropping it releases the lock, unless its time to live has passed and somebody else holds it.
pub struct SessionGuard {
    token: u64,
    /// `None` once it is released.
    release: Option<Release>,
}

enum Release {
    /// By whoever made the guard.
    By(Box<dyn FnOnce(u64) -> bool + Send + Sync>),
    /// By this process's own locks, whose guards need no memory of their own.
    Process(HeldLock),
}

// === impl WorkerLink ===

impl<T> WorkerLink<T> {
    /// A line for `worker` that ends in `reports`.
    pub fn new(
        worker: WorkerId,
        heartbeat_interval: Duration,
        memory_limit_mb: u64,
        reports: Arc<dyn WorkerReports<T>>,
    ) -> Self {
        Self {
            worker,
            heartbeat_interval,
            memory_limit_mb,
            reports,
        }
    }

    /// Whose line it is.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The time between two heartbeats of a worker at work.
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat_interval
    }

    /// Megabytes the worker may use, for runtimes that can set a hard limit.
    pub fn memory_limit_mb(&self) -> u64 {
        self.memory_limit_mb
    }

    /// Gives a sign of life.
    pub fn heartbeat(&self) {
        self.reports.heartbeat(self.worker);
    }

    /// Ends a run with its answer.
    pub fn finished(&self, run: RunId, answer: T) {
        self.reports.finished(self.worker, run, answer);
    }

    /// Says that the worker is gone.
    pub fn exited(&self, exit: WorkerExit) {
        self.reports.exited(self.worker, exit);
    }
}

impl<T> Clone for WorkerLink<T> {
    fn clone(&self) -> Self {
        Self {
            worker: self.worker,
            heartbeat_interval: self.heartbeat_interval,
            memory_limit_mb: self.memory_limit_mb,
            reports: Arc::clone(&self.reports),
        }
    }
}

impl<T> fmt::Debug for WorkerLink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerLink")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

// === impl SessionGuard ===

impl SessionGuard {
    /// A guard for the acquisition `token`; `release` is called once, with the token, and says whether the lock was
    /// still held under it.
    pub fn new(token: u64, release: impl FnOnce(u64) -> bool + Send + Sync + 'static) -> Self {
        Self {
            token,
            release: Some(Release::By(Box::new(release))),
        }
    }

    pub(crate) fn of_process(token: u64, held: HeldLock) -> Self {
        Self {
            token,
            release: Some(Release::Process(held)),
        }
    }

    /// The fencing token: what is written under an older token than the newest seen is refused.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Releases the lock. `false` when it had already passed to nobody or somebody else.
    pub fn release(mut self) -> bool {
        self.let_go()
    }

    fn let_go(&mut self) -> bool {
        match self.release.take() {
            Some(Release::Process(held)) => held.release(self.token),
            Some(Release::By(release)) => release(self.token),
            None => false,
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for SessionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionGuard")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
