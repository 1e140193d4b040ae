//! What waits, for an operator: seen, counted, and taken out.

use super::WorkerPool;
use super::state::Job;
use super::step::Step;
use crate::error::RequestError;
use crate::priority::Priority;
use crate::scheduler::Queued;
use crate::work::Place;
use openclaw_core::{CorrelationId, Monotonic};
use std::sync::Arc;

/// A request that waits for a worker.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a, R> {
    /// Its number in its pool, as its events name it.
    pub number: u64,
    /// What it asks for.
    pub request: &'a R,
    /// Whose it is.
    pub tenant: &'a Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was accepted.
    pub accepted_at: Monotonic,
    /// Which message it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// Whether a worker could take it now. Otherwise it waits for the one before it of its key.
    pub ready: bool,
}

impl<'a, R> Waiting<'a, R> {
    fn of<T>(queued: &Queued<'a, Job<R, T>>) -> Self {
        let submission = queued.submission;
        Self {
            number: submission.request.signal.number,
            request: &submission.request.request,
            tenant: &submission.tenant,
            priority: submission.priority,
            accepted_at: submission.accepted_at,
            correlation_id: submission.correlation_id,
            ready: queued.ready,
        }
    }
}

impl<R: Send + 'static, T: Send + 'static> WorkerPool<R, T> {
    /// Looks at everything that waits, in no order. `look` runs under the pool's lock: it must be quick and must not use
    /// the pool.
    pub fn waiting<X>(&self, mut look: impl FnMut(Waiting<'_, R>) -> X) -> Vec<X> {
        let state = self.shared.state.lock();
        state
            .scheduler
            .queued()
            .map(|queued| look(Waiting::of(&queued)))
            .collect()
    }

    /// Takes the first request out that `choose` gives something for, before it reaches a worker: it ends with
    /// [`RequestError::Dropped`]. `None` when there is none. As with [`WorkerPool::waiting`], `choose` must be quick.
    pub fn drop_waiting<X>(&self, choose: impl FnMut(Waiting<'_, R>) -> Option<X>) -> Option<X> {
        self.shared.step(|step| step.drop_waiting(choose))
    }
}

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    fn drop_waiting<X>(&mut self, mut choose: impl FnMut(Waiting<'_, R>) -> Option<X>) -> Option<X> {
        let (id, chosen) = self
            .state
            .scheduler
            .queued()
            .find_map(|queued| Some((queued.id, choose(Waiting::of(&queued))?)))?;
        let entry = self.state.scheduler.remove(id)?;
        let job = entry.submission.request;
        job.signal.place.set(Place::Nowhere);
        self.unserved(job, RequestError::Dropped);
        // The next of its key may have moved up.
        self.dispatch();
        Some(chosen)
    }
}
