//! Requests: their order, their deadlines, their cancellation, and what is told of them.

use super::{defaults, one_worker, seconds};
use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{Priority, RequestError, Submission};
use openclaw_core::{Clock, CorrelationId};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn requests_reach_workers_by_priority_and_tenants_take_turns() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let submit = |request, tenant: &str, priority| {
        let submission = Submission {
            tenant: Arc::from(tenant),
            priority,
            ..stage.request(request)
        };
        stage.pool.submit(submission).expect("admitted")
    };
    let _tickets = [
        submit(2, "a", Priority::Low),
        submit(3, "a", Priority::Low),
        submit(4, "b", Priority::Low),
        submit(5, "c", Priority::Critical),
    ];
    for request in [1, 5, 2, 4, 3] {
        stage.runtime.finish(request);
    }
    assert_eq!(stage.runtime.started(), [1, 5, 2, 4, 3]);
}

#[test]
fn four_quick_messages_of_one_session_occupy_one_worker() {
    let stage = Stage::new(defaults());
    let keyed = |request| Submission {
        exclusive: Some(Arc::from("session")),
        ..stage.request(request)
    };
    let _tickets: Vec<_> = (1..=4)
        .map(|request| stage.pool.submit(keyed(request)).expect("admitted"))
        .collect();
    assert_eq!(stage.runtime.started(), [1]);
    assert_eq!(
        stage.pool.workers().len(),
        1,
        "no worker is started for work that cannot run"
    );
    let _other = stage.submit(9);
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.started(), [1, 9, 2]);
    stage.pool.kill(stage.runtime.worker_of(2)).expect("it is there");
    assert_eq!(stage.runtime.started(), [1, 9, 2, 3], "a lost run frees its key");
}

#[test]
fn a_request_past_its_deadline_in_the_queue_never_reaches_a_worker() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let deadline = Some(stage.clock.monotonic() + seconds(5));
    let submission = Submission {
        deadline,
        ..stage.request(2)
    };
    let mut waiting = stage.pool.submit(submission).expect("admitted");
    stage.pass_beating(seconds(4));
    assert!((&mut waiting).now_or_never().is_none());
    stage.pass_beating(seconds(1));
    assert_eq!(
        (&mut waiting).now_or_never(),
        Some(Err(RequestError::Expired { waited: seconds(5) }))
    );
    assert!(stage.heard_names().contains(&"request.timedout"));
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.started(), [1]);
    assert_eq!(stage.pool.totals().expired, 1);
    assert_eq!(
        (
            stage.pool.metrics().total_processed,
            stage.pool.metrics().total_errors
        ),
        (2, 1)
    );
}

#[test]
fn a_deadline_holds_even_where_housekeeping_is_late() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let deadline = Some(stage.clock.monotonic() + seconds(5));
    let mut waiting = stage
        .pool
        .submit(Submission {
            deadline,
            ..stage.request(2)
        })
        .expect("admitted");
    stage.clock.advance(seconds(5));
    stage.runtime.finish(1);
    assert!(matches!(
        (&mut waiting).now_or_never(),
        Some(Err(RequestError::Expired { .. }))
    ));
    assert_eq!(stage.runtime.started(), [1]);
}

#[test]
fn a_paused_pool_hands_nothing_over() {
    let stage = Stage::new(defaults());
    stage.pool.pause();
    let _ticket = stage.submit(1);
    stage.pass(seconds(3));
    assert!(stage.pool.is_paused() && stage.runtime.started().is_empty());
    stage.pool.resume();
    assert_eq!(stage.runtime.started(), [1]);
}

#[test]
fn cancelling_a_waiting_request_takes_it_out_of_the_queue() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let mut waiting = stage.submit(2);
    waiting.canceller().cancel();
    assert_eq!((&mut waiting).now_or_never(), Some(Err(RequestError::Cancelled)));
    let dropped = stage.submit(3);
    drop(dropped);
    assert_eq!(stage.pool.metrics().queue_depth, 0);
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.started(), [1]);
    let metrics = stage.pool.metrics();
    assert_eq!(
        (metrics.total_processed, metrics.total_errors),
        (1, 0),
        "a cancellation is neither"
    );
    assert_eq!(stage.pool.totals().cancelled, 2);
}

#[test]
fn an_operator_sees_what_waits_and_drops_one_of_it() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let keyed = |request, key: &str| Submission {
        exclusive: Some(Arc::from(key)),
        ..stage.request(request)
    };
    let mut first = stage.pool.submit(keyed(2, "a")).expect("admitted");
    let _second = stage.pool.submit(keyed(3, "a")).expect("admitted");
    let mut seen = stage
        .pool
        .waiting(|waiting| (*waiting.request, waiting.number, waiting.ready));
    seen.sort_unstable();
    assert_eq!(seen, [(2, 2, true), (3, 3, false)], "what runs is not among it");
    let chosen = stage
        .pool
        .drop_waiting(|waiting| (*waiting.request == 2).then_some(waiting.number));
    assert_eq!(chosen, Some(2));
    assert_eq!((&mut first).now_or_never(), Some(Err(RequestError::Dropped)));
    assert_eq!(
        stage.pool.waiting(|waiting| (*waiting.request, waiting.ready)),
        [(3, true)],
        "the next of its key has moved up"
    );
    assert_eq!(
        stage
            .pool
            .drop_waiting(|waiting| (*waiting.request == 1).then_some(())),
        None,
        "it runs"
    );
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.started(), [1, 3]);
    let metrics = stage.pool.metrics();
    assert_eq!(
        (metrics.total_processed, metrics.total_errors),
        (1, 0),
        "nobody's failure"
    );
}

#[test]
fn cancelling_a_running_request_tells_its_worker_and_its_answer_still_counts() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let canceller = ticket.canceller();
    assert!(!stage.runtime.is_cancelled(1) && !canceller.is_cancelled());
    canceller.cancel();
    assert!(stage.runtime.is_cancelled(1) && canceller.is_cancelled());
    assert!((&mut ticket).now_or_never().is_none());
    stage.runtime.finish(1);
    assert_eq!((&mut ticket).now_or_never(), Some(Ok(10)));
    canceller.cancel();
    assert_eq!(
        (
            stage.pool.metrics().total_processed,
            stage.pool.totals().cancelled
        ),
        (0, 1)
    );
}

#[test]
fn a_request_that_has_ended_is_left_alone_by_who_cancels_it() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let canceller = ticket.canceller();
    stage.runtime.finish(1);
    canceller.cancel();
    assert!(!canceller.is_cancelled(), "it was not while it ran");
    assert_eq!((&mut ticket).now_or_never(), Some(Ok(10)));
    assert_eq!(stage.pool.totals().cancelled, 0);
}

#[test]
fn a_dropped_ticket_cancels_and_a_detached_one_does_not() {
    let stage = Stage::new(defaults());
    let (dropped, detached) = (stage.submit(1), stage.submit(2));
    drop(dropped);
    detached.detach();
    assert!(stage.runtime.is_cancelled(1) && !stage.runtime.is_cancelled(2));
    stage.runtime.finish(2);
    assert_eq!(stage.pool.metrics().total_processed, 1);
}

#[test]
fn manual_1_1_exactly_these_metrics() {
    let stage = Stage::new(defaults());
    let json = serde_json::to_value(stage.pool.metrics()).expect("plain numbers");
    let mut names: Vec<&str> = json
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "activeWorkers",
            "avgLatencyMs",
            "backpressureLevel",
            "idleWorkers",
            "p95LatencyMs",
            "p99LatencyMs",
            "queueDepth",
            "stuckWorkers",
            "throughputPerMinute",
            "totalErrors",
            "totalProcessed",
        ]
    );
}

#[test]
fn manual_1_1_latency_is_waiting_plus_processing_and_failures_are_counted() {
    let stage = Stage::new(one_worker());
    let _tickets = [stage.submit(1), stage.submit(2)];
    stage.clock.advance(Duration::from_millis(100));
    stage.runtime.finish(1);
    stage.clock.advance(Duration::from_millis(200));
    stage.runtime.fail(2);
    let metrics = stage.pool.metrics();
    assert!(
        (metrics.avg_latency_ms - 200.0).abs() < 1e-6,
        "100 and 300: {}",
        metrics.avg_latency_ms
    );
    assert!((metrics.p95_latency_ms - 300.0).abs() <= 3.0);
    assert_eq!(
        (
            metrics.total_processed,
            metrics.total_errors,
            metrics.throughput_per_minute
        ),
        (2, 1, 2)
    );
    stage.clock.advance(seconds(60));
    assert_eq!(stage.pool.metrics().throughput_per_minute, 0);
    assert_eq!(stage.pool.metrics().total_processed, 2);
    stage.clock.advance(seconds(300));
    assert_eq!(stage.pool.metrics().avg_latency_ms, 0.0);
}

#[test]
fn every_event_of_a_request_carries_its_correlation_id() {
    let stage = Stage::new(defaults());
    stage.heard();
    let random = openclaw_core::testing::SeededRandom::new(7);
    let id = CorrelationId::new(stage.clock.now(), &random);
    let submission = Submission {
        correlation_id: Some(id),
        ..stage.request(1)
    };
    let _ticket = stage.pool.submit(submission).expect("admitted");
    stage.runtime.finish(1);
    let heard = stage.heard();
    let names: Vec<_> = heard.iter().map(openclaw_core::Envelope::name).collect();
    assert_eq!(names, ["request.queued", "request.started", "request.completed"]);
    for event in &heard {
        assert_eq!(
            (event.correlation_id(), event.source_context()),
            (Some(id), "concurrency")
        );
    }
    assert_eq!(heard[2].to_json()["payload"]["outcome"], "answered");
}

#[test]
fn what_is_printed_of_a_pool_names_what_it_is_and_never_what_a_request_holds() {
    let stage = Stage::new(one_worker());
    let (running, waiting) = (stage.submit(4_711), stage.submit(4_712));
    let place = stage.pool.admit().expect("there is room");
    let printed = [
        (
            format!("{:?}", stage.pool),
            "WorkerPool { active: 1, idle: 0, queue_depth: 2, .. }",
        ),
        (format!("{running:?}"), "Ticket { request_id: 1, .. }"),
        (
            format!("{:?}", waiting.canceller()),
            "Canceller { request_id: 2, .. }",
        ),
        (format!("{place:?}"), "Admission { .. }"),
    ];
    for (printed, expected) in printed {
        assert_eq!(printed, expected);
    }
    assert_eq!((running.request_id(), waiting.request_id()), (1, 2));
}
