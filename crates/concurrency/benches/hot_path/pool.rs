//! The pool alone, with workers that answer in the very call that hands over: from a submission to its answer, with so
//! many workers; and reading the metrics, with so many latencies in the window.
//!
//! The peer of the first is a semaphore and a one-shot channel, the peer of the second the histogram itself.

use crate::{Case, sizes};
use futures::FutureExt;
use futures::future::BoxFuture;
use hdrhistogram::Histogram;
use openclaw_concurrency::{
    Assignment, ConcurrencyConfig, MemoryInUse, SpawnError, Submission, WorkerHandle, WorkerLink, WorkerPool,
    WorkerRuntime,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{EventContext, InProcessEventBus, Monotonic};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

const WORKERS: [usize; 3] = [4, 256, 10_000];
const LATENCIES: [usize; 3] = [1_000, 10_000, 100_000];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for workers in sizes(WORKERS) {
        cases.push(Case::new(format!("pool_submit_to_answer/{workers}"), move || {
            let (pool, _clock) = pool(workers);
            let tenant: Arc<str> = Arc::from("telegram:1:1");
            move || answer(&pool, &tenant)
        }));
        cases.push(Case::new(
            format!("pool_peer_semaphore_oneshot/{workers}"),
            move || {
                let room = Arc::new(Semaphore::new(workers));
                move || {
                    let permit = Arc::clone(&room).try_acquire_owned().expect("there is room");
                    let (answer, asked) = oneshot::channel::<u64>();
                    answer.send(black_box(1)).expect("somebody asked");
                    black_box(asked.now_or_never());
                    drop(permit);
                }
            },
        ));
    }
    for latencies in sizes(LATENCIES) {
        cases.push(Case::new(format!("metrics_read/{latencies}"), move || {
            let (pool, clock) = pool(4);
            let tenant: Arc<str> = Arc::from("telegram:1:1");
            for _ in 0..latencies {
                // Over a minute in all, so that several slices of the window are in use.
                clock.advance(Duration::from_micros(60_000_000 / latencies as u64));
                answer(&pool, &tenant);
            }
            move || {
                black_box(pool.metrics());
            }
        }));
        cases.push(Case::new(
            format!("metrics_peer_hdrhistogram/{latencies}"),
            move || {
                let mut histogram = Histogram::<u64>::new_with_bounds(1, 86_400_000_000, 2).expect("valid");
                (0..latencies as u64).for_each(|n| histogram.saturating_record(1 + n % 5_000));
                move || {
                    black_box((
                        histogram.mean(),
                        histogram.value_at_quantile(0.95),
                        histogram.value_at_quantile(0.99),
                    ));
                }
            },
        ));
    }
    cases
}

#[derive(Debug)]
struct Echo;

#[derive(Debug)]
struct EchoWorker(WorkerLink<u64>);

impl WorkerRuntime<u64, u64> for Echo {
    fn spawn(&self, link: WorkerLink<u64>) -> Result<Arc<dyn WorkerHandle<u64>>, SpawnError> {
        Ok(Arc::new(EchoWorker(link)))
    }

    fn keep_house(&self, _: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        Ok(())
    }
}

impl WorkerHandle<u64> for EchoWorker {
    fn run(&self, assignment: Assignment<u64>) {
        self.0.finished(assignment.context.run(), assignment.request);
    }

    fn retire(&self) {}

    fn kill(&self) {}

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Shared
    }
}

fn pool(workers: usize) -> (Arc<WorkerPool<u64, u64>>, Arc<ManualClock>) {
    let clock = ManualClock::new();
    let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
    let config = ConcurrencyConfig {
        min_workers: workers,
        max_workers: workers,
        max_requests_per_worker: u64::MAX,
        ..ConcurrencyConfig::default()
    };
    let pool = WorkerPool::new(config, Arc::new(Echo), Arc::clone(&clock) as _, events).expect("valid");
    (pool, clock)
}

fn answer(pool: &WorkerPool<u64, u64>, tenant: &Arc<str>) {
    let submission = Submission::new(1, Arc::clone(tenant), Monotonic::ZERO);
    let ticket = pool.submit(submission).expect("there is room");
    black_box(ticket.now_or_never());
}
