//! What panics where the pool calls or drops it: runtimes, requests, answers. Nothing of it runs under the lock, nobody
//! else is taken with it, and whoever called the pool does not see it.

use crate::support::Stage;
use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_concurrency::{
    Assignment, ConcurrencyConfig, MemoryInUse, RequestError, SpawnError, Submission, WorkerHandle,
    WorkerLink, WorkerPool, WorkerRuntime,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, EventContext, InProcessEventBus};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    }
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb was dropped");
    }
}

/// The same, with a bomb.
struct BombOfBombs;

impl Drop for BombOfBombs {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

#[test]
fn a_runtime_that_panics_takes_nobody_with_it() {
    let stage = Stage::new(ConcurrencyConfig {
        max_workers: 2,
        ..one_worker()
    });
    stage.runtime.on_run(|| std::panic::panic_any(Bomb));
    let mut first = stage.submit(1);
    stage.runtime.on_run(|| {});
    stage.runtime.finish(1);
    assert_eq!((&mut first).now_or_never(), Some(Ok(10)));
    let _running = stage.submit(2);
    stage.runtime.on_spawn(|| std::panic::panic_any(BombOfBombs));
    let mut waiting = stage.submit(3);
    assert_eq!(stage.pool.totals().spawn_failures, 1);
    assert_eq!(
        stage.pool.workers().len(),
        1,
        "no worker is in the books that is not there"
    );
    stage.runtime.on_spawn(|| {});
    stage.runtime.finish(2);
    stage.runtime.finish(3);
    assert_eq!((&mut waiting).now_or_never(), Some(Ok(30)));
}

/// Keeps what it is given, for requests and answers of any kind.
struct Keeps<R, T> {
    links: Mutex<Vec<WorkerLink<T>>>,
    given: Arc<Mutex<Vec<Assignment<R>>>>,
}

struct Keeper<R>(Arc<Mutex<Vec<Assignment<R>>>>);

impl<R, T> fmt::Debug for Keeps<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeps")
    }
}

impl<R> fmt::Debug for Keeper<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl<R: Send + 'static, T: Send + 'static> WorkerRuntime<R, T> for Keeps<R, T> {
    fn spawn(&self, link: WorkerLink<T>) -> Result<Arc<dyn WorkerHandle<R>>, SpawnError> {
        self.links.lock().push(link);
        Ok(Arc::new(Keeper(Arc::clone(&self.given))))
    }

    fn keep_house(&self, _: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        Ok(())
    }
}

impl<R: Send + 'static> WorkerHandle<R> for Keeper<R> {
    fn run(&self, assignment: Assignment<R>) {
        self.0.lock().push(assignment);
    }

    fn retire(&self) {}

    fn kill(&self) {}

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Unreadable
    }
}

type Kept<R, T> = (Arc<ManualClock>, Arc<Keeps<R, T>>, Arc<WorkerPool<R, T>>);

fn pool<R: Send + 'static, T: Send + 'static>() -> Kept<R, T> {
    let clock = ManualClock::new();
    let runtime = Arc::new(Keeps {
        links: Mutex::default(),
        given: Arc::default(),
    });
    let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
    let pool = WorkerPool::new(one_worker(), runtime.clone(), clock.clone(), events).expect("valid");
    (clock, runtime, pool)
}

#[test]
fn a_request_that_panics_as_it_is_dropped_is_dropped_where_nobody_sees_it() {
    let (clock, _runtime, pool) = pool::<Bomb, ()>();
    pool.pause();
    let request = || Submission::new(Bomb, "tenant", clock.monotonic());
    let cancelled = pool.submit(request()).expect("admitted");
    cancelled.canceller().cancel();
    assert_eq!(cancelled.now_or_never(), Some(Err(RequestError::Cancelled)));
    let submission = Submission {
        deadline: Some(clock.monotonic() + Duration::from_secs(5)),
        ..request()
    };
    let expired = pool.submit(submission).expect("admitted");
    clock.advance(Duration::from_secs(5));
    pool.keep_house();
    assert!(matches!(
        expired.now_or_never(),
        Some(Err(RequestError::Expired { .. }))
    ));
    let place = pool.admit().expect("there is room");
    assert!(pool.shutdown(Duration::ZERO).now_or_never().is_some());
    let late = place.submit(request());
    assert_eq!(late.now_or_never(), Some(Err(RequestError::ShuttingDown)));
}

#[test]
fn a_late_answer_that_panics_as_it_is_dropped_is_dropped_where_nobody_sees_it() {
    let (clock, runtime, pool) = pool::<u32, Bomb>();
    let submission = Submission::new(1, "tenant", clock.monotonic());
    let ticket = pool.submit(submission).expect("admitted");
    let worker = pool.workers()[0].id;
    pool.kill(worker).expect("it is there");
    assert!(matches!(
        ticket.now_or_never(),
        Some(Err(RequestError::Killed { .. }))
    ));
    let run = runtime.given.lock()[0].context.run();
    let link = runtime.links.lock()[0].clone();
    link.finished(run, Bomb);
    assert_eq!(pool.totals().late_results, 1);
}
