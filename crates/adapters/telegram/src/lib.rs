//! Telegram behind the messenger port: webhook and long polling in, messages, edits and drafts out.
//!
//! Own wire types over an HTTP client that is handed in: the Bot API grows every few weeks, so whatever is unknown —
//! update kinds, entity types, chat types, fields — is normal and never an error. The adapter makes one attempt and
//! waits for no limit; pacing is the dispatcher's, retries are the gateway's.
//!
//! ```
//! use openclaw_core::Secret;
//! use openclaw_telegram::{TelegramConfig, render_markdown};
//!
//! let config = TelegramConfig::new(Secret::new("123456:token"));
//! assert_eq!(config.base_url, "https://api.telegram.org");
//! assert!(!format!("{config:?}").contains("123456"), "the token does not print");
//!
//! let rendered = render_markdown("**Hello**, `world`");
//! assert_eq!(rendered.text, "Hello, world");
//! assert_eq!(rendered.entities.len(), 2);
//! ```
//!
//! Reading order: [`config`], [`adapter`], [`bot`] (the calls beyond the port), [`update`]; private are the client
//! (`api`), its errors (`refusal`), the wire types (`wire`) and the wire's form of marked ranges (`entities`). What it
//! shares with other bots — Markdown, webhook secrets, outcomes of calls — is `openclaw-bot-http`'s.
//!
//! # Invariants
//!
//! - The token is in no `Debug`, log line or error: addresses are stripped from every error of the client.
//! - What is sent never exceeds the limit of one message, counted in UTF-16 code units; rendering Markdown never makes
//!   a text longer.
//! - An error says whether the message may have been sent all the same.

#![forbid(unsafe_code)]

pub mod adapter;
mod api;
pub mod bot;
pub mod config;
mod entities;
mod refusal;
pub mod update;
mod wire;

pub use adapter::TelegramAdapter;
pub use bot::{BotIdentity, PolledUpdate, WebhookInfo};
pub use config::TelegramConfig;
pub use entities::{render_markdown, render_unfinished};
pub use openclaw_bot_http::{Entity, EntityKind, GroupMode, Rendered};
