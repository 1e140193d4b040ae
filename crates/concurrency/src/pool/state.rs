//! What the pool knows, under its one lock.

use crate::by_worker::ByWorker;
use crate::error::RequestError;
use crate::lifecycle::{WorkerId, WorkerLifecycle};
use crate::metrics::PoolTotals;
use crate::ports::WorkerHandle;
use crate::scheduler::PriorityScheduler;
use crate::work::{RunId, Signal};
use openclaw_core::Monotonic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) struct State<R, T> {
    pub(super) scheduler: PriorityScheduler<Job<R, T>>,
    pub(super) lifecycle: WorkerLifecycle,
    /// One per worker in the lifecycle's book.
    pub(super) slots: ByWorker<Slot<R, T>>,
    /// Exactly the idle workers; the one that was busy last is on top.
    pub(super) idle: Vec<WorkerId>,
    /// Places taken by admissions that have not submitted yet.
    pub(super) reserved: usize,
    pub(super) paused: bool,
    pub(super) phase: Phase,
    pub(super) last_run: u64,
    pub(super) totals: PoolTotals,
    pub(super) processed: u64,
    pub(super) errors: u64,
    /// Requests that ended one way or another since the shutdown began.
    pub(super) ended_in_shutdown: u64,
    /// Time one request takes on a worker, smoothed; in seconds.
    pub(super) service_seconds: Option<f64>,
    pub(super) pressure: Pressure,
    /// Whether a request would have been taken after the last step. Whoever waits for that is told when it begins.
    pub(super) admits: bool,
    pub(super) calm: Option<Calm>,
    pub(super) spawn_backoff: Backoff,
    /// Kills decided and not yet carried out. No worker is started meanwhile: the runtime must know that a thread is
    /// lost before it chooses one for the replacement.
    pub(super) kills_pending: usize,
    pub(super) house: House,
}

/// A request that waits.
pub(super) struct Job<R, T> {
    pub(super) request: R,
    pub(super) signal: Arc<Signal>,
    pub(super) answer: oneshot::Sender<Result<T, RequestError>>,
    pub(super) queued_at: Monotonic,
}

/// A worker and what it does.
pub(super) struct Slot<R, T> {
    pub(super) handle: Arc<dyn WorkerHandle<R>>,
    pub(super) run: Option<Run<T>>,
}

/// A request that runs.
pub(super) struct Run<T> {
    pub(super) id: RunId,
    pub(super) signal: Arc<Signal>,
    pub(super) answer: oneshot::Sender<Result<T, RequestError>>,
    pub(super) exclusive: Option<Arc<str>>,
    pub(super) queued_at: Monotonic,
    pub(super) started_at: Monotonic,
    pub(super) deadline: Monotonic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Takes nothing new; works off what it has.
    Draining,
    /// Has nothing and does nothing.
    Closed,
}

/// Whether the pool refuses, and since when. Released only after a second below the threshold, so that a pool at its
/// limit does not announce itself twice per request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressure {
    pub(super) since: Option<Monotonic>,
    pub(super) last_seen: Monotonic,
}

/// Since when fewer workers would do, and the most that were asked for meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calm {
    pub(super) since: Monotonic,
    pub(super) peak: usize,
}

/// After a worker that could not be started, the next try waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    pub(super) failures: u32,
    pub(super) not_before: Monotonic,
}

/// When housekeeping comes round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct House {
    pub(super) next_round: Option<Monotonic>,
    /// After a pause of the whole machine nobody can have beaten: silence counts from here.
    pub(super) silence_counts_from: Monotonic,
}

// === impl State ===

impl<R, T> State<R, T> {
    pub(super) fn new(scheduler: PriorityScheduler<Job<R, T>>) -> Self {
        Self {
            scheduler,
            lifecycle: WorkerLifecycle::new(),
            slots: ByWorker::default(),
            idle: Vec::new(),
            reserved: 0,
            paused: false,
            phase: Phase::Open,
            last_run: 0,
            totals: PoolTotals::default(),
            processed: 0,
            errors: 0,
            ended_in_shutdown: 0,
            service_seconds: None,
            pressure: Pressure::default(),
            admits: true,
            calm: None,
            spawn_backoff: Backoff::default(),
            kills_pending: 0,
            house: House::default(),
        }
    }

    /// Requests that wait and places taken for more.
    pub(super) fn queue_depth(&self) -> usize {
        self.scheduler.len().saturating_add(self.reserved)
    }

    /// Whether a shutdown has nothing to wait for: nothing runs, and nothing waits that will ever run, be it a request
    /// or a place whose request is on its way.
    pub(super) fn is_drained(&self) -> bool {
        self.lifecycle.active() == 0 && (self.paused || self.queue_depth() == 0)
    }
}

// === impl Backoff ===

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn failed(&mut self, now: Monotonic) {
        let wait = Self::FIRST
            .saturating_mul(1 << self.failures.min(5))
            .min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + wait;
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}
