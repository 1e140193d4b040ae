//! What people do, as updates in MAX's shapes.

use super::{BOT_ID, BOT_USERNAME, FakeMax};
use serde_json::{Value, json};

/// A fixed date: the time of writing matters to no test that does not set it itself.
const DATE: i64 = 1_767_225_600_000;

/// The dialog of a person with the bot: it has a number of its own.
pub fn dialog_of(user: i64) -> i64 {
    user + 5_000_000
}

/// A message's id in the platform's form.
pub(super) fn mid(number: u64) -> String {
    format!("mid.{number:032x}")
}

impl FakeMax {
    /// A person writes to the bot.
    pub fn private_text(&self, user: i64, text: &str) -> Value {
        self.message("message_created", user, &dialog(user), text)
    }

    /// A person changes a message.
    pub fn private_edit(&self, user: i64, mid: &str, text: &str) -> Value {
        let mut update = self.message("message_edited", user, &dialog(user), text);
        update["message"]["body"]["mid"] = mid.into();
        update
    }

    /// A person writes in a group.
    pub fn group_text(&self, chat: i64, user: i64, text: &str) -> Value {
        let recipient = json!({ "chat_id": chat, "chat_type": "chat" });
        let mut update = self.message("message_created", user, &recipient, text);
        // Groups tell nobody's language.
        update["user_locale"] = Value::Null;
        update
    }

    /// A person answers a message of the bot in a group.
    pub fn group_reply(&self, chat: i64, user: i64, mid: &str, text: &str) -> Value {
        let mut update = self.group_text(chat, user, text);
        update["message"]["link"] = json!({
            "type": "reply",
            "sender": bot(),
            "message": { "mid": mid, "seq": 1, "text": "what the bot said" },
        });
        update
    }

    /// A person presses a button below a message of the bot.
    pub fn callback(&self, user: i64, mid: &str, payload: &str) -> Value {
        let number = self.lock().next_number();
        json!({
            "update_type": "message_callback",
            "timestamp": DATE + number.cast_signed(),
            "user_locale": "en",
            "callback": {
                "timestamp": DATE,
                "callback_id": format!("callback-{number}"),
                "payload": payload,
                "user": person(user),
            },
            "message": {
                "sender": bot(),
                "recipient": { "chat_id": dialog_of(user), "chat_type": "dialog", "user_id": user },
                "timestamp": DATE,
                "body": { "mid": mid, "seq": 1, "text": "choose", "attachments": [] },
            },
        })
    }

    /// A person begins a dialog with the bot.
    pub fn bot_started(&self, user: i64, payload: Option<&str>) -> Value {
        let number = self.lock().next_number();
        json!({
            "update_type": "bot_started",
            "timestamp": DATE + number.cast_signed(),
            "chat_id": dialog_of(user),
            "user": person(user),
            "payload": payload,
            "user_locale": "en",
        })
    }

    /// An update of any kind and content.
    pub fn update(&self, kind: &str, mut content: Value) -> Value {
        let number = self.lock().next_number();
        content["update_type"] = kind.into();
        content["timestamp"] = (DATE + number.cast_signed()).into();
        content
    }

    fn message(&self, kind: &str, user: i64, recipient: &Value, text: &str) -> Value {
        let number = self.lock().next_number();
        let at = DATE + number.cast_signed();
        json!({
            "update_type": kind,
            "timestamp": at,
            "user_locale": "en",
            "message": {
                "sender": person(user),
                "recipient": recipient,
                "timestamp": at,
                "body": { "mid": mid(number), "seq": 116_000_000_000_000_687_u64, "text": text, "attachments": null },
            },
        })
    }
}

/// In messages to it, the bot is the one who is named beside the chat.
fn dialog(user: i64) -> Value {
    json!({ "chat_id": dialog_of(user), "chat_type": "dialog", "user_id": BOT_ID })
}

fn person(user: i64) -> Value {
    json!({
        "user_id": user, "first_name": "Test", "last_name": null, "username": format!("user{user}"), "is_bot": false,
        "last_activity_time": DATE,
    })
}

fn bot() -> Value {
    json!({ "user_id": BOT_ID, "first_name": "Test bot", "username": BOT_USERNAME, "is_bot": true })
}
