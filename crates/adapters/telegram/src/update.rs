//! An update becomes a message for us, or nothing.
//!
//! In groups a message is for us when it mentions the bot, answers it or is a command; mentions are found by their
//! entities, never by searching the text. Bots are not listened to: two of them would talk for ever.

use crate::bot::BotIdentity;
use crate::config::TelegramConfig;
use crate::wire::{CallbackQuery, Content, File, Message, MessageEntity, Stopped, Update};
use openclaw_bot_http::GroupMode;
use openclaw_core::{
    Attachment, ChatId, ChatKind, IncomingKind, IncomingMessage, Language, MessageId, Platform, Timestamp,
    UserId,
};
use openclaw_messenger::{ParseError, Parsed};
use std::borrow::Cow;

/// The longest id of a pressed button's query that is carried along.
const MAX_QUERY_ID: usize = 64;

/// Reads one update, from a webhook's body or from a polled batch. Without the bot's identity nothing in a group but
/// plain commands counts as addressed to it.
pub fn parse_update(
    body: &[u8],
    config: &TelegramConfig,
    identity: Option<&BotIdentity>,
    now: Timestamp,
) -> Result<Parsed, ParseError> {
    let update: Update = openclaw_bot_http::json::read(body)?;
    let reader = Reader {
        config,
        identity,
        now,
        update_id: update.update_id,
    };
    match update.content {
        Content::Message(message) => reader.message(&message, IncomingKind::Message),
        Content::Edited(message) => reader.message(&message, IncomingKind::Edited),
        Content::Callback(query) => reader.callback(*query),
        Content::Stopped(stopped) => reader.stopped(&stopped),
        Content::Other(kind) => Ok(ignored(kind)),
    }
}

/// The id of the query behind a pressed button, which `acknowledge` answers.
pub(crate) fn query_id(message: &IncomingMessage) -> Option<&str> {
    match message.kind {
        IncomingKind::Callback => message.update_key.split_once('.').map(|(_, id)| id),
        IncomingKind::Message | IncomingKind::Edited | IncomingKind::Stop => None,
    }
}

struct Reader<'a> {
    config: &'a TelegramConfig,
    identity: Option<&'a BotIdentity>,
    now: Timestamp,
    update_id: i64,
}

// === impl Reader ===

impl Reader<'_> {
    fn message(&self, message: &Message, kind: IncomingKind) -> Result<Parsed, ParseError> {
        if let Some(to) = message.migrate_to_chat_id {
            return migrated(message.chat.id, to);
        }
        if let Some(from) = message.migrate_from_chat_id {
            return migrated(from, message.chat.id);
        }
        if message.is_automatic_forward {
            return Ok(ignored("automatic_forward"));
        }
        // An anonymous administrator and a channel write through a placeholder that is marked as a bot; the chat they
        // write as is the author.
        let user = match (&message.sender_chat, &message.from) {
            (Some(author), _) => author.id,
            (None, Some(from)) if from.is_bot => return Ok(ignored("from_bot")),
            (None, Some(from)) => from.id,
            (None, None) => return Ok(ignored("no_author")),
        };
        let chat_kind = chat_kind(&message.chat.kind);
        if chat_kind == ChatKind::Channel {
            return Ok(ignored("channel_post"));
        }
        let attachments = attachments(message);
        let (text, entities) = match (&message.text, &message.caption) {
            (Some(text), _) => (text.as_str(), message.entities.as_slice()),
            (None, Some(caption)) => (caption.as_str(), message.caption_entities.as_slice()),
            (None, None) if attachments.is_empty() => return Ok(ignored("service_message")),
            (None, None) => ("", [].as_slice()),
        };
        if chat_kind == ChatKind::Group {
            match self.config.groups {
                GroupMode::Off => return Ok(ignored("groups_off")),
                GroupMode::Addressed if !self.is_addressed(message, text, entities) => {
                    return Ok(ignored("not_addressed"));
                }
                GroupMode::Addressed | GroupMode::All => {}
            }
        }
        let reply_to = message
            .reply_to_message
            .as_ref()
            .filter(|reply| !is_topic_start(message, reply.message_id) && reply.forum_topic_created.is_none())
            .map(|reply| message_id(reply.message_id))
            .transpose()?;
        let language = message
            .from
            .as_ref()
            .and_then(|from| from.language_code.as_deref());
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Telegram,
            bot: self.config.bot.clone(),
            update_key: self.update_id.to_string(),
            user: user_id(user)?,
            chat: chat_id(
                message.chat.id,
                topic(message.message_thread_id, message.is_topic_message),
            )?,
            chat_kind,
            kind,
            message_id: Some(message_id(message.message_id)?),
            reply_to,
            text: self.tidy(text, entities),
            attachments,
            language: language.and_then(Language::from_tag),
            sent_at: (message.date > 0).then(|| Timestamp::from_millis(message.date.saturating_mul(1_000))),
        }]))
    }

    fn callback(&self, query: CallbackQuery) -> Result<Parsed, ParseError> {
        let (Some(message), Some(data)) = (query.message, query.data) else {
            return Ok(ignored("inline_callback"));
        };
        if query.id.is_empty() || query.id.len() > MAX_QUERY_ID || query.id.chars().any(char::is_control) {
            return Err(ParseError::Field {
                field: "callback_query.id",
            });
        }
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Telegram,
            bot: self.config.bot.clone(),
            update_key: format!("{}.{}", self.update_id, query.id),
            user: user_id(query.from.id)?,
            chat: chat_id(
                message.chat.id,
                topic(message.message_thread_id, message.is_topic_message),
            )?,
            chat_kind: chat_kind(&message.chat.kind),
            kind: IncomingKind::Callback,
            message_id: Some(message_id(message.message_id)?),
            reply_to: None,
            text: without_nul(&data),
            attachments: Vec::new(),
            language: query.from.language_code.as_deref().and_then(Language::from_tag),
            sent_at: Some(self.now),
        }]))
    }

    /// A stop button stands below a draft, and drafts are shown to one person: the chat is the person.
    fn stopped(&self, stopped: &Stopped) -> Result<Parsed, ParseError> {
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Telegram,
            bot: self.config.bot.clone(),
            update_key: self.update_id.to_string(),
            user: user_id(stopped.chat.id)?,
            chat: chat_id(stopped.chat.id, topic(stopped.message_thread_id, true))?,
            chat_kind: chat_kind(&stopped.chat.kind),
            kind: IncomingKind::Stop,
            message_id: None,
            reply_to: None,
            text: String::new(),
            attachments: Vec::new(),
            language: None,
            sent_at: Some(self.now),
        }]))
    }

    fn is_addressed(&self, message: &Message, text: &str, entities: &[MessageEntity]) -> bool {
        let answers_us = message.reply_to_message.as_ref().is_some_and(|reply| {
            reply.forum_topic_created.is_none()
                && !is_topic_start(message, reply.message_id)
                && self
                    .identity
                    .zip(reply.from.as_ref())
                    .is_some_and(|(us, from)| us.id == from.id)
        });
        answers_us || entities.iter().any(|entity| self.names_us(entity, text))
    }

    fn names_us(&self, entity: &MessageEntity, text: &str) -> bool {
        let words = utf16_slice(text, entity.offset, entity.length).unwrap_or_default();
        match entity.kind.as_str() {
            "mention" => words.strip_prefix('@').is_some_and(|name| self.is_our_name(name)),
            "text_mention" => self
                .identity
                .zip(entity.user.as_ref())
                .is_some_and(|(us, user)| us.id == user.id),
            "bot_command" if entity.offset == 0 && words.starts_with('/') => words
                .split_once('@')
                .is_none_or(|(_, name)| self.is_our_name(name)),
            _ => false,
        }
    }

    fn is_our_name(&self, name: &str) -> bool {
        self.identity
            .is_some_and(|us| !us.username.is_empty() && us.username.eq_ignore_ascii_case(name))
    }

    /// The text without our own name before it: `/stop@our_bot` is `/stop`, `@our_bot hello` is `hello`.
    fn tidy(&self, text: &str, entities: &[MessageEntity]) -> String {
        let first = entities
            .iter()
            .find(|entity| entity.offset == 0 && matches!(entity.kind.as_str(), "bot_command" | "mention"));
        let name = first.and_then(|entity| utf16_slice(text, 0, entity.length));
        let tidied = match name.and_then(|name| Some((name, name.split_once('@')?))) {
            Some((whole, (command, name))) if self.is_our_name(name) => {
                let rest = text.get(whole.len()..).unwrap_or_default();
                if command.is_empty() {
                    Cow::Borrowed(rest.trim_start())
                } else {
                    Cow::Owned(format!("{command}{rest}"))
                }
            }
            _ => Cow::Borrowed(text),
        };
        // A bare mention is still something said.
        without_nul(if tidied.is_empty() { text } else { &tidied })
    }
}

fn ignored(kind: &'static str) -> Parsed {
    Parsed::Ignored {
        kind: Cow::Borrowed(kind),
    }
}

fn migrated(from: i64, to: i64) -> Result<Parsed, ParseError> {
    Ok(Parsed::Migrated {
        from: chat_id(from, None)?,
        to: chat_id(to, None)?,
    })
}

/// In a forum every message seems to answer the one its topic began with.
fn is_topic_start(message: &Message, replied: i64) -> bool {
    message.is_topic_message && message.message_thread_id == Some(replied)
}

/// A thread id outside of topics marks a chain of replies and must not be sent back.
fn topic(thread: Option<i64>, is_topic: bool) -> Option<i64> {
    thread.filter(|_| is_topic)
}

fn chat_kind(kind: &str) -> ChatKind {
    match kind {
        "private" => ChatKind::Private,
        "channel" => ChatKind::Channel,
        // Kinds that are yet to come have several people in them, as far as manners are concerned.
        _ => ChatKind::Group,
    }
}

fn chat_id(chat: i64, topic: Option<i64>) -> Result<ChatId, ParseError> {
    let text = match topic {
        Some(topic) => format!("{chat}.{topic}"),
        None => chat.to_string(),
    };
    ChatId::parse(text).map_err(|_| ParseError::Field { field: "chat.id" })
}

fn user_id(user: i64) -> Result<UserId, ParseError> {
    UserId::parse(user.to_string()).map_err(|_| ParseError::Field { field: "from.id" })
}

fn message_id(id: i64) -> Result<MessageId, ParseError> {
    MessageId::parse(id.to_string()).map_err(|_| ParseError::Field { field: "message_id" })
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

fn attachments(message: &Message) -> Vec<Attachment> {
    let one = |kind: &str, file: &File| Attachment {
        kind: kind.to_owned(),
        reference: file.file_id.clone(),
        name: file.file_name.as_deref().map(without_nul),
        size: file.file_size,
    };
    // Sizes of one photo come in rising order; an animation is also given as a document.
    let photo = message.photo.last().map(|file| one("photo", file));
    let document = message
        .document
        .as_ref()
        .filter(|_| message.animation.is_none())
        .map(|file| one("document", file));
    let others = [
        ("voice", &message.voice),
        ("audio", &message.audio),
        ("video", &message.video),
        ("video_note", &message.video_note),
        ("animation", &message.animation),
        ("sticker", &message.sticker),
    ];
    photo
        .into_iter()
        .chain(document)
        .chain(
            others
                .into_iter()
                .filter_map(|(kind, file)| file.as_ref().map(|file| one(kind, file))),
        )
        .collect()
}

/// The part of a text that UTF-16 positions name. `None` when they lie outside or inside a character.
fn utf16_slice(text: &str, offset: usize, length: usize) -> Option<&str> {
    let start = utf16_to_byte(text, offset)?;
    let rest = text.get(start..)?;
    rest.get(..utf16_to_byte(rest, length)?)
}

fn utf16_to_byte(text: &str, units: usize) -> Option<usize> {
    let mut seen = 0;
    for (at, character) in text.char_indices() {
        if seen >= units {
            return (seen == units).then_some(at);
        }
        seen += character.len_utf16();
    }
    (seen == units).then_some(text.len())
}
