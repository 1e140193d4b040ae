//! What the pool tells the rest of the system. Ids, counts and durations; never what a request holds.

use crate::error::RefusalReason;
use crate::lifecycle::{RecycleReason, WorkerId};
use crate::priority::Priority;
use openclaw_core::Event;
use serde::Serialize;
use std::sync::Arc;

macro_rules! event {
    ($name:literal, $type:ident) => {
        impl Event for $type {
            const NAME: &'static str = $name;
        }
    };
}

/// A worker was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSpawned {
    /// The worker.
    pub worker_id: WorkerId,
    /// Workers with and without work after it.
    pub workers: usize,
}
event!("worker.spawned", WorkerSpawned);

/// A worker was let go, after its request where it had one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRecycled {
    /// The worker.
    pub worker_id: WorkerId,
    /// Why.
    pub reason: RecycleReason,
    /// Requests it served.
    pub requests: u64,
}
event!("worker.recycled", WorkerRecycled);

/// A worker fell silent and is being killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStuck {
    /// The worker.
    pub worker_id: WorkerId,
    /// The time since its last heartbeat.
    pub silent_for_ms: u64,
}
event!("worker.stuck", WorkerStuck);

/// A request took its place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestQueued {
    /// The request's number in this pool.
    pub request_id: u64,
    /// Whose it is.
    pub tenant_id: Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
}
event!("request.queued", RequestQueued);

/// A worker began a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestStarted {
    /// The request's number in this pool.
    pub request_id: u64,
    /// Whose it is.
    pub tenant_id: Arc<str>,
    /// The worker.
    pub worker_id: WorkerId,
    /// How long it waited in the queue.
    pub waited_ms: u64,
}
event!("request.started", RequestStarted);

/// A request that had reached a worker ended, other than by running out of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCompleted {
    /// The request's number in this pool.
    pub request_id: u64,
    /// Whose it is.
    pub tenant_id: Arc<str>,
    /// The worker.
    pub worker_id: WorkerId,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// How long it waited in the queue.
    pub waited_ms: u64,
    /// How long the worker took.
    pub ran_ms: u64,
}
event!("request.completed", RequestCompleted);

/// How a request that had reached a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// With an answer.
    Answered,
    /// With a failure: the handler said so, or the worker was lost.
    Failed,
    /// Cancelled by whoever asked.
    Cancelled,
}

impl RequestOutcome {
    /// The name in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A request ran out of time, waiting or running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestTimedOut {
    /// The request's number in this pool.
    pub request_id: u64,
    /// Whose it is.
    pub tenant_id: Arc<str>,
    /// The worker; none when it was still waiting.
    pub worker_id: Option<WorkerId>,
    /// The time since it was queued.
    pub elapsed_ms: u64,
}
event!("request.timedout", RequestTimedOut);

/// The pool began to refuse.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackpressureActivated {
    /// The level, 0 to 1.
    pub level: f64,
    /// Requests waiting.
    pub queue_depth: usize,
    /// Why.
    pub reason: RefusalReason,
}
event!("backpressure.activated", BackpressureActivated);

/// The pool takes requests again: the level has stayed below the threshold for a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackpressureReleased {
    /// The level, 0 to 1.
    pub level: f64,
    /// How long the pool was under pressure.
    pub lasted_ms: u64,
}
event!("backpressure.released", BackpressureReleased);
