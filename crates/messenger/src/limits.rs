//! How fast we may speak: the manual's table, and how it is divided and checked.

use openclaw_core::{Monotonic, Platform, ValidationError, Violation};
use std::time::Duration;

/// A token bucket's size and speed. Both at least the smallest that lets anything through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The time in which one token comes back, in nanoseconds; at least 1.
    interval_nanos: u64,
    /// How many tokens a full bucket holds; at least 1.
    burst: u32,
}

/// `messenger.rateLimits.*`: the buckets of outgoing calls (Telegram, MAX) and of incoming requests (web, API).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// 30 calls a second, burst 30; per chat and for the whole bot.
    pub telegram: RateLimit,
    /// 20 calls a second, burst 20; per chat and for the whole bot.
    pub max: RateLimit,
    /// 100 requests a second, burst 100, per visitor.
    pub web: RateLimit,
    /// 100 requests a second, burst 100, per key.
    pub api: RateLimit,
}

/// How the dispatcher keeps to the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchLimits {
    /// The operator's limits.
    pub rates: RateLimits,
    /// Takes the place of the adapter's own limit of a private chat on every platform that has one.
    pub private_chat: Option<RateLimit>,
    /// Takes the place of the adapter's own limit of a group on every platform that has one.
    pub group_chat: Option<RateLimit>,
    /// How long a final message waits for its turn or for the platform's pardon before the caller gets
    /// `Throttled` and keeps it for later.
    pub final_patience: Duration,
    /// How many final messages may wait per chat; the next is `QueueFull`.
    pub max_waiting_per_chat: usize,
    /// How many final messages may wait altogether; the next is `QueueFull`.
    pub max_waiting: usize,
    /// How many chats are remembered. Idle ones are forgotten; when so many are busy, a further chat is `QueueFull`.
    pub max_chats: usize,
}

// === impl RateLimit ===

impl RateLimit {
    /// So many a second, so many at once. Zeros are taken as one.
    pub fn per_second(rps: u32, burst: u32) -> Self {
        // Rounded up: a bucket may be a nanosecond too slow, never too fast.
        let nanos = 1_000_000_000_u64.div_ceil(u64::from(rps.max(1)));
        Self::every(Duration::from_nanos(nanos), burst)
    }

    /// One per `interval`, so many at once. Zeros are taken as the smallest values.
    ///
    /// A bucket that would take more than 292 years to fill holds fewer: what it counts with would overflow.
    pub fn every(interval: Duration, burst: u32) -> Self {
        // An interval of more than 584 years is taken as that.
        let interval_nanos = Monotonic::from_origin(interval).as_nanos().max(1);
        let most = u32::try_from(u64::MAX / 2 / interval_nanos).unwrap_or(u32::MAX);
        Self {
            interval_nanos,
            burst: burst.min(most).max(1),
        }
    }

    /// As configured: `rps` may be a fraction, such as 0.5 for one in two seconds.
    pub fn from_config(field: &str, rps: f64, burst: u32) -> Result<Self, ValidationError> {
        let mut violations = Vec::new();
        if !(rps.is_finite() && (0.001..=1_000_000.0).contains(&rps)) {
            violations.push(Violation::new(
                format!("{field}.rps"),
                rps,
                "must be between 0.001 and 1000000",
            ));
        }
        if !(1..=1_000_000).contains(&burst) {
            violations.push(Violation::new(
                format!("{field}.burstSize"),
                burst,
                "must be between 1 and 1000000",
            ));
        }
        ValidationError::check(violations)?;
        let interval = Duration::from_secs_f64(1.0 / rps);
        // Binary fractions round down as often as up; one nanosecond more is never too fast.
        let exact = if (interval.as_secs_f64() * rps) < 1.0 {
            interval + Duration::from_nanos(1)
        } else {
            interval
        };
        Ok(Self::every(exact, burst))
    }

    /// The time in which one token comes back.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_nanos)
    }

    /// How many tokens a full bucket holds.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// The share of one of `instances` equal processes. Never less than one at once.
    #[must_use]
    pub fn divided_by(self, instances: u32) -> Self {
        let instances = instances.max(1);
        Self::every(self.interval().saturating_mul(instances), self.burst / instances)
    }

    /// How long an empty bucket takes to be full.
    pub(crate) fn fill_time(self) -> Duration {
        Duration::from_nanos(self.nanos_of(self.burst))
    }

    /// How long so many tokens take to come back, in nanoseconds.
    pub(crate) fn nanos_of(self, tokens: u32) -> u64 {
        self.interval_nanos.saturating_mul(u64::from(tokens))
    }
}

// === impl RateLimits ===

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            telegram: RateLimit::per_second(30, 30),
            max: RateLimit::per_second(20, 20),
            web: RateLimit::per_second(100, 100),
            api: RateLimit::per_second(100, 100),
        }
    }
}

impl RateLimits {
    /// The limit of a platform.
    pub fn of(&self, platform: Platform) -> RateLimit {
        match platform {
            Platform::Telegram => self.telegram,
            Platform::Max => self.max,
            Platform::Web => self.web,
            Platform::Api => self.api,
        }
    }

    /// The share of one of `instances` processes that know nothing of each other.
    #[must_use]
    pub fn divided_by(self, instances: u32) -> Self {
        Self {
            telegram: self.telegram.divided_by(instances),
            max: self.max.divided_by(instances),
            web: self.web.divided_by(instances),
            api: self.api.divided_by(instances),
        }
    }
}

// === impl DispatchLimits ===

impl Default for DispatchLimits {
    fn default() -> Self {
        Self {
            rates: RateLimits::default(),
            private_chat: None,
            group_chat: None,
            final_patience: Duration::from_secs(30),
            max_waiting_per_chat: 64,
            max_waiting: 10_000,
            max_chats: 100_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_manuals_table() {
        let limits = RateLimits::default();
        let table = Platform::ALL.map(|platform| {
            let limit = limits.of(platform);
            (limit.interval(), limit.burst())
        });
        assert_eq!(
            table,
            [
                (Duration::from_nanos(33_333_334), 30),
                (Duration::from_millis(50), 20),
                (Duration::from_millis(10), 100),
                (Duration::from_millis(10), 100),
            ]
        );
    }

    #[test]
    fn instances_share_a_limit() {
        let share = RateLimits::default().divided_by(4).max;
        assert_eq!((share.interval(), share.burst()), (Duration::from_millis(200), 5));
        assert_eq!(RateLimit::per_second(1, 1).divided_by(9).burst(), 1);
    }

    #[test]
    fn impossible_limits_are_refused_with_every_fault() {
        let error = RateLimit::from_config("messenger.rateLimits.telegram", f64::NAN, 0).unwrap_err();
        let fields: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "messenger.rateLimits.telegram.rps",
                "messenger.rateLimits.telegram.burstSize"
            ]
        );
    }

    proptest! {
        #[test]
        fn a_configured_limit_is_never_faster_than_asked(rps in 0.001_f64..10_000.0) {
            let limit = RateLimit::from_config("x", rps, 1).unwrap();
            prop_assert!(limit.interval().as_secs_f64() * rps >= 1.0 - 1e-9);
            prop_assert!(limit.interval().as_secs_f64() * rps <= 1.0 + 1e-4);
        }
    }
}
