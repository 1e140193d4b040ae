//! MAX as a [`MessengerPort`].

use crate::api::{Api, CallError, Request};
use crate::bot::BotIdentity;
use crate::config::{MAX_MESSAGE_UTF16, MaxConfig};
use crate::markup::{Shown, render};
use crate::refusal::Asked;
use crate::update::{callback_id, parse_update};
use crate::wire::{Done, NewLink, NewMessage, Sent};
use async_trait::async_trait;
use openclaw_bot_http::{SecretDigests, render_markdown};
use openclaw_core::{ChatId, IncomingMessage, MessageId, OutgoingMessage, Platform, TextFormat, Timestamp};
use openclaw_messenger::{
    Capabilities, DeliveryError, DeliveryErrorKind, Headers, LengthUnit, Markup, MessengerPort, ParseError,
    Parsed, SecurityError, WebhookSecrets,
};
use parking_lot::RwLock;
use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;
use std::fmt;

/// The header that holds the webhook's secret, as it is.
pub const SECRET_HEADER: &str = "x-max-bot-api-secret";

/// One MAX bot.
pub struct MaxAdapter {
    config: MaxConfig,
    api: Api,
    /// Known after [`MaxAdapter::connect`].
    identity: RwLock<Option<BotIdentity>>,
    secrets: RwLock<SecretDigests>,
}

// === impl MaxAdapter ===

impl MaxAdapter {
    /// An adapter that calls through `http`, which must trust the platform's root certificate. Nothing is called yet;
    /// [`MaxAdapter::connect`] should come first.
    pub fn new(config: MaxConfig, http: reqwest::Client) -> Self {
        Self {
            api: Api::new(http, &config.base_url, config.token.clone(), config.call_timeout),
            identity: RwLock::default(),
            secrets: RwLock::default(),
            config,
        }
    }

    /// Who the bot is, once it is known.
    pub fn identity(&self) -> Option<BotIdentity> {
        self.identity.read().clone()
    }

    /// The settings.
    pub fn config(&self) -> &MaxConfig {
        &self.config
    }

    /// Sets who the bot is without asking MAX.
    pub fn remember(&self, identity: BotIdentity) {
        *self.identity.write() = Some(identity);
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    fn max_length(&self) -> usize {
        self.config.max_length.clamp(1, MAX_MESSAGE_UTF16)
    }

    fn render(&self, message: &OutgoingMessage) -> Result<Shown, DeliveryError> {
        let shown = match message.format {
            TextFormat::Plain => Shown::plain(message.text.replace('\0', "")),
            TextFormat::Markdown => render(&message.text, self.max_length()),
        };
        if shown.text.trim().is_empty() {
            return Err(DeliveryError::not_sent(DeliveryErrorKind::Empty));
        }
        if LengthUnit::Utf16.measure(&shown.text) > self.max_length() {
            return Err(DeliveryError::not_sent(DeliveryErrorKind::TooLong));
        }
        Ok(shown)
    }

    async fn send(&self, chat: &ChatId, body: &NewMessage<'_>) -> Result<Sent, CallError> {
        let request = Request {
            method: Method::POST,
            path: "/messages",
            // A preview would fetch addresses a model may have made up.
            query: &[("chat_id", chat.as_str()), ("disable_link_preview", "true")],
        };
        self.api.call_with(request, body).await
    }

    async fn edit(&self, id: &MessageId, shown: &Shown) -> Result<Done, CallError> {
        let request = Request {
            method: Method::PUT,
            path: "/messages",
            query: &[("message_id", id.as_str())],
        };
        // Attachments are left out: so they stay as they are.
        self.api.call_with(request, &body(shown, None)).await
    }
}

#[async_trait]
impl MessengerPort for MaxAdapter {
    fn platform(&self) -> Platform {
        Platform::Max
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edit: true,
            typing: true,
            drafts: false,
            markup: Markup::Markdown,
            max_length: Some(self.max_length()),
            unit: LengthUnit::Utf16,
            threads: false,
            bot_limit: true,
            private_limit: Some(self.config.private_limit),
            group_limit: Some(self.config.group_limit),
            draft_limit: None,
        }
    }

    async fn send_message(&self, message: &OutgoingMessage) -> Result<MessageId, DeliveryError> {
        let shown = self.render(message)?;
        let chat = numbered(&message.chat)?;
        let replied = message.reply_to.as_ref();
        let sent = match self.send(chat, &body(&shown, replied)).await {
            Err(error) if (shown.is_markdown || replied.is_some()) && error.is_about_the_form() => {
                tracing::warn!("MAX refused a message; it goes as plain text that answers none");
                self.send(chat, &body(&unmarked(message), None)).await
            }
            other => other,
        }
        .map_err(|error| error.into_delivery(Asked::Chat))?;
        // It stands in the chat; without an id it could only not be edited.
        MessageId::parse(sent.message.body.mid)
            .map_err(|_| DeliveryError::ambiguous(DeliveryErrorKind::Unreadable))
    }

    async fn edit_message(&self, id: &MessageId, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        let shown = self.render(message)?;
        let done = match self.edit(id, &shown).await {
            Err(CallError::Refused(refusal))
                if shown.is_markdown
                    && refusal.status != 404
                    && CallError::Refused(refusal.clone()).is_about_the_form() =>
            {
                tracing::warn!("MAX refused a change; the text goes without formatting");
                self.edit(id, &unmarked(message)).await
            }
            other => other,
        }
        .map_err(|error| error.into_delivery(Asked::Message))?;
        if done.success {
            return Ok(());
        }
        tracing::info!(why = ?done.message.as_ref().and_then(|why| why.as_str()), "MAX changed nothing");
        // Too old, or gone: whatever it was, a new message will say it.
        Err(DeliveryError::refused(DeliveryErrorKind::NothingToEdit))
    }

    async fn delete_message(&self, _chat: &ChatId, id: &MessageId) -> Result<(), DeliveryError> {
        let request = Request {
            method: Method::DELETE,
            path: "/messages",
            query: &[("message_id", id.as_str())],
        };
        let done: Result<Done, _> = self.api.call(request).await;
        match done.map_err(|error| error.into_delivery(Asked::Message)) {
            // A 200 without success: it was not there, or is not ours to take away.
            Ok(_) => Ok(()),
            Err(error) if error.kind == DeliveryErrorKind::NothingToEdit => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn send_typing_indicator(&self, chat: &ChatId) -> Result<(), DeliveryError> {
        let path = format!("/chats/{}/actions", numbered(chat)?);
        let request = Request {
            method: Method::POST,
            path: &path,
            query: &[],
        };
        self.api
            .call_with::<IgnoredAny>(request, &json!({ "action": "typing_on" }))
            .await
            .map(|_| ())
            .map_err(|error| error.into_delivery(Asked::Chat))
    }

    async fn acknowledge(&self, message: &IncomingMessage) -> Result<(), DeliveryError> {
        let Some(id) = callback_id(message) else {
            return Ok(());
        };
        let request = Request {
            method: Method::POST,
            path: "/answers",
            query: &[("callback_id", id)],
        };
        // A short sign and no change of the message; an answer with neither has no meaning.
        let answer = self
            .api
            .call_with::<IgnoredAny>(request, &json!({ "notification": "✓" }))
            .await;
        match answer {
            Ok(_) => Ok(()),
            // It is too old, or answered already: nobody waits.
            Err(CallError::Refused(refusal)) if matches!(refusal.status, 400 | 404) => Ok(()),
            Err(error) => Err(error.into_delivery(Asked::Bot)),
        }
    }

    fn validate_webhook_signature(&self, headers: &dyn Headers, now: Timestamp) -> Result<(), SecurityError> {
        self.secrets
            .read()
            .check(Platform::Max, headers.get(SECRET_HEADER), now)
    }

    fn parse_webhook(&self, body: &[u8], now: Timestamp) -> Result<Parsed, ParseError> {
        parse_update(body, &self.config, self.identity.read().as_ref(), now)
    }

    fn set_webhook_secrets(&self, secrets: WebhookSecrets) {
        *self.secrets.write() = SecretDigests::new(&secrets);
    }
}

impl fmt::Debug for MaxAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaxAdapter")
            .field("bot", &self.config.bot)
            .field("identity", &*self.identity.read())
            .finish_non_exhaustive()
    }
}

/// The same without marks, which is never longer.
fn unmarked(message: &OutgoingMessage) -> Shown {
    match message.format {
        TextFormat::Plain => Shown::plain(message.text.replace('\0', "")),
        TextFormat::Markdown => Shown::plain(render_markdown(&message.text).text),
    }
}

fn body<'a>(shown: &'a Shown, replied: Option<&'a MessageId>) -> NewMessage<'a> {
    NewMessage {
        text: &shown.text,
        // Without marks the text goes without a format, so that nothing in it is read as one.
        format: shown.is_markdown.then_some("markdown"),
        link: replied.map(|id| NewLink {
            kind: "reply",
            mid: id.as_str(),
        }),
    }
}

/// The chat's number, which becomes part of a path.
fn numbered(chat: &ChatId) -> Result<&ChatId, DeliveryError> {
    match chat.as_str().parse::<i64>() {
        Ok(_) => Ok(chat),
        Err(_) => Err(DeliveryError::not_sent(DeliveryErrorKind::ChatGone)),
    }
}
