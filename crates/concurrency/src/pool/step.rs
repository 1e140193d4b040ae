//! One step of the pool: what happens under the lock, in one piece.
//!
//! Nothing here waits or runs foreign code but [`WorkerRuntime::spawn`](crate::WorkerRuntime::spawn), whose contract
//! allows it; the rest is left as effects for after the lock.

use super::effect::{Effect, Effects, Notice};
use super::shared::Shared;
use super::state::{Job, Phase, Run, State};
use crate::error::RequestError;
use crate::lifecycle::{WorkerId, WorkerState};
use crate::scheduler::{Dequeued, Scheduled};
use crate::work::{Assignment, Place, RunId, Submission, WorkContext};
use openclaw_core::Monotonic;
use std::sync::Arc;

pub(super) struct Step<'a, R, T> {
    pub(super) pool: &'a Arc<Shared<R, T>>,
    pub(super) state: &'a mut State<R, T>,
    pub(super) now: Monotonic,
    pub(super) effects: &'a mut Effects<R, T>,
}

/// What is to be told once the lock is released.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tell {
    pub(super) admissible: bool,
    pub(super) drained: bool,
    pub(super) nudge: bool,
}

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    /// Turns a place into an entry, or hands it over where nobody is before it.
    pub(super) fn enqueue(&mut self, submission: Submission<Job<R, T>>) {
        self.give_back();
        if self.state.phase == Phase::Closed {
            let job = submission.request;
            self.answer(job.answer, RequestError::ShuttingDown);
            self.effects.push(Effect::DropRequest(job.request));
            return;
        }
        let Some(submission) = self.pass(submission) else {
            return;
        };
        let signal = Arc::clone(&submission.request.signal);
        match self.state.scheduler.enqueue(submission) {
            Ok(id) => {
                signal.place.set(Place::Queued(id));
                bump(&mut self.state.totals.submitted);
            }
            Err(rejected) => {
                // Places are counted before entries, so that the queue itself is never the one to refuse.
                tracing::error!(error = %rejected.error, "a request with a place found none");
                let job = rejected.submission.request;
                self.answer(job.answer, RequestError::Cancelled);
                self.effects.push(Effect::DropRequest(job.request));
            }
        }
        self.dispatch();
    }

    /// Hands a request to an idle worker when it would be the next in any case; gives it back otherwise.
    fn pass(&mut self, submission: Submission<Job<R, T>>) -> Option<Submission<Job<R, T>>> {
        if self.state.paused {
            return Some(submission);
        }
        let Some(worker) = self.state.idle.pop() else {
            return Some(submission);
        };
        match self.state.scheduler.pass(submission, self.now) {
            Ok(entry) => {
                bump(&mut self.state.totals.submitted);
                self.start(worker, entry);
                None
            }
            Err(submission) => {
                self.state.idle.push(worker);
                Some(submission)
            }
        }
    }

    /// Gives work to workers for as long as there is both.
    pub(super) fn dispatch(&mut self) {
        while !self.state.paused && self.state.phase != Phase::Closed && self.state.scheduler.has_ready() {
            let Some(worker) = self.state.idle.pop().or_else(|| self.spawn_one()) else {
                return;
            };
            match self.state.scheduler.dequeue(self.now) {
                Some(Dequeued::Ready(entry)) => self.start(worker, entry),
                Some(Dequeued::Expired(entry)) => {
                    self.state.idle.push(worker);
                    self.expired(entry);
                }
                None => {
                    self.state.idle.push(worker);
                    return;
                }
            }
        }
    }

    fn start(&mut self, worker: WorkerId, entry: Scheduled<Job<R, T>>) {
        if let Err(error) = self
            .state
            .lifecycle
            .transition(worker, WorkerState::Busy, self.now)
        {
            // An idle worker is in the book and may become busy, or the idle list lies.
            tracing::error!(%error, %worker, "an idle worker could not begin");
            let signal = Arc::clone(&entry.submission.request.signal);
            let id = self.state.scheduler.requeue_front(entry);
            signal.place.set(Place::Queued(id));
            return;
        }
        self.state.last_run = self.state.last_run.saturating_add(1);
        let id = RunId(self.state.last_run);
        let Submission {
            request: job,
            exclusive,
            ..
        } = entry.submission;
        let deadline = self.now + self.pool.config.worker_timeout;
        job.signal.place.set(Place::Running);
        let context = WorkContext::new(worker, id, deadline, Arc::clone(&job.signal));
        if let Some(slot) = self.state.slots.get_mut(&worker) {
            slot.run = Some(Run {
                id,
                signal: job.signal,
                answer: job.answer,
                exclusive,
                queued_at: job.queued_at,
                started_at: self.now,
                deadline,
            });
            let request = job.request;
            self.effects.push(Effect::Run(
                Arc::clone(&slot.handle),
                Assignment { request, context },
                self.now.saturating_since(job.queued_at),
            ));
        }
    }

    /// What follows from a step, whatever it was.
    pub(super) fn conclude(&mut self) -> Tell {
        let admissible = self.watch_pressure();
        let drained = self.state.phase != Phase::Open && self.state.is_drained();
        let due = self.state.scheduler.next_deadline();
        let house = &mut self.state.house;
        // The house that has not gone round yet will.
        let earlier = due.filter(|due| house.next_round.is_some_and(|next| *due < next));
        if earlier.is_some() {
            house.next_round = earlier;
        }
        Tell {
            admissible,
            drained,
            nudge: earlier.is_some(),
        }
    }

    pub(super) fn publish(&mut self, correlation_id: Option<openclaw_core::CorrelationId>, notice: Notice) {
        self.effects.push(Effect::Publish(correlation_id, notice));
    }
}

pub(super) fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}
