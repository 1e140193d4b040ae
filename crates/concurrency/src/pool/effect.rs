//! What a step of the pool leaves to be done once the lock is released: whatever runs foreign code.

use super::shared::Shared;
use crate::error::RequestError;
use crate::event::{
    BackpressureActivated, BackpressureReleased, RequestCompleted, RequestStarted, RequestTimedOut,
    WorkerRecycled, WorkerSpawned, WorkerStuck,
};
use crate::ports::WorkerHandle;
use crate::work::{Assignment, Signal};
use openclaw_core::CorrelationId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) enum Effect<R, T> {
    Run(Arc<dyn WorkerHandle<R>>, Assignment<R>),
    Retire(Arc<dyn WorkerHandle<R>>),
    Kill(Arc<dyn WorkerHandle<R>>),
    Cancel(Arc<Signal>),
    Answer(oneshot::Sender<Result<T, RequestError>>, Result<T, RequestError>),
    Record {
        latency: Duration,
        completed: bool,
    },
    Publish(Option<CorrelationId>, Notice),
    /// Dropped outside the lock, since a request's own drop is foreign code too.
    DropRequest(R),
    DropAnswer(T),
}

pub(super) enum Notice {
    Spawned(WorkerSpawned),
    Recycled(WorkerRecycled),
    Stuck(WorkerStuck),
    Started(RequestStarted),
    Completed(RequestCompleted),
    TimedOut(RequestTimedOut),
    Activated(BackpressureActivated),
    Released(BackpressureReleased),
}

impl<R: Send + 'static, T: Send + 'static> Effect<R, T> {
    pub(super) fn carry_out(self, pool: &Shared<R, T>) {
        match self {
            Self::Run(worker, assignment) => worker.run(assignment),
            Self::Retire(worker) => worker.retire(),
            Self::Kill(worker) => worker.kill(),
            Self::Cancel(request) => request.cancel(),
            // Whoever asked may be gone; then nobody wants the answer.
            Self::Answer(asked, answer) => drop(asked.send(answer)),
            Self::Record { latency, completed } => {
                pool.latencies.record(pool.clock.monotonic(), latency, completed);
            }
            Self::Publish(correlation_id, notice) => {
                let events = &pool.events;
                match notice {
                    Notice::Spawned(event) => events.publish(correlation_id, || event),
                    Notice::Recycled(event) => events.publish(correlation_id, || event),
                    Notice::Stuck(event) => events.publish(correlation_id, || event),
                    Notice::Started(event) => events.publish(correlation_id, || event),
                    Notice::Completed(event) => events.publish(correlation_id, || event),
                    Notice::TimedOut(event) => events.publish(correlation_id, || event),
                    Notice::Activated(event) => events.publish(correlation_id, || event),
                    Notice::Released(event) => events.publish(correlation_id, || event),
                }
            }
            Self::DropRequest(request) => drop(request),
            Self::DropAnswer(answer) => drop(answer),
        }
    }
}
