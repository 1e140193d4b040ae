//! Section 3.4: the three steps of a shutdown, and the sizes by load.

use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{Preset, Refusal, RefusalReason, RequestError};
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn manual_3_4_step_1_new_requests_are_refused() {
    let stage = Stage::new(Preset::Small.config());
    let _running = stage.submit(1);
    let place = stage.pool.admit().expect("there is room");
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    assert!((&mut down).now_or_never().is_none());
    assert!(!stage.pool.would_admit());
    let refused = stage.pool.submit(stage.request(2)).expect_err("shutting down");
    assert_eq!(refused.submission.request, 2, "given back whole");
    let Refusal::Backpressure(error) = refused.refusal else {
        panic!("{refused:?}")
    };
    assert_eq!(error.reason, RefusalReason::ShuttingDown);
    assert!(error.level < 0.7, "refused for the shutdown, not for the load");
    assert_eq!(
        error.retry_after,
        seconds(5),
        "whoever starts in its place is up by then"
    );
    // A place taken before is still good.
    let mut late = place.submit(stage.request(3));
    stage.runtime.finish(3);
    assert_eq!((&mut late).now_or_never(), Some(Ok(30)));
}

#[test]
fn manual_3_4_step_2_the_queue_drains() {
    let stage = Stage::new(Preset::Small.config());
    let mut tickets: Vec<_> = (1..=5).map(|request| stage.submit(request)).collect();
    let mut down = Box::pin(stage.pool.shutdown(seconds(25)));
    for request in 1..=5 {
        assert!((&mut down).now_or_never().is_none(), "before {request} has ended");
        stage.runtime.finish(request);
    }
    let report = down.now_or_never().expect("nothing is left");
    assert_eq!(
        (report.finished, report.interrupted, report.returned),
        (5, 0, vec![])
    );
    for (request, ticket) in (1..).zip(&mut tickets) {
        assert_eq!(ticket.now_or_never(), Some(Ok(request * 10)));
    }
}

#[test]
fn manual_3_4_step_2_lasts_no_longer_than_the_grace() {
    let stage = Stage::new(Preset::Small.config());
    let mut tickets: Vec<_> = (1..=5).map(|request| stage.submit(request)).collect();
    let mut down = Box::pin(stage.pool.shutdown(stage.pool.config().shutdown_grace));
    assert!((&mut down).now_or_never().is_none());
    stage.clock.advance(Duration::from_millis(24_999));
    assert!((&mut down).now_or_never().is_none());
    stage.clock.advance(Duration::from_millis(1));
    let report = down.now_or_never().expect("the grace is over");
    assert_eq!(
        (report.finished, report.interrupted, report.returned),
        (0, 2, vec![3, 4, 5])
    );
    for ticket in &mut tickets {
        assert_eq!(ticket.now_or_never(), Some(Err(RequestError::ShuttingDown)));
    }
}

#[test]
fn manual_3_4_step_3_all_workers_are_ended() {
    let stage = Stage::new(Preset::Medium.config());
    let _running = stage.submit(1);
    let workers: Vec<_> = stage.pool.workers().iter().map(|worker| worker.id).collect();
    assert_eq!(workers.len(), 2);
    let report = stage.pool.shutdown(Duration::ZERO).now_or_never();
    assert_eq!(report.map(|report| report.interrupted), Some(1));
    let mut killed = stage.runtime.killed();
    killed.sort_unstable();
    assert_eq!(killed, workers, "idle and busy alike, through kill");
    assert!(stage.pool.workers().is_empty());
    stage.pass(seconds(60));
    assert_eq!(stage.runtime.spawn_attempts(), 2, "and none is started again");
}

/// The fewest are there at once, the most come with the load, and intake stops by the size of the queue.
#[track_caller]
fn sizes(preset: Preset, fewest: usize, most: usize, queue: usize) {
    let stage = Stage::new(preset.config());
    assert_eq!(stage.pool.workers().len(), fewest);
    let mut tickets = Vec::new();
    while let Ok(place) = stage.pool.admit() {
        let request = u32::try_from(tickets.len()).expect("few") + 1;
        tickets.push(place.submit(stage.request(request)));
    }
    let metrics = stage.pool.metrics();
    assert_eq!((metrics.active_workers, metrics.idle_workers), (most, 0));
    // With every worker busy the queue's share of the level may be 0.4: 4/7 of it.
    assert_eq!(metrics.queue_depth, (queue * 4).div_ceil(7));
    assert_eq!(stage.pool.config().max_queue_size, queue);
}

#[test]
fn manual_3_4_below_10_rps() {
    sizes(Preset::Small, 1, 2, 32);
}

#[test]
fn manual_3_4_10_to_50_rps() {
    sizes(Preset::Medium, 2, 4, 64);
}

#[test]
fn manual_3_4_50_to_200_rps() {
    sizes(Preset::Large, 4, 8, 128);
}

#[test]
fn manual_3_4_above_200_rps() {
    sizes(Preset::XLarge, 8, 16, 256);
}
