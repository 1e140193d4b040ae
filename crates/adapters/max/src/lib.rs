//! MAX behind the messenger port: webhook and long polling in, messages and edits out.
//!
//! Own wire types over an HTTP client that is handed in: the API grows every few weeks, so whatever is unknown — update
//! kinds, attachments, chat types, fields — is normal and never an error. The adapter makes one attempt and waits for no
//! limit; pacing is the dispatcher's, retries are the gateway's.
//!
//! ```
//! use openclaw_core::Secret;
//! use openclaw_max::{MaxConfig, render};
//!
//! let config = MaxConfig::new(Secret::new("a-token"));
//! assert_eq!(config.base_url, "https://platform-api2.max.ru");
//! assert!(!format!("{config:?}").contains("a-token"), "the token does not print");
//!
//! let shown = render("# Hello\n\n* `world`", 4_000);
//! assert_eq!(shown.text, "**Hello**\n\n• `world`");
//! assert!(shown.is_markdown);
//! ```
//!
//! Reading order: [`config`], [`adapter`], [`bot`] (the calls beyond the port), [`update`], [`markup`]; private are the
//! client (`api`), its errors (`refusal`) and the wire types (`wire`). What it shares with other bots is
//! `openclaw-bot-http`'s.
//!
//! # Invariants
//!
//! - The token is in no address, `Debug`, log line or error; addresses are stripped from every error of the client.
//! - What is sent never exceeds the limit of one message, counted in UTF-16 code units, marks included.
//! - Updates carry no id: the key under which one is stored is made of what is the same at every delivery of it.
//! - An error says whether the message may have been sent all the same.

#![forbid(unsafe_code)]

pub mod adapter;
mod api;
pub mod bot;
pub mod config;
pub mod markup;
mod refusal;
pub mod update;
mod wire;

pub use adapter::MaxAdapter;
pub use bot::{BotIdentity, PolledBatch, Subscription};
pub use config::MaxConfig;
pub use markup::{Shown, render};
pub use openclaw_bot_http::GroupMode;
