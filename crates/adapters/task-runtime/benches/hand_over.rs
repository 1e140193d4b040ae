//! From a submission on one thread to the answer of a worker on another and back, with so many on their way at once.
//!
//! The peer is a task on a runtime of its own, fed by a channel and answering by one-shot channels: no places, no turns,
//! no deadlines, no signs of life.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use openclaw_concurrency::{ConcurrencyConfig, Submission, WorkerPool};
use openclaw_core::{Clock, EventContext, InProcessEventBus};
use openclaw_system::SystemClock;
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const AT_ONCE: [usize; 3] = [1, 16, 256];

fn here() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn hand_over(criterion: &mut Criterion) {
    for at_once in AT_ONCE {
        let mut group = criterion.benchmark_group("hand_over");
        group.throughput(Throughput::Elements(at_once as u64));

        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let events = EventContext::new(InProcessEventBus::new(), Arc::clone(&clock), "concurrency");
        let config = ConcurrencyConfig {
            min_workers: at_once,
            max_workers: at_once,
            // So that no level of pressure is reached.
            max_queue_size: 10_000,
            max_requests_per_worker: u64::MAX,
            ..ConcurrencyConfig::default()
        };
        let threads = TaskRuntimeConfig {
            threads: 1,
            ..TaskRuntimeConfig::default()
        };
        let workers = TaskRuntime::new(threads, Arc::clone(&clock), |n: u64, _context| async move { n });
        let pool =
            WorkerPool::new(config, workers.expect("threads"), Arc::clone(&clock), events).expect("valid");
        let tenant: Arc<str> = Arc::from("telegram:1:1");
        let runtime = here();
        group.bench_function(format!("pool/{at_once}"), |bencher| {
            bencher.iter(|| {
                let tickets = (0..at_once).map(|_| {
                    let submission = Submission::new(1, Arc::clone(&tenant), clock.monotonic());
                    pool.submit(submission).expect("there is room")
                });
                black_box(runtime.block_on(join_all(tickets)));
            });
        });

        let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(10_000);
        let own = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        own.spawn(async move {
            while let Some((n, answer)) = receiver.recv().await {
                // Whoever asked may be gone at the end of the measurement.
                answer.send(n).ok();
            }
        });
        group.bench_function(format!("channel_and_oneshot/{at_once}"), |bencher| {
            bencher.iter(|| {
                let asked = (0..at_once).map(|_| {
                    let (answer, asked) = oneshot::channel();
                    sender.try_send((1, answer)).expect("there is room");
                    asked
                });
                black_box(runtime.block_on(join_all(asked)));
            });
        });
        group.finish();
    }
}

criterion_group!(benches, hand_over);
criterion_main!(benches);
