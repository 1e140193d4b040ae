//! A model provider on loopback: OpenAI chat completions, Anthropic messages, Ollama chat.
//!
//! How it answers is decided in this order: the rule given to [`MockProvider::answer_with`], the scripted answers
//! in the order they were given to [`MockProvider::script`], the **model's name** — the one field every gateway
//! passes on unchanged (see [`Answer::for_model`]).
//!
//! ```
//! use openclaw_testkit::{Answer, HttpClient, MockProvider};
//! use serde_json::json;
//!
//! # fn main() -> anyhow::Result<()> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let provider = MockProvider::start().await?;
//! provider.script(Answer::text("Good morning!"));
//! let client = HttpClient::new(&provider.base_url())?;
//! let reply = client
//!     .post("/chat/completions")
//!     .json(&json!({"model": "any", "messages": [{"role": "user", "content": "Hello"}]}))
//!     .send()
//!     .await?;
//! assert_eq!(reply.json()?["choices"][0]["message"]["content"], "Good morning!");
//! assert_eq!(provider.requests()[0].last_user_text().as_deref(), Some("Hello"));
//! # Ok(()) })
//! # }
//! ```
//!
//! `GET /__stats` shows the counters as JSON, `POST /__reset` zeroes them: the benchmark driver reads them so.

mod answer;
mod serve;
mod wire;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use answer::{Answer, Content, End};

/// Where the mock listens and how much it remembers.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// The address to bind; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How many requests are kept for [`MockProvider::requests`]; the oldest are forgotten first. 0 keeps none, which
    /// is what a benchmark wants.
    pub remember: usize,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            remember: 4096,
        }
    }
}

/// A request for a completion as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The path, e.g. `/v1/chat/completions`.
    pub path: String,
    /// Header names in lower case with their values; a value that is not text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
    /// When its body was complete.
    pub at: Instant,
}

impl RecordedRequest {
    /// The model asked for; empty when the body names none.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The text of the last message with the role `user`: a string, or the text parts of a list joined.
    #[must_use]
    pub fn last_user_text(&self) -> Option<String> {
        last_user_text(&self.body)
    }
}

fn last_user_text(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array()?;
    let content = &messages.iter().rev().find(|message| message["role"] == "user")?["content"];
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        _ => None,
    }
}

/// What the mock has seen since it started or was last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests for a completion.
    pub requests: u64,
    /// Those answered as a stream.
    pub streams: u64,
    /// Stream pieces handed to the connection.
    pub chunks: u64,
    /// Answers that failed on purpose: refused, cut, or with an error inside.
    pub faults: u64,
    /// Streams whose reader went away before the last piece.
    pub disconnects: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests being answered at this moment.
    pub in_flight: u64,
    /// The most there were at once.
    pub in_flight_peak: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    streams: AtomicU64,
    chunks: AtomicU64,
    faults: AtomicU64,
    disconnects: AtomicU64,
    connections: AtomicU64,
    in_flight: AtomicU64,
    in_flight_peak: AtomicU64,
}

impl Counters {
    fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            streams: self.streams.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            faults: self.faults.load(Relaxed),
            disconnects: self.disconnects.load(Relaxed),
            connections: self.connections.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            in_flight_peak: self.in_flight_peak.load(Relaxed),
        }
    }

    /// Zeroes what has been counted; what is in flight stays in flight.
    fn reset(&self) {
        for counter in [
            &self.requests,
            &self.streams,
            &self.chunks,
            &self.faults,
            &self.disconnects,
            &self.connections,
        ] {
            counter.store(0, Relaxed);
        }
        self.in_flight_peak.store(self.in_flight.load(Relaxed), Relaxed);
    }

    fn json(&self) -> Value {
        let stats = self.stats();
        json!({
            "requests": stats.requests, "streams": stats.streams, "chunks": stats.chunks,
            "faults": stats.faults, "disconnects": stats.disconnects, "connections": stats.connections,
            "inflight": stats.in_flight, "inflight_max": stats.in_flight_peak,
        })
    }
}

type Rule = Arc<dyn Fn(&RecordedRequest) -> Option<Answer> + Send + Sync>;

/// What all connections of one mock share.
struct Shared {
    counters: Counters,
    remember: usize,
    /// Scripted answers not yet given.
    script: Mutex<VecDeque<Answer>>,
    rule: Mutex<Option<Rule>>,
    requests: Mutex<VecDeque<RecordedRequest>>,
    /// Told at every change a waiter may look for.
    changed: Notify,
    /// How many [`Hold`]s are alive.
    holds: watch::Sender<usize>,
}

/// A running mock provider. Dropping it closes its connections and its port.
pub struct MockProvider {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl fmt::Debug for MockProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockProvider")
            .field("address", &self.address)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// While it lives, no request is answered: each waits before its headers.
#[must_use = "the hold ends when this is dropped"]
pub struct Hold(Arc<Shared>);

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.send_modify(|holds| *holds = holds.saturating_sub(1));
    }
}

// === impl MockProvider ===

impl MockProvider {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start() -> Result<Self> {
        Self::start_with(MockOptions::default()).await
    }

    /// Starts as told.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(options: MockOptions) -> Result<Self> {
        let listener = crate::listen(options.listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            counters: Counters::default(),
            remember: options.remember,
            script: Mutex::default(),
            rule: Mutex::default(),
            requests: Mutex::default(),
            changed: Notify::new(),
            holds: watch::Sender::new(0),
        });
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into `OPENAI_BASE_URL`: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Answers one of the coming requests so; answers are used up in the order they were given.
    pub fn script(&self, answer: Answer) {
        self.shared.script.lock().push_back(answer);
    }

    /// Decides every coming request: `None` leaves it to the script and the model's name. Replaces the rule before.
    pub fn answer_with(&self, rule: impl Fn(&RecordedRequest) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.rule.lock() = Some(Arc::new(rule));
    }

    /// Forgets script and rule.
    pub fn clear_script(&self) {
        self.shared.script.lock().clear();
        *self.shared.rule.lock() = None;
    }

    /// Lets every request wait before its headers until the returned value, and every other one like it, is dropped.
    pub fn hold(&self) -> Hold {
        self.shared
            .holds
            .send_modify(|holds| *holds = holds.saturating_add(1));
        Hold(Arc::clone(&self.shared))
    }

    /// The requests remembered, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.requests.lock().iter().cloned().collect()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    /// Zeroes the counters and forgets the requests.
    pub fn reset(&self) {
        self.shared.counters.reset();
        self.shared.requests.lock().clear();
    }

    /// Waits until the counters satisfy `reached`.
    ///
    /// # Errors
    /// When that took longer than `limit`; the message holds the counters.
    pub async fn wait_until(&self, limit: Duration, reached: impl Fn(&Stats) -> bool) -> Result<Stats> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            // Registered before the look, so that a change between look and wait is not missed.
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let stats = self.stats();
            if reached(&stats) {
                return Ok(stats);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                bail!("the mock provider did not get there within {limit:?}: {stats:?}");
            }
        }
    }

    /// Waits until `count` requests have arrived and returns those remembered.
    ///
    /// # Errors
    /// When that took longer than `limit`.
    pub async fn wait_for_requests(&self, count: u64, limit: Duration) -> Result<Vec<RecordedRequest>> {
        self.wait_until(limit, |stats| stats.requests >= count).await?;
        Ok(self.requests())
    }

    /// Serves until the process ends: what a program of its own does.
    pub async fn run(mut self) {
        // A failed task is an aborted one: nobody aborts it but `drop`.
        let _ended = (&mut self.task).await;
    }
}
