//! How updates come in other than by somebody calling us: long polling, and telling Telegram where the webhook is.

use crate::keep::keep;
use crate::wire::{Built, Intake, Telegram};
use openclaw_core::{Clock, CodedError};
use openclaw_gateway::Gateway;
use openclaw_gateway::ports::MetaStore;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind, Parsed};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one poll waits for news.
const POLL_TIME: Duration = Duration::from_secs(50);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Where the next poll begins.
const OFFSET_KEY: &str = "telegram.offset";

/// What keeps a platform's updates from coming, for `openclaw status`; nothing while they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// Held for a copy only.
    now: Arc<Mutex<Option<String>>>,
}

// === impl Trouble ===

impl Trouble {
    /// What it is now.
    pub(crate) fn now(&self) -> Option<String> {
        self.now.lock().clone()
    }

    fn is(&self, what: String) {
        *self.now.lock() = Some(what);
    }

    fn is_over(&self) {
        *self.now.lock() = None;
    }
}

/// What runs until the server stops.
#[derive(Debug)]
pub(crate) struct Running {
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Stops taking updates. What was taken is in the inbox.
    pub(crate) async fn stop(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Starts what the configuration asks for.
pub(crate) fn start(built: &Built, public_url: Option<&str>) -> Running {
    let running = Running {
        closing: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let Some(telegram) = built.telegram.clone() else {
        return running;
    };
    let (closing, clock) = (running.closing.clone(), Arc::clone(&built.app.clock));
    let (watch, kept_clock, kept_closing) = (telegram.watch.clone(), Arc::clone(&clock), closing.clone());
    match telegram.intake {
        Intake::Polling => {
            let poller = Poller {
                telegram,
                gateway: built.gateway.clone(),
                meta: Arc::clone(&built.meta),
                clock,
                closing,
            };
            running.tasks.spawn(keep(
                "telegram.polling",
                watch,
                kept_clock,
                kept_closing,
                move || poller.clone().run(),
            ));
        }
        Intake::Webhook => {
            let url = public_url.map(|url| format!("{}/webhook/telegram", url.trim_end_matches('/')));
            running.tasks.spawn(keep(
                "telegram.webhook",
                watch,
                kept_clock,
                kept_closing,
                move || register(telegram.clone(), url.clone(), Arc::clone(&clock), closing.clone()),
            ));
        }
    }
    running
}

/// Learns who the bot is, and tells Telegram where its webhook is where that is known.
async fn register(
    telegram: Telegram,
    url: Option<String>,
    clock: Arc<dyn Clock>,
    closing: CancellationToken,
) {
    let registering = async {
        connect(&telegram, &*clock).await;
        let (Some(url), Some(secret)) = (url, &telegram.secret) else {
            return;
        };
        let mut wait = FIRST_WAIT;
        while let Err(error) = telegram.adapter.set_webhook(&url, secret).await {
            tracing::warn!(%error, url, "the webhook is not registered yet");
            clock.sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        tracing::info!(url, "the webhook is registered");
    };
    tokio::select! {
        () = registering => {}
        () = closing.cancelled() => {}
    }
}

/// Asks who we are until Telegram says so. Until then groups are not answered, since nobody knows our name.
async fn connect(telegram: &Telegram, clock: &dyn Clock) {
    let mut wait = FIRST_WAIT;
    loop {
        match telegram.adapter.connect().await {
            Ok(identity) => {
                telegram.trouble.is_over();
                tracing::info!(username = identity.username, "connected to Telegram");
                return;
            }
            Err(error) => {
                let address = &telegram.adapter.config().base_url;
                telegram.trouble.is(format!("{address}: {error}"));
                if error.kind == DeliveryErrorKind::BadToken {
                    tracing::warn!(%error, address, "the bot is not connected; set TELEGRAM_BOT_TOKEN to the token that @BotFather shows for it");
                } else {
                    tracing::warn!(%error, address, "the bot is not connected yet and is tried again; check the network and messenger.telegram.baseUrl");
                }
                clock.sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

#[derive(Clone)]
struct Poller {
    telegram: Telegram,
    gateway: Gateway,
    meta: Arc<dyn MetaStore>,
    clock: Arc<dyn Clock>,
    closing: CancellationToken,
}

impl Poller {
    async fn run(self) {
        tokio::select! {
            () = self.poll() => {}
            () = self.closing.cancelled() => {}
        }
    }

    async fn poll(&self) {
        connect(&self.telegram, &*self.clock).await;
        // A webhook that is still set would keep every poll from getting anything.
        if let Err(error) = self.telegram.adapter.delete_webhook().await {
            tracing::warn!(%error, "a webhook that may be set was not removed");
        }
        let mut offset = self.stored_offset().await;
        let mut wait = FIRST_WAIT;
        loop {
            match self
                .telegram
                .adapter
                .get_updates(offset, 100, POLL_TIME, self.clock.now())
                .await
            {
                Ok(updates) => {
                    self.telegram.trouble.is_over();
                    wait = FIRST_WAIT;
                    match self.take(updates).await {
                        // Asking with the next offset confirms, so it is asked only after the commit.
                        Some(next) => {
                            offset = Some(next);
                            self.store_offset(next).await;
                        }
                        None => continue,
                    }
                }
                Err(error) => {
                    let address = &self.telegram.adapter.config().base_url;
                    self.telegram.trouble.is(format!("{address}: {error}"));
                    report(&error, address);
                    let pause = error.retry_after().unwrap_or(wait);
                    self.clock.sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Makes a batch durable; the offset that confirms it. Tries until it is: what is not confirmed comes again.
    async fn take(&self, updates: Vec<openclaw_telegram::PolledUpdate>) -> Option<i64> {
        let next = updates
            .iter()
            .map(|update| update.update_id)
            .max()?
            .checked_add(1)?;
        let mut messages = Vec::new();
        for update in updates {
            match update.parsed {
                Ok(Parsed::Messages(parsed)) => messages.extend(parsed),
                Ok(Parsed::Ignored { .. }) => {}
                Ok(Parsed::Migrated { from, to }) => {
                    self.gateway
                        .chat_moved(openclaw_core::Platform::Telegram, &from, &to);
                }
                Err(error) => {
                    tracing::warn!(%error, update = update.update_id, "an update cannot be understood")
                }
            }
        }
        let mut wait = FIRST_WAIT;
        while !messages.is_empty() {
            match self.gateway.receive(messages.clone(), None).await {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "updates are not taken yet");
                    self.clock
                        .sleep(error.retry_after().unwrap_or(wait).min(LONGEST_WAIT))
                        .await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        Some(next)
    }

    async fn stored_offset(&self) -> Option<i64> {
        match self.meta.get_meta(OFFSET_KEY).await {
            Ok(text) => text.and_then(|text| text.parse().ok()),
            Err(error) => {
                tracing::warn!(%error, "the polling position cannot be read; what comes again is known by its id");
                None
            }
        }
    }

    async fn store_offset(&self, offset: i64) {
        if let Err(error) = self.meta.put_meta(OFFSET_KEY, &offset.to_string()).await {
            tracing::warn!(%error, "the polling position is not stored; what comes again is known by its id");
        }
    }
}

fn report(error: &DeliveryError, address: &str) {
    match &error.kind {
        DeliveryErrorKind::Conflict => {
            tracing::warn!(%error, address, "another process polls with this token, or a webhook is set; only one can get the updates");
        }
        _ => tracing::warn!(%error, address, "polling failed and is tried again"),
    }
}
