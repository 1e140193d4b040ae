//! Bots of platforms, as the server runs them: what there is to do beyond sending and reading messages.

use crate::intake::Trouble;
use crate::keep::Watch;
use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use openclaw_core::{Platform, Secret, Timestamp};
use openclaw_max::MaxAdapter;
use openclaw_messenger::{DeliveryError, MessengerPort, ParseError, Parsed};
use openclaw_telegram::TelegramAdapter;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;

/// What a secret of a webhook is made for, so that it is none of anything else.
const SECRET_CONTEXT: &str = "openclaw webhook secret 1\n";
/// The same for the last part of its path.
const HOOK_CONTEXT: &str = "openclaw webhook path 1\n";
/// Characters of that part: 128 bits.
const HOOK_CHARS: usize = 32;
/// How many updates are asked for at once.
const BATCH: u32 = 100;

/// A bot, and how its updates come in.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) bot: Arc<dyn Bot>,
    pub(crate) intake: Intake,
    /// What the platform sends along with every update.
    pub(crate) secret: Option<Secret>,
    /// The last part of the webhook's path, where it is one that nobody can guess.
    pub(crate) hook: Option<Secret>,
    /// Why no updates come, while none do.
    pub(crate) trouble: Trouble,
    /// Whether the task that takes them runs.
    pub(crate) watch: Watch,
}

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Polling,
    /// The path is served; whether the platform is told of it depends on a public address.
    Webhook,
}

/// What a poll brought.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(crate) updates: Vec<Result<Parsed, ParseError>>,
    /// Where the next poll begins, which confirms all before it. `None`: where this one began.
    pub(crate) next: Option<i64>,
}

/// What the server does with a bot that is not the messenger port's: who it is, and how its updates come.
#[async_trait]
pub(crate) trait Bot: MessengerPort {
    /// The platform's name as people write it.
    fn name(&self) -> &'static str;

    /// The API's address.
    fn address(&self) -> &str;

    /// What to do about a token the platform does not know.
    fn token_advice(&self) -> &'static str;

    /// What to look at when the platform cannot be reached.
    fn network_advice(&self) -> &'static str;

    /// The bot's name, once the platform has told it.
    fn username(&self) -> Option<String>;

    /// Asks who the bot is.
    async fn ask_who(&self) -> Result<(), DeliveryError>;

    /// The name under which the place of the next poll is stored.
    fn position_key(&self) -> &'static str;

    /// The shortest time from one poll to the next.
    fn time_between_polls(&self) -> Duration;

    /// Ends whatever would keep polls from getting anything.
    async fn stop_webhooks(&self) -> Result<(), DeliveryError>;

    /// Waits for updates from `position` on, and confirms all before it.
    async fn poll(&self, position: Option<i64>, now: Timestamp) -> Result<Polled, DeliveryError>;

    /// Has updates sent to `url`, and no longer to other addresses that begin with `ours`.
    async fn register(&self, url: &str, ours: &str, secret: &Secret) -> Result<(), DeliveryError>;

    /// After how long to look whether the platform still sends updates; never for one that does not end that by itself.
    fn time_between_looks(&self) -> Option<Duration>;

    /// Whether the platform sends updates to `url`.
    async fn is_registered(&self, url: &str) -> Result<bool, DeliveryError>;
}

// === impl Connected ===

impl Connected {
    /// The path of the webhook without what nobody must guess.
    pub(crate) fn open_path(&self) -> &'static str {
        match self.bot.platform() {
            Platform::Max => "/webhook/max",
            Platform::Telegram | Platform::Web | Platform::Api => "/webhook/telegram",
        }
    }

    /// The path of the webhook.
    pub(crate) fn path(&self) -> Secret {
        let open = self.open_path();
        match &self.hook {
            Some(hook) => Secret::new(format!("{open}/{}", hook.expose())),
            None => Secret::new(open),
        }
    }

    /// Whether a webhook's path ends as it must. Digests are compared, so the time tells nothing.
    pub(crate) fn is_hook(&self, hook: Option<&str>) -> bool {
        match (&self.hook, hook) {
            (None, None) => true,
            (Some(own), Some(other)) => crate::keys::digest(own.expose()) == crate::keys::digest(other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

// === impl Intake ===

impl Intake {
    /// As the API has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Webhook => "webhook",
        }
    }
}

/// A webhook's secret for a platform where nobody set one: the same at every start with this data directory and token.
pub(crate) fn webhook_secret(key: &Secret, token: &Secret) -> Secret {
    Secret::new(mac(key, &[SECRET_CONTEXT, token.expose()]))
}

/// The last part of the path of a webhook with this secret.
pub(crate) fn webhook_hook(secret: &Secret) -> Secret {
    let mut hook = mac(secret, &[HOOK_CONTEXT]);
    hook.truncate(HOOK_CHARS);
    Secret::new(hook)
}

fn mac(key: &Secret, parts: &[&str]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    let code: [u8; 32] = mac.finalize().into_bytes().into();
    crate::keys::hex(&code)
}

#[async_trait]
impl Bot for TelegramAdapter {
    fn name(&self) -> &'static str {
        "Telegram"
    }

    fn address(&self) -> &str {
        &self.config().base_url
    }

    fn token_advice(&self) -> &'static str {
        "set TELEGRAM_BOT_TOKEN to the token that @BotFather shows for it"
    }

    fn network_advice(&self) -> &'static str {
        "check the network and messenger.telegram.baseUrl"
    }

    fn username(&self) -> Option<String> {
        self.identity().map(|bot| bot.username)
    }

    async fn ask_who(&self) -> Result<(), DeliveryError> {
        self.connect().await.map(drop)
    }

    fn position_key(&self) -> &'static str {
        "telegram.offset"
    }

    fn time_between_polls(&self) -> Duration {
        Duration::ZERO
    }

    async fn stop_webhooks(&self) -> Result<(), DeliveryError> {
        self.delete_webhook().await
    }

    async fn poll(&self, position: Option<i64>, now: Timestamp) -> Result<Polled, DeliveryError> {
        let updates = self
            .get_updates(position, BATCH, Duration::from_secs(50), now)
            .await?;
        let last = updates.iter().map(|update| update.update_id).max();
        Ok(Polled {
            updates: updates.into_iter().map(|update| update.parsed).collect(),
            next: last.and_then(|last| last.checked_add(1)),
        })
    }

    async fn register(&self, url: &str, _ours: &str, secret: &Secret) -> Result<(), DeliveryError> {
        self.set_webhook(url, secret).await
    }

    fn time_between_looks(&self) -> Option<Duration> {
        None
    }

    async fn is_registered(&self, url: &str) -> Result<bool, DeliveryError> {
        Ok(self.webhook_info().await?.url == url)
    }
}

#[async_trait]
impl Bot for MaxAdapter {
    fn name(&self) -> &'static str {
        "MAX"
    }

    fn address(&self) -> &str {
        &self.config().base_url
    }

    fn token_advice(&self) -> &'static str {
        "set MAX_BOT_TOKEN to the token that MAX shows for it"
    }

    fn network_advice(&self) -> &'static str {
        "check the network, messenger.max.baseUrl and, for a certificate that is not accepted, messenger.max.rootCertificate"
    }

    /// A bot without a name is told by its number.
    fn username(&self) -> Option<String> {
        self.identity().map(|bot| match bot.username.as_str() {
            "" => bot.id.to_string(),
            _ => bot.username,
        })
    }

    async fn ask_who(&self) -> Result<(), DeliveryError> {
        self.connect().await.map(drop)
    }

    fn position_key(&self) -> &'static str {
        "max.marker"
    }

    /// The platform takes two polls a second.
    fn time_between_polls(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn stop_webhooks(&self) -> Result<(), DeliveryError> {
        for subscription in self.subscriptions().await? {
            tracing::info!("a webhook of MAX is removed, since updates are polled");
            self.unsubscribe(&subscription.url).await?;
        }
        Ok(())
    }

    async fn poll(&self, position: Option<i64>, now: Timestamp) -> Result<Polled, DeliveryError> {
        let batch = self
            .get_updates(position, BATCH, Duration::from_secs(30), now)
            .await?;
        Ok(Polled {
            updates: batch.updates,
            next: batch.marker,
        })
    }

    async fn register(&self, url: &str, ours: &str, secret: &Secret) -> Result<(), DeliveryError> {
        self.subscribe(url, secret).await?;
        // Those of an earlier secret would bring every update a second time, to a path that is served no more.
        for other in self.subscriptions().await? {
            if other.url == url {
                continue;
            }
            let rest = other.url.strip_prefix(ours);
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                self.unsubscribe(&other.url).await?;
            } else {
                tracing::warn!("MAX sends this bot's updates to another address, too");
            }
        }
        Ok(())
    }

    /// After eight hours of failures the platform ends a subscription without a word.
    fn time_between_looks(&self) -> Option<Duration> {
        Some(Duration::from_secs(600))
    }

    async fn is_registered(&self, url: &str) -> Result<bool, DeliveryError> {
        let subscriptions = self.subscriptions().await?;
        Ok(subscriptions.iter().any(|subscription| subscription.url == url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhooks_secret_and_path_are_the_same_at_every_start_and_tell_nothing_of_each_other() {
        let (key, token) = (Secret::new("key"), Secret::new("token"));
        let secret = webhook_secret(&key, &token);
        assert_eq!(secret.expose(), webhook_secret(&key, &token).expose());
        assert_eq!(secret.expose().len(), 64);
        assert_ne!(
            secret.expose(),
            webhook_secret(&Secret::new("other"), &token).expose()
        );
        assert_ne!(
            secret.expose(),
            webhook_secret(&key, &Secret::new("other")).expose()
        );
        let hook = webhook_hook(&secret);
        assert_eq!(hook.expose().len(), HOOK_CHARS);
        assert!(!secret.expose().contains(hook.expose()));
    }
}
