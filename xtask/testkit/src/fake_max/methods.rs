//! The methods the fake knows, with the platform's rules and words.

use super::state::{MaxMessage, MaxState, MaxSubscription};
use super::update::mid;
use super::{BOT_ID, BOT_USERNAME};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The most UTF-16 code units of a message.
const MAX_TEXT: usize = 4_000;

/// A refusal in the platform's form.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// A call as the server read it.
pub(super) struct Asked<'a> {
    /// `POST /messages`; of a path with a number, without it.
    pub(super) method: &'a str,
    /// The number of the path.
    pub(super) number: Option<i64>,
    pub(super) query: &'a HashMap<String, String>,
    pub(super) body: &'a Value,
}

/// Whether a method sends or changes something in a chat.
pub(super) fn is_send(method: &str) -> bool {
    matches!(
        method,
        "POST /messages" | "PUT /messages" | "DELETE /messages" | "POST /chats/actions"
    )
}

/// Carries out a call. `GET /updates` is the server's, because it waits.
pub(super) fn call(state: &mut MaxState, asked: &Asked<'_>) -> Result<Value, Refused> {
    match asked.method {
        "GET /me" => Ok(json!({
            "user_id": BOT_ID, "first_name": "Test bot", "username": BOT_USERNAME, "is_bot": true,
            "last_activity_time": 1_767_225_600_000_i64, "description": null,
        })),
        "GET /subscriptions" => {
            let rows = state.subscriptions.iter().map(|one| {
                json!({ "url": one.url, "time": 1_767_225_600_000_i64, "update_types": null, "version": "0.0.1" })
            });
            Ok(json!({ "subscriptions": rows.collect::<Vec<_>>() }))
        }
        "POST /subscriptions" => subscribe(state, asked.body),
        "DELETE /subscriptions" => {
            let url = asked
                .query
                .get("url")
                .ok_or_else(|| bad("url: must not be null"))?;
            state.subscriptions.retain(|one| one.url != *url);
            Ok(json!({ "success": true }))
        }
        "POST /messages" => send(state, asked),
        "PUT /messages" => edit(state, asked),
        "DELETE /messages" => match state.message_mut(id(asked)?) {
            Some(message) => {
                message.deleted = true;
                Ok(json!({ "success": true }))
            }
            None => Err(not_found("message.not.found")),
        },
        "POST /chats/actions" => {
            let chat = asked.number.ok_or_else(|| not_found("chat.not.found"))?;
            if asked.body["action"] != "typing_on" {
                return Err(bad("action: unknown value"));
            }
            state.chat_mut(chat).typing += 1;
            Ok(json!({ "success": true }))
        }
        "POST /answers" => {
            let callback = asked.query.get("callback_id").cloned().unwrap_or_default();
            if asked.body["message"].is_null() && asked.body["notification"].is_null() {
                return Err(bad("message or notification must be set"));
            }
            state.answered_callbacks.push(callback);
            Ok(json!({ "success": true }))
        }
        _ => Err(Refused {
            status: 404,
            code: "not.found",
            message: "Path not found".to_owned(),
        }),
    }
}

fn subscribe(state: &mut MaxState, body: &Value) -> Result<Value, Refused> {
    let url = body["url"]
        .as_str()
        .ok_or_else(|| bad("url: must not be null"))?
        .to_owned();
    let secret = body["secret"].as_str().map(str::to_owned);
    let is_secret = |text: &str| {
        (5..=256).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if !secret.as_deref().is_none_or(is_secret) {
        return Err(bad("secret: must match [a-zA-Z0-9_-]{5,256}"));
    }
    state.subscriptions.retain(|one| one.url != url);
    state.subscriptions.push(MaxSubscription { url, secret });
    Ok(json!({ "success": true }))
}

fn send(state: &mut MaxState, asked: &Asked<'_>) -> Result<Value, Refused> {
    let chat: i64 = asked
        .query
        .get("chat_id")
        .and_then(|chat| chat.parse().ok())
        .ok_or_else(|| bad("chat_id or user_id must be set"))?;
    let (text, format) = body(state, asked.body)?;
    let number = state.next_number();
    let message = MaxMessage {
        mid: mid(number),
        text,
        format,
        reply_to: asked.body["link"]["mid"].as_str().map(str::to_owned),
        history: Vec::new(),
        deleted: false,
    };
    let shown = json!({ "message": {
        "sender": { "user_id": BOT_ID, "first_name": "Test bot", "username": BOT_USERNAME, "is_bot": true },
        "recipient": { "chat_id": chat, "chat_type": if chat < 0 { "chat" } else { "dialog" } },
        "timestamp": 1_767_225_600_000_i64,
        "body": { "mid": message.mid, "seq": 116_000_000_000_000_687_u64, "text": message.text },
    } });
    state.chat_mut(chat).messages.push(message);
    Ok(shown)
}

fn edit(state: &mut MaxState, asked: &Asked<'_>) -> Result<Value, Refused> {
    let id = id(asked)?;
    if state.message_mut(id).is_none() {
        return Err(not_found("message.not.found"));
    }
    let (text, format) = body(state, asked.body)?;
    if let Some(message) = state.message_mut(id) {
        message.history.push(std::mem::replace(&mut message.text, text));
        message.format = format;
    }
    Ok(json!({ "success": true }))
}

/// Text and format of a message that is sent or changed.
fn body(state: &mut MaxState, body: &Value) -> Result<(String, Option<String>), Refused> {
    let text = body["text"].as_str().unwrap_or_default();
    let units = text.encode_utf16().count();
    if text.trim().is_empty() {
        return Err(bad("text: message must not be empty"));
    }
    if units > MAX_TEXT {
        return Err(bad("text: size must be between 0 and 4000"));
    }
    let format = body["format"].as_str();
    if !matches!(format, None | Some("markdown" | "html")) {
        return Err(bad("format: unknown value"));
    }
    state.longest_text = state.longest_text.max(units);
    Ok((text.to_owned(), format.map(str::to_owned)))
}

fn id<'a>(asked: &Asked<'a>) -> Result<&'a str, Refused> {
    let id = asked.query.get("message_id").map(String::as_str);
    id.ok_or_else(|| bad("message_id: must not be null"))
}

fn bad(message: &str) -> Refused {
    Refused {
        status: 400,
        code: "proto.payload",
        message: message.to_owned(),
    }
}

fn not_found(code: &'static str) -> Refused {
    Refused {
        status: 404,
        code,
        message: "not found".to_owned(),
    }
}
