//! The API's shapes, as far as we need them. Unknown fields are ignored; anything optional may be missing or `null`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The kinds of updates we ask for.
pub(crate) const HANDLED: [&str; 4] = [
    "message_created",
    "message_edited",
    "message_callback",
    "bot_started",
];

/// The other kinds that are known by name, for counters of what is ignored.
pub(crate) const OTHER_KINDS: [&str; 14] = [
    "message_removed",
    "bot_stopped",
    "bot_added",
    "bot_removed",
    "user_added",
    "user_removed",
    "chat_title_changed",
    "dialog_muted",
    "dialog_unmuted",
    "dialog_cleared",
    "dialog_removed",
    "message_chat_created",
    "message_construction_request",
    "message_constructed",
];

/// A message that came or was changed.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageUpdate {
    #[serde(default)]
    pub(crate) timestamp: i64,
    /// Missing with some voice messages.
    pub(crate) message: Option<Message>,
    pub(crate) user_locale: Option<String>,
}

/// A button was pressed.
#[derive(Debug, Deserialize)]
pub(crate) struct CallbackUpdate {
    pub(crate) callback: Callback,
    /// The message with the button: ours. `null` when it is gone.
    pub(crate) message: Option<Message>,
    pub(crate) user_locale: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Callback {
    pub(crate) callback_id: String,
    pub(crate) payload: Option<String>,
    pub(crate) user: User,
}

/// Somebody began a dialog with the bot, perhaps by a link that says something.
#[derive(Debug, Deserialize)]
pub(crate) struct BotStarted {
    #[serde(default)]
    pub(crate) timestamp: i64,
    pub(crate) chat_id: i64,
    pub(crate) user: User,
    pub(crate) payload: Option<String>,
    pub(crate) user_locale: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    /// Missing in channels.
    pub(crate) sender: Option<User>,
    pub(crate) recipient: Recipient,
    #[serde(default)]
    pub(crate) timestamp: i64,
    pub(crate) body: Option<Body>,
    pub(crate) link: Option<Link>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Recipient {
    pub(crate) chat_id: Option<i64>,
    #[serde(default)]
    pub(crate) chat_type: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) user_id: i64,
    #[serde(default)]
    pub(crate) is_bot: bool,
    pub(crate) username: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Body {
    pub(crate) mid: Option<String>,
    pub(crate) text: Option<String>,
    /// Read one by one: kinds are added often, and none of them may cost us the message.
    pub(crate) attachments: Option<Vec<Value>>,
    pub(crate) markup: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    pub(crate) sender: Option<User>,
    pub(crate) message: Option<Body>,
}

/// A batch of updates.
#[derive(Debug, Deserialize)]
pub(crate) struct Updates {
    #[serde(default)]
    pub(crate) updates: Vec<Box<RawValue>>,
    pub(crate) marker: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Subscriptions {
    pub(crate) subscriptions: Option<Vec<SubscriptionRow>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SubscriptionRow {
    #[serde(default)]
    pub(crate) url: String,
}

/// The answer to a message that was sent: of all it says only the id matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) message: SentMessage,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SentMessage {
    pub(crate) body: SentBody,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SentBody {
    pub(crate) mid: String,
}

/// The answer to a change: `200`, and yet it may not have been made.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {
    #[serde(default = "yes")]
    pub(crate) success: bool,
    pub(crate) message: Option<Value>,
}

fn yes() -> bool {
    true
}

/// A refusal.
#[derive(Debug, Deserialize)]
pub(crate) struct Fault {
    code: Option<Value>,
    message: Option<Value>,
}

/// A message as it is sent, or as it is to read.
#[derive(Debug, Serialize)]
pub(crate) struct NewMessage<'a> {
    pub(crate) text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<NewLink<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NewLink<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) mid: &'a str,
}

// === impl Fault ===

impl Fault {
    /// Whether it is in the platform's form.
    pub(crate) fn is_the_platforms(&self) -> bool {
        self.code.is_some() || self.message.is_some()
    }

    /// Code and message, as far as they are texts.
    pub(crate) fn into_words(self) -> String {
        let texts = [self.code, self.message]
            .into_iter()
            .filter_map(|value| value.and_then(|value| value.as_str().map(str::to_owned)));
        texts.collect::<Vec<_>>().join(": ")
    }
}
