//! How much of all traffic may be retries, so that an outage is not answered with a storm.

use openclaw_core::Monotonic;
use parking_lot::Mutex;
use std::time::Duration;

/// Seconds of the window, and how many counts are kept.
const WINDOW_SECONDS: u64 = 60;

/// Counts requests and retries of the last minute. Beyond a floor of retries a minute, retries and fallbacks together
/// are at most a share of the requests.
#[derive(Debug)]
pub struct RetryBudget {
    /// Guards rule and counts; held for one decision.
    window: Mutex<Window>,
}

/// One count for each second; a second counts as within the window until the whole of it has left.
#[derive(Debug)]
struct Window {
    /// Retries a minute that are always allowed.
    floor: u64,
    /// Per cent of the requests beyond that.
    percent: u64,
    /// The second the newest count is of.
    newest: u64,
    counts: [(u64, u64); WINDOW_SECONDS as usize + 1],
    requests: u64,
    retries: u64,
}

// === impl RetryBudget ===

impl RetryBudget {
    /// Allows `floor` retries a minute, and beyond these `percent` of the requests.
    pub fn new(floor: u64, percent: u64) -> Self {
        Self {
            window: Mutex::new(Window {
                floor,
                percent,
                newest: 0,
                counts: [(0, 0); WINDOW_SECONDS as usize + 1],
                requests: 0,
                retries: 0,
            }),
        }
    }

    /// Another rule from now on; what was counted stays.
    pub fn configure(&self, floor: u64, percent: u64) {
        let mut window = self.window.lock();
        window.floor = floor;
        window.percent = percent;
    }

    /// Counts a request: the first call made for it.
    pub fn record_request(&self, now: Monotonic) {
        let mut window = self.window.lock();
        window.advance(now.since_origin());
        window.requests = window.requests.saturating_add(1);
        window.current().0 += 1;
    }

    /// Takes the right to one more call of a request, on the same model or on another. `false` takes nothing.
    #[must_use]
    pub fn try_retry(&self, now: Monotonic) -> bool {
        let mut window = self.window.lock();
        window.advance(now.since_origin());
        let next = window.retries.saturating_add(1);
        let share = window.requests.saturating_mul(window.percent) / 100;
        if next > window.floor.max(share) {
            return false;
        }
        window.retries = next;
        window.current().1 += 1;
        true
    }
}

// === impl Window ===

impl Window {
    fn advance(&mut self, now: Duration) {
        let now = now.as_secs();
        let passed = now.saturating_sub(self.newest).min(self.counts.len() as u64);
        for step in 1..=passed {
            // Only the last of the seconds passed matter when more have passed than are kept.
            let second = now - passed + step;
            let slot = self.slot(second);
            let (requests, retries) = std::mem::take(slot);
            self.requests -= requests;
            self.retries -= retries;
        }
        self.newest = self.newest.max(now);
    }

    fn current(&mut self) -> &mut (u64, u64) {
        self.slot(self.newest)
    }

    fn slot(&mut self, second: u64) -> &mut (u64, u64) {
        let index = (second % self.counts.len() as u64) as usize;
        // In range by the modulo.
        &mut self.counts[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn ten_a_minute_and_then_a_fifth() {
        let budget = RetryBudget::new(10, 20);
        for _ in 0..10 {
            assert!(budget.try_retry(at(1)));
        }
        assert!(!budget.try_retry(at(1)));
        for _ in 0..54 {
            budget.record_request(at(2));
        }
        assert!(!budget.try_retry(at(2)), "a fifth of 54 is 10");
        budget.record_request(at(2));
        assert!(budget.try_retry(at(2)), "a fifth of 55 is 11");
        assert!(!budget.try_retry(at(2)));
    }

    #[test]
    fn a_minute_later_all_is_forgotten() {
        let budget = RetryBudget::new(1, 0);
        assert!(budget.try_retry(at(0)));
        assert!(!budget.try_retry(at(60)));
        assert!(budget.try_retry(at(61)));
        assert!(budget.try_retry(at(1_000_000)));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_retries_than_are_allowed(
            steps in proptest::collection::vec((0_u64..20, any::<bool>()), 1..200)
        ) {
            let budget = RetryBudget::new(3, 20);
            let (mut now, mut requests, mut retries) = (0, Vec::new(), Vec::new());
            for (passed, is_request) in steps {
                now += passed;
                if is_request {
                    budget.record_request(at(now));
                    requests.push(now);
                } else {
                    let within = |times: &[u64]| times.iter().filter(|time| now - **time <= 60).count() as u64;
                    let allowed = within(&retries) < (within(&requests) * 20 / 100).max(3);
                    prop_assert_eq!(budget.try_retry(at(now)), allowed);
                    if allowed {
                        retries.push(now);
                    }
                }
            }
        }
    }
}
