//! The runtime: what a worker's task is made of, and where it runs.

use crate::threads::{Lent, OwnThreads, Threads};
use crate::worker::{OnlyWaits, Seats, TaskHandle};
use futures::future::BoxFuture;
use openclaw_concurrency::{SpawnError, WorkContext, WorkerHandle, WorkerLink, WorkerRuntime};
use openclaw_core::Clock;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;

/// How many threads workers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRuntimeConfig {
    /// Threads that workers share. At least 1.
    pub threads: usize,
    /// Threads that may be held by handlers that do not yield, in all, before no more are started and with them no
    /// more workers.
    pub max_abandoned: usize,
}

/// Runs each worker as a task that calls one handler. Dropping it, after the pool, ends its threads without waiting.
pub struct TaskRuntime<R, T, F> {
    threads: Arc<Threads>,
    only_waits: OnlyWaits<R>,
    clock: Arc<dyn Clock>,
    handler: Arc<dyn Fn(R, WorkContext) -> F + Send + Sync>,
    answers: std::marker::PhantomData<fn() -> T>,
}

// === impl TaskRuntimeConfig ===

impl Default for TaskRuntimeConfig {
    /// As many threads as the machine has cores.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            max_abandoned: 64,
        }
    }
}

// === impl TaskRuntime ===

impl<R, T, F> TaskRuntime<R, T, F>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// Workers on threads of their own.
    ///
    /// # Errors
    ///
    /// When the threads cannot be started.
    pub fn new(
        config: TaskRuntimeConfig,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext) -> F + Send + Sync + 'static,
    ) -> Result<Arc<Self>, SpawnError> {
        let own = OwnThreads::new(config.threads.max(1), config.max_abandoned)?;
        let threads = Threads::Own { own, lent: None };
        Ok(Self::with(threads, Arc::new(|_| false), clock, handler))
    }

    /// Workers on threads of their own, but for requests of which `only_waits` is true: these run on `callers`, the
    /// runtime of those who ask. Handing a request to a sleeping thread, and its answer back, costs more than all the
    /// rest of a request that only waits for others.
    ///
    /// `only_waits` is asked as the request is handed over, must be quick and must not panic. It must be false of a
    /// request that runs code nobody here answers for: what blocks there holds a thread of the callers', and is not
    /// given another. The worker is declared stuck all the same, and its request answered.
    ///
    /// # Errors
    ///
    /// When the threads cannot be started.
    pub fn beside_callers(
        config: TaskRuntimeConfig,
        callers: Handle,
        only_waits: impl Fn(&R) -> bool + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext) -> F + Send + Sync + 'static,
    ) -> Result<Arc<Self>, SpawnError> {
        let own = OwnThreads::new(config.threads.max(1), config.max_abandoned)?;
        let lent = Some(Lent::new(callers));
        let threads = Threads::Own { own, lent };
        Ok(Self::with(threads, Arc::new(only_waits), clock, handler))
    }

    /// Workers on a runtime that is there already. A handler that blocks blocks that runtime's threads, the pool's
    /// housekeeping among its tasks included.
    pub fn on(
        handle: Handle,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext) -> F + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::with(
            Threads::Shared(Lent::new(handle)),
            Arc::new(|_| false),
            clock,
            handler,
        )
    }

    fn with(
        threads: Threads,
        only_waits: OnlyWaits<R>,
        clock: Arc<dyn Clock>,
        handler: impl Fn(R, WorkContext) -> F + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            threads: Arc::new(threads),
            only_waits,
            clock,
            handler: Arc::new(handler),
            answers: std::marker::PhantomData,
        })
    }
}

impl<R, T, F> WorkerRuntime<R, T> for TaskRuntime<R, T, F>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    fn spawn(&self, link: WorkerLink<T>) -> Result<Arc<dyn WorkerHandle<R>>, SpawnError> {
        let seats = Seats {
            threads: Arc::clone(&self.threads),
            only_waits: Arc::clone(&self.only_waits),
            clock: Arc::clone(&self.clock),
            handler: Arc::clone(&self.handler),
            link,
        };
        Ok(Arc::new(TaskHandle::new(seats)?))
    }

    fn keep_house(&self, housekeeping: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        self.threads.spawn_apart(housekeeping);
        Ok(())
    }

    fn abandoned(&self) -> usize {
        self.threads.abandoned()
    }
}

impl<R, T, F> fmt::Debug for TaskRuntime<R, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRuntime")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
