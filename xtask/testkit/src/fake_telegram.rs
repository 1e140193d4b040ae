//! A Bot API server inside the test: validates calls as Telegram does, remembers what every chat shows, fails on
//! demand and counts how fast it is called.
//!
//! It listens on a free port of 127.0.0.1, serves HTTP/1.1 with JSON, form or query parameters, and stops when it is
//! dropped. Everything waits for notifications; nothing sleeps.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use openclaw_testkit::fake_telegram::{Fault, FakeTelegram};
//! use std::time::Duration;
//!
//! let telegram = FakeTelegram::start().await?;
//! telegram.fault("sendMessage", Fault::RateLimited { retry_after: 1 });
//! let hello = telegram.private_text(42, "hello");
//! telegram.queue_update(hello); // for long polling; `deliver_update` posts to the webhook
//! telegram
//!     .wait_for(|state| state.chat(42).texts().contains(&"hi".to_owned()), Duration::from_secs(5))
//!     .await
//!     .expect("an answer");
//! # Ok(())
//! # }
//! ```

mod fault;
mod methods;
pub(crate) mod server;
mod state;
mod update;

pub use fault::Fault;
pub use state::{Call, ChatState, Draft, FakeMessage, State};

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The bot's number and the first part of its token.
pub const BOT_ID: i64 = 700_700;
/// The bot's name.
pub const BOT_USERNAME: &str = "openclaw_test_bot";
/// The bot's token.
pub const TOKEN: &str = "700700:fake-token-do-not-log-0123456789abc";

/// The header that holds the webhook's secret.
pub const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

/// A running fake. Dropping it stops it.
pub struct FakeTelegram {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

/// What the server's tasks and the test share.
struct Shared {
    state: Mutex<State>,
    /// Told after every call and every change.
    changed: Notify,
    /// Told when updates come for polling, and when another poller takes over.
    updates: Notify,
    started: Instant,
}

// === impl FakeTelegram ===

impl FakeTelegram {
    /// Starts a server on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = crate::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Notify::new(),
            updates: Notify::new(),
            started: Instant::now(),
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// What to set as the adapter's base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The only token it accepts.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// A copy of what a chat shows.
    pub fn chat(&self, id: i64) -> ChatState {
        self.lock().chat(id)
    }

    /// All calls so far, in the order they came.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The calls of one method.
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        let state = self.lock();
        state
            .calls
            .iter()
            .filter(|call| call.method == method)
            .cloned()
            .collect()
    }

    /// How many calls came, also when they are not recorded.
    pub fn call_count(&self, method: &str) -> u64 {
        self.lock().counts.get(method).copied().unwrap_or(0)
    }

    /// Looks at everything at once.
    pub fn with_state<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until the condition holds; it is looked at after every change. `Err` after `timeout`.
    pub async fn wait_for(
        &self,
        mut condition: impl FnMut(&State) -> bool,
        timeout: Duration,
    ) -> Result<(), WaitTimeout> {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                // From here on no change is missed, the one between the look and the wait included.
                changed.as_mut().enable();
                if condition(&self.lock()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, wait)
            .await
            .map_err(|_| WaitTimeout {
                calls: self.lock().summary(),
            })
    }

    /// The next call of `method` fails so. Faults of one method happen in the order they were added.
    pub fn fault(&self, method: &str, fault: Fault) {
        self.lock()
            .faults
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// The next `times` calls of `method` fail so.
    pub fn fault_times(&self, method: &str, times: usize, fault: &Fault) {
        let mut state = self.lock();
        let faults = state.faults.entry(method.to_owned()).or_default();
        faults.extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// Every call to this chat fails so, until it is set to `None`.
    pub fn fault_chat(&self, chat: i64, fault: Option<Fault>) {
        let mut state = self.lock();
        match fault {
            Some(fault) => state.chat_faults.insert(chat, fault),
            None => state.chat_faults.remove(&chat),
        };
    }

    /// Every call is answered this much later.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Whether it knows `sendMessageDraft`. It does, unless told otherwise.
    pub fn set_drafts(&self, known: bool) {
        self.lock().no_drafts = !known;
    }

    /// Whether calls are remembered one by one. Switch it off for long benchmarks; chats and counts are kept anyway.
    pub fn set_recording(&self, recording: bool) {
        self.lock().not_recording = !recording;
    }

    /// How long ago it was started: the time its calls are noted in.
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Sends updates to `url` with this secret, as `setWebhook` would.
    pub fn set_webhook(&self, url: &str, secret: Option<&str>) {
        let mut state = self.lock();
        state.webhook_url = url.to_owned();
        state.webhook_secret = secret.map(str::to_owned);
    }

    /// Puts an update where long polling finds it.
    pub fn queue_update(&self, update: Value) {
        self.lock().queue(update);
        self.shared.updates.notify_waiters();
        self.shared.changed.notify_waiters();
    }

    /// Posts an update to the webhook, with its secret, and returns the status of the answer. Posting the same update
    /// twice is a redelivery.
    pub async fn deliver_update(&self, update: &Value) -> anyhow::Result<u16> {
        let secret = self.lock().webhook_secret.clone();
        let headers: Vec<(&str, String)> = secret.into_iter().map(|secret| (SECRET_HEADER, secret)).collect();
        self.post_webhook(update.to_string().into_bytes(), &headers).await
    }

    /// Posts any body with any headers to the webhook and returns the status of the answer.
    pub async fn post_webhook(&self, body: Vec<u8>, headers: &[(&str, String)]) -> anyhow::Result<u16> {
        let url = self.lock().webhook_url.clone();
        anyhow::ensure!(!url.is_empty(), "no webhook is set");
        let mut request = Request::post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.client.request(request.body(Full::from(body))?).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }
}

impl Drop for FakeTelegram {
    fn drop(&mut self) {
        // The connections' tasks live in a set that the accept loop owns, and end with it.
        self.server.abort();
    }
}

impl fmt::Debug for FakeTelegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTelegram")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What was waited for did not happen.
#[derive(Clone, Debug)]
pub struct WaitTimeout {
    /// How often each method was called until then.
    pub calls: HashMap<String, u64>,
}

impl fmt::Display for WaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what was waited for did not happen; calls so far: {:?}",
            self.calls
        )
    }
}

impl std::error::Error for WaitTimeout {}
