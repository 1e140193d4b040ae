//! The platforms people write from: messages in through webhooks, messages out within the platforms' limits.
//!
//! The crate decides who is believed (webhook secrets), how fast we may speak (token buckets per chat and per bot) and
//! where a message may go (only to the chat its tenant id names). Each platform's wire format is an adapter that
//! implements [`MessengerPort`].
//!
//! ```
//! use openclaw_core::Monotonic;
//! use openclaw_messenger::{RateLimit, TokenBucket};
//! use std::time::Duration;
//!
//! // Two calls at once, then one every half second.
//! let start = Monotonic::ZERO;
//! let mut bucket = TokenBucket::new(RateLimit::per_second(2, 2));
//! assert_eq!(bucket.acquire(start), Ok(()));
//! assert_eq!(bucket.acquire(start), Ok(()));
//! let refused = bucket.acquire(start).unwrap_err();
//! assert_eq!(refused.retry_after, Duration::from_millis(500));
//! assert_eq!(bucket.acquire(start + refused.retry_after), Ok(()));
//! ```
//!
//! Reading order: [`ports`], [`capabilities`], [`error`]; inbound [`secrets`], [`webhook`]; outbound [`limits`],
//! [`token_bucket`], [`rate_limiter`], [`pacer`], [`dispatcher`]; [`event`]. With the feature `contract` the module
//! `contract` holds what every adapter must pass.
//!
//! # Invariants
//!
//! - A webhook body is parsed only after [`WebhookRouter::authenticate`] has returned its proof; without a secret
//!   nobody is believed.
//! - Looking at a bucket and taking from it is one step. In any second at most `burst + rps` calls leave per bucket.
//! - Waiting for a turn costs nothing when the wait is dropped: tokens are taken in the moment of the grant.
//! - Maps, queues and rings are bounded; each says what happens at its bound.
//!
//! It performs no input or output and reads no clock but the `Clock` port. It stores nothing: the inbox, the outbox
//! and retries that last longer than one call are the gateway's.

#![forbid(unsafe_code)]

pub mod capabilities;
#[cfg(feature = "contract")]
pub mod contract;
pub mod dispatcher;
pub mod error;
pub mod event;
pub mod limits;
pub mod pacer;
pub mod ports;
pub mod rate_limiter;
pub mod secrets;
pub mod token_bucket;
pub mod webhook;

pub use capabilities::{Capabilities, LengthUnit, Markup};
pub use dispatcher::{MessageDispatcher, Urgency};
pub use error::{
    Certainty, DeliveryError, DeliveryErrorKind, DispatchError, ParseError, RateLimitError, SecurityError,
};
pub use event::{
    MessageDeliveryFailed, MessageReceived, MessageSent, WebhookReceived, WebhookValidationFailed,
};
pub use limits::{DispatchLimits, RateLimit, RateLimits};
pub use ports::{Headers, MessengerPort, Parsed};
pub use rate_limiter::RateLimiter;
pub use secrets::{WebhookSecret, WebhookSecrets};
pub use token_bucket::TokenBucket;
pub use webhook::{Authenticated, WebhookRouter};
