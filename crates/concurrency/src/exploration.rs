//! The session mutex and the pool's hand-over under a concurrency checker.
//!
//! Each scenario is run many times; at every lock and every point named in [`crate::sync`] the checker decides which
//! thread goes on, at random and by the PCT algorithm, which finds any bug that needs few switches with a known
//! probability. A wake-up that is lost shows as a deadlock, which the checker reports.

mod mutex;
mod pool;

use crate::sync::Mutex;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use std::sync::Arc;

const ITERATIONS: usize = 500;
/// How many forced switches PCT looks for.
const DEPTH: usize = 3;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let config = || {
        let mut config = Config::new();
        config.stack_size = 512 * 1024;
        config.silence_warnings = true;
        config
    };
    let own = Arc::clone(&scenario);
    Runner::new(RandomScheduler::new(ITERATIONS), config()).run(move || own());
    Runner::new(PctScheduler::new(DEPTH, ITERATIONS), config()).run(move || scenario());
}

/// The exploration itself is put to the test: a check and a take that are not one step.
#[test]
#[should_panic(expected = "two took the last place")]
fn a_check_and_a_take_in_two_steps_are_found_out() {
    explore(|| {
        let free = Arc::new(Mutex::new(1_i32));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let free = Arc::clone(&free);
                shuttle::thread::spawn(move || {
                    let any = *free.lock() > 0;
                    if any {
                        let mut free = free.lock();
                        *free -= 1;
                        assert!(*free >= 0, "two took the last place");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

/// The same for a wake-up: who looks first and registers afterwards sleeps through it.
#[test]
#[should_panic(expected = "deadlock")]
fn a_look_before_the_registration_is_found_out() {
    explore(|| {
        let ready = Arc::new(Mutex::new(false));
        let told = Arc::new(tokio::sync::Notify::new());
        let (tells, notify) = (Arc::clone(&ready), Arc::clone(&told));
        let teller = shuttle::thread::spawn(move || {
            *tells.lock() = true;
            notify.notify_waiters();
        });
        shuttle::future::block_on(async {
            let looked = *ready.lock();
            if !looked {
                told.notified().await;
            }
        });
        teller.join().expect("no panic");
    });
}
