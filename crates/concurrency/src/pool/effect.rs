//! What a step of the pool leaves to be done once the lock is released: whatever runs foreign code.

use super::shared::{Shared, discard};
use super::state::Run;
use crate::error::RequestError;
use crate::event::{
    BackpressureActivated, BackpressureReleased, RequestCompleted, RequestOutcome, RequestStarted,
    RequestTimedOut, WorkerRecycled, WorkerSpawned, WorkerStuck,
};
use crate::lifecycle::WorkerId;
use crate::ports::WorkerHandle;
use crate::sync::between;
use crate::work::{Assignment, Signal};
use openclaw_core::{CorrelationId, Monotonic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is left to be done, in the order it came up. Most steps leave two things at most, which need no memory.
pub(super) struct Effects<R, T> {
    first: Option<Effect<R, T>>,
    second: Option<Effect<R, T>>,
    more: Vec<Effect<R, T>>,
}

pub(super) enum Effect<R, T> {
    /// Tells of the start, and hands over.
    Run(Arc<dyn WorkerHandle<R>>, Assignment<R>, Duration),
    Retire(Arc<dyn WorkerHandle<R>>),
    Kill(Arc<dyn WorkerHandle<R>>),
    Cancel(Arc<Signal>),
    /// Enters a latency in the metrics, tells of the end, and answers.
    End(Ended<T>),
    /// Answers a request that never reached a worker.
    Answer(oneshot::Sender<Result<T, RequestError>>, RequestError),
    Publish(Option<CorrelationId>, Notice),
    /// Dropped outside the lock, since a request's own drop is foreign code too.
    DropRequest(R),
    DropAnswer(T),
}

/// The end of a request that had reached a worker.
pub(super) struct Ended<T> {
    pub(super) run: Run<T>,
    pub(super) worker: WorkerId,
    pub(super) at: Monotonic,
    pub(super) answer: Result<T, RequestError>,
    pub(super) told_as: Told,
}

/// How the end of a request is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Not at all, nor counted: the pool ends.
    Nothing,
    /// As `request.completed`; a worker brought it to its end or not.
    Completed {
        outcome: RequestOutcome,
        by_worker: bool,
    },
    /// As `request.timedout`.
    TimedOut,
}

pub(super) enum Notice {
    Spawned(WorkerSpawned),
    Recycled(WorkerRecycled),
    Stuck(WorkerStuck),
    TimedOut(RequestTimedOut),
    Activated(BackpressureActivated),
    Released(BackpressureReleased),
}

// === impl Effects ===

impl<R, T> Effects<R, T> {
    pub(super) fn new() -> Self {
        Self {
            first: None,
            second: None,
            more: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, effect: Effect<R, T>) {
        if self.first.is_none() {
            self.first = Some(effect);
        } else if self.second.is_none() {
            self.second = Some(effect);
        } else {
            self.more.push(effect);
        }
    }
}

impl<R: Send + 'static, T: Send + 'static> Effects<R, T> {
    /// Carries everything out. Says how many workers were killed.
    pub(super) fn carry_out(self, pool: &Shared<R, T>) -> usize {
        let mut kills = 0;
        let mut next = |effect: Effect<R, T>| {
            kills += usize::from(matches!(effect, Effect::Kill(_)));
            between();
            effect.carry_out(pool);
        };
        if let Some(effect) = self.first {
            next(effect);
        }
        if let Some(effect) = self.second {
            next(effect);
        }
        self.more.into_iter().for_each(next);
        kills
    }
}

// === impl Effect ===

impl<R: Send + 'static, T: Send + 'static> Effect<R, T> {
    fn carry_out(self, pool: &Shared<R, T>) {
        match self {
            Self::Run(worker, assignment, waited) => {
                let context = &assignment.context;
                foreign(|| {
                    pool.events.publish(context.correlation_id(), || RequestStarted {
                        request_id: context.signal().number,
                        tenant_id: Arc::clone(&context.signal().tenant),
                        worker_id: context.worker(),
                        waited_ms: millis(waited),
                    });
                });
                between();
                foreign(|| worker.run(assignment));
            }
            Self::Retire(worker) => foreign(|| worker.retire()),
            Self::Kill(worker) => foreign(|| worker.kill()),
            Self::Cancel(request) => foreign(|| request.cancel()),
            Self::End(ended) => ended.carry_out(pool),
            // Whoever asked may be gone; then nobody wants the answer.
            Self::Answer(asked, error) => foreign(|| drop(asked.send(Err(error)))),
            Self::Publish(correlation_id, notice) => foreign(|| {
                let events = &pool.events;
                match notice {
                    Notice::Spawned(event) => events.publish(correlation_id, || event),
                    Notice::Recycled(event) => events.publish(correlation_id, || event),
                    Notice::Stuck(event) => events.publish(correlation_id, || event),
                    Notice::TimedOut(event) => events.publish(correlation_id, || event),
                    Notice::Activated(event) => events.publish(correlation_id, || event),
                    Notice::Released(event) => events.publish(correlation_id, || event),
                }
            }),
            Self::DropRequest(request) => foreign(|| drop(request)),
            Self::DropAnswer(answer) => foreign(|| drop(answer)),
        }
    }
}

// === impl Ended ===

impl<T: Send + 'static> Ended<T> {
    /// In this order, so that whoever has the answer finds it in the metrics and among the events.
    fn carry_out<R: Send + 'static>(self, pool: &Shared<R, T>) {
        let Self {
            run,
            worker,
            at,
            answer,
            told_as,
        } = self;
        let latency = at.saturating_since(run.queued_at);
        let ran = at.saturating_since(run.started_at);
        let signal = &*run.signal;
        match told_as {
            Told::Nothing => {}
            Told::Completed { outcome, by_worker } => {
                if outcome != RequestOutcome::Cancelled {
                    pool.latencies.record(at, latency, ran, by_worker);
                }
                foreign(|| {
                    pool.events.publish(signal.correlation_id, || RequestCompleted {
                        request_id: signal.number,
                        tenant_id: Arc::clone(&signal.tenant),
                        worker_id: worker,
                        outcome,
                        waited_ms: millis(run.started_at.saturating_since(run.queued_at)),
                        ran_ms: millis(ran),
                    });
                });
            }
            Told::TimedOut => {
                pool.latencies.record(at, latency, ran, false);
                foreign(|| {
                    pool.events.publish(signal.correlation_id, || RequestTimedOut {
                        request_id: signal.number,
                        tenant_id: Arc::clone(&signal.tenant),
                        worker_id: Some(worker),
                        elapsed_ms: millis(latency),
                    });
                });
            }
        }
        between();
        // Whoever asked may be gone; then nobody wants the answer.
        foreign(|| drop(run.answer.send(answer)));
    }
}

/// What a handler, a waker or a drop throws is its own affair: the other requests of a step must not be left without
/// their worker or their answer.
fn foreign(code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        tracing::error!("code outside the pool panicked while the pool called it");
        discard(panic);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
