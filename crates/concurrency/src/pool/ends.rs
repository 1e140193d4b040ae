//! Ends of requests: answered, lost, cancelled, expired, and all of them at once.

use super::effect::{Effect, Ended, Notice, Told, millis};
use super::state::{Job, Phase, Run};
use super::step::{Step, bump};
use crate::error::RequestError;
use crate::event::{RequestOutcome, RequestTimedOut};
use crate::lifecycle::{RecycleReason, WorkerId, WorkerState};
use crate::scheduler::Scheduled;
use crate::work::{Place, RunId, Signal};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How a request that ran ended, for the books.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its worker brought it to an end.
    Finished,
    /// It was taken from its worker, or the worker went away.
    Lost,
    /// The same, because its time was up.
    OutOfTime,
    /// The pool shut down; nobody's failure.
    Interrupted,
}

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    pub(super) fn finished(&mut self, worker: WorkerId, run: RunId, answer: T) {
        let ended = self
            .state
            .slots
            .get_mut(&worker)
            .and_then(|slot| slot.run.take_if(|current| current.id == run));
        let Some(ended) = ended else {
            bump(&mut self.state.totals.late_results);
            self.effects.push(Effect::DropAnswer(answer));
            return;
        };
        self.ran(&ended);
        self.end(worker, ended, Ending::Finished, Ok(answer));
        let requests = self.state.lifecycle.request_ended(worker);
        let mut state = self.state.lifecycle.state(worker);
        if state == Some(WorkerState::Busy) {
            let next = if requests >= self.pool.config.max_requests_per_worker {
                state = Some(WorkerState::Draining);
                self.state
                    .lifecycle
                    .recycle(worker, RecycleReason::RequestLimit, self.now)
            } else {
                self.state
                    .lifecycle
                    .transition(worker, WorkerState::Idle, self.now)
                    .map(|()| self.state.idle.push(worker))
            };
            if let Err(error) = next {
                tracing::error!(%error, "a worker that finished could not move on");
            }
        }
        if state == Some(WorkerState::Draining) {
            self.bury(worker);
        }
        self.state.spawn_backoff.succeeded();
        self.replenish();
        self.dispatch();
    }

    pub(super) fn cancel(&mut self, signal: &Arc<Signal>) {
        let place = signal.place.get();
        match place {
            Place::Nowhere => {}
            Place::Running => self.effects.push(Effect::Cancel(Arc::clone(signal))),
            Place::Queued(id) => {
                let Some(entry) = self.state.scheduler.remove(id) else {
                    return;
                };
                signal.place.set(Place::Nowhere);
                self.unserved(entry.submission.request, RequestError::Cancelled);
                // The next of its key may have moved up.
                self.dispatch();
            }
        }
    }

    /// Ends a request that was taken out of the queue.
    pub(super) fn unserved(&mut self, job: Job<R, T>, error: RequestError) {
        bump(&mut self.state.totals.cancelled);
        self.ended();
        self.answer(job.answer, error);
        self.effects.push(Effect::DropRequest(job.request));
    }

    /// An entry whose deadline passed before a worker was free.
    pub(super) fn expired(&mut self, entry: Scheduled<Job<R, T>>) {
        let submission = entry.submission;
        let job = submission.request;
        job.signal.place.set(Place::Nowhere);
        self.ended();
        bump(&mut self.state.totals.expired);
        bump(&mut self.state.processed);
        bump(&mut self.state.errors);
        self.publish(
            submission.correlation_id,
            Notice::TimedOut(RequestTimedOut {
                request_id: job.signal.number,
                tenant_id: submission.tenant,
                worker_id: None,
                elapsed_ms: millis(self.now.saturating_since(job.queued_at)),
            }),
        );
        let waited = self.now.saturating_since(submission.accepted_at);
        self.answer(job.answer, RequestError::Expired { waited });
        self.effects.push(Effect::DropRequest(job.request));
    }

    /// Takes the request off a worker and frees its key.
    pub(super) fn take_run(&mut self, worker: WorkerId) -> Option<Run<T>> {
        let run = self.state.slots.get_mut(&worker)?.run.take()?;
        self.ran(&run);
        Some(run)
    }

    /// What a request that is off its worker had taken is free.
    fn ran(&mut self, run: &Run<T>) {
        run.signal.place.set(Place::Nowhere);
        if let Some(key) = &run.exclusive {
            self.state.scheduler.release(key);
        }
    }

    /// Enters the end of a run in the books, and answers it.
    pub(super) fn end(
        &mut self,
        worker: WorkerId,
        run: Run<T>,
        ending: Ending,
        answer: Result<T, RequestError>,
    ) {
        self.ended();
        let told_as = self.settle(&run, ending);
        self.effects.push(Effect::End(Ended {
            run,
            worker,
            at: self.now,
            answer,
            told_as,
        }));
    }

    fn settle(&mut self, run: &Run<T>, ending: Ending) -> Told {
        let outcome = match ending {
            Ending::Interrupted => return Told::Nothing,
            Ending::Finished if run.signal.is_cancelled() => RequestOutcome::Cancelled,
            Ending::Finished if !run.signal.is_failed() => RequestOutcome::Answered,
            Ending::Finished | Ending::Lost | Ending::OutOfTime => RequestOutcome::Failed,
        };
        match outcome {
            RequestOutcome::Cancelled => bump(&mut self.state.totals.cancelled),
            RequestOutcome::Answered => bump(&mut self.state.processed),
            RequestOutcome::Failed => {
                bump(&mut self.state.processed);
                bump(&mut self.state.errors);
            }
        }
        let seconds = self.now.saturating_since(run.started_at).as_secs_f64();
        self.state.service_seconds = Some(
            self.state
                .service_seconds
                .map_or(seconds, |mean| mean * 0.9 + seconds * 0.1),
        );
        if ending == Ending::OutOfTime {
            Told::TimedOut
        } else {
            Told::Completed {
                outcome,
                by_worker: ending == Ending::Finished,
            }
        }
    }

    fn ended(&mut self) {
        if self.state.phase != Phase::Open {
            bump(&mut self.state.ended_in_shutdown);
        }
    }

    pub(super) fn begin_shutdown(&mut self) {
        if self.state.phase == Phase::Open {
            self.state.phase = Phase::Draining;
        }
    }

    /// Ends everything. Gives what never reached a worker, in the order it would have been served, and how many
    /// requests were interrupted.
    pub(super) fn close(&mut self) -> (Vec<R>, usize) {
        self.state.phase = Phase::Closed;
        let mut returned = Vec::with_capacity(self.state.scheduler.len());
        for submission in self.state.scheduler.drain(self.now) {
            let job = submission.request;
            job.signal.place.set(Place::Nowhere);
            self.answer(job.answer, RequestError::ShuttingDown);
            returned.push(job.request);
        }
        let workers: Vec<WorkerId> = self.state.lifecycle.ids().collect();
        let mut interrupted = 0;
        for worker in workers {
            if self
                .state
                .slots
                .get(&worker)
                .is_some_and(|slot| slot.run.is_some())
            {
                interrupted += 1;
            }
            self.lose(worker, Ending::Interrupted, true, || RequestError::ShuttingDown);
        }
        (returned, interrupted)
    }

    pub(super) fn answer(&mut self, asked: oneshot::Sender<Result<T, RequestError>>, error: RequestError) {
        self.effects.push(Effect::Answer(asked, error));
    }
}
