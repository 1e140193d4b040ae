//! Scheduler, hand-over and metrics: what every request pays.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::future::BoxFuture;
use openclaw_concurrency::{
    Assignment, ConcurrencyConfig, MemoryInUse, PriorityScheduler, SpawnError, Submission, WorkerHandle,
    WorkerLink, WorkerPool, WorkerRuntime,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{EventContext, InProcessEventBus, Monotonic};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Answers in the very call that hands over, so that only the pool is measured.
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

/// One enqueue and one dequeue with the queue kept at a size, ten entries per tenant.
fn scheduler(c: &mut Criterion) {
    let mut group = c.benchmark_group("scheduler_enqueue_dequeue");
    for entries in [1_000_u64, 32_000, 1_000_000] {
        let tenants: Vec<Arc<str>> = (0..entries / 10)
            .map(|n| Arc::from(format!("telegram:{n}:{n}")))
            .collect();
        let submission = |n: u64| {
            let tenant = &tenants[(n.wrapping_mul(7_919) % tenants.len() as u64) as usize];
            let accepted = Monotonic::from_origin(Duration::from_micros(n * 100));
            Submission::new(n, Arc::clone(tenant), accepted)
        };
        let mut scheduler = PriorityScheduler::new(2_000_000, Duration::from_secs(30_000));
        for n in 0..entries {
            scheduler.enqueue(submission(n)).expect("there is room");
        }
        let mut n = entries;
        group.bench_function(BenchmarkId::from_parameter(entries), |b| {
            b.iter(|| {
                n += 1;
                scheduler.enqueue(submission(n)).expect("there is room");
                black_box(scheduler.dequeue(Monotonic::ZERO))
            });
        });
    }
    group.finish();
}

fn pool(c: &mut Criterion) {
    let clock = ManualClock::new();
    let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
    let config = ConcurrencyConfig {
        max_requests_per_worker: u64::MAX,
        ..ConcurrencyConfig::default()
    };
    let pool = WorkerPool::new(config, Arc::new(Echo), clock, events).expect("valid");
    let tenant: Arc<str> = Arc::from("telegram:1:1");
    c.bench_function("pool_submit_to_answer", |b| {
        b.iter_batched(
            || Submission::new(1, Arc::clone(&tenant), Monotonic::ZERO),
            |submission| drop(black_box(pool.submit(submission))),
            BatchSize::SmallInput,
        );
    });
    c.bench_function("metrics_read", |b| b.iter(|| black_box(pool.metrics())));
}

criterion_group!(benches, scheduler, pool);
criterion_main!(benches);
