//! The worker pool.

use crate::config::ConcurrencyConfig;
use crate::error::{BackpressureError, LifecycleError, RequestError, SubmitError};
use crate::lifecycle::{WorkerId, WorkerInfo};
use crate::metrics::{ConcurrencyMetrics, PoolTotals};
use crate::ports::WorkerRuntime;
use crate::work::Submission;
use openclaw_core::{Clock, EventContext, ValidationError};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The worker pool.
#[derive(Debug)]
pub struct WorkerPool<R, T>(PhantomData<fn(R) -> T>);

/// A place in the queue, taken before the request is at hand. Dropping it gives the place back.
#[derive(Debug)]
pub struct Admission<R, T>(PhantomData<fn(R) -> T>);

/// A request's future. Dropping it cancels the request.
#[derive(Debug)]
pub struct Ticket<T>(PhantomData<fn() -> T>);

/// Cancels one request, from anywhere.
#[derive(Clone, Debug)]
pub struct Canceller(());

/// What a shutdown left.
#[derive(Debug)]
pub struct ShutdownReport<R> {
    /// Requests that ended while the pool drained.
    pub finished: u64,
    /// Requests that ran when the grace was over; their callers were told.
    pub interrupted: usize,
    /// Requests that never reached a worker, in the order they would have been served.
    pub returned: Vec<R>,
}

impl<R: Send + 'static, T: Send + 'static> WorkerPool<R, T> {
    /// Starts.
    pub fn new(
        config: ConcurrencyConfig,
        runtime: Arc<dyn WorkerRuntime<R, T>>,
        clock: Arc<dyn Clock>,
        events: EventContext,
    ) -> Result<Arc<Self>, ValidationError> {
        todo!()
    }
    /// Takes a place.
    pub fn admit(&self) -> Result<Admission<R, T>, BackpressureError> {
        todo!()
    }
    /// Submits.
    pub fn submit(&self, submission: Submission<R>) -> Result<Ticket<T>, SubmitError<Submission<R>>> {
        todo!()
    }
    /// Whether `admit` would succeed now.
    pub fn would_admit(&self) -> bool {
        todo!()
    }
    /// Waits until `admit` would succeed.
    pub async fn admissible(&self) -> Result<(), BackpressureError> {
        todo!()
    }
    /// Metrics.
    pub fn metrics(&self) -> ConcurrencyMetrics {
        todo!()
    }
    /// Totals.
    pub fn totals(&self) -> PoolTotals {
        todo!()
    }
    /// Refusals.
    pub fn refusals_total(&self) -> u64 {
        self.totals().refusals
    }
    /// Workers.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        todo!()
    }
    /// Kills.
    pub fn kill(&self, worker: WorkerId) -> Result<(), LifecycleError> {
        todo!()
    }
    /// Recycles.
    pub fn recycle(&self, worker: WorkerId) -> Result<(), LifecycleError> {
        todo!()
    }
    /// Suggests.
    pub fn suggest_worker_count(&self) -> usize {
        todo!()
    }
    /// Pauses.
    pub fn pause(&self) {
        todo!()
    }
    /// Resumes.
    pub fn resume(&self) {
        todo!()
    }
    /// Whether paused.
    pub fn is_paused(&self) -> bool {
        todo!()
    }
    /// Shuts down.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport<R> {
        todo!()
    }
}

impl<R: Send + 'static, T: Send + 'static> Admission<R, T> {
    /// Submits.
    pub fn submit(self, submission: Submission<R>) -> Ticket<T> {
        todo!()
    }
}

impl<T> Ticket<T> {
    /// A canceller.
    pub fn canceller(&self) -> Canceller {
        todo!()
    }
    /// Lets it run on.
    pub fn detach(self) {
        todo!()
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, RequestError>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

impl Canceller {
    /// Cancels.
    pub fn cancel(&self) {
        todo!()
    }
}
