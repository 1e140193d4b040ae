//! The transition table and the book of workers.

use openclaw_concurrency::{
    IllegalTransition, LifecycleError, RecycleReason, WorkerId, WorkerLifecycle, WorkerState,
};
use openclaw_core::Monotonic;
use proptest::prelude::*;
use std::collections::HashMap;

use WorkerState::{Busy, Dead, Draining, Idle, Stuck};

const NOW: Monotonic = Monotonic::ZERO;

#[test]
fn manual_3_1_exactly_these_moves_exist() {
    let legal = [
        (Idle, Busy),
        (Idle, Draining),
        (Idle, Dead),
        (Busy, Idle),
        (Busy, Draining),
        (Busy, Stuck),
        (Busy, Dead),
        (Draining, Stuck),
        (Draining, Dead),
        (Stuck, Dead),
    ];
    for from in WorkerState::ALL {
        for to in WorkerState::ALL {
            let expected = if legal.contains(&(from, to)) {
                Ok(to)
            } else {
                Err(IllegalTransition { from, to })
            };
            assert_eq!(from.transition(to), expected);
        }
    }
}

#[test]
fn an_illegal_move_is_an_error_and_changes_nothing() {
    let mut book = WorkerLifecycle::new();
    let worker = book.spawn(NOW);
    let error = book.transition(worker, Stuck, NOW);
    assert_eq!(
        error,
        Err(LifecycleError::IllegalTransition(IllegalTransition {
            from: Idle,
            to: Stuck
        }))
    );
    assert_eq!(
        (book.state(worker), book.idle(), book.stuck()),
        (Some(Idle), 1, 0)
    );
    let nobody = WorkerId::new(99);
    assert_eq!(
        book.kill(nobody, NOW),
        Err(LifecycleError::UnknownWorker { worker: nobody })
    );
}

#[test]
fn the_first_reason_to_recycle_stays() {
    let mut book = WorkerLifecycle::new();
    let worker = book.spawn(NOW);
    book.recycle(worker, RecycleReason::MemoryLimit, NOW)
        .expect("idle may drain");
    assert!(book.recycle(worker, RecycleReason::Manual, NOW).is_err());
    assert_eq!(book.recycle_reason(worker), Some(RecycleReason::MemoryLimit));
}

proptest! {
    #[test]
    fn the_counts_are_those_of_the_states(moves in proptest::collection::vec((0_u64..8, 0_usize..6), 0..200)) {
        let mut book = WorkerLifecycle::new();
        let mut model: HashMap<WorkerId, WorkerState> = HashMap::new();
        for (worker, to) in moves {
            match WorkerState::ALL.get(to) {
                None => {
                    model.insert(book.spawn(NOW), Idle);
                }
                Some(to) => {
                    let worker = WorkerId::new(worker);
                    let legal = model.get(&worker).is_some_and(|from| from.successors().contains(to));
                    prop_assert_eq!(book.transition(worker, *to, NOW).is_ok(), legal);
                    if legal && *to == Dead {
                        model.remove(&worker);
                    } else if legal {
                        model.insert(worker, *to);
                    }
                }
            }
            let count = |state| model.values().filter(|own| **own == state).count();
            prop_assert_eq!(book.idle(), count(Idle));
            prop_assert_eq!(book.active(), count(Busy) + count(Draining));
            prop_assert_eq!(book.stuck(), count(Stuck));
            prop_assert_eq!(book.ids().count(), model.len());
        }
    }
}
