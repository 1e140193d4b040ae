//! Any OpenAI-compatible chat completions endpoint behind the model port of the AI fabric.
//!
//! ```
//! use openclaw_core::Secret;
//! use openclaw_http_client::HttpClientConfig;
//! use openclaw_openai::{OpenAiConfig, OpenAiModel};
//! use openclaw_system::SystemClock;
//! use std::sync::Arc;
//!
//! let config = OpenAiConfig::new(
//!     "openai".parse()?,
//!     "https://api.openai.com/v1",
//!     Some(Secret::new("the key, from the environment or a file")),
//! );
//! let client = HttpClientConfig::default().build()?;
//! let model = OpenAiModel::new(config, client, Arc::new(SystemClock::new()))?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `config`, `request` (out), `stream` and `chunk` (in), `refusal` and `header` (no).
//!
//! Invariants: each call is made once — the router owns retries; upstream is always asked for a stream; an answer ends
//! well only after the model has said that it stopped; errors hold neither key nor address; dropping an answer closes
//! its connection.
//!
//! It does not know other providers' own forms, keep deadlines or count tokens.

#![forbid(unsafe_code)]

mod chunk;
mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header;
mod model;
mod refusal;
mod request;
mod stream;

pub use config::{MaxTokensField, OpenAiConfig};
pub use model::OpenAiModel;
