//! The worker pool: admits or refuses, lets requests wait in the scheduler's order, hands them to workers and
//! answers every one of them.
//!
//! There is no dispatcher task. A submission, an answer, a cancellation is one short step under one lock, and each
//! step hands over whatever can be handed over; foreign code (handlers, wakers, events, drops) runs after the lock is
//! released. Only what happens by the clock has a task of its own, run by the [`WorkerRuntime`] where no worker can
//! block it.

mod door;
mod effect;
mod ends;
mod housekeeping;
mod shared;
mod state;
mod step;
mod ticket;
mod waiting;
mod workers;

use self::shared::Shared;
use self::state::State;
use crate::config::ConcurrencyConfig;
use crate::error::{BackpressureError, LifecycleError, Refusal, RefusalReason, SubmitError};
use crate::latency::LatencyWindow;
use crate::lifecycle::{RecycleReason, WorkerId, WorkerInfo, WorkerState};
use crate::metrics::{ConcurrencyMetrics, PoolTotals};
use crate::pace::Pace;
use crate::ports::{MemoryInUse, WorkerRuntime};
use crate::scheduler::PriorityScheduler;
use crate::sync::Mutex;
use crate::work::Submission;
use futures::future::{Either, select};
use openclaw_core::{Clock, EventContext, Monotonic, ValidationError};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::Notify;

pub use self::ticket::{Admission, Canceller, Ticket};
pub use self::waiting::Waiting;

/// A pool of workers that take requests of type `R` and give answers of type `T`.
///
/// Dropping it ends it at once: what waits and what runs is answered with
/// [`RequestError::ShuttingDown`](crate::RequestError::ShuttingDown). [`WorkerPool::shutdown`] is the gentle way.
pub struct WorkerPool<R: Send + 'static, T: Send + 'static> {
    shared: Arc<Shared<R, T>>,
}

/// What a shutdown left.
#[derive(Debug, PartialEq, Eq)]
pub struct ShutdownReport<R> {
    /// Requests that ended while the pool drained.
    pub finished: u64,
    /// Requests that ran when the grace was over. Their workers were killed and their callers told.
    pub interrupted: usize,
    /// Requests that never reached a worker, in the order they would have been served.
    pub returned: Vec<R>,
}

// === impl WorkerPool ===

impl<R: Send + 'static, T: Send + 'static> WorkerPool<R, T> {
    /// Starts the fewest workers and the housekeeping.
    ///
    /// # Errors
    ///
    /// When the configuration breaks a rule, or the runtime cannot run the housekeeping. A worker that cannot be
    /// started is no error: the pool tries again.
    pub fn new(
        config: ConcurrencyConfig,
        runtime: Arc<dyn WorkerRuntime<R, T>>,
        clock: Arc<dyn Clock>,
        events: EventContext,
    ) -> Result<Arc<Self>, ValidationError> {
        config.validate()?;
        let scheduler = PriorityScheduler::new(config.max_queue_size, config.starvation_limit);
        let nudge = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            latencies: LatencyWindow::new(config.metrics_window),
            config,
            runtime,
            clock,
            events,
            state: Mutex::new(State::new(scheduler)),
            last_request: AtomicU64::new(0),
            admissible: Notify::new(),
            drained: Notify::new(),
            nudge,
        });
        shared.step(|step| step.replenish());
        let pool = Arc::new(Self { shared });
        let shared = &pool.shared;
        let rounds = housekeeping::rounds(
            Arc::downgrade(shared),
            Arc::clone(&shared.clock),
            Arc::clone(&shared.nudge),
        );
        shared.runtime.keep_house(rounds).map_err(|error| {
            ValidationError::one(
                "runtime",
                error.source,
                "must be able to run the pool's housekeeping",
            )
        })?;
        Ok(pool)
    }

    /// Takes a place in the queue, to be filled with a request. The decision and the taking are one step: however
    /// many ask at once, no more are admitted than fit.
    ///
    /// # Errors
    ///
    /// When the level is at the threshold, the queue is full or the pool is shutting down; nothing was taken.
    pub fn admit(&self) -> Result<Admission<R, T>, BackpressureError> {
        match self.shared.reserve() {
            Ok(()) => Ok(Admission::new(Arc::clone(&self.shared))),
            Err((Refusal::Backpressure(error), _)) => Err(error),
            Err((Refusal::QueueFull(_), level)) => Err(BackpressureError {
                level,
                retry_after: Duration::from_secs(1),
                reason: RefusalReason::Overloaded,
            }),
        }
    }

    /// Takes a place and fills it.
    ///
    /// # Errors
    ///
    /// As [`WorkerPool::admit`], with a full queue told apart; the submission is given back.
    pub fn submit(&self, submission: Submission<R>) -> Result<Ticket<T>, SubmitError<Submission<R>>> {
        match self.shared.reserve() {
            Ok(()) => Ok(self.shared.enqueue(submission)),
            Err((refusal, _)) => Err(SubmitError { refusal, submission }),
        }
    }

    /// Whether [`WorkerPool::admit`] would succeed now. Another caller may be quicker.
    pub fn would_admit(&self) -> bool {
        self.shared.step(|step| step.check_admission().is_ok())
    }

    /// Ends when [`WorkerPool::admit`] would succeed. Everyone who waits is woken, and one of them is quickest: ask,
    /// and wait again if refused.
    ///
    /// # Errors
    ///
    /// When the pool is shutting down: it will take nothing more.
    pub async fn admissible(&self) -> Result<(), BackpressureError> {
        loop {
            // Registered before the question, so that a change between the two is not missed.
            let changed = self.shared.admissible.notified();
            match self.shared.step(|step| step.check_admission()) {
                Ok(()) => return Ok(()),
                Err(Refusal::Backpressure(error)) if error.reason == RefusalReason::ShuttingDown => {
                    return Err(error);
                }
                Err(Refusal::Backpressure(_) | Refusal::QueueFull(_)) => changed.await,
            }
        }
    }

    /// The state of the pool and its recent past. Holds the pool's lock for the copy of a few numbers.
    pub fn metrics(&self) -> ConcurrencyMetrics {
        let mut metrics = {
            let state = self.shared.state.lock();
            let (active, idle) = (state.lifecycle.active(), state.lifecycle.idle());
            let load = crate::Backpressure::measure(
                state.queue_depth(),
                self.shared.config.max_queue_size,
                active,
                idle,
            );
            ConcurrencyMetrics {
                active_workers: active,
                idle_workers: idle,
                queue_depth: state.queue_depth(),
                total_processed: state.processed,
                total_errors: state.errors,
                backpressure_level: load.level(),
                stuck_workers: state.lifecycle.stuck(),
                ..ConcurrencyMetrics::default()
            }
        };
        let latencies = self.shared.latencies.read(self.shared.clock.monotonic());
        metrics.avg_latency_ms = latencies.avg_ms;
        metrics.p95_latency_ms = latencies.p95_ms;
        metrics.p99_latency_ms = latencies.p99_ms;
        metrics.throughput_per_minute = latencies.completed_last_minute;
        metrics
    }

    /// How fast requests go through, by those that ended within the window of the metrics; `None` while there are none.
    pub fn pace(&self) -> Option<Pace> {
        let mean_run = self.shared.latencies.mean_run(self.shared.clock.monotonic())?;
        let state = self.shared.state.lock();
        let workers = state.lifecycle.active() + state.lifecycle.idle();
        Some(Pace { mean_run, workers })
    }

    /// Counts since the start.
    pub fn totals(&self) -> PoolTotals {
        let abandoned = self.shared.runtime.abandoned();
        let now = self.shared.clock.monotonic();
        let state = self.shared.state.lock();
        let oldest = state
            .scheduler
            .oldest_ready()
            .map_or(Duration::ZERO, |oldest| now.saturating_since(oldest));
        PoolTotals {
            abandoned,
            starved_served: state.scheduler.starved_served(),
            oldest_waiting_ms: effect::millis(oldest),
            ..state.totals
        }
    }

    /// Requests refused since the start.
    pub fn refusals_total(&self) -> u64 {
        self.shared.state.lock().totals.refusals
    }

    /// All workers, by number.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let now = self.shared.clock.monotonic();
        let state = self.shared.state.lock();
        let mut workers: Vec<WorkerInfo> = state
            .lifecycle
            .ids()
            .map(|id| {
                let slot = state.slots.get(&id);
                let run = slot.and_then(|slot| slot.run.as_ref());
                let since = |point: Monotonic| effect::millis(now.saturating_since(point));
                let worker_state = state.lifecycle.state(id).unwrap_or(WorkerState::Dead);
                WorkerInfo {
                    id,
                    state: worker_state,
                    age_ms: state.lifecycle.spawned_at(id).map_or(0, since),
                    silent_ms: (worker_state != WorkerState::Idle)
                        .then(|| state.lifecycle.last_heartbeat(id).map(since))
                        .flatten(),
                    since_ms: state.lifecycle.since(id).map_or(0, since),
                    running_ms: run.map(|run| since(run.started_at)),
                    tenant: run.map(|run| Arc::clone(&run.signal.tenant)),
                    correlation_id: run.and_then(|run| run.signal.correlation_id),
                    requests: state.lifecycle.requests(id),
                    memory: slot.map_or(MemoryInUse::Unreadable, |slot| slot.handle.memory()),
                }
            })
            .collect();
        workers.sort_unstable_by_key(|worker| worker.id);
        workers
    }

    /// Kills a worker at once. Its request, if it has one, ends with
    /// [`RequestError::Killed`](crate::RequestError::Killed).
    ///
    /// # Errors
    ///
    /// When there is no such worker.
    pub fn kill(&self, worker: WorkerId) -> Result<(), LifecycleError> {
        self.shared.step(|step| step.kill(worker))
    }

    /// Lets a worker go: at once when it is idle, after its request otherwise.
    ///
    /// # Errors
    ///
    /// When there is no such worker, or it is on its way out already.
    pub fn recycle(&self, worker: WorkerId) -> Result<(), LifecycleError> {
        self.shared.step(|step| {
            step.recycle(worker, RecycleReason::Manual)?;
            step.replenish();
            step.dispatch();
            Ok(())
        })
    }

    /// How many workers the present load asks for.
    pub fn suggest_worker_count(&self) -> usize {
        self.shared
            .step(|step| step.load().suggest_worker_count(&self.shared.config))
    }

    /// Stops handing requests to workers. What runs runs on; what is submitted waits.
    pub fn pause(&self) {
        self.shared.step(|step| step.state.paused = true);
    }

    /// Hands requests to workers again.
    pub fn resume(&self) {
        self.shared.step(|step| {
            step.state.paused = false;
            step.dispatch();
        });
    }

    /// Whether the pool is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.state.lock().paused
    }

    /// Requests that wait, of one priority.
    pub fn queue_depth_of(&self, priority: crate::priority::Priority) -> usize {
        self.shared.state.lock().scheduler.len_of(priority)
    }

    /// What the pool was told.
    pub fn config(&self) -> &ConcurrencyConfig {
        &self.shared.config
    }

    /// One round of housekeeping, and when the next is due. The runtime goes round by itself; this is for runtimes
    /// that leave it to their owner, and for tests. `None` when the pool is closed.
    pub fn keep_house(&self) -> Option<Monotonic> {
        self.shared.round()
    }

    /// Takes nothing new, lets what waits and runs finish for at most `grace`, then ends what is left. Places taken
    /// before are waited for as well. A paused pool does not wait for what it will not start.
    ///
    /// Dropping the future leaves a pool that takes nothing new and works off what it has; calling again goes on.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport<R> {
        self.shared.step(|step| step.begin_shutdown());
        self.shared.admissible.notify_waiters();
        let mut over = self.shared.clock.sleep(grace);
        loop {
            let drained = pin!(self.shared.drained.notified());
            if self.shared.state.lock().is_drained() {
                break;
            }
            match select(drained, &mut over).await {
                Either::Left(_) => {}
                Either::Right(_) => break,
            }
        }
        let ((returned, interrupted), finished) = self.shared.step(|step| {
            let finished = step.state.ended_in_shutdown;
            (step.close(), finished)
        });
        ShutdownReport {
            finished,
            interrupted,
            returned,
        }
    }
}

impl<R: Send + 'static, T: Send + 'static> Drop for WorkerPool<R, T> {
    fn drop(&mut self) {
        let (unserved, _) = self.shared.step(|step| step.close());
        drop(unserved);
        self.shared.admissible.notify_waiters();
        self.shared.nudge.notify_one();
    }
}

impl<R: Send + 'static, T: Send + 'static> fmt::Debug for WorkerPool<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("WorkerPool")
            .field("active", &state.lifecycle.active())
            .field("idle", &state.lifecycle.idle())
            .field("queue_depth", &state.queue_depth())
            .finish_non_exhaustive()
    }
}
