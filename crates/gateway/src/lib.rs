//! The life of one message: the use cases that join the contexts of OpenClaw Platform.
//!
//! [`Gateway`] has one method for each thing that can happen from outside: a message came in, a stateless call was made,
//! a person stopped an answer. [`JobRunner`] is what the pool's workers run. Everything they need of the outside is
//! handed in as [`GatewayParts`]; what must change together in the store changes through [`ports::TurnStore`].
//!
//! Reading order: [`ports`], [`gateway`], `admission`, `turn`, `reply`, `outbox`, [`completion`], [`feed`].
//!
//! Invariants: every accepted message ends in exactly one [`ports::Outcome`]; a turn's results are written under its
//! fence or not at all; nothing is shown to a person that a plugin's `onBeforeSend` has not seen; the person's words and
//! the log's are different texts.

#![forbid(unsafe_code)]

mod admission;
mod arrivals;
mod caller;
pub mod chats;
mod commands;
pub mod completion;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
mod draft;
mod ending;
pub mod error;
pub mod feed;
pub mod gateway;
pub mod housekeeping;
mod job;
pub mod ledger;
pub mod outbox;
pub mod ports;
mod purse;
mod queue;
mod recall;
mod renewal;
mod reply;
mod services;
mod step;
#[cfg(test)]
mod testing;
mod turn;
mod unanswered;
pub mod words;

pub use admission::TurnPool;
pub use caller::caller_chat;
pub use chats::{ChatError, ChatSnapshot, Chats, Draft, MAX_REACH, Posted, SaidMessage};
pub use completion::{CompletionEvent, CompletionRequest, CompletionStream};
pub use config::GatewayConfig;
pub use error::Refusal;
pub use feed::{Asked, ChatFeeds, FeedEvent, FeedRead, FeedReader, LiveAnswer};
pub use gateway::{Gateway, JobRunner, Receipt, Resumed};
pub use job::{Job, JobEnd};
pub use outbox::OutboxCounts;
pub use queue::{QueueId, QueueIdError, QueuePlace, QueuedItem};
pub use services::{GatewayParts, Retries, ShowMode};
