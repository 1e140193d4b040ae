//! What the pool says of itself, under exactly the names the operations manual gives.

use crate::lifecycle::RecycleReason;
use serde::Serialize;

/// The state of the pool at one moment and its recent past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyMetrics {
    /// Workers with a request, draining ones included.
    pub active_workers: usize,
    /// Workers without one.
    pub idle_workers: usize,
    /// Requests that wait, and places taken by requests about to be submitted.
    pub queue_depth: usize,
    /// Requests ended since the start, answered or failed. Refusals and cancellations are not among them.
    pub total_processed: u64,
    /// Requests that failed, timed out or lost their worker.
    pub total_errors: u64,
    /// Mean of waiting plus processing, in milliseconds, over the sliding window; 0 when it is empty.
    pub avg_latency_ms: f64,
    /// 95th percentile of the same, right to 1 %.
    pub p95_latency_ms: f64,
    /// 99th percentile of the same, right to 1 %.
    pub p99_latency_ms: f64,
    /// Requests that workers brought to an end in the last 60 s.
    pub throughput_per_minute: u64,
    /// The level, 0 (calm) to 1 (overloaded).
    pub backpressure_level: f64,
    /// Workers that fell silent and are not yet gone.
    pub stuck_workers: usize,
}

/// Counts since the start, for a metrics page. They only grow, but for the two gauges at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolTotals {
    /// Requests refused at the door.
    pub refusals: u64,
    /// Requests taken.
    pub submitted: u64,
    /// Requests cancelled by whoever asked, waiting or running, or dropped from the queue by an operator.
    pub cancelled: u64,
    /// Requests whose deadline passed while they waited.
    pub expired: u64,
    /// Requests that ran past the limit.
    pub timed_out: u64,
    /// Workers that fell silent.
    pub stuck: u64,
    /// Workers that panicked or exited.
    pub crashed: u64,
    /// Workers that ran out of memory.
    pub out_of_memory: u64,
    /// Workers killed by an operator.
    pub killed: u64,
    /// Results that came after their request had been given up, and were dropped.
    pub late_results: u64,
    /// Workers started.
    pub spawned: u64,
    /// Workers that could not be started.
    pub spawn_failures: u64,
    /// Workers let go, by reason, in the order of [`RecycleReason::ALL`].
    pub recycled: [u64; RecycleReason::ALL.len()],
    /// How often the pool came under pressure.
    pub backpressure_activations: u64,
    /// Entries served out of turn because they had waited too long.
    pub starved_served: u64,
    /// Gauge: threads or processes that were killed and are not gone.
    pub abandoned: usize,
    /// Gauge: the age of the oldest request that waits and could run, in milliseconds.
    pub oldest_waiting_ms: u64,
}
