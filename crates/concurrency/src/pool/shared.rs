//! The pool behind its handles: one lock, and what happens once it is released.

use super::effect::Effects;
use super::state::{Job, State};
use super::step::Step;
use super::ticket::{Canceller, Cancels, Ticket};
use crate::config::ConcurrencyConfig;
use crate::error::Refusal;
use crate::event::RequestQueued;
use crate::latency::LatencyWindow;
use crate::lifecycle::WorkerId;
use crate::ports::{WorkerExit, WorkerReports, WorkerRuntime};
use crate::sync::Mutex;
use crate::work::{RunId, Signal, Submission};
use openclaw_core::{Clock, EventContext, Monotonic};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, oneshot};

pub(super) struct Shared<R, T> {
    pub(super) config: ConcurrencyConfig,
    pub(super) runtime: Arc<dyn WorkerRuntime<R, T>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: EventContext,
    /// Guards everything the pool knows. Held for one step; never across an await, a handler or an event.
    pub(super) state: Mutex<State<R, T>>,
    pub(super) latencies: LatencyWindow,
    pub(super) last_request: AtomicU64,
    /// Told when the pool may take requests again, and when it begins to shut down.
    pub(super) admissible: Notify,
    /// Told when a shutdown has nothing left to wait for.
    pub(super) drained: Notify,
    /// Told when housekeeping has to come round earlier than it meant to.
    pub(super) nudge: Arc<Notify>,
}

impl<R: Send + 'static, T: Send + 'static> Shared<R, T> {
    /// Does one step under the lock, then what it left to be done.
    pub(super) fn step<O>(self: &Arc<Self>, step: impl FnOnce(&mut Step<'_, R, T>) -> O) -> O {
        let mut effects = Effects::new();
        let (outcome, tell) = {
            let mut state = self.state.lock();
            let mut current = Step {
                pool: self,
                // Read under the lock, so that no step sees an earlier time than the one before it.
                now: self.clock.monotonic(),
                state: &mut state,
                effects: &mut effects,
            };
            let outcome = step(&mut current);
            (outcome, current.conclude())
        };
        let kills = effects.carry_out(self);
        if kills > 0 {
            self.replace(kills);
        }
        if tell.admissible {
            self.admissible.notify_waiters();
        }
        if tell.drained {
            self.drained.notify_waiters();
        }
        if tell.nudge {
            self.nudge.notify_one();
        }
        outcome
    }

    /// Not part of [`Shared::step`], whose type parameters would nest without end.
    fn replace(self: &Arc<Self>, kills: usize) {
        self.step(move |step| step.replace(kills));
    }

    /// Takes a place. On a refusal, says the level as well.
    pub(super) fn reserve(self: &Arc<Self>) -> Result<(), (Refusal, f64)> {
        if self.state.lock().reserve_in_passing(&self.config) {
            return Ok(());
        }
        self.step(|step| {
            let level = step.load().level();
            step.reserve().map_err(|refusal| (refusal, level))
        })
    }

    pub(super) fn give_back(self: &Arc<Self>) {
        self.step(|step| step.give_back());
    }

    /// Queues a request that has a place.
    pub(super) fn enqueue(self: &Arc<Self>, submission: Submission<R>) -> Ticket<T> {
        let number = self
            .last_request
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let signal = Arc::new(Signal::new(
            number,
            Arc::clone(&submission.tenant),
            submission.correlation_id,
        ));
        // Before it is queued, so that nobody hears of its start first.
        self.events.publish(submission.correlation_id, || RequestQueued {
            request_id: number,
            tenant_id: Arc::clone(&submission.tenant),
            priority: submission.priority,
        });
        let (answer, asked) = oneshot::channel();
        let job_signal = Arc::clone(&signal);
        self.step(move |step| {
            let queued_at = step.now;
            step.enqueue(submission.map(|request| Job {
                request,
                signal: job_signal,
                answer,
                queued_at,
            }));
        });
        let pool: Arc<dyn Cancels> = Arc::clone(self) as _;
        Ticket::new(
            asked,
            Canceller {
                request: signal,
                pool,
            },
        )
    }

    pub(super) fn round(self: &Arc<Self>) -> Option<Monotonic> {
        self.step(|step| step.round())
    }
}

impl<R: Send + 'static, T: Send + 'static> WorkerReports<T> for Arc<Shared<R, T>> {
    fn heartbeat(&self, worker: WorkerId) {
        let now = self.clock.monotonic();
        self.state.lock().lifecycle.heartbeat(worker, now);
    }

    fn finished(&self, worker: WorkerId, run: RunId, answer: T) {
        self.step(|step| step.finished(worker, run, answer));
    }

    fn exited(&self, worker: WorkerId, exit: WorkerExit) {
        self.step(|step| step.exited(worker, exit));
    }
}

impl<R: Send + 'static, T: Send + 'static> Cancels for Shared<R, T> {
    fn cancel(self: Arc<Self>, request: &Arc<Signal>) {
        self.step(|step| step.cancel(request));
    }
}

/// Drops what a panic carried. That is foreign code again, and may panic in its turn.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        Box::leak(another);
    }
}
