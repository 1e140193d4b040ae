//! A local Ollama behind the model port of the AI fabric: its native chat, JSON Lines.
//!
//! ```
//! use openclaw_http_client::HttpClientConfig;
//! use openclaw_ollama::{OllamaConfig, OllamaModel};
//! use openclaw_system::SystemClock;
//! use std::sync::Arc;
//!
//! // What `OLLAMA_HOST` may hold: a host, a host and port, an address.
//! let config = OllamaConfig::new("ollama".parse()?, &OllamaConfig::base_url_of("localhost"));
//! assert_eq!(config.base_url, "http://localhost:11434");
//! let client = HttpClientConfig::default().build()?;
//! let model = OllamaModel::new(config, client, Arc::new(SystemClock::new()))?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `config`, `request` (out), `decode` (in), `refusal` (no), `discovery` (is one there?).
//!
//! Of a request's parameters, which are in OpenAI's names, it sends what the protocol has: as options `temperature`,
//! `top_p`, `top_k`, `min_p`, `seed`, `stop`, `frequency_penalty`, `presence_penalty`; `response_format` as `format`;
//! `think` as it stands. The rest is left out.
//!
//! Invariants: each call is made once — the router owns retries; an answer ends well only after a line that says
//! `done`; what the model thinks is never shown; tool calls have an id, made here, unique in the process; dropping an
//! answer closes its connection, which ends the model's work.
//!
//! It does not keep deadlines (loading a model may take minutes: the deadline for the first token must allow for it),
//! count tokens, or load models.

#![forbid(unsafe_code)]

mod config;
mod decode;
mod discovery;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod model;
mod refusal;
mod request;

pub use config::OllamaConfig;
pub use discovery::{Discovered, discover};
pub use model::OllamaModel;
