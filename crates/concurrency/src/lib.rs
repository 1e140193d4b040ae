//! A worker pool that says no in time: admission by load, priorities with fair turns between tenants, the life of
//! workers, and honest metrics.
//!
//! It decides who is admitted, who is served next, on which worker, and when a worker is given up. It is generic over
//! what a request and an answer are and knows nothing of messages or models. It performs no input or output: workers
//! are run by a [`WorkerRuntime`], and time is the `Clock` port.
//!
//! The scheduler is a plain value and useful alone:
//!
//! ```
//! use openclaw_concurrency::{Dequeued, Priority, PriorityScheduler, Submission};
//! use openclaw_core::Monotonic;
//! use std::time::Duration;
//!
//! let now = Monotonic::ZERO;
//! let mut scheduler = PriorityScheduler::new(32, Duration::from_secs(30));
//! for (tenant, request) in [("ann", "a1"), ("ann", "a2"), ("bob", "b1")] {
//!     scheduler.enqueue(Submission::new(request, tenant, now)).expect("there is room");
//! }
//! let urgent = Submission { priority: Priority::Critical, ..Submission::new("c1", "eve", now) };
//! scheduler.enqueue(urgent).expect("there is room");
//!
//! let mut order = Vec::new();
//! while let Some(Dequeued::Ready(entry)) = scheduler.dequeue(now) {
//!     order.push(entry.submission.request);
//! }
//! assert_eq!(order, ["c1", "a1", "b1", "a2"]);
//! ```
//!
//! A [`WorkerPool`] joins it with workers; `openclaw-task-runtime` shows one at work.
//!
//! Reading order: [`config`], [`priority`], [`work`], [`scheduler`], [`backpressure`], [`lifecycle`], [`pool`],
//! [`metrics`], [`session_mutex`], then the edge: [`ports`], [`event`], [`error`].
//!
//! Invariants:
//!
//! - A decision and what follows from it are one step under one lock: a burst cannot pass a limit together.
//! - Every request that is taken is answered, once; every place, key and lock is given back when its holder is dropped.
//! - One tenant's requests of one priority are served in the order they came, one key's one at a time whatever their
//!   priority, and no tenant is served twice while another of the same priority waits (but for starved entries).
//! - Workers, waiting requests, waiters of a lock and the window of the metrics are bounded; idle tenants, keys and
//!   sessions leave nothing behind.
//!
//! What it does not do: keep anything over a restart (what a shutdown returns is the caller's), retry a request, or
//! end code that never yields (see the runtime).

#![forbid(unsafe_code)]

pub mod backpressure;
mod by_worker;
pub mod config;
pub mod error;
pub mod event;
#[cfg(test)]
mod exploration;
mod latency;
pub mod lifecycle;
mod list;
pub mod metrics;
pub mod pace;
pub mod pool;
pub mod ports;
pub mod priority;
pub mod scheduler;
pub mod session_mutex;
mod sync;
pub mod work;

pub use backpressure::Backpressure;
pub use config::{ConcurrencyConfig, ConcurrencyOptions, Machine, Preset};
pub use error::{
    AcquireError, BackpressureError, IllegalTransition, LifecycleError, QueueFullError, Refusal,
    RefusalReason, RequestError, SpawnError, SubmitError, WorkerOutOfMemoryError, WorkerStuckError,
    WorkerTimeoutError,
};
pub use lifecycle::{RecycleReason, WorkerId, WorkerInfo, WorkerLifecycle, WorkerState};
pub use metrics::{ConcurrencyMetrics, PoolTotals};
pub use pace::Pace;
pub use pool::{Admission, Canceller, ShutdownReport, Ticket, Waiting, WorkerPool};
pub use ports::{
    MemoryInUse, SessionGuard, SessionLocks, WorkerExit, WorkerHandle, WorkerLink, WorkerReports,
    WorkerRuntime,
};
pub use priority::Priority;
pub use scheduler::{Dequeued, EntryId, PriorityScheduler, Queued, Rejected, Scheduled};
pub use session_mutex::SessionMutex;
pub use work::{Assignment, RunId, Submission, WorkContext, give_way};
