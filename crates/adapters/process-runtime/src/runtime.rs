//! The runtime: what a worker's task is made of, and where it runs.

use crate::answer::ChildWorker;
use crate::config::ProcessConfig;
use crate::leash::Leash;
use crate::process::Terms;
use crate::troubles::WorkerTroubles;
use crate::worker::{Birth, Desk, Handler, ProcessHandle, Report, Worker};
use futures::future::BoxFuture;
use openclaw_concurrency::{SpawnError, WorkContext, WorkerHandle, WorkerLink, WorkerRuntime};
use openclaw_core::{Clock, ValidationError};
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

/// Runs each worker as a child process, and for each request a handler that asks the child.
///
/// Dropping it, after the pool, ends its threads and every process group it has started, without waiting.
pub struct ProcessRuntime<R, T, F> {
    config: Arc<ProcessConfig>,
    threads: Threads,
    clock: Arc<dyn Clock>,
    handler: Arc<Handler<R, F>>,
    abandoned: Arc<AtomicUsize>,
    troubles: Arc<WorkerTroubles>,
    answers: std::marker::PhantomData<fn() -> T>,
}

enum Threads {
    Shared(Handle),
    /// Taken out when dropped.
    Own(Mutex<Option<Runtimes>>),
}

struct Runtimes {
    workers: Runtime,
    /// One thread that no handler runs on.
    house: Runtime,
}

// === impl ProcessRuntime ===

impl<R, T, F> ProcessRuntime<R, T, F>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// Workers whose pipes and handlers are served by threads of their own.
    ///
    /// # Errors
    ///
    /// When the configuration breaks a rule, the program is not there, or the threads cannot be started.
    pub fn new(
        config: ProcessConfig,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext, ChildWorker) -> F + Send + Sync + 'static,
    ) -> Result<Arc<Self>, ValidationError> {
        config.validate()?;
        let start = |threads, name| {
            Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name(name)
                .enable_all()
                .build()
                .map_err(|error| ValidationError::one("threads", error, "must be available"))
        };
        let runtimes = Runtimes {
            workers: start(config.threads, "openclaw-process")?,
            house: start(1, "openclaw-house")?,
        };
        let threads = Threads::Own(Mutex::new(Some(runtimes)));
        Ok(Self::with(config, threads, clock, handler))
    }

    /// Workers served by a runtime that is there already, which must have time and I/O enabled. A handler that blocks
    /// blocks that runtime's threads, the pool's housekeeping among its tasks included.
    ///
    /// # Errors
    ///
    /// When the configuration breaks a rule, or the program is not there.
    pub fn on(
        handle: Handle,
        config: ProcessConfig,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext, ChildWorker) -> F + Send + Sync + 'static,
    ) -> Result<Arc<Self>, ValidationError> {
        config.validate()?;
        Ok(Self::with(config, Threads::Shared(handle), clock, handler))
    }

    fn with(
        config: ProcessConfig,
        threads: Threads,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext, ChildWorker) -> F + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: Arc::new(config),
            threads,
            clock,
            handler: Arc::new(handler),
            abandoned: Arc::default(),
            troubles: Arc::default(),
            answers: std::marker::PhantomData,
        })
    }

    /// What goes wrong with its processes.
    pub fn troubles(&self) -> Arc<WorkerTroubles> {
        Arc::clone(&self.troubles)
    }
}

impl<R, T, F> WorkerRuntime<R, T> for ProcessRuntime<R, T, F>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    fn spawn(&self, link: WorkerLink<T>) -> Result<Arc<dyn WorkerHandle<R>>, SpawnError> {
        let (letters, letter_box) = mpsc::channel(1);
        let leash = Arc::new(Leash::new());
        let birth = Arc::<Birth>::default();
        let terms = Terms {
            worker: link.worker(),
            memory_limit_mb: link.memory_limit_mb(),
            config: Arc::clone(&self.config),
            clock: Arc::clone(&self.clock),
            leash: Arc::clone(&leash),
            troubles: Arc::clone(&self.troubles),
        };
        let worker = Worker {
            letters: letter_box,
            handler: Arc::clone(&self.handler),
            desk: Desk {
                terms,
                link: link.clone(),
                abandoned: Arc::clone(&self.abandoned),
                process: None,
                open: None,
                unheard: false,
                questions: 0,
            },
            report: Report::new(link.clone(), Arc::clone(&birth)),
        };
        self.threads.workers(worker.live());
        if !birth.complete() {
            return Err(SpawnError::new("the worker ended while it was being started"));
        }
        Ok(Arc::new(ProcessHandle::new(letters, leash, link)))
    }

    fn keep_house(&self, housekeeping: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        self.threads.house(housekeeping);
        Ok(())
    }

    fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Acquire)
    }
}

impl<R, T, F> fmt::Debug for ProcessRuntime<R, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRuntime")
            .field("command", &self.config.command)
            .field("abandoned", &self.abandoned)
            .finish_non_exhaustive()
    }
}

// === impl Threads ===

impl Threads {
    fn workers(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Shared(handle) => drop(handle.spawn(task)),
            Self::Own(runtimes) => {
                if let Some(runtimes) = &*runtimes.lock() {
                    runtimes.workers.spawn(task);
                }
            }
        }
    }

    fn house(&self, task: BoxFuture<'static, ()>) {
        match self {
            Self::Shared(handle) => drop(handle.spawn(task)),
            Self::Own(runtimes) => {
                if let Some(runtimes) = &*runtimes.lock() {
                    runtimes.house.spawn(task);
                }
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be dropped where blocking is not allowed; in the background it may.
        if let Self::Own(runtimes) = self
            && let Some(runtimes) = runtimes.get_mut().take()
        {
            runtimes.workers.shutdown_background();
            runtimes.house.shutdown_background();
        }
    }
}
