//! How much a child writes, against how much it may.

use openclaw_core::Monotonic;

/// A bucket of bytes that holds two seconds' worth.
#[derive(Debug)]
pub(crate) struct Meter {
    per_second: u64,
    left: u64,
    filled_at: Monotonic,
}

impl Meter {
    pub(crate) fn new(per_second: u64, now: Monotonic) -> Self {
        Self {
            per_second,
            left: per_second.saturating_mul(2),
            filled_at: now,
        }
    }

    /// Takes `bytes`; `false` when there are not as many left.
    pub(crate) fn take(&mut self, bytes: u64, now: Monotonic) -> bool {
        let elapsed = now.saturating_since(self.filled_at).as_micros();
        let gained = u128::from(self.per_second).saturating_mul(elapsed) / 1_000_000;
        if gained > 0 {
            let most = self.per_second.saturating_mul(2);
            let gained = u64::try_from(gained).unwrap_or(u64::MAX);
            self.left = self.left.saturating_add(gained).min(most);
            self.filled_at = now;
        }
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn two_seconds_worth_may_come_at_once_and_not_a_byte_more() {
        let mut meter = Meter::new(100, Monotonic::ZERO);
        assert!(meter.take(200, Monotonic::ZERO));
        assert!(!meter.take(1, Monotonic::ZERO));
        assert!(meter.take(50, Monotonic::ZERO + Duration::from_millis(500)));
    }

    proptest! {
        #[test]
        fn no_span_lets_more_through_than_its_rate_and_the_burst(
            steps in proptest::collection::vec((0_u64..2_000, 0_u64..400), 1..60)
        ) {
            let mut meter = Meter::new(100, Monotonic::ZERO);
            let (mut now, mut taken) = (Monotonic::ZERO, 0);
            for (pause_ms, bytes) in steps {
                now = now + Duration::from_millis(pause_ms);
                if meter.take(bytes, now) {
                    taken += bytes;
                }
                let allowed = 200.0 + now.since_origin().as_secs_f64() * 100.0;
                prop_assert!(taken as f64 <= allowed, "{taken} of {allowed}");
            }
        }
    }
}
