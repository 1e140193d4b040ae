//! The calls beyond the messenger port: who the bot is, how its updates come.

use crate::adapter::TelegramAdapter;
use crate::refusal::CallError;
use crate::update::parse_update;
use crate::wire;
use openclaw_core::{Secret, Timestamp};
use openclaw_messenger::{DeliveryError, ParseError, Parsed};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;

/// The update kinds we ask for. A stop button's update comes only when it is named.
const ALLOWED_UPDATES: [&str; 4] = [
    "message",
    "edited_message",
    "callback_query",
    "stopped_message_generation",
];
/// The longest long poll the Bot API serves.
const MAX_POLL: Duration = Duration::from_secs(50);
/// How much longer than the poll itself its answer may take.
const POLL_MARGIN: Duration = Duration::from_secs(15);

/// Who the bot is, as Telegram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotIdentity {
    /// Its number.
    pub id: i64,
    /// Its name, without the `@`.
    pub username: String,
}

/// One element of a polled batch.
#[derive(Debug)]
pub struct PolledUpdate {
    /// Its id. The next poll from one more confirms it: only after it is stored.
    pub update_id: i64,
    /// What it is. An error is to be counted and confirmed, or it would come for ever.
    pub parsed: Result<Parsed, ParseError>,
}

/// What Telegram says about our webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// Where updates go; empty when there is no webhook.
    pub url: String,
    /// How many updates wait.
    pub pending_update_count: u64,
    /// When a delivery failed last, in seconds since 1970.
    pub last_error_date: Option<i64>,
    /// Why.
    pub last_error_message: Option<String>,
    /// How many deliveries may be under way at once.
    pub max_connections: Option<u32>,
}

impl TelegramAdapter {
    /// Asks who the bot is and remembers it, so that mentions in groups are recognised. Also the way to find out
    /// whether the token is right: `BadToken` when it is not.
    pub async fn connect(&self) -> Result<BotIdentity, DeliveryError> {
        let user: wire::User = self
            .api()
            .call("getMe", &json!({}))
            .await
            .map_err(CallError::into_delivery)?;
        let identity = BotIdentity {
            id: user.id,
            username: user.username.unwrap_or_default(),
        };
        self.remember(identity.clone());
        Ok(identity)
    }

    /// Waits up to `timeout` (at most 50 s) for updates from `offset` on, and confirms all before it. At most
    /// `limit` (1 to 100) come at once. Each is read on its own: one that cannot be understood spoils no other.
    /// `Conflict` means another poller or a webhook: wait before trying again.
    ///
    /// Dropping the future abandons the wait; what was on its way comes again.
    pub async fn get_updates(
        &self,
        offset: Option<i64>,
        limit: u32,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<Vec<PolledUpdate>, DeliveryError> {
        let timeout = timeout.min(MAX_POLL);
        let mut parameters = json!({
            "limit": limit.clamp(1, 100),
            "timeout": timeout.as_secs(),
            "allowed_updates": ALLOWED_UPDATES,
        });
        if let (Some(offset), Some(fields)) = (offset, parameters.as_object_mut()) {
            fields.insert("offset".to_owned(), offset.into());
        }
        let raw: Vec<Box<RawValue>> = self
            .api()
            .call_within("getUpdates", &parameters, timeout + POLL_MARGIN)
            .await
            .map_err(CallError::into_delivery)?;
        let identity = self.identity();
        let updates = raw.iter().filter_map(|element| {
            let body = element.get().as_bytes();
            let Some(update_id) = update_id(body) else {
                tracing::warn!(bytes = body.len(), "a polled update has no id");
                return None;
            };
            Some(PolledUpdate {
                update_id,
                parsed: parse_update(body, self.config(), identity.as_ref(), now),
            })
        });
        Ok(updates.collect())
    }

    /// Has updates sent to `url`, with `secret` in the header of each request. Setting it again changes the secret.
    pub async fn set_webhook(&self, url: &str, secret: &Secret) -> Result<(), DeliveryError> {
        let parameters = json!({
            "url": url,
            "secret_token": secret.expose(),
            "allowed_updates": ALLOWED_UPDATES,
        });
        self.done("setWebhook", &parameters).await
    }

    /// Stops sending updates anywhere, so that they can be polled. Waiting updates are kept.
    pub async fn delete_webhook(&self) -> Result<(), DeliveryError> {
        self.done("deleteWebhook", &json!({})).await
    }

    /// What Telegram says about our webhook.
    pub async fn webhook_info(&self) -> Result<WebhookInfo, DeliveryError> {
        self.api()
            .call("getWebhookInfo", &json!({}))
            .await
            .map_err(CallError::into_delivery)
    }

    /// Sets the list of commands people see; pairs of a name without slash and a description. `language` is a
    /// two-letter code, or `None` for everybody else.
    pub async fn set_commands(
        &self,
        commands: &[(&str, &str)],
        language: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let commands: Vec<_> = commands
            .iter()
            .map(|(command, description)| json!({ "command": command, "description": description }))
            .collect();
        let parameters = json!({ "commands": commands, "language_code": language.unwrap_or_default() });
        self.done("setMyCommands", &parameters).await
    }

    /// Ends the waiting of a pressed button, with a short text or none. One that is too old is `Ok`: nobody waits.
    pub async fn answer_callback_query(&self, id: &str, text: Option<&str>) -> Result<(), DeliveryError> {
        let parameters = json!({ "callback_query_id": id, "text": text });
        match self.api().call::<bool>("answerCallbackQuery", &parameters).await {
            Ok(_) => Ok(()),
            Err(CallError::Failed(error)) if is_too_old(&error) => Ok(()),
            Err(error) => Err(error.into_delivery()),
        }
    }

    async fn done(&self, method: &'static str, parameters: &serde_json::Value) -> Result<(), DeliveryError> {
        self.api()
            .call::<bool>(method, parameters)
            .await
            .map(|_| ())
            .map_err(CallError::into_delivery)
    }
}

fn is_too_old(error: &DeliveryError) -> bool {
    matches!(
        &error.kind,
        openclaw_messenger::DeliveryErrorKind::Rejected { description, .. }
            if description.to_lowercase().contains("query is too old")
    )
}

fn update_id(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Id {
        update_id: i64,
    }
    openclaw_bot_http::json::read::<Id>(body)
        .ok()
        .map(|id| id.update_id)
}
