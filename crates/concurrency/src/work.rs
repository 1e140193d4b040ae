//! What a worker is given with a request: whose it is, until when, and the signal to stop.

use crate::lifecycle::WorkerId;
use crate::priority::Priority;
use crate::scheduler::EntryId;
use crate::sync::between;
use openclaw_core::{CorrelationId, Monotonic};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use tokio::sync::Notify;

/// A request on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission<R> {
    /// What a worker is to do.
    pub request: R,
    /// Whose it is: tenants of one priority take turns.
    pub tenant: Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
    /// A key it needs alone, such as its session: while one of that key runs, the others wait in their order.
    pub exclusive: Option<Arc<str>>,
    /// When it was accepted. Its age counts from here.
    pub accepted_at: Monotonic,
    /// When it leaves the queue with an error if it has not reached a worker.
    pub deadline: Option<Monotonic>,
    /// Which message it belongs to.
    pub correlation_id: Option<CorrelationId>,
}

/// The number of one hand-over of a request to a worker. Grows with each; a result that carries an old one is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub(crate) u64);

/// A request handed to a worker.
#[derive(Debug)]
pub struct Assignment<R> {
    /// What to do.
    pub request: R,
    /// For whom, until when.
    pub context: WorkContext,
}

/// What a running request may know and say. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkContext {
    worker: WorkerId,
    run: RunId,
    deadline: Monotonic,
    signal: Arc<Signal>,
}

/// One request as its ticket, the pool and its worker know it together.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The request's number in its pool.
    pub(crate) number: u64,
    pub(crate) tenant: Arc<str>,
    pub(crate) correlation_id: Option<CorrelationId>,
    pub(crate) place: StandsAt,
    cancelled: AtomicBool,
    failed: AtomicBool,
    changed: Notify,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Queued(EntryId),
    Running,
    /// Or not yet queued.
    Nowhere,
}

/// A place that is read and written under the pool's lock only, whose holder the atomics need not order again.
#[derive(Debug)]
pub(crate) struct StandsAt {
    slot: AtomicU32,
    sequence: AtomicU64,
}

/// Lets the other tasks of this thread go first, those that were just woken among them: the task that awaits it wakes
/// itself and goes to the end of its executor's queue, from where idle threads can take it. `yield_now` of tokio would put
/// it aside until its thread has nothing else to do, in no queue: behind a task that blocks the thread nobody would find
/// it. Ends at the next poll; dropping it changes nothing.
pub async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// === impl Submission ===

impl<R> Submission<R> {
    /// A request of normal priority, with no key, no deadline and no message it belongs to.
    pub fn new(request: R, tenant: impl Into<Arc<str>>, accepted_at: Monotonic) -> Self {
        Self {
            request,
            tenant: tenant.into(),
            priority: Priority::Normal,
            exclusive: None,
            accepted_at,
            deadline: None,
            correlation_id: None,
        }
    }

    /// The same place in line for another request.
    pub fn map<S>(self, request: impl FnOnce(R) -> S) -> Submission<S> {
        Submission {
            request: request(self.request),
            tenant: self.tenant,
            priority: self.priority,
            exclusive: self.exclusive,
            accepted_at: self.accepted_at,
            deadline: self.deadline,
            correlation_id: self.correlation_id,
        }
    }
}

// === impl RunId ===

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl WorkContext ===

impl WorkContext {
    pub(crate) fn new(worker: WorkerId, run: RunId, deadline: Monotonic, signal: Arc<Signal>) -> Self {
        Self {
            worker,
            run,
            deadline,
            signal,
        }
    }

    /// The worker at work.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// This hand-over's number; a result is reported under it.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Which message the request belongs to.
    pub fn correlation_id(&self) -> Option<CorrelationId> {
        self.signal.correlation_id
    }

    /// The request this is about.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// When the worker is killed if it has not ended.
    pub fn deadline(&self) -> Monotonic {
        self.deadline
    }

    /// Whether the request was cancelled. A handler that sees it ends soon and may still answer.
    pub fn is_cancelled(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Ends when the request is cancelled; never otherwise. May be dropped and asked again at any time.
    pub async fn cancelled(&self) {
        self.signal.cancelled().await;
    }

    /// Says that the answer to come is a failure, so that it is counted as one.
    pub fn mark_failed(&self) {
        self.signal.failed.store(true, Ordering::Release);
    }
}

// === impl Signal ===

impl Signal {
    pub(crate) fn new(number: u64, tenant: Arc<str>, correlation_id: Option<CorrelationId>) -> Self {
        Self {
            number,
            tenant,
            correlation_id,
            place: StandsAt::nowhere(),
            cancelled: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        between();
        self.changed.notify_waiters();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    async fn cancelled(&self) {
        loop {
            // The wait is registered before the flag is read, so that a cancellation between the two is not missed.
            let changed = self.changed.notified();
            between();
            if self.is_cancelled() {
                return;
            }
            changed.await;
        }
    }
}

// === impl StandsAt ===

impl StandsAt {
    /// Slots of the queue are numbered below these.
    const NOWHERE: u32 = u32::MAX;
    const RUNNING: u32 = u32::MAX - 1;

    fn nowhere() -> Self {
        Self {
            slot: AtomicU32::new(Self::NOWHERE),
            sequence: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, place: Place) {
        let slot = match place {
            Place::Nowhere => Self::NOWHERE,
            Place::Running => Self::RUNNING,
            Place::Queued(id) => {
                self.sequence.store(id.sequence, Ordering::Relaxed);
                id.slot
            }
        };
        self.slot.store(slot, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Place {
        match self.slot.load(Ordering::Relaxed) {
            Self::NOWHERE => Place::Nowhere,
            Self::RUNNING => Place::Running,
            slot => Place::Queued(EntryId {
                slot,
                sequence: self.sequence.load(Ordering::Relaxed),
            }),
        }
    }
}
