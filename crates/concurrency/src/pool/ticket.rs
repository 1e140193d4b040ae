//! What a caller holds of the pool: a place in the queue, then a request's future and the means to cancel it.

use super::shared::Shared;
use crate::error::RequestError;
use crate::work::{Signal, Submission};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A place in the queue, taken before the request is at hand. It counts in `queueDepth`; dropping it gives it back.
#[must_use = "dropping an admission gives the place back"]
pub struct Admission<R: Send + 'static, T: Send + 'static> {
    pool: Arc<Shared<R, T>>,
    used: bool,
}

/// A request's end, as a future. Dropping it cancels the request: one that waits leaves the queue, one that runs is
/// told and its answer is thrown away.
#[must_use = "dropping a ticket cancels its request; detach it to let it run on"]
pub struct Ticket<T> {
    answer: oneshot::Receiver<Result<T, RequestError>>,
    canceller: Canceller,
    /// Whether dropping still has something to cancel.
    live: bool,
}

/// Cancels one request, from anywhere. Keeps nothing of the request alive but its number.
#[derive(Clone)]
pub struct Canceller {
    pub(super) request: Arc<Signal>,
    pub(super) pool: Arc<dyn Cancels>,
}

/// A pool whose request and response types do not matter.
pub(super) trait Cancels: Send + Sync {
    fn cancel(self: Arc<Self>, request: &Arc<Signal>);
}

// === impl Admission ===

impl<R: Send + 'static, T: Send + 'static> Admission<R, T> {
    pub(super) fn new(pool: Arc<Shared<R, T>>) -> Self {
        Self { pool, used: false }
    }

    /// Uses the place. Never refused: a request whose pool has closed meanwhile ends with
    /// [`RequestError::ShuttingDown`], and is dropped.
    pub fn submit(mut self, submission: Submission<R>) -> Ticket<T> {
        self.used = true;
        self.pool.enqueue(submission)
    }
}

impl<R: Send + 'static, T: Send + 'static> Drop for Admission<R, T> {
    fn drop(&mut self) {
        if !self.used {
            self.pool.give_back();
        }
    }
}

impl<R: Send + 'static, T: Send + 'static> fmt::Debug for Admission<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

// === impl Ticket ===

impl<T> Ticket<T> {
    pub(super) fn new(answer: oneshot::Receiver<Result<T, RequestError>>, canceller: Canceller) -> Self {
        Self {
            answer,
            canceller,
            live: true,
        }
    }

    /// The request's number in its pool, as its events name it.
    pub fn request_id(&self) -> u64 {
        self.canceller.request.number
    }

    /// Something that cancels the request and can be kept elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Lets the request run on with nobody waiting for it.
    pub fn detach(mut self) {
        self.live = false;
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.answer).poll(context);
        if ended.is_ready() {
            self.live = false;
        }
        // The pool answers every request; without it there is nobody left to.
        ended.map(|answer| answer.unwrap_or(Err(RequestError::ShuttingDown)))
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        if self.live {
            self.canceller.cancel();
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("request_id", &self.request_id())
            .finish_non_exhaustive()
    }
}

// === impl Canceller ===

impl Canceller {
    /// Cancels the request. One that waits ends with [`RequestError::Cancelled`]; one that runs is told through its
    /// [`WorkContext`](crate::WorkContext) and ends when its handler does; one that has ended is left alone.
    pub fn cancel(&self) {
        Arc::clone(&self.pool).cancel(&self.request);
    }

    /// Whether the request was cancelled while it ran.
    pub fn is_cancelled(&self) -> bool {
        self.request.is_cancelled()
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("request_id", &self.request.number)
            .finish_non_exhaustive()
    }
}
