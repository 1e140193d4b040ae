//! Random lives of a pool against a plain model: what was submitted, what runs, what must hold at every moment.

use crate::support::Stage;
use futures::FutureExt;
use openclaw_concurrency::{ConcurrencyConfig, RequestError, Submission, Ticket, WorkerExit, WorkerState};
use openclaw_core::Clock;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        tenant: u8,
        key: Option<u8>,
        deadline: Option<u64>,
    },
    Admit,
    DropAdmission,
    Finish(usize),
    Crash(usize),
    Kill(usize),
    Recycle(usize),
    Cancel(usize),
    Abandon(usize),
    Pause,
    Resume,
    /// Seconds, and whether workers beat meanwhile.
    Pass(u64, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0_u8..4, proptest::option::of(0_u8..3), proptest::option::of(0_u64..20))
            .prop_map(|(tenant, key, deadline)| Op::Submit { tenant, key, deadline }),
        1 => Just(Op::Admit),
        1 => Just(Op::DropAdmission),
        8 => (0_usize..8).prop_map(Op::Finish),
        1 => (0_usize..8).prop_map(Op::Crash),
        1 => (0_usize..8).prop_map(Op::Kill),
        1 => (0_usize..8).prop_map(Op::Recycle),
        1 => (0_usize..16).prop_map(Op::Cancel),
        1 => (0_usize..16).prop_map(Op::Abandon),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        2 => (0_u64..70, any::<bool>()).prop_map(|(seconds, beating)| Op::Pass(seconds, beating)),
    ]
}

fn pick<T: Clone>(from: &[T], index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[index % from.len()].clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_pool_keeps_its_promises_whatever_happens(
        ops in proptest::collection::vec(op(), 1..80), min in 1_usize..3, more in 0_usize..3,
    ) {
        let config = ConcurrencyConfig {
            min_workers: min,
            max_workers: min + more,
            max_queue_size: 8,
            max_requests_per_worker: 5,
            ..ConcurrencyConfig::default()
        };
        let stage = Stage::new(config.clone());
        let mut tickets: BTreeMap<u32, Ticket<u32>> = BTreeMap::new();
        let mut keys: HashMap<u32, (u8, Option<u8>)> = HashMap::new();
        let mut admissions = Vec::new();
        let mut submitted: u64 = 0;
        let mut abandoned: BTreeSet<u32> = BTreeSet::new();
        let mut answered: BTreeMap<u32, Result<u32, RequestError>> = BTreeMap::new();
        for op in ops {
            let running: Vec<u32> = stage.runtime.running().into_iter().map(|(_, request)| request).collect();
            match op {
                Op::Submit { tenant, key, deadline } => {
                    let request = u32::try_from(keys.len()).expect("few") + 1;
                    let before = stage.pool.metrics();
                    let submission = Submission {
                        tenant: Arc::from(tenant.to_string()),
                        exclusive: key.map(|key| Arc::from(key.to_string())),
                        deadline: deadline.map(|seconds| stage.clock.monotonic() + Duration::from_secs(seconds)),
                        ..stage.request(request)
                    };
                    match stage.pool.submit(submission) {
                        Ok(ticket) => {
                            submitted += 1;
                            tickets.insert(request, ticket);
                            keys.insert(request, (tenant, key));
                            prop_assert!(before.backpressure_level < 0.7 && before.queue_depth < 8);
                        }
                        Err(refused) => {
                            prop_assert_eq!(refused.submission.request, request);
                            prop_assert!(before.backpressure_level >= 0.7 - 1e-9 || before.queue_depth >= 8);
                        }
                    }
                }
                Op::Admit => admissions.extend(stage.pool.admit().ok()),
                Op::DropAdmission => drop(admissions.pop()),
                Op::Finish(index) => {
                    if let Some(request) = pick(&running, index) {
                        stage.runtime.finish(request);
                    }
                }
                Op::Crash(index) => {
                    if let Some(request) = pick(&running, index) {
                        let reason = String::new();
                        stage.runtime.exit(stage.runtime.worker_of(request), WorkerExit::Crashed { reason });
                    }
                }
                Op::Kill(index) => {
                    if let Some(worker) = pick(&stage.pool.workers(), index) {
                        prop_assert!(stage.pool.kill(worker.id).is_ok());
                    }
                }
                Op::Recycle(index) => {
                    if let Some(worker) = pick(&stage.pool.workers(), index) {
                        let can = matches!(worker.state, WorkerState::Idle | WorkerState::Busy);
                        prop_assert_eq!(stage.pool.recycle(worker.id).is_ok(), can);
                    }
                }
                Op::Cancel(index) => {
                    let open: Vec<u32> = tickets.keys().copied().collect();
                    if let Some(ticket) = pick(&open, index).and_then(|request| tickets.get(&request)) {
                        ticket.canceller().cancel();
                    }
                }
                Op::Abandon(index) => {
                    let open: Vec<u32> = tickets.keys().copied().collect();
                    if let Some(request) = pick(&open, index) {
                        tickets.remove(&request);
                        abandoned.insert(request);
                    }
                }
                Op::Pause => stage.pool.pause(),
                Op::Resume => stage.pool.resume(),
                Op::Pass(seconds, true) => stage.pass_beating(Duration::from_secs(seconds)),
                Op::Pass(seconds, false) => stage.pass(Duration::from_secs(seconds)),
            }
            let ended: Vec<u32> = tickets.keys().copied().collect();
            for request in ended {
                if let Some(answer) = tickets.get_mut(&request).and_then(|ticket| ticket.now_or_never()) {
                    if let Ok(value) = answer {
                        prop_assert_eq!(value, request * 10, "somebody else's answer");
                    }
                    tickets.remove(&request);
                    prop_assert!(answered.insert(request, answer).is_none());
                }
            }

            let metrics = stage.pool.metrics();
            let now_running = stage.runtime.running();
            prop_assert_eq!(metrics.active_workers, now_running.len(), "busy is what runs");
            let size = metrics.active_workers + metrics.idle_workers;
            prop_assert!((config.min_workers..=config.max_workers).contains(&size), "{size} workers");
            prop_assert!(metrics.queue_depth <= config.max_queue_size);
            let running_keys: Vec<u8> = now_running.iter().filter_map(|(_, request)| keys[request].1).collect();
            let distinct: BTreeSet<&u8> = running_keys.iter().collect();
            prop_assert_eq!(distinct.len(), running_keys.len(), "a key runs twice");
            // Nothing waits that could run while a worker could take it.
            let open_keys: BTreeSet<u8> = running_keys.iter().copied().collect();
            let runs: BTreeSet<u32> = now_running.iter().map(|(_, request)| *request).collect();
            let idle_hands = metrics.idle_workers > 0 || size < config.max_workers;
            if !stage.pool.is_paused() && idle_hands {
                for request in tickets.keys().filter(|request| !runs.contains(request)) {
                    prop_assert!(keys[request].1.is_some_and(|key| open_keys.contains(&key)), "{request} waits idly");
                }
            }
            let totals = stage.pool.totals();
            let open = (metrics.queue_depth - admissions.len() + metrics.active_workers) as u64;
            prop_assert_eq!(submitted, metrics.total_processed + totals.cancelled + open, "everything is accounted for");
            prop_assert!(metrics.total_errors <= metrics.total_processed);
        }

        // Per tenant and key the order of arrival is the order of service.
        let mut last: HashMap<(u8, Option<u8>), u32> = HashMap::new();
        for request in stage.runtime.started() {
            let before = last.insert(keys[&request], request).unwrap_or(0);
            prop_assert!(before < request, "{before} before {request}");
        }
        // Whoever still waits is answered at the end, and nobody twice.
        let report = stage.pool.shutdown(Duration::ZERO).now_or_never().expect("no grace, no wait");
        let left = report.returned.len() + report.interrupted;
        prop_assert!(left >= tickets.len(), "{left} for {}", tickets.len());
        for (request, ticket) in tickets {
            prop_assert_eq!(ticket.now_or_never(), Some(Err(RequestError::ShuttingDown)), "{}", request);
        }
        prop_assert!(answered.keys().all(|request| !abandoned.contains(request)));
        prop_assert!(stage.runtime.running().is_empty() && stage.pool.workers().is_empty());
    }
}
