//! The Bot API's shapes, as far as we need them. Unknown fields are ignored; anything optional may be missing.

use crate::entities;
use openclaw_bot_http::Entity;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The kinds of updates that are known by name, for counters of what is ignored.
const KINDS: [&str; 27] = [
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
    "subscription",
    "stopped_message_generation",
];

#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) update_id: i64,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Message(Box<Message>),
    Edited(Box<Message>),
    Callback(Box<CallbackQuery>),
    Stopped(Stopped),
    Other(&'static str),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    pub(crate) from: Option<User>,
    pub(crate) sender_chat: Option<Chat>,
    pub(crate) chat: Chat,
    #[serde(default)]
    pub(crate) date: i64,
    pub(crate) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(crate) is_topic_message: bool,
    #[serde(default)]
    pub(crate) is_automatic_forward: bool,
    pub(crate) reply_to_message: Option<Reply>,
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) entities: Vec<MessageEntity>,
    pub(crate) caption: Option<String>,
    #[serde(default)]
    pub(crate) caption_entities: Vec<MessageEntity>,
    #[serde(default)]
    pub(crate) photo: Vec<File>,
    pub(crate) document: Option<File>,
    pub(crate) voice: Option<File>,
    pub(crate) audio: Option<File>,
    pub(crate) video: Option<File>,
    pub(crate) video_note: Option<File>,
    pub(crate) animation: Option<File>,
    pub(crate) sticker: Option<File>,
    pub(crate) migrate_to_chat_id: Option<i64>,
    pub(crate) migrate_from_chat_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reply {
    pub(crate) message_id: i64,
    pub(crate) from: Option<User>,
    pub(crate) forum_topic_created: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) is_bot: bool,
    pub(crate) username: Option<String>,
    pub(crate) language_code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MessageEntity {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) offset: usize,
    #[serde(default)]
    pub(crate) length: usize,
    pub(crate) user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) file_id: String,
    pub(crate) file_name: Option<String>,
    pub(crate) file_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CallbackQuery {
    pub(crate) id: String,
    pub(crate) from: User,
    pub(crate) message: Option<CallbackMessage>,
    pub(crate) data: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CallbackMessage {
    pub(crate) message_id: i64,
    pub(crate) chat: Chat,
    pub(crate) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(crate) is_topic_message: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stopped {
    pub(crate) chat: Chat,
    pub(crate) message_thread_id: Option<i64>,
}

/// The answer to every call.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) ok: bool,
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    pub(crate) error_code: Option<u16>,
    #[serde(borrow)]
    pub(crate) description: Option<Cow<'a, str>>,
    pub(crate) parameters: Option<Parameters>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) retry_after: Option<u64>,
    pub(crate) migrate_to_chat_id: Option<i64>,
}

/// Of a message we sent, only its id matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) message_id: i64,
}

/// A chat as a call names it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ChatRef<'a> {
    Id(i64),
    Name(&'a str),
}

#[derive(Debug, Serialize)]
pub(crate) struct SendMessage<'a> {
    pub(crate) chat_id: ChatRef<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_thread_id: Option<i64>,
    pub(crate) text: &'a str,
    #[serde(
        skip_serializing_if = "<[_]>::is_empty",
        serialize_with = "entities::serialize"
    )]
    pub(crate) entities: &'a [Entity],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_parameters: Option<ReplyParameters>,
    pub(crate) link_preview_options: NoPreview,
}

#[derive(Debug, Serialize)]
pub(crate) struct EditMessageText<'a> {
    pub(crate) chat_id: ChatRef<'a>,
    pub(crate) message_id: i64,
    pub(crate) text: &'a str,
    #[serde(
        skip_serializing_if = "<[_]>::is_empty",
        serialize_with = "entities::serialize"
    )]
    pub(crate) entities: &'a [Entity],
    pub(crate) link_preview_options: NoPreview,
}

#[derive(Debug, Serialize)]
pub(crate) struct SendMessageDraft<'a> {
    pub(crate) chat_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_thread_id: Option<i64>,
    pub(crate) draft_id: i64,
    pub(crate) text: &'a str,
    #[serde(
        skip_serializing_if = "<[_]>::is_empty",
        serialize_with = "entities::serialize"
    )]
    pub(crate) entities: &'a [Entity],
    pub(crate) can_stop: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeleteMessage<'a> {
    pub(crate) chat_id: ChatRef<'a>,
    pub(crate) message_id: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct SendChatAction<'a> {
    pub(crate) chat_id: ChatRef<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_thread_id: Option<i64>,
    pub(crate) action: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReplyParameters {
    pub(crate) message_id: i64,
    /// The answer is worth more than the reference to what it answers.
    pub(crate) allow_sending_without_reply: bool,
}

/// Previews fetch addresses that a model may have invented.
#[derive(Debug, Serialize)]
pub(crate) struct NoPreview {
    pub(crate) is_disabled: bool,
}

// === impl Update ===

impl<'de> Deserialize<'de> for Update {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UpdateVisitor)
    }
}

struct UpdateVisitor;

impl<'de> Visitor<'de> for UpdateVisitor {
    type Value = Update;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an update")
    }

    /// Takes the first content we handle; what we do not handle is skipped unread, so that its shape cannot matter.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Update, A::Error> {
        let (mut update_id, mut content, mut other) = (None, None, "unknown");
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match (key.as_ref(), &content) {
                ("update_id", _) => update_id = Some(map.next_value()?),
                ("message", None) => content = Some(Content::Message(map.next_value()?)),
                ("edited_message", None) => content = Some(Content::Edited(map.next_value()?)),
                ("callback_query", None) => content = Some(Content::Callback(map.next_value()?)),
                ("stopped_message_generation", None) => content = Some(Content::Stopped(map.next_value()?)),
                (name, _) => {
                    if let Some(known) = KINDS.iter().find(|kind| **kind == name) {
                        other = known;
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Update {
            update_id: update_id.ok_or_else(|| serde::de::Error::missing_field("update_id"))?,
            content: content.unwrap_or(Content::Other(other)),
        })
    }
}

// === impl NoPreview ===

impl NoPreview {
    pub(crate) const OFF: Self = Self { is_disabled: true };
}
