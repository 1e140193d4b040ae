//! How fast requests go through the pool, and what follows for whoever waits.

use std::time::Duration;

/// What was measured of requests that ended lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long one keeps a worker, on average; what it waited before is not in it.
    pub mean_run: Duration,
    /// Workers there are.
    pub workers: usize,
}

// === impl Pace ===

impl Pace {
    /// How long the one at this place in line is likely to wait, when every worker is busy and all of them end in their
    /// turn: 1 is who comes next. A mean of what may be, not a promise.
    #[must_use]
    pub fn wait(&self, place: usize) -> Duration {
        let workers = self.workers.max(1) as u128;
        let nanos = self.mean_run.as_nanos().saturating_mul(place as u128) / workers;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        Duration::new(seconds, (nanos % 1_000_000_000) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    #[test]
    fn the_third_in_line_of_two_workers_waits_for_three_ends() {
        let pace = Pace {
            mean_run: Duration::from_secs(8),
            workers: 2,
        };
        assert_eq!(pace.wait(1), Duration::from_secs(4));
        assert_eq!(pace.wait(3), Duration::from_secs(12));
        let nobody = Pace { workers: 0, ..pace };
        assert_eq!(nobody.wait(1), Duration::from_secs(8), "one is about to come");
    }

    proptest! {
        /// Against workers that are served in turn: each request takes as long, and the first ends are spread evenly.
        #[test]
        fn the_wait_is_that_of_a_line_before_evenly_busy_workers(
            run_ms in 1_u64..600_000,
            workers in 1_usize..40,
            place in 1_usize..300,
        ) {
            let pace = Pace { mean_run: Duration::from_millis(run_ms), workers };
            // In parts of a millisecond of which there are as many as workers, so that all is whole.
            let run = run_ms * workers as u64;
            let mut ends: BinaryHeap<Reverse<u64>> = (1..=workers as u64).map(|worker| Reverse(worker * run_ms)).collect();
            let mut begins = 0;
            for _ in 0..place {
                let Reverse(end) = ends.pop().unwrap();
                begins = end;
                ends.push(Reverse(end + run));
            }
            let exact = Duration::from_millis(begins) / u32::try_from(workers).unwrap();
            let told = pace.wait(place);
            prop_assert!(told.abs_diff(exact) < Duration::from_micros(1), "{told:?} for {exact:?}");
        }

        #[test]
        fn no_number_is_too_large(mean_run in any::<u64>(), workers in any::<usize>(), place in any::<usize>()) {
            let pace = Pace { mean_run: Duration::from_secs(mean_run), workers };
            prop_assert!(pace.wait(place) <= pace.wait(place.saturating_add(1)));
        }
    }
}
