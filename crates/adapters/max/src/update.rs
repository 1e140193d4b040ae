//! An update becomes a message for us, or nothing.
//!
//! Updates carry no id, so the key under which a message is stored is made of what is the same at every delivery: the
//! message's id, for a change also its time, the id of a pressed button's query, chat, person and time of a beginning.
//!
//! In groups a message is for us when it mentions the bot, answers it or is a command. Bots are not listened to: two of
//! them would talk for ever, and our own messages may come back to us.

use crate::bot::BotIdentity;
use crate::config::MaxConfig;
use crate::wire::{BotStarted, CallbackUpdate, Link, Message, MessageUpdate, OTHER_KINDS, Recipient, User};
use openclaw_bot_http::{GroupMode, json};
use openclaw_core::{
    Attachment, ChatId, ChatKind, IncomingKind, IncomingMessage, Language, MessageId, Platform, Timestamp,
    UserId,
};
use openclaw_messenger::{ParseError, Parsed};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;

/// The longest id of a pressed button's query that is carried along.
const MAX_CALLBACK_ID: usize = 256;
/// The most of what a link to the bot says that is carried along; the platform takes no more.
const MAX_PAYLOAD_CHARS: usize = 512;
/// The most attachments of one message that are carried along.
const MAX_ATTACHMENTS: usize = 32;

/// Reads one update, from a webhook's body or from a polled batch. Without the bot's identity nothing in a group but
/// plain commands counts as addressed to it.
pub fn parse_update(
    body: &[u8],
    config: &MaxConfig,
    identity: Option<&BotIdentity>,
    now: Timestamp,
) -> Result<Parsed, ParseError> {
    let update: Value = json::read(body)?;
    let kind = update
        .get("update_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let reader = Reader {
        config,
        identity,
        now,
    };
    match kind.as_str() {
        "message_created" => reader.message(typed(update)?, IncomingKind::Message),
        "message_edited" => reader.message(typed(update)?, IncomingKind::Edited),
        "message_callback" => reader.callback(typed(update)?),
        "bot_started" => reader.started(typed(update)?),
        "" => Err(ParseError::Field { field: "update_type" }),
        other => Ok(ignored(
            OTHER_KINDS
                .iter()
                .find(|known| **known == other)
                .copied()
                .unwrap_or("unknown"),
        )),
    }
}

/// The id of the query behind a pressed button, which `acknowledge` answers.
pub(crate) fn callback_id(message: &IncomingMessage) -> Option<&str> {
    match message.kind {
        IncomingKind::Callback => message.update_key.strip_prefix("callback."),
        IncomingKind::Message | IncomingKind::Edited | IncomingKind::Stop => None,
    }
}

struct Reader<'a> {
    config: &'a MaxConfig,
    identity: Option<&'a BotIdentity>,
    now: Timestamp,
}

// === impl Reader ===

impl Reader<'_> {
    fn message(&self, update: MessageUpdate, kind: IncomingKind) -> Result<Parsed, ParseError> {
        let Some(message) = update.message else {
            return Ok(ignored("no_message"));
        };
        let chat_kind = chat_kind(&message.recipient);
        if chat_kind == ChatKind::Channel {
            return Ok(ignored("channel_post"));
        }
        let Some(sender) = &message.sender else {
            return Ok(ignored("no_author"));
        };
        if self.is_bot(sender) {
            return Ok(ignored("from_bot"));
        }
        let text = said(&message);
        let attachments = attachments(&message);
        if text.is_empty() && attachments.is_empty() {
            return Ok(ignored("empty_message"));
        }
        if chat_kind == ChatKind::Group {
            match self.config.groups {
                GroupMode::Off => return Ok(ignored("groups_off")),
                GroupMode::Addressed if !self.is_addressed(&message, &text) => {
                    return Ok(ignored("not_addressed"));
                }
                GroupMode::Addressed | GroupMode::All => {}
            }
        }
        let user = user_id(sender)?;
        let chat = chat_id(&message.recipient)?;
        let time = match update.timestamp {
            0 => message.timestamp,
            time => time,
        };
        let id = message.body.as_ref().and_then(|body| body.mid.as_deref());
        let id = id.map(message_id).transpose()?;
        let update_key = match (&id, kind) {
            (Some(id), IncomingKind::Edited) => format!("edited.{id}.{time}"),
            (Some(id), _) => format!("created.{id}"),
            // Forwarded messages may have no body, and with it no id.
            (None, _) => format!("message.{chat}.{user}.{time}"),
        };
        let reply_to = message
            .link
            .as_ref()
            .filter(|link| link.kind == "reply")
            .and_then(|link| link.message.as_ref()?.mid.as_deref())
            .map(message_id)
            .transpose()?;
        let written = match message.timestamp {
            0 => time,
            written => written,
        };
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Max,
            bot: self.config.bot.clone(),
            update_key,
            user,
            chat,
            chat_kind,
            kind,
            message_id: id,
            reply_to,
            text: self.tidy(&text),
            attachments,
            language: language(update.user_locale.as_deref()),
            sent_at: (written > 0).then(|| Timestamp::from_millis(written)),
        }]))
    }

    /// The message is ours, and so its sender is the bot; who pressed is told beside it.
    fn callback(&self, update: CallbackUpdate) -> Result<Parsed, ParseError> {
        let (Some(message), Some(payload)) = (update.message, update.callback.payload) else {
            return Ok(ignored("callback_without_message"));
        };
        if self.is_bot(&update.callback.user) {
            return Ok(ignored("from_bot"));
        }
        let id = update.callback.callback_id;
        if id.is_empty() || id.len() > MAX_CALLBACK_ID || id.chars().any(char::is_control) {
            return Err(ParseError::Field {
                field: "callback.callback_id",
            });
        }
        let below = message.body.as_ref().and_then(|body| body.mid.as_deref());
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Max,
            bot: self.config.bot.clone(),
            update_key: format!("callback.{id}"),
            user: user_id(&update.callback.user)?,
            chat: chat_id(&message.recipient)?,
            chat_kind: chat_kind(&message.recipient),
            kind: IncomingKind::Callback,
            message_id: below.map(message_id).transpose()?,
            reply_to: None,
            text: without_nul(&payload),
            attachments: Vec::new(),
            language: language(update.user_locale.as_deref()),
            sent_at: Some(self.now),
        }]))
    }

    /// Who begins a dialog writes nothing; it is the command `/start`, with what their link said behind it.
    fn started(&self, update: BotStarted) -> Result<Parsed, ParseError> {
        if self.is_bot(&update.user) {
            return Ok(ignored("from_bot"));
        }
        let user = user_id(&update.user)?;
        let chat =
            ChatId::parse(update.chat_id.to_string()).map_err(|_| ParseError::Field { field: "chat_id" })?;
        let payload: String = update
            .payload
            .unwrap_or_default()
            .chars()
            .filter(|character| !character.is_control())
            .take(MAX_PAYLOAD_CHARS)
            .collect();
        Ok(Parsed::Messages(vec![IncomingMessage {
            platform: Platform::Max,
            bot: self.config.bot.clone(),
            update_key: format!("started.{chat}.{user}.{}", update.timestamp),
            user,
            chat,
            chat_kind: ChatKind::Private,
            kind: IncomingKind::Message,
            message_id: None,
            reply_to: None,
            text: format!("/start {payload}").trim_end().to_owned(),
            attachments: Vec::new(),
            language: language(update.user_locale.as_deref()),
            sent_at: (update.timestamp > 0).then(|| Timestamp::from_millis(update.timestamp)),
        }]))
    }

    fn is_bot(&self, user: &User) -> bool {
        user.is_bot || self.identity.is_some_and(|us| us.id == user.user_id)
    }

    fn is_addressed(&self, message: &Message, text: &str) -> bool {
        let answers_us = message.link.as_ref().is_some_and(|link| {
            link.kind == "reply"
                && link
                    .sender
                    .as_ref()
                    .zip(self.identity)
                    .is_some_and(|(sender, us)| sender.user_id == us.id)
        });
        answers_us || self.is_marked(message) || self.is_named(text) || self.is_our_command(text)
    }

    /// Whether the platform says that the text mentions us.
    fn is_marked(&self, message: &Message) -> bool {
        let Some(us) = self.identity else { return false };
        let marks = message.body.as_ref().and_then(|body| body.markup.as_deref());
        marks.unwrap_or_default().iter().any(|mark| {
            mark.get("type").and_then(Value::as_str) == Some("user_mention")
                && (mark.get("user_id").and_then(Value::as_i64) == Some(us.id)
                    || mark
                        .get("user_link")
                        .and_then(Value::as_str)
                        .is_some_and(|link| self.is_our_name(link.trim_start_matches('@'))))
        })
    }

    /// Whether our name stands in the text after an `@`: not every client marks what is typed by hand.
    fn is_named(&self, text: &str) -> bool {
        text.match_indices('@')
            .any(|(at, _)| self.is_our_name(name_at(text, at + 1)))
    }

    fn is_our_command(&self, text: &str) -> bool {
        let Some(command) = text.strip_prefix('/') else {
            return false;
        };
        let command = command.split_whitespace().next().unwrap_or_default();
        let (name, bot) = command.split_once('@').unwrap_or((command, ""));
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && (bot.is_empty() || self.is_our_name(bot))
    }

    fn is_our_name(&self, name: &str) -> bool {
        self.identity
            .is_some_and(|us| !us.username.is_empty() && us.username.eq_ignore_ascii_case(name))
    }

    /// The text without our own name before it: `/stop@our_bot` is `/stop`, `@our_bot hello` is `hello`.
    fn tidy(&self, text: &str) -> String {
        let tidied = match text.find('@') {
            Some(at) if at == 0 || text.starts_with('/') => {
                let name = name_at(text, at + 1);
                let command = text.get(..at).unwrap_or_default();
                let rest = text.get(at + 1 + name.len()..).unwrap_or_default();
                let is_ours = self.is_our_name(name) && !command.contains(char::is_whitespace);
                match (is_ours, command.is_empty()) {
                    (true, true) => Cow::Borrowed(rest.trim_start()),
                    (true, false) => Cow::Owned(format!("{command}{rest}")),
                    (false, _) => Cow::Borrowed(text),
                }
            }
            Some(_) | None => Cow::Borrowed(text),
        };
        // A bare mention is still something said.
        if tidied.is_empty() {
            return text.to_owned();
        }
        tidied.into_owned()
    }
}

/// The name that begins at this place.
fn name_at(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest
        .find(|character: char| !(character.is_alphanumeric() || character == '_'))
        .unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// What a message says: its own words, and below them those it passes on.
fn said(message: &Message) -> String {
    let own = message.body.as_ref().and_then(|body| body.text.as_deref());
    let passed_on = message
        .link
        .as_ref()
        .filter(|link| link.kind == "forward")
        .and_then(|link| link.message.as_ref()?.text.as_deref());
    let texts = [own, passed_on].into_iter().flatten();
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    without_nul(&texts.join("\n\n"))
}

fn attachments(message: &Message) -> Vec<Attachment> {
    let own = message.body.as_ref().and_then(|body| body.attachments.as_deref());
    let passed_on = |link: &Link| match link.kind.as_str() {
        "forward" => link.message.as_ref().and_then(|body| body.attachments.clone()),
        _ => None,
    };
    let passed_on = message.link.as_ref().and_then(passed_on);
    own.unwrap_or_default()
        .iter()
        .chain(passed_on.iter().flatten())
        .filter_map(attachment)
        .take(MAX_ATTACHMENTS)
        .collect()
}

/// What came with a message, whatever its kind. Keyboards are ours, and a shared link stands in the text.
fn attachment(value: &Value) -> Option<Attachment> {
    let kind = value.get("type")?.as_str()?;
    if matches!(kind, "inline_keyboard" | "share") {
        return None;
    }
    let payload = value.get("payload");
    let field = |name| {
        payload
            .and_then(|payload| payload.get(name))
            .and_then(Value::as_str)
    };
    Some(Attachment {
        kind: without_nul(kind),
        reference: without_nul(field("token").or_else(|| field("url")).unwrap_or_default()),
        name: value.get("filename").and_then(Value::as_str).map(without_nul),
        size: value.get("size").and_then(Value::as_u64),
    })
}

fn typed<T: DeserializeOwned>(update: Value) -> Result<T, ParseError> {
    serde_json::from_value(update).map_err(|error| json::malformed(&error))
}

fn ignored(kind: &'static str) -> Parsed {
    Parsed::Ignored {
        kind: Cow::Borrowed(kind),
    }
}

fn chat_kind(recipient: &Recipient) -> ChatKind {
    match recipient.chat_type.as_str() {
        "dialog" => ChatKind::Private,
        "channel" => ChatKind::Channel,
        // Kinds that are yet to come have several people in them, as far as manners are concerned.
        _ => ChatKind::Group,
    }
}

fn chat_id(recipient: &Recipient) -> Result<ChatId, ParseError> {
    recipient
        .chat_id
        .and_then(|id| ChatId::parse(id.to_string()).ok())
        .ok_or(ParseError::Field {
            field: "recipient.chat_id",
        })
}

fn user_id(user: &User) -> Result<UserId, ParseError> {
    UserId::parse(user.user_id.to_string()).map_err(|_| ParseError::Field {
        field: "sender.user_id",
    })
}

fn message_id(mid: &str) -> Result<MessageId, ParseError> {
    MessageId::parse(mid).map_err(|_| ParseError::Field { field: "body.mid" })
}

fn language(locale: Option<&str>) -> Option<Language> {
    locale.and_then(Language::from_tag)
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
