//! One token bucket: a plain value that is told the time.
//!
//! The bucket does not count tokens. It keeps the one moment at which it would be full again if nothing more were
//! taken; everything else follows from it exactly, without rounding and without a timer.

use crate::error::RateLimitError;
use crate::limits::RateLimit;
use openclaw_core::Monotonic;
use std::time::Duration;

/// A token bucket. Starts full. Looking and taking is one call.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    limit: RateLimit,
    level: Level,
}

/// What a bucket remembers beside its limit: two numbers. Many buckets of one limit keep only this each. New, it is
/// full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    /// When the bucket is full again, in nanoseconds of the clock. In the past for a full one.
    full_at: u64,
    /// The platform's penalty: no token before this moment, and one at it.
    barred_until: u64,
}

// === impl TokenBucket ===

impl TokenBucket {
    /// A full bucket.
    pub fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            level: Level::default(),
        }
    }

    /// Takes a token, or says exactly when there will be one.
    pub fn acquire(&mut self, now: Monotonic) -> Result<(), RateLimitError> {
        self.level.acquire(self.limit, now)
    }

    /// Takes a token if `keep` others stay behind, or says exactly when that will be so.
    pub fn acquire_leaving(&mut self, now: Monotonic, keep: u32) -> Result<(), RateLimitError> {
        self.level.acquire_leaving(self.limit, now, keep)
    }

    /// When a token could be taken with `keep` others left behind. Beyond the bucket's size it says when that many
    /// tokens will have come back one after another.
    pub fn ready_at(&self, keep: u32) -> Monotonic {
        Monotonic::from_nanos(self.level.ready_at(self.limit, keep))
    }

    /// How many tokens could be taken at once.
    pub fn available(&self, now: Monotonic) -> u32 {
        self.level.available(self.limit, now)
    }

    /// Gives a token back that was taken and not used. A penalty is not shortened by it.
    pub fn refund(&mut self) {
        self.level.refund(self.limit);
    }

    /// Empties the bucket until `until`; then there is one token, and more at the usual pace.
    pub fn penalise(&mut self, until: Monotonic) {
        self.level.penalise(self.limit, until);
    }

    /// Changes size and speed. What was taken so far stays taken.
    pub fn set_limit(&mut self, limit: RateLimit) {
        self.limit = limit;
        self.level.keep_penalty(limit);
    }

    /// The limit it keeps.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whether it is as good as new and may be forgotten.
    pub fn is_full(&self, now: Monotonic) -> bool {
        self.level.is_full(now)
    }
}

// === impl Level ===

impl Level {
    pub(crate) fn acquire(&mut self, limit: RateLimit, now: Monotonic) -> Result<(), RateLimitError> {
        self.acquire_leaving(limit, now, 0)
    }

    fn acquire_leaving(&mut self, limit: RateLimit, now: Monotonic, keep: u32) -> Result<(), RateLimitError> {
        let (ready_at, now) = (self.ready_at(limit, keep), now.as_nanos());
        if ready_at > now {
            return Err(RateLimitError {
                retry_after: Duration::from_nanos(ready_at - now),
            });
        }
        self.full_at = self.full_at.max(now).saturating_add(limit.nanos_of(1));
        Ok(())
    }

    fn ready_at(&self, limit: RateLimit, keep: u32) -> u64 {
        let burst = limit.burst();
        let wanted = keep.saturating_add(1);
        let at = if wanted <= burst {
            self.full_at.saturating_sub(limit.nanos_of(burst - wanted))
        } else {
            self.full_at.saturating_add(limit.nanos_of(wanted - burst))
        };
        at.max(self.barred_until)
    }

    pub(crate) fn available(&self, limit: RateLimit, now: Monotonic) -> u32 {
        let now = now.as_nanos();
        if self.barred_until > now {
            return 0;
        }
        let missing = self.full_at.saturating_sub(now).div_ceil(limit.nanos_of(1));
        limit
            .burst()
            .saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    pub(crate) fn refund(&mut self, limit: RateLimit) {
        self.full_at = self.full_at.saturating_sub(limit.nanos_of(1));
        self.keep_penalty(limit);
    }

    pub(crate) fn penalise(&mut self, limit: RateLimit, until: Monotonic) {
        self.barred_until = self.barred_until.max(until.as_nanos());
        self.keep_penalty(limit);
    }

    pub(crate) fn is_full(&self, now: Monotonic) -> bool {
        self.full_at.max(self.barred_until) <= now.as_nanos()
    }

    /// At the end of a penalty there is one token and no more, whatever else happens to the level or the limit.
    pub(crate) fn keep_penalty(&mut self, limit: RateLimit) {
        if self.barred_until > 0 {
            let rest = limit.nanos_of(limit.burst() - 1);
            self.full_at = self.full_at.max(self.barred_until.saturating_add(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_penalty_leaves_one_token_at_its_end_and_a_refund_does_not_shorten_it() {
        let mut bucket = TokenBucket::new(RateLimit::per_second(10, 5));
        assert_eq!(bucket.acquire(at(0)), Ok(()));
        bucket.penalise(at(7_000));
        bucket.refund();
        assert_eq!(bucket.available(at(6_999)), 0);
        assert_eq!(
            bucket.acquire(at(1_000)).map_err(|e| e.retry_after_ms()),
            Err(6_000)
        );
        assert_eq!(bucket.available(at(7_000)), 1);
        assert_eq!(bucket.acquire(at(7_000)), Ok(()));
        assert_eq!(
            bucket.acquire(at(7_000)).map_err(|e| e.retry_after_ms()),
            Err(100)
        );
    }

    #[test]
    fn what_is_kept_back_is_left_for_others() {
        let mut bucket = TokenBucket::new(RateLimit::per_second(1, 3));
        assert_eq!(bucket.acquire_leaving(at(0), 1), Ok(()));
        assert_eq!(bucket.acquire_leaving(at(0), 1), Ok(()));
        let refused = bucket.acquire_leaving(at(0), 1).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert_eq!(bucket.acquire(at(0)), Ok(()));
    }

    #[test]
    fn a_bucket_that_would_take_ages_to_fill_gives_no_more_than_it_holds() {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
        for (interval, burst) in [
            (Duration::MAX, 5),
            (300 * YEAR, 3),
            (100 * YEAR, 1_000),
            (Duration::from_secs(10), u32::MAX),
        ] {
            let mut bucket = TokenBucket::new(RateLimit::every(interval, burst));
            let granted = (0..2_000).filter(|_| bucket.acquire(at(1)).is_ok()).count();
            assert!(granted >= 1 && granted <= burst as usize, "{granted} of {burst}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Take,
        Refund,
        Penalise(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec(
            prop_oneof![
                3 => (0_u64..3_000).prop_map(Step::Wait),
                6 => Just(Step::Take),
                1 => Just(Step::Refund),
                1 => (0_u64..5_000).prop_map(Step::Penalise),
            ],
            1..80,
        )
    }

    proptest! {
        /// The textbook bucket, counted in nanoseconds of refill, step by step.
        #[test]
        fn it_behaves_as_a_bucket_that_counts(rps in 1_u32..50, burst in 1_u32..20, steps in steps()) {
            let limit = RateLimit::per_second(rps, burst);
            let interval = limit.interval().as_nanos() as i128;
            let (mut bucket, mut now) = (TokenBucket::new(limit), at(1_000_000));
            // The level, in nanoseconds of refill; negative while a penalty lasts.
            let (mut level, full) = (interval * i128::from(burst), interval * i128::from(burst));
            let (mut taken, mut barred) = (0_u32, None::<Monotonic>);
            // What a penalty leaves: one token at its end, growing from there.
            let ceiling = |barred: Option<Monotonic>, now: Monotonic| barred.map_or(full, |barred| {
                let left = barred.saturating_since(now).as_nanos() as i128;
                let since = now.saturating_since(barred).as_nanos() as i128;
                (interval - left + since).min(full)
            });
            for step in steps {
                match step {
                    Step::Wait(millis) => {
                        now = now + Duration::from_millis(millis);
                        level = (level + i128::from(millis) * 1_000_000).min(full);
                    }
                    Step::Take => {
                        let expected = level >= interval;
                        let result = bucket.acquire(now);
                        prop_assert_eq!(result.is_ok(), expected);
                        match result {
                            Ok(()) => { level -= interval; taken += 1; }
                            Err(error) => {
                                prop_assert_eq!(error.retry_after.as_nanos() as i128, interval - level);
                                let mut later = bucket;
                                prop_assert!(later.acquire(now + error.retry_after).is_ok());
                                let mut early = bucket;
                                let just_before = now + (error.retry_after - Duration::from_nanos(1));
                                prop_assert!(early.acquire(just_before).is_err());
                            }
                        }
                    }
                    Step::Refund if taken > 0 => {
                        bucket.refund();
                        taken -= 1;
                        level = (level + interval).min(ceiling(barred, now));
                    }
                    Step::Refund => {}
                    Step::Penalise(millis) => {
                        let until = now + Duration::from_millis(millis);
                        bucket.penalise(until);
                        barred = barred.max(Some(until));
                        level = level.min(ceiling(barred, now));
                    }
                }
                let whole = level.max(0) / interval;
                prop_assert_eq!(i128::from(bucket.available(now)), whole);
            }
        }

        #[test]
        fn no_second_sees_more_than_burst_and_rate(rps in 1_u32..60, burst in 1_u32..60, waits in prop::collection::vec(0_u64..200, 1..300)) {
            let mut bucket = TokenBucket::new(RateLimit::per_second(rps, burst));
            let (mut now, mut granted) = (0_u64, Vec::new());
            for wait in waits {
                now += wait;
                if bucket.acquire(at(now)).is_ok() {
                    granted.push(now);
                }
            }
            for (index, start) in granted.iter().enumerate() {
                let within = granted[index..].iter().take_while(|t| **t - *start <= 1_000).count();
                prop_assert!(within <= (rps + burst) as usize);
            }
        }
    }
}
