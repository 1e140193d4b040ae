//! Defaults, presets, rules.

use openclaw_concurrency::{ConcurrencyConfig, ConcurrencyOptions, Machine, Preset};
use std::time::Duration;

fn options(json: &str) -> ConcurrencyOptions {
    serde_json::from_str(json).expect("readable options")
}

#[test]
fn manual_2_1_defaults() {
    let config = ConcurrencyOptions::default().resolve().expect("valid");
    assert_eq!(config.min_workers, 1);
    assert_eq!(config.max_workers, 4);
    assert_eq!(config.max_queue_size, 32);
    assert_eq!(config.worker_timeout, Duration::from_millis(120_000));
    assert_eq!(config.max_requests_per_worker, 100);
    assert_eq!(config.memory_limit_mb, 512);
    assert_eq!(config.backpressure_threshold, 0.7);
    assert_eq!(config.heartbeat_interval, Duration::from_millis(5_000));
    assert_eq!(config.stuck_threshold, Duration::from_millis(60_000));
    assert_eq!(config.starvation_limit, Duration::from_millis(30_000));
    assert_eq!(config.shutdown_grace, Duration::from_millis(25_000));
}

#[test]
fn manual_3_4_presets_by_load() {
    let sizes = Preset::ALL.map(|preset| {
        let config = preset.config();
        (config.min_workers, config.max_workers, config.max_queue_size)
    });
    assert_eq!(sizes, [(1, 2, 32), (2, 4, 64), (4, 8, 128), (8, 16, 256)]);
    for preset in Preset::ALL {
        assert!(preset.config().validate().is_ok());
    }
}

#[test]
fn fields_are_spelt_as_in_the_manual_and_override_the_preset() {
    let config = options(
        r#"{"preset":"xlarge","maxWorkers":12,"workerTimeoutMs":1000,"backpressureThreshold":0.9,
            "maxRequestsPerWorker":7,"memoryLimitMb":64,"heartbeatIntervalMs":10,"stuckThresholdMs":20,
            "starvationLimitMs":30,"shutdownGraceMs":40,"scaleDownAfterMs":50,"metricsWindowMs":60}"#,
    )
    .resolve()
    .expect("valid");
    let expected = ConcurrencyConfig {
        min_workers: 8,
        max_workers: 12,
        max_queue_size: 256,
        worker_timeout: Duration::from_secs(1),
        max_requests_per_worker: 7,
        memory_limit_mb: 64,
        backpressure_threshold: 0.9,
        heartbeat_interval: Duration::from_millis(10),
        stuck_threshold: Duration::from_millis(20),
        starvation_limit: Duration::from_millis(30),
        shutdown_grace: Duration::from_millis(40),
        scale_down_after: Duration::from_millis(50),
        metrics_window: Duration::from_millis(60),
    };
    assert_eq!(config, expected);
    assert!(serde_json::from_str::<ConcurrencyOptions>(r#"{"maxWorker":1}"#).is_err());
}

#[test]
fn every_fault_is_reported_at_once_with_field_value_and_rule() {
    let error = options(
        r#"{"minWorkers":9,"maxWorkers":0,"maxQueueSize":0,"workerTimeoutMs":0,"maxRequestsPerWorker":0,
            "memoryLimitMb":0,"backpressureThreshold":1.5,"heartbeatIntervalMs":5,"stuckThresholdMs":5,
            "starvationLimitMs":0,"metricsWindowMs":0}"#,
    )
    .resolve()
    .expect_err("nothing holds");
    let mut fields: Vec<&str> = error
        .violations
        .iter()
        .map(|fault| fault.field.as_str())
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "backpressureThreshold",
            "heartbeatIntervalMs",
            "maxQueueSize",
            "maxRequestsPerWorker",
            "maxWorkers",
            "memoryLimitMb",
            "metricsWindowMs",
            "minWorkers",
            "starvationLimitMs",
            "workerTimeoutMs",
        ]
    );
    assert!(
        error
            .to_string()
            .contains("minWorkers is 9; must be at most maxWorkers")
    );
}

#[test]
fn the_edges_of_each_rule() {
    let valid = |json: &str| options(json).resolve().is_ok();
    assert!(!valid(r#"{"minWorkers":0}"#));
    assert!(valid(r#"{"minWorkers":4}"#));
    assert!(!valid(r#"{"minWorkers":5}"#));
    assert!(!valid(r#"{"backpressureThreshold":0}"#));
    assert!(valid(r#"{"backpressureThreshold":1}"#));
    assert!(!valid(r#"{"stuckThresholdMs":0,"heartbeatIntervalMs":0}"#));
    assert!(!valid(r#"{"heartbeatIntervalMs":60000}"#));
    assert!(valid(r#"{"heartbeatIntervalMs":59999}"#));
    assert!(!valid(r#"{"maxWorkers":100001}"#));
}

#[test]
fn manual_9_2_advice() {
    let machine = Machine {
        cores: 4,
        memory_mb: 4096,
        process_workers: true,
        longest_turn: Some(Duration::from_secs(60)),
    };
    let fields = |config: &ConcurrencyConfig, machine: Machine| -> Vec<String> {
        config
            .advice(machine)
            .into_iter()
            .map(|advice| advice.field)
            .collect()
    };
    let default = ConcurrencyConfig::default();
    assert!(
        fields(&default, machine).is_empty(),
        "4 workers of 512 MB are half of 4096 MB"
    );
    let crowded = Machine {
        cores: 3,
        memory_mb: 2559,
        ..machine
    };
    assert_eq!(fields(&default, crowded), ["memoryLimitMb", "maxWorkers"]);
    let tasks = Machine {
        process_workers: false,
        ..crowded
    };
    assert!(fields(&default, tasks).is_empty());
    let odd = ConcurrencyConfig {
        max_queue_size: 65,
        worker_timeout: Duration::from_secs(119),
        ..default
    };
    assert_eq!(fields(&odd, machine), ["maxQueueSize", "workerTimeoutMs"]);
}
