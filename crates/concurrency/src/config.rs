//! What the pool is told: the file's shape with every field optional, and the values the program uses.
//!
//! The defaults and the presets stand here and nowhere else.

use openclaw_core::{ValidationError, Violation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `[concurrency]` section as it is written: every field may be missing, a preset fills in several at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConcurrencyOptions {
    /// Sizes by expected load; single fields override it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// See [`ConcurrencyConfig::min_workers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_workers: Option<usize>,
    /// See [`ConcurrencyConfig::max_workers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<usize>,
    /// See [`ConcurrencyConfig::max_queue_size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_size: Option<usize>,
    /// See [`ConcurrencyConfig::worker_timeout`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_timeout_ms: Option<u64>,
    /// See [`ConcurrencyConfig::max_requests_per_worker`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_worker: Option<u64>,
    /// See [`ConcurrencyConfig::memory_limit_mb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_mb: Option<u64>,
    /// See [`ConcurrencyConfig::backpressure_threshold`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backpressure_threshold: Option<f64>,
    /// See [`ConcurrencyConfig::heartbeat_interval`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval_ms: Option<u64>,
    /// See [`ConcurrencyConfig::stuck_threshold`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_threshold_ms: Option<u64>,
    /// See [`ConcurrencyConfig::starvation_limit`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starvation_limit_ms: Option<u64>,
    /// See [`ConcurrencyConfig::shutdown_grace`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_ms: Option<u64>,
    /// See [`ConcurrencyConfig::scale_down_after`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_after_ms: Option<u64>,
    /// See [`ConcurrencyConfig::metrics_window`]; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_window_ms: Option<u64>,
}

/// Sizes by expected load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Below 10 requests a second.
    Small,
    /// 10 to 50 requests a second.
    Medium,
    /// 50 to 200 requests a second.
    Large,
    /// Above 200 requests a second.
    XLarge,
}

/// What the pool uses. [`ConcurrencyConfig::validate`] says what must hold; the pool refuses anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcurrencyConfig {
    /// Workers kept alive even when idle. At least 1, at most `max_workers`.
    pub min_workers: usize,
    /// The most workers at once.
    pub max_workers: usize,
    /// The most waiting requests, all priorities together.
    pub max_queue_size: usize,
    /// The longest one request may take, from start to end.
    pub worker_timeout: Duration,
    /// Requests a worker serves before it is recycled.
    pub max_requests_per_worker: u64,
    /// Megabytes a worker may use before it is recycled. Means nothing where a worker's memory cannot be known.
    pub memory_limit_mb: u64,
    /// New requests are refused at this level or above. In (0, 1].
    pub backpressure_threshold: f64,
    /// Time between a worker's heartbeats.
    pub heartbeat_interval: Duration,
    /// A worker silent for longer than this is stuck. Longer than `heartbeat_interval`.
    pub stuck_threshold: Duration,
    /// An entry that has waited longer than this since its acceptance is served next, whatever its priority.
    pub starvation_limit: Duration,
    /// How long a shutdown lets waiting and running requests finish.
    pub shutdown_grace: Duration,
    /// How long the load must have asked for fewer workers before idle ones are let go.
    pub scale_down_after: Duration,
    /// How far back the latencies of the metrics reach.
    pub metrics_window: Duration,
}

/// The machine the pool is to run on, as far as advice depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processor cores.
    pub cores: usize,
    /// Memory in megabytes.
    pub memory_mb: u64,
    /// Whether workers are processes, each with a core and memory of its own.
    pub process_workers: bool,
    /// The longest turn that is expected, where that is known.
    pub longest_turn: Option<Duration>,
}

// === impl ConcurrencyOptions ===

impl ConcurrencyOptions {
    /// Fills what is missing from the preset, then from the defaults, and checks the whole.
    ///
    /// # Errors
    ///
    /// Every fault at once, each with field, value and rule.
    pub fn resolve(&self) -> Result<ConcurrencyConfig, ValidationError> {
        let base = self
            .preset
            .map_or_else(ConcurrencyConfig::default, Preset::config);
        let millis = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_millis);
        let config = ConcurrencyConfig {
            min_workers: self.min_workers.unwrap_or(base.min_workers),
            max_workers: self.max_workers.unwrap_or(base.max_workers),
            max_queue_size: self.max_queue_size.unwrap_or(base.max_queue_size),
            worker_timeout: millis(self.worker_timeout_ms, base.worker_timeout),
            max_requests_per_worker: self
                .max_requests_per_worker
                .unwrap_or(base.max_requests_per_worker),
            memory_limit_mb: self.memory_limit_mb.unwrap_or(base.memory_limit_mb),
            backpressure_threshold: self.backpressure_threshold.unwrap_or(base.backpressure_threshold),
            heartbeat_interval: millis(self.heartbeat_interval_ms, base.heartbeat_interval),
            stuck_threshold: millis(self.stuck_threshold_ms, base.stuck_threshold),
            starvation_limit: millis(self.starvation_limit_ms, base.starvation_limit),
            shutdown_grace: millis(self.shutdown_grace_ms, base.shutdown_grace),
            scale_down_after: millis(self.scale_down_after_ms, base.scale_down_after),
            metrics_window: millis(self.metrics_window_ms, base.metrics_window),
        };
        config.validate()?;
        Ok(config)
    }
}

// === impl Preset ===

impl Preset {
    /// All presets, the smallest first.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::XLarge];

    /// The preset's sizes on top of the defaults.
    pub fn config(self) -> ConcurrencyConfig {
        let (min_workers, max_workers, max_queue_size) = match self {
            Self::Small => (1, 2, 32),
            Self::Medium => (2, 4, 64),
            Self::Large => (4, 8, 128),
            Self::XLarge => (8, 16, 256),
        };
        ConcurrencyConfig {
            min_workers,
            max_workers,
            max_queue_size,
            ..ConcurrencyConfig::default()
        }
    }
}

// === impl ConcurrencyConfig ===

impl Default for ConcurrencyConfig {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: 4,
            max_queue_size: 32,
            worker_timeout: Duration::from_millis(120_000),
            max_requests_per_worker: 100,
            memory_limit_mb: 512,
            backpressure_threshold: 0.7,
            heartbeat_interval: Duration::from_millis(5_000),
            stuck_threshold: Duration::from_millis(60_000),
            starvation_limit: Duration::from_millis(30_000),
            shutdown_grace: Duration::from_millis(25_000),
            scale_down_after: Duration::from_millis(60_000),
            metrics_window: Duration::from_millis(300_000),
        }
    }
}

impl ConcurrencyConfig {
    /// The most workers a pool may have.
    pub const WORKER_CEILING: usize = 100_000;
    /// The longest queue a pool may have.
    pub const QUEUE_CEILING: usize = 10_000_000;

    /// Checks every rule.
    ///
    /// # Errors
    ///
    /// Every fault at once, with the field as the file spells it.
    pub fn validate(&self) -> Result<(), ValidationError> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, field: &str, value: String, rule: &str| {
            if !holds {
                faults.push(Violation::new(field, value, rule));
            }
        };
        must(
            self.min_workers > 0,
            "minWorkers",
            self.min_workers.to_string(),
            "must be at least 1",
        );
        must(
            self.min_workers <= self.max_workers,
            "minWorkers",
            self.min_workers.to_string(),
            "must be at most maxWorkers",
        );
        must(
            (1..=Self::WORKER_CEILING).contains(&self.max_workers),
            "maxWorkers",
            self.max_workers.to_string(),
            "must be between 1 and 100000",
        );
        must(
            (1..=Self::QUEUE_CEILING).contains(&self.max_queue_size),
            "maxQueueSize",
            self.max_queue_size.to_string(),
            "must be between 1 and 10000000",
        );
        must(
            self.max_requests_per_worker > 0,
            "maxRequestsPerWorker",
            self.max_requests_per_worker.to_string(),
            "must be at least 1",
        );
        must(
            self.memory_limit_mb > 0,
            "memoryLimitMb",
            self.memory_limit_mb.to_string(),
            "must be at least 1",
        );
        must(
            self.backpressure_threshold > 0.0 && self.backpressure_threshold <= 1.0,
            "backpressureThreshold",
            self.backpressure_threshold.to_string(),
            "must be above 0 and at most 1",
        );
        for (field, value) in [
            ("workerTimeoutMs", self.worker_timeout),
            ("heartbeatIntervalMs", self.heartbeat_interval),
            ("stuckThresholdMs", self.stuck_threshold),
            ("starvationLimitMs", self.starvation_limit),
            ("metricsWindowMs", self.metrics_window),
        ] {
            must(
                value >= Duration::from_millis(1),
                field,
                value.as_millis().to_string(),
                "must be at least 1",
            );
        }
        must(
            self.heartbeat_interval < self.stuck_threshold,
            "heartbeatIntervalMs",
            self.heartbeat_interval.as_millis().to_string(),
            "must be below stuckThresholdMs",
        );
        ValidationError::check(faults)
    }

    /// What is allowed and yet unwise on this machine. Each line names the field, its value and the advice.
    pub fn advice(&self, machine: Machine) -> Vec<Violation> {
        let mut advice = Vec::new();
        let mut advise = |wise: bool, field: &str, value: String, rule: String| {
            if !wise {
                advice.push(Violation::new(field, value, rule));
            }
        };
        if machine.process_workers {
            let all_mb = u64::try_from(self.max_workers)
                .unwrap_or(u64::MAX)
                .saturating_mul(self.memory_limit_mb);
            advise(
                all_mb.saturating_mul(10) <= machine.memory_mb.saturating_mul(8),
                "memoryLimitMb",
                self.memory_limit_mb.to_string(),
                format!(
                    "{} workers may use {all_mb} MB together, more than 80 % of the machine's {} MB",
                    self.max_workers, machine.memory_mb
                ),
            );
            advise(
                self.max_workers <= machine.cores,
                "maxWorkers",
                self.max_workers.to_string(),
                format!(
                    "one worker per core is advised; the machine has {}",
                    machine.cores
                ),
            );
        }
        advise(
            (self.max_workers.saturating_mul(4)..=self.max_workers.saturating_mul(16))
                .contains(&self.max_queue_size),
            "maxQueueSize",
            self.max_queue_size.to_string(),
            "4 to 16 times maxWorkers is advised".to_owned(),
        );
        if let Some(longest) = machine.longest_turn {
            advise(
                self.worker_timeout >= longest.saturating_mul(2),
                "workerTimeoutMs",
                self.worker_timeout.as_millis().to_string(),
                format!(
                    "twice the longest expected turn ({} ms) is advised",
                    longest.as_millis()
                ),
            );
        }
        advice
    }
}
