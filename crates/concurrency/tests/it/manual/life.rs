//! Sections 3.1 to 3.3: the five states, heartbeats, recycling.

use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{
    ConcurrencyConfig, LifecycleError, RecycleReason, RequestError, WorkerExit, WorkerState,
};
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

fn states(stage: &Stage) -> Vec<WorkerState> {
    stage.pool.workers().iter().map(|worker| worker.state).collect()
}

// --- 3.1

#[test]
fn manual_3_1_idle_is_ready_for_a_request() {
    let stage = Stage::new(one_worker());
    assert_eq!(states(&stage), [WorkerState::Idle]);
    let worker = stage.pool.workers()[0].id;
    stage.pass(seconds(3_600));
    assert_eq!(
        states(&stage),
        [WorkerState::Idle],
        "silence is no fault while there is nothing to do"
    );
    let _ticket = stage.submit(1);
    assert_eq!(
        stage.runtime.worker_of(1),
        worker,
        "it is taken before another is started"
    );
    stage.runtime.finish(1);
    assert_eq!(states(&stage), [WorkerState::Idle], "and again ready afterwards");
}

#[test]
fn manual_3_1_busy_is_watched_for_its_time() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    assert_eq!(states(&stage), [WorkerState::Busy]);
    stage.pass_beating(seconds(119));
    assert_eq!(stage.pool.workers()[0].running_ms, Some(119_000));
    stage.pass_beating(seconds(1));
    assert!(matches!(
        (&mut ticket).now_or_never(),
        Some(Err(RequestError::Timeout(_)))
    ));
}

#[test]
fn manual_3_1_draining_gets_nothing_new_and_ends_what_it_has() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    stage.pool.recycle(worker).expect("busy may drain");
    assert_eq!(states(&stage), [WorkerState::Draining]);
    let mut next = stage.submit(2);
    assert_eq!(stage.runtime.started(), [1]);
    stage.runtime.finish(1);
    assert_eq!((&mut ticket).now_or_never(), Some(Ok(10)));
    assert_ne!(stage.runtime.worker_of(2), worker);
    stage.runtime.finish(2);
    assert_eq!((&mut next).now_or_never(), Some(Ok(20)));
    // Draining has an end even where the request has none.
    let _endless = stage.submit(3);
    let worker = stage.runtime.worker_of(3);
    stage.pool.recycle(worker).expect("busy may drain");
    stage.pass_beating(seconds(120));
    assert_eq!(stage.runtime.killed(), [worker]);
}

#[test]
fn manual_3_1_stuck_is_killed() {
    for drains in [false, true] {
        let stage = Stage::new(one_worker());
        let mut ticket = stage.submit(1);
        let worker = stage.runtime.worker_of(1);
        if drains {
            stage.pool.recycle(worker).expect("busy may drain");
        }
        stage.pass(seconds(61));
        assert_eq!(states(&stage), [WorkerState::Stuck, WorkerState::Idle]);
        assert_eq!(stage.runtime.killed(), [worker]);
        assert!(matches!(
            (&mut ticket).now_or_never(),
            Some(Err(RequestError::Stuck(_)))
        ));
        assert!(
            stage.pool.recycle(worker).is_err(),
            "there is only one way from here"
        );
    }
}

#[test]
fn manual_3_1_dead_leaves_the_pool_and_is_replaced_where_needed() {
    let stage = Stage::new(ConcurrencyConfig {
        max_workers: 3,
        ..one_worker()
    });
    let _tickets = [stage.submit(1), stage.submit(2), stage.submit(3)];
    let gone = stage.runtime.worker_of(1);
    stage.pool.kill(gone).expect("it is busy");
    assert!(stage.pool.workers().iter().all(|worker| worker.id != gone));
    assert_eq!(
        stage.pool.kill(gone),
        Err(LifecycleError::UnknownWorker { worker: gone })
    );
    assert_eq!(
        stage.pool.workers().len(),
        2,
        "nothing waits and the fewest are there: no replacement"
    );
    let _more = [stage.submit(4), stage.submit(5)];
    assert_eq!(stage.pool.workers().len(), 3, "work waits: replaced");
    stage.pool.kill(stage.runtime.worker_of(2)).expect("it is busy");
    assert_eq!(
        stage.runtime.running().len(),
        3,
        "and at once, for the request that waited"
    );
}

// --- 3.2

#[test]
fn manual_3_2_last_heartbeat_is_renewed_and_its_absence_found_out() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    for _ in 0..10 {
        stage.pass(seconds(5));
        assert_eq!(stage.pool.workers()[0].silent_ms, Some(5_000));
        stage.runtime.beat(worker);
        assert_eq!(stage.pool.workers()[0].silent_ms, Some(0));
    }
    stage.pass(seconds(60));
    assert!((&mut ticket).now_or_never().is_none());
    stage.pass(seconds(1));
    assert!(matches!(
        (&mut ticket).now_or_never(),
        Some(Err(RequestError::Stuck(error))) if error.silent_for == seconds(61)
    ));
}

// --- 3.3

#[test]
fn manual_3_3_trigger_max_requests_per_worker() {
    let stage = Stage::new(one_worker());
    let worker = stage.pool.workers()[0].id;
    for request in 1..=99 {
        let _ticket = stage.submit(request);
        stage.runtime.finish(request);
    }
    assert!(stage.runtime.retired().is_empty());
    // A failure is a request as well.
    let _ticket = stage.submit(100);
    stage.runtime.fail(100);
    assert_eq!(stage.runtime.retired(), [worker]);
    assert_eq!(reason(&stage), "request_limit");
}

#[test]
fn manual_3_3_trigger_memory_limit_mb() {
    let stage = Stage::new(one_worker());
    let _ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    stage.runtime.set_memory(513);
    stage.pass_beating(seconds(1));
    assert!(stage.runtime.retired().is_empty(), "its request ends first");
    stage.runtime.set_memory(0);
    stage.runtime.finish(1);
    assert_eq!(stage.runtime.retired(), [worker]);
    assert_eq!(reason(&stage), "memory_limit");
}

#[test]
fn manual_3_3_recycle_by_hand() {
    let stage = Stage::new(one_worker());
    let worker = stage.pool.workers()[0].id;
    stage.pool.recycle(worker).expect("it is idle");
    assert_eq!(stage.runtime.retired(), [worker], "drained, ended, removed");
    assert_eq!(reason(&stage), "manual");
    assert_eq!(stage.pool.totals().recycled[RecycleReason::Manual.index()], 1);
}

#[test]
fn manual_3_3_a_new_worker_comes_on_demand() {
    let stage = Stage::new(ConcurrencyConfig {
        max_workers: 2,
        ..one_worker()
    });
    let _tickets = [stage.submit(1), stage.submit(2)];
    let second = stage.runtime.worker_of(2);
    stage.pool.recycle(second).expect("it is busy");
    stage.runtime.finish(2);
    assert_eq!(
        stage.pool.workers().len(),
        1,
        "nothing waits: the fewest are enough"
    );
    let _third = stage.submit(3);
    assert_eq!(stage.pool.workers().len(), 2);
    assert_ne!(stage.runtime.worker_of(3), second);
}

#[test]
fn manual_3_3_a_worker_that_dies_while_it_drains_is_not_recycled_but_lost() {
    let stage = Stage::new(one_worker());
    let mut ticket = stage.submit(1);
    let worker = stage.runtime.worker_of(1);
    stage.pool.recycle(worker).expect("it is busy");
    stage.runtime.exit(worker, WorkerExit::OutOfMemory);
    let error = (&mut ticket).now_or_never().expect("it has ended");
    assert!(matches!(error, Err(RequestError::OutOfMemory(error)) if error.limit_mb == 512));
    assert_eq!(stage.pool.totals().recycled, [0; 4]);
    assert_eq!(stage.pool.totals().out_of_memory, 1);
}

fn reason(stage: &Stage) -> String {
    let heard = stage.heard();
    let recycled = heard.iter().find(|event| event.name() == "worker.recycled");
    recycled.expect("it is told").to_json()["payload"]["reason"]
        .as_str()
        .expect("a word")
        .to_owned()
}
