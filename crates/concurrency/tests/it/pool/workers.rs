//! Workers: started, recycled, timed out, silent, crashed, killed, let go.

use super::{defaults, one_worker, seconds};
use crate::support::{Stage, Warned};
use futures::FutureExt;
use openclaw_concurrency::{
    ConcurrencyConfig, LifecycleError, RecycleReason, RequestError, Submission, WorkerExit, WorkerId,
    WorkerState, WorkerStuckError, WorkerTimeoutError,
};
use openclaw_core::{Clock, CodedError, CorrelationId};

#[test]
fn the_fewest_workers_are_started_at_once_and_more_on_demand_up_to_the_most() {
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 2,
        max_workers: 3,
        ..defaults()
    });
    assert_eq!(stage.pool.metrics().idle_workers, 2);
    let _tickets: Vec<_> = (1..=5).map(|request| stage.submit(request)).collect();
    let metrics = stage.pool.metrics();
    assert_eq!(
        (metrics.active_workers, metrics.idle_workers, metrics.queue_depth),
        (3, 0, 2)
    );
    assert_eq!(stage.runtime.spawn_attempts(), 3);
}

#[test]
fn manual_3_3_a_worker_is_recycled_after_its_last_request() {
    let stage = Stage::new(ConcurrencyConfig {
        max_requests_per_worker: 2,
        ..one_worker()
    });
    let first = stage.pool.workers()[0].id;
    let _tickets: Vec<_> = (1..=3).map(|request| stage.submit(request)).collect();
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.worker_of(2), first);
    stage.runtime.finish(2);
    assert_ne!(stage.runtime.worker_of(3), first);
    assert_eq!(stage.runtime.retired(), [first]);
    assert_eq!(
        stage.pool.totals().recycled[RecycleReason::RequestLimit.index()],
        1
    );
    let recycled = stage
        .heard()
        .into_iter()
        .find(|event| event.name() == "worker.recycled")
        .expect("heard");
    assert_eq!(recycled.to_json()["payload"]["reason"], "request_limit");
}

#[test]
fn manual_3_3_a_worker_above_its_memory_limit_drains_and_goes() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    stage.runtime.set_memory(512);
    stage.pass_beating(seconds(1));
    assert_eq!(
        stage.pool.workers()[0].state,
        WorkerState::Busy,
        "at the limit is not above it"
    );
    stage.runtime.set_memory(513);
    stage.pass_beating(seconds(1));
    assert_eq!(stage.pool.workers()[0].state, WorkerState::Draining);
    assert_eq!(
        stage.pool.metrics().active_workers,
        1,
        "a draining worker with a request is active"
    );
    stage.runtime.set_memory(0);
    let old = stage.runtime.worker_of(1);
    stage.runtime.finish(1);
    assert_eq!((&mut ticket).now_or_never(), Some(Ok(10)));
    assert_eq!(
        stage.pool.totals().recycled[RecycleReason::MemoryLimit.index()],
        1
    );
    assert_ne!(
        stage.pool.workers()[0].id,
        old,
        "replaced, to keep the fewest alive"
    );
}

#[test]
fn manual_3_3_recycling_by_hand_waits_for_the_request() {
    let stage = Stage::new(one_worker());
    let idle = stage.pool.workers()[0].id;
    stage.pool.recycle(idle).expect("it is there");
    assert_eq!(stage.runtime.retired(), [idle]);
    let _ticket = stage.submit(1);
    let busy = stage.runtime.worker_of(1);
    stage.pool.recycle(busy).expect("it is there");
    assert!(matches!(
        stage.pool.recycle(busy),
        Err(LifecycleError::IllegalTransition(_))
    ));
    let _waiting = stage.submit(2);
    assert_eq!(
        stage.runtime.started(),
        [1],
        "a draining worker takes nothing new"
    );
    stage.runtime.finish(1);
    assert_ne!(stage.runtime.worker_of(2), busy);
}

#[test]
fn manual_3_1_a_request_past_the_limit_ends_and_its_worker_is_replaced_at_once() {
    let stage = Stage::new(one_worker());
    let mut slow = stage.submit(1);
    let mut next = stage.submit(2);
    let (worker, run) = (stage.runtime.worker_of(1), stage.runtime.run_of(1));
    stage.pass_beating(seconds(119));
    assert!((&mut slow).now_or_never().is_none());
    stage.pass_beating(seconds(1));
    let limit = seconds(120);
    let error = RequestError::Timeout(WorkerTimeoutError { worker, limit });
    assert_eq!(error.code(), "WORKER_TIMEOUT");
    assert_eq!((&mut slow).now_or_never(), Some(Err(error)));
    assert_eq!(stage.runtime.killed(), [worker]);
    assert_ne!(stage.runtime.worker_of(2), worker);
    let metrics = stage.pool.metrics();
    assert_eq!((metrics.total_processed, metrics.total_errors), (1, 1));
    assert_eq!(
        (metrics.avg_latency_ms, metrics.throughput_per_minute),
        (120_000.0, 0),
        "its time counts, and no worker brought it to its end"
    );
    assert!(stage.heard_names().contains(&"request.timedout"));
    // Its result, should it come all the same, belongs to nobody.
    stage.runtime.finish_late(worker, run);
    assert_eq!(stage.pool.totals().late_results, 1);
    assert_eq!(stage.pool.metrics().total_processed, 1);
    stage.runtime.finish(2);
    assert_eq!((&mut next).now_or_never(), Some(Ok(20)));
}

#[test]
fn a_late_result_of_an_earlier_run_does_not_end_the_present_one() {
    let stage = Stage::new(one_worker());
    let _first = stage.submit(1);
    let (worker, old) = (stage.runtime.worker_of(1), stage.runtime.run_of(1));
    stage.runtime.finish(1);
    let mut second = stage.submit(2);
    assert_eq!(stage.runtime.worker_of(2), worker);
    stage.runtime.finish_late(worker, old);
    assert!((&mut second).now_or_never().is_none());
    stage.runtime.finish(2);
    assert_eq!((&mut second).now_or_never(), Some(Ok(20)));
}

#[test]
fn manual_3_2_a_silent_worker_is_stuck_after_the_threshold_and_not_before() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    stage.pass_beating(seconds(10));
    stage.pass(seconds(60));
    assert!(
        (&mut ticket).now_or_never().is_none(),
        "60 s is not more than 60 s"
    );
    stage.pass(seconds(1));
    let silent_for = seconds(61);
    let error = RequestError::Stuck(WorkerStuckError { worker, silent_for });
    assert_eq!((&mut ticket).now_or_never(), Some(Err(error)));
    assert_eq!(stage.runtime.killed(), [worker]);
    let metrics = stage.pool.metrics();
    assert_eq!(
        (metrics.stuck_workers, metrics.idle_workers),
        (1, 1),
        "replaced at once, and seen"
    );
    assert_eq!(metrics.total_errors, 1);
    assert!(stage.heard_names().contains(&"worker.stuck"));
    stage.runtime.exit(worker, WorkerExit::Ended);
    assert_eq!(stage.pool.metrics().stuck_workers, 0);
    assert_eq!(stage.pool.metrics().total_errors, 1);
}

#[test]
fn a_stuck_worker_that_never_goes_is_forgotten_in_the_end() {
    let stage = Stage::new(one_worker());
    let _ticket = stage.submit(1);
    stage.pass(seconds(61));
    assert_eq!(stage.pool.metrics().stuck_workers, 1);
    stage.pass(seconds(60));
    assert_eq!(stage.pool.metrics().stuck_workers, 0);
    assert_eq!(stage.pool.workers().len(), 1);
}

#[test]
fn manual_3_2_a_worker_that_beats_is_not_stuck() {
    let stage = Stage::new(one_worker());
    let ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    for _ in 0..19 {
        stage.pass(seconds(6));
        stage.runtime.beat(worker);
    }
    assert!(stage.runtime.killed().is_empty());
    drop(ticket);
}

#[test]
fn when_the_whole_machine_stood_still_nobody_is_stuck_for_it() {
    let stage = Stage::new(ConcurrencyConfig {
        worker_timeout: seconds(1_000),
        ..one_worker()
    });
    let _ticket = stage.submit(1);
    stage.pass(seconds(2));
    stage.clock.advance(seconds(300));
    stage.pool.keep_house();
    assert!(stage.runtime.killed().is_empty());
    stage.pass(seconds(61));
    assert_eq!(
        stage.runtime.killed().len(),
        1,
        "from then on silence counts again"
    );
}

#[test]
fn a_crash_ends_the_request_with_an_error_and_the_worker_is_replaced() {
    let stage = Stage::new(one_worker());
    let (mut first, mut second, _third) = (stage.submit(1), stage.submit(2), stage.submit(3));
    let worker = stage.runtime.worker_of(1);
    stage.runtime.exit(
        worker,
        WorkerExit::Crashed {
            reason: "boom".into(),
        },
    );
    let reason = "boom".to_owned();
    assert_eq!(
        (&mut first).now_or_never(),
        Some(Err(RequestError::Crashed { worker, reason }))
    );
    stage
        .runtime
        .exit(stage.runtime.worker_of(2), WorkerExit::OutOfMemory);
    assert!(
        matches!((&mut second).now_or_never(), Some(Err(RequestError::OutOfMemory(error))) if error.limit_mb == 512)
    );
    assert_eq!(stage.runtime.started(), [1, 2, 3]);
    assert_eq!(
        (stage.pool.totals().crashed, stage.pool.totals().out_of_memory),
        (1, 1)
    );
    assert_eq!(stage.pool.metrics().total_errors, 2);
}

#[test]
fn manual_3_1_kill_ends_the_request_and_an_unknown_worker_is_an_error() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    stage.pool.kill(worker).expect("it is there");
    assert_eq!(
        (&mut ticket).now_or_never(),
        Some(Err(RequestError::Killed { worker }))
    );
    assert_eq!(
        stage.pool.kill(worker),
        Err(LifecycleError::UnknownWorker { worker })
    );
    let idle = stage.pool.workers()[0].id;
    stage.pool.kill(idle).expect("it is there");
    assert_eq!(stage.runtime.killed(), [worker, idle]);
    let _next = stage.submit(2);
    assert!(
        stage.runtime.worker_of(2) > idle,
        "a killed worker is handed nothing"
    );
}

#[test]
fn a_worker_that_cannot_be_started_is_tried_again_later_and_nothing_is_lost() {
    let stage = Stage::new(defaults());
    let _first = stage.submit(1);
    stage.runtime.refuse_to_spawn(true);
    let _second = stage.submit(2);
    let _third = stage.submit(3);
    assert_eq!(stage.runtime.spawn_attempts(), 2, "not at every submission");
    assert_eq!(stage.pool.totals().spawn_failures, 1);
    stage.runtime.refuse_to_spawn(false);
    stage.pass_beating(seconds(1));
    assert_eq!(stage.runtime.started(), [1, 2, 3]);
}

#[test]
fn manual_4_idle_workers_go_after_a_calm_period_and_busy_ones_never() {
    let stage = Stage::new(ConcurrencyConfig {
        scale_down_after: seconds(60),
        worker_timeout: seconds(900),
        ..defaults()
    });
    let tickets: Vec<_> = (1..=4).map(|request| stage.submit(request)).collect();
    stage.runtime.finish(1);
    stage.runtime.finish(2);
    assert_eq!(stage.pool.suggest_worker_count(), 1);
    stage.pass_beating(seconds(60));
    assert_eq!(
        stage.pool.workers().len(),
        4,
        "the calm begins with the first look"
    );
    stage.pass_beating(seconds(1));
    let metrics = stage.pool.metrics();
    assert_eq!((metrics.active_workers, metrics.idle_workers), (2, 0));
    assert_eq!(stage.pool.totals().recycled[RecycleReason::ScaledDown.index()], 2);
    stage.runtime.finish(3);
    stage.runtime.finish(4);
    stage.pass(seconds(122));
    assert_eq!(stage.pool.workers().len(), 1, "the fewest stay");
    drop(tickets);
}

#[test]
fn the_list_of_workers_says_what_each_does() {
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 2,
        ..defaults()
    });
    let _ticket = stage.submit(1);
    stage.clock.advance(seconds(3));
    let workers = stage.pool.workers();
    let busy = stage.runtime.worker_of(1);
    for worker in workers {
        assert_eq!(worker.age_ms, 3_000);
        let expected = (worker.id == busy).then_some(3_000);
        assert_eq!((worker.running_ms, worker.silent_ms), (expected, expected));
        assert_eq!(worker.since_ms, 3_000);
        assert_eq!(worker.tenant.as_deref(), expected.map(|_| "tenant"));
    }
    assert_eq!(WorkerId::new(busy.get()), busy);
    // One that came later is younger.
    let _more = [stage.submit(2), stage.submit(3)];
    stage.clock.advance(seconds(1));
    let ages: Vec<u64> = stage.pool.workers().iter().map(|worker| worker.age_ms).collect();
    assert_eq!(ages, [4_000, 4_000, 1_000]);
}

#[test]
fn the_log_names_the_request_a_worker_was_lost_with() {
    let warned = Warned::default();
    tracing::subscriber::with_default(warned.clone(), || {
        let stage = Stage::new(one_worker());
        let random = openclaw_core::testing::SeededRandom::new(7);
        let submit = |request| {
            let id = CorrelationId::new(stage.clock.now(), &random);
            let submission = Submission {
                correlation_id: Some(id),
                ..stage.request(request)
            };
            (
                stage.pool.submit(submission).expect("admitted"),
                Some(id.to_string()),
            )
        };
        let crash = |worker| {
            let reason = "boom".to_owned();
            stage.runtime.exit(worker, WorkerExit::Crashed { reason });
        };
        let (_crashed, first) = submit(1);
        crash(stage.runtime.worker_of(1));
        let (_silent, second) = submit(2);
        stage.pass(seconds(61));
        let (_slow, third) = submit(3);
        stage.pass_beating(seconds(120));
        crash(stage.pool.workers()[0].id);
        assert_eq!(
            warned.requests(),
            [first, second, third, None],
            "the last was idle"
        );
    });
}

#[test]
fn the_list_of_workers_is_in_the_order_they_were_started() {
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 16,
        max_workers: 16,
        ..defaults()
    });
    let numbers: Vec<WorkerId> = stage.pool.workers().iter().map(|worker| worker.id).collect();
    assert_eq!(numbers, (1..=16).map(WorkerId::new).collect::<Vec<_>>());
}

/// Four workers of which one is enough, and what happens in the middle of the calm period.
fn calm_period(in_between: impl FnOnce(&Stage)) -> Stage {
    let stage = Stage::new(ConcurrencyConfig {
        backpressure_threshold: 1.0,
        scale_down_after: seconds(60),
        worker_timeout: seconds(900),
        ..defaults()
    });
    (1..=4).for_each(|request| stage.submit(request).detach());
    (1..=4).for_each(|request| stage.runtime.finish(request));
    stage.pass_beating(seconds(30));
    in_between(&stage);
    stage.pass_beating(seconds(31));
    stage
}

#[test]
fn as_many_workers_stay_as_were_busy_at_once_in_the_calm_period() {
    let stage = calm_period(|stage| {
        (5..=7).for_each(|request| stage.submit(request).detach());
        stage.pool.keep_house();
        (5..=7).for_each(|request| stage.runtime.finish(request));
    });
    assert_eq!(stage.pool.workers().len(), 3);
}

#[test]
fn the_calm_period_begins_anew_after_every_worker_was_busy() {
    let stage = calm_period(|stage| {
        (5..=8).for_each(|request| stage.submit(request).detach());
        stage.pool.keep_house();
        (5..=8).for_each(|request| stage.runtime.finish(request));
    });
    assert_eq!(stage.pool.workers().len(), 4, "30 s are not 60");
    stage.pass(seconds(30));
    assert_eq!(stage.pool.workers().len(), 1);
}
