//! The threads workers run on, in generations: when every thread of one is held by code that does not yield, workers
//! that come next, and idle ones that were there, get a new generation. Earlier ones live until their last worker is
//! gone.

use openclaw_concurrency::SpawnError;
use openclaw_core::Monotonic;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

/// Where tasks of workers go.
#[derive(Debug)]
pub(crate) enum Threads {
    /// The caller's runtime, for all of them.
    Shared(Lent),
    Own {
        own: OwnThreads,
        /// The callers' runtime, for requests that only wait.
        lent: Option<Lent>,
    },
}

/// On whose threads a worker's task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Workers,
    Callers,
}

/// Threads that are somebody else's.
#[derive(Debug)]
pub(crate) struct Lent {
    handle: Handle,
    crew: Arc<Crew>,
}

#[derive(Debug)]
pub(crate) struct OwnThreads {
    per_generation: usize,
    max_abandoned: usize,
    /// Guards the list; held to look at a few counters and, rarely, to start threads.
    generations: Mutex<Vec<Generation>>,
    /// One thread that no worker runs on.
    house: Option<Runtime>,
}

struct Generation {
    runtime: Option<Runtime>,
    crew: Arc<Crew>,
}

/// What is counted of one generation.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    /// Threads held by killed workers.
    pub(crate) abandoned: AtomicUsize,
    /// Workers whose task is not gone yet.
    pub(crate) workers: AtomicUsize,
    /// Since when each thread has been running one task without a pause, in milliseconds after the origin and never
    /// [`FREE`] or [`LOST`]. Empty for threads that are somebody else's.
    threads: Box<[AtomicU64]>,
}

/// A thread between two tasks.
const FREE: u64 = 0;
/// A thread that runs a worker which was killed.
const LOST: u64 = u64::MAX;

/// No thread could be had.
#[derive(Debug, thiserror::Error)]
#[error("{held} threads are held by workers that do not yield; no more than {limit} may be")]
pub(crate) struct TooManyHeld {
    held: usize,
    limit: usize,
}

// === impl Threads ===

impl Threads {
    /// Starts a worker's task, at the moment `now`. A thread of the workers' that has not paused for longer than
    /// `patience` is not counted on.
    pub(crate) fn spawn<F>(
        &self,
        home: Home,
        now: Monotonic,
        patience: Duration,
        task: impl FnOnce(Arc<Crew>) -> F,
    ) -> Result<AbortHandle, SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match (self, home) {
            (Self::Shared(lent), _) | (Self::Own { lent: Some(lent), .. }, Home::Callers) => {
                Ok(lent.spawn(task))
            }
            (Self::Own { own, .. }, _) => own.spawn(now, patience, task),
        }
    }

    /// Runs a task where no worker's task can block it; on the shared runtime there is no such place.
    pub(crate) fn spawn_apart(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Shared(lent) => drop(lent.handle.spawn(task)),
            Self::Own { own, .. } => {
                if let Some(house) = &own.house {
                    house.spawn(task);
                }
            }
        }
    }

    pub(crate) fn abandoned(&self) -> usize {
        match self {
            Self::Shared(lent) => lent.abandoned(),
            Self::Own { own, lent } => own
                .abandoned()
                .saturating_add(lent.as_ref().map_or(0, Lent::abandoned)),
        }
    }
}

// === impl Lent ===

impl Lent {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            crew: Arc::default(),
        }
    }

    fn spawn<F>(&self, task: impl FnOnce(Arc<Crew>) -> F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handle.spawn(task(Arc::clone(&self.crew))).abort_handle()
    }

    fn abandoned(&self) -> usize {
        self.crew.abandoned.load(Ordering::Acquire)
    }
}

// === impl OwnThreads ===

impl OwnThreads {
    pub(crate) fn new(threads: usize, max_abandoned: usize) -> Result<Self, SpawnError> {
        let house = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("openclaw-house")
            .enable_time()
            .build()
            .map_err(SpawnError::new)?;
        let first = Generation::start(threads)?;
        Ok(Self {
            per_generation: threads,
            max_abandoned,
            generations: Mutex::new(vec![first]),
            house: Some(house),
        })
    }

    fn spawn<F>(
        &self,
        now: Monotonic,
        patience: Duration,
        task: impl FnOnce(Arc<Crew>) -> F,
    ) -> Result<AbortHandle, SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut generations = self.generations.lock();
        let open = |generation: &Generation| !generation.crew.is_held(now, patience);
        if !generations.iter().any(open) {
            let held: usize = generations
                .iter()
                .map(|generation| generation.crew.held(now, patience))
                .sum();
            if held >= self.max_abandoned {
                let limit = self.max_abandoned;
                return Err(SpawnError::new(TooManyHeld { held, limit }));
            }
            tracing::error!(
                held,
                "all threads of the workers are held by code that does not yield; new ones are started"
            );
            // Those whose last worker is gone have no further use; dropping them does not wait.
            generations.retain(|generation| !generation.is_deserted());
            generations.push(Generation::start(self.per_generation)?);
        }
        let Some((runtime, crew)) = generations
            .iter()
            .rfind(|generation| open(generation))
            .and_then(|open| open.runtime.as_ref().map(|runtime| (runtime, &open.crew)))
        else {
            return Err(SpawnError::new("the runtime has ended"));
        };
        Ok(runtime.spawn(task(Arc::clone(crew))).abort_handle())
    }

    fn abandoned(&self) -> usize {
        self.generations.lock().iter().map(Generation::abandoned).sum()
    }
}

impl Drop for OwnThreads {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is not allowed; in the background it may.
        if let Some(house) = self.house.take() {
            house.shutdown_background();
        }
    }
}

// === impl Crew ===

impl Crew {
    fn of(threads: usize) -> Self {
        Self {
            threads: (0..threads).map(|_| AtomicU64::new(FREE)).collect(),
            ..Self::default()
        }
    }

    /// Notes that a thread begins a task.
    pub(crate) fn begins(&self, thread: usize, now: Monotonic) {
        self.note(thread, millis(now));
    }

    /// Notes that the task a thread runs has been given up.
    pub(crate) fn loses(&self, thread: usize) {
        self.note(thread, LOST);
    }

    /// Notes that a thread is free again.
    pub(crate) fn ends(&self, thread: usize) {
        self.note(thread, FREE);
    }

    fn note(&self, thread: usize, what: u64) {
        if let Some(since) = self.threads.get(thread) {
            since.store(what, Ordering::Release);
        }
    }

    /// Threads that are lost, or have not paused for longer than `patience`.
    fn held(&self, now: Monotonic, patience: Duration) -> usize {
        let longest = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now);
        let held = |since: u64| since == LOST || (since != FREE && now.saturating_sub(since) > longest);
        self.threads
            .iter()
            .filter(|since| held(since.load(Ordering::Acquire)))
            .count()
    }

    /// Whether no thread is left that a task could count on.
    pub(crate) fn is_held(&self, now: Monotonic, patience: Duration) -> bool {
        !self.threads.is_empty() && self.held(now, patience) >= self.threads.len()
    }
}

/// One is as early as zero, and is not [`FREE`].
fn millis(now: Monotonic) -> u64 {
    u64::try_from(now.since_origin().as_millis())
        .unwrap_or(LOST)
        .clamp(FREE + 1, LOST - 1)
}

// === impl Generation ===

impl Generation {
    fn start(threads: usize) -> Result<Self, SpawnError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("openclaw-worker")
            .enable_all()
            .build()
            .map_err(SpawnError::new)?;
        Ok(Self {
            runtime: Some(runtime),
            crew: Arc::new(Crew::of(threads)),
        })
    }

    fn abandoned(&self) -> usize {
        self.crew.abandoned.load(Ordering::Acquire)
    }

    fn is_deserted(&self) -> bool {
        self.crew.workers.load(Ordering::Acquire) == 0
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.crew.fmt(f)
    }
}
