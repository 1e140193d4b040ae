//! One step of the pool: what happens under the lock, in one piece.
//!
//! Nothing here waits or runs foreign code but [`WorkerRuntime::spawn`](crate::WorkerRuntime::spawn), whose contract
//! allows it; the rest is left as effects for after the lock.

use super::effect::{Effect, Notice};
use super::shared::{Shared, discard};
use super::state::{Job, Phase, Run, Slot, State};
use crate::backpressure::Backpressure;
use crate::error::{
    BackpressureError, LifecycleError, QueueFullError, Refusal, RefusalReason, RequestError, SpawnError,
    WorkerOutOfMemoryError, WorkerStuckError,
};
use crate::event::{
    BackpressureActivated, RequestCompleted, RequestOutcome, RequestStarted, RequestTimedOut, WorkerRecycled,
    WorkerSpawned, WorkerStuck,
};
use crate::lifecycle::{RecycleReason, WorkerId, WorkerState};
use crate::ports::{WorkerExit, WorkerLink, WorkerReports};
use crate::scheduler::{Dequeued, Scheduled};
use crate::work::{Assignment, Place, RunId, Signal, Submission, WorkContext};
use openclaw_core::Monotonic;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Step<'a, R, T> {
    pub(super) pool: &'a Arc<Shared<R, T>>,
    pub(super) state: &'a mut State<R, T>,
    pub(super) now: Monotonic,
    pub(super) effects: &'a mut Vec<Effect<R, T>>,
}

/// How a request that ran ended, for the books.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Its worker brought it to an end.
    Finished,
    /// It was taken from its worker, or the worker went away.
    Lost,
    /// The same, because its time was up.
    OutOfTime,
    /// The pool shut down; nobody's failure.
    Interrupted,
}

/// The wait a refused caller is told when nothing is known of how long requests take.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);
const SHORTEST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    // --- at the door

    pub(super) fn load(&self) -> Backpressure {
        Backpressure::measure(
            self.state.queue_depth(),
            self.pool.config.max_queue_size,
            self.state.lifecycle.active(),
            self.state.lifecycle.idle(),
        )
    }

    /// Whether a request would be taken now, and why not.
    pub(super) fn check_admission(&self) -> Result<(), Refusal> {
        let load = self.load();
        let refuse = |reason, retry_after| {
            Refusal::Backpressure(BackpressureError {
                level: load.level(),
                retry_after,
                reason,
            })
        };
        if self.state.phase != Phase::Open {
            return Err(refuse(RefusalReason::ShuttingDown, LONGEST_RETRY / 6));
        }
        if load.should_reject(&self.pool.config) {
            return Err(refuse(RefusalReason::Overloaded, self.retry_after()));
        }
        let (size, limit) = (self.state.queue_depth(), self.pool.config.max_queue_size);
        if size >= limit {
            return Err(Refusal::QueueFull(QueueFullError { size, limit }));
        }
        Ok(())
    }

    /// Decides and takes the place in one step, so that a burst cannot pass together.
    pub(super) fn reserve(&mut self) -> Result<(), Refusal> {
        let decision = self.check_admission();
        match decision {
            Ok(()) => self.state.reserved = self.state.reserved.saturating_add(1),
            Err(_) => bump(&mut self.state.totals.refusals),
        }
        decision
    }

    pub(super) fn give_back(&mut self) {
        self.state.reserved = self.state.reserved.saturating_sub(1);
    }

    /// Turns a place into an entry.
    pub(super) fn enqueue(&mut self, submission: Submission<Job<R, T>>) {
        self.give_back();
        if self.state.phase == Phase::Closed {
            let job = submission.request;
            self.answer(job.answer, Err(RequestError::ShuttingDown));
            self.effects.push(Effect::DropRequest(job.request));
            return;
        }
        let signal = Arc::clone(&submission.request.signal);
        match self.state.scheduler.enqueue(submission) {
            Ok(id) => {
                *signal.place.lock() = Place::Queued(id);
                bump(&mut self.state.totals.submitted);
            }
            Err(rejected) => {
                // Places are counted before entries, so that the queue itself is never the one to refuse.
                tracing::error!(error = %rejected.error, "a request with a place found none");
                let job = rejected.submission.request;
                self.answer(job.answer, Err(RequestError::Cancelled));
                self.effects.push(Effect::DropRequest(job.request));
            }
        }
        self.dispatch();
    }

    /// How long until enough requests have ended for the level to fall below the threshold.
    fn retry_after(&self) -> Duration {
        let config = &self.pool.config;
        let Some(seconds) = self.state.service_seconds else {
            return UNKNOWN_RETRY;
        };
        let active = self.state.lifecycle.active().max(1);
        let mut depth = self.state.queue_depth();
        let mut excess = 1_usize;
        // At most a queue's length of cheap steps, and only on a refusal; in practice one or two.
        while depth > 0 && excess < 64 {
            depth -= 1;
            let load = Backpressure::measure(depth, config.max_queue_size, active, 0);
            if !load.should_reject(config) {
                break;
            }
            excess += 1;
        }
        let wait = seconds * excess as f64 / active as f64;
        Duration::try_from_secs_f64(wait)
            .unwrap_or(LONGEST_RETRY)
            .clamp(SHORTEST_RETRY, LONGEST_RETRY)
    }

    // --- handing over

    /// Gives work to workers for as long as there is both.
    pub(super) fn dispatch(&mut self) {
        while !self.state.paused && self.state.phase != Phase::Closed && self.state.scheduler.has_ready() {
            let Some(worker) = self.state.idle.pop().or_else(|| self.spawn_one()) else {
                return;
            };
            match self.state.scheduler.dequeue(self.now) {
                Some(Dequeued::Ready(entry)) => self.start(worker, entry),
                Some(Dequeued::Expired(entry)) => {
                    self.state.idle.push(worker);
                    self.expired(entry);
                }
                None => {
                    self.state.idle.push(worker);
                    return;
                }
            }
        }
    }

    fn start(&mut self, worker: WorkerId, entry: Scheduled<Job<R, T>>) {
        if let Err(error) = self
            .state
            .lifecycle
            .transition(worker, WorkerState::Busy, self.now)
        {
            // An idle worker is in the book and may become busy, or the idle list lies.
            tracing::error!(%error, %worker, "an idle worker could not begin");
            self.state.scheduler.requeue_front(entry);
            return;
        }
        self.state.last_run = self.state.last_run.saturating_add(1);
        let id = RunId(self.state.last_run);
        let Submission {
            request: job,
            tenant,
            exclusive,
            correlation_id,
            ..
        } = entry.submission;
        let deadline = self.now + self.pool.config.worker_timeout;
        *job.signal.place.lock() = Place::Running;
        let context = WorkContext::new(worker, id, correlation_id, deadline, Arc::clone(&job.signal));
        self.publish(
            correlation_id,
            Notice::Started(RequestStarted {
                request_id: job.signal.number,
                tenant_id: Arc::clone(&tenant),
                worker_id: worker,
                waited_ms: millis(self.now.saturating_since(job.queued_at)),
            }),
        );
        if let Some(slot) = self.state.slots.get_mut(&worker) {
            slot.run = Some(Run {
                id,
                signal: job.signal,
                answer: job.answer,
                tenant,
                exclusive,
                correlation_id,
                queued_at: job.queued_at,
                started_at: self.now,
                deadline,
            });
            let request = job.request;
            self.effects.push(Effect::Run(
                Arc::clone(&slot.handle),
                Assignment { request, context },
            ));
        }
    }

    /// An entry whose deadline passed before a worker was free.
    pub(super) fn expired(&mut self, entry: Scheduled<Job<R, T>>) {
        let submission = entry.submission;
        let job = submission.request;
        *job.signal.place.lock() = Place::Nowhere;
        self.ended();
        bump(&mut self.state.totals.expired);
        bump(&mut self.state.processed);
        bump(&mut self.state.errors);
        self.publish(
            submission.correlation_id,
            Notice::TimedOut(RequestTimedOut {
                request_id: job.signal.number,
                tenant_id: submission.tenant,
                worker_id: None,
                elapsed_ms: millis(self.now.saturating_since(job.queued_at)),
            }),
        );
        let waited = self.now.saturating_since(submission.accepted_at);
        self.answer(job.answer, Err(RequestError::Expired { waited }));
        self.effects.push(Effect::DropRequest(job.request));
    }

    // --- workers

    /// Starts a worker if the pool may have one more. It is not in the idle list yet.
    fn spawn_one(&mut self) -> Option<WorkerId> {
        if self.state.lifecycle.size() >= self.pool.config.max_workers
            || self.now < self.state.spawn_backoff.not_before
            || self.state.kills_pending > 0
        {
            return None;
        }
        let worker = self.state.lifecycle.spawn(self.now);
        let reports: Arc<dyn WorkerReports<T>> = Arc::new(Arc::clone(self.pool));
        let config = &self.pool.config;
        let link = WorkerLink::new(worker, config.heartbeat_interval, config.memory_limit_mb, reports);
        // A runtime that panics instead of saying so must not leave a worker in the book that does not exist.
        let spawned =
            catch_unwind(AssertUnwindSafe(|| self.pool.runtime.spawn(link))).unwrap_or_else(|panic| {
                discard(panic);
                Err(SpawnError::new("the runtime panicked"))
            });
        match spawned {
            Ok(handle) => {
                self.state.slots.insert(worker, Slot { handle, run: None });
                bump(&mut self.state.totals.spawned);
                let workers = self.state.lifecycle.size();
                self.publish(
                    None,
                    Notice::Spawned(WorkerSpawned {
                        worker_id: worker,
                        workers,
                    }),
                );
                Some(worker)
            }
            Err(error) => {
                tracing::error!(error = %error.source, "a worker could not be started");
                self.forget(worker);
                self.spawn_failed();
                None
            }
        }
    }

    fn spawn_failed(&mut self) {
        bump(&mut self.state.totals.spawn_failures);
        self.state.spawn_backoff.failed(self.now);
    }

    /// Keeps the fewest workers alive.
    pub(super) fn replenish(&mut self) {
        while self.state.phase != Phase::Closed && self.state.lifecycle.size() < self.pool.config.min_workers
        {
            let Some(worker) = self.spawn_one() else {
                return;
            };
            self.state.idle.push(worker);
        }
    }

    /// Starts the workers that wait for kills to be carried out.
    pub(super) fn replace(&mut self, kills: usize) {
        self.state.kills_pending = self.state.kills_pending.saturating_sub(kills);
        self.replenish();
        self.dispatch();
    }

    /// Takes a worker out of all books.
    fn forget(&mut self, worker: WorkerId) -> Option<Slot<R, T>> {
        if self.state.lifecycle.state(worker) == Some(WorkerState::Idle) {
            self.state.idle.retain(|idle| *idle != worker);
        }
        if let Err(error) = self.state.lifecycle.kill(worker, self.now) {
            tracing::error!(%error, "a worker could not be taken out");
        }
        self.state.slots.remove(&worker)
    }

    /// Lets a draining worker without a request go.
    fn bury(&mut self, worker: WorkerId) {
        let reason = self
            .state
            .lifecycle
            .recycle_reason(worker)
            .unwrap_or(RecycleReason::Manual);
        let requests = self.state.lifecycle.requests(worker);
        if let Some(slot) = self.forget(worker) {
            self.effects.push(Effect::Retire(slot.handle));
        }
        if let Some(count) = self.state.totals.recycled.get_mut(reason.index()) {
            bump(count);
        }
        self.publish(
            None,
            Notice::Recycled(WorkerRecycled {
                worker_id: worker,
                reason,
                requests,
            }),
        );
    }

    pub(super) fn recycle(&mut self, worker: WorkerId, reason: RecycleReason) -> Result<(), LifecycleError> {
        let was = self.state.lifecycle.state(worker);
        self.state.lifecycle.recycle(worker, reason, self.now)?;
        if was == Some(WorkerState::Idle) {
            self.state.idle.retain(|idle| *idle != worker);
            self.bury(worker);
        }
        Ok(())
    }

    /// Takes a worker away, and its request with it.
    fn lose(&mut self, worker: WorkerId, ending: Ending, kill: bool, error: impl FnOnce() -> RequestError) {
        if let Some(run) = self.take_run(worker) {
            self.settle(worker, &run, ending);
            self.answer(run.answer, Err(error()));
        }
        if let Some(slot) = self.forget(worker)
            && kill
        {
            self.state.kills_pending += 1;
            self.effects.push(Effect::Kill(slot.handle));
        }
    }

    /// By which the log knows what a worker is busy with.
    fn request_of(&self, worker: WorkerId) -> Option<openclaw_core::CorrelationId> {
        let run = self.state.slots.get(&worker)?.run.as_ref()?;
        run.correlation_id
    }

    pub(super) fn kill(&mut self, worker: WorkerId) -> Result<(), LifecycleError> {
        match self.state.lifecycle.state(worker) {
            None => return Err(LifecycleError::UnknownWorker { worker }),
            Some(WorkerState::Stuck) => {
                // Its kill is under way; the operator need not see it any longer.
                self.forget(worker);
            }
            Some(WorkerState::Idle | WorkerState::Busy | WorkerState::Draining | WorkerState::Dead) => {
                bump(&mut self.state.totals.killed);
                self.lose(worker, Ending::Lost, true, || RequestError::Killed { worker });
            }
        }
        self.replenish();
        self.dispatch();
        Ok(())
    }

    pub(super) fn timed_out(&mut self, worker: WorkerId) {
        let limit = self.pool.config.worker_timeout;
        bump(&mut self.state.totals.timed_out);
        let request = self.request_of(worker).map(tracing::field::display);
        tracing::warn!(%worker, correlationId = request, limit_ms = millis(limit), "a request ran out of time; its worker is killed");
        self.lose(worker, Ending::OutOfTime, true, || {
            RequestError::Timeout(crate::error::WorkerTimeoutError { worker, limit })
        });
    }

    /// Declares a worker stuck: its request is answered and its place is free at once. It stays in the book, to be
    /// seen, until the runtime says it is gone.
    pub(super) fn stuck(&mut self, worker: WorkerId, silent_for: Duration) {
        bump(&mut self.state.totals.stuck);
        let request = self.request_of(worker).map(tracing::field::display);
        tracing::warn!(%worker, correlationId = request, silent_ms = millis(silent_for), "a worker gives no sign of life; it is killed");
        let run = self.take_run(worker);
        self.publish(
            run.as_ref().and_then(|run| run.correlation_id),
            Notice::Stuck(WorkerStuck {
                worker_id: worker,
                silent_for_ms: millis(silent_for),
            }),
        );
        if let Some(run) = run {
            self.settle(worker, &run, Ending::Lost);
            let error = WorkerStuckError { worker, silent_for };
            self.answer(run.answer, Err(RequestError::Stuck(error)));
        }
        if let Err(error) = self
            .state
            .lifecycle
            .transition(worker, WorkerState::Stuck, self.now)
        {
            tracing::error!(%error, "a silent worker could not be declared stuck");
        }
        if let Some(slot) = self.state.slots.get(&worker) {
            self.state.kills_pending += 1;
            self.effects.push(Effect::Kill(Arc::clone(&slot.handle)));
        }
    }

    /// A stuck worker that is gone, or waited for long enough.
    pub(super) fn forget_stuck(&mut self, worker: WorkerId) {
        self.forget(worker);
    }

    // --- what workers report

    pub(super) fn finished(&mut self, worker: WorkerId, run: RunId, answer: T) {
        let current = self
            .state
            .slots
            .get(&worker)
            .and_then(|slot| slot.run.as_ref())
            .is_some_and(|current| current.id == run);
        let ended = if current { self.take_run(worker) } else { None };
        let Some(ended) = ended else {
            bump(&mut self.state.totals.late_results);
            self.effects.push(Effect::DropAnswer(answer));
            return;
        };
        self.settle(worker, &ended, Ending::Finished);
        self.answer(ended.answer, Ok(answer));
        let requests = self.state.lifecycle.request_ended(worker);
        if self.state.lifecycle.state(worker) == Some(WorkerState::Busy) {
            let next = if requests >= self.pool.config.max_requests_per_worker {
                self.state
                    .lifecycle
                    .recycle(worker, RecycleReason::RequestLimit, self.now)
            } else {
                self.state
                    .lifecycle
                    .transition(worker, WorkerState::Idle, self.now)
                    .map(|()| self.state.idle.push(worker))
            };
            if let Err(error) = next {
                tracing::error!(%error, "a worker that finished could not move on");
            }
        }
        if self.state.lifecycle.state(worker) == Some(WorkerState::Draining) {
            self.bury(worker);
        }
        self.state.spawn_backoff.succeeded();
        self.replenish();
        self.dispatch();
    }

    pub(super) fn exited(&mut self, worker: WorkerId, exit: WorkerExit) {
        let Some(state) = self.state.lifecycle.state(worker) else {
            return;
        };
        let limit_mb = self.pool.config.memory_limit_mb;
        match state {
            WorkerState::Stuck => self.forget_stuck(worker),
            WorkerState::Idle | WorkerState::Busy | WorkerState::Draining | WorkerState::Dead => {
                let error = match exit {
                    WorkerExit::OutOfMemory => {
                        bump(&mut self.state.totals.out_of_memory);
                        RequestError::OutOfMemory(WorkerOutOfMemoryError { worker, limit_mb })
                    }
                    WorkerExit::Crashed { reason } => {
                        bump(&mut self.state.totals.crashed);
                        RequestError::Crashed { worker, reason }
                    }
                    WorkerExit::Ended => {
                        bump(&mut self.state.totals.crashed);
                        let reason = "it ended by itself".to_owned();
                        RequestError::Crashed { worker, reason }
                    }
                };
                let request = self.request_of(worker).map(tracing::field::display);
                tracing::warn!(%worker, correlationId = request, %error, "a worker is gone");
                if self.state.lifecycle.requests(worker) == 0 && state == WorkerState::Idle {
                    // It never came up: the next one is not tried at once.
                    self.spawn_failed();
                }
                self.lose(worker, Ending::Lost, false, || error);
            }
        }
        self.replenish();
        self.dispatch();
    }

    // --- ends of requests

    pub(super) fn cancel(&mut self, signal: &Arc<Signal>) {
        let place = *signal.place.lock();
        match place {
            Place::Nowhere => {}
            Place::Running => self.effects.push(Effect::Cancel(Arc::clone(signal))),
            Place::Queued(id) => {
                let Some(entry) = self.state.scheduler.remove(id) else {
                    return;
                };
                *signal.place.lock() = Place::Nowhere;
                self.unserved(entry.submission.request, RequestError::Cancelled);
                // The next of its key may have moved up.
                self.dispatch();
            }
        }
    }

    /// Ends a request that was taken out of the queue.
    pub(super) fn unserved(&mut self, job: Job<R, T>, error: RequestError) {
        bump(&mut self.state.totals.cancelled);
        self.ended();
        self.answer(job.answer, Err(error));
        self.effects.push(Effect::DropRequest(job.request));
    }

    /// Takes the request off a worker and frees its key.
    fn take_run(&mut self, worker: WorkerId) -> Option<Run<T>> {
        let run = self.state.slots.get_mut(&worker)?.run.take()?;
        *run.signal.place.lock() = Place::Nowhere;
        if let Some(key) = &run.exclusive {
            self.state.scheduler.release(key);
        }
        Some(run)
    }

    /// Enters the end of a run in the books.
    fn settle(&mut self, worker: WorkerId, run: &Run<T>, ending: Ending) {
        self.ended();
        if ending == Ending::Interrupted {
            return;
        }
        let ran = self.now.saturating_since(run.started_at);
        let outcome = match ending {
            Ending::Finished if run.signal.is_cancelled() => RequestOutcome::Cancelled,
            Ending::Finished if !run.signal.is_failed() => RequestOutcome::Answered,
            Ending::Finished | Ending::Lost | Ending::OutOfTime | Ending::Interrupted => {
                RequestOutcome::Failed
            }
        };
        match outcome {
            RequestOutcome::Cancelled => bump(&mut self.state.totals.cancelled),
            RequestOutcome::Answered | RequestOutcome::Failed => {
                bump(&mut self.state.processed);
                if outcome == RequestOutcome::Failed {
                    bump(&mut self.state.errors);
                }
                self.effects.push(Effect::Record {
                    latency: self.now.saturating_since(run.queued_at),
                    completed: ending == Ending::Finished,
                });
            }
        }
        let seconds = ran.as_secs_f64();
        self.state.service_seconds = Some(
            self.state
                .service_seconds
                .map_or(seconds, |mean| mean * 0.9 + seconds * 0.1),
        );
        let notice = if ending == Ending::OutOfTime {
            Notice::TimedOut(RequestTimedOut {
                request_id: run.signal.number,
                tenant_id: Arc::clone(&run.tenant),
                worker_id: Some(worker),
                elapsed_ms: millis(self.now.saturating_since(run.queued_at)),
            })
        } else {
            Notice::Completed(RequestCompleted {
                request_id: run.signal.number,
                tenant_id: Arc::clone(&run.tenant),
                worker_id: worker,
                outcome,
                waited_ms: millis(run.started_at.saturating_since(run.queued_at)),
                ran_ms: millis(ran),
            })
        };
        self.publish(run.correlation_id, notice);
    }

    fn ended(&mut self) {
        if self.state.phase != Phase::Open {
            bump(&mut self.state.ended_in_shutdown);
        }
    }

    // --- shutting down

    pub(super) fn begin_shutdown(&mut self) {
        if self.state.phase == Phase::Open {
            self.state.phase = Phase::Draining;
        }
    }

    /// Ends everything. Gives what never reached a worker, in the order it would have been served, and how many
    /// requests were interrupted.
    pub(super) fn close(&mut self) -> (Vec<R>, usize) {
        self.state.phase = Phase::Closed;
        let mut returned = Vec::with_capacity(self.state.scheduler.len());
        for submission in self.state.scheduler.drain(self.now) {
            let job = submission.request;
            *job.signal.place.lock() = Place::Nowhere;
            self.answer(job.answer, Err(RequestError::ShuttingDown));
            returned.push(job.request);
        }
        let workers: Vec<WorkerId> = self.state.lifecycle.ids().collect();
        let mut interrupted = 0;
        for worker in workers {
            if self
                .state
                .slots
                .get(&worker)
                .is_some_and(|slot| slot.run.is_some())
            {
                interrupted += 1;
            }
            self.lose(worker, Ending::Interrupted, true, || RequestError::ShuttingDown);
        }
        (returned, interrupted)
    }

    // --- after every step

    /// Notes whether the pool refuses for its load, and begins a spell of pressure where it does. Says whether a
    /// request would be taken now: whoever waits for that is woken for nothing less, or they would wake each other.
    pub(super) fn watch_pressure(&mut self) -> bool {
        let load = self.load();
        let rejecting = load.should_reject(&self.pool.config);
        if rejecting {
            self.state.pressure.last_seen = self.now;
            if self.state.pressure.since.is_none() {
                self.state.pressure.since = Some(self.now);
                bump(&mut self.state.totals.backpressure_activations);
                let queue_depth = self.state.queue_depth();
                self.publish(
                    None,
                    Notice::Activated(BackpressureActivated {
                        level: load.level(),
                        queue_depth,
                        reason: RefusalReason::Overloaded,
                    }),
                );
            }
        }
        !rejecting
            && self.state.phase == Phase::Open
            && self.state.queue_depth() < self.pool.config.max_queue_size
    }

    pub(super) fn publish(&mut self, correlation_id: Option<openclaw_core::CorrelationId>, notice: Notice) {
        self.effects.push(Effect::Publish(correlation_id, notice));
    }

    fn answer(
        &mut self,
        asked: tokio::sync::oneshot::Sender<Result<T, RequestError>>,
        answer: Result<T, RequestError>,
    ) {
        self.effects.push(Effect::Answer(asked, answer));
    }
}

fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
