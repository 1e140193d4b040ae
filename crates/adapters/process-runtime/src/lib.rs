//! Workers as child processes, for the pool of `openclaw-concurrency`.

#![forbid(unsafe_code)]

mod answer;
mod config;
mod fault;
mod frame;
mod leash;
mod lines;
mod memory;
mod meter;
mod process;
mod runtime;
mod stderr;
mod worker;

pub use answer::{Answer, ChildWorker, WorkerRefusal};
pub use config::{ProcessConfig, WorkerCommand};
pub use frame::WorkerRequest;
pub use runtime::ProcessRuntime;
