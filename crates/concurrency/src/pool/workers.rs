//! The workers of a pool: started, recycled, lost, replaced.

use super::effect::{Effect, Notice, millis};
use super::ends::Ending;
use super::shared::discard;
use super::state::{Phase, Slot};
use super::step::{Step, bump};
use crate::error::{LifecycleError, RequestError, SpawnError, WorkerOutOfMemoryError, WorkerStuckError};
use crate::event::{WorkerRecycled, WorkerSpawned, WorkerStuck};
use crate::lifecycle::{RecycleReason, WorkerId, WorkerState};
use crate::ports::{WorkerExit, WorkerLink, WorkerReports};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    /// Starts a worker if the pool may have one more. It is not in the idle list yet.
    pub(super) fn spawn_one(&mut self) -> Option<WorkerId> {
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
    pub(super) fn bury(&mut self, worker: WorkerId) {
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
    pub(super) fn lose(
        &mut self,
        worker: WorkerId,
        ending: Ending,
        kill: bool,
        error: impl FnOnce() -> RequestError,
    ) {
        if let Some(run) = self.take_run(worker) {
            self.end(worker, run, ending, Err(error()));
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
        run.signal.correlation_id
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
            run.as_ref().and_then(|run| run.signal.correlation_id),
            Notice::Stuck(WorkerStuck {
                worker_id: worker,
                silent_for_ms: millis(silent_for),
            }),
        );
        if let Some(run) = run {
            let error = WorkerStuckError { worker, silent_for };
            self.end(worker, run, Ending::Lost, Err(RequestError::Stuck(error)));
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
}
