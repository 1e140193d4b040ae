//! One worker: a task with a letter box.

use crate::threads::Crew;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use openclaw_concurrency::{Assignment, MemoryInUse, WorkContext, WorkerExit, WorkerHandle, WorkerLink};
use openclaw_core::Clock;
use parking_lot::Mutex;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The pool's end of a worker.
pub(crate) struct TaskHandle<R> {
    /// Holds one request at most, since the pool hands over one at a time. Closed when the worker is to end.
    letters: Mutex<Option<mpsc::Sender<Assignment<R>>>>,
    abort: AbortHandle,
    presence: Arc<Presence>,
    /// Says `exited` for a worker that is gone already.
    gone: Box<dyn Fn() + Send + Sync>,
}

/// Whether a worker's task is on a thread at this moment, and whether it was killed then.
#[derive(Debug)]
pub(crate) struct Presence {
    state: Mutex<On>,
    birth: Mutex<Birth>,
    crew: Arc<Crew>,
}

/// A runtime that has ended drops a task while it is being spawned, and the pool must not be told from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Birth {
    Expected,
    Born,
    Stillborn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Waiting; no thread is held.
    Nothing,
    Thread,
    /// Killed while on a thread, which is lost until the task yields.
    AbandonedThread,
}

/// A worker's task, watched from outside.
pub(crate) struct Watched<T> {
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
    presence: Arc<Presence>,
    /// How it ends when it is dropped before it has ended by itself.
    link: WorkerLink<T>,
    ended: bool,
}

/// Takes the task off its thread again, also when the task panics.
struct OnThread<'a>(&'a Presence);

// === impl TaskHandle ===

impl<R> TaskHandle<R> {
    pub(crate) fn new<T: 'static>(
        letters: mpsc::Sender<Assignment<R>>,
        abort: AbortHandle,
        presence: Arc<Presence>,
        link: WorkerLink<T>,
    ) -> Self {
        Self {
            letters: Mutex::new(Some(letters)),
            abort,
            presence,
            gone: Box::new(move || link.exited(WorkerExit::Ended)),
        }
    }
}

impl<R: Send + 'static> WorkerHandle<R> for TaskHandle<R> {
    fn run(&self, assignment: Assignment<R>) {
        let refused = match &*self.letters.lock() {
            Some(letters) => letters.try_send(assignment).err(),
            None => None,
        };
        if refused.is_some() {
            (self.gone)();
        }
    }

    fn retire(&self) {
        self.letters.lock().take();
    }

    fn kill(&self) {
        self.letters.lock().take();
        self.presence.kill();
        self.abort.abort();
    }

    fn memory(&self) -> MemoryInUse {
        MemoryInUse::Shared
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}

// === impl Presence ===

impl Presence {
    pub(crate) fn new(crew: Arc<Crew>) -> Self {
        crew.workers.fetch_add(1, Ordering::AcqRel);
        Self {
            state: Mutex::new(On::Nothing),
            birth: Mutex::new(Birth::Expected),
            crew,
        }
    }

    /// Called once the task is spawned; `false` when it was dropped meanwhile.
    pub(crate) fn born(&self) -> bool {
        let mut birth = self.birth.lock();
        if *birth == Birth::Expected {
            *birth = Birth::Born;
        }
        *birth == Birth::Born
    }

    /// Called when the task is dropped; `true` when the pool is to be told.
    fn died(&self) -> bool {
        let mut birth = self.birth.lock();
        if *birth == Birth::Expected {
            *birth = Birth::Stillborn;
        }
        *birth == Birth::Born
    }

    fn enter(&self) -> OnThread<'_> {
        *self.state.lock() = On::Thread;
        OnThread(self)
    }

    fn kill(&self) {
        let mut state = self.state.lock();
        if *state == On::Thread {
            *state = On::AbandonedThread;
            self.crew.abandoned.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.crew.workers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for OnThread<'_> {
    fn drop(&mut self) {
        let was = std::mem::replace(&mut *self.0.state.lock(), On::Nothing);
        if was == On::AbandonedThread {
            self.0.crew.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

// === impl Watched ===

impl<T: Send + 'static> Watched<T> {
    pub(crate) fn new(
        task: impl Future<Output = ()> + Send + 'static,
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

impl<T> Future for Watched<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _on_thread = this.presence.enter();
        let polled = this.task.as_mut().poll(context);
        this.ended = polled.is_ready();
        polled
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        // The handler's future goes first: only then is the worker really gone.
        self.task = Box::pin(std::future::ready(()));
        if self.presence.died() && !self.ended {
            self.link.exited(WorkerExit::Ended);
        }
    }
}

/// The life of a worker: one request after the other until the letter box is closed. Ends with the first panic, which
/// may have left anything behind.
pub(crate) async fn work<R, T, F>(
    mut letters: mpsc::Receiver<Assignment<R>>,
    handler: Arc<dyn Fn(R, WorkContext) -> F + Send + Sync>,
    link: WorkerLink<T>,
    clock: Arc<dyn Clock>,
) where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    // One timer serves many requests: setting one for each would cost more than most hand-overs, and a beat that
    // comes early does no harm.
    let mut beat = None;
    while let Some(Assignment { request, context }) = letters.recv().await {
        let run = context.run();
        let handler = Arc::clone(&handler);
        let answer = async move { handler(request, context).await };
        match beating(AssertUnwindSafe(answer).catch_unwind(), &mut beat, &link, &clock).await {
            Ok(answer) => link.finished(run, answer),
            Err(panic) => {
                let reason = format!("the handler panicked: {}", said(&*panic));
                drop(panic);
                link.exited(WorkerExit::Crashed { reason });
                return;
            }
        }
    }
    link.exited(WorkerExit::Ended);
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
