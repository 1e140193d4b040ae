//! The pool, with the test in the place of the workers.

use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{
    BackpressureError, ConcurrencyConfig, LifecycleError, Priority, QueueFullError, RecycleReason, Refusal,
    RefusalReason, RequestError, Submission, WorkerExit, WorkerId, WorkerState, WorkerStuckError,
    WorkerTimeoutError,
};
use openclaw_core::{Clock, CodedError, CorrelationId, Language};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn defaults() -> ConcurrencyConfig {
    ConcurrencyConfig::default()
}

fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..defaults()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// --- the door

#[test]
fn manual_4_with_the_defaults_4_run_19_wait_and_the_24th_is_refused() {
    let stage = Stage::new(defaults());
    let tickets: Vec<_> = (1..=23).map(|request| stage.submit(request)).collect();
    assert_eq!(stage.runtime.started(), [1, 2, 3, 4]);
    let metrics = stage.pool.metrics();
    assert_eq!((metrics.active_workers, metrics.queue_depth), (4, 19));
    let refused = stage
        .pool
        .submit(stage.request(24))
        .expect_err("the level is 0.7156");
    assert_eq!(refused.submission.request, 24);
    let Refusal::Backpressure(error) = refused.refusal else {
        panic!("{refused:?}")
    };
    assert!((error.level - 0.715_625).abs() < 1e-12);
    assert_eq!(error.reason, RefusalReason::Overloaded);
    assert_eq!(error.retry_after(), Some(error.retry_after));
    assert!(error.retry_after > Duration::ZERO);
    assert_eq!((error.code(), error.recoverable()), ("BACKPRESSURE", true));
    assert_ne!(error.user_message(Language::Ru), error.user_message(Language::En));
    assert_eq!(
        (stage.pool.refusals_total(), stage.pool.metrics().total_errors),
        (1, 0)
    );
    // One ends, one moves up, one place is free.
    stage.runtime.finish(1);
    let more = stage.submit(24);
    assert!(!stage.pool.would_admit());
    drop((tickets, more));
}

#[test]
fn a_burst_from_many_threads_passes_no_more_than_fits() {
    let stage = Stage::new(defaults());
    stage.pool.pause();
    let admitted: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..10)
                        .filter_map(|_| stage.pool.admit().ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    // One idle worker: the queue alone weighs 0.7 at 32.
    assert_eq!(admitted.len(), 32);
    assert_eq!(stage.pool.metrics().queue_depth, 32);
    drop(admitted);
    assert_eq!(
        stage.pool.metrics().queue_depth,
        0,
        "dropped admissions give their places back"
    );
}

#[test]
fn an_admission_is_a_place_that_a_request_fills() {
    let stage = Stage::new(one_worker());
    let admission = stage.pool.admit().expect("empty");
    assert_eq!(stage.pool.metrics().queue_depth, 1);
    let mut ticket = admission.submit(stage.request(1));
    assert_eq!(stage.pool.metrics().queue_depth, 0, "it went to a worker at once");
    stage.runtime.finish(1);
    assert_eq!((&mut ticket).now_or_never(), Some(Ok(10)));
}

#[test]
fn a_queue_of_waiters_for_running_keys_can_be_full_below_the_threshold() {
    let config = ConcurrencyConfig {
        max_workers: 4,
        min_workers: 4,
        max_queue_size: 2,
        ..one_worker()
    };
    let stage = Stage::new(config);
    let keyed = |request| Submission {
        exclusive: Some(Arc::from("s")),
        ..stage.request(request)
    };
    let tickets: Vec<_> = (1..=3)
        .map(|request| stage.pool.submit(keyed(request)).expect("fits"))
        .collect();
    let refused = stage.pool.submit(keyed(4)).expect_err("2 of 2 wait");
    assert_eq!(
        refused.refusal,
        Refusal::QueueFull(QueueFullError { size: 2, limit: 2 })
    );
    assert!(matches!(
        stage.pool.admit(),
        Err(BackpressureError {
            reason: RefusalReason::Overloaded,
            ..
        })
    ));
    assert_eq!(tickets.len(), 3);
}

#[test]
fn whoever_waits_for_admission_is_woken_when_there_is_room() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 2,
        ..one_worker()
    });
    let _tickets: Vec<_> = (1..=3).map(|request| stage.submit(request)).collect();
    let mut waiting = Box::pin(stage.pool.admissible());
    assert!((&mut waiting).now_or_never().is_none());
    stage.runtime.finish(1);
    assert_eq!((&mut waiting).now_or_never(), Some(Ok(())));
    assert!(stage.pool.would_admit());
}

#[test]
fn waiting_for_admission_to_a_queue_full_of_waiters_for_a_key_sleeps_and_is_woken() {
    // Below the threshold and full: an idle worker keeps the level down, and nothing that waits can use it.
    let stage = Stage::new(ConcurrencyConfig {
        min_workers: 2,
        max_workers: 2,
        max_queue_size: 2,
        ..one_worker()
    });
    let keyed = |request| Submission {
        exclusive: Some(Arc::from("session")),
        ..stage.request(request)
    };
    let tickets: Vec<_> = (1..=3)
        .map(|request| stage.pool.submit(keyed(request)).expect("fits"))
        .collect();
    assert!(stage.pool.metrics().backpressure_level < 1.0);
    let woken = Arc::new(CountWakes::default());
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let mut context = std::task::Context::from_waker(&waker);
    let mut waiting = Box::pin(stage.pool.admissible());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    stage.pool.keep_house();
    let _ = stage.pool.would_admit();
    assert_eq!(woken.0.load(Ordering::SeqCst), 0, "nothing has changed");
    stage.runtime.finish(1);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    drop(tickets);
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl std::task::Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// --- workers come and go

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

// --- order

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

// --- cancelling

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
fn a_dropped_ticket_cancels_and_a_detached_one_does_not() {
    let stage = Stage::new(defaults());
    let (dropped, detached) = (stage.submit(1), stage.submit(2));
    drop(dropped);
    detached.detach();
    assert!(stage.runtime.is_cancelled(1) && !stage.runtime.is_cancelled(2));
    stage.runtime.finish(2);
    assert_eq!(stage.pool.metrics().total_processed, 1);
}

// --- shutting down

#[tokio::test]
async fn manual_3_4_shutdown_refuses_new_requests_drains_and_ends_the_workers() {
    let stage = Stage::new(one_worker());
    let (first, second) = (stage.submit(1), stage.submit(2));
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_none());
    let refused = stage.pool.admit().expect_err("shutting down");
    assert_eq!(
        (refused.reason, refused.code()),
        (RefusalReason::ShuttingDown, "SHUTTING_DOWN")
    );
    assert!(stage.pool.admissible().await.is_err());
    stage.runtime.finish(1);
    assert!((&mut down).now_or_never().is_none(), "one still waits or runs");
    stage.runtime.finish(2);
    let report = down.await;
    assert_eq!(
        (report.finished, report.interrupted, report.returned),
        (2, 0, vec![])
    );
    assert_eq!((first.await, second.await), (Ok(10), Ok(20)));
    assert!(stage.pool.workers().is_empty());
    assert_eq!(stage.pool.keep_house(), None);
}

#[tokio::test]
async fn manual_3_4_what_is_left_after_the_grace_is_returned_in_order() {
    let stage = Stage::new(one_worker());
    let tickets: Vec<_> = (1..=4).map(|request| stage.submit(request)).collect();
    let admission = stage.pool.admit().expect("room");
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_none());
    stage.runtime.finish(1);
    stage.clock.advance(seconds(25));
    let report = down.await;
    assert_eq!(
        (report.finished, report.interrupted, report.returned),
        (1, 1, vec![3, 4])
    );
    let late = admission.submit(stage.request(5));
    assert_eq!(late.await, Err(RequestError::ShuttingDown));
    let mut answers = Vec::new();
    for ticket in tickets {
        answers.push(ticket.await);
    }
    let down = || Err(RequestError::ShuttingDown);
    assert_eq!(answers, [Ok(10), down(), down(), down()]);
    assert_eq!(
        stage.pool.metrics().total_errors,
        0,
        "an interruption is nobody's failure"
    );
}

#[tokio::test]
async fn dropping_the_pool_answers_everybody() {
    let stage = Stage::new(one_worker());
    let (running, waiting) = (stage.submit(1), stage.submit(2));
    let worker = stage.runtime.worker_of(1);
    drop(stage.pool);
    assert_eq!(running.await, Err(RequestError::ShuttingDown));
    assert_eq!(waiting.await, Err(RequestError::ShuttingDown));
    assert_eq!(stage.runtime.killed(), [worker]);
}

// --- what is told

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
fn pressure_is_announced_once_and_released_after_a_second_below_the_threshold() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 2,
        ..one_worker()
    });
    assert_eq!(stage.heard_names(), ["worker.spawned"]);
    let _tickets: Vec<_> = (1..=3).map(|request| stage.submit(request)).collect();
    let pressure = |names: Vec<&'static str>| -> Vec<&'static str> {
        names
            .into_iter()
            .filter(|name| name.starts_with("backpressure"))
            .collect()
    };
    assert_eq!(pressure(stage.heard_names()), ["backpressure.activated"]);
    stage.runtime.finish(1);
    let _more = stage.submit(4);
    assert!(pressure(stage.heard_names()).is_empty(), "it goes on");
    stage.runtime.finish(2);
    stage.clock.advance(Duration::from_millis(999));
    stage.pool.keep_house();
    assert!(pressure(stage.heard_names()).is_empty());
    stage.clock.advance(Duration::from_millis(1));
    stage.pool.keep_house();
    assert_eq!(pressure(stage.heard_names()), ["backpressure.released"]);
    assert_eq!(stage.pool.totals().backpressure_activations, 1);
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

#[test]
fn a_refused_caller_is_told_to_wait_in_proportion_to_the_load() {
    let stage = Stage::new(defaults());
    let mut tickets = vec![stage.submit(1)];
    stage.clock.advance(seconds(8));
    stage.runtime.finish(1);
    tickets.extend((2..=24).map(|request| stage.submit(request)));
    let error = stage.pool.admit().expect_err("overloaded");
    // Requests take 8 s, four at a time: one place in 2 s.
    assert_eq!(error.retry_after, seconds(2));
}
