//! A pool and its model side by side.

use super::Op;
use super::model::{Counts, Loss, Model, Running, Waiting, millis};
use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{
    Admission, ConcurrencyConfig, Priority, Refusal, RefusalReason, RequestError, Submission, Ticket,
    WorkerExit, WorkerId, WorkerState,
};
use openclaw_core::{Clock, Monotonic};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// After a worker that could not be started the next try waits this long at most.
const LONGEST_BACKOFF: u64 = 31_000;

pub(super) struct Life {
    stage: Stage,
    model: Model,
    tickets: BTreeMap<u32, Ticket<u32>>,
    admissions: Vec<Admission<u32, u32>>,
    /// How many starts the model has seen.
    seen: usize,
    submissions: u32,
    memory_is_short: bool,
    spawns_are_refused: bool,
    spawn_failures: u64,
    last_spawn_failure: Option<u64>,
    down: bool,
}

type Checked = Result<(), TestCaseError>;

fn pick<T: Clone>(from: &[T], index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[index % from.len()].clone())
}

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

impl Life {
    pub(super) fn new(config: ConcurrencyConfig) -> Self {
        let stage = Stage::new(config.clone());
        let mut life = Self {
            stage,
            model: Model::new(config),
            tickets: BTreeMap::new(),
            admissions: Vec::new(),
            seen: 0,
            submissions: 0,
            memory_is_short: false,
            spawns_are_refused: false,
            spawn_failures: 0,
            last_spawn_failure: None,
            down: false,
        };
        for worker in life.stage.pool.workers() {
            life.model.served.insert(worker.id, 0);
        }
        life
    }

    pub(super) fn started(&self) -> Vec<u32> {
        self.stage.runtime.started()
    }

    fn now(&self) -> u64 {
        millis(self.stage.clock.monotonic().since_origin())
    }

    fn next_request(&mut self) -> u32 {
        self.submissions += 1;
        self.submissions
    }

    pub(super) fn apply(&mut self, op: &Op) -> Checked {
        let running: Vec<u32> = self.model.running.keys().copied().collect();
        match op {
            Op::Submit {
                tenant,
                priority,
                key,
                deadline,
            } => {
                let request = self.next_request();
                let waiting = Waiting {
                    request,
                    tenant: *tenant,
                    priority: *priority,
                    key: *key,
                    deadline: deadline.map(|seconds| self.now() + seconds * 1_000),
                    accepted: self.now(),
                };
                self.submit(waiting)?;
            }
            Op::Admit => {
                let taken = self.takes();
                let place = self.stage.pool.admit();
                prop_assert_eq!(place.is_ok(), taken);
                self.model.reserved += usize::from(taken);
                self.model.counts.refusals += u64::from(!taken);
                self.admissions.extend(place.ok());
            }
            Op::DropAdmission => {
                if let Some(place) = self.admissions.pop() {
                    self.model.reserved -= 1;
                    drop(place);
                }
            }
            Op::SubmitAdmitted => {
                if let Some(place) = self.admissions.pop() {
                    let request = self.next_request();
                    let accepted = self.now();
                    let waiting = Waiting {
                        request,
                        tenant: 0,
                        priority: 2,
                        key: None,
                        deadline: None,
                        accepted,
                    };
                    self.model.reserved -= 1;
                    self.model.counts.submitted += 1;
                    let ticket = place.submit(submission(&waiting));
                    self.model.waiting.push(waiting);
                    self.tickets.insert(request, ticket);
                }
            }
            Op::Finish(index) | Op::Fail(index) => {
                if let Some(request) = pick(&running, *index) {
                    self.finish(request, matches!(op, Op::Fail(_)))?;
                }
            }
            Op::Crash(index) | Op::OutOfMemory(index) => {
                if let Some(request) = pick(&running, *index) {
                    let worker = self.model.running[&request].worker;
                    let reason = "it fell over".to_owned();
                    let (loss, exit) = if matches!(op, Op::Crash(_)) {
                        (Loss::Crash(reason.clone()), WorkerExit::Crashed { reason })
                    } else {
                        (Loss::OutOfMemory, WorkerExit::OutOfMemory)
                    };
                    self.model.lost(request, &loss);
                    self.stage.runtime.exit(worker, exit);
                }
            }
            Op::CrashIdle(index) => {
                if let Some(worker) = pick(&self.idle(), *index) {
                    self.model.served.remove(&worker);
                    self.model.counts.crashed += 1;
                    self.stage.runtime.exit(worker, WorkerExit::Ended);
                }
            }
            Op::Kill(index) => {
                let workers = self.stage.pool.workers();
                if let Some(worker) = pick(&workers, *index) {
                    self.kill(worker.id)?;
                }
            }
            Op::Recycle(index) => {
                let workers = self.stage.pool.workers();
                if let Some(worker) = pick(&workers, *index) {
                    let can = matches!(worker.state, WorkerState::Idle | WorkerState::Busy);
                    if worker.state == WorkerState::Idle {
                        self.model.served.remove(&worker.id);
                    }
                    let run = self
                        .model
                        .running
                        .values_mut()
                        .find(|run| run.worker == worker.id);
                    if let Some(run) = run {
                        run.drains = true;
                    }
                    prop_assert_eq!(self.stage.pool.recycle(worker.id).is_ok(), can);
                }
            }
            Op::Cancel(index) | Op::DropTicket(index) => {
                let open: Vec<u32> = self.tickets.keys().copied().collect();
                if let Some(request) = pick(&open, *index) {
                    self.model.cancelled(request);
                    if matches!(op, Op::Cancel(_)) {
                        self.tickets[&request].canceller().cancel();
                    } else {
                        self.tickets.remove(&request);
                    }
                }
            }
            Op::Detach(index) => {
                // One with a deadline is kept, to see its end.
                let open: Vec<u32> = self.tickets.keys().copied().collect();
                if let Some(request) = pick(&open, *index)
                    && self
                        .model
                        .waiting
                        .iter()
                        .all(|one| one.request != request || one.deadline.is_none())
                    && let Some(ticket) = self.tickets.remove(&request)
                {
                    ticket.detach();
                }
            }
            Op::LateResult(index) => {
                if let Some((worker, run)) = pick(&self.model.given_up, *index) {
                    self.model.counts.late_results += 1;
                    self.stage.runtime.finish_late(worker, run);
                }
            }
            Op::Gone(index) => {
                if let Some((worker, _)) = pick(&self.model.given_up, *index) {
                    self.model.stuck.remove(&worker);
                    self.stage.runtime.exit(worker, WorkerExit::Ended);
                }
            }
            Op::Pause => {
                self.model.paused = true;
                self.stage.pool.pause();
            }
            Op::Resume => {
                self.model.paused = false;
                self.stage.pool.resume();
            }
            Op::Memory(short) => {
                self.memory_is_short = *short;
                let limit = self.model.config.memory_limit_mb;
                self.stage.runtime.set_memory(limit + u64::from(*short));
            }
            Op::RefuseToSpawn(refuse) => {
                self.spawns_are_refused = *refuse;
                self.stage.runtime.refuse_to_spawn(*refuse);
            }
            Op::Pass(seconds, beating) => {
                for _ in 0..*seconds {
                    self.stage.clock.advance(Duration::from_secs(1));
                    self.beat(*beating);
                    self.keep_house()?;
                }
            }
            Op::Suspend(seconds) => {
                self.stage.clock.advance(Duration::from_secs(*seconds));
                self.keep_house()?;
            }
        }
        Ok(())
    }

    /// Whether a request must be taken now.
    fn takes(&self) -> bool {
        let level = self.model.level(self.stage.pool.metrics().idle_workers);
        !self.down
            && level + 1e-9 < self.model.config.backpressure_threshold
            && self.model.queue_depth() < self.model.config.max_queue_size
    }

    fn submit(&mut self, waiting: Waiting) -> Checked {
        let taken = self.takes();
        match self.stage.pool.submit(submission(&waiting)) {
            Ok(ticket) => {
                prop_assert!(taken, "taken at level {}", self.model.level(0));
                self.tickets.insert(waiting.request, ticket);
                self.model.counts.submitted += 1;
                self.model.waiting.push(waiting);
            }
            Err(refused) => {
                prop_assert!(!taken, "refused: {refused:?}");
                prop_assert_eq!(refused.submission.request, waiting.request);
                self.model.counts.refusals += 1;
                if let Refusal::Backpressure(error) = refused.refusal {
                    let expected = if self.down {
                        RefusalReason::ShuttingDown
                    } else {
                        RefusalReason::Overloaded
                    };
                    prop_assert_eq!(error.reason, expected);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, request: u32, failed: bool) -> Checked {
        let worker = self.model.running[&request].worker;
        let retired = self.stage.runtime.retired().contains(&worker);
        prop_assert!(!retired, "let go before its end");
        let goes = self.model.finished(request, failed);
        if failed {
            self.stage.runtime.fail(request);
        } else {
            self.stage.runtime.finish(request);
        }
        prop_assert_eq!(
            self.stage.runtime.retired().contains(&worker),
            goes,
            "{}",
            request
        );
        Ok(())
    }

    fn kill(&mut self, worker: WorkerId) -> Checked {
        let request = self
            .model
            .running
            .values()
            .find(|run| run.worker == worker)
            .map(|run| run.what.request);
        if let Some(request) = request {
            self.model.lost(request, &Loss::Kill);
        } else if self.model.stuck.remove(&worker).is_none() {
            self.model.served.remove(&worker);
            self.model.counts.killed += 1;
        }
        prop_assert!(self.stage.pool.kill(worker).is_ok());
        prop_assert!(self.stage.runtime.killed().contains(&worker));
        prop_assert!(self.stage.pool.kill(worker).is_err(), "it is gone");
        Ok(())
    }

    /// The workers whose bit is set give a sign of life.
    fn beat(&mut self, which: u8) {
        let now = self.now();
        for run in self.model.running.values_mut() {
            if which >> (run.worker.get() % 8) & 1 == 1 {
                run.last_beat = now;
                self.stage.runtime.beat(run.worker);
            }
        }
    }

    fn keep_house(&mut self) -> Checked {
        let now = self.now();
        self.model.keep_house(now, self.memory_is_short);
        let due = self.stage.pool.keep_house();
        prop_assert!(due.is_some_and(|due| due > at(now)), "{due:?} at {now}");
        self.model.due = due.map(|due| millis(due.since_origin()));
        // Idle workers may have been let go, for the calm or for their memory.
        let alive: BTreeSet<WorkerId> = self.stage.pool.workers().iter().map(|worker| worker.id).collect();
        let busy: BTreeSet<WorkerId> = self.model.running.values().map(|run| run.worker).collect();
        self.model
            .served
            .retain(|worker, _| alive.contains(worker) || busy.contains(worker));
        self.compare()
    }

    fn idle(&self) -> Vec<WorkerId> {
        let busy: BTreeSet<WorkerId> = self.model.running.values().map(|run| run.worker).collect();
        self.model
            .served
            .keys()
            .filter(|worker| !busy.contains(worker))
            .copied()
            .collect()
    }

    /// Everything that can be seen of the pool against the model.
    pub(super) fn compare(&mut self) -> Checked {
        let freed = self.see_expired();
        self.see_starts(&freed)?;
        self.see_answers()?;
        self.see_workers()?;
        let now = self.now();
        let (metrics, totals) = (self.stage.pool.metrics(), self.stage.pool.totals());
        prop_assert_eq!(metrics.active_workers, self.model.running.len());
        prop_assert_eq!(metrics.queue_depth, self.model.queue_depth());
        prop_assert_eq!(metrics.stuck_workers, self.model.stuck.len());
        prop_assert!((metrics.backpressure_level - self.model.level(metrics.idle_workers)).abs() < 1e-9);
        let counts = Counts {
            submitted: totals.submitted,
            refusals: totals.refusals,
            processed: metrics.total_processed,
            errors: metrics.total_errors,
            cancelled: totals.cancelled,
            expired: totals.expired,
            timed_out: totals.timed_out,
            stuck: totals.stuck,
            crashed: totals.crashed,
            out_of_memory: totals.out_of_memory,
            killed: totals.killed,
            late_results: totals.late_results,
        };
        prop_assert_eq!(counts, self.model.counts);
        if totals.spawn_failures > self.spawn_failures {
            self.spawn_failures = totals.spawn_failures;
            self.last_spawn_failure = Some(now);
        }
        let short = self.spawns_are_refused
            || self
                .last_spawn_failure
                .is_some_and(|last| now < last + LONGEST_BACKOFF);
        let config = &self.model.config;
        let size = metrics.active_workers + metrics.idle_workers;
        prop_assert!(size <= config.max_workers);
        if !short {
            prop_assert!(size >= config.min_workers || self.down, "{size} workers");
        }
        let a_hand_is_free = metrics.idle_workers > 0 || (!short && size < config.max_workers);
        if !self.model.paused && a_hand_is_free {
            let idly: Vec<_> = self.model.ready(now).collect();
            prop_assert!(idly.is_empty(), "wait beside a free hand: {idly:?}");
        }
        Ok(())
    }

    /// A deadline that has passed is found out by the first who would serve it, or by housekeeping at the latest. The
    /// keys that were waited for until then.
    fn see_expired(&mut self) -> BTreeSet<u8> {
        let mut freed = BTreeSet::new();
        let now = self.now();
        let late: Vec<(u32, Option<u8>)> = self
            .model
            .waiting
            .iter()
            .filter(|one| one.deadline.is_some_and(|deadline| deadline <= now))
            .map(|one| (one.request, one.key))
            .collect();
        for (request, key) in late {
            let ended = self.tickets.get_mut(&request).and_then(FutureExt::now_or_never);
            if let Some(answer) = ended {
                assert!(
                    matches!(answer, Err(RequestError::Expired { .. })),
                    "{request}: {answer:?}"
                );
                self.model.expired(request, now);
                assert_eq!(self.model.answers.get(&request), Some(&answer));
                self.tickets.remove(&request);
                freed.extend(key);
            }
        }
        freed
    }

    fn see_starts(&mut self, freed: &BTreeSet<u8>) -> Checked {
        let now = self.now();
        let started = self.stage.runtime.started();
        for request in started[self.seen..].iter().copied() {
            prop_assert!(!self.model.paused, "{request} started while the pool is paused");
            let ready: Vec<Waiting> = self.model.ready(now).cloned().collect();
            let what = ready.iter().find(|one| one.request == request).cloned();
            let Some(what) = what else {
                return Err(TestCaseError::fail(format!("{request} could not be served")));
            };
            let before = ready.iter().find(|other| {
                // Its key may have been free only after this start.
                other.key.is_none_or(|key| !freed.contains(&key))
                    && (other.priority < what.priority
                        || ((other.tenant, other.priority) == (what.tenant, what.priority)
                            && other.request < request))
            });
            prop_assert!(before.is_none(), "{request} before {before:?}");
            self.model.waiting.retain(|one| one.request != request);
            let worker = self.stage.runtime.worker_of(request);
            prop_assert!(!self.model.stuck.contains_key(&worker));
            prop_assert!(self.model.running.values().all(|run| run.worker != worker));
            self.model.served.entry(worker).or_default();
            let run = Running {
                what,
                worker,
                run: self.stage.runtime.run_of(request),
                started: now,
                last_beat: now,
                drains: false,
                cancelled: false,
            };
            self.model.running.insert(request, run);
        }
        self.seen = started.len();
        Ok(())
    }

    /// Whoever has ended is answered, with the model's answer, and nobody else is.
    fn see_answers(&mut self) -> Checked {
        let open: Vec<u32> = self.tickets.keys().copied().collect();
        for request in open {
            let answer = self.tickets.get_mut(&request).and_then(FutureExt::now_or_never);
            prop_assert_eq!(&answer, &self.model.answers.get(&request).cloned(), "{}", request);
            if answer.is_some() {
                self.tickets.remove(&request);
            }
        }
        Ok(())
    }

    fn see_workers(&mut self) -> Checked {
        let workers = self.stage.pool.workers();
        for worker in &workers {
            let run = self.model.running.values().find(|run| run.worker == worker.id);
            let expected = match run {
                Some(run) if run.drains => WorkerState::Draining,
                Some(_) => WorkerState::Busy,
                None if self.model.stuck.contains_key(&worker.id) => WorkerState::Stuck,
                None => WorkerState::Idle,
            };
            prop_assert_eq!(worker.state, expected, "{}", worker.id);
            if worker.state != WorkerState::Stuck {
                let served = *self.model.served.entry(worker.id).or_default();
                prop_assert_eq!(worker.requests, served, "{}", worker.id);
            }
            let now = self.now();
            prop_assert_eq!(worker.running_ms, run.map(|run| now - run.started));
            if let Some(run) = run {
                prop_assert_eq!(worker.silent_ms, Some(now - run.last_beat));
            }
        }
        let known = self.model.served.len() + self.model.stuck.len();
        prop_assert_eq!(
            workers.len(),
            known,
            "a worker is lost, or one is kept that is gone"
        );
        Ok(())
    }

    /// Intake stops, what can be worked off is, and the rest comes back when the grace is over.
    pub(super) fn shut_down(mut self, grace: Duration) -> Checked {
        let pool = Arc::clone(&self.stage.pool);
        let mut down = Box::pin(pool.shutdown(grace));
        let ended = |life: &Self| life.model.counts.processed + life.model.counts.cancelled;
        let before = ended(&self);
        self.down = true;
        let mut report = (&mut down).now_or_never();
        while report.is_none() {
            self.compare()?;
            let request = self.next_request();
            let late = Waiting {
                request,
                tenant: 0,
                priority: 0,
                key: None,
                deadline: None,
                accepted: self.now(),
            };
            self.submit(late)?;
            let next = self.model.running.keys().next().copied();
            match next {
                Some(request) => self.finish(request, false)?,
                None if !self.admissions.is_empty() => self.apply(&Op::DropAdmission)?,
                None => {
                    self.stage.clock.advance(grace);
                    report = Some((&mut down).now_or_never().expect("the grace is over"));
                    continue;
                }
            }
            self.compare_while_draining()?;
            report = (&mut down).now_or_never();
        }
        let report = report.expect("it has ended");
        let (running, waiting) = (self.model.running.len(), self.model.waiting.len());
        prop_assert_eq!(report.interrupted, running);
        let returned: BTreeSet<u32> = report.returned.iter().copied().collect();
        let left: BTreeSet<u32> = self.model.waiting.iter().map(|one| one.request).collect();
        prop_assert_eq!(&returned, &left);
        prop_assert_eq!(report.returned.len(), waiting, "nobody twice");
        prop_assert_eq!(report.finished, ended(&self) - before);
        for (request, ticket) in std::mem::take(&mut self.tickets) {
            let expected = self.model.answers.get(&request).cloned();
            let expected = expected.unwrap_or(Err(RequestError::ShuttingDown));
            prop_assert_eq!(ticket.now_or_never(), Some(expected), "{}", request);
        }
        for place in std::mem::take(&mut self.admissions) {
            let late = place.submit(self.stage.request(0));
            prop_assert_eq!(late.now_or_never(), Some(Err(RequestError::ShuttingDown)));
        }
        prop_assert!(self.stage.runtime.running().is_empty() && self.stage.pool.workers().is_empty());
        prop_assert!(self.stage.pool.keep_house().is_none());
        Ok(())
    }

    /// As [`Life::compare`], unless the pool has closed in this very moment.
    fn compare_while_draining(&mut self) -> Checked {
        if self.stage.pool.workers().is_empty() && self.model.running.is_empty() {
            return Ok(());
        }
        self.compare()
    }
}

fn submission(waiting: &Waiting) -> Submission<u32> {
    Submission {
        priority: Priority::ALL[waiting.priority],
        exclusive: waiting.key.map(|key| Arc::from(key.to_string())),
        deadline: waiting.deadline.map(at),
        ..Submission::new(waiting.request, waiting.tenant.to_string(), at(waiting.accepted))
    }
}
