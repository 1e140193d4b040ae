//! From a submission on one thread to the answer of a worker on another and back, with so many on their way at once.
//!
//! The peer is a task on a runtime of its own, fed by a channel and answering by one-shot channels: no places, no turns,
//! no deadlines, no signs of life.
//!
//! `hand_over count NAME TIMES` does one case so often and nothing else: its processor time, all threads together, drifts
//! with the machine's load less than the time that passes does.

use criterion::{Criterion, Throughput};
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

/// So many requests at once, to the last answer.
type Operation = Box<dyn FnMut()>;

fn here() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn pool(at_once: usize) -> Operation {
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
    let pool = WorkerPool::new(config, workers.expect("threads"), Arc::clone(&clock), events).expect("valid");
    let tenant: Arc<str> = Arc::from("telegram:1:1");
    let runtime = here();
    Box::new(move || {
        let tickets = (0..at_once).map(|_| {
            let submission = Submission::new(1, Arc::clone(&tenant), clock.monotonic());
            pool.submit(submission).expect("there is room")
        });
        black_box(runtime.block_on(join_all(tickets)));
    })
}

fn channel_and_oneshot(at_once: usize) -> Operation {
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
    let runtime = here();
    Box::new(move || {
        black_box(&own);
        let asked = (0..at_once).map(|_| {
            let (answer, asked) = oneshot::channel();
            sender.try_send((1, answer)).expect("there is room");
            asked
        });
        black_box(runtime.block_on(join_all(asked)));
    })
}

fn case(name: &str, at_once: usize) -> Operation {
    match name {
        "pool" => pool(at_once),
        "channel_and_oneshot" => channel_and_oneshot(at_once),
        _ => panic!("pool/N or channel_and_oneshot/N"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [count, case_name, times] = arguments.as_slice()
        && count == "count"
    {
        let (name, at_once) = case_name.split_once('/').expect("NAME/N");
        let mut operation = case(name, at_once.parse().expect("how many at once"));
        (0..times.parse::<u64>().expect("how often")).for_each(|_| operation());
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for at_once in AT_ONCE {
        let mut group = criterion.benchmark_group("hand_over");
        group.throughput(Throughput::Elements(at_once as u64));
        for name in ["pool", "channel_and_oneshot"] {
            // Once, and only when it is measured: the function is called for every sample.
            let mut operation = None;
            group.bench_function(format!("{name}/{at_once}"), |bencher| {
                bencher.iter(operation.get_or_insert_with(|| case(name, at_once)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
