//! Requests that only wait, on the threads of those who ask. Time is the test's.

use super::{one_worker, pool_on};
use futures::FutureExt;
use futures::executor::block_on;
use openclaw_concurrency::{ConcurrencyConfig, Submission, Ticket, WorkContext, WorkerPool};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, CodedError};
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What a handler is asked to do, and whether it says that it only waits.
struct Deed {
    only_waits: bool,
    act: Act,
}

enum Act {
    /// Tell the thread's name.
    Tell,
    /// Say so, and block the thread until there is nobody left to send.
    Block(mpsc::Sender<()>, mpsc::Receiver<()>),
    Panic,
}

struct Stage {
    clock: Arc<ManualClock>,
    pool: Arc<WorkerPool<Deed, String>>,
    callers: Option<Runtime>,
}

impl Stage {
    /// One thread of the callers', one of the workers'.
    fn new(config: ConcurrencyConfig) -> Self {
        let clock = ManualClock::new();
        let callers = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("callers")
            .build()
            .expect("threads");
        let threads = TaskRuntimeConfig {
            threads: 1,
            ..TaskRuntimeConfig::default()
        };
        let runtime = TaskRuntime::beside_callers(
            threads,
            callers.handle().clone(),
            |deed: &Deed| deed.only_waits,
            clock.clone(),
            |deed: Deed, _: WorkContext| async move {
                match deed.act {
                    Act::Tell => {}
                    Act::Block(entered, gate) => {
                        entered.send(()).expect("the test listens");
                        gate.recv().ok();
                    }
                    Act::Panic => panic!("as it was asked to"),
                }
                std::thread::current().name().unwrap_or_default().to_owned()
            },
        );
        Self {
            pool: pool_on(runtime.expect("threads"), &clock, config),
            clock,
            callers: Some(callers),
        }
    }

    fn submit(&self, only_waits: bool, act: Act) -> Ticket<String> {
        let deed = Deed { only_waits, act };
        let submission = Submission::new(deed, "tenant", self.clock.monotonic());
        self.pool.submit(submission).expect("there is room")
    }

    /// Where a request ran; the code of its error, if it did not.
    fn where_it_runs(&self, only_waits: bool) -> String {
        match block_on(self.submit(only_waits, Act::Tell)) {
            Ok(name) => name,
            Err(error) => error.code().to_owned(),
        }
    }
}

#[test]
fn what_only_waits_runs_on_the_callers_threads_and_all_else_on_the_workers() {
    let stage = Stage::new(one_worker());
    let worker = stage.pool.workers()[0].id;
    for _ in 0..3 {
        assert_eq!(stage.where_it_runs(true), "callers");
        assert_eq!(stage.where_it_runs(true), "callers");
        assert_eq!(stage.where_it_runs(false), "openclaw-worker");
    }
    let workers = stage.pool.workers();
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0].id, worker, "the same one, wherever it sat");
    assert_eq!(workers[0].requests, 9);
    assert_eq!(stage.pool.totals().crashed, 0, "an empty seat is nobody's crash");
}

#[test]
fn what_holds_a_callers_thread_against_its_word_is_found_out_and_counted() {
    let stage = Stage::new(ConcurrencyConfig {
        max_workers: 2,
        ..one_worker()
    });
    let (entered, held) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    let mut blocked = stage.submit(true, Act::Block(entered, gate));
    held.recv().expect("it begins");
    let answer = loop {
        if let Some(answer) = (&mut blocked).now_or_never() {
            break answer;
        }
        // What is not left to the callers' threads is served all the while.
        assert_eq!(stage.where_it_runs(false), "openclaw-worker");
        stage.clock.advance(Duration::from_secs(1));
        stage.pool.keep_house();
    };
    assert_eq!(answer.map_err(|error| error.code()), Err("WORKER_STUCK"));
    // Housekeeping may have been the one that gave it up. Told first, counted then.
    while stage.pool.totals().abandoned == 0 {
        std::thread::yield_now();
    }
    assert_eq!(
        stage.pool.totals().abandoned,
        1,
        "its thread is lost, and counted"
    );
    drop(open);
    while stage.pool.totals().abandoned > 0 || stage.pool.metrics().stuck_workers > 0 {
        std::thread::yield_now();
    }
    assert_eq!(stage.where_it_runs(true), "callers");
}

#[test]
fn a_panic_on_a_callers_thread_ends_its_request_alone() {
    let stage = Stage::new(one_worker());
    let answer = block_on(stage.submit(true, Act::Panic));
    assert_eq!(answer.map_err(|error| error.code()), Err("WORKER_CRASHED"));
    assert_eq!(stage.where_it_runs(true), "callers");
    assert_eq!(stage.pool.totals().crashed, 1);
}

#[test]
fn without_the_callers_runtime_a_request_is_refused_and_not_lost() {
    let mut stage = Stage::new(one_worker());
    assert_eq!(stage.where_it_runs(true), "callers");
    drop(stage.callers.take());
    assert_eq!(stage.where_it_runs(true), "WORKER_CRASHED");
    assert_eq!(stage.where_it_runs(false), "openclaw-worker");
}
