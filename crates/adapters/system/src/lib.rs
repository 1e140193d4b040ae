//! The machine's clock and source of chance behind the ports of `openclaw-core`.
//!
//! [`SystemClock`] counts monotonic time from the moment it was made, so that all parts of one program must share one
//! clock; [`SystemRandom`] is the operating system's generator and fit for secrets.
//!
//! ```
//! use openclaw_core::{Clock, CorrelationId};
//! use openclaw_system::{SystemClock, SystemRandom};
//!
//! let clock = SystemClock::new();
//! let first = CorrelationId::new(clock.now(), &SystemRandom);
//! let second = CorrelationId::new(clock.now(), &SystemRandom);
//! assert_ne!(first, second);
//! ```
//!
//! Reading order: [`clock`], [`random`].
//!
//! Invariants: monotonic time never goes back; a dropped wait leaves no timer behind. Waiting needs a tokio runtime
//! with its time driver; reading the clock needs none.

#![forbid(unsafe_code)]

pub mod clock;
pub mod random;

pub use clock::SystemClock;
pub use random::SystemRandom;
