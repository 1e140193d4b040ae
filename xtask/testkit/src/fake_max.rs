//! A MAX Bot API server inside the test: validates calls as the platform does, remembers what every chat shows, fails on
//! demand and counts how fast it is called.
//!
//! It listens on a free port of 127.0.0.1 and stops when it is dropped. Everything waits for notifications; nothing
//! sleeps.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use openclaw_testkit::fake_max::{FakeMax, MaxFault, dialog_of};
//! use std::time::Duration;
//!
//! let max = FakeMax::start().await?;
//! max.fault("POST /messages", MaxFault::RateLimited { retry_after: Some(1) });
//! let hello = max.private_text(42, "hello");
//! max.queue_update(hello); // for long polling; `deliver_update` posts to the subscription
//! max.wait_for(|state| state.chat(dialog_of(42)).texts().contains(&"hi".to_owned()), Duration::from_secs(5))
//!     .await
//!     .expect("an answer");
//! # Ok(())
//! # }
//! ```

mod methods;
mod server;
mod state;
mod update;

pub use crate::fake_telegram::WaitTimeout;
pub use state::{MaxCall, MaxChat, MaxFault, MaxMessage, MaxState, MaxSubscription};
pub use update::dialog_of;

use crate::mock_provider::listen::self_signed;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The bot's number.
pub const BOT_ID: i64 = 800_800;
/// The bot's name.
pub const BOT_USERNAME: &str = "openclaw_max_bot";
/// The bot's token.
pub const TOKEN: &str = "f9LHodD0cOL-fake-max-token-do-not-log-0123456789";
/// The header that holds the webhook's secret.
pub const SECRET_HEADER: &str = "X-Max-Bot-Api-Secret";

/// A running fake. Dropping it stops it.
pub struct FakeMax {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    server: JoinHandle<()>,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

/// What the server's tasks and the test share.
struct Shared {
    state: Mutex<MaxState>,
    /// Told after every call and every change.
    changed: Notify,
    /// Told when updates come for polling.
    updates: Notify,
    started: Instant,
}

// === impl FakeMax ===

impl FakeMax {
    /// Starts a server on a free port.
    pub async fn start() -> io::Result<Self> {
        Self::listen(None).await
    }

    /// Starts one that speaks TLS, and tells the certificate, as PEM, under which nobody knows it but who trusts that.
    pub async fn start_tls() -> anyhow::Result<(Self, String)> {
        let (acceptor, certificate) = self_signed()?;
        Ok((Self::listen(Some(acceptor)).await?, certificate))
    }

    async fn listen(tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = crate::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(MaxState::default()),
            changed: Notify::new(),
            updates: Notify::new(),
            started: Instant::now(),
        });
        let server = tokio::spawn(server::serve(listener, tls, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            scheme,
            server,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// What to set as the adapter's base URL.
    pub fn base_url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The only token it accepts.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// A copy of what a chat shows.
    pub fn chat(&self, id: i64) -> MaxChat {
        self.lock().chat(id)
    }

    /// The calls of one method, such as `POST /messages`.
    pub fn calls_of(&self, method: &str) -> Vec<MaxCall> {
        let state = self.lock();
        state
            .calls
            .iter()
            .filter(|call| call.method == method)
            .cloned()
            .collect()
    }

    /// How many calls of one method came.
    pub fn call_count(&self, method: &str) -> u64 {
        self.lock().counts.get(method).copied().unwrap_or(0)
    }

    /// Looks at everything at once.
    pub fn with_state<R>(&self, look: impl FnOnce(&MaxState) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until the condition holds; it is looked at after every change. `Err` after `timeout`.
    pub async fn wait_for(
        &self,
        mut condition: impl FnMut(&MaxState) -> bool,
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
                calls: self.lock().counts.clone(),
            })
    }

    /// The next call of `method` fails so. Faults of one method happen in the order they were added.
    pub fn fault(&self, method: &str, fault: MaxFault) {
        self.lock()
            .faults
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// The next `times` calls of `method` fail so.
    pub fn fault_times(&self, method: &str, times: usize, fault: &MaxFault) {
        let mut state = self.lock();
        let faults = state.faults.entry(method.to_owned()).or_default();
        faults.extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// The most calls of all methods that send or change something in any window of this length.
    pub fn max_calls_within(&self, window: Duration) -> usize {
        self.lock().max_calls_within(window)
    }

    /// Where updates are sent now.
    pub fn subscriptions(&self) -> Vec<MaxSubscription> {
        self.lock().subscriptions.clone()
    }

    /// Sends updates to `url` with this secret, as a bot's owner may set by hand.
    pub fn subscribe(&self, url: &str, secret: Option<&str>) {
        let mut state = self.lock();
        state.subscriptions.push(MaxSubscription {
            url: url.to_owned(),
            secret: secret.map(str::to_owned),
        });
        self.shared.changed.notify_waiters();
    }

    /// What the platform does after eight hours without a 200.
    pub fn unsubscribe_all(&self) {
        self.lock().subscriptions.clear();
        self.shared.changed.notify_waiters();
    }

    /// Puts an update where long polling finds it.
    pub fn queue_update(&self, update: Value) {
        self.lock().queue(update);
        self.shared.updates.notify_waiters();
        self.shared.changed.notify_waiters();
    }

    /// Posts an update to the first subscription, with its secret, and returns the status of the answer. Posting the same
    /// update twice is a redelivery.
    pub async fn deliver_update(&self, update: &Value) -> anyhow::Result<u16> {
        let secret = self
            .lock()
            .subscriptions
            .first()
            .and_then(|one| one.secret.clone());
        let headers: Vec<(&str, String)> = secret.into_iter().map(|secret| (SECRET_HEADER, secret)).collect();
        self.post_webhook(update.to_string().into_bytes(), &headers).await
    }

    /// Posts any body with any headers to the first subscription and returns the status of the answer.
    pub async fn post_webhook(&self, body: Vec<u8>, headers: &[(&str, String)]) -> anyhow::Result<u16> {
        let url = self.lock().subscriptions.first().map(|one| one.url.clone());
        let url = url.ok_or_else(|| anyhow::anyhow!("there is no subscription"))?;
        self.post_to(&url, body, headers).await
    }

    /// Posts any body with any headers anywhere.
    pub async fn post_to(&self, url: &str, body: Vec<u8>, headers: &[(&str, String)]) -> anyhow::Result<u16> {
        let mut request = Request::post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.client.request(request.body(Full::from(body))?).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }

    fn lock(&self) -> MutexGuard<'_, MaxState> {
        self.shared.state.lock()
    }
}

impl Drop for FakeMax {
    fn drop(&mut self) {
        // The connections' tasks live in a set that the accept loop owns, and end with it.
        self.server.abort();
    }
}

impl fmt::Debug for FakeMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeMax")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
