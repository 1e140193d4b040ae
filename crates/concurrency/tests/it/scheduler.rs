//! Order, turns, keys, age, deadlines, bounds.

use openclaw_concurrency::{Dequeued, EntryId, Priority, PriorityScheduler, Scheduled, Submission};
use openclaw_core::Monotonic;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const NEVER: Duration = Duration::from_secs(1_000_000);
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn at(millis: u64) -> Monotonic {
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

pub(crate) fn put<R>(scheduler: &mut PriorityScheduler<R>, submission: Submission<R>) -> EntryId {
    scheduler.enqueue(submission).expect("there is room")
}

pub(crate) fn next<R>(scheduler: &mut PriorityScheduler<R>, now: Monotonic) -> Option<Scheduled<R>> {
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

#[test]
fn what_would_be_next_is_let_through_and_anything_else_is_given_back() {
    let mut scheduler = PriorityScheduler::new(2, LIMIT);
    let let_through = scheduler
        .pass(keyed("A1", "s"), at(0))
        .expect("nothing is before it");
    assert_eq!(let_through.submission.request, "A1");
    assert!(scheduler.remove(let_through.id).is_none(), "it does not wait");
    let mut late = entry("A2");
    late.deadline = Some(at(5));
    let late = scheduler.pass(late, at(5)).expect_err("its time is over");
    assert_eq!(late.request, "A2");
    let second = scheduler.pass(keyed("A3", "s"), at(0)).expect_err("its key runs");
    put(&mut scheduler, second);
    scheduler
        .pass(entry("A4"), at(0))
        .expect("who waits for a key is not before it");
    put(&mut scheduler, entry("B1"));
    let urgent = scheduler.pass(urgent("B2", Priority::Critical), at(0));
    assert_eq!(urgent.expect_err("another is before it").request, "B2");
    assert_eq!(all(&mut scheduler), "B1");
    put(&mut scheduler, keyed("A5", "s"));
    let full = scheduler.pass(entry("B3"), at(0)).expect_err("the queue is full");
    assert_eq!(full.request, "B3");
    scheduler.release("s");
    assert_eq!(all(&mut scheduler), "A3");
}

#[test]
fn what_is_let_through_takes_the_turn_of_the_starved_when_it_is_one() {
    let mut scheduler = PriorityScheduler::new(10, LIMIT);
    let now = Monotonic::ZERO + LIMIT * 2;
    for served in [1, 1, 2] {
        scheduler.pass(entry("A"), now).expect("nothing is before it");
        assert_eq!(scheduler.starved_served(), served, "every second time at most");
    }
}

#[test]
fn the_name_of_what_was_served_never_names_what_was_let_through_and_came_back() {
    let mut scheduler = PriorityScheduler::new(10, NEVER);
    let gone = put(&mut scheduler, entry("A1"));
    assert!(next(&mut scheduler, at(0)).is_some());
    let passed = scheduler.pass(entry("A2"), at(0)).expect("nothing is before it");
    let back = scheduler.requeue_front(passed);
    assert_ne!(gone, back);
    assert_eq!(scheduler.remove(gone), None, "a stale name");
    assert!(scheduler.remove(back).is_some());
}

#[test]
fn what_comes_back_after_its_key_was_released_has_the_key_before_the_one_that_moved_up() {
    let mut scheduler = PriorityScheduler::new(10, NEVER);
    for name in ["A1", "A2"] {
        put(&mut scheduler, keyed(name, "s"));
    }
    let first = next(&mut scheduler, at(0)).expect("the key is free");
    scheduler.release("s");
    scheduler.requeue_front(first);
    assert_eq!(
        next(&mut scheduler, at(0)).map(|entry| entry.submission.request),
        Some("A1".into())
    );
    assert_eq!(next(&mut scheduler, at(0)), None, "its key runs");
    scheduler.release("s");
    assert!(next(&mut scheduler, at(0)).is_some());
}

#[test]
fn what_comes_back_brings_its_tenant_before_the_others() {
    let mut scheduler = PriorityScheduler::new(10, NEVER);
    for name in ["A1", "A2", "B1"] {
        put(&mut scheduler, entry(name));
    }
    let first = next(&mut scheduler, at(0)).expect("three wait");
    scheduler.requeue_front(first);
    assert_eq!(all(&mut scheduler), "A1 B1 A2");
}
