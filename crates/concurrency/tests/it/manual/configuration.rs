//! Section 2.1: the nine parameters, each with its default and with another value.

use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{
    ConcurrencyConfig, QueueFullError, RecycleReason, Refusal, RequestError, Submission, Ticket, WorkerId,
    WorkerState,
};
use std::sync::Arc;
use std::time::Duration;

fn defaults() -> ConcurrencyConfig {
    ConcurrencyConfig::default()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn only(stage: &Stage) -> WorkerId {
    let workers = stage.pool.workers();
    assert_eq!(workers.len(), 1);
    workers[0].id
}

/// The error a request has ended with, if it has.
fn ended(ticket: &mut Ticket<u32>) -> Option<RequestError> {
    ticket
        .now_or_never()
        .map(|answer| answer.expect_err("not answered"))
}

#[test]
fn manual_2_1_min_workers() {
    assert_eq!(Stage::new(defaults()).pool.workers().len(), 1);
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 3,
        ..defaults()
    });
    assert_eq!(stage.pool.workers().len(), 3, "started before any request");
    stage.pass(Duration::from_secs(600));
    assert_eq!(stage.pool.workers().len(), 3, "kept alive with nothing to do");
    let first = stage.pool.workers()[0].id;
    stage.pool.kill(first).expect("it is there");
    let workers = stage.pool.workers();
    assert_eq!(workers.len(), 3, "replaced");
    assert!(workers.iter().all(|worker| worker.id != first));
    stage.pool.recycle(workers[0].id).expect("it is idle");
    assert_eq!(stage.pool.workers().len(), 3);
}

#[test]
fn manual_2_1_max_workers() {
    for (config, most) in [
        (defaults(), 4),
        (
            ConcurrencyConfig {
                max_workers: 2,
                ..defaults()
            },
            2,
        ),
    ] {
        let stage = Stage::new(config);
        let _tickets: Vec<_> = (1..=8).map(|request| stage.submit(request)).collect();
        assert_eq!(stage.runtime.running().len(), most, "as many as may, and no more");
        assert_eq!(stage.pool.workers().len(), most);
        assert_eq!(stage.pool.metrics().queue_depth, 8 - most);
        // A killed worker makes room for exactly one more.
        stage.pool.kill(stage.runtime.worker_of(1)).expect("it is busy");
        assert_eq!(stage.runtime.running().len(), most);
    }
}

#[test]
fn manual_2_1_max_queue_size() {
    // Waiting requests of all priorities and places taken count together. The threshold of 1 leaves the size alone to
    // refuse: with an idle worker the level stays below it.
    for size in [32, 5] {
        let stage = Stage::new(ConcurrencyConfig {
            max_queue_size: size,
            backpressure_threshold: 1.0,
            min_workers: 2,
            max_workers: 2,
            ..defaults()
        });
        stage.pool.pause();
        let tickets: Vec<_> = (1..u32::try_from(size).expect("small"))
            .map(|request| stage.submit(request))
            .collect();
        let place = stage.pool.admit().expect("one more fits");
        let refused = stage.pool.submit(stage.request(99)).expect_err("it is full");
        assert_eq!(
            refused.refusal,
            Refusal::QueueFull(QueueFullError { size, limit: size })
        );
        drop(place);
        drop(stage.submit(99));
        drop(tickets);
    }
    assert_eq!(defaults().max_queue_size, 32);
}

#[test]
fn manual_2_1_worker_timeout_ms() {
    for (config, limit) in [
        (defaults(), millis(120_000)),
        (
            ConcurrencyConfig {
                worker_timeout: millis(7_500),
                ..defaults()
            },
            millis(7_500),
        ),
    ] {
        let stage = Stage::new(config);
        let mut ticket = stage.submit(1);
        let worker = stage.runtime.worker_of(1);
        stage.pass_beating(limit - millis(1));
        assert_eq!(ended(&mut ticket), None, "a beating worker may use all of it");
        stage.pass_beating(millis(1));
        let Some(RequestError::Timeout(error)) = ended(&mut ticket) else {
            panic!("it is out of time");
        };
        assert_eq!((error.worker, error.limit), (worker, limit));
        assert_eq!(stage.runtime.killed(), [worker]);
        assert_eq!(stage.pool.totals().timed_out, 1);
    }
}

#[test]
fn manual_2_1_max_requests_per_worker() {
    for (config, most) in [
        (defaults(), 100),
        (
            ConcurrencyConfig {
                max_requests_per_worker: 3,
                ..defaults()
            },
            3,
        ),
    ] {
        let stage = Stage::new(config);
        let worker = only(&stage);
        for request in 1..=most {
            assert_eq!(only(&stage), worker, "before its request {request}");
            let _ticket = stage.submit(request);
            stage.runtime.finish(request);
        }
        assert_eq!(
            stage.runtime.retired(),
            [worker],
            "after its last request and not before"
        );
        assert_ne!(only(&stage), worker);
        assert_eq!(
            stage.pool.totals().recycled[RecycleReason::RequestLimit.index()],
            1
        );
    }
}

#[test]
fn manual_2_1_memory_limit_mb() {
    for (config, limit) in [
        (defaults(), 512),
        (
            ConcurrencyConfig {
                memory_limit_mb: 64,
                ..defaults()
            },
            64,
        ),
    ] {
        let stage = Stage::new(config);
        let idle = only(&stage);
        assert_eq!(
            stage.runtime.told_memory_limit(idle),
            limit,
            "the runtime is told"
        );
        stage.runtime.set_memory(limit);
        stage.pass(millis(1_000));
        assert_eq!(only(&stage), idle, "at the limit is not above it");
        stage.runtime.set_memory(limit + 1);
        stage.pass(millis(1_000));
        assert_eq!(stage.runtime.retired()[0], idle, "an idle one goes at once");
        stage.runtime.set_memory(0);
        let _ticket = stage.submit(1);
        stage.runtime.set_memory(limit + 1);
        stage.pass_beating(millis(1_000));
        assert_eq!(
            stage.pool.workers()[0].state,
            WorkerState::Draining,
            "a busy one ends its request first"
        );
        assert_eq!(stage.runtime.running().len(), 1);
        assert!(stage.pool.totals().recycled[RecycleReason::MemoryLimit.index()] >= 1);
    }
}

#[test]
fn manual_2_1_backpressure_threshold() {
    // Four busy workers weigh 0.3, each of 32 waiting 0.7 / 32.
    for (threshold, waiting) in [(0.7, 19), (0.5, 10), (1.0, 32)] {
        let stage = Stage::new(ConcurrencyConfig {
            backpressure_threshold: threshold,
            ..defaults()
        });
        let _tickets: Vec<_> = (1..=4 + waiting).map(|request| stage.submit(request)).collect();
        let refused = stage
            .pool
            .submit(stage.request(99))
            .expect_err("at the threshold");
        let Refusal::Backpressure(error) = refused.refusal else {
            panic!("{refused:?}")
        };
        assert!(error.level >= threshold, "{}", error.level);
        stage.runtime.finish(1);
        let _again = stage.submit(99);
    }
    assert_eq!(defaults().backpressure_threshold, 0.7);
}

#[test]
fn manual_2_1_heartbeat_interval_ms() {
    for (config, interval) in [
        (defaults(), millis(5_000)),
        (
            ConcurrencyConfig {
                heartbeat_interval: millis(200),
                ..defaults()
            },
            millis(200),
        ),
    ] {
        let stage = Stage::new(config.clone());
        assert_eq!(
            stage.runtime.told_heartbeat(only(&stage)),
            interval,
            "the worker is told"
        );
        let mut ticket = stage.submit(1);
        let worker = stage.runtime.worker_of(1);
        // Each beat puts the threshold off.
        for _ in 0..4 {
            stage.pass(config.stuck_threshold - millis(1_000));
            stage.runtime.beat(worker);
            if stage.pool.workers()[0].running_ms.unwrap_or(0) >= 100_000 {
                break;
            }
        }
        assert_eq!(ended(&mut ticket), None);
        assert_eq!(
            stage.pool.workers()[0].silent_ms,
            Some(0),
            "the last sign of life is noted"
        );
    }
}

/// Housekeeping that comes later than by one interval means that the whole machine stood still: nobody can have beaten,
/// and nobody is blamed. Later by just one interval is no excuse.
#[test]
fn manual_2_1_heartbeat_interval_ms_and_a_machine_that_stood_still() {
    for (interval, stuck, due) in [(5_000, 5_500, 1_000), (200, 250, 250)] {
        for (late, blamed) in [(interval, true), (interval + 1, false)] {
            let stage = Stage::new(ConcurrencyConfig {
                heartbeat_interval: millis(interval),
                stuck_threshold: millis(stuck),
                ..defaults()
            });
            let mut ticket = stage.submit(1);
            stage.pool.keep_house();
            stage.clock.advance(millis(due + late));
            stage.pool.keep_house();
            assert_eq!(ended(&mut ticket).is_some(), blamed, "{late} ms late");
            // The excuse holds once: from here on silence counts again.
            stage.pass(millis(stuck + 1));
            assert!(blamed || matches!(ended(&mut ticket), Some(RequestError::Stuck(_))));
        }
    }
}

#[test]
fn manual_2_1_stuck_threshold_ms() {
    for (config, threshold) in [
        (defaults(), millis(60_000)),
        (
            ConcurrencyConfig {
                stuck_threshold: millis(9_000),
                ..defaults()
            },
            millis(9_000),
        ),
    ] {
        let stage = Stage::new(config);
        let mut ticket = stage.submit(1);
        let worker = stage.runtime.worker_of(1);
        stage.pass(threshold);
        assert_eq!(ended(&mut ticket), None, "silent for the threshold and no longer");
        stage.pass(millis(1));
        let Some(RequestError::Stuck(error)) = ended(&mut ticket) else {
            panic!("it is stuck");
        };
        assert_eq!((error.worker, error.silent_for), (worker, threshold + millis(1)));
        assert_eq!(stage.runtime.killed(), [worker]);
    }
}

#[test]
fn manual_2_1_a_key_of_its_own_counts_in_the_queue_as_any_other() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 4,
        backpressure_threshold: 1.0,
        min_workers: 2,
        ..defaults()
    });
    let keyed = |request| Submission {
        exclusive: Some(Arc::from("session")),
        ..stage.request(request)
    };
    let _tickets: Vec<_> = (1..=5)
        .map(|request| stage.pool.submit(keyed(request)).expect("one runs, four wait"))
        .collect();
    assert!(stage.pool.submit(keyed(6)).is_err());
}
