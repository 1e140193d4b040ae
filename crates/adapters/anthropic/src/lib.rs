//! Claude behind the model port of the AI fabric: the messages protocol.
//!
//! ```
//! use openclaw_anthropic::{AnthropicConfig, AnthropicModel};
//! use openclaw_core::Secret;
//! use openclaw_http_client::HttpClientConfig;
//! use openclaw_system::SystemClock;
//! use std::sync::Arc;
//!
//! let key = Secret::new("the key, from the environment or a file");
//! let config = AnthropicConfig::new("anthropic".parse()?, Some(key));
//! let client = HttpClientConfig::default().build()?;
//! let model = AnthropicModel::new(config, client, Arc::new(SystemClock::new()))?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `config`, `request` (out), `decode` (in), `refusal` and `quota` (no, and how much longer).
//!
//! Of a request's parameters, which are in OpenAI's names, it sends what the protocol has: `temperature` (at most 1),
//! `top_p`, `top_k`, `stop`, `tool_choice`, `parallel_tool_calls`, `thinking`. The rest is left out, because the
//! provider refuses requests with fields it does not know.
//!
//! Invariants: each call is made once — the router owns retries; an answer ends well only after the model has said that
//! it stopped; usage is reported only when it is final, never the placeholder an answer begins with; what the model
//! thinks is never shown; errors hold neither key nor address; dropping an answer closes its connection.
//!
//! It does not keep deadlines, count tokens or cache prompts.

#![forbid(unsafe_code)]

mod config;
mod decode;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod model;
mod quota;
mod refusal;
mod request;

pub use config::AnthropicConfig;
pub use model::AnthropicModel;
