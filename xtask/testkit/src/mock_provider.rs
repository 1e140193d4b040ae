//! A model provider on loopback: OpenAI chat completions, Anthropic messages, GigaChat with its exchange of keys, Ollama
//! chat; over TLS where that is asked for.
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
mod gate;
pub(crate) mod listen;
mod request;
mod serve;
mod stats;
mod stream;
mod wire;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use answer::{Answer, Content, End, UsageForm};
pub use gate::Gate;
pub use request::RecordedRequest;
pub use stats::Stats;

use stats::Counters;

/// Where the mock listens and how much it remembers.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// The address to bind; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How many requests are kept for [`MockProvider::requests`]; the oldest are forgotten first. 0 keeps none, which
    /// is what a benchmark wants.
    pub remember: usize,
    /// Whether it speaks TLS, with a certificate it has signed itself a moment ago.
    pub tls: bool,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            remember: 4096,
            tls: false,
        }
    }
}

type Rule = Arc<dyn Fn(&RecordedRequest) -> Option<Answer> + Send + Sync>;

/// What all connections of one mock share.
struct Shared {
    counters: Counters,
    remember: usize,
    /// Scripted answers not yet given.
    script: Mutex<VecDeque<Answer>>,
    /// The same for exchanges of keys.
    exchanges: Mutex<VecDeque<Answer>>,
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
    /// PEM, where it speaks TLS.
    certificate: Option<String>,
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
            exchanges: Mutex::default(),
            rule: Mutex::default(),
            requests: Mutex::default(),
            changed: Notify::new(),
            holds: watch::Sender::new(0),
        });
        let (acceptor, certificate) = match options.tls {
            true => {
                listen::self_signed().map(|(acceptor, certificate)| (Some(acceptor), Some(certificate)))?
            }
            false => (None, None),
        };
        let task = tokio::spawn(listen::accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            task,
            certificate,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, or the same with `https`: the base of Anthropic's and Ollama's paths.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// What goes into `OPENAI_BASE_URL`: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// The base of GigaChat's paths.
    #[must_use]
    pub fn gigachat_base_url(&self) -> String {
        format!("{}/gigachat/api/v1", self.origin())
    }

    /// Where GigaChat's key is exchanged for a token.
    #[must_use]
    pub fn gigachat_auth_url(&self) -> String {
        format!("{}/gigachat/api/v2/oauth", self.origin())
    }

    /// The certificate it shows, PEM; `None` without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Answers one of the coming requests so; answers are used up in the order they were given.
    pub fn script(&self, answer: Answer) {
        self.shared.script.lock().push_back(answer);
    }

    /// Answers one of the coming exchanges of keys so: refusals and silences, anything else is a token.
    pub fn script_exchange(&self, answer: Answer) {
        self.shared.exchanges.lock().push_back(answer);
    }

    /// Decides every coming request: `None` leaves it to the script and the model's name. Replaces the rule before.
    pub fn answer_with(&self, rule: impl Fn(&RecordedRequest) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.rule.lock() = Some(Arc::new(rule));
    }

    /// Forgets script and rule.
    pub fn clear_script(&self) {
        self.shared.script.lock().clear();
        self.shared.exchanges.lock().clear();
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
