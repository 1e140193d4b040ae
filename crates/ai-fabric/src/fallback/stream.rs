//! The answer of a routed request, as its reader sees it.

use super::call::{Attempts, Call};
use super::walk::{Begun, Then, Walk, Walked};
use super::{Attempt, RoutedEvent};
use crate::error::{ModelError, RouteError, TimeoutPhase};
use crate::ports::ModelStream;
use futures::Stream;
use futures::future::BoxFuture;
use openclaw_core::{CodedError, ModelEvent, ModelId, Monotonic, TokenUsage};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A routed answer. Ends after `Usage`, or with one [`RouteError`]; nothing follows either.
///
/// Dropping it ends the call under way at once.
pub struct RoutedStream {
    phase: Phase,
    attempts: Attempts,
    may_restart: bool,
    /// What is to be said before the model is listened to again; at most three events.
    queue: VecDeque<RoutedEvent>,
    /// Whose answer broke off and why, until another has begun.
    broken: Option<(ModelId, &'static str)>,
}

enum Phase {
    Walking(BoxFuture<'static, Walked>),
    Answering(Box<Answering>),
    Done,
}

/// A model's answer under way.
struct Answering {
    walk: Box<Walk>,
    call: Call,
    stream: ModelStream,
    stopped: bool,
    last: Monotonic,
    /// Fires at the earliest moment the answer could be overdue when it was set; each piece moves that moment without
    /// setting the timer anew.
    timer: BoxFuture<'static, ()>,
}

/// What the model has to say next.
enum Next {
    Event(ModelEvent),
    Ended,
    Failed(ModelError),
}

// === impl RoutedStream ===

impl RoutedStream {
    pub(super) fn new(walk: Box<Walk>, may_restart: bool) -> Self {
        Self {
            attempts: Arc::clone(&walk.attempts),
            phase: Phase::Walking(Box::pin(walk.advance())),
            may_restart,
            queue: VecDeque::new(),
            broken: None,
        }
    }

    /// What has been tried so far, in order. An answer under way is not among them before it has ended.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().clone()
    }

    /// Ends what is still under way and tells everything that was tried, with what each has cost.
    pub fn finish(mut self) -> Vec<Attempt> {
        // A call that is dropped records itself as one whose reader has left.
        self.phase = Phase::Done;
        std::mem::take(&mut *self.attempts.lock())
    }

    /// What all of it has cost so far: the attempts that have ended and the answer under way.
    pub fn spent(&self) -> TokenUsage {
        let under_way = match &self.phase {
            Phase::Answering(answering) => Some(answering.call.spent()),
            Phase::Walking(_) | Phase::Done => None,
        };
        let attempts = self.attempts.lock();
        attempts
            .iter()
            .map(|attempt| attempt.usage)
            .chain(under_way)
            .fold(TokenUsage::default(), |sum, usage| TokenUsage {
                input_tokens: sum.input_tokens.saturating_add(usage.input_tokens),
                output_tokens: sum.output_tokens.saturating_add(usage.output_tokens),
                estimated: sum.estimated || usage.estimated,
            })
    }

    fn begin(&mut self, walk: Box<Walk>, begun: Begun) {
        let Begun { call, stream, first } = begun;
        let model = &call.found.model.id;
        if let Some((from, reason)) = self.broken.take() {
            let to = model.clone();
            self.queue.push_back(RoutedEvent::Restarted { from, to, reason });
        }
        self.queue.push_back(RoutedEvent::Began {
            model: model.clone(),
            provider: call.found.provider.id.clone(),
        });
        let stopped = matches!(first, ModelEvent::Stop(_));
        self.queue.push_back(RoutedEvent::Event(first));
        let clock = &walk.router.deps.clock;
        let last = clock.monotonic();
        let timer = clock.sleep_until((last + walk.router.config().idle_timeout).min(walk.request.deadline));
        self.phase = Phase::Answering(Box::new(Answering {
            walk,
            call,
            stream,
            stopped,
            last,
            timer,
        }));
    }

    fn fail(&mut self, answering: Answering, error: ModelError) -> Option<RouteError> {
        let Answering {
            mut walk,
            call,
            stream,
            ..
        } = answering;
        // The upstream call ends before anything else is tried.
        drop(stream);
        let model = call.found.model.id.clone();
        let then = if self.may_restart {
            walk.after_interruption(&error)
        } else {
            Then::End
        };
        call.failed(&error, then);
        if !self.may_restart {
            return Some(RouteError::Interrupted { model, error });
        }
        self.broken.get_or_insert((model, error.code()));
        walk.go_on(&error, then);
        self.phase = Phase::Walking(Box::pin(walk.advance()));
        None
    }
}

impl Stream for RoutedStream {
    type Item = Result<RoutedEvent, RouteError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let next = match &mut this.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Walking(walking) => {
                    let (walk, outcome) = ready!(walking.as_mut().poll(context));
                    match outcome {
                        Ok(begun) => this.begin(walk, *begun),
                        Err(error) => {
                            this.phase = Phase::Done;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                    continue;
                }
                Phase::Answering(answering) => ready!(answering.poll_next(context)),
            };
            if let Next::Event(event) = next {
                return Poll::Ready(Some(Ok(RoutedEvent::Event(event))));
            }
            let Phase::Answering(answering) = std::mem::replace(&mut this.phase, Phase::Done) else {
                return Poll::Ready(None);
            };
            if let Next::Failed(error) = next {
                if let Some(error) = this.fail(*answering, error) {
                    return Poll::Ready(Some(Err(error)));
                }
                continue;
            }
            let usage = answering.call.answered();
            this.queue.push_back(RoutedEvent::Event(ModelEvent::Usage(usage)));
        }
    }
}

impl fmt::Debug for RoutedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Walking(_) => "walking",
            Phase::Answering(_) => "answering",
            Phase::Done => "done",
        };
        f.debug_struct("RoutedStream")
            .field("phase", &phase)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

// === impl Answering ===

impl Answering {
    /// The next piece that is passed on, or the end. Pings and counts are taken note of and kept. Whatever goes wrong
    /// after the model's own end does not void an answer that is complete.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            let event = match self.stream.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(event))) => event,
                Poll::Ready(Some(Err(_)) | None) if self.stopped => return Poll::Ready(Next::Ended),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Next::Failed(error)),
                Poll::Ready(None) => return Poll::Ready(Next::Failed(ModelError::Cut)),
                Poll::Pending => {
                    let phase = ready!(self.poll_overdue(context));
                    return Poll::Ready(self.overdue(phase));
                }
            };
            let now = self.walk.router.deps.clock.monotonic();
            if now >= self.walk.request.deadline {
                return Poll::Ready(self.overdue(TimeoutPhase::Whole));
            }
            self.last = now;
            self.call.observe(&event, now);
            if let Some(error) = self.call.overlong() {
                return Poll::Ready(Next::Failed(error));
            }
            match event {
                ModelEvent::Ping | ModelEvent::Usage(_) => {}
                ModelEvent::Stop(_) if self.stopped => {}
                ModelEvent::Stop(_) => {
                    self.stopped = true;
                    return Poll::Ready(Next::Event(event));
                }
                ModelEvent::TextDelta(_)
                | ModelEvent::ToolUseStart { .. }
                | ModelEvent::ToolArgumentsDelta { .. } => return Poll::Ready(Next::Event(event)),
            }
        }
    }

    fn overdue(&self, phase: TimeoutPhase) -> Next {
        if self.stopped {
            Next::Ended
        } else {
            Next::Failed(ModelError::Timeout { phase })
        }
    }

    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<TimeoutPhase> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let clock = &self.walk.router.deps.clock;
            let now = clock.monotonic();
            let deadline = self.walk.request.deadline;
            let idle_due = self.last + self.walk.router.config().idle_timeout;
            if now >= deadline {
                return Poll::Ready(TimeoutPhase::Whole);
            }
            if now >= idle_due {
                return Poll::Ready(TimeoutPhase::Idle);
            }
            self.timer = clock.sleep_until(idle_due.min(deadline));
        }
    }
}
