//! The machine's clock.

use futures::future::BoxFuture;
use openclaw_core::{Clock, Monotonic, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock of the system and its monotonic clock, counted from the moment this value was made.
///
/// Points of two clocks cannot be compared: make one and share it. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

// === impl SystemClock ===

impl SystemClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A machine whose clock was never set may stand before the epoch.
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(self.origin.elapsed())
    }

    /// The timer is registered at the first poll, which must happen inside a tokio runtime with time enabled.
    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            // The runtime's timer counts whole milliseconds and, when paused by a test, its own time: what it thinks
            // is over is only believed once this clock agrees.
            loop {
                let left = deadline.saturating_since(clock.monotonic());
                if left == Duration::ZERO {
                    return;
                }
                tokio::time::sleep(left).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn the_wall_clock_is_the_systems() {
        let before = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        let now = u128::try_from(SystemClock::new().now().as_millis()).expect("after 1970");
        let after = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        assert!(before <= now && now <= after, "{before} ≤ {now} ≤ {after}");
    }

    #[test]
    fn monotonic_time_starts_at_the_origin_and_copies_share_it() {
        let clock = SystemClock::new();
        let copy = clock;
        let (first, second, third) = (clock.monotonic(), copy.monotonic(), clock.monotonic());
        assert!(first <= second && second <= third);
        assert!(first.since_origin() < Duration::from_secs(60));
    }

    #[test]
    fn a_deadline_that_has_passed_needs_no_runtime_and_no_wait() {
        let clock = SystemClock::new();
        assert!(clock.sleep_until(Monotonic::ZERO).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_deadline_and_not_before() {
        let clock = SystemClock::new();
        let deadline = clock.monotonic() + Duration::from_millis(5);
        clock.sleep_until(deadline).await;
        assert!(clock.monotonic() >= deadline);
        let far = clock.monotonic() + Duration::from_secs(3_600);
        assert!(clock.sleep_until(far).now_or_never().is_none());
    }
}
