//! GigaChat behind the model port of the AI fabric: token exchange and renewal, functions, streams.
//!
//! ```
//! use openclaw_core::Secret;
//! use openclaw_gigachat::{GigaChatConfig, GigaChatModel, Scope};
//! use openclaw_http_client::HttpClientConfig;
//! use openclaw_system::{SystemClock, SystemRandom};
//! use std::sync::Arc;
//!
//! let key = Secret::new("the authorization key, from the environment or a file");
//! let mut config = GigaChatConfig::new("gigachat".parse()?, key);
//! config.scope = Scope::Business;
//! assert_eq!(config.scope.parallel_streams(), 10);
//! let http = HttpClientConfig {
//!     // The certificate of the Russian Trusted Root CA goes here, read from its file.
//!     extra_roots: Vec::new(),
//!     ..HttpClientConfig::default()
//! };
//! let clock = Arc::new(SystemClock::new());
//! let model = GigaChatModel::new(config, http.build()?, clock, Arc::new(SystemRandom))?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `config`, `token` (the key's exchange), `request` (out), `decode` (in), `refusal` (no).
//!
//! Its servers are certified by the Russian Trusted Root CA, which systems do not know: give the client that root
//! ([`openclaw_http_client::HttpClientConfig`]). There is no switch to go without.
//!
//! Its limit is the number of parallel streams — [`Scope::parallel_streams`]: give the provider that number as its
//! `concurrentRequests`, and calls wait for a slot instead of being refused.
//!
//! Of a request's parameters, which are in OpenAI's names, it sends what the protocol has: `temperature`, `top_p`,
//! `repetition_penalty`, `update_interval`, `profanity_check`, and `tool_choice` as `function_call`. The rest is left
//! out.
//!
//! Invariants: each call is made once — the router owns retries — but for one repetition with a new token after a 401;
//! at most one exchange of the key is under way, and its failure is shared by all who waited for it; an answer ends
//! well only after the model has said that it stopped; errors hold neither key, token nor address; dropping an answer
//! closes its connection.
//!
//! The state a function call has at the provider (`functions_state_id`) travels in the id of the tool call and so comes
//! back with its result, through every store, without a memory of its own.
//!
//! It does not keep deadlines or count tokens.

#![forbid(unsafe_code)]

mod config;
mod decode;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod model;
mod refusal;
mod request;
mod token;

pub use config::{GigaChatConfig, Scope};
pub use model::GigaChatModel;
