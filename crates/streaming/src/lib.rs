//! From a provider's bytes to a person's chat.

#![forbid(unsafe_code)]

pub mod accumulator;
pub mod config;
pub mod error;
pub mod length;
pub mod parser;
pub mod ports;
pub mod reply;
pub mod splitter;

pub use accumulator::{Flush, FlushReason, TokenAccumulator};
pub use config::{StreamConfig, StreamOptions, StreamingOptions};
pub use error::StreamError;
pub use length::{LengthUnit, MessageLimit};
pub use parser::{Frame, LastEvent, ParserLimits, SseEvent, StreamFormat, StreamParser};
pub use ports::TokenEstimator;
pub use reply::{Action, FinalPart, Outcome, ReplyConfig, ReplyMode, ResponseHandler};
pub use splitter::split_message;
