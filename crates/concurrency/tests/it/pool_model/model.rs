//! The rules of a pool over plain lists. Times are milliseconds.

use openclaw_concurrency::{
    ConcurrencyConfig, RequestError, RunId, WorkerId, WorkerOutOfMemoryError, WorkerStuckError,
    WorkerTimeoutError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) request: u32,
    pub(super) tenant: u8,
    pub(super) priority: usize,
    pub(super) key: Option<u8>,
    pub(super) deadline: Option<u64>,
    pub(super) accepted: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) what: Waiting,
    pub(super) worker: WorkerId,
    pub(super) run: RunId,
    pub(super) started: u64,
    pub(super) last_beat: u64,
    pub(super) drains: bool,
    pub(super) cancelled: bool,
}

/// What [`openclaw_concurrency::PoolTotals`] and the metrics must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) submitted: u64,
    pub(super) refusals: u64,
    pub(super) processed: u64,
    pub(super) errors: u64,
    pub(super) cancelled: u64,
    pub(super) expired: u64,
    pub(super) timed_out: u64,
    pub(super) stuck: u64,
    pub(super) crashed: u64,
    pub(super) out_of_memory: u64,
    pub(super) killed: u64,
    pub(super) late_results: u64,
}

/// Why a run was taken from its worker.
#[derive(Clone, Debug)]
pub(super) enum Loss {
    Crash(String),
    OutOfMemory,
    Kill,
    Timeout,
    Silence(u64),
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) config: ConcurrencyConfig,
    pub(super) waiting: Vec<Waiting>,
    pub(super) running: BTreeMap<u32, Running>,
    /// Requests ended by each worker that is alive.
    pub(super) served: BTreeMap<WorkerId, u64>,
    /// Since when.
    pub(super) stuck: BTreeMap<WorkerId, u64>,
    pub(super) reserved: usize,
    pub(super) paused: bool,
    pub(super) counts: Counts,
    /// What each ended request must be answered with.
    pub(super) answers: BTreeMap<u32, Result<u32, RequestError>>,
    /// Runs that were given up and may still report.
    pub(super) given_up: Vec<(WorkerId, RunId)>,
    /// When housekeeping is due; silence before `silence_from` is nobody's fault.
    pub(super) due: Option<u64>,
    pub(super) silence_from: u64,
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("short")
}

impl Model {
    pub(super) fn new(config: ConcurrencyConfig) -> Self {
        Self {
            config,
            waiting: Vec::new(),
            running: BTreeMap::new(),
            served: BTreeMap::new(),
            stuck: BTreeMap::new(),
            reserved: 0,
            paused: false,
            counts: Counts::default(),
            answers: BTreeMap::new(),
            given_up: Vec::new(),
            due: None,
            silence_from: 0,
        }
    }

    pub(super) fn queue_depth(&self) -> usize {
        self.waiting.len() + self.reserved
    }

    pub(super) fn level(&self, idle: usize) -> f64 {
        let active = self.running.len();
        let queue = (self.queue_depth() as f64 / self.config.max_queue_size as f64).min(1.0);
        let workers = if active + idle == 0 {
            0.0
        } else {
            active as f64 / (active + idle) as f64
        };
        queue * 0.7 + workers * 0.3
    }

    /// Requests any free hand would have to take: not out of time, and certainly the first of their key.
    pub(super) fn ready(&self, now: u64) -> impl Iterator<Item = &Waiting> {
        let running: BTreeSet<u8> = self.running.values().filter_map(|run| run.what.key).collect();
        self.waiting.iter().filter(move |one| {
            let in_time = one.deadline.is_none_or(|deadline| deadline > now);
            in_time
                && one.key.is_none_or(|key| {
                    let first = self.waiting.iter().find(|other| other.key == Some(key));
                    !running.contains(&key) && first.is_some_and(|first| first.request == one.request)
                })
        })
    }

    /// A worker brought its request to an end. Says whether the worker must be let go now.
    pub(super) fn finished(&mut self, request: u32, failed: bool) -> bool {
        let run = self.running.remove(&request).expect("it runs");
        self.answers.insert(request, Ok(request * 10));
        if run.cancelled {
            self.counts.cancelled += 1;
        } else {
            self.counts.processed += 1;
            self.counts.errors += u64::from(failed);
        }
        let served = self.served.entry(run.worker).or_default();
        *served += 1;
        let goes = run.drains || *served >= self.config.max_requests_per_worker;
        if goes {
            self.served.remove(&run.worker);
        }
        goes
    }

    /// A worker and its request are lost.
    pub(super) fn lost(&mut self, request: u32, loss: &Loss) {
        let Running { worker, run, .. } = self.running.remove(&request).expect("it runs");
        self.given_up.push((worker, run));
        self.served.remove(&worker);
        self.counts.processed += 1;
        self.counts.errors += 1;
        let error = match loss {
            Loss::Crash(reason) => {
                self.counts.crashed += 1;
                let reason = reason.clone();
                RequestError::Crashed { worker, reason }
            }
            Loss::OutOfMemory => {
                self.counts.out_of_memory += 1;
                let limit_mb = self.config.memory_limit_mb;
                RequestError::OutOfMemory(WorkerOutOfMemoryError { worker, limit_mb })
            }
            Loss::Kill => {
                self.counts.killed += 1;
                RequestError::Killed { worker }
            }
            Loss::Timeout => {
                self.counts.timed_out += 1;
                let limit = self.config.worker_timeout;
                RequestError::Timeout(WorkerTimeoutError { worker, limit })
            }
            Loss::Silence(silent) => {
                self.counts.stuck += 1;
                let silent_for = Duration::from_millis(*silent);
                RequestError::Stuck(WorkerStuckError { worker, silent_for })
            }
        };
        self.answers.insert(request, Err(error));
    }

    pub(super) fn cancelled(&mut self, request: u32) {
        if let Some(at) = self.waiting.iter().position(|one| one.request == request) {
            self.waiting.remove(at);
            self.counts.cancelled += 1;
            self.answers.insert(request, Err(RequestError::Cancelled));
        } else if let Some(run) = self.running.get_mut(&request) {
            run.cancelled = true;
        }
    }

    pub(super) fn expired(&mut self, request: u32, now: u64) {
        let at = self.waiting.iter().position(|one| one.request == request);
        let one = self.waiting.remove(at.expect("it waits"));
        self.counts.expired += 1;
        self.counts.processed += 1;
        self.counts.errors += 1;
        let waited = Duration::from_millis(now - one.accepted);
        self.answers
            .insert(request, Err(RequestError::Expired { waited }));
    }

    /// What a round of housekeeping at `now` must do to requests.
    pub(super) fn keep_house(&mut self, now: u64, memory_is_short: bool) {
        let (heartbeat, stuck) = (
            millis(self.config.heartbeat_interval),
            millis(self.config.stuck_threshold),
        );
        if self.due.is_some_and(|due| now > due + heartbeat) {
            self.silence_from = now;
        }
        let late: Vec<u32> = self
            .waiting
            .iter()
            .filter(|one| one.deadline.is_some_and(|deadline| deadline <= now))
            .map(|one| one.request)
            .collect();
        for request in late {
            self.expired(request, now);
        }
        self.stuck.retain(|_, since| now - *since < stuck);
        for (request, run) in self.running.clone() {
            if now >= run.started + millis(self.config.worker_timeout) {
                self.lost(request, &Loss::Timeout);
            } else if now > run.last_beat.max(self.silence_from) + stuck {
                self.lost(request, &Loss::Silence(now - run.last_beat));
                self.stuck.insert(run.worker, now);
            } else if memory_is_short && let Some(run) = self.running.get_mut(&request) {
                run.drains = true;
            }
        }
    }
}
