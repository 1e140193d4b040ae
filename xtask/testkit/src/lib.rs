//! The outside world, as tests and benchmarks need it.
//!
//! Nothing here is part of the product: the crate stands beside it and knows it only through its ports — HTTP, the
//! file system, signals.
//!
//! | module | stands for |
//! | --- | --- |
//! | [`browser`] | a person with a browser: a headless Chromium over its DevTools protocol |
//! | [`fake_max`] | the MAX Bot API: its rules, its limits, its faults |
//! | [`fake_telegram`] | the Bot API: its rules, its limits, its faults |
//! | [`mock_provider`] | a model provider whose behaviour the model's name or the test chooses |
//! | [`server_process`] | the real `openclaw` binary on a data directory of its own: start, kill, restart |
//! | [`http_client`] | a small HTTP client that shows statuses, headers and server-sent events as they are |
//! | [`ledger`] | who wrote what and what came back: lost, doubled, out of order, in the wrong chat |
//! | [`listen()`] | listening as a server does that many connect to at once |
//! | [`optional`] | Python, Node and Chromium, where a test needs one and may be skipped without it |
//! | [`sdk`] | the official OpenAI SDKs for Python and JavaScript as clients |
//!
//! Every server binds 127.0.0.1 on a port the system chooses. Waiting is bounded everywhere, and no wait sleeps
//! longer than a few milliseconds between two looks.

#![forbid(unsafe_code)]

pub mod browser;
pub mod fake_max;
pub mod fake_telegram;
pub mod http_client;
pub mod ledger;
pub mod listen;
pub mod mock_provider;
pub mod optional;
pub mod sdk;
pub mod server_process;

pub use http_client::{HttpClient, Reply, RequestBuilder, SseEvent, SseReader};
pub use ledger::{Ledger, LedgerReport, SentMessage};
pub use listen::listen;
pub use mock_provider::{
    Answer, Content, End, Gate, Hold, MockOptions, MockProvider, RecordedRequest, Stats, UsageForm,
};
pub use server_process::{ServerProcess, ServerSetup};
