//! At the door: places, refusals, and who is told of room.

use super::{defaults, one_worker, seconds};
use crate::support::{CountWakes, Stage};
use futures::FutureExt;
use openclaw_concurrency::{
    BackpressureError, ConcurrencyConfig, QueueFullError, Refusal, RefusalReason, Submission,
};
use openclaw_core::{CodedError, Language};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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
    assert_eq!(woken.count(), 0, "nothing has changed");
    stage.runtime.finish(1);
    assert_eq!(woken.count(), 1);
    assert!(waiting.as_mut().poll(&mut context).is_ready());
    drop(tickets);
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
    stage.pass(seconds(3));
    assert!(pressure(stage.heard_names()).is_empty(), "once");
    let _again = stage.submit(5);
    assert_eq!(pressure(stage.heard_names()), ["backpressure.activated"]);
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

#[test]
fn places_alone_bring_the_pool_under_pressure_with_the_one_that_reaches_the_threshold() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 4,
        ..defaults()
    });
    let mut places = Vec::new();
    for taken in 1..=4 {
        places.push(stage.pool.admit().expect("there is room"));
        let activations = stage.pool.totals().backpressure_activations;
        assert_eq!(
            activations,
            u64::from(taken == 4),
            "{taken} of 4: 0.7 is the level of all"
        );
    }
    drop(places);
    assert!(stage.pool.would_admit());
}

#[test]
fn a_queue_full_below_the_threshold_and_a_pool_that_ends_are_not_under_pressure() {
    // Nobody works and the threshold is above what a full queue alone makes of the level.
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 2,
        ..one_worker()
    });
    stage.pool.pause();
    let _tickets = [stage.submit(1), stage.submit(2)];
    assert!(!stage.pool.would_admit(), "2 of 2 wait");
    assert!((stage.pool.metrics().backpressure_level - 0.7).abs() < 1e-9);
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_some(), "nothing runs");
    assert!(
        !stage.heard_names().contains(&"backpressure.activated"),
        "neither is load"
    );
    assert_eq!(stage.pool.totals().backpressure_activations, 0);
}
