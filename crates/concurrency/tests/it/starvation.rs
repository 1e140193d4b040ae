//! The bound on starvation that `PriorityScheduler` promises, as a property and at its edge.

use openclaw_concurrency::{Dequeued, Priority, PriorityScheduler, Submission};
use openclaw_core::Monotonic;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const LIMIT_MILLIS: u64 = 1_024;
/// Ages are compared to a 256th of the limit.
const PRECISION_MILLIS: u64 = LIMIT_MILLIS / 256;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

fn scheduler() -> PriorityScheduler<u64> {
    PriorityScheduler::new(10_000, Duration::from_millis(LIMIT_MILLIS))
}

/// An entry as the definition of the bound sees it. Its number is its place in the order of arrival.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    tenant: u8,
    priority: usize,
    key: Option<u8>,
    accepted: u64,
}

impl Entry {
    fn submission(self) -> Submission<u64> {
        Submission {
            priority: Priority::ALL[self.priority],
            exclusive: self.key.map(|key| Arc::from(key.to_string())),
            ..Submission::new(self.number, self.tenant.to_string(), at(self.accepted))
        }
    }

    fn age(self) -> u64 {
        self.accepted / PRECISION_MILLIS
    }

    /// Whether it is served before `other` because both are one tenant's of one priority.
    fn is_ahead_of(self, other: Self) -> bool {
        (self.tenant, self.priority) == (other.tenant, other.priority) && self.number < other.number
    }
}

fn entry() -> impl Strategy<Value = (u8, usize, Option<u8>, u64)> {
    (0_u8..4, 0_usize..4, proptest::option::of(0_u8..3), 0_u64..3_000)
}

proptest! {
    #[test]
    fn a_starved_entry_is_served_within_its_bound_whatever_comes(
        entries in proptest::collection::vec(entry(), 1..24),
        now in 1_000_u64..5_000,
        warm_up in any::<bool>(),
        releases in any::<bool>(),
    ) {
        let mut scheduler = scheduler();
        let mut waiting: Vec<Entry> = Vec::new();
        for (number, (tenant, priority, key, accepted)) in (0..).zip(entries) {
            let entry = Entry { number, tenant, priority, key, accepted };
            scheduler.enqueue(entry.submission()).expect("there is room");
            waiting.push(entry);
        }
        let serve = |scheduler: &mut PriorityScheduler<u64>, waiting: &mut Vec<Entry>| {
            let Some(Dequeued::Ready(served)) = scheduler.dequeue(at(now)) else {
                panic!("something waits and nothing has a deadline");
            };
            if releases && let Some(key) = &served.submission.exclusive {
                scheduler.release(key);
            }
            waiting.retain(|entry| entry.number != served.submission.request);
            served.submission.request
        };
        let mut running = HashSet::new();
        if warm_up {
            let before = waiting.clone();
            let served = serve(&mut scheduler, &mut waiting);
            let key = before.iter().find(|entry| entry.number == served).and_then(|entry| entry.key);
            running.extend(key.filter(|_| !releases));
        }
        let ready: Vec<Entry> = waiting
            .iter()
            .copied()
            .filter(|one| {
                let first = |key| waiting.iter().find(|other| other.key == Some(key)).map(|first| first.number);
                one.key.is_none_or(|key| !running.contains(&key) && first(key) == Some(one.number))
            })
            .collect();
        // Those that become ready while it waits count with those that are.
        let rivals = if releases { &waiting } else { &ready };
        let bounds: HashMap<u64, usize> = ready
            .iter()
            .filter(|one| one.accepted + LIMIT_MILLIS + PRECISION_MILLIS <= now)
            .map(|one| {
                let older: Vec<Entry> = rivals.iter().copied().filter(|rival| rival.age() <= one.age()).collect();
                let k = rivals
                    .iter()
                    .filter(|rival| rival.number != one.number)
                    .filter(|rival| {
                        rival.age() <= one.age() || older.iter().chain([one]).any(|old| rival.is_ahead_of(*old))
                    })
                    .count();
                (one.number, 2 * (k + 1))
            })
            .collect();
        let longest = bounds.values().copied().max().unwrap_or(0);
        let mut served = HashMap::new();
        for turn in 1..=longest {
            // Urgent work without end, a new tenant's each time.
            let number = 1_000 + turn as u64;
            let urgent = Entry { number, tenant: 100, priority: 0, key: None, accepted: now };
            scheduler.enqueue(urgent.submission()).expect("there is room");
            served.insert(serve(&mut scheduler, &mut waiting), turn);
        }
        for (number, bound) in bounds {
            let turn = served.get(&number);
            prop_assert!(turn.is_some_and(|turn| *turn <= bound), "{number}: {turn:?}, bound {bound}");
        }
    }
}

#[test]
fn the_bound_is_reached_and_urgent_work_has_every_second_turn() {
    let mut scheduler = scheduler();
    let entry = |number, tenant, priority, accepted| Entry {
        number,
        tenant,
        priority,
        key: None,
        accepted,
    };
    let k = 5;
    for number in 0..=k {
        scheduler
            .enqueue(entry(number, 1, 3, number * PRECISION_MILLIS).submission())
            .expect("there is room");
    }
    // One more, so that the turn before was given by age and the worst case begins.
    scheduler
        .enqueue(entry(99, 2, 3, 0).submission())
        .expect("there is room");
    for number in 100..120 {
        scheduler
            .enqueue(entry(number, 3, 0, 9_000).submission())
            .expect("there is room");
    }
    let mut order = Vec::new();
    for _ in 0..2 * (k + 1) + 1 {
        let Some(Dequeued::Ready(served)) = scheduler.dequeue(at(10_000)) else {
            panic!("much waits");
        };
        order.push(served.submission.request);
    }
    // 0 came first and is as old as 99, so that one of them takes the first turn; then urgent and starved alternate.
    assert_eq!(order, [0, 100, 99, 101, 1, 102, 2, 103, 3, 104, 4, 105, 5]);
    assert_eq!(scheduler.starved_served(), k + 2);
}

#[test]
fn nobody_is_starved_before_the_limit_and_everybody_one_step_of_precision_after_it() {
    for (waited, starved) in [
        (LIMIT_MILLIS, 0),
        (LIMIT_MILLIS + PRECISION_MILLIS - 1, 0),
        (LIMIT_MILLIS + PRECISION_MILLIS, 1),
    ] {
        let mut scheduler = scheduler();
        let old = Entry {
            number: 1,
            tenant: 1,
            priority: 3,
            key: None,
            accepted: 4 * PRECISION_MILLIS,
        };
        let urgent = Entry {
            number: 2,
            tenant: 2,
            priority: 0,
            ..old
        };
        scheduler.enqueue(old.submission()).expect("there is room");
        let now = old.accepted + waited;
        let urgent = Entry {
            accepted: now,
            ..urgent
        };
        scheduler.enqueue(urgent.submission()).expect("there is room");
        scheduler.dequeue(at(now)).expect("two wait");
        assert_eq!(scheduler.starved_served(), starved, "after {waited} ms");
    }
}
