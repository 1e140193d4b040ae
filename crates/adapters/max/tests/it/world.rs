//! A fake MAX and an adapter that talks to it.

use openclaw_core::{ChatId, ChatKind, OutgoingMessage, Secret, TextFormat};
use openclaw_max::{BotIdentity, MaxAdapter, MaxConfig};
use openclaw_testkit::fake_max::{BOT_ID, BOT_USERNAME, FakeMax};
use std::time::Duration;

pub(crate) struct World {
    pub(crate) fake: FakeMax,
    pub(crate) adapter: MaxAdapter,
}

pub(crate) async fn world() -> World {
    world_with(|_| {}).await
}

pub(crate) async fn world_with(change: impl FnOnce(&mut MaxConfig)) -> World {
    let fake = FakeMax::start().await.unwrap();
    let mut config = MaxConfig::new(Secret::new(fake.token()));
    config.base_url = fake.base_url();
    change(&mut config);
    let adapter = MaxAdapter::new(config, http());
    World { fake, adapter }
}

pub(crate) fn http() -> reqwest::Client {
    // Another test of this process may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(2))
        .build()
        .unwrap()
}

pub(crate) fn us() -> BotIdentity {
    BotIdentity {
        id: BOT_ID,
        username: BOT_USERNAME.to_owned(),
    }
}

pub(crate) fn plain(chat: i64, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat: ChatId::parse(chat.to_string()).unwrap(),
        chat_kind: ChatKind::Private,
        reply_to: None,
        text: text.to_owned(),
        format: TextFormat::Plain,
    }
}

pub(crate) fn markdown(chat: i64, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        format: TextFormat::Markdown,
        ..plain(chat, text)
    }
}
