//! The words all contexts of OpenClaw Platform share.
//!
//! A tenant, a tier, a message, an error's code, an event's envelope and the time mean the same in every crate;
//! what only one context needs does not belong here. The crate performs no input or output and knows no clock but
//! the [`Clock`] port.
//!
//! ```
//! use openclaw_core::{AccessTier, Platform, SandboxTier, TenantId};
//!
//! let tenant: TenantId = "telegram:42:-100500".parse()?;
//! assert_eq!(tenant.platform(), Platform::Telegram);
//! assert_eq!(tenant.to_string(), "telegram:42:-100500");
//! assert!(AccessTier::Premium.is_at_least(AccessTier::Standard));
//! assert_eq!(AccessTier::Free.sandbox(), SandboxTier::Restricted);
//! # Ok::<(), openclaw_core::IdError>(())
//! ```
//!
//! Reading order: [`id`], [`platform`], [`tier`], [`message`], [`model_event`], [`error`], [`event`],
//! [`event_bus`], [`time`], [`secret`], [`ports`]; [`testing`] holds the clock and the chance that tests move by hand.
//!
//! Invariants: identifiers are parsed, never assumed; `Display` and `FromStr` are inverse to each other and serde
//! uses the same text. Nothing here panics on input.

#![forbid(unsafe_code)]

pub mod error;
pub mod event;
pub mod event_bus;
pub mod id;
pub mod language;
pub mod message;
pub mod model_event;
pub mod platform;
pub mod ports;
pub mod secret;
pub mod testing;
pub mod tier;
pub mod time;

pub use error::{CodedError, ValidationError, Violation};
pub use event::{Envelope, Event, EventContext};
pub use event_bus::{InProcessEventBus, Subscription};
pub use id::{
    BotId, ChatId, CorrelationId, IdError, MessageId, ModelId, PluginId, ProviderId, SessionId, TenantId,
    UserId,
};
pub use language::Language;
pub use message::{
    Attachment, ChatKind, ChatMessage, ContentBlock, IncomingKind, IncomingMessage, OutgoingMessage, Role,
    TextFormat,
};
pub use model_event::{ModelEvent, StopReason, TokenUsage};
pub use platform::Platform;
pub use ports::{Clock, EventBus, Random};
pub use secret::Secret;
pub use tier::{AccessTier, SandboxTier, is_tier_at_least};
pub use time::{Monotonic, Timestamp};
