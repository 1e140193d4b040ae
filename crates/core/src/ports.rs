//! The ports every context may need: time, chance, events.

use crate::event::Envelope;
use crate::time::{Monotonic, Timestamp};
use futures::future::BoxFuture;
use std::fmt;
use std::time::Duration;

/// The time. Implemented by the machine's clock and by the clock that tests move by hand.
///
/// Durations come from [`Clock::monotonic`]; [`Clock::now`] is for what is stored or shown and may jump.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// The monotonic clock. Never goes back.
    fn monotonic(&self) -> Monotonic;

    /// Ends when the monotonic clock has reached `deadline`, at once when it already has. Dropping the future
    /// abandons the wait and leaves nothing behind.
    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()>;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.monotonic() + duration)
    }
}

/// Chance. Implemented by the operating system's source and by a seeded generator for tests.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the buffer. The machine's implementation is fit for secrets.
    fn fill(&self, buffer: &mut [u8]);

    /// A number of 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0_u8; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `[0, 1)`, for jitter.
    fn unit(&self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Where domain events go. Implemented in process and, for several instances, by a message bus.
///
/// Publishing is synchronous and cheap: it never waits for a subscriber and never fails for the publisher.
pub trait EventBus: Send + Sync + fmt::Debug {
    /// Hands the event to everyone who subscribed to its name or to all events.
    fn publish(&self, envelope: Envelope);

    /// Whether anybody would receive an event of this name. Lets a publisher skip building it.
    fn wants(&self, name: &'static str) -> bool;
}
