//! The pool's hand-over: every request answered once, no worker handed two, no wake-up lost, no place leaked.

use super::explore;
use crate::error::{RequestError, SpawnError};
use crate::lifecycle::WorkerId;
use crate::pool::WorkerPool;
use crate::ports::{MemoryInUse, WorkerHandle, WorkerLink, WorkerRuntime};
use crate::sync::{Mutex, between};
use crate::work::{Assignment, Submission};
use crate::{ConcurrencyConfig, PoolTotals};
use futures::future::BoxFuture;
use openclaw_core::testing::ManualClock;
use openclaw_core::{EventContext, InProcessEventBus, Monotonic};
use shuttle::thread::JoinHandle;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Each request is answered by a thread of its own, with ten times its number.
#[derive(Debug, Default)]
struct Threads {
    at_work: Mutex<Vec<JoinHandle<()>>>,
    /// Keys that run: no request of a key may start while another does.
    keys: Mutex<HashSet<u32>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    link: WorkerLink<u32>,
    threads: Arc<Threads>,
    busy: Arc<Mutex<bool>>,
}

#[derive(Debug)]
struct Runtime(Arc<Threads>);

impl WorkerRuntime<u32, u32> for Runtime {
    fn spawn(&self, link: WorkerLink<u32>) -> Result<Arc<dyn WorkerHandle<u32>>, SpawnError> {
        Ok(Arc::new(Worker {
            link,
            threads: Arc::clone(&self.0),
            busy: Arc::default(),
        }))
    }

    fn keep_house(&self, _: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        Ok(())
    }
}

impl WorkerHandle<u32> for Worker {
    fn run(&self, assignment: Assignment<u32>) {
        let was = std::mem::replace(&mut *self.busy.lock(), true);
        assert!(!was, "a worker was handed two requests");
        let (link, threads, busy) = (
            self.link.clone(),
            Arc::clone(&self.threads),
            Arc::clone(&self.busy),
        );
        let thread = shuttle::thread::spawn(move || {
            let running = threads.running.fetch_add(1, Ordering::SeqCst) + 1;
            threads.most_running.fetch_max(running, Ordering::SeqCst);
            let request = assignment.request;
            let key = request / 100;
            if key > 0 {
                assert!(threads.keys.lock().insert(key), "a key runs twice");
            }
            between();
            if key > 0 {
                threads.keys.lock().remove(&key);
            }
            threads.running.fetch_sub(1, Ordering::SeqCst);
            *busy.lock() = false;
            link.finished(assignment.context.run(), request * 10);
        });
        self.threads.at_work.lock().push(thread);
    }

    fn retire(&self) {
        assert!(!*self.busy.lock(), "a busy worker was retired");
    }

    fn kill(&self) {}

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Shared
    }
}

struct Stage {
    clock: Arc<ManualClock>,
    threads: Arc<Threads>,
    pool: Arc<WorkerPool<u32, u32>>,
}

impl Stage {
    fn new(config: ConcurrencyConfig) -> Self {
        let clock = ManualClock::new();
        let threads = Arc::<Threads>::default();
        let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "concurrency");
        let runtime = Arc::new(Runtime(Arc::clone(&threads)));
        let pool = WorkerPool::new(config, runtime, clock.clone(), events).expect("valid");
        Self { clock, threads, pool }
    }

    /// Waits for all threads of requests, those they start included.
    fn rest(&self) {
        loop {
            let thread = self.threads.at_work.lock().pop();
            match thread {
                Some(thread) => thread.join().expect("no panic"),
                None => return,
            }
        }
    }

    /// What must hold once nothing runs any more.
    fn at_rest(&self, submitted: u64) -> PoolTotals {
        self.rest();
        let (metrics, totals) = (self.pool.metrics(), self.pool.totals());
        assert_eq!(
            (metrics.active_workers, metrics.queue_depth),
            (0, 0),
            "nothing is left"
        );
        assert_eq!(totals.submitted, submitted);
        assert_eq!(
            metrics.total_processed + totals.cancelled,
            submitted,
            "everything is accounted for, once"
        );
        totals
    }
}

/// Requests of 100 and more need the key of their hundreds alone.
fn request(number: u32) -> Submission<u32> {
    let key = number / 100;
    Submission {
        exclusive: (key > 0).then(|| Arc::from(key.to_string())),
        ..Submission::new(number, "tenant", Monotonic::ZERO)
    }
}

fn config() -> ConcurrencyConfig {
    ConcurrencyConfig {
        min_workers: 1,
        max_workers: 2,
        max_queue_size: 8,
        backpressure_threshold: 1.0,
        max_requests_per_worker: 2,
        ..ConcurrencyConfig::default()
    }
}

#[test]
fn every_request_is_answered_once_by_its_own_answer() {
    explore(|| {
        let stage = Stage::new(config());
        let callers: Vec<_> = [[1, 101], [2, 102]]
            .map(|requests| {
                let pool = Arc::clone(&stage.pool);
                shuttle::thread::spawn(move || {
                    for number in requests {
                        let ticket = pool.submit(request(number)).expect("there is room");
                        assert_eq!(shuttle::future::block_on(ticket), Ok(number * 10));
                    }
                })
            })
            .into_iter()
            .collect();
        for caller in callers {
            caller.join().expect("no panic");
        }
        stage.at_rest(4);
        assert!(stage.threads.most_running.load(Ordering::SeqCst) <= 2);
    });
}

#[test]
fn a_ticket_dropped_at_any_moment_leaves_nothing_behind() {
    explore(|| {
        let stage = Stage::new(ConcurrencyConfig {
            max_workers: 1,
            ..config()
        });
        let first = stage.pool.submit(request(101)).expect("there is room");
        let dropped = stage.pool.submit(request(102)).expect("there is room");
        let pool = Arc::clone(&stage.pool);
        let caller = shuttle::thread::spawn(move || {
            let last = pool.submit(request(103)).expect("there is room");
            assert_eq!(shuttle::future::block_on(last), Ok(1_030));
        });
        between();
        drop(dropped);
        assert_eq!(shuttle::future::block_on(first), Ok(1_010));
        caller.join().expect("no panic");
        // It may have been answered before it was dropped.
        assert!(stage.at_rest(3).cancelled <= 1);
    });
}

#[test]
fn a_kill_in_the_moment_of_the_answer_is_one_or_the_other() {
    explore(|| {
        let stage = Stage::new(config());
        let first = stage.pool.submit(request(1)).expect("there is room");
        let pool = Arc::clone(&stage.pool);
        let operator = shuttle::thread::spawn(move || pool.kill(WorkerId::new(1)).is_ok());
        let second = stage.pool.submit(request(2)).expect("there is room");
        let answers = [first, second].map(shuttle::future::block_on);
        let killed = operator.join().expect("no panic");
        stage.rest();
        let totals = stage.at_rest(2);
        let lost = answers
            .iter()
            .filter(|answer| matches!(answer, Err(RequestError::Killed { .. })))
            .count();
        for (number, answer) in [10, 20].into_iter().zip(&answers) {
            assert!(
                answer.as_ref().map_or(true, |answer| *answer == number),
                "{answers:?}"
            );
        }
        // The worker may have served its two requests and gone before the kill.
        assert!(lost <= usize::from(killed));
        assert_eq!(
            totals.late_results, lost as u64,
            "its result came, and was dropped"
        );
    });
}

#[test]
fn a_timeout_in_the_moment_of_the_answer_is_one_or_the_other() {
    explore(|| {
        let stage = Stage::new(ConcurrencyConfig {
            max_workers: 1,
            ..config()
        });
        let slow = stage.pool.submit(request(1)).expect("there is room");
        let (pool, clock) = (Arc::clone(&stage.pool), Arc::clone(&stage.clock));
        let house = shuttle::thread::spawn(move || {
            pool.keep_house();
            clock.advance(Duration::from_secs(120));
            pool.keep_house();
        });
        let next = stage.pool.submit(request(2)).expect("there is room");
        let answers = [slow, next].map(shuttle::future::block_on);
        house.join().expect("no panic");
        for (number, answer) in [10, 20].into_iter().zip(&answers) {
            match answer {
                Ok(answer) => assert_eq!(*answer, number),
                Err(error) => assert!(matches!(error, RequestError::Timeout(_) | RequestError::Stuck(_))),
            }
        }
        stage.at_rest(2);
        // The pool goes on, whoever won.
        let after = stage.pool.submit(request(3)).expect("there is room");
        assert_eq!(shuttle::future::block_on(after), Ok(30));
        stage.rest();
    });
}

#[test]
fn a_burst_passes_no_more_than_fits_and_places_come_back() {
    explore(|| {
        let stage = Stage::new(ConcurrencyConfig {
            max_queue_size: 2,
            ..config()
        });
        stage.pool.pause();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let pool = Arc::clone(&stage.pool);
                shuttle::thread::spawn(move || pool.admit().ok())
            })
            .collect();
        let places: Vec<_> = callers
            .into_iter()
            .filter_map(|caller| caller.join().expect("no panic"))
            .collect();
        assert_eq!(places.len(), 2);
        drop(places);
        assert_eq!(stage.pool.metrics().queue_depth, 0);
    });
}

#[test]
fn whoever_waits_for_admission_hears_of_the_room() {
    explore(|| {
        let stage = Stage::new(ConcurrencyConfig {
            max_workers: 1,
            max_queue_size: 1,
            ..config()
        });
        let callers: Vec<_> = [1, 2, 3]
            .map(|number| {
                let pool = Arc::clone(&stage.pool);
                shuttle::thread::spawn(move || {
                    let ticket = loop {
                        match pool.submit(request(number)) {
                            Ok(ticket) => break ticket,
                            Err(_) => shuttle::future::block_on(pool.admissible()).expect("it is open"),
                        }
                    };
                    assert_eq!(shuttle::future::block_on(ticket), Ok(number * 10));
                })
            })
            .into_iter()
            .collect();
        for caller in callers {
            caller.join().expect("no panic");
        }
        stage.at_rest(3);
    });
}

#[test]
fn a_shutdown_ends_and_answers_everybody() {
    explore(|| {
        let stage = Stage::new(ConcurrencyConfig {
            max_workers: 1,
            ..config()
        });
        let first = stage.pool.submit(request(1)).expect("it is open");
        let pool = Arc::clone(&stage.pool);
        let caller = shuttle::thread::spawn(move || {
            match pool.submit(request(2)) {
                // Taken before the shutdown began, and so worked off.
                Ok(ticket) => assert_eq!(shuttle::future::block_on(ticket), Ok(20)),
                Err(refused) => assert_eq!(refused.submission.request, 2),
            }
        });
        // Nobody moves the clock: only the end of the work can end the wait.
        let report = shuttle::future::block_on(stage.pool.shutdown(Duration::from_secs(25)));
        assert_eq!((report.interrupted, report.returned), (0, vec![]));
        assert_eq!(shuttle::future::block_on(first), Ok(10));
        caller.join().expect("no panic");
        stage.rest();
        assert!(stage.pool.workers().is_empty());
    });
}

#[test]
fn a_handler_always_hears_of_its_cancellation() {
    explore(|| {
        let signal = Arc::new(crate::work::Signal::new(1, "tenant".into(), None));
        let context = crate::work::WorkContext::new(
            WorkerId::new(1),
            crate::work::RunId(1),
            Monotonic::ZERO,
            Arc::clone(&signal),
        );
        let handler = shuttle::thread::spawn(move || {
            shuttle::future::block_on(context.cancelled());
            assert!(context.is_cancelled());
        });
        between();
        signal.cancel();
        handler.join().expect("no panic");
    });
}
