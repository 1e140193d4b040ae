//! A runtime whose workers the test itself plays, and a pool on it.

use futures::future::BoxFuture;
use openclaw_concurrency::{
    Assignment, ConcurrencyConfig, MemoryInUse, RunId, SpawnError, Submission, Ticket, WorkContext,
    WorkerExit, WorkerHandle, WorkerId, WorkerLink, WorkerPool, WorkerRuntime,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, Envelope, EventContext, InProcessEventBus, Subscription};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Debug, Default)]
pub(crate) struct PlayedRuntime {
    book: Arc<Mutex<Book>>,
}

/// What the test does in the very call that hands a request over.
type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Book {
    on_run: Option<Hook>,
    on_spawn: Option<Hook>,
    house: Option<BoxFuture<'static, ()>>,
    abandoned: usize,
    links: BTreeMap<WorkerId, WorkerLink<u32>>,
    running: BTreeMap<WorkerId, Assignment<u32>>,
    started: Vec<u32>,
    killed: Vec<WorkerId>,
    retired: Vec<WorkerId>,
    refuse_to_spawn: bool,
    spawn_attempts: usize,
    memory_mb: u64,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct PlayedWorker {
    id: WorkerId,
    book: Arc<Mutex<Book>>,
}

impl WorkerRuntime<u32, u32> for PlayedRuntime {
    fn spawn(&self, link: WorkerLink<u32>) -> Result<Arc<dyn WorkerHandle<u32>>, SpawnError> {
        let hook = self.book.lock().on_spawn.clone();
        if let Some(hook) = hook {
            hook();
        }
        let mut book = self.book.lock();
        book.spawn_attempts += 1;
        if book.refuse_to_spawn {
            return Err(SpawnError::new("no more"));
        }
        let id = link.worker();
        book.links.insert(id, link);
        Ok(Arc::new(PlayedWorker {
            id,
            book: Arc::clone(&self.book),
        }))
    }

    fn keep_house(&self, housekeeping: BoxFuture<'static, ()>) -> Result<(), SpawnError> {
        self.book.lock().house = Some(housekeeping);
        Ok(())
    }

    fn abandoned(&self) -> usize {
        self.book.lock().abandoned
    }
}

impl WorkerHandle<u32> for PlayedWorker {
    fn run(&self, assignment: Assignment<u32>) {
        let mut book = self.book.lock();
        book.started.push(assignment.request);
        let before = book.running.insert(self.id, assignment);
        assert!(before.is_none(), "a worker was handed two requests");
        let hook = book.on_run.clone();
        drop(book);
        if let Some(hook) = hook {
            hook();
        }
    }

    fn retire(&self) {
        let mut book = self.book.lock();
        assert!(!book.running.contains_key(&self.id), "a busy worker was retired");
        book.retired.push(self.id);
    }

    fn kill(&self) {
        let mut book = self.book.lock();
        book.running.remove(&self.id);
        book.killed.push(self.id);
    }

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Megabytes(self.book.lock().memory_mb)
    }
}

impl PlayedRuntime {
    pub(crate) fn link(&self, worker: WorkerId) -> WorkerLink<u32> {
        self.book.lock().links[&worker].clone()
    }

    pub(crate) fn on_run(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.book.lock().on_run = Some(Arc::new(hook));
    }

    pub(crate) fn on_spawn(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.book.lock().on_spawn = Some(Arc::new(hook));
    }

    /// The pool's own housekeeping, which otherwise nobody runs here.
    pub(crate) fn house(&self) -> BoxFuture<'static, ()> {
        self.book.lock().house.take().expect("handed over once")
    }

    pub(crate) fn set_abandoned(&self, abandoned: usize) {
        self.book.lock().abandoned = abandoned;
    }

    pub(crate) fn context_of(&self, request: u32) -> WorkContext {
        let worker = self.worker_of(request);
        self.book.lock().running[&worker].context.clone()
    }

    pub(crate) fn told_heartbeat(&self, worker: WorkerId) -> Duration {
        self.link(worker).heartbeat_interval()
    }

    pub(crate) fn told_memory_limit(&self, worker: WorkerId) -> u64 {
        self.link(worker).memory_limit_mb()
    }

    pub(crate) fn running(&self) -> Vec<(WorkerId, u32)> {
        let book = self.book.lock();
        book.running.iter().map(|(id, run)| (*id, run.request)).collect()
    }

    /// Requests in the order workers began them.
    pub(crate) fn started(&self) -> Vec<u32> {
        self.book.lock().started.clone()
    }

    pub(crate) fn worker_of(&self, request: u32) -> WorkerId {
        let running = self.running();
        running
            .iter()
            .find(|(_, running)| *running == request)
            .unwrap_or_else(|| panic!("{request} does not run"))
            .0
    }

    pub(crate) fn run_of(&self, request: u32) -> RunId {
        let worker = self.worker_of(request);
        self.book.lock().running[&worker].context.run()
    }

    /// Ends a request with ten times its number.
    pub(crate) fn finish(&self, request: u32) {
        let worker = self.worker_of(request);
        let assignment = self.book.lock().running.remove(&worker);
        let run = assignment.map(|assignment| assignment.context.run());
        self.link(worker).finished(run.expect("it runs"), request * 10);
    }

    pub(crate) fn fail(&self, request: u32) {
        let worker = self.worker_of(request);
        self.book.lock().running[&worker].context.mark_failed();
        self.finish(request);
    }

    pub(crate) fn finish_late(&self, worker: WorkerId, run: RunId) {
        self.link(worker).finished(run, 0);
    }

    pub(crate) fn is_cancelled(&self, request: u32) -> bool {
        let worker = self.worker_of(request);
        self.book.lock().running[&worker].context.is_cancelled()
    }

    pub(crate) fn exit(&self, worker: WorkerId, exit: WorkerExit) {
        self.book.lock().running.remove(&worker);
        self.link(worker).exited(exit);
    }

    pub(crate) fn beat(&self, worker: WorkerId) {
        self.link(worker).heartbeat();
    }

    pub(crate) fn killed(&self) -> Vec<WorkerId> {
        self.book.lock().killed.clone()
    }

    pub(crate) fn retired(&self) -> Vec<WorkerId> {
        self.book.lock().retired.clone()
    }

    pub(crate) fn refuse_to_spawn(&self, refuse: bool) {
        self.book.lock().refuse_to_spawn = refuse;
    }

    pub(crate) fn spawn_attempts(&self) -> usize {
        self.book.lock().spawn_attempts
    }

    pub(crate) fn set_memory(&self, megabytes: u64) {
        self.book.lock().memory_mb = megabytes;
    }
}

pub(crate) struct Stage {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) runtime: Arc<PlayedRuntime>,
    pub(crate) pool: Arc<WorkerPool<u32, u32>>,
    pub(crate) events: Subscription,
    _bus: Arc<InProcessEventBus>,
}

impl Stage {
    pub(crate) fn new(config: ConcurrencyConfig) -> Self {
        let clock = ManualClock::new();
        let bus = InProcessEventBus::new();
        let events = bus.subscribe_all(10_000);
        let runtime = Arc::new(PlayedRuntime::default());
        let context = EventContext::new(bus.clone(), clock.clone(), "concurrency");
        let pool =
            WorkerPool::new(config, runtime.clone(), clock.clone(), context).expect("a valid configuration");
        Self {
            clock,
            runtime,
            pool,
            events,
            _bus: bus,
        }
    }

    pub(crate) fn request(&self, request: u32) -> Submission<u32> {
        Submission::new(request, "tenant", self.clock.monotonic())
    }

    #[track_caller]
    pub(crate) fn submit(&self, request: u32) -> Ticket<u32> {
        self.pool.submit(self.request(request)).expect("admitted")
    }

    /// Lets time pass second by second, with housekeeping in between.
    pub(crate) fn pass(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(1));
            self.clock.advance(step);
            left -= step;
            self.pool.keep_house();
        }
    }

    /// The same, with every worker at work beating.
    pub(crate) fn pass_beating(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(1));
            self.clock.advance(step);
            left -= step;
            for (worker, _) in self.runtime.running() {
                self.runtime.beat(worker);
            }
            self.pool.keep_house();
        }
    }

    pub(crate) fn heard(&self) -> Vec<Envelope> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }

    pub(crate) fn heard_names(&self) -> Vec<&'static str> {
        self.heard().iter().map(Envelope::name).collect()
    }
}

/// Counts how often it woke.
#[derive(Debug, Default)]
pub(crate) struct CountWakes(AtomicUsize);

impl CountWakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts what is logged as an error while it is the subscriber.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaints(Arc<AtomicUsize>);

impl Complaints {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Subscriber for Complaints {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Keeps which request each warning names while it is the subscriber.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warned(Arc<Mutex<Vec<Option<String>>>>);

impl Warned {
    pub(crate) fn requests(&self) -> Vec<Option<String>> {
        self.0.lock().clone()
    }
}

impl Subscriber for Warned {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        struct Named(Option<String>);
        impl Visit for Named {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "correlationId" {
                    self.0 = Some(format!("{value:?}"));
                }
            }
        }
        let mut named = Named(None);
        event.record(&mut named);
        self.0.lock().push(named.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
