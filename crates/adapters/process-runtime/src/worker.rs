//! One worker: a task that keeps a child, hands it the questions of each request's handler, and ends it.

use crate::answer::{ChildWorker, Question, WorkerRefusal};
use crate::fault::Fault;
use crate::frame::{Frame, cancel_line};
use crate::leash::Leash;
use crate::process::{KILL_TAKES, Process, Terms};
use futures::FutureExt;
use futures::future::BoxFuture;
use openclaw_concurrency::{Assignment, MemoryInUse, WorkContext, WorkerExit, WorkerHandle, WorkerLink};
use openclaw_core::ModelEvent;
use parking_lot::Mutex;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Answers a request with the help of the worker's child.
pub(crate) type Handler<R, F> = dyn Fn(R, WorkContext, ChildWorker) -> F + Send + Sync;

/// The pool's end of a worker.
pub(crate) struct ProcessHandle<R> {
    /// Holds one request at most, since the pool hands over one at a time. Closed when the worker is to end.
    letters: Mutex<Option<mpsc::Sender<Assignment<R>>>>,
    leash: Arc<Leash>,
    /// Says `exited` for a worker that is gone already.
    gone: Box<dyn Fn() + Send + Sync>,
}

/// Tells the pool of the worker's end exactly once, also when its task is dropped; but not before the pool knows the
/// worker, whose spawning may be what the task is dropped in.
pub(crate) struct Report<T> {
    link: WorkerLink<T>,
    birth: Arc<Birth>,
    told: bool,
}

/// Whether a worker's task was there when its spawning ended.
#[derive(Debug, Default)]
pub(crate) struct Birth(AtomicU8);

/// The worker's task.
pub(crate) struct Worker<R, T, F> {
    pub(crate) letters: mpsc::Receiver<Assignment<R>>,
    pub(crate) handler: Arc<Handler<R, F>>,
    pub(crate) desk: Desk<T>,
    pub(crate) report: Report<T>,
}

/// What the worker's task has on its desk: the child and the question it is at.
pub(crate) struct Desk<T> {
    pub(crate) terms: Terms,
    pub(crate) link: WorkerLink<T>,
    /// Killed processes that are not gone.
    pub(crate) abandoned: Arc<AtomicUsize>,
    pub(crate) process: Option<Process>,
    /// The question the child has not ended.
    pub(crate) open: Option<String>,
    /// Whether the child, which has answered before, has shown no sign of having read the open question.
    pub(crate) unheard: bool,
    pub(crate) questions: u64,
}

/// How a worker's life ends.
enum End {
    Retired,
    Fault(Fault),
}

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: u32 = 128;

const EXPECTED: u8 = 0;
const BORN: u8 = 1;
const STILLBORN: u8 = 2;

// === impl ProcessHandle ===

impl<R> ProcessHandle<R> {
    pub(crate) fn new<T: 'static>(
        letters: mpsc::Sender<Assignment<R>>,
        leash: Arc<Leash>,
        link: WorkerLink<T>,
    ) -> Self {
        Self {
            letters: Mutex::new(Some(letters)),
            leash,
            gone: Box::new(move || link.exited(WorkerExit::Ended)),
        }
    }
}

impl<R: Send + 'static> WorkerHandle<R> for ProcessHandle<R> {
    fn run(&self, assignment: Assignment<R>) {
        let taken = match &*self.letters.lock() {
            Some(letters) => letters.try_send(assignment).is_ok(),
            None => false,
        };
        if !taken {
            (self.gone)();
        }
    }

    fn retire(&self) {
        self.letters.lock().take();
    }

    /// The group is ended before this returns; the worker's task only reaps what is left.
    fn kill(&self) {
        self.letters.lock().take();
        self.leash.kill();
    }

    fn memory(&self) -> MemoryInUse {
        self.leash.memory()
    }
}

impl<R> fmt::Debug for ProcessHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle")
            .field("leash", &self.leash)
            .finish_non_exhaustive()
    }
}

// === impl Report ===

impl<T> Report<T> {
    pub(crate) fn new(link: WorkerLink<T>, birth: Arc<Birth>) -> Self {
        Self {
            link,
            birth,
            told: false,
        }
    }

    fn exited(mut self, exit: WorkerExit) {
        self.told = true;
        if self.birth.ended() {
            self.link.exited(exit);
        }
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        if !self.told && self.birth.ended() {
            self.link.exited(WorkerExit::Ended);
        }
    }
}

// === impl Birth ===

impl Birth {
    /// Called when the task is spawned; `false` when it has ended already.
    pub(crate) fn complete(&self) -> bool {
        self.0
            .compare_exchange(EXPECTED, BORN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Called when the task ends; `true` when the pool is to be told.
    fn ended(&self) -> bool {
        self.0
            .compare_exchange(EXPECTED, STILLBORN, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
    }
}

// === impl Worker ===

impl<R, T, F> Worker<R, T, F>
where
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// The whole life of the worker.
    pub(crate) async fn live(mut self) {
        let leash = Arc::clone(&self.desk.terms.leash);
        let end = tokio::select! {
            biased;
            () = leash.killed() => None,
            end = self.work() => Some(end),
        };
        let exit = match end {
            None => {
                self.desk.clear().await;
                WorkerExit::Ended
            }
            Some(End::Retired) => {
                self.desk.retire().await;
                WorkerExit::Ended
            }
            Some(End::Fault(fault)) => {
                self.desk.tell(&fault);
                self.desk.clear().await;
                fault.into_exit()
            }
        };
        self.report.exited(exit);
    }

    async fn work(&mut self) -> End {
        if let Err(fault) = self.desk.child() {
            return End::Fault(fault);
        }
        loop {
            let letter = tokio::select! {
                biased;
                letter = self.letters.recv() => letter,
                fault = self.desk.idle() => match self.letters.try_recv() {
                    // The child's fault is not the request's that came in the same moment.
                    Ok(letter) => {
                        self.desk.replace_child(&fault).await;
                        Some(letter)
                    }
                    Err(_) => return End::Fault(fault),
                },
            };
            let Some(letter) = letter else {
                return End::Retired;
            };
            if let Err(fault) = self.serve(letter).await {
                return End::Fault(fault);
            }
        }
    }

    /// Runs the handler and answers its questions meanwhile.
    async fn serve(&mut self, letter: Assignment<R>) -> Result<(), Fault> {
        let Assignment { request, context } = letter;
        let run = context.run();
        let (child, mut questions) = ChildWorker::new();
        let answer = {
            let handler = Arc::clone(&self.handler);
            let own = context.clone();
            let answer = async move { handler(request, own, child).await };
            let mut answer = pin!(AssertUnwindSafe(answer).catch_unwind());
            tokio::select! {
                answer = &mut answer => answer,
                end = self.desk.converse(&mut questions, &context) => match end {
                    // No more questions; the handler goes on with the server's own work.
                    Ok(()) => self.desk.beat_while(&mut answer).await,
                    Err(fault) => return Err(fault),
                },
            }
        };
        drop(questions);
        let answer = answer.map_err(|panic| Fault::HandlerPanicked(said(&*panic)))?;
        // The child must be free before the pool hands over the next request.
        self.desk.settle_or_replace().await;
        self.desk.link.finished(run, answer);
        Ok(())
    }
}

// === impl Desk ===

impl<T: 'static> Desk<T> {
    /// The child, started if there is none.
    fn child(&mut self) -> Result<&mut Process, Fault> {
        let process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.terms)?,
        };
        Ok(self.process.insert(process))
    }

    /// Listens to a child that has nothing to do, until it faults. Never ends when there is no child.
    async fn idle(&mut self) -> Fault {
        let Some(process) = &mut self.process else {
            return std::future::pending().await;
        };
        loop {
            if let Err(fault) = process.next().await {
                return fault;
            }
        }
    }

    /// Answers questions until the handler drops its [`ChildWorker`].
    async fn converse(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        context: &WorkContext,
    ) -> Result<(), Fault> {
        loop {
            let (link, clock) = (self.link.clone(), Arc::clone(&self.terms.clock));
            let idle = async {
                tokio::select! {
                    biased;
                    question = questions.recv() => Ok(question),
                    fault = self.idle() => Err(fault),
                }
            };
            match beating(idle, &link, &clock).await {
                Ok(None) => return Ok(()),
                Ok(Some(question)) => match self.exchange(&question, context).await {
                    // It had ended after its last answer, and the question came before that was noticed.
                    Err(fault) if self.unheard && fault.is_plain_exit() => {
                        self.replace_child(&fault).await;
                        self.exchange(&question, context).await?;
                    }
                    outcome => outcome?,
                },
                // It has answered all it was asked; whoever asks again gets another.
                Err(fault) => self.replace_child(&fault).await,
            }
        }
    }

    /// One question and its answer.
    async fn exchange(&mut self, question: &Question, context: &WorkContext) -> Result<(), Fault> {
        self.questions = self.questions.saturating_add(1);
        let id = format!("{}.{}", context.run(), self.questions);
        let left = context.deadline().saturating_since(self.terms.clock.monotonic());
        let line = question.request.line(&id, context.correlation_id(), left);
        let limit = self.terms.config.max_answer_bytes;
        let process = self.child()?;
        process.say(&line);
        self.unheard = process.has_answered();
        self.open = Some(id.clone());
        let (mut length, mut tools) = (0_usize, 0_u32);
        loop {
            let process = self.child()?;
            let frame = tokio::select! {
                biased;
                frame = process.next() => frame?,
                () = question.events.closed() => {
                    // Nobody waits for this answer: what goes wrong with it costs the child and not the request.
                    self.settle_or_replace().await;
                    return Ok(());
                }
            };
            self.link.heartbeat();
            self.unheard = false;
            let (events, end) = match frame {
                Frame::Piece { id: of, piece } if of == id => {
                    length = length.saturating_add(piece.len());
                    if length > limit {
                        return Err(Fault::AnswerTooLong { limit });
                    }
                    let events = piece.events(tools);
                    tools = tools.saturating_add(u32::from(events.len() > 1));
                    if tools > MAX_TOOL_CALLS {
                        return Err(Fault::TooManyTools {
                            limit: MAX_TOOL_CALLS,
                        });
                    }
                    (events.into_iter().map(Ok).collect(), false)
                }
                Frame::Done { id: of, usage, stop } if of == id => {
                    let usage = usage.map(ModelEvent::Usage);
                    let events = usage.into_iter().chain([ModelEvent::Stop(stop)]);
                    (events.map(Ok).collect(), true)
                }
                Frame::Refused { id: of, refusal } if of == id => (vec![Err(refusal)], true),
                Frame::Heartbeat
                | Frame::Unknown
                | Frame::Piece { .. }
                | Frame::Done { .. }
                | Frame::Refused { .. } => (Vec::new(), false),
            };
            if end {
                self.open = None;
                if let Some(process) = &mut self.process {
                    process.answered();
                }
            }
            for event in events {
                self.deliver(&question.events, event).await?;
            }
            if end {
                return Ok(());
            }
        }
    }

    /// Hands an event to the handler. While the handler takes its time the worker beats for it: the child is not at
    /// fault.
    async fn deliver(
        &mut self,
        events: &mpsc::Sender<Result<ModelEvent, WorkerRefusal>>,
        event: Result<ModelEvent, WorkerRefusal>,
    ) -> Result<(), Fault> {
        let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) else {
            // Taken, or nobody waits for it; the latter is noticed where the answer is read.
            return Ok(());
        };
        let (link, clock) = (self.link.clone(), self.terms.clock.clone());
        let open = self.open.is_some();
        let watch = async {
            match &mut self.process {
                // The end of one that has ended its answer can wait.
                Some(process) if open => process.watch().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        let sent = async {
            tokio::select! {
                biased;
                // When nobody waits for it any longer, that is noticed where the answer is read.
                _ = events.send(event) => Ok(()),
                fault = watch => Err(fault),
            }
        };
        beating(sent, &link, &clock).await
    }

    /// Has a child without an answer afterwards: the one there is, or in time another.
    async fn settle_or_replace(&mut self) {
        let (link, clock) = (self.link.clone(), Arc::clone(&self.terms.clock));
        if let Err(fault) = beating(self.settle(), &link, &clock).await {
            self.replace_child(&fault).await;
        }
    }

    /// Brings a child whose answer is no longer wanted to its end. Dropping the future leaves the question open, to be
    /// settled by whoever comes next.
    async fn settle(&mut self) -> Result<(), Fault> {
        let Some(id) = self.open.clone() else {
            return Ok(());
        };
        let grace = self.terms.config.cancel_grace;
        let mut patience = self.terms.clock.sleep(grace);
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.say(&cancel_line(&id));
        loop {
            let frame = tokio::select! {
                frame = process.next() => frame?,
                () = &mut patience => return Err(Fault::Unsettled(grace)),
            };
            match frame {
                Frame::Done { id: of, .. } | Frame::Refused { id: of, .. } if of == id => {
                    self.open = None;
                    process.answered();
                    return Ok(());
                }
                Frame::Heartbeat
                | Frame::Unknown
                | Frame::Piece { .. }
                | Frame::Done { .. }
                | Frame::Refused { .. } => {}
            }
        }
    }

    /// Runs the handler's own work and beats for it.
    async fn beat_while<O>(&mut self, work: impl Future<Output = O>) -> O {
        beating(work, &self.link, &self.terms.clock).await
    }

    /// Ends a child that is no longer fit, without harm to a request. The next is started when it is needed.
    async fn replace_child(&mut self, fault: &Fault) {
        tracing::warn!(worker = %self.terms.worker, %fault, "a worker's process is replaced");
        self.tell(fault);
        self.clear().await;
    }

    /// Tells what went wrong with the child, if it was the child.
    fn tell(&mut self, fault: &Fault) {
        match (fault, &mut self.process) {
            (Fault::HandlerPanicked(_), _) => {}
            // One that ends well after its answer has done its work.
            (fault, Some(process)) if fault.is_plain_exit() && process.has_answered() => {}
            (fault, Some(process)) => process.failed(fault),
            (fault, None) => {
                let (worker, now) = (self.terms.worker, self.terms.clock.now());
                self.terms.troubles.failed(worker, now, &fault.to_string(), &[]);
            }
        }
    }

    /// Ends the child at once.
    async fn clear(&mut self) {
        self.open = None;
        if let Some(process) = self.process.take() {
            self.count_if_late(process.end()).await;
        }
    }

    /// Ends the child gently.
    async fn retire(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Waits for a killed process to be gone, and counts it among the abandoned while it takes too long.
    async fn count_if_late(&mut self, end: impl Future<Output = ()>) {
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let mut end = pin!(end);
        tokio::select! {
            biased;
            () = &mut end => return,
            () = self.terms.clock.sleep(KILL_TAKES) => {}
        }
        tracing::error!(worker = %self.terms.worker, "a killed process does not go away");
        self.abandoned.fetch_add(1, Ordering::AcqRel);
        let _counted = Counted(&self.abandoned);
        end.await;
    }
}

/// Runs `work` and gives a sign of life whenever the interval has passed.
async fn beating<O, T>(
    work: impl Future<Output = O>,
    link: &WorkerLink<T>,
    clock: &Arc<dyn openclaw_core::Clock>,
) -> O {
    let mut work = pin!(work);
    let mut timer: BoxFuture<'static, ()> = clock.sleep(link.heartbeat_interval());
    loop {
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = &mut timer => {
                link.heartbeat();
                timer = clock.sleep(link.heartbeat_interval());
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
