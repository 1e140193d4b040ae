//! What people do, as updates in the Bot API's shapes.

use super::{BOT_ID, BOT_USERNAME, FakeTelegram};
use serde_json::{Value, json};

/// A fixed date: the time of writing matters to no test that does not set it itself.
const DATE: i64 = 1_767_225_600;

impl FakeTelegram {
    /// A person writes to the bot.
    pub fn private_text(&self, user: i64, text: &str) -> Value {
        self.with_message_kind("message", user, private(user), json!({ "text": text }))
    }

    /// A person changes a message.
    pub fn private_edit(&self, user: i64, message_id: i64, text: &str) -> Value {
        let mut update =
            self.with_message_kind("edited_message", user, private(user), json!({ "text": text }));
        update["edited_message"]["message_id"] = message_id.into();
        update
    }

    /// A person sends a photo with a caption.
    pub fn private_photo(&self, user: i64, caption: &str) -> Value {
        let photo = json!([
            { "file_id": "small", "file_unique_id": "s", "width": 90, "height": 60, "file_size": 900 },
            { "file_id": "large", "file_unique_id": "l", "width": 900, "height": 600, "file_size": 90_000 },
        ]);
        self.with_message_kind(
            "message",
            user,
            private(user),
            json!({ "photo": photo, "caption": caption }),
        )
    }

    /// A person writes in a group. A mention of the bot's name and a leading command get their entities.
    pub fn group_text(&self, chat: i64, user: i64, text: &str) -> Value {
        self.with_message_kind(
            "message",
            user,
            group(chat, false),
            json!({ "text": text, "entities": entities(text) }),
        )
    }

    /// A person writes in a topic of a forum.
    pub fn topic_text(&self, chat: i64, topic: i64, user: i64, text: &str) -> Value {
        let more = json!({
            "text": text,
            "entities": entities(text),
            "message_thread_id": topic,
            "is_topic_message": true,
            "reply_to_message": {
                "message_id": topic,
                "from": { "id": user, "is_bot": false, "first_name": "Test" },
                "forum_topic_created": { "name": "Topic", "icon_color": 7_322_096 },
            },
        });
        self.with_message_kind("message", user, group(chat, true), more)
    }

    /// A person answers a message of the bot in a group.
    pub fn group_reply(&self, chat: i64, user: i64, message_id: i64, text: &str) -> Value {
        let replied = json!({
            "message_id": message_id,
            "from": { "id": BOT_ID, "is_bot": true, "first_name": "Bot", "username": BOT_USERNAME },
        });
        let more = json!({ "text": text, "reply_to_message": replied });
        self.with_message_kind("message", user, group(chat, false), more)
    }

    /// A person presses a button below a message of the bot.
    pub fn callback(&self, user: i64, message_id: i64, data: &str) -> Value {
        let update_id = self.lock().next_update_id();
        json!({
            "update_id": update_id,
            "callback_query": {
                "id": format!("{}", 4_000_000_000_000_i64 + update_id),
                "from": person(user),
                "message": { "message_id": message_id, "chat": private(user), "date": DATE },
                "chat_instance": "1",
                "data": data,
            },
        })
    }

    /// A person stops a draft.
    pub fn stop_draft(&self, user: i64, draft: i64) -> Value {
        let update_id = self.lock().next_update_id();
        json!({
            "update_id": update_id,
            "stopped_message_generation": { "chat": private(user), "draft_id": draft },
        })
    }

    /// An update of any kind and content; only its id is added.
    pub fn update(&self, kind: &str, content: Value) -> Value {
        let update_id = self.lock().next_update_id();
        let mut update = json!({ "update_id": update_id });
        update[kind] = content;
        update
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "every caller builds its values for this call"
    )]
    fn with_message_kind(&self, kind: &str, user: i64, chat: Value, more: Value) -> Value {
        let (update_id, message_id) = {
            let mut state = self.lock();
            let chat = chat["id"].as_i64().unwrap_or(0);
            (state.next_update_id(), state.chat_mut(chat).next_id())
        };
        let mut message =
            json!({ "message_id": message_id, "from": person(user), "chat": chat, "date": DATE });
        if let (Some(message), Some(more)) = (message.as_object_mut(), more.as_object()) {
            message.extend(more.clone());
        }
        let mut update = json!({ "update_id": update_id });
        update[kind] = message;
        update
    }
}

fn person(user: i64) -> Value {
    json!({ "id": user, "is_bot": false, "first_name": "Test", "username": format!("user{user}"), "language_code": "en" })
}

fn private(user: i64) -> Value {
    json!({ "id": user, "first_name": "Test", "username": format!("user{user}"), "type": "private" })
}

fn group(chat: i64, forum: bool) -> Value {
    json!({ "id": chat, "title": "Group", "type": "supergroup", "is_forum": forum })
}

/// The entities Telegram would find: a leading command, and the bot's name.
fn entities(text: &str) -> Value {
    let units = |text: &str| text.encode_utf16().count();
    let mut found = Vec::new();
    if text.starts_with('/') {
        let command = text.split_whitespace().next().unwrap_or_default();
        found.push(json!({ "type": "bot_command", "offset": 0, "length": units(command) }));
    }
    let name = format!("@{BOT_USERNAME}");
    for (at, _) in text.match_indices(&name).filter(|_| !text.starts_with('/')) {
        let offset = units(text.get(..at).unwrap_or_default());
        found.push(json!({ "type": "mention", "offset": offset, "length": units(&name) }));
    }
    Value::Array(found)
}
