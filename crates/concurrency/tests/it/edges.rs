//! What the pool tells and asks of those around it: the running request, the runtime, housekeeping, a metrics page.

use crate::support::{Complaints, CountWakes, Stage};
use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_concurrency::{
    ConcurrencyConfig, Priority, RequestError, SpawnError, Submission, WorkerExit, WorkerHandle, WorkerLink,
    WorkerPool, WorkerRuntime,
};
use openclaw_core::testing::SeededRandom;
use openclaw_core::{Clock, CorrelationId, EventContext, InProcessEventBus};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_running_request_knows_whose_it_is_and_until_when() {
    let stage = Stage::new(one_worker());
    let id = CorrelationId::new(stage.clock.now(), &SeededRandom::new(7));
    stage.clock.advance(seconds(3));
    let submission = Submission {
        correlation_id: Some(id),
        ..stage.request(1)
    };
    let ticket = stage.pool.submit(submission).expect("there is room");
    let context = stage.runtime.context_of(1);
    assert_eq!(context.worker(), stage.runtime.worker_of(1));
    assert_eq!(context.correlation_id(), Some(id));
    assert_eq!(context.deadline(), stage.clock.monotonic() + seconds(120));
    assert_eq!(context.run().to_string(), "1");
    assert!(context.cancelled().now_or_never().is_none());
    ticket.canceller().cancel();
    assert!(context.is_cancelled());
    assert!(context.cancelled().now_or_never().is_some());
}

#[test]
fn a_handler_that_sleeps_until_it_is_cancelled_is_woken() {
    let stage = Stage::new(one_worker());
    let ticket = stage.submit(1);
    let context = stage.runtime.context_of(1);
    let woken = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cancelled = Box::pin(context.cancelled());
    assert!(
        cancelled
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(ticket);
    assert_eq!(woken.count(), 1);
    assert!(cancelled.now_or_never().is_some());
}

#[test]
fn a_workers_line_says_whose_it_is() {
    let stage = Stage::new(one_worker());
    let worker = stage.pool.workers()[0].id;
    let link = stage.runtime.link(worker);
    assert_eq!(link.worker(), worker);
    assert_eq!(format!("{link:?}"), "WorkerLink { worker: WorkerId(1), .. }");
}

#[test]
fn the_counts_of_a_metrics_page() {
    let stage = Stage::new(one_worker());
    let _running = stage.submit(1);
    let submit = |request, priority| {
        let submission = Submission {
            priority,
            ..stage.request(request)
        };
        stage.pool.submit(submission).expect("there is room")
    };
    let _waiting = [
        submit(2, Priority::Low),
        submit(3, Priority::Low),
        submit(4, Priority::High),
    ];
    let depths = Priority::ALL.map(|priority| stage.pool.queue_depth_of(priority));
    assert_eq!(depths, [0, 1, 0, 2]);
    stage.runtime.set_abandoned(5);
    stage.pass_beating(seconds(31));
    let totals = stage.pool.totals();
    assert_eq!((totals.abandoned, totals.spawned, totals.submitted), (5, 1, 4));
    assert_eq!(totals.oldest_waiting_ms, 31_000);
    assert_eq!(totals.starved_served, 0);
    stage.runtime.finish(1);
    assert_eq!(
        stage.runtime.started(),
        [1, 2],
        "it has waited for longer than the limit"
    );
    assert_eq!(stage.pool.totals().starved_served, 1);
}

#[test]
fn housekeeping_comes_earlier_for_an_earlier_deadline_and_ends_with_the_pool() {
    let stage = Stage::new(one_worker());
    let mut house = stage.runtime.house();
    assert!((&mut house).now_or_never().is_none());
    let _running = stage.submit(1);
    let submission = Submission {
        deadline: Some(stage.clock.monotonic() + Duration::from_millis(300)),
        ..stage.request(2)
    };
    let mut waiting = stage.pool.submit(submission).expect("there is room");
    // Nudged, it sees that something is due before the second is over.
    assert!((&mut house).now_or_never().is_none());
    stage.clock.advance(Duration::from_millis(299));
    assert!((&mut house).now_or_never().is_none());
    assert!((&mut waiting).now_or_never().is_none());
    stage.clock.advance(Duration::from_millis(1));
    assert!((&mut house).now_or_never().is_none());
    assert!(matches!(
        (&mut waiting).now_or_never(),
        Some(Err(RequestError::Expired { .. }))
    ));
    // And by itself when a second is over.
    stage.runtime.set_memory(513);
    stage.clock.advance(seconds(1));
    assert!((&mut house).now_or_never().is_none());
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.retired().len(), 1);
    drop(stage.pool);
    assert!((&mut house).now_or_never().is_some());
}

#[test]
fn after_failures_to_start_a_worker_the_tries_are_further_and_further_apart() {
    let stage = Stage::new(one_worker());
    stage.runtime.refuse_to_spawn(true);
    stage.pool.kill(stage.pool.workers()[0].id).expect("it is there");
    let attempts_at = |stage: &Stage, until: u64| {
        let mut at = Vec::new();
        let mut before = stage.runtime.spawn_attempts();
        for second in 1..=until {
            stage.pass(seconds(1));
            if stage.runtime.spawn_attempts() > before {
                before = stage.runtime.spawn_attempts();
                at.push(second);
            }
        }
        at
    };
    assert_eq!(
        stage.runtime.spawn_attempts(),
        2,
        "the one at the start, and one at the kill"
    );
    assert_eq!(attempts_at(&stage, 100), [1, 3, 7, 15, 31, 61, 91]);
    stage.runtime.refuse_to_spawn(false);
    assert_eq!(attempts_at(&stage, 30), [21]);
    // A request that is brought to its end proves that workers work: the next failure waits for a second again.
    let _ticket = stage.submit(1);
    stage.runtime.finish(1);
    stage.runtime.refuse_to_spawn(true);
    stage.pool.kill(stage.pool.workers()[0].id).expect("it is there");
    assert_eq!(attempts_at(&stage, 5), [1, 3]);
}

#[test]
fn whoever_waits_for_admission_below_the_size_of_the_queue_sleeps() {
    let stage = Stage::new(ConcurrencyConfig::default());
    let _tickets: Vec<_> = (1..=23).map(|request| stage.submit(request)).collect();
    // 19 of 32 wait and the level refuses: there is room, and yet nobody is to be woken.
    let mut waiting = Box::pin(stage.pool.admissible());
    assert!((&mut waiting).now_or_never().is_none());
    stage.runtime.finish(1);
    assert_eq!((&mut waiting).now_or_never(), Some(Ok(())));
}

#[test]
fn what_a_refused_caller_is_told_follows_the_time_requests_take() {
    let stage = Stage::new(ConcurrencyConfig::default());
    for (request, took) in [(1, 10), (2, 20)] {
        let _ticket = stage.submit(request);
        stage.clock.advance(seconds(took));
        stage.runtime.finish(request);
    }
    let _tickets: Vec<_> = (3..=25).map(|request| stage.submit(request)).collect();
    assert_eq!(stage.pool.refusals_total(), 0);
    let refused = stage.pool.admit().expect_err("overloaded");
    // Smoothed: nine tenths of 10 s and one of 20 s are 11 s, four at a time.
    assert_eq!(refused.retry_after, Duration::from_millis(2_750));
    assert!(stage.pool.admit().is_err());
    assert_eq!(stage.pool.refusals_total(), 2);
}

#[test]
fn a_worker_that_never_came_up_is_tried_again_later_and_one_that_crashed_at_work_at_once() {
    let stage = Stage::new(one_worker());
    let idle = stage.pool.workers()[0].id;
    stage.runtime.exit(idle, WorkerExit::Ended);
    assert_eq!(stage.pool.totals().spawn_failures, 1);
    assert!(stage.pool.workers().is_empty());
    stage.pass(seconds(1));
    let _ticket = stage.submit(1);
    let busy = stage.runtime.worker_of(1);
    stage.runtime.exit(busy, WorkerExit::Ended);
    assert_eq!(
        stage.pool.totals().spawn_failures,
        1,
        "it came up, and fell over its request"
    );
    assert_eq!(stage.pool.workers().len(), 1);
}

/// The runtime must know that a thread is lost before it chooses one for the replacement.
#[test]
fn a_replacement_is_started_after_the_kill_that_makes_room_for_it() {
    for silent in [false, true] {
        let stage = Stage::new(one_worker());
        let _tickets = [stage.submit(1), stage.submit(2)];
        let worker = stage.runtime.worker_of(1);
        let runtime = Arc::clone(&stage.runtime);
        stage
            .runtime
            .on_spawn(move || assert_eq!(runtime.killed(), [worker], "started too early"));
        if silent {
            stage.pass(seconds(61));
        } else {
            stage.pass_beating(seconds(120));
        }
        assert_eq!(stage.runtime.started(), [1, 2]);
        assert_eq!(stage.pool.totals().spawn_failures, 0);
        stage.runtime.on_spawn(|| {});
    }
}

#[test]
fn a_caller_refused_far_above_the_threshold_waits_for_as_many_requests_as_are_too_many() {
    let stage = Stage::new(ConcurrencyConfig::default());
    let _ticket = stage.submit(1);
    stage.clock.advance(seconds(2));
    stage.runtime.finish(1);
    stage.pool.pause();
    let places: Vec<_> = std::iter::from_fn(|| stage.pool.admit().ok()).collect();
    assert_eq!(places.len(), 32);
    let refused = stage.pool.admit().expect_err("full");
    // One worker at work leaves room for 18: 14 of the 32 must have gone, 2 s each.
    assert_eq!(refused.retry_after, seconds(28));
}

#[test]
fn a_caller_refused_for_busy_workers_alone_waits_for_one_of_them() {
    // One worker at work is 0.3 of load by itself: with such a threshold nothing ever waits.
    let stage = Stage::new(ConcurrencyConfig {
        backpressure_threshold: 0.2,
        ..one_worker()
    });
    let _ticket = stage.submit(1);
    stage.clock.advance(seconds(2));
    stage.runtime.finish(1);
    let _ticket = stage.submit(2);
    let refused = stage.pool.admit().expect_err("the worker is busy");
    assert_eq!(refused.retry_after, seconds(2));
}

#[test]
fn of_a_long_queue_at_most_sixty_four_requests_are_waited_for() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 1_000,
        ..ConcurrencyConfig::default()
    });
    let _ticket = stage.submit(1);
    stage.clock.advance(Duration::from_millis(250));
    stage.runtime.finish(1);
    stage.pool.pause();
    let places: Vec<_> = std::iter::from_fn(|| stage.pool.admit().ok()).collect();
    assert_eq!(places.len(), 1_000);
    let refused = stage.pool.admit().expect_err("full");
    // More than four hundred are too many; by the time 64 have ended the caller may as well ask again.
    assert_eq!(refused.retry_after, seconds(16));
}

#[test]
fn a_pool_says_whether_it_is_paused() {
    let stage = Stage::new(one_worker());
    assert!(!stage.pool.is_paused());
    stage.pool.pause();
    assert!(stage.pool.is_paused());
    stage.pool.resume();
    assert!(!stage.pool.is_paused());
}

#[test]
fn a_paused_pool_shuts_down_without_waiting_for_what_it_will_not_start() {
    let stage = Stage::new(one_worker());
    stage.pool.pause();
    let _ticket = stage.submit(1);
    let report = stage.pool.shutdown(seconds(25)).now_or_never();
    assert_eq!(report.map(|report| report.returned), Some(vec![1]));
}

/// The pool would find out and take the next one, but it has to know who is idle, not to try.
#[test]
fn an_idle_worker_that_is_gone_is_handed_nothing() {
    let complaints = Complaints::default();
    tracing::subscriber::with_default(complaints.clone(), || {
        let stage = Stage::new(ConcurrencyConfig {
            max_workers: 2,
            ..one_worker()
        });
        stage.pool.kill(stage.pool.workers()[0].id).expect("it is there");
        let _tickets = [stage.submit(1), stage.submit(2)];
        assert_eq!(stage.runtime.started(), [1, 2]);
        assert_eq!(complaints.count(), 0);
        stage.runtime.refuse_to_spawn(true);
        let busy = stage.runtime.worker_of(1);
        stage.pool.kill(busy).expect("it is there");
        let _waiting = stage.submit(3);
        assert_eq!(complaints.count(), 1, "what cannot be done is logged");
    });
}

#[test]
fn a_runtime_has_abandoned_nothing_unless_it_says_so() {
    #[derive(Debug)]
    struct Plain;
    impl WorkerRuntime<(), ()> for Plain {
        fn spawn(&self, _: WorkerLink<()>) -> Result<Arc<dyn WorkerHandle<()>>, SpawnError> {
            Err(SpawnError::new("none"))
        }

        fn keep_house(&self, _: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
            Ok(())
        }
    }
    assert_eq!(Plain.abandoned(), 0);
}

#[test]
fn a_pool_is_not_made_of_a_configuration_that_breaks_a_rule() {
    let stage = Stage::new(one_worker());
    let config = ConcurrencyConfig {
        max_workers: 0,
        ..one_worker()
    };
    let events = EventContext::new(InProcessEventBus::new(), stage.clock.clone(), "concurrency");
    let refused =
        WorkerPool::new(config, stage.runtime, stage.clock, events).expect_err("no worker may be started");
    assert!(refused.to_string().contains("maxWorkers"), "{refused}");
}
