//! The scheduler against the same rules over plain lists, and its fairness whatever comes.

use super::scheduler::{NEVER, at, next, put};
use openclaw_concurrency::{Dequeued, EntryId, Priority, PriorityScheduler, Scheduled, Submission};
use openclaw_core::Monotonic;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    Enqueue {
        tenant: u8,
        priority: usize,
        key: Option<u8>,
        age: u64,
        deadline: Option<u64>,
    },
    /// The same entry, let through where nothing is before it.
    Pass(Box<Op>),
    Dequeue,
    Release(u8),
    Remove(usize),
    RequeueLast,
    Expire,
    Advance(u64),
}

fn enqueue() -> impl Strategy<Value = Op> {
    (
        0_u8..5,
        0_usize..4,
        proptest::option::of(0_u8..4),
        0_u64..2_000,
        proptest::option::of(0_u64..3_000),
    )
        .prop_map(|(tenant, priority, key, age, deadline)| Op::Enqueue {
            tenant,
            priority,
            key,
            age,
            deadline,
        })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => enqueue(),
        3 => enqueue().prop_map(|entry| Op::Pass(Box::new(entry))),
        5 => Just(Op::Dequeue),
        2 => (0_u8..4).prop_map(Op::Release),
        1 => (0_usize..64).prop_map(Op::Remove),
        1 => Just(Op::RequeueLast),
        1 => Just(Op::Expire),
        2 => (0_u64..1_500).prop_map(Op::Advance),
    ]
}

/// The same rules over plain lists: what may be served is found by looking at everything.
#[derive(Default)]
struct Model {
    /// By arrival.
    waiting: Vec<Waiting>,
    running: HashSet<u8>,
    /// Tenants with something to serve, per priority.
    rotation: [VecDeque<u8>; 4],
    by_age: bool,
    starved_served: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    sequence: u64,
    tenant: u8,
    priority: usize,
    key: Option<u8>,
    accepted: u64,
    deadline: Option<u64>,
}

impl Model {
    fn ready(&self) -> Vec<&Waiting> {
        self.waiting
            .iter()
            .filter(|one| {
                one.key.is_none_or(|key| {
                    !self.running.contains(&key)
                        && self
                            .waiting
                            .iter()
                            .filter(|other| other.key == Some(key))
                            .all(|other| other.sequence >= one.sequence)
                })
            })
            .collect()
    }

    /// Drops tenants with nothing to serve and adds new ones at the back.
    fn settle(&mut self) {
        let ready: Vec<(u8, usize)> = self
            .ready()
            .iter()
            .map(|one| (one.tenant, one.priority))
            .collect();
        for (priority, rotation) in self.rotation.iter_mut().enumerate() {
            rotation.retain(|tenant| ready.contains(&(*tenant, priority)));
            for (tenant, own) in &ready {
                if *own == priority && !rotation.contains(tenant) {
                    rotation.push_back(*tenant);
                }
            }
        }
    }

    fn head(&self, tenant: u8, priority: usize) -> Option<Waiting> {
        let ready = self.ready();
        let own = ready
            .iter()
            .filter(|one| one.tenant == tenant && one.priority == priority);
        own.min_by_key(|one| one.sequence).map(|one| (*one).clone())
    }

    fn next_by_turn(&self) -> Option<Waiting> {
        (0..4).find_map(|priority| {
            let tenant = *self.rotation[priority].front()?;
            self.head(tenant, priority)
        })
    }
}

proptest! {
    #[test]
    fn the_scheduler_does_what_the_plain_model_does(ops in proptest::collection::vec(op(), 1..120)) {
        const SIZE: usize = 24;
        let limit = Duration::from_millis(1_024);
        let quantum = 4_u64;
        let mut scheduler: PriorityScheduler<u64> = PriorityScheduler::new(SIZE, limit);
        let mut model = Model::default();
        let mut ids: HashMap<u64, EntryId> = HashMap::new();
        let mut last: Option<(Scheduled<u64>, Waiting)> = None;
        let mut sequence = 0;
        let mut now = 10_000_u64;
        for op in ops {
            let (op, pass) = match op {
                Op::Pass(entry) => (*entry, true),
                op => (op, false),
            };
            match op {
                Op::Enqueue { tenant, priority, key, age, deadline } => {
                    sequence += 1;
                    let one = Waiting {
                        sequence, tenant, priority, key, accepted: now - age, deadline: deadline.map(|more| now + more),
                    };
                    let submission = Submission {
                        request: sequence,
                        tenant: Arc::from(tenant.to_string()),
                        priority: Priority::ALL[priority],
                        exclusive: key.map(|key| Arc::from(key.to_string())),
                        accepted_at: at(one.accepted),
                        deadline: one.deadline.map(at),
                        correlation_id: None,
                    };
                    let full = model.waiting.len() >= SIZE;
                    if pass {
                        let next = model.ready().is_empty()
                            && !full
                            && one.deadline.is_none_or(|deadline| deadline > now)
                            && one.key.is_none_or(|key| !model.running.contains(&key));
                        match scheduler.pass(submission, at(now)) {
                            Err(given_back) => {
                                prop_assert!(!next);
                                prop_assert_eq!(given_back.request, sequence);
                            }
                            Ok(served) => {
                                prop_assert!(next);
                                model.by_age = !model.by_age && (one.accepted / quantum + 1) * quantum + 1_024 <= now;
                                model.starved_served += u64::from(model.by_age);
                                model.running.extend(one.key);
                                last = Some((served, one));
                            }
                        }
                        continue;
                    }
                    match scheduler.enqueue(submission) {
                        Ok(id) => {
                            prop_assert!(!full);
                            ids.insert(sequence, id);
                            model.waiting.push(one);
                        }
                        Err(rejected) => {
                            prop_assert!(full);
                            prop_assert_eq!(rejected.error.limit, SIZE);
                        }
                    }
                }
                Op::Dequeue => {
                    // Starved when even the youngest of its bucket is.
                    let oldest = model.ready().iter().map(|one| one.accepted / quantum).min();
                    let starved = oldest.is_some_and(|bucket| (bucket + 1) * quantum + 1_024 <= now) && !model.by_age;
                    let by_turn = model.next_by_turn();
                    match scheduler.dequeue(at(now)) {
                        None => prop_assert!(by_turn.is_none()),
                        Some(Dequeued::Expired(gone)) => {
                            let index = model.waiting.iter().position(|one| one.sequence == gone.submission.request);
                            let one = model.waiting.remove(index.expect("it waited"));
                            prop_assert!(one.deadline.is_some_and(|deadline| deadline <= now));
                        }
                        Some(Dequeued::Ready(served)) => {
                            let index = model.waiting.iter().position(|one| one.sequence == served.submission.request);
                            let one = model.waiting[index.expect("it waited")].clone();
                            prop_assert!(one.deadline.is_none_or(|deadline| deadline > now));
                            let head = model.head(one.tenant, one.priority).expect("it could be served");
                            prop_assert_eq!(head.sequence, one.sequence, "in its tenant's order");
                            if starved {
                                let of_the_oldest = model.ready().iter().any(|old| {
                                    Some(old.accepted / quantum) == oldest
                                        && (old.tenant, old.priority) == (one.tenant, one.priority)
                                });
                                prop_assert!(of_the_oldest, "the oldest tenant's first");
                            } else {
                                prop_assert_eq!(by_turn.map(|turn| turn.sequence), Some(one.sequence));
                            }
                            model.by_age = starved;
                            model.starved_served += u64::from(starved);
                            model.waiting.retain(|other| other.sequence != one.sequence);
                            if let Some(key) = one.key {
                                prop_assert!(model.running.insert(key), "a key ran twice");
                            }
                            let rotation = &mut model.rotation[one.priority];
                            rotation.retain(|tenant| *tenant != one.tenant);
                            rotation.push_back(one.tenant);
                            last = Some((served, one));
                        }
                    }
                }
                Op::Release(key) => {
                    scheduler.release(&key.to_string());
                    model.running.remove(&key);
                    if last.as_ref().is_some_and(|(_, one)| one.key == Some(key)) {
                        last = None;
                    }
                }
                Op::Remove(index) => {
                    let found = model.waiting.get(index).map(|one| one.sequence);
                    if let Some(found) = found {
                        prop_assert!(scheduler.remove(ids[&found]).is_some());
                        model.waiting.retain(|one| one.sequence != found);
                        prop_assert!(scheduler.remove(ids[&found]).is_none());
                    }
                }
                Op::RequeueLast => {
                    if let Some((served, one)) = last.take() {
                        ids.insert(one.sequence, scheduler.requeue_front(served));
                        if let Some(key) = one.key {
                            model.running.remove(&key);
                        }
                        model.waiting.push(one.clone());
                        let rotation = &mut model.rotation[one.priority];
                        rotation.retain(|tenant| *tenant != one.tenant);
                        rotation.push_front(one.tenant);
                    }
                }
                Op::Expire => {
                    let mut due: Vec<u64> = model
                        .waiting
                        .iter()
                        .filter(|one| one.deadline.is_some_and(|deadline| deadline <= now))
                        .map(|one| one.sequence)
                        .collect();
                    let mut expired: Vec<u64> =
                        scheduler.expire(at(now)).iter().map(|one| one.submission.request).collect();
                    // Several may move up in one call; the plain model cannot say in which order.
                    due.sort_unstable();
                    expired.sort_unstable();
                    prop_assert_eq!(&due, &expired);
                    if due.len() > 1 {
                        return Ok(());
                    }
                    model.waiting.retain(|one| !due.contains(&one.sequence));
                }
                Op::Advance(more) => now += more,
                Op::Pass(_) => unreachable!("taken apart above"),
            }
            model.settle();
            prop_assert_eq!(scheduler.len(), model.waiting.len());
            prop_assert_eq!(scheduler.starved_served(), model.starved_served);
            prop_assert_eq!(scheduler.queued().count(), model.waiting.len());
            prop_assert_eq!(scheduler.queued().any(|queued| queued.ready), scheduler.has_ready());
            prop_assert_eq!(scheduler.has_ready(), model.next_by_turn().is_some());
            for (index, priority) in Priority::ALL.into_iter().enumerate() {
                let count = model.waiting.iter().filter(|one| one.priority == index).count();
                prop_assert_eq!(scheduler.len_of(priority), count);
            }
            let keys: HashSet<u8> = model
                .waiting
                .iter()
                .filter_map(|one| one.key)
                .chain(model.running.iter().copied())
                .collect();
            let lanes: usize = model.rotation.iter().map(VecDeque::len).sum();
            prop_assert_eq!(scheduler.remembered(), keys.len() + lanes, "nothing is left of the idle");
        }
    }

    #[test]
    fn nobody_is_served_twice_while_another_of_the_same_priority_waits(
        arrivals in proptest::collection::vec((0_u8..6, any::<bool>()), 1..200),
    ) {
        let mut scheduler = PriorityScheduler::new(1_000, NEVER);
        let mut waiting: HashMap<u8, usize> = HashMap::new();
        // How often each tenant was served while the other waited.
        let mut passed: HashMap<(u8, u8), usize> = HashMap::new();
        for (tenant, serve) in arrivals {
            put(&mut scheduler, Submission::new(tenant, tenant.to_string(), Monotonic::ZERO));
            *waiting.entry(tenant).or_default() += 1;
            if !serve {
                continue;
            }
            let served = next(&mut scheduler, Monotonic::ZERO).expect("one waits").submission.request;
            for (other, count) in &waiting {
                if *other != served && *count > 0 {
                    let times = passed.entry((served, *other)).or_default();
                    *times += 1;
                    prop_assert!(*times <= 1, "{served} twice before {other}");
                }
            }
            passed.retain(|(_, other), _| *other != served);
            if let Some(count) = waiting.get_mut(&served) {
                *count -= 1;
            }
        }
    }
}

proptest! {
    /// However the entries of several tenants arrive among each other, they leave the same: in rounds, in the order in
    /// which the tenants first came, each tenant's own in its order.
    #[test]
    fn the_rotation_does_not_depend_on_how_work_arrived(arrivals in proptest::collection::vec(0_u8..5, 1..60)) {
        let serve = |arrivals: &[u8]| -> Vec<(u8, usize)> {
            let mut scheduler = PriorityScheduler::new(100, NEVER);
            let mut counts: HashMap<u8, usize> = HashMap::new();
            for tenant in arrivals {
                let count = counts.entry(*tenant).or_default();
                put(&mut scheduler, Submission::new((*tenant, *count), tenant.to_string(), Monotonic::ZERO));
                *count += 1;
            }
            std::iter::from_fn(|| next(&mut scheduler, Monotonic::ZERO).map(|one| one.submission.request)).collect()
        };
        let mut first_seen: Vec<u8> = Vec::new();
        for tenant in &arrivals {
            if !first_seen.contains(tenant) {
                first_seen.push(*tenant);
            }
        }
        let of = |tenant: u8| arrivals.iter().filter(|own| **own == tenant).count();
        let grouped: Vec<u8> = first_seen.iter().flat_map(|tenant| vec![*tenant; of(*tenant)]).collect();
        let rounds: Vec<(u8, usize)> = (0..arrivals.len())
            .flat_map(|round| first_seen.iter().map(move |tenant| (*tenant, round)))
            .filter(|(tenant, round)| *round < of(*tenant))
            .collect();
        prop_assert_eq!(&serve(&arrivals), &rounds);
        prop_assert_eq!(&serve(&grouped), &rounds);
    }
}
