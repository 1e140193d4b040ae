//! Order, turns, keys, age, deadlines, bounds.

use openclaw_concurrency::{Dequeued, EntryId, Priority, PriorityScheduler, Scheduled, Submission};
use openclaw_core::Monotonic;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(1_000_000);
const LIMIT: Duration = Duration::from_secs(30);

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

fn entry(name: &str) -> Submission<String> {
    Submission::new(name.to_owned(), &name[..1], Monotonic::ZERO)
}

fn urgent(name: &str, priority: Priority) -> Submission<String> {
    Submission {
        priority,
        ..entry(name)
    }
}

fn keyed(name: &str, key: &str) -> Submission<String> {
    Submission {
        exclusive: Some(Arc::from(key)),
        ..entry(name)
    }
}

fn put<R>(scheduler: &mut PriorityScheduler<R>, submission: Submission<R>) -> EntryId {
    scheduler.enqueue(submission).expect("there is room")
}

fn next<R>(scheduler: &mut PriorityScheduler<R>, now: Monotonic) -> Option<Scheduled<R>> {
    match scheduler.dequeue(now)? {
        Dequeued::Ready(scheduled) => Some(scheduled),
        Dequeued::Expired(_) => panic!("nothing has expired"),
    }
}

fn all(scheduler: &mut PriorityScheduler<String>) -> String {
    let mut names = Vec::new();
    while let Some(scheduled) = next(scheduler, Monotonic::ZERO) {
        names.push(scheduled.submission.request);
    }
    names.join(" ")
}

#[track_caller]
fn check(arrivals: &str, expected: &str) {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for name in arrivals.split(' ') {
        put(&mut scheduler, entry(name));
    }
    assert_eq!(all(&mut scheduler), expected);
    assert_eq!(scheduler.remembered(), 0);
}

#[test]
fn tenants_take_turns_however_their_work_arrived() {
    check("A1 B1 A2 B2", "A1 B1 A2 B2");
    check("A1 A2 B1 B2", "A1 B1 A2 B2");
    check("A1 A2 A3 A4 B1 C1 B2", "A1 B1 C1 A2 B2 A3 A4");
}

#[test]
fn a_tenant_that_comes_back_queues_behind_those_that_wait() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for name in ["A1", "B1", "C1"] {
        put(&mut scheduler, entry(name));
    }
    assert_eq!(
        next(&mut scheduler, at(0))
            .map(|one| one.submission.request)
            .as_deref(),
        Some("A1")
    );
    put(&mut scheduler, entry("A2"));
    assert_eq!(all(&mut scheduler), "B1 C1 A2");
}

#[test]
fn the_more_urgent_goes_first() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    let arrivals = [
        ("L1", Priority::Low),
        ("N1", Priority::Normal),
        ("C1", Priority::Critical),
        ("H1", Priority::High),
        ("C2", Priority::Critical),
    ];
    for (name, priority) in arrivals {
        put(&mut scheduler, urgent(name, priority));
    }
    assert_eq!(
        Priority::ALL.map(|priority| scheduler.len_of(priority)),
        [2, 1, 1, 1]
    );
    assert_eq!(all(&mut scheduler), "C1 C2 H1 N1 L1");
}

#[test]
fn a_full_queue_refuses_with_its_size_and_limit_and_gives_the_entry_back() {
    let mut scheduler = PriorityScheduler::new(2, NEVER);
    put(&mut scheduler, urgent("A1", Priority::Low));
    put(&mut scheduler, urgent("B1", Priority::High));
    let rejected = scheduler.enqueue(entry("C1")).expect_err("it is full");
    assert_eq!((rejected.error.size, rejected.error.limit), (2, 2));
    assert_eq!(format!("{rejected:?}"), "QueueFullError { size: 2, limit: 2 }");
    assert_eq!(rejected.submission.request, "C1");
    next(&mut scheduler, at(0)).expect("one leaves");
    put(&mut scheduler, rejected.submission);
}

#[test]
fn entries_of_a_running_key_are_out_of_the_rotation_and_keep_their_order() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for name in ["A1", "A2", "A3"] {
        put(&mut scheduler, keyed(name, "session"));
    }
    put(&mut scheduler, entry("B1"));
    assert_eq!(all(&mut scheduler), "A1 B1");
    assert!(!scheduler.has_ready());
    assert_eq!(scheduler.len(), 2);
    scheduler.release("session");
    assert_eq!(all(&mut scheduler), "A2");
    scheduler.release("session");
    scheduler.release("session");
    assert_eq!(all(&mut scheduler), "A3");
    scheduler.release("session");
    assert_eq!(scheduler.remembered(), 0);
}

#[test]
fn a_key_keeps_its_order_across_priorities() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    put(
        &mut scheduler,
        Submission {
            priority: Priority::Low,
            ..keyed("A1", "s")
        },
    );
    put(
        &mut scheduler,
        Submission {
            priority: Priority::Critical,
            ..keyed("A2", "s")
        },
    );
    assert_eq!(all(&mut scheduler), "A1");
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A2");
}

#[test]
fn an_entry_that_waited_for_its_key_comes_back_among_its_tenants_older_ones() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for submission in [keyed("A1", "s"), keyed("A2", "s"), entry("A3"), keyed("A4", "t")] {
        put(&mut scheduler, submission);
    }
    assert_eq!(
        next(&mut scheduler, at(0))
            .map(|one| one.submission.request)
            .as_deref(),
        Some("A1")
    );
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A2 A3 A4");
}

#[test]
fn an_entry_whose_key_becomes_free_goes_between_its_tenants_older_and_younger_ones() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    put(&mut scheduler, keyed("K1", "s"));
    assert!(next(&mut scheduler, at(0)).is_some(), "K1 runs");
    put(&mut scheduler, entry("A1"));
    let other = put(&mut scheduler, entry("B1"));
    for submission in [entry("A2"), keyed("A3", "s"), entry("A4")] {
        put(&mut scheduler, submission);
    }
    // Neighbours in the line are not neighbours in memory: the youngest has the place of one that left.
    assert!(scheduler.remove(other).is_some());
    put(&mut scheduler, entry("A5"));
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A1 A2 A3 A4 A5");
}

#[test]
fn an_entry_whose_key_becomes_free_when_the_youngest_of_its_tenant_has_gone_is_the_last() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    put(&mut scheduler, keyed("K1", "s"));
    assert!(next(&mut scheduler, at(0)).is_some(), "K1 runs");
    put(&mut scheduler, entry("A1"));
    put(&mut scheduler, keyed("A2", "s"));
    let youngest = put(&mut scheduler, entry("A3"));
    assert!(scheduler.remove(youngest).is_some());
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A1 A2");
}

#[test]
fn removing_the_first_of_a_key_lets_the_next_move_up() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    let first = put(&mut scheduler, keyed("A1", "s"));
    put(&mut scheduler, keyed("A2", "s"));
    assert_eq!(
        scheduler
            .remove(first)
            .map(|one| one.submission.request)
            .as_deref(),
        Some("A1")
    );
    assert!(scheduler.remove(first).is_none(), "it is gone");
    assert_eq!(all(&mut scheduler), "A2");
}

#[test]
fn a_stale_name_does_not_reach_whoever_has_the_place_now() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    let gone = [put(&mut scheduler, entry("A1")), put(&mut scheduler, entry("A2"))];
    assert_eq!(all(&mut scheduler), "A1 A2");
    let here = [put(&mut scheduler, entry("B1")), put(&mut scheduler, entry("B2"))];
    for id in gone {
        assert!(scheduler.remove(id).is_none());
    }
    assert_eq!(scheduler.len(), 2);
    for id in here {
        assert!(scheduler.remove(id).is_some());
    }
}

#[test]
fn a_queue_says_how_full_it_is_and_how_old() {
    let mut scheduler = PriorityScheduler::new(7, LIMIT);
    assert_eq!((scheduler.limit(), scheduler.is_empty()), (7, true));
    assert_eq!(scheduler.oldest_ready(), None);
    for (name, accepted) in [("A1", 5_000), ("B1", 3_000)] {
        let submission = Submission {
            accepted_at: at(accepted),
            ..entry(name)
        };
        put(&mut scheduler, submission);
    }
    assert!(!scheduler.is_empty());
    assert_eq!(scheduler.oldest_ready(), Some(at(3_000)));
    assert_eq!(
        format!("{scheduler:?}"),
        "PriorityScheduler { waiting: [0, 0, 2, 0], limit: 7, .. }"
    );
}

#[test]
fn an_entry_put_back_is_next_again() {
    let mut scheduler = PriorityScheduler::new(3, NEVER);
    for submission in [keyed("A1", "s"), keyed("A2", "s"), entry("B1")] {
        put(&mut scheduler, submission);
    }
    let taken = next(&mut scheduler, at(0)).expect("A1");
    put(&mut scheduler, entry("C1"));
    scheduler.requeue_front(taken);
    assert_eq!(scheduler.len(), 4, "it had a place");
    assert_eq!(all(&mut scheduler), "A1 B1 C1");
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A2");
}

#[test]
fn the_starved_are_served_oldest_first_at_most_every_second_time() {
    let mut scheduler = PriorityScheduler::new(100, LIMIT);
    for (name, priority, accepted) in [
        ("L2", Priority::Low, 1_000),
        ("M1", Priority::Low, 0),
        ("C1", Priority::Critical, 29_000),
        ("D1", Priority::Critical, 29_000),
        ("E1", Priority::Critical, 29_000),
    ] {
        put(
            &mut scheduler,
            Submission {
                accepted_at: at(accepted),
                ..urgent(name, priority)
            },
        );
    }
    let mut served = |now| {
        next(&mut scheduler, now)
            .map(|one| one.submission.request)
            .expect("one")
    };
    // Nobody has waited for longer than the limit yet.
    assert_eq!(served(at(30_000)), "C1");
    assert_eq!(served(at(31_200)), "M1");
    assert_eq!(served(at(31_200)), "D1", "not twice in a row");
    assert_eq!(served(at(31_200)), "L2");
    assert_eq!(served(at(31_200)), "E1");
    assert_eq!(scheduler.starved_served(), 2);
}

#[test]
fn an_entry_past_its_deadline_is_never_served() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    put(
        &mut scheduler,
        Submission {
            deadline: Some(at(100)),
            ..keyed("A1", "s")
        },
    );
    put(
        &mut scheduler,
        Submission {
            deadline: Some(at(101)),
            ..keyed("A2", "s")
        },
    );
    assert_eq!(scheduler.next_deadline(), Some(at(100)));
    assert!(scheduler.expire(at(99)).is_empty());
    match scheduler.dequeue(at(100)) {
        Some(Dequeued::Expired(expired)) => assert_eq!(expired.submission.request, "A1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        next(&mut scheduler, at(100))
            .map(|one| one.submission.request)
            .as_deref(),
        Some("A2")
    );
    assert_eq!(scheduler.next_deadline(), None);
}

#[test]
fn expiry_takes_out_what_is_due_and_nothing_else() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for (name, deadline) in [("A1", 300), ("B1", 100), ("A2", 200)] {
        put(
            &mut scheduler,
            Submission {
                deadline: Some(at(deadline)),
                ..keyed(name, "s")
            },
        );
    }
    let due: Vec<String> = scheduler
        .expire(at(200))
        .into_iter()
        .map(|one| one.submission.request)
        .collect();
    assert_eq!(due, ["B1", "A2"]);
    assert_eq!(scheduler.len(), 1);
    assert_eq!(all(&mut scheduler), "A1");
}

#[test]
fn drain_gives_everything_in_the_order_of_service() {
    let mut scheduler = PriorityScheduler::new(100, NEVER);
    for submission in [
        keyed("A1", "s"),
        keyed("A2", "s"),
        entry("B1"),
        urgent("C1", Priority::High),
    ] {
        put(&mut scheduler, submission);
    }
    next(&mut scheduler, at(0)).expect("C1");
    next(&mut scheduler, at(0)).expect("A1 runs");
    let rest: Vec<String> = scheduler
        .drain(at(0))
        .into_iter()
        .map(|one| one.request)
        .collect();
    assert_eq!(rest, ["B1", "A2"]);
    assert_eq!((scheduler.len(), scheduler.remembered()), (0, 0));
}

#[derive(Clone, Debug)]
enum Op {
    Enqueue {
        tenant: u8,
        priority: usize,
        key: Option<u8>,
        age: u64,
        deadline: Option<u64>,
    },
    Dequeue,
    Release(u8),
    Remove(usize),
    RequeueLast,
    Expire,
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u8..5, 0_usize..4, proptest::option::of(0_u8..4), 0_u64..2_000, proptest::option::of(0_u64..3_000))
            .prop_map(|(tenant, priority, key, age, deadline)| Op::Enqueue { tenant, priority, key, age, deadline }),
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
            }
            model.settle();
            prop_assert_eq!(scheduler.len(), model.waiting.len());
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
