//! Random lives of a whole pool against a plain model.
//!
//! The model knows the rules of the manual and no queue, lock or effect: lists of what waits and what runs, and what
//! must become of each. After every operation the answers, the workers' hands and the metrics must be the model's.
//! Which of several ready requests is next is the scheduler's, which has a model of its own; here only what no order
//! may break is held to: priorities, keys, a tenant's own order, and no request waiting beside an idle hand.

mod life;
mod model;

use self::life::Life;
use openclaw_concurrency::ConcurrencyConfig;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Submit {
        tenant: u8,
        priority: usize,
        key: Option<u8>,
        /// Seconds from now.
        deadline: Option<u64>,
    },
    Admit,
    DropAdmission,
    SubmitAdmitted,
    Finish(usize),
    Fail(usize),
    Crash(usize),
    OutOfMemory(usize),
    /// An idle worker goes by itself.
    CrashIdle(usize),
    Kill(usize),
    Recycle(usize),
    Cancel(usize),
    DropTicket(usize),
    Detach(usize),
    /// A result of a run that was given up.
    LateResult(usize),
    /// A stuck or killed worker is really gone.
    Gone(usize),
    Pause,
    Resume,
    Memory(bool),
    RefuseToSpawn(bool),
    /// Seconds, and which of the running workers beat meanwhile.
    Pass(u64, u8),
    /// The machine was suspended: time jumps, and nobody could beat or keep house.
    Suspend(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let submit = || {
        let deadline = proptest::option::weighted(0.3, 0_u64..12);
        (0_u8..4, 0_usize..4, proptest::option::of(0_u8..3), deadline).prop_map(
            |(tenant, priority, key, deadline)| Op::Submit {
                tenant,
                priority,
                key,
                deadline,
            },
        )
    };
    prop_oneof![
        24 => submit(),
        2 => Just(Op::Admit),
        1 => Just(Op::DropAdmission),
        2 => Just(Op::SubmitAdmitted),
        14 => (0_usize..8).prop_map(Op::Finish),
        2 => (0_usize..8).prop_map(Op::Fail),
        2 => (0_usize..8).prop_map(Op::Crash),
        1 => (0_usize..8).prop_map(Op::OutOfMemory),
        1 => (0_usize..8).prop_map(Op::CrashIdle),
        2 => (0_usize..8).prop_map(Op::Kill),
        2 => (0_usize..8).prop_map(Op::Recycle),
        2 => (0_usize..16).prop_map(Op::Cancel),
        2 => (0_usize..16).prop_map(Op::DropTicket),
        1 => (0_usize..16).prop_map(Op::Detach),
        2 => (0_usize..8).prop_map(Op::LateResult),
        2 => (0_usize..8).prop_map(Op::Gone),
        1 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => any::<bool>().prop_map(Op::Memory),
        1 => any::<bool>().prop_map(Op::RefuseToSpawn),
        8 => (0_u64..14, any::<u8>()).prop_map(|(seconds, beating)| Op::Pass(seconds, beating)),
        2 => (1_u64..200).prop_map(Op::Suspend),
    ]
}

fn config() -> impl Strategy<Value = ConcurrencyConfig> {
    (1_usize..3, 0_usize..3, 2_usize..10, 1_u64..6, 5_u64..10).prop_map(
        |(min, more, queue, requests, stuck)| ConcurrencyConfig {
            min_workers: min,
            max_workers: min + more,
            max_queue_size: queue,
            max_requests_per_worker: requests,
            worker_timeout: Duration::from_secs(15),
            heartbeat_interval: Duration::from_secs(2),
            stuck_threshold: Duration::from_secs(stuck),
            scale_down_after: Duration::from_secs(20),
            // The age of what waits is the scheduler's own model's.
            starvation_limit: Duration::from_secs(1_000_000),
            ..ConcurrencyConfig::default()
        },
    )
}

proptest! {
    #[test]
    fn a_pool_does_what_the_plain_model_says(
        config in config(),
        ops in proptest::collection::vec(op(), 1..120),
        grace in 0_u64..30,
    ) {
        let mut life = Life::new(config);
        for op in ops {
            life.apply(&op)?;
            life.compare()?;
        }
        life.shut_down(Duration::from_secs(grace))?;
    }
}

/// Found by the property above: the urgent one waits for its key until the one before it is found out, which is after
/// the first start.
#[test]
fn who_is_past_its_deadline_holds_its_key_until_it_is_found_out() {
    let config = ConcurrencyConfig {
        min_workers: 2,
        max_workers: 2,
        ..ConcurrencyConfig::default()
    };
    let submit = |priority, key, deadline| Op::Submit {
        tenant: 0,
        priority,
        key,
        deadline,
    };
    let mut life = Life::new(config);
    for op in [
        Op::Pause,
        submit(1, None, None),
        submit(1, Some(0), Some(0)),
        submit(0, Some(0), None),
        submit(1, None, None),
        Op::Resume,
    ] {
        life.apply(&op)
            .and_then(|()| life.compare())
            .expect("as the model says");
    }
    assert_eq!(life.started(), [1, 3]);
}
