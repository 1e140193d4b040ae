//! Workers as child processes, for the pool of `openclaw-concurrency`: any program in any language that reads and
//! writes JSON Lines can be one.
//!
//! For each request the runtime calls a handler in this process and gives it a [`ChildWorker`]. The handler does the
//! server's part of the work and asks the child as often as it needs; the child's [`Answer`] is a stream of
//! [`ModelEvent`](openclaw_core::ModelEvent)s, so that a child can stand where a model's provider stands. The child
//! beats its own heart while it answers; the runtime beats for it only while the handler works.
//!
//! ```no_run
//! use futures::StreamExt;
//! use openclaw_concurrency::{ConcurrencyConfig, Submission, WorkerPool};
//! use openclaw_core::{ChatMessage, Clock, EventContext, InProcessEventBus, ModelEvent, Role};
//! use openclaw_process_runtime::{ProcessConfig, ProcessRuntime, WorkerCommand, WorkerRequest};
//! use openclaw_system::SystemClock;
//! use std::sync::Arc;
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let events = EventContext::new(InProcessEventBus::new(), Arc::clone(&clock), "concurrency");
//! let runtime = ProcessRuntime::new(
//!     ProcessConfig::new(WorkerCommand::new("python3", ["docs/examples/worker.py"])),
//!     Arc::clone(&clock),
//!     |question: String, _context, mut child| async move {
//!         let messages = vec![ChatMessage::text(Role::User, question)];
//!         let mut answer = child.ask(WorkerRequest { messages, max_output_tokens: 0 }).await;
//!         let mut text = String::new();
//!         while let Some(event) = answer.next().await {
//!             if let Ok(ModelEvent::TextDelta(piece)) = event {
//!                 text.push_str(&piece);
//!             }
//!         }
//!         text
//!     },
//! )?;
//! let pool = WorkerPool::new(ConcurrencyConfig::default(), runtime, Arc::clone(&clock), events)?;
//! let ticket = pool.submit(Submission::new("one two".to_owned(), "web:1:1", clock.monotonic()))?;
//! # futures::executor::block_on(async {
//! assert_eq!(ticket.await?, "one two ");
//! # Ok::<(), openclaw_concurrency::RequestError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! - A child runs in a process group of its own. However it ends — killed, retired, crashed, dropped with the runtime —
//!   the whole group is ended, always before the child is reaped, so that no other group can be hit. A kill reaches the
//!   group before [`WorkerHandle::kill`](openclaw_concurrency::WorkerHandle::kill) returns.
//! - Nothing a child writes is kept without bound: the length of a line, the bytes a second, the length of an answer
//!   and the events not yet taken have limits ([`ProcessConfig`]). A child that breaks one is replaced; one that writes
//!   faster than its answer is read waits in its pipe.
//! - A child costs at most the request it works on. One that ends with status 0 after an answer, before it has begun the
//!   next, costs none.
//! - Memory is the resident set of the child and all that descends from it, sampled. At the pool's limit the worker is
//!   drained, at [`ProcessConfig::hard_memory_percent`] it is ended, and the kernel refuses it twice that.
//! - A child sees of the server's environment only what [`WorkerCommand`] names.
//! - No word of a child's line gets into an error or a log; its standard error is the log it chose to write.
//!
//! # What it does not do
//!
//! It runs on Unix; memory and the kernel's limit need Linux. A process that leaves its group and its parent (a daemon)
//! is not found again: confine workers you do not trust with a container or a user of their own, which is also where a
//! limit on the number of processes belongs. What hooks, budgets and replies do with an answer is the handler's.
//!
//! What goes wrong with the processes is logged and counted: [`ProcessRuntime::troubles`].
//!
//! Where the handler's work is a turn that asks a model, [`WorkerModel`] puts the child in the model's place.
//!
//! Reading order: `runtime`, `worker` (the task), `process` (the child), `frame` (the wire), `answer`, `model`, `troubles`.

#![forbid(unsafe_code)]

mod answer;
mod config;
mod fault;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod leash;
mod lines;
mod memory;
mod meter;
mod model;
mod process;
mod runtime;
mod stderr;
mod troubles;
mod worker;

pub use answer::{Answer, ChildWorker, WorkerRefusal};
pub use config::{ProcessConfig, WorkerCommand};
pub use frame::WorkerRequest;
pub use model::WorkerModel;
pub use runtime::ProcessRuntime;
pub use troubles::{WorkerFailure, WorkerFailures, WorkerTroubles};
