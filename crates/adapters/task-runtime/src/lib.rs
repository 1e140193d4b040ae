//! Workers as tokio tasks, for the pool of `openclaw-concurrency`.
//!
//! A worker is one long-lived task that is handed requests, runs the handler on each and beats its heart from the
//! very task that does the work: a handler that blocks its thread stops the beats, and the pool finds out. Workers
//! run on threads of their own ([`TaskRuntime::new`]), so that the threads that serve the network, and the pool's
//! housekeeping, go on whatever a handler does. [`TaskRuntime::on`] shares the caller's runtime instead, which is
//! right for tests and small programs. [`TaskRuntime::beside_callers`] has requests that only wait for others run there,
//! where their callers are, and all else on the workers' own threads.
//!
//! ```
//! use openclaw_concurrency::{ConcurrencyConfig, Submission, WorkerPool};
//! use openclaw_core::{Clock, EventContext, InProcessEventBus};
//! use openclaw_system::SystemClock;
//! use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
//! use std::sync::Arc;
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let events = EventContext::new(InProcessEventBus::new(), Arc::clone(&clock), "concurrency");
//! let runtime = TaskRuntime::new(
//!     TaskRuntimeConfig { threads: 2, ..TaskRuntimeConfig::default() },
//!     Arc::clone(&clock),
//!     |word: String, _context| async move { word.len() },
//! )?;
//! let pool = WorkerPool::new(ConcurrencyConfig::default(), runtime, Arc::clone(&clock), events)?;
//! let ticket = pool.submit(Submission::new("worker".to_owned(), "web:1:1", clock.monotonic()))?;
//! # futures::executor::block_on(async {
//! assert_eq!(ticket.await?, 6);
//! # Ok::<(), openclaw_concurrency::RequestError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it cannot do: end code that blocks its thread and never yields. Killing such a worker answers its request and
//! frees its place; the thread is abandoned and counted ([`WorkerRuntime::abandoned`](openclaw_concurrency::WorkerRuntime::abandoned)).
//! When every thread is abandoned, or has been held by one task for longer than a heartbeat, workers that are handed
//! something new get new threads, up to [`TaskRuntimeConfig::max_abandoned`] in all. A request that had begun on the
//! held threads and waits there cannot be moved; it goes on when a thread comes back, or ends as its worker is declared
//! stuck. A worker's memory is the server's and its part cannot be told.
//!
//! Reading order: [`TaskRuntime`], then the worker's task, then the threads.

#![forbid(unsafe_code)]

mod letters;
mod runtime;
mod threads;
mod worker;

pub use runtime::{TaskRuntime, TaskRuntimeConfig};
