//! One worker: a task with a letter box, and the seat it has on the threads.
//!
//! A worker that is handed a request while no thread of its generation can be counted on is given a new seat, on
//! threads that can: it has no request yet, so that nothing of it is lost but an empty task. The same where the request
//! belongs on other threads than those it sits on.

use crate::letters::{Letters, Slot, letter_box};
use crate::threads::{Crew, Home, Threads};
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use openclaw_concurrency::{
    Assignment, MemoryInUse, SpawnError, WorkContext, WorkerExit, WorkerHandle, WorkerLink, give_way,
};
use openclaw_core::Clock;
use parking_lot::Mutex;
use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::task::AbortHandle;

/// The pool's end of a worker.
pub(crate) struct TaskHandle<R> {
    /// Guards the seat; held to put a letter in or to change seats.
    seat: Mutex<Seat<R>>,
    seating: Box<dyn Seating<R>>,
}

/// A worker's task as it stands on some generation of threads.
struct Seat<R> {
    home: Home,
    /// Closed when the worker is to end.
    letters: Option<Slot<Assignment<R>>>,
    abort: AbortHandle,
    presence: Arc<Presence>,
}

/// Tells requests that only wait from those that may hold their thread.
pub(crate) type OnlyWaits<R> = Arc<dyn Fn(&R) -> bool + Send + Sync>;

/// What it takes to seat a worker, with the types of answer and handler left out.
trait Seating<R>: Send + Sync {
    fn seat(&self, home: Home) -> Result<Seat<R>, SpawnError>;

    /// Where a request is to run.
    fn home_of(&self, request: &R) -> Home;

    /// Whether a task there would wait for threads that do not come back.
    fn is_held(&self, crew: &Crew) -> bool;

    /// Says that the worker is gone.
    fn gone(&self, exit: WorkerExit);
}

/// Seats one worker.
pub(crate) struct Seats<R, T, H: ?Sized> {
    pub(crate) threads: Arc<Threads>,
    pub(crate) only_waits: OnlyWaits<R>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) handler: Arc<H>,
    pub(crate) link: WorkerLink<T>,
}

/// Whether a worker's task is on a thread at this moment, and whether it was killed then.
pub(crate) struct Presence {
    state: Mutex<On>,
    birth: Mutex<Birth>,
    crew: Arc<Crew>,
    clock: Arc<dyn Clock>,
}

/// A runtime that has ended drops a task while it is being spawned, and the pool must not be told from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Birth {
    Expected,
    Born,
    Stillborn,
    /// The worker has another seat.
    Disowned,
}

/// Which thread, where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Waiting; no thread is held.
    Nothing,
    Thread(Option<usize>),
    /// Killed while on a thread, which is lost until the task yields.
    AbandonedThread(Option<usize>),
}

/// A worker's task, watched from outside.
pub(crate) struct Watched<T> {
    task: Pin<Box<dyn Future<Output = WorkerExit> + Send>>,
    presence: Arc<Presence>,
    link: WorkerLink<T>,
    ended: bool,
}

/// Takes the task off its thread again, also when the task panics.
struct OnThread<'a>(&'a Presence);

// === impl TaskHandle ===

impl<R: Send + 'static> TaskHandle<R> {
    pub(crate) fn new<T, H, F>(seats: Seats<R, T, H>) -> Result<Self, SpawnError>
    where
        T: Send + 'static,
        H: Fn(R, WorkContext) -> F + Send + Sync + 'static + ?Sized,
        F: Future<Output = T> + Send + 'static,
    {
        Ok(Self {
            seat: Mutex::new(seats.seat(Home::Workers)?),
            seating: Box::new(seats),
        })
    }

    /// Puts a request into the letter box, of another seat where this one is lost or in the wrong place.
    fn hand_over(&self, assignment: Assignment<R>) -> Result<(), WorkerExit> {
        let home = self.seating.home_of(&assignment.request);
        let mut seat = self.seat.lock();
        if seat.letters.is_none() {
            // Killed meanwhile: the pool has given up on it.
            return Ok(());
        }
        if seat.home != home || self.seating.is_held(&seat.presence.crew) {
            let new = self.seating.seat(home).map_err(|error| WorkerExit::Crashed {
                reason: format!("no thread for it: {}", error.source),
            })?;
            let old = std::mem::replace(&mut *seat, new);
            old.presence.disown();
            old.abort.abort();
        }
        let letters = seat.letters.as_ref().ok_or(WorkerExit::Ended)?;
        letters.put(assignment).map_err(|_| WorkerExit::Ended)
    }
}

impl<R: Send + 'static> WorkerHandle<R> for TaskHandle<R> {
    fn run(&self, assignment: Assignment<R>) {
        if let Err(exit) = self.hand_over(assignment) {
            self.seating.gone(exit);
        }
    }

    fn retire(&self) {
        self.seat.lock().letters.take();
    }

    fn kill(&self) {
        let mut seat = self.seat.lock();
        seat.letters.take();
        seat.presence.kill();
        seat.abort.abort();
    }

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Shared
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("presence", &self.seat.lock().presence)
            .finish_non_exhaustive()
    }
}

// === impl Seats ===

impl<R, T, H, F> Seating<R> for Seats<R, T, H>
where
    R: Send + 'static,
    T: Send + 'static,
    H: Fn(R, WorkContext) -> F + Send + Sync + 'static + ?Sized,
    F: Future<Output = T> + Send + 'static,
{
    fn seat(&self, home: Home) -> Result<Seat<R>, SpawnError> {
        let (slot, letters) = letter_box();
        let mut presence = None;
        let (now, patience) = (self.clock.monotonic(), self.link.heartbeat_interval());
        let abort = self.threads.spawn(home, now, patience, |crew| {
            let own = Arc::new(Presence::new(crew, Arc::clone(&self.clock)));
            presence = Some(Arc::clone(&own));
            let task = work(
                letters,
                Arc::clone(&self.handler),
                self.link.clone(),
                Arc::clone(&self.clock),
            );
            Watched::new(task, own, self.link.clone())
        })?;
        let presence = presence
            .filter(|presence| presence.born())
            .ok_or_else(|| SpawnError::new("the runtime has ended"))?;
        Ok(Seat {
            home,
            letters: Some(slot),
            abort,
            presence,
        })
    }

    fn home_of(&self, request: &R) -> Home {
        if (self.only_waits)(request) {
            Home::Callers
        } else {
            Home::Workers
        }
    }

    fn is_held(&self, crew: &Crew) -> bool {
        crew.is_held(self.clock.monotonic(), self.link.heartbeat_interval())
    }

    fn gone(&self, exit: WorkerExit) {
        self.link.exited(exit);
    }
}

// === impl Presence ===

impl Presence {
    fn new(crew: Arc<Crew>, clock: Arc<dyn Clock>) -> Self {
        crew.workers.fetch_add(1, Ordering::AcqRel);
        Self {
            state: Mutex::new(On::Nothing),
            birth: Mutex::new(Birth::Expected),
            crew,
            clock,
        }
    }

    /// Called once the task is spawned; `false` when it was dropped meanwhile.
    fn born(&self) -> bool {
        let mut birth = self.birth.lock();
        if *birth == Birth::Expected {
            *birth = Birth::Born;
        }
        *birth == Birth::Born
    }

    /// From here on the task's end is no longer the worker's.
    fn disown(&self) {
        *self.birth.lock() = Birth::Disowned;
    }

    /// Called when the task ends; `true` when the pool is to be told.
    fn died(&self) -> bool {
        let mut birth = self.birth.lock();
        if *birth == Birth::Expected {
            *birth = Birth::Stillborn;
        }
        *birth == Birth::Born
    }

    fn enter(&self) -> OnThread<'_> {
        let thread = tokio::runtime::worker_index();
        *self.state.lock() = On::Thread(thread);
        if let Some(thread) = thread {
            self.crew.begins(thread, self.clock.monotonic());
        }
        OnThread(self)
    }

    fn kill(&self) {
        let mut state = self.state.lock();
        if let On::Thread(thread) = *state {
            *state = On::AbandonedThread(thread);
            self.crew.abandoned.fetch_add(1, Ordering::AcqRel);
            if let Some(thread) = thread {
                self.crew.loses(thread);
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.crew.workers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("state", &*self.state.lock())
            .finish_non_exhaustive()
    }
}

impl Drop for OnThread<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        let was = std::mem::replace(&mut *state, On::Nothing);
        // Free first: whoever sees that no thread is lost any more must be able to count on this one.
        if let On::Thread(Some(thread)) | On::AbandonedThread(Some(thread)) = was {
            self.0.crew.ends(thread);
        }
        if matches!(was, On::AbandonedThread(_)) {
            self.0.crew.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

// === impl Watched ===

impl<T: Send + 'static> Watched<T> {
    fn new(
        task: impl Future<Output = WorkerExit> + Send + 'static,
        presence: Arc<Presence>,
        link: WorkerLink<T>,
    ) -> Self {
        Self {
            task: Box::pin(task),
            presence,
            link,
            ended: false,
        }
    }
}

impl<T> Watched<T> {
    fn end(&mut self, exit: WorkerExit) {
        if !std::mem::replace(&mut self.ended, true) && self.presence.died() {
            self.link.exited(exit);
        }
    }
}

impl<T> Future for Watched<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let polled = {
            let _on_thread = this.presence.enter();
            this.task.as_mut().poll(context)
        };
        polled.map(|exit| this.end(exit))
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        // The handler's future goes first: only then is the worker really gone. Its drop is the handler's code, which
        // may panic and must not keep the pool from being told.
        let task = std::mem::replace(&mut self.task, Box::pin(std::future::ready(WorkerExit::Ended)));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
        self.end(WorkerExit::Ended);
        if let Err(panic) = dropped {
            discard(panic);
        }
    }
}

/// The life of a worker: one request after the other until the letter box is closed. Ends with the first panic, which
/// may have left anything behind.
async fn work<R, T, H, F>(
    mut letters: Letters<Assignment<R>>,
    handler: Arc<H>,
    link: WorkerLink<T>,
    clock: Arc<dyn Clock>,
) -> WorkerExit
where
    R: Send + 'static,
    T: Send + 'static,
    H: Fn(R, WorkContext) -> F + Send + Sync + 'static + ?Sized,
    F: Future<Output = T> + Send + 'static,
{
    // One timer serves many requests: setting one for each would cost more than most hand-overs, and a beat that
    // comes early does no harm.
    let mut beat = None;
    while let Some(Assignment { request, context }) = next(&mut letters).await {
        let run = context.run();
        let handler = Arc::clone(&handler);
        let answer = async move { handler(request, context).await };
        match beating(AssertUnwindSafe(answer).catch_unwind(), &mut beat, &link, &clock).await {
            Ok(answer) => link.finished(run, answer),
            Err(panic) => {
                let reason = format!("the handler panicked: {}", said(&*panic));
                discard(panic);
                return WorkerExit::Crashed { reason };
            }
        }
    }
    WorkerExit::Ended
}

/// The next letter, after a turn of the thread's other tasks.
///
/// Ending a request may have woken another worker, and the one woken last waits for this very thread where no other
/// can take it. A next handler that blocked would hold it up.
async fn next<L>(letters: &mut Letters<L>) -> Option<L> {
    let mut first = true;
    let (letter, at_once) = poll_fn(|context| {
        let at_once = std::mem::take(&mut first);
        letters.poll_next(context).map(|letter| (letter, at_once))
    })
    .await;
    if at_once && letter.is_some() {
        give_way().await;
    }
    letter
}

/// Drops what a panic carried. That is the handler's code again, and may panic in its turn.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        Box::leak(another);
    }
}

/// Runs `work` and gives a sign of life whenever the interval has passed, from the same task.
async fn beating<O, T>(
    work: impl Future<Output = O>,
    beat: &mut Option<BoxFuture<'static, ()>>,
    link: &WorkerLink<T>,
    clock: &Arc<dyn Clock>,
) -> O {
    let mut work = pin!(work);
    loop {
        let timer = beat.get_or_insert_with(|| clock.sleep(link.heartbeat_interval()));
        match select(work.as_mut(), timer).await {
            Either::Left((output, _)) => return output,
            Either::Right(((), _)) => {
                link.heartbeat();
                *beat = None;
            }
        }
    }
}

/// The words of a panic, as far as it had any.
fn said(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    words.chars().take(256).collect()
}
