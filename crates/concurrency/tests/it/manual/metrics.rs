//! Section 1.1: the eleven metrics.

use crate::support::Stage;
use openclaw_concurrency::{ConcurrencyConfig, RefusalReason, Submission, WorkerExit};
use openclaw_core::Clock;
use std::sync::Arc;
use std::time::Duration;

fn config(workers: usize) -> ConcurrencyConfig {
    ConcurrencyConfig {
        min_workers: 1,
        max_workers: workers,
        ..ConcurrencyConfig::default()
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn manual_1_1_active_workers() {
    let stage = Stage::new(config(3));
    assert_eq!(stage.pool.metrics().active_workers, 0);
    let _tickets = [stage.submit(1), stage.submit(2)];
    assert_eq!(stage.pool.metrics().active_workers, 2);
    stage
        .pool
        .recycle(stage.runtime.worker_of(1))
        .expect("it is busy");
    assert_eq!(
        stage.pool.metrics().active_workers,
        2,
        "a draining worker with a request is active"
    );
    stage.runtime.finish(1);
    assert_eq!(stage.pool.metrics().active_workers, 1);
    stage.runtime.finish(2);
    assert_eq!(stage.pool.metrics().active_workers, 0);
}

#[test]
fn manual_1_1_idle_workers() {
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 2,
        ..config(3)
    });
    assert_eq!(stage.pool.metrics().idle_workers, 2);
    let _tickets = [stage.submit(1), stage.submit(2), stage.submit(3)];
    assert_eq!(stage.pool.metrics().idle_workers, 0);
    stage.runtime.finish(2);
    assert_eq!(stage.pool.metrics().idle_workers, 1);
    stage.pool.kill(stage.runtime.worker_of(1)).expect("it is busy");
    assert_eq!(
        stage.pool.metrics().idle_workers,
        1,
        "two are enough: not replaced"
    );
}

#[test]
fn manual_1_1_queue_depth() {
    let stage = Stage::new(config(1));
    let mut tickets = vec![stage.submit(1)];
    assert_eq!(stage.pool.metrics().queue_depth, 0, "it runs, it does not wait");
    tickets.extend([stage.submit(2), stage.submit(3)]);
    let place = stage.pool.admit().expect("there is room");
    assert_eq!(
        stage.pool.metrics().queue_depth,
        3,
        "a place taken counts as well"
    );
    drop(place);
    assert_eq!(stage.pool.metrics().queue_depth, 2);
    stage.runtime.finish(1);
    assert_eq!(stage.pool.metrics().queue_depth, 1);
    tickets.pop();
    assert_eq!(
        stage.pool.metrics().queue_depth,
        0,
        "whoever stops waiting leaves"
    );
}

#[test]
fn manual_1_1_total_processed() {
    let stage = Stage::new(config(1));
    let processed = || stage.pool.metrics().total_processed;
    let _answered = stage.submit(1);
    assert_eq!(processed(), 0);
    stage.runtime.finish(1);
    assert_eq!(processed(), 1, "answered");
    let _failed = stage.submit(2);
    stage.runtime.fail(2);
    assert_eq!(processed(), 2, "failed");
    let _killed = stage.submit(3);
    stage.pool.kill(stage.runtime.worker_of(3)).expect("it is busy");
    assert_eq!(processed(), 3, "lost with its worker");
    let running = stage.submit(4);
    drop(stage.submit(5));
    assert_eq!(processed(), 3, "cancelled while it waited");
    drop(running);
    stage.runtime.finish(4);
    assert_eq!(processed(), 3, "cancelled while it ran");
    stage.pool.pause();
    let _filling: Vec<_> = std::iter::from_fn(|| stage.pool.admit().ok()).collect();
    assert_eq!(processed(), 3, "refused");
    // It counts from the start, not over a window.
    stage.clock.advance(Duration::from_secs(86_400));
    assert_eq!(processed(), 3);
}

#[test]
fn manual_1_1_total_errors() {
    let stage = Stage::new(config(1));
    let errors = || stage.pool.metrics().total_errors;
    let _answered = stage.submit(1);
    stage.runtime.finish(1);
    assert_eq!(errors(), 0);
    let _failed = stage.submit(2);
    stage.runtime.fail(2);
    assert_eq!(errors(), 1, "its handler said so");
    let _crashed = stage.submit(3);
    let reason = "exit status 1".to_owned();
    stage
        .runtime
        .exit(stage.runtime.worker_of(3), WorkerExit::Crashed { reason });
    assert_eq!(errors(), 2, "its worker crashed");
    let _killed = stage.submit(4);
    stage.pool.kill(stage.runtime.worker_of(4)).expect("it is busy");
    assert_eq!(errors(), 3, "its worker was killed");
    let _out_of_memory = stage.submit(5);
    stage
        .runtime
        .exit(stage.runtime.worker_of(5), WorkerExit::OutOfMemory);
    assert_eq!(errors(), 4, "its worker ran out of memory");
    let _stuck = stage.submit(6);
    stage.pass(Duration::from_secs(61));
    assert_eq!(errors(), 5, "its worker fell silent");
    let _slow = stage.submit(7);
    stage.pass_beating(Duration::from_secs(120));
    assert_eq!(errors(), 6, "it ran out of time");
    let running = stage.submit(8);
    let expiring = Submission {
        deadline: Some(stage.clock.monotonic() + Duration::from_secs(1)),
        ..stage.request(9)
    };
    let _expiring = stage.pool.submit(expiring).expect("there is room");
    stage.pass_beating(Duration::from_secs(1));
    assert_eq!(errors(), 7, "its deadline passed while it waited");
    drop(stage.submit(10));
    drop(running);
    stage.runtime.finish(8);
    assert_eq!(errors(), 7, "a cancellation is nobody's error");
    stage.pool.pause();
    let _filling: Vec<_> = std::iter::from_fn(|| stage.pool.admit().ok()).collect();
    assert_eq!(errors(), 7, "a refusal has a counter of its own");
    assert_eq!(stage.pool.refusals_total(), 1);
}

/// One request after the other on one worker, each for this long.
fn served(stage: &Stage, latencies: impl IntoIterator<Item = u64>) {
    for (request, latency) in (1..).zip(latencies) {
        let ticket = stage.submit(request);
        stage.clock.advance(millis(latency));
        stage.runtime.finish(request);
        drop(ticket);
    }
}

#[test]
fn manual_1_1_avg_latency_ms() {
    let stage = Stage::new(config(1));
    assert_eq!(stage.pool.metrics().avg_latency_ms, 0.0);
    // The second waits for the first: waiting and processing count alike.
    let _tickets = [stage.submit(1), stage.submit(2)];
    stage.clock.advance(millis(100));
    stage.runtime.finish(1);
    stage.clock.advance(millis(200));
    stage.runtime.finish(2);
    assert_eq!(stage.pool.metrics().avg_latency_ms, 200.0, "100 and 300");
    let cancelled = stage.submit(3);
    stage.clock.advance(Duration::from_secs(9));
    drop(cancelled);
    stage.runtime.finish(3);
    assert_eq!(
        stage.pool.metrics().avg_latency_ms,
        200.0,
        "a cancelled one says nothing"
    );
    stage.clock.advance(Duration::from_secs(300));
    assert_eq!(
        stage.pool.metrics().avg_latency_ms,
        0.0,
        "five minutes later it is forgotten"
    );
}

/// Right to 1 %.
#[track_caller]
fn about(measured: f64, expected: f64) {
    assert!(
        (measured - expected).abs() <= expected * 0.01,
        "{measured} for {expected}"
    );
}

#[test]
fn manual_1_1_p95_latency_ms() {
    let stage = Stage::new(ConcurrencyConfig {
        max_requests_per_worker: 1_000,
        ..config(1)
    });
    served(&stage, (1..=100).map(|n| n * 10));
    about(stage.pool.metrics().p95_latency_ms, 950.0);
}

#[test]
fn manual_1_1_p99_latency_ms() {
    let stage = Stage::new(ConcurrencyConfig {
        max_requests_per_worker: 1_000,
        ..config(1)
    });
    served(&stage, (1..=100).map(|n| n * 10));
    about(stage.pool.metrics().p99_latency_ms, 990.0);
}

#[test]
fn manual_1_1_throughput_per_minute() {
    let stage = Stage::new(config(1));
    let throughput = || stage.pool.metrics().throughput_per_minute;
    served(&stage, [0, 10_000, 20_000]);
    // At 0 s, 10 s and 30 s; it is 30 s now.
    assert_eq!(throughput(), 3);
    stage.clock.advance(millis(29_999));
    assert_eq!(throughput(), 3);
    stage.clock.advance(millis(1));
    assert_eq!(throughput(), 2, "the first is 60 s old");
    let _failed = stage.submit(9);
    stage.runtime.fail(9);
    assert_eq!(
        throughput(),
        3,
        "a failure brought to its end by the worker is work done"
    );
    let _killed = stage.submit(10);
    stage.pool.kill(stage.runtime.worker_of(10)).expect("it is busy");
    assert_eq!(throughput(), 3, "one taken from its worker is not");
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(throughput(), 0);
}

#[test]
fn manual_1_1_backpressure_level() {
    let stage = Stage::new(config(4));
    let level = || stage.pool.metrics().backpressure_level;
    assert_eq!(level(), 0.0);
    let _one = stage.submit(1);
    assert!((level() - 0.3).abs() < 1e-12, "the only worker is busy");
    let _three = [stage.submit(2), stage.submit(3), stage.submit(4)];
    let _waiting: Vec<_> = (5..=12).map(|request| stage.submit(request)).collect();
    assert!(
        (level() - (0.25 * 0.7 + 0.3)).abs() < 1e-12,
        "8 of 32 wait: {}",
        level()
    );
    for request in 1..=12 {
        stage.runtime.finish(request);
    }
    assert_eq!(level(), 0.0);
}

#[test]
fn manual_1_1_stuck_workers() {
    let stage = Stage::new(config(2));
    let _tickets = [stage.submit(1), stage.submit(2)];
    let (first, second) = (stage.runtime.worker_of(1), stage.runtime.worker_of(2));
    stage.pass(Duration::from_secs(61));
    assert_eq!(stage.pool.metrics().stuck_workers, 2);
    stage.runtime.exit(first, WorkerExit::Ended);
    assert_eq!(stage.pool.metrics().stuck_workers, 1, "one is gone");
    stage.pool.kill(second).expect("it is still listed");
    assert_eq!(stage.pool.metrics().stuck_workers, 0);
}

/// The rows beneath the table: what an operator is told to watch comes true at these values.
#[test]
fn manual_1_1_alert_thresholds() {
    let stage = Stage::new(config(4));
    let tickets: Vec<_> = (1..=23).map(|request| stage.submit(request)).collect();
    let metrics = stage.pool.metrics();
    assert!(metrics.backpressure_level >= 0.7 && metrics.backpressure_level < 0.8);
    let refused = stage.pool.admit().expect_err("at the threshold");
    assert_eq!(refused.reason, RefusalReason::Overloaded);
    assert!(
        metrics.queue_depth as f64 <= 32.0 * 0.8,
        "below the overflow alert"
    );
    drop(tickets);
}

#[test]
fn manual_1_1_reading_waits_for_nothing_the_pool_does_outside_its_lock() {
    let stage = Arc::new(Stage::new(config(1)));
    // The worker's hand-over is foreign code; it reads the metrics in the middle of the pool's step.
    let reader = Arc::clone(&stage);
    stage.runtime.on_run(move || {
        assert_eq!(reader.pool.metrics().active_workers, 1);
    });
    let _ticket = stage.submit(1);
    assert_eq!(stage.runtime.started(), [1]);
    stage.runtime.on_run(|| {});
}
