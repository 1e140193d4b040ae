//! What most tests begin with: a fake Telegram, a mock provider and the server between them.

use crate::BINARY;
use openclaw_testkit::fake_telegram::FakeTelegram;
use openclaw_testkit::{HttpClient, MockProvider, ServerProcess, ServerSetup};
use std::time::Duration;

pub(crate) const SECRET: &str = "webhook-secret_1";
/// Long enough for a slow machine; nothing waits for it when things go well.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) telegram: FakeTelegram,
    pub(crate) provider: MockProvider,
    pub(crate) server: ServerProcess,
}

/// A server with a Telegram webhook; `change` may add to its environment.
pub(crate) async fn world(change: impl FnOnce(ServerSetup) -> ServerSetup) -> World {
    let telegram = FakeTelegram::start().await.unwrap();
    let provider = MockProvider::start().await.unwrap();
    let setup = ServerSetup::new(BINARY)
        .provider(&provider)
        .env("TELEGRAM_BOT_TOKEN", telegram.token())
        .env("WEBHOOK_SECRET", SECRET)
        .env("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", telegram.base_url())
        .env("OPENCLAW__MESSENGER__TELEGRAM__MODE", "webhook")
        .env("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "edit");
    let server = change(setup).start().await.unwrap();
    telegram.set_webhook(&server.url("/webhook/telegram"), Some(SECRET));
    World {
        telegram,
        provider,
        server,
    }
}

/// Lets the messenger's limits be no obstacle.
pub(crate) fn without_limits(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__RPS", "100000")
        .env("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__BURST_SIZE", "100000")
        .env("OPENCLAW__MESSENGER__TELEGRAM__PRIVATE_CHAT__RPS", "100000")
        .env(
            "OPENCLAW__MESSENGER__TELEGRAM__PRIVATE_CHAT__BURST_SIZE",
            "100000",
        )
}

/// One worker, and one place to wait for it.
pub(crate) fn one_place(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "1")
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "1")
}

/// Every word is an event of its own.
pub(crate) fn word_by_word(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__STREAMING__API__FLUSH_TOKEN_THRESHOLD", "1")
        .env("OPENCLAW__STREAMING__WEB__FLUSH_TOKEN_THRESHOLD", "1")
}

/// A plain server with a provider and no messenger.
pub(crate) async fn api_world(
    change: impl FnOnce(ServerSetup) -> ServerSetup,
) -> (MockProvider, ServerProcess, HttpClient) {
    let provider = MockProvider::start().await.unwrap();
    let server = change(ServerSetup::new(BINARY).provider(&provider))
        .start()
        .await
        .unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    (provider, server, client)
}

impl World {
    /// Sends a private message; the webhook's status.
    pub(crate) async fn say(&self, user: i64, text: &str) -> u16 {
        self.telegram
            .deliver_update(&self.telegram.private_text(user, text))
            .await
            .unwrap()
    }

    /// The same from somebody whose Telegram is in another language.
    pub(crate) async fn say_in(&self, language: &str, user: i64, text: &str) -> u16 {
        let mut update = self.telegram.private_text(user, text);
        update["message"]["from"]["language_code"] = language.into();
        self.telegram.deliver_update(&update).await.unwrap()
    }

    /// Waits until some message of the chat reads exactly so.
    #[track_caller]
    pub(crate) fn hears(&self, user: i64, text: &str) -> impl Future<Output = ()> {
        let text = text.to_owned();
        let caller = std::panic::Location::caller();
        async move {
            let heard = self
                .telegram
                .wait_for(|state| state.chat(user).texts().contains(&text), LONG)
                .await;
            if heard.is_err() {
                let log = self.server.log();
                panic!(
                    "{caller}: chat {user} shows {:?}, not {text:?}\n{log}",
                    self.telegram.chat(user).texts()
                );
            }
        }
    }

    pub(crate) async fn metrics(&self) -> serde_json::Value {
        metrics(&self.server).await
    }
}

/// The eleven metrics.
pub(crate) async fn metrics(server: &ServerProcess) -> serde_json::Value {
    let token = server.admin_token().unwrap();
    let reply = server
        .http()
        .unwrap()
        .get("/admin/api/v1/metrics/concurrency")
        .bearer(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    reply.json().unwrap()
}
