//! Token buckets by key: who may ask how often. For incoming requests of web visitors and API keys.

use crate::error::RateLimitError;
use crate::limits::RateLimit;
use crate::token_bucket::Level;
use hashbrown::{DefaultHashBuilder, HashMap};
use openclaw_core::{Clock, Monotonic};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often idle buckets are looked for at most, while the limiter is at its bound.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Room for so many keys is kept, however few there are.
const KEPT_ROOM: usize = 1_024;

/// One bucket per key, all of the same size.
///
/// A bucket that is full again is as good as a new one and is forgotten. At the bound — that many keys active at
/// once — keys that are not known share one bucket, so that a flood of invented keys costs strangers their speed and
/// neither memory nor the speed of those who were here before.
///
/// A decision reads the time once, then takes one short lock for one lookup; of a key that is known nothing is
/// allocated.
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    max_keys: usize,
    /// Guards all buckets; held for one lookup, and for a sweep now and then.
    state: Mutex<State>,
}

struct State {
    limit: RateLimit,
    /// Two numbers per key, so that many of them lie close together. The hash is quick and its seed is the process's
    /// own: nobody outside sees a hash from which to find keys that share one.
    buckets: HashMap<Box<str>, Level, DefaultHashBuilder>,
    strangers: Level,
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
                buckets: HashMap::default(),
                strangers: Level::default(),
                sweep_at_len: KEPT_ROOM,
                swept_at: Monotonic::ZERO,
            }),
        }
    }

    /// Takes a token of the key's bucket, or says exactly when there will be one. Check and acquire are one step.
    pub fn acquire(&self, key: &str) -> Result<(), RateLimitError> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let limit = state.limit;
        if let Some(level) = state.buckets.get_mut(key) {
            return level.acquire(limit, now);
        }
        state.newcomer(key, self.max_keys, now).acquire(limit, now)
    }

    /// Gives a token back that was taken and not used.
    pub fn refund(&self, key: &str) {
        let mut state = self.state.lock();
        let limit = state.limit;
        if let Some(level) = state.buckets.get_mut(key) {
            level.refund(limit);
        }
    }

    /// Empties the key's bucket for as long as given.
    pub fn penalise(&self, key: &str, duration: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let (limit, until) = (state.limit, now + duration);
        if let Some(level) = state.buckets.get_mut(key) {
            level.penalise(limit, until);
        } else if state.make_room(self.max_keys, now) {
            // At the bound nobody is punished: strangers share a bucket.
            state.newcomer(key, self.max_keys, now).penalise(limit, until);
        }
    }

    /// How many tokens the key has, for headers that tell.
    pub fn remaining(&self, key: &str) -> u32 {
        let now = self.clock.monotonic();
        let state = self.state.lock();
        let limit = state.limit;
        state
            .buckets
            .get(key)
            .map_or(limit.burst(), |level| level.available(limit, now))
    }

    /// Changes the limit of all keys; what they took stays taken.
    pub fn set_limit(&self, limit: RateLimit) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.limit = limit;
        for level in state
            .buckets
            .values_mut()
            .chain(std::iter::once(&mut state.strangers))
        {
            level.keep_penalty(limit);
        }
    }

    /// Forgets buckets that are full again and gives back the room they took. Call it now and then: without new keys
    /// nothing else does.
    pub fn forget_idle(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.sweep(now);
        let room = state.buckets.len().saturating_mul(2).max(KEPT_ROOM);
        state.buckets.shrink_to(room);
    }

    /// How many buckets are remembered.
    pub fn len(&self) -> usize {
        self.state.lock().buckets.len()
    }

    /// Whether no bucket is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how many buckets there is room without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.state.lock().buckets.capacity()
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
    /// The bucket of a key that is not known: a new one where there is room, else the strangers'.
    fn newcomer(&mut self, key: &str, max_keys: usize, now: Monotonic) -> &mut Level {
        if !self.make_room(max_keys, now) {
            return &mut self.strangers;
        }
        self.buckets.entry(Box::from(key)).or_default()
    }

    /// Forgets idle buckets when it is time. Whether one more fits.
    fn make_room(&mut self, max_keys: usize, now: Monotonic) -> bool {
        let len = self.buckets.len();
        let at_bound = len >= max_keys;
        let due = now.saturating_since(self.swept_at) >= SWEEP_EVERY.min(self.limit.fill_time());
        if (at_bound && due) || len >= self.sweep_at_len {
            self.sweep(now);
        }
        self.buckets.len() < max_keys
    }

    fn sweep(&mut self, now: Monotonic) {
        self.buckets.retain(|_, level| !level.is_full(now));
        self.swept_at = now;
        // Doubling keeps the cost of sweeping constant per new key.
        self.sweep_at_len = self.buckets.len().saturating_mul(2).max(KEPT_ROOM);
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
    fn what_is_idle_leaves_neither_buckets_nor_room() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(RateLimit::per_second(1, 2), 100_000, clock.clone());
        for key in 0..50_000 {
            assert!(limiter.acquire(&key.to_string()).is_ok());
        }
        limiter.penalise("7", Duration::from_secs(60));
        limiter.forget_idle();
        assert_eq!(limiter.len(), 50_000, "none is full yet");
        clock.advance(Duration::from_secs(1));
        limiter.forget_idle();
        assert_eq!(limiter.len(), 1, "a penalty is not forgotten");
        assert!(limiter.capacity() <= 4 * KEPT_ROOM, "{}", limiter.capacity());
        assert_eq!(limiter.acquire("7").map_err(|e| e.retry_after_ms()), Err(59_000));
    }

    #[test]
    fn another_limit_keeps_what_was_taken_and_what_is_barred() {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(RateLimit::per_second(1, 2), 10, clock.clone());
        assert!(limiter.acquire("a").is_ok());
        limiter.penalise("b", Duration::from_secs(5));
        limiter.set_limit(RateLimit::per_second(1, 4));
        assert_eq!(limiter.remaining("a"), 3);
        clock.advance(Duration::from_secs(5));
        assert_eq!((limiter.remaining("a"), limiter.remaining("b")), (4, 1));
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

    #[test]
    fn threads_and_a_running_clock_get_the_burst_and_the_rate_and_nothing_else() {
        const BURST: u32 = 30;
        let clock = ManualClock::new();
        let limit = RateLimit::every(Duration::from_millis(10), BURST);
        let limiter = RateLimiter::new(limit, 10, clock.clone());
        let ask = || {
            let (mut granted, mut refused) = (0_u64, 0_u64);
            for _ in 0..5_000 {
                match limiter.acquire("k") {
                    Ok(()) => granted += 1,
                    Err(_) => {
                        // One token's worth: the bucket never comes near being full, so that none is lost.
                        clock.advance(limit.interval());
                        refused += 1;
                    }
                }
            }
            (granted, refused)
        };
        let (mut granted, refused) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        });
        while limiter.acquire("k").is_ok() {
            granted += 1;
        }
        assert_eq!(granted, u64::from(BURST) + refused);
    }
}
