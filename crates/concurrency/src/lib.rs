//! A worker pool.

#![forbid(unsafe_code)]

pub mod backpressure;
pub mod config;
pub mod error;
pub mod event;
mod latency;
pub mod lifecycle;
pub mod metrics;
pub mod pool;
pub mod ports;
pub mod priority;
pub mod scheduler;
pub mod session_mutex;
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
pub use pool::{Admission, Canceller, ShutdownReport, Ticket, WorkerPool};
pub use ports::{
    MemoryInUse, SessionGuard, SessionLocks, WorkerExit, WorkerHandle, WorkerLink, WorkerReports,
    WorkerRuntime,
};
pub use priority::Priority;
pub use scheduler::{Dequeued, EntryId, PriorityScheduler, Rejected, Scheduled};
pub use session_mutex::SessionMutex;
pub use work::{Assignment, RunId, Submission, WorkContext};
