//! From a provider's bytes to a person's chat.
//!
//! This crate decides where a stream's frames begin and end, when gathered text is worth showing, where a text too long
//! for one message is cut, and what is sent, edited and deleted in a chat while an answer grows. It is separate because
//! each piece is of use alone, and because none of them needs a network, a clock or a runtime: bytes and times go in,
//! frames and actions come out.
//!
//! ```
//! use openclaw_core::{MessageId, Monotonic};
//! use openclaw_streaming::{
//!     Action, Frame, LastEvent, LengthUnit, MessageLimit, Outcome, ParserLimits, ReplyConfig, ReplyMode,
//!     ResponseHandler, StreamConfig, StreamFormat, StreamParser,
//! };
//!
//! let limit = MessageLimit::new(4_096, LengthUnit::Utf16);
//! let config = ReplyConfig::new(StreamConfig::default(), limit, ReplyMode::Edit);
//! let mut now = Monotonic::ZERO;
//! let mut reply = ResponseHandler::new(config, Vec::new(), now);
//! assert_eq!(reply.next_action(now), Some(Action::Typing));
//!
//! let mut parser = StreamParser::new(StreamFormat::Auto, ParserLimits::default());
//! for chunk in [&b"data: Hel"[..], b"lo\n\nda", b"ta: , world\n\n"] {
//!     parser.push_slice(chunk);
//!     while let Some(frame) = parser.next_frame()? {
//!         if let Frame::Sse(event) = frame {
//!             reply.push(event.data, now);
//!         }
//!     }
//! }
//! parser.finish(LastEvent::Drop);
//! assert_eq!(parser.next_frame()?, None);
//!
//! // Nothing is held back longer than half a second.
//! now = reply.next_wakeup().expect("text is waiting");
//! let Some(Action::Send { text, .. }) = reply.next_action(now) else {
//!     panic!("the first text is sent");
//! };
//! assert_eq!(text, "Hello, world");
//! reply.acted(Outcome::Sent { message_id: MessageId::parse("17")? }, now);
//!
//! reply.finish(now);
//! assert!(matches!(reply.next_action(now), Some(Action::Edit { last: true, .. })));
//! reply.acted(Outcome::Edited, now);
//! assert!(reply.is_settled());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: [`config`], [`parser`], [`accumulator`], [`length`], [`splitter`], [`reply`], [`error`], [`ports`].
//!
//! Invariants, each with a property test:
//!
//! - However a stream is cut into chunks, its events are the same.
//! - No text is held back longer than the flush time-out, and none is lost.
//! - The parts of a text are within the limit, not blank, and joined they are the text, apart from white space at the
//!   cuts and repaired code fences.
//! - However a text is cut into deltas and whatever the platform delays, its chat ends with the parts of the whole text,
//!   in order and nothing else; a part that was full early never changes.
//!
//! Nothing here panics on input, and everything that grows has a bound: lines and events ([`ParserLimits`]), text held
//! back (the flush threshold and one delta), the reply ([`ReplyConfig`]).
//!
//! What it does not do: decode what a provider's frames mean (the provider's adapter does), send anything (the
//! gateway carries out the actions), limit rates (the dispatcher does, and reports [`Outcome::Throttled`]), format text
//! (the platform's adapter does, where an action says `last`).

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
