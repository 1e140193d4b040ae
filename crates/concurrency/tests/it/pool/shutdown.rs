//! The end of a pool.

use super::{one_worker, seconds};
use crate::support::{CountWakes, Stage};
use futures::FutureExt;
use openclaw_concurrency::{ConcurrencyConfig, RefusalReason, RequestError, Submission};
use openclaw_core::{Clock, CodedError};
use std::sync::Arc;
use std::task::{Context, Waker};

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

#[test]
fn whoever_waits_for_admission_is_told_when_the_shutdown_begins() {
    let stage = Stage::new(ConcurrencyConfig {
        max_queue_size: 1,
        ..one_worker()
    });
    let _tickets = [stage.submit(1), stage.submit(2)];
    let woken = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut waiting = Box::pin(stage.pool.admissible());
    assert!(waiting.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_none(), "there is work left");
    assert_eq!(woken.count(), 1);
    assert!(
        matches!(waiting.now_or_never(), Some(Err(refused)) if refused.reason == RefusalReason::ShuttingDown)
    );
}

#[test]
fn what_was_given_up_or_expired_while_the_pool_drained_has_ended_too() {
    let stage = Stage::new(one_worker());
    let (_running, given_up) = (stage.submit(1), stage.submit(2));
    let submission = Submission {
        deadline: Some(stage.clock.monotonic() + seconds(5)),
        ..stage.request(3)
    };
    let _expires = stage.pool.submit(submission).expect("admitted");
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_none());
    drop(given_up);
    stage.pass_beating(seconds(5));
    stage.runtime.finish(1);
    let report = down.now_or_never().expect("nothing is left");
    assert_eq!(
        (report.finished, report.interrupted, report.returned),
        (3, 0, vec![])
    );
}
