//! The threads workers run on, in generations: when every thread of one is held by a worker that was killed and
//! never yields, the next workers get a new generation. Earlier ones live until their last worker is gone.

use openclaw_concurrency::SpawnError;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

/// Where tasks of workers go.
#[derive(Debug)]
pub(crate) enum Threads {
    /// The caller's runtime.
    Shared {
        handle: Handle,
        abandoned: Arc<Crew>,
    },
    Own(OwnThreads),
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
}

/// No thread could be had.
#[derive(Debug, thiserror::Error)]
#[error("{abandoned} threads are held by workers that never yield; no more than {limit} may be")]
pub(crate) struct TooManyAbandoned {
    abandoned: usize,
    limit: usize,
}

// === impl Threads ===

impl Threads {
    /// Starts a worker's task.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(Arc<Crew>) -> F) -> Result<AbortHandle, SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self {
            Self::Shared { handle, abandoned } => {
                Ok(handle.spawn(task(Arc::clone(abandoned))).abort_handle())
            }
            Self::Own(own) => own.spawn(task),
        }
    }

    /// Runs a task where no worker's task can block it; on the shared runtime there is no such place.
    pub(crate) fn spawn_apart(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Shared { handle, .. } => drop(handle.spawn(task)),
            Self::Own(own) => {
                if let Some(house) = &own.house {
                    house.spawn(task);
                }
            }
        }
    }

    pub(crate) fn abandoned(&self) -> usize {
        match self {
            Self::Shared { abandoned, .. } => abandoned.abandoned.load(Ordering::Acquire),
            Self::Own(own) => own.generations.lock().iter().map(Generation::abandoned).sum(),
        }
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

    fn spawn<F>(&self, task: impl FnOnce(Arc<Crew>) -> F) -> Result<AbortHandle, SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut generations = self.generations.lock();
        if generations
            .last()
            .is_none_or(|last| last.abandoned() >= self.per_generation)
        {
            let abandoned = generations.iter().map(Generation::abandoned).sum::<usize>();
            if abandoned >= self.max_abandoned {
                let limit = self.max_abandoned;
                return Err(SpawnError::new(TooManyAbandoned { abandoned, limit }));
            }
            tracing::error!(
                abandoned,
                "all threads of the workers are held by code that never yields; new ones are started"
            );
            // Those whose last worker is gone have no further use; dropping them does not wait.
            generations.retain(|generation| !generation.is_deserted());
            generations.push(Generation::start(self.per_generation)?);
        }
        let Some((runtime, crew)) = generations
            .last()
            .and_then(|last| last.runtime.as_ref().map(|runtime| (runtime, &last.crew)))
        else {
            return Err(SpawnError::new("the runtime has ended"));
        };
        Ok(runtime.spawn(task(Arc::clone(crew))).abort_handle())
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
            crew: Arc::default(),
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
