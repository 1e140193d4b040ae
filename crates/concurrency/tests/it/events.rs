//! Every event of the pool, in the life that brings it about, with what it says.

use crate::support::Stage;
use openclaw_concurrency::event::RequestOutcome;
use openclaw_concurrency::{ConcurrencyConfig, Submission};
use openclaw_core::Clock;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What has been heard since the last time, as `name payload`, in order.
fn heard(stage: &Stage) -> Vec<String> {
    let heard = stage.heard();
    heard
        .iter()
        .map(|event| format!("{} {}", event.name(), event.to_json()["payload"]))
        .collect()
}

#[test]
fn each_of_the_nine_events_is_published_with_its_facts() {
    let stage = Stage::new(ConcurrencyConfig {
        max_workers: 1,
        max_queue_size: 2,
        max_requests_per_worker: 2,
        ..ConcurrencyConfig::default()
    });
    assert_eq!(heard(&stage), [r#"worker.spawned {"workerId":1,"workers":1}"#]);

    // An answer, with its waiting and its work.
    stage.pool.pause();
    let _first = stage.submit(1);
    stage.clock.advance(Duration::from_millis(30));
    stage.pool.resume();
    stage.clock.advance(Duration::from_millis(400));
    stage.runtime.finish(1);
    assert_eq!(
        heard(&stage),
        [
            r#"request.queued {"priority":"normal","requestId":1,"tenantId":"tenant"}"#,
            r#"request.started {"requestId":1,"tenantId":"tenant","waitedMs":30,"workerId":1}"#,
            r#"request.completed {"outcome":"answered","ranMs":400,"requestId":1,"tenantId":"tenant","waitedMs":30,"workerId":1}"#,
        ]
    );

    // A failure; with it the worker has served its two.
    let _second = stage.submit(2);
    stage.runtime.fail(2);
    assert_eq!(
        heard(&stage)[2..],
        [
            r#"request.completed {"outcome":"failed","ranMs":0,"requestId":2,"tenantId":"tenant","waitedMs":0,"workerId":1}"#,
            r#"worker.recycled {"reason":"request_limit","requests":2,"workerId":1}"#,
            r#"worker.spawned {"workerId":2,"workers":1}"#,
        ]
    );

    // A deadline in the queue, then the time of a request on its worker.
    let _slow = stage.submit(3);
    let waits = Submission {
        deadline: Some(stage.clock.monotonic() + seconds(1)),
        ..stage.request(4)
    };
    let _waits = stage.pool.submit(waits).expect("there is room");
    heard(&stage);
    stage.pass_beating(seconds(1));
    assert_eq!(
        heard(&stage),
        [r#"request.timedout {"elapsedMs":1000,"requestId":4,"tenantId":"tenant","workerId":null}"#]
    );
    stage.pass_beating(seconds(119));
    assert_eq!(
        heard(&stage),
        [
            r#"request.timedout {"elapsedMs":120000,"requestId":3,"tenantId":"tenant","workerId":2}"#,
            r#"worker.spawned {"workerId":3,"workers":1}"#,
        ]
    );

    // Silence.
    let _silent = stage.submit(5);
    heard(&stage);
    stage.pass(seconds(61));
    assert_eq!(
        heard(&stage),
        [
            r#"worker.stuck {"silentForMs":61000,"workerId":3}"#,
            r#"request.completed {"outcome":"failed","ranMs":61000,"requestId":5,"tenantId":"tenant","waitedMs":0,"workerId":3}"#,
            r#"worker.spawned {"workerId":4,"workers":1}"#,
        ]
    );

    // Pressure and its end: one runs and two wait, then nothing.
    let tickets: Vec<_> = (6..=8).map(|request| stage.submit(request)).collect();
    let pressure: Vec<String> = heard(&stage)
        .into_iter()
        .filter(|event| event.starts_with("backpressure"))
        .collect();
    assert_eq!(
        pressure,
        [r#"backpressure.activated {"level":1.0,"queueDepth":2,"reason":"overloaded"}"#]
    );
    stage.clock.advance(seconds(3));
    drop(tickets);
    stage.runtime.finish(6);
    assert_eq!(
        heard(&stage),
        [
            r#"request.completed {"outcome":"cancelled","ranMs":3000,"requestId":6,"tenantId":"tenant","waitedMs":0,"workerId":4}"#
        ]
    );
    stage.pool.keep_house();
    assert!(
        heard(&stage).is_empty(),
        "not before a second below the threshold"
    );
    stage.pass(seconds(1));
    assert_eq!(
        heard(&stage),
        [r#"backpressure.released {"lastedMs":4000,"level":0.0}"#]
    );
}

#[test]
fn an_outcome_has_the_same_name_everywhere() {
    for (outcome, name) in [
        (RequestOutcome::Answered, "answered"),
        (RequestOutcome::Failed, "failed"),
        (RequestOutcome::Cancelled, "cancelled"),
    ] {
        assert_eq!(outcome.as_str(), name);
        assert_eq!(serde_json::to_value(outcome).expect("a name"), name);
    }
}
