//! Section 4: the formula, the refusal, the three rows of `suggestWorkerCount`.

use crate::support::Stage;
use openclaw_concurrency::{Admission, ConcurrencyConfig, Refusal, RefusalReason, Ticket};

/// Two to six workers and room for 100: with every worker busy, `n` waiting are a level of `0.3 + n · 0.007`.
fn config() -> ConcurrencyConfig {
    ConcurrencyConfig {
        min_workers: 2,
        max_workers: 6,
        max_queue_size: 100,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    }
}

struct Loaded {
    stage: Stage,
    _running: Vec<Ticket<u32>>,
    _waiting: Vec<Admission<u32, u32>>,
}

fn loaded(config: ConcurrencyConfig, running: u32, waiting: usize) -> Loaded {
    let stage = Stage::new(config);
    let running = (1..=running).map(|request| stage.submit(request)).collect();
    let waiting = (0..waiting)
        .map(|_| stage.pool.admit().expect("below the threshold"))
        .collect();
    Loaded {
        stage,
        _running: running,
        _waiting: waiting,
    }
}

#[test]
fn manual_4_formula_through_the_pool() {
    for (running, waiting, level) in [
        (0, 0, 0.0),
        (1, 0, 0.15),
        (2, 0, 0.3),
        (6, 0, 0.3),
        (0, 50, 0.35),
        (1, 50, 0.5),
        (6, 50, 0.65),
        (6, 99, 0.993),
        (0, 100, 0.7),
    ] {
        let loaded = loaded(config(), running, waiting);
        let measured = loaded.stage.pool.metrics().backpressure_level;
        assert!(
            (measured - level).abs() < 1e-12,
            "{running} run, {waiting} wait: {measured}"
        );
    }
}

#[test]
fn manual_4_refusal() {
    let config = ConcurrencyConfig {
        backpressure_threshold: 0.65,
        ..config()
    };
    // 50 waiting are exactly the threshold: 0.5 · 0.7 + 0.3.
    let loaded = loaded(config, 6, 50);
    let refused = loaded
        .stage
        .pool
        .submit(loaded.stage.request(99))
        .expect_err("at the threshold");
    let Refusal::Backpressure(error) = refused.refusal else {
        panic!("{refused:?}")
    };
    assert!((error.level - 0.65).abs() < 1e-12);
    assert_eq!(error.reason, RefusalReason::Overloaded);
    assert!(!loaded.stage.pool.would_admit());
    loaded.stage.runtime.finish(1);
    assert!(
        loaded.stage.pool.would_admit(),
        "five of six at work: 0.6 is below it"
    );
}

#[track_caller]
fn suggested(waiting: usize, expected: usize) {
    let loaded = loaded(config(), 6, waiting);
    assert_eq!(
        loaded.stage.pool.suggest_worker_count(),
        expected,
        "{waiting} waiting"
    );
}

#[test]
fn manual_4_suggest_below_0_5_the_fewest() {
    suggested(0, 2);
    suggested(28, 2); // 0.496
}

#[test]
fn manual_4_suggest_from_0_5_to_0_8_in_proportion() {
    suggested(29, 3); // 0.503: 2 + 0.04, rounded up
    suggested(39, 3); // 0.573: 2 + 0.97
    suggested(40, 4); // 0.580: 2 + 1.07
    suggested(50, 4); // 0.650: 2 + 2.00
    suggested(60, 5); // 0.720: 2 + 2.93
    suggested(61, 6); // 0.727: 2 + 3.03
    suggested(71, 6); // 0.797: 2 + 3.96
}

#[test]
fn manual_4_suggest_from_0_8_the_most() {
    suggested(72, 6); // 0.804
    suggested(99, 6);
}
