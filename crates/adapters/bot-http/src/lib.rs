//! What adapters of messengers share whose bots are called by HTTP.
//!
//! A message that was sent twice is worse than one that was not sent, so everything here keeps apart what surely was
//! not written, what was refused, and what nobody knows.
//!
//! ```
//! use openclaw_bot_http::render_markdown;
//!
//! let rendered = render_markdown("**Hello**, `world`");
//! assert_eq!(rendered.text, "Hello, world");
//! assert_eq!(rendered.entities.len(), 2);
//! ```
//!
//! Reading order: [`call`] (what an error of the client means, answers within a bound), [`json`] (strings with halves of
//! surrogate pairs), [`secrets`] (webhook secrets as digests), [`markdown`] and its `unfinished` form.
//!
//! # Invariants
//!
//! - No error names an address: with some platforms the token is part of it.
//! - Rendering Markdown never makes a text longer, in UTF-16 code units.
//! - It knows no platform: methods, wire types and a platform's words belong to its adapter.

#![forbid(unsafe_code)]

pub mod call;
mod groups;
pub mod json;
pub mod markdown;
pub mod secrets;
mod unfinished;

pub use groups::GroupMode;
pub use markdown::{Entity, EntityKind, Rendered, render_markdown};
pub use secrets::SecretDigests;
pub use unfinished::render_unfinished;
