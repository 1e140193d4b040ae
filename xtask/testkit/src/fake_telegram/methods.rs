//! The methods the fake knows, with Telegram's rules and words.

use super::state::{Draft, FakeMessage, State};
use super::{BOT_ID, BOT_USERNAME};
use serde_json::{Value, json};
use std::time::Duration;

/// The most UTF-16 code units of a message.
const MAX_TEXT: usize = 4_096;

/// A refusal in Telegram's form.
pub(super) struct Refused {
    pub(super) code: u16,
    pub(super) description: String,
    pub(super) parameters: Value,
}

/// Whether a method counts against the bot's pace.
pub(super) fn is_send(method: &str) -> bool {
    matches!(
        method,
        "sendMessage" | "editMessageText" | "deleteMessage" | "sendChatAction" | "sendMessageDraft"
    )
}

/// Carries out a call. `getUpdates` is the server's, because it waits.
pub(super) fn call(
    state: &mut State,
    method: &str,
    parameters: &Value,
    at: Duration,
) -> Result<Value, Refused> {
    match method {
        "getMe" => Ok(json!({
            "id": BOT_ID, "is_bot": true, "first_name": "Test bot", "username": BOT_USERNAME,
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
        })),
        "setWebhook" => {
            state.webhook_url = text(parameters, "url").unwrap_or_default().to_owned();
            state.webhook_secret = text(parameters, "secret_token").map(str::to_owned);
            Ok(true.into())
        }
        "deleteWebhook" => {
            state.webhook_url.clear();
            state.webhook_secret = None;
            Ok(true.into())
        }
        "getWebhookInfo" => Ok(json!({
            "url": state.webhook_url, "has_custom_certificate": false,
            "pending_update_count": state.queued_updates(), "max_connections": 40,
        })),
        "setMyCommands" => Ok(true.into()),
        "answerCallbackQuery" => {
            let id = text(parameters, "callback_query_id").unwrap_or_default();
            if id.is_empty() {
                return Err(bad(
                    "query is too old and response timeout expired or query ID is invalid",
                ));
            }
            state.answered_queries.push(id.to_owned());
            Ok(true.into())
        }
        "sendMessage" => send_message(state, parameters, at),
        "editMessageText" => edit_message(state, parameters),
        "deleteMessage" => delete_message(state, parameters),
        "sendChatAction" => {
            let chat = chat_id(parameters)?;
            if text(parameters, "action").is_none() {
                return Err(bad("wrong parameter action in request"));
            }
            state.chat_mut(chat).typing += 1;
            Ok(true.into())
        }
        "sendMessageDraft" if !state.no_drafts => send_draft(state, parameters),
        _ => Err(Refused {
            code: 404,
            description: "Not Found: method not found".to_owned(),
            parameters: Value::Null,
        }),
    }
}

fn send_message(state: &mut State, parameters: &Value, at: Duration) -> Result<Value, Refused> {
    let chat_id = chat_id(parameters)?;
    let (body, entities) = body(state, parameters)?;
    let thread = number(parameters, "message_thread_id");
    if thread == Some(1) {
        return Err(bad("message thread not found"));
    }
    let reply_to = parameters
        .get("reply_parameters")
        .and_then(|reply| number(reply, "message_id"));
    let chat = state.chat_mut(chat_id);
    let id = chat.next_id();
    let message = FakeMessage {
        id,
        text: body,
        entities,
        thread,
        reply_to,
        history: Vec::new(),
        deleted: false,
        sent_at: at,
    };
    let result = shown(chat_id, &message);
    chat.messages.insert(id, message);
    Ok(result)
}

fn edit_message(state: &mut State, parameters: &Value) -> Result<Value, Refused> {
    let chat_id = chat_id(parameters)?;
    let (body, entities) = body(state, parameters)?;
    let id = number(parameters, "message_id").unwrap_or_default();
    let message = state
        .chat_mut(chat_id)
        .messages
        .get_mut(&id)
        .filter(|message| !message.deleted)
        .ok_or_else(|| bad("message to edit not found"))?;
    if message.text == body && message.entities == entities {
        return Err(bad(
            "message is not modified: specified new message content and reply markup are exactly the same as a \
             current content and reply markup of the message",
        ));
    }
    let before = std::mem::replace(&mut message.text, body);
    message.history.push(before);
    message.entities = entities;
    Ok(shown(chat_id, message))
}

fn delete_message(state: &mut State, parameters: &Value) -> Result<Value, Refused> {
    let chat_id = chat_id(parameters)?;
    let id = number(parameters, "message_id").unwrap_or_default();
    let message = state
        .chat_mut(chat_id)
        .messages
        .get_mut(&id)
        .filter(|message| !message.deleted)
        .ok_or_else(|| bad("message to delete not found"))?;
    message.deleted = true;
    Ok(true.into())
}

fn send_draft(state: &mut State, parameters: &Value) -> Result<Value, Refused> {
    let chat_id = chat_id(parameters)?;
    if chat_id <= 0 {
        return Err(bad("TEXTDRAFT_PEER_INVALID"));
    }
    let id = number(parameters, "draft_id").filter(|id| *id != 0);
    let id = id.ok_or_else(|| bad("draft_id must be non-zero"))?;
    let draft = text(parameters, "text").unwrap_or_default();
    if units(draft) > MAX_TEXT {
        return Err(bad("message is too long"));
    }
    check_entities(parameters.get("entities"), draft)?;
    let draft = Draft {
        id,
        text: draft.to_owned(),
    };
    state.chat_mut(chat_id).drafts.push(draft);
    Ok(true.into())
}

/// The text of a message, checked, and its entities.
fn body(state: &mut State, parameters: &Value) -> Result<(String, Value), Refused> {
    let body = text(parameters, "text").unwrap_or_default();
    if body.len() > 32_768 {
        return Err(bad("text is too long"));
    }
    let body = body.trim_end();
    if body.trim_start().is_empty() {
        return Err(bad("message text is empty"));
    }
    let length = units(body);
    if length > MAX_TEXT {
        return Err(bad("message is too long"));
    }
    let entities = parameters.get("entities").cloned().unwrap_or(Value::Null);
    check_entities(parameters.get("entities"), body)?;
    state.longest_text = state.longest_text.max(length);
    Ok((body.to_owned(), entities))
}

/// Every entity must lie within the text and must not begin or end inside a character.
fn check_entities(entities: Option<&Value>, text: &str) -> Result<(), Refused> {
    let mut borders = vec![0];
    let mut seen = 0;
    for character in text.chars() {
        seen += character.len_utf16();
        borders.push(seen);
    }
    for entity in entities.and_then(Value::as_array).into_iter().flatten() {
        let place = |name| {
            entity
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let valid = match (place("offset"), place("length")) {
            (Some(offset), Some(length)) if length > 0 => {
                borders.binary_search(&offset).is_ok() && borders.binary_search(&(offset + length)).is_ok()
            }
            _ => false,
        };
        if !valid || entity.get("type").and_then(Value::as_str).is_none() {
            return Err(bad(
                "can't parse entities: an entity lies outside of the text or cuts a character",
            ));
        }
    }
    Ok(())
}

fn shown(chat: i64, message: &FakeMessage) -> Value {
    json!({
        "message_id": message.id,
        "from": { "id": BOT_ID, "is_bot": true, "first_name": "Test bot", "username": BOT_USERNAME },
        "chat": { "id": chat, "type": if chat > 0 { "private" } else { "supergroup" } },
        "date": 1_767_225_600,
        "text": message.text,
    })
}

/// The chat of a call; a number that came as text is a number.
pub(super) fn chat_of(parameters: &Value) -> Option<i64> {
    number(parameters, "chat_id")
}

fn chat_id(parameters: &Value) -> Result<i64, Refused> {
    chat_of(parameters)
        .filter(|id| *id != 0)
        .ok_or_else(|| bad("chat not found"))
}

fn number(parameters: &Value, name: &str) -> Option<i64> {
    let value = parameters.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn text<'a>(parameters: &'a Value, name: &str) -> Option<&'a str> {
    parameters.get(name).and_then(Value::as_str)
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn bad(description: &str) -> Refused {
    Refused {
        code: 400,
        description: format!("Bad Request: {description}"),
        parameters: Value::Null,
    }
}
