//! Token buckets by key: who may ask how often. For incoming requests of web visitors and API keys.

use crate::error::RateLimitError;
use crate::limits::RateLimit;
use crate::token_bucket::TokenBucket;
use openclaw_core::{Clock, Monotonic};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often idle buckets are looked for at most, while the limiter is at its bound.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// One bucket per key, all of the same size.
///
/// A bucket that is full again is as good as a new one and is forgotten. At the bound — that many keys active at
/// once — keys that are not known share one bucket, so that a flood of invented keys costs strangers their speed and
/// neither memory nor the speed of those who were here before.
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    max_keys: usize,
    /// Guards all buckets; held for one lookup, and for a sweep now and then.
    state: Mutex<State>,
}

struct State {
    limit: RateLimit,
    buckets: HashMap<Arc<str>, TokenBucket>,
    strangers: TokenBucket,
    sweep_at_len: usize,
    swept_at: Monotonic,
}

// === impl RateLimiter ===

impl RateLimiter {
    /// A limiter for at most `max_keys` active keys.
    pub fn new(limit: RateLimit, max_keys: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            max_keys: max_keys.max(1),
            state: Mutex::new(State {
                limit,
                buckets: HashMap::new(),
                strangers: TokenBucket::new(limit),
                sweep_at_len: 1_024,
                swept_at: Monotonic::ZERO,
            }),
        }
    }

    /// Takes a token of the key's bucket, or says exactly when there will be one. Check and acquire are one step.
    pub fn acquire(&self, key: &str) -> Result<(), RateLimitError> {
        let now = self.clock.monotonic();
        self.state
            .lock()
            .with(key, self.max_keys, now, |bucket| bucket.acquire(now))
    }

    /// Gives a token back that was taken and not used.
    pub fn refund(&self, key: &str) {
        if let Some(bucket) = self.state.lock().buckets.get_mut(key) {
            bucket.refund();
        }
    }

    /// Empties the key's bucket for as long as given.
    pub fn penalise(&self, key: &str, duration: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        // Strangers are not punished for one of them.
        if state.make_room(self.max_keys, now) || state.buckets.contains_key(key) {
            state.with(key, self.max_keys, now, |bucket| bucket.penalise(now + duration));
        }
    }

    /// How many tokens the key has, for headers that tell.
    pub fn remaining(&self, key: &str) -> u32 {
        let now = self.clock.monotonic();
        let state = self.state.lock();
        state
            .buckets
            .get(key)
            .map_or(state.limit.burst(), |bucket| bucket.available(now))
    }

    /// Changes the limit of all keys; what they took stays taken.
    pub fn set_limit(&self, limit: RateLimit) {
        let mut state = self.state.lock();
        state.limit = limit;
        state.strangers.set_limit(limit);
        for bucket in state.buckets.values_mut() {
            bucket.set_limit(limit);
        }
    }

    /// How many buckets are remembered.
    pub fn len(&self) -> usize {
        self.state.lock().buckets.len()
    }

    /// Whether no bucket is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("RateLimiter")
            .field("limit", &state.limit)
            .field("keys", &state.buckets.len())
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    fn with<R>(
        &mut self,
        key: &str,
        max_keys: usize,
        now: Monotonic,
        act: impl FnOnce(&mut TokenBucket) -> R,
    ) -> R {
        if let Some(bucket) = self.buckets.get_mut(key) {
            return act(bucket);
        }
        if !self.make_room(max_keys, now) {
            return act(&mut self.strangers);
        }
        act(self
            .buckets
            .entry(Arc::from(key))
            .or_insert(TokenBucket::new(self.limit)))
    }

    /// Forgets idle buckets when it is time. Whether one more fits.
    fn make_room(&mut self, max_keys: usize, now: Monotonic) -> bool {
        let len = self.buckets.len();
        let at_bound = len >= max_keys;
        let due = now.saturating_since(self.swept_at) >= SWEEP_EVERY.min(self.limit.fill_time());
        if (at_bound && due) || len >= self.sweep_at_len {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.swept_at = now;
            // Doubling keeps the cost of sweeping constant per new key.
            self.sweep_at_len = self.buckets.len().saturating_mul(2).max(1_024);
        }
        self.buckets.len() < max_keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;

    #[test]
    fn each_key_has_its_own_bucket() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(RateLimit::per_second(10, 2), 100, clock.clone());
        assert!(limiter.acquire("a").is_ok());
        assert!(limiter.acquire("a").is_ok());
        assert_eq!(limiter.acquire("a").map_err(|e| e.retry_after_ms()), Err(100));
        assert!(limiter.acquire("b").is_ok());
        limiter.refund("a");
        assert_eq!((limiter.remaining("a"), limiter.remaining("b")), (1, 1));
        limiter.penalise("b", Duration::from_secs(9));
        assert_eq!(limiter.acquire("b").map_err(|e| e.retry_after_ms()), Err(9_000));
        clock.advance(Duration::from_secs(9));
        assert!(limiter.acquire("b").is_ok());
    }

    #[test]
    fn idle_buckets_are_forgotten_and_strangers_share_one_at_the_bound() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(RateLimit::per_second(1, 1), 3, clock.clone());
        for key in ["a", "b", "c"] {
            assert!(limiter.acquire(key).is_ok());
        }
        assert!(limiter.acquire("d").is_ok(), "the strangers' bucket");
        assert!(limiter.acquire("e").is_err(), "the strangers' bucket is one");
        assert_eq!(limiter.len(), 3);
        clock.advance(Duration::from_secs(1));
        assert!(limiter.acquire("d").is_ok());
        assert_eq!(limiter.len(), 1, "the other three were full again");
    }

    #[test]
    fn a_burst_from_many_threads_passes_no_more_than_the_bucket_holds() {
        let limiter = RateLimiter::new(RateLimit::per_second(1, 30), 10, ManualClock::new());
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..50).filter(|_| limiter.acquire("k").is_ok()).count()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(passed, 30);
    }
}
