//! The life of workers: one transition table, one function that applies it, and the book of all live workers.
//!
//! A plain value: time is handed in, nothing is started or ended here. The pool acts on what it decides.

use crate::by_worker::ByWorker;
use crate::error::{IllegalTransition, LifecycleError};
use crate::ports::MemoryInUse;
use openclaw_core::{CorrelationId, Monotonic};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A worker's number. Never given twice by one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(u64);

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Ready for a request.
    Idle,
    /// At work.
    Busy,
    /// Takes nothing new and ends when its request does.
    Draining,
    /// Silent for too long; being killed.
    Stuck,
    /// Gone.
    Dead,
}

/// Why a worker was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecycleReason {
    /// It served as many requests as it may.
    RequestLimit,
    /// It uses more memory than it may.
    MemoryLimit,
    /// An operator asked.
    Manual,
    /// The load no longer asks for it.
    ScaledDown,
}

/// One worker, as it is listed to people.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerInfo {
    /// The worker.
    pub id: WorkerId,
    /// Where it is in its life.
    pub state: WorkerState,
    /// How long it lives, in milliseconds.
    pub age_ms: u64,
    /// How long it is in its state, in milliseconds.
    pub since_ms: u64,
    /// The time since its last heartbeat in milliseconds; none while it has nothing to do.
    pub silent_ms: Option<u64>,
    /// How long its request runs, in milliseconds.
    pub running_ms: Option<u64>,
    /// Whose its request is.
    pub tenant: Option<Arc<str>>,
    /// Which message its request belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// Requests it has ended.
    pub requests: u64,
    /// Memory in use.
    pub memory: MemoryInUse,
}

/// The book of live workers. A dead worker is not in it.
#[derive(Debug, Default)]
pub struct WorkerLifecycle {
    workers: ByWorker<Record>,
    next: u64,
    /// Workers per state, kept with every move; indexed by [`WorkerState::index`].
    counts: [usize; 5],
}

#[derive(Debug)]
struct Record {
    state: WorkerState,
    spawned_at: Monotonic,
    since: Monotonic,
    last_heartbeat: Monotonic,
    requests: u64,
    recycle: Option<RecycleReason>,
}

// === impl WorkerState ===

impl WorkerState {
    /// All states in the order of a life.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Busy, Self::Draining, Self::Stuck, Self::Dead];

    /// The states that may follow.
    pub const fn successors(self) -> &'static [Self] {
        match self {
            Self::Idle => &[Self::Busy, Self::Draining, Self::Dead],
            Self::Busy => &[Self::Idle, Self::Draining, Self::Stuck, Self::Dead],
            Self::Draining => &[Self::Stuck, Self::Dead],
            Self::Stuck => &[Self::Dead],
            Self::Dead => &[],
        }
    }

    /// Moves to `to`.
    ///
    /// # Errors
    ///
    /// When the table has no such move.
    pub fn transition(self, to: Self) -> Result<Self, IllegalTransition> {
        if self.successors().contains(&to) {
            Ok(to)
        } else {
            Err(IllegalTransition { from: self, to })
        }
    }

    /// The name used in events and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Stuck => "stuck",
            Self::Dead => "dead",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl WorkerId ===

impl WorkerId {
    /// From the number, as an operator types it.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl RecycleReason ===

impl RecycleReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [
        Self::RequestLimit,
        Self::MemoryLimit,
        Self::Manual,
        Self::ScaledDown,
    ];

    /// The name used in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestLimit => "request_limit",
            Self::MemoryLimit => "memory_limit",
            Self::Manual => "manual",
            Self::ScaledDown => "scaled_down",
        }
    }

    /// Its place in [`RecycleReason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

// === impl WorkerLifecycle ===

impl WorkerLifecycle {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a new, idle worker.
    pub fn spawn(&mut self, now: Monotonic) -> WorkerId {
        self.next = self.next.saturating_add(1);
        let id = WorkerId(self.next);
        self.workers.insert(
            id,
            Record {
                state: WorkerState::Idle,
                spawned_at: now,
                since: now,
                last_heartbeat: now,
                requests: 0,
                recycle: None,
            },
        );
        self.count(WorkerState::Idle, true);
        id
    }

    /// Moves a worker, by the table alone. A worker that becomes `Dead` leaves the book.
    ///
    /// # Errors
    ///
    /// When the worker is not in the book or the table has no such move; then nothing changed.
    pub fn transition(
        &mut self,
        worker: WorkerId,
        to: WorkerState,
        now: Monotonic,
    ) -> Result<(), LifecycleError> {
        let record = self
            .workers
            .get_mut(&worker)
            .ok_or(LifecycleError::UnknownWorker { worker })?;
        let from = record.state;
        record.state = from.transition(to)?;
        record.since = now;
        if to == WorkerState::Busy {
            // A request starts with a sign of life: the silence before it was idleness.
            record.last_heartbeat = now;
        }
        self.count(from, false);
        if to == WorkerState::Dead {
            self.workers.remove(&worker);
        } else {
            self.count(to, true);
        }
        Ok(())
    }

    /// Begins to let a worker go: it takes nothing new. The first reason stays.
    ///
    /// # Errors
    ///
    /// As [`WorkerLifecycle::transition`]; a worker that drains already is an illegal move.
    pub fn recycle(
        &mut self,
        worker: WorkerId,
        reason: RecycleReason,
        now: Monotonic,
    ) -> Result<(), LifecycleError> {
        self.transition(worker, WorkerState::Draining, now)?;
        if let Some(record) = self.workers.get_mut(&worker) {
            record.recycle = Some(reason);
        }
        Ok(())
    }

    /// Ends a worker from whatever state it is in.
    ///
    /// # Errors
    ///
    /// When it is not in the book.
    pub fn kill(&mut self, worker: WorkerId, now: Monotonic) -> Result<(), LifecycleError> {
        self.transition(worker, WorkerState::Dead, now)
    }

    /// Notes a sign of life. One from a worker that is not in the book changes nothing.
    pub fn heartbeat(&mut self, worker: WorkerId, now: Monotonic) {
        if let Some(record) = self.workers.get_mut(&worker) {
            record.last_heartbeat = record.last_heartbeat.max(now);
        }
    }

    /// Counts an ended request and says how many that makes.
    pub fn request_ended(&mut self, worker: WorkerId) -> u64 {
        self.workers.get_mut(&worker).map_or(0, |record| {
            record.requests = record.requests.saturating_add(1);
            record.requests
        })
    }

    /// The worker's state; `None` when it is not in the book.
    pub fn state(&self, worker: WorkerId) -> Option<WorkerState> {
        self.workers.get(&worker).map(|record| record.state)
    }

    /// When the worker came into its state.
    pub fn since(&self, worker: WorkerId) -> Option<Monotonic> {
        self.workers.get(&worker).map(|record| record.since)
    }

    /// When the worker was started.
    pub fn spawned_at(&self, worker: WorkerId) -> Option<Monotonic> {
        self.workers.get(&worker).map(|record| record.spawned_at)
    }

    /// The worker's last sign of life.
    pub fn last_heartbeat(&self, worker: WorkerId) -> Option<Monotonic> {
        self.workers.get(&worker).map(|record| record.last_heartbeat)
    }

    /// Requests the worker has ended.
    pub fn requests(&self, worker: WorkerId) -> u64 {
        self.workers.get(&worker).map_or(0, |record| record.requests)
    }

    /// Why the worker drains.
    pub fn recycle_reason(&self, worker: WorkerId) -> Option<RecycleReason> {
        self.workers.get(&worker).and_then(|record| record.recycle)
    }

    /// Workers with a request: busy and draining ones.
    pub fn active(&self) -> usize {
        self.in_state(WorkerState::Busy)
            .saturating_add(self.in_state(WorkerState::Draining))
    }

    /// Workers without one.
    pub fn idle(&self) -> usize {
        self.in_state(WorkerState::Idle)
    }

    /// Workers being killed for their silence.
    pub fn stuck(&self) -> usize {
        self.in_state(WorkerState::Stuck)
    }

    /// The size of the pool: active and idle. Stuck workers are replaced at once and not counted.
    pub fn size(&self) -> usize {
        self.active().saturating_add(self.idle())
    }

    /// Workers in one state.
    pub fn in_state(&self, state: WorkerState) -> usize {
        self.counts.get(state.index()).copied().unwrap_or(0)
    }

    /// All live workers, in no order.
    pub fn ids(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.keys().copied()
    }

    fn count(&mut self, state: WorkerState, more: bool) {
        if let Some(count) = self.counts.get_mut(state.index()) {
            *count = if more {
                count.saturating_add(1)
            } else {
                count.saturating_sub(1)
            };
        }
    }
}
