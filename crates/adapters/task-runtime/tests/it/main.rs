//! The runtime under a real pool. Time is the test's; only the threads are real.

mod beside;
mod example;
mod hostile;

use futures::channel::oneshot;
use openclaw_concurrency::{
    ConcurrencyConfig, RequestError, Submission, Ticket, WorkContext, WorkerPool, WorkerRuntime, WorkerState,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, EventContext, InProcessEventBus};
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

type Pool<R, T> = Arc<WorkerPool<R, T>>;

fn pool_on<R: Send + 'static, T: Send + 'static>(
    runtime: Arc<dyn WorkerRuntime<R, T>>,
    clock: &Arc<ManualClock>,
    config: ConcurrencyConfig,
) -> Pool<R, T> {
    let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
    WorkerPool::new(config, runtime, clock.clone(), events).expect("valid")
}

fn here<R, T, F>(
    clock: &Arc<ManualClock>,
    config: ConcurrencyConfig,
    handler: impl Fn(R, WorkContext) -> F + Send + Sync + 'static,
) -> Pool<R, T>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = TaskRuntime::on(tokio::runtime::Handle::current(), clock.clone(), handler);
    pool_on(runtime, clock, config)
}

fn submit<R: Send + 'static, T: Send + 'static>(
    pool: &Pool<R, T>,
    clock: &Arc<ManualClock>,
    request: R,
) -> Ticket<T> {
    pool.submit(Submission::new(request, "tenant", clock.monotonic()))
        .expect("admitted")
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn pass(clock: &Arc<ManualClock>, seconds: u64) {
    for _ in 0..seconds {
        clock.advance(Duration::from_secs(1));
        settle().await;
    }
}

fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..ConcurrencyConfig::default()
    }
}

#[tokio::test]
async fn requests_are_answered_by_the_handler() {
    let clock = ManualClock::new();
    let pool = here(
        &clock,
        ConcurrencyConfig::default(),
        |n: u32, _| async move { n * 2 },
    );
    let tickets: Vec<_> = (0..10).map(|n| submit(&pool, &clock, n)).collect();
    let answers = futures::future::try_join_all(tickets)
        .await
        .expect("all answered");
    assert_eq!(answers, (0..10).map(|n| n * 2).collect::<Vec<_>>());
    assert_eq!(pool.metrics().total_processed, 10);
}

#[tokio::test]
async fn a_worker_at_work_beats_and_outlives_the_stuck_threshold() {
    let clock = ManualClock::new();
    let pool = here(
        &clock,
        one_worker(),
        |done: oneshot::Receiver<u32>, _| async move { done.await.unwrap_or(0) },
    );
    let (send, done) = oneshot::channel();
    let ticket = submit(&pool, &clock, done);
    settle().await;
    pass(&clock, 100).await;
    assert_eq!(pool.workers()[0].state, WorkerState::Busy);
    assert!(pool.workers()[0].silent_ms.is_some_and(|silent| silent <= 5_000));
    send.send(7).expect("it waits");
    assert_eq!(ticket.await, Ok(7));
}

#[tokio::test]
async fn a_request_past_the_limit_is_dropped_where_it_waits() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let clock = ManualClock::new();
    let drops = Arc::new(AtomicU32::new(0));
    let counter = drops.clone();
    let pool = here(&clock, one_worker(), move |slow: bool, _| {
        let dropped = Dropped(counter.clone());
        async move {
            let _dropped = dropped;
            if slow {
                std::future::pending::<()>().await;
            }
        }
    });
    let slow = submit(&pool, &clock, true);
    let next = submit(&pool, &clock, false);
    settle().await;
    pass(&clock, 120).await;
    assert!(matches!(slow.await, Err(RequestError::Timeout(_))));
    assert_eq!(next.await, Ok(()));
    assert_eq!(drops.load(Ordering::SeqCst), 2);
    assert_eq!(pool.totals().abandoned, 0, "a task that waits holds no thread");
}

#[tokio::test]
async fn a_panic_ends_the_request_with_an_error_and_the_pool_goes_on() {
    let clock = ManualClock::new();
    let pool = here(&clock, one_worker(), |n: u32, _| async move {
        assert!(n != 1, "one is not allowed");
        n
    });
    let (first, second) = (submit(&pool, &clock, 1), submit(&pool, &clock, 2));
    match first.await {
        Err(RequestError::Crashed { reason, .. }) => {
            assert!(reason.contains("one is not allowed"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(second.await, Ok(2));
    assert_eq!(pool.totals().crashed, 1);
}

#[tokio::test]
async fn a_handler_hears_of_its_cancellation() {
    let clock = ManualClock::new();
    let pool = here(&clock, one_worker(), |(): (), context: WorkContext| async move {
        context.cancelled().await;
        context.is_cancelled()
    });
    let ticket = submit(&pool, &clock, ());
    settle().await;
    ticket.canceller().cancel();
    assert_eq!(ticket.await, Ok(true));
}

#[tokio::test]
async fn workers_are_replaced_after_their_last_request() {
    let clock = ManualClock::new();
    let config = ConcurrencyConfig {
        max_requests_per_worker: 3,
        ..one_worker()
    };
    let pool = here(&clock, config, |(): (), context: WorkContext| async move {
        context.worker().get()
    });
    let mut workers = Vec::new();
    for _ in 0..7 {
        workers.push(submit(&pool, &clock, ()).await.expect("answered"));
    }
    assert_eq!(workers, [1, 1, 1, 2, 2, 2, 3]);
}

#[tokio::test]
async fn killing_an_idle_and_a_busy_worker_leaves_a_pool_that_works() {
    let clock = ManualClock::new();
    let pool = here(&clock, one_worker(), |wait: bool, _| async move {
        if wait {
            std::future::pending::<()>().await;
        }
    });
    pool.kill(pool.workers()[0].id).expect("it is there");
    let busy = submit(&pool, &clock, true);
    settle().await;
    pool.kill(pool.workers()[0].id).expect("it is there");
    assert!(matches!(busy.await, Err(RequestError::Killed { .. })));
    assert_eq!(submit(&pool, &clock, false).await, Ok(()));
}

#[tokio::test]
async fn ten_thousand_workers_are_no_trouble() {
    let clock = ManualClock::new();
    let config = ConcurrencyConfig {
        max_workers: 10_000,
        max_queue_size: 10_000,
        ..ConcurrencyConfig::default()
    };
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let pool = here(&clock, config, move |n: u32, _| {
        let held = held.clone();
        async move {
            drop(held.acquire().await);
            n
        }
    });
    let tickets: Vec<_> = (0..10_000).map(|n| submit(&pool, &clock, n)).collect();
    assert_eq!(pool.metrics().active_workers, 10_000);
    gate.add_permits(10_000);
    let answers = futures::future::try_join_all(tickets)
        .await
        .expect("all answered");
    assert_eq!(answers.len(), 10_000);
}

#[test]
fn blocked_threads_are_abandoned_counted_and_replaced() {
    let clock = ManualClock::new();
    let (entered, blocked) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let runtime = TaskRuntime::new(
        TaskRuntimeConfig {
            threads: 1,
            ..TaskRuntimeConfig::default()
        },
        clock.clone(),
        move |block: bool, _| {
            let (entered, gate) = (entered.clone(), gate.clone());
            async move {
                if block {
                    entered.send(()).expect("the test listens");
                    // Blocks its thread, and with it every worker there.
                    gate.lock().expect("not poisoned").recv().ok();
                }
            }
        },
    )
    .expect("threads");
    let pool = pool_on(runtime, &clock, one_worker());
    let stuck = submit(&pool, &clock, true);
    blocked.recv().expect("it blocks");
    let next = submit(&pool, &clock, false);
    pool.kill(pool.workers()[0].id).expect("it is there");
    assert!(matches!(
        futures::executor::block_on(stuck),
        Err(RequestError::Killed { .. })
    ));
    // The only thread is lost; the next request is answered all the same.
    assert_eq!(futures::executor::block_on(next), Ok(()));
    assert_eq!(pool.totals().abandoned, 1);
    release.send(()).expect("it waits");
    while pool.totals().abandoned > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn housekeeping_runs_where_no_worker_can_block_it() {
    let clock = ManualClock::new();
    let (entered, blocked) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let runtime = TaskRuntime::new(
        TaskRuntimeConfig {
            threads: 1,
            ..TaskRuntimeConfig::default()
        },
        clock.clone(),
        move |(): (), _| {
            let (entered, gate) = (entered.clone(), gate.clone());
            async move {
                entered.send(()).expect("the test listens");
                gate.lock().expect("not poisoned").recv().ok();
            }
        },
    )
    .expect("threads");
    let pool = pool_on(runtime, &clock, one_worker());
    let mut stuck = submit(&pool, &clock, ());
    blocked.recv().expect("it blocks");
    let answer = loop {
        match futures::FutureExt::now_or_never(&mut stuck) {
            Some(answer) => break answer,
            None => {
                // Only once housekeeping waits for the next second.
                if clock.sleepers() > 0 {
                    clock.advance(Duration::from_secs(1));
                }
                std::thread::yield_now();
            }
        }
    };
    assert!(
        matches!(answer, Err(RequestError::Stuck(_) | RequestError::Timeout(_))),
        "{answer:?}"
    );
    // Told first, counted then.
    while pool.totals().abandoned == 0 {
        if clock.sleepers() > 0 {
            clock.advance(Duration::from_secs(1));
        }
        std::thread::yield_now();
    }
    release.send(()).expect("it waits");
}

#[test]
fn a_runtime_that_has_ended_starts_no_worker_and_blocks_nobody() {
    let clock = ManualClock::new();
    let ended = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let handle = ended.handle().clone();
    drop(ended);
    let runtime = TaskRuntime::on(handle, clock.clone(), |(): (), _| async {});
    let pool = pool_on(runtime, &clock, one_worker());
    assert!(pool.workers().is_empty());
    assert_eq!(pool.totals().spawn_failures, 1);
}
