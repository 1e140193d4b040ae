//! Handlers that misbehave: each request ends with its own error, the slot is replaced in time, and the pool serves
//! everybody else all the while.

use super::{one_worker, pool_on};
use futures::FutureExt;
use futures::executor::block_on;
use openclaw_concurrency::{ConcurrencyConfig, RequestError, Submission, Ticket, WorkContext, WorkerPool};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, CodedError};
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Weak, mpsc};
use std::time::Duration;

/// What a handler is asked to do.
#[derive(Clone)]
enum Deed {
    Answer(u32),
    /// Blocks its thread until the gate opens.
    Block,
    /// Runs in circles until the gate opens.
    Spin,
    /// Waits for ever, as it should: by yielding.
    Wait,
    /// The same, with a drop that panics.
    WaitWithABomb,
    Panic,
    /// Panics with something whose drop panics.
    PanicWithABomb,
    /// Gives an answer whose drop panics.
    AnswerWithABomb,
    /// Meets as many others as the barrier wants.
    Meet(Arc<tokio::sync::Barrier>),
}

/// Panics when it is dropped, once it is armed.
#[derive(Debug)]
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0, "a bomb was dropped");
    }
}

/// An answer, and perhaps a bomb.
#[derive(Debug)]
struct Answer(u32, #[expect(dead_code, reason = "dropped, never read")] Bomb);

struct Stage {
    clock: Arc<ManualClock>,
    pool: Arc<WorkerPool<Deed, Answer>>,
    /// One word from each handler that blocks or spins.
    held: mpsc::Receiver<()>,
    open: Arc<AtomicBool>,
    closed_gate: Option<mpsc::Sender<()>>,
}

impl Stage {
    fn new(threads: usize, config: ConcurrencyConfig) -> Self {
        let clock = ManualClock::new();
        let (entered, held) = mpsc::channel();
        let (closed_gate, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let open = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&open);
        let config_of_threads = TaskRuntimeConfig {
            threads,
            ..TaskRuntimeConfig::default()
        };
        let runtime = TaskRuntime::new(
            config_of_threads,
            clock.clone(),
            move |deed: Deed, _: WorkContext| {
                let (entered, gate, opened) = (entered.clone(), Arc::clone(&gate), Arc::clone(&opened));
                async move {
                    match deed {
                        Deed::Answer(number) => Answer(number, Bomb(false)),
                        Deed::Block => {
                            entered.send(()).expect("the test listens");
                            // Ends when the other end of the gate is dropped.
                            gate.lock().expect("not poisoned").recv().ok();
                            Answer(0, Bomb(false))
                        }
                        Deed::Spin => {
                            entered.send(()).expect("the test listens");
                            while !opened.load(Ordering::Acquire) {
                                std::hint::spin_loop();
                            }
                            Answer(0, Bomb(false))
                        }
                        Deed::Wait => {
                            entered.send(()).expect("the test listens");
                            std::future::pending().await
                        }
                        Deed::WaitWithABomb => {
                            let _bomb = Bomb(true);
                            entered.send(()).expect("the test listens");
                            std::future::pending().await
                        }
                        Deed::Panic => panic!("as it was asked to"),
                        Deed::PanicWithABomb => std::panic::panic_any(Bomb(true)),
                        Deed::AnswerWithABomb => {
                            entered.send(()).expect("the test listens");
                            Answer(0, Bomb(true))
                        }
                        Deed::Meet(barrier) => {
                            barrier.wait().await;
                            Answer(0, Bomb(false))
                        }
                    }
                }
            },
        )
        .expect("threads");
        let pool = pool_on(runtime, &clock, config);
        Self {
            clock,
            pool,
            held,
            open,
            closed_gate: Some(closed_gate),
        }
    }

    fn submit(&self, deed: Deed) -> Ticket<Answer> {
        let submission = Submission::new(deed, "tenant", self.clock.monotonic());
        self.pool.submit(submission).expect("there is room")
    }

    /// One second later, with a round of housekeeping, in which nobody else had to wait.
    fn second(&self) {
        self.clock.advance(Duration::from_secs(1));
        self.pool.keep_house();
    }

    #[track_caller]
    fn serves(&self, number: u32) {
        let answer = block_on(self.submit(Deed::Answer(number))).expect("answered");
        assert_eq!(answer.0, number);
    }

    /// As many handlers as this are at work at the same time.
    #[track_caller]
    fn has_hands(&self, hands: usize) {
        let barrier = Arc::new(tokio::sync::Barrier::new(hands));
        let tickets: Vec<_> = (0..hands)
            .map(|_| self.submit(Deed::Meet(Arc::clone(&barrier))))
            .collect();
        for ticket in tickets {
            block_on(ticket).expect("answered");
        }
    }

    fn open_the_gate(&mut self) {
        self.open.store(true, Ordering::Release);
        self.closed_gate = None;
    }
}

fn two_workers() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 2,
        ..one_worker()
    }
}

fn code<T>(answer: Result<T, RequestError>) -> &'static str {
    answer.err().map_or("ANSWERED", |error| error.code())
}

#[track_caller]
fn held_thread(deed: Deed) {
    let mut stage = Stage::new(2, two_workers());
    let mut ticket = stage.submit(deed);
    stage.held.recv().expect("it begins");
    let began = stage.clock.monotonic();
    let mut seconds = 0;
    let answer = loop {
        if let Some(answer) = (&mut ticket).now_or_never() {
            break answer;
        }
        // Housekeeping, on its own thread, may have given it up and not yet have said so: time that went on meanwhile
        // would be counted as if the handler had been given it.
        if stage.pool.metrics().stuck_workers > 0 {
            std::thread::yield_now();
            continue;
        }
        // Everybody else is served all the while.
        stage.serves(seconds);
        stage.second();
        seconds += 1;
    };
    assert_eq!(code(answer), "WORKER_STUCK");
    // Housekeeping may have been the one that gave it up. Told first, counted then.
    while stage.pool.totals().abandoned == 0 {
        std::thread::yield_now();
    }
    let config = stage.pool.config();
    let took = stage.clock.monotonic().saturating_since(began);
    assert!(took > config.stuck_threshold, "{took:?}");
    assert!(
        took <= config.stuck_threshold + config.heartbeat_interval,
        "{took:?}"
    );
    assert_eq!(
        stage.pool.totals().abandoned,
        1,
        "its thread is lost, and counted"
    );
    assert_eq!(stage.pool.metrics().stuck_workers, 1, "and seen");
    stage.has_hands(2);
    stage.open_the_gate();
    while stage.pool.totals().abandoned > 0 || stage.pool.metrics().stuck_workers > 0 {
        std::thread::yield_now();
    }
    assert_eq!(
        stage.pool.totals().late_results,
        1,
        "its answer came after all, to nobody"
    );
    stage.has_hands(2);
}

#[test]
fn a_handler_that_blocks_its_thread_is_stuck_and_replaced_in_time() {
    held_thread(Deed::Block);
}

#[test]
fn a_handler_that_never_reaches_an_await_is_stuck_and_replaced_in_time() {
    held_thread(Deed::Spin);
}

#[test]
fn a_handler_that_waits_for_ever_runs_out_of_time_and_holds_no_thread() {
    let stage = Stage::new(1, one_worker());
    let mut ticket = stage.submit(Deed::Wait);
    stage.held.recv().expect("it begins");
    let answer = loop {
        if let Some(answer) = (&mut ticket).now_or_never() {
            break answer;
        }
        // Only once the worker waits for its next beat and housekeeping for its next round: time that went on between
        // a beat and the timer for the next one would put that one off, and nobody would be left to move the clock.
        if stage.clock.sleepers() >= 2 {
            stage.second();
        }
        std::thread::yield_now();
    };
    assert_eq!(code(answer), "WORKER_TIMEOUT");
    // It may have been given up on just as it beat, and is off its thread as soon as it has.
    while stage.pool.totals().abandoned > 0 {
        std::thread::yield_now();
    }
    stage.serves(1);
}

#[test]
fn a_panic_ends_its_request_alone_whatever_it_carries() {
    let stage = Stage::new(1, one_worker());
    for (served, deed) in (1..).zip([Deed::Panic, Deed::PanicWithABomb]) {
        let worker = stage.pool.workers()[0].id;
        let answer = block_on(stage.submit(deed));
        assert_eq!(code(answer), "WORKER_CRASHED");
        stage.serves(served);
        assert_ne!(stage.pool.workers()[0].id, worker, "whoever panicked is replaced");
        assert_eq!(stage.pool.totals().crashed, u64::from(served));
    }
}

#[test]
fn an_answer_whose_drop_panics_harms_nobody() {
    let stage = Stage::new(1, one_worker());
    // Nobody waits for it any more: the pool has to drop it, with the next request to hand over in the same step.
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let first = stage.submit(Deed::Meet(Arc::clone(&barrier)));
    stage.submit(Deed::AnswerWithABomb).detach();
    let next = stage.submit(Deed::Answer(7));
    block_on(barrier.wait());
    block_on(first).expect("answered");
    assert_eq!(block_on(next).map(|answer| answer.0), Ok(7));
    let metrics = stage.pool.metrics();
    assert_eq!((metrics.total_processed, metrics.total_errors), (3, 0));
    stage.held.recv().expect("it was asked for");
}

#[test]
fn a_handler_whose_drop_panics_is_killed_as_any_other() {
    let stage = Stage::new(1, one_worker());
    let ticket = stage.submit(Deed::WaitWithABomb);
    stage.held.recv().expect("it begins");
    let worker = stage.pool.workers()[0].id;
    stage.pool.kill(worker).expect("it is busy");
    assert_eq!(code(block_on(ticket)), "WORKER_KILLED");
    stage.serves(1);
    // The same for one declared stuck: the pool hears that it is gone. It may have been killed before it had left its
    // thread, which is then given back as it does.
    while stage.pool.totals().abandoned > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn idle_workers_of_lost_threads_serve_from_others_and_none_is_lost_by_it() {
    let mut stage = Stage::new(
        1,
        ConcurrencyConfig {
            max_workers: 3,
            ..one_worker()
        },
    );
    stage.has_hands(3);
    let workers: Vec<_> = stage.pool.workers().iter().map(|worker| worker.id).collect();
    assert_eq!(workers.len(), 3);
    let mut blocked = stage.submit(Deed::Block);
    stage.held.recv().expect("it begins");
    // The only thread is held; after one heartbeat it is no longer counted on, long before anybody is given up.
    for _ in 0..6 {
        stage.second();
    }
    stage.serves(1);
    stage.has_hands(2);
    assert!((&mut blocked).now_or_never().is_none());
    assert_eq!(
        stage
            .pool
            .workers()
            .iter()
            .map(|worker| worker.id)
            .collect::<Vec<_>>(),
        workers,
        "the same workers, on other threads"
    );
    stage.open_the_gate();
    assert_eq!(code(block_on(blocked)), "ANSWERED");
    // The empty tasks that were left behind end now, and that is nobody's crash.
    stage.has_hands(3);
    assert_eq!(stage.pool.totals().crashed, 0);
    assert_eq!(stage.pool.workers().len(), 3);
}

#[test]
fn no_more_threads_are_started_than_may_be_held() {
    let clock = ManualClock::new();
    let (entered, held) = mpsc::channel();
    let gate = Arc::new(Barrier::new(3));
    let own = Arc::clone(&gate);
    let config = TaskRuntimeConfig {
        threads: 1,
        max_abandoned: 2,
    };
    let runtime = TaskRuntime::new(config, clock.clone(), move |block: bool, _| {
        let (entered, gate) = (entered.clone(), Arc::clone(&own));
        async move {
            if block {
                entered.send(()).expect("the test listens");
                gate.wait();
            }
        }
    })
    .expect("threads");
    let pool = pool_on(runtime, &clock, one_worker());
    let submit = |block| {
        pool.submit(Submission::new(block, "tenant", clock.monotonic()))
            .expect("there is room")
    };
    for _ in 0..2 {
        let ticket = submit(true);
        held.recv().expect("it begins");
        pool.kill(pool.workers()[0].id).expect("it is busy");
        assert_eq!(code(block_on(ticket)), "WORKER_KILLED");
    }
    assert_eq!(pool.totals().abandoned, 2);
    assert!(pool.workers().is_empty(), "no thread is left for another");
    assert!(pool.totals().spawn_failures > 0);
    let mut waits = submit(false);
    assert!((&mut waits).now_or_never().is_none());
    gate.wait();
    while pool.totals().abandoned > 0 {
        std::thread::yield_now();
    }
    // The next try is due within half a minute.
    for _ in 0..31 {
        clock.advance(Duration::from_secs(1));
        pool.keep_house();
    }
    assert_eq!(block_on(waits), Ok(()));
}

type Handler = Pin<Box<dyn Future<Output = u32> + Send>>;

/// A request that hands work to another worker and ends, and whose worker then gets one that blocks: the other worker
/// was woken by this thread and must not have to wait for it.
#[test]
fn a_worker_woken_by_another_does_not_wait_behind_its_next_request() {
    one_blocks_and_the_other_is_answered("quick", "block");
}

/// The same the other way round: a worker that lets the one it woke go first does not wait for that one to give the
/// thread back.
#[test]
fn a_worker_that_gives_way_to_another_does_not_wait_behind_its_request() {
    one_blocks_and_the_other_is_answered("block", "quick");
}

/// One request hands `woken` to another worker from its own thread and ends; `next` comes to its own worker right after
/// it. There is a second thread, so that whichever of them blocks, the other is answered.
#[track_caller]
fn one_blocks_and_the_other_is_answered(woken: &'static str, next: &'static str) {
    let clock = ManualClock::new();
    let pool_of_handlers: Arc<std::sync::Mutex<Weak<WorkerPool<&'static str, u32>>>> = Arc::default();
    let (answers, answered) = mpsc::channel();
    let (entered, held) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let (own, time) = (Arc::clone(&pool_of_handlers), clock.clone());
    let runtime = TaskRuntime::new(
        TaskRuntimeConfig {
            threads: 2,
            ..TaskRuntimeConfig::default()
        },
        clock.clone(),
        move |deed: &'static str, _| -> Handler {
            let (own, time, answers) = (Arc::clone(&own), time.clone(), answers.clone());
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            Box::pin(async move {
                match deed {
                    "wake" => {
                        let pool = own.lock().expect("not poisoned").upgrade().expect("it lives");
                        let woken = Submission::new(woken, "tenant", time.monotonic());
                        pool.submit(woken).expect("there is room").detach();
                    }
                    "block" => {
                        entered.send(()).expect("the test listens");
                        gate.lock().expect("not poisoned").recv().ok();
                    }
                    _ => answers.send(()).expect("the test listens"),
                }
                1
            })
        },
    )
    .expect("threads");
    let config = ConcurrencyConfig {
        min_workers: 2,
        ..two_workers()
    };
    let pool = pool_on(runtime, &clock, config);
    *pool_of_handlers.lock().expect("not poisoned") = Arc::downgrade(&pool);
    let submit = |deed| {
        let submission = Submission {
            exclusive: Some(Arc::from("session")),
            ..Submission::new(deed, "tenant", clock.monotonic())
        };
        pool.submit(submission).expect("there is room")
    };
    pool.pause();
    let tickets = [submit("wake"), submit(next)];
    pool.resume();
    held.recv().expect("it blocks");
    answered
        .recv_timeout(Duration::from_secs(60))
        .expect("the other worker has a thread of its own");
    release.send(()).expect("it waits");
    for ticket in tickets {
        assert_eq!(block_on(ticket), Ok(1));
    }
}

#[test]
fn abandoned_threads_are_counted_until_each_comes_back() {
    let mut stage = Stage::new(2, two_workers());
    let tickets = [stage.submit(Deed::Block), stage.submit(Deed::Spin)];
    for _ in 0..2 {
        stage.held.recv().expect("it begins");
    }
    for (lost, worker) in (1..).zip(stage.pool.workers()) {
        stage.pool.kill(worker.id).expect("it is busy");
        assert_eq!(stage.pool.totals().abandoned, lost);
    }
    for ticket in tickets {
        assert_eq!(code(block_on(ticket)), "WORKER_KILLED");
    }
    stage.has_hands(2);
    stage.open_the_gate();
    while stage.pool.totals().abandoned > 0 {
        std::thread::yield_now();
    }
}
