//! A fake Telegram and an adapter that talks to it.

use openclaw_core::{ChatId, ChatKind, OutgoingMessage, Secret, TextFormat};
use openclaw_telegram::{BotIdentity, TelegramAdapter, TelegramConfig};
use openclaw_testkit::fake_telegram::{BOT_ID, BOT_USERNAME, FakeTelegram};
use std::time::Duration;

pub(crate) struct World {
    pub(crate) fake: FakeTelegram,
    pub(crate) adapter: TelegramAdapter,
}

pub(crate) async fn world() -> World {
    world_with(|_| {}).await
}

pub(crate) async fn world_with(change: impl FnOnce(&mut TelegramConfig)) -> World {
    let fake = FakeTelegram::start().await.unwrap();
    let mut config = TelegramConfig::new(Secret::new(fake.token()));
    config.base_url = fake.base_url();
    change(&mut config);
    let adapter = TelegramAdapter::new(config, http());
    World { fake, adapter }
}

pub(crate) fn http() -> reqwest::Client {
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

pub(crate) fn us() -> BotIdentity {
    BotIdentity {
        id: BOT_ID,
        username: BOT_USERNAME.to_owned(),
    }
}

pub(crate) fn plain(chat: &str, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat: ChatId::parse(chat).unwrap(),
        chat_kind: ChatKind::Private,
        reply_to: None,
        text: text.to_owned(),
        format: TextFormat::Plain,
    }
}

pub(crate) fn markdown(chat: &str, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        format: TextFormat::Markdown,
        ..plain(chat, text)
    }
}
