//! Telegram as a [`MessengerPort`].

use crate::api::Api;
use crate::bot::BotIdentity;
use crate::config::{MAX_MESSAGE_UTF16, TelegramConfig};
use crate::entities::{render_markdown, render_unfinished};
use crate::refusal::CallError;
use crate::update::{parse_update, query_id};
use crate::wire;
use async_trait::async_trait;
use openclaw_bot_http::{Rendered, SecretDigests};
use openclaw_core::{ChatId, IncomingMessage, MessageId, OutgoingMessage, Platform, TextFormat, Timestamp};
use openclaw_messenger::{
    Capabilities, DeliveryError, DeliveryErrorKind, Headers, LengthUnit, Markup, MessengerPort, ParseError,
    Parsed, SecurityError, WebhookSecrets,
};
use parking_lot::RwLock;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// The header that holds the webhook's secret, as it is.
pub const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// One Telegram bot.
pub struct TelegramAdapter {
    config: TelegramConfig,
    api: Api,
    /// Turns false for good when the server says that it knows no drafts.
    drafts: AtomicBool,
    /// Known after [`TelegramAdapter::connect`].
    identity: RwLock<Option<BotIdentity>>,
    secrets: RwLock<SecretDigests>,
}

// === impl TelegramAdapter ===

impl TelegramAdapter {
    /// An adapter that calls through `http`. Nothing is called yet; [`TelegramAdapter::connect`] should come first.
    pub fn new(config: TelegramConfig, http: reqwest::Client) -> Self {
        Self {
            api: Api::new(http, &config.base_url, config.token.clone(), config.call_timeout),
            drafts: AtomicBool::new(config.drafts),
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
    pub fn config(&self) -> &TelegramConfig {
        &self.config
    }

    /// Sets who the bot is without asking Telegram.
    pub fn remember(&self, identity: BotIdentity) {
        *self.identity.write() = Some(identity);
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    fn render(
        &self,
        message: &OutgoingMessage,
        markdown: fn(&str) -> Rendered,
    ) -> Result<Rendered, DeliveryError> {
        let rendered = match message.format {
            TextFormat::Plain => Rendered {
                text: message.text.clone(),
                entities: Vec::new(),
            },
            TextFormat::Markdown => markdown(&message.text),
        };
        if rendered.text.trim().is_empty() {
            return Err(DeliveryError::not_sent(DeliveryErrorKind::Empty));
        }
        if LengthUnit::Utf16.measure(&rendered.text) > self.max_length() {
            return Err(DeliveryError::not_sent(DeliveryErrorKind::TooLong));
        }
        Ok(rendered)
    }

    fn max_length(&self) -> usize {
        self.config.max_length.clamp(1, MAX_MESSAGE_UTF16)
    }

    async fn send(&self, message: &OutgoingMessage, rendered: &Rendered) -> Result<wire::Sent, CallError> {
        let request = wire::SendMessage {
            chat_id: chat_ref(&message.chat),
            message_thread_id: thread(&message.chat),
            text: &rendered.text,
            entities: &rendered.entities,
            reply_parameters: message.reply_to.as_ref().and_then(number).map(|message_id| {
                wire::ReplyParameters {
                    message_id,
                    allow_sending_without_reply: true,
                }
            }),
            link_preview_options: wire::NoPreview::OFF,
        };
        self.api.call("sendMessage", &request).await
    }

    async fn edit(
        &self,
        message_id: i64,
        message: &OutgoingMessage,
        rendered: &Rendered,
    ) -> Result<(), CallError> {
        let request = wire::EditMessageText {
            chat_id: chat_ref(&message.chat),
            message_id,
            text: &rendered.text,
            entities: &rendered.entities,
            link_preview_options: wire::NoPreview::OFF,
        };
        // The result is the message, or `true` for messages of others; neither tells us anything.
        match self
            .api
            .call::<serde::de::IgnoredAny>("editMessageText", &request)
            .await
        {
            Ok(_) | Err(CallError::NotModified) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl MessengerPort for TelegramAdapter {
    fn platform(&self) -> Platform {
        Platform::Telegram
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edit: true,
            typing: true,
            drafts: self.drafts.load(Ordering::Relaxed),
            markup: Markup::Entities,
            max_length: Some(self.max_length()),
            unit: LengthUnit::Utf16,
            threads: true,
            bot_limit: true,
            private_limit: Some(self.config.private_limit),
            group_limit: Some(self.config.group_limit),
            draft_limit: Some(self.config.draft_limit),
        }
    }

    async fn send_message(&self, message: &OutgoingMessage) -> Result<MessageId, DeliveryError> {
        let mut rendered = self.render(message, render_markdown)?;
        let sent = match self.send(message, &rendered).await {
            Err(CallError::BadEntities) if !rendered.entities.is_empty() => {
                tracing::warn!("Telegram refused our entities; the text goes without them");
                rendered.entities.clear();
                self.send(message, &rendered).await
            }
            other => other,
        }
        .map_err(CallError::into_delivery)?;
        // It stands in the chat; without a number it could only not be edited. Numbers always make an id.
        MessageId::parse(sent.message_id.to_string())
            .map_err(|_| DeliveryError::ambiguous(DeliveryErrorKind::Unreadable))
    }

    async fn edit_message(&self, id: &MessageId, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        let message_id =
            number(id).ok_or_else(|| DeliveryError::not_sent(DeliveryErrorKind::NothingToEdit))?;
        let mut rendered = self.render(message, render_markdown)?;
        match self.edit(message_id, message, &rendered).await {
            Err(CallError::BadEntities) if !rendered.entities.is_empty() => {
                tracing::warn!("Telegram refused our entities; the text goes without them");
                rendered.entities.clear();
                self.edit(message_id, message, &rendered).await
            }
            other => other,
        }
        .map_err(CallError::into_delivery)
    }

    async fn delete_message(&self, chat: &ChatId, id: &MessageId) -> Result<(), DeliveryError> {
        let message_id =
            number(id).ok_or_else(|| DeliveryError::not_sent(DeliveryErrorKind::NothingToEdit))?;
        let request = wire::DeleteMessage {
            chat_id: chat_ref(chat),
            message_id,
        };
        match self.api.call::<bool>("deleteMessage", &request).await {
            Ok(_) | Err(CallError::AlreadyGone) => Ok(()),
            Err(error) => Err(error.into_delivery()),
        }
    }

    async fn send_typing_indicator(&self, chat: &ChatId) -> Result<(), DeliveryError> {
        let request = wire::SendChatAction {
            chat_id: chat_ref(chat),
            message_thread_id: thread(chat),
            action: "typing",
        };
        self.api
            .call::<bool>("sendChatAction", &request)
            .await
            .map(|_| ())
            .map_err(CallError::into_delivery)
    }

    async fn send_draft(&self, draft: i64, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        if !self.drafts.load(Ordering::Relaxed) {
            return Err(DeliveryError::unsupported("drafts"));
        }
        let chat_id = match chat_ref(&message.chat) {
            wire::ChatRef::Id(id) if id > 0 && draft != 0 => id,
            _ => return Err(DeliveryError::unsupported("drafts outside of private chats")),
        };
        // More of it is to come: what is open at its end is shown as if it were closed.
        let rendered = self.render(message, render_unfinished)?;
        let mut request = wire::SendMessageDraft {
            chat_id,
            message_thread_id: thread(&message.chat),
            draft_id: draft,
            text: &rendered.text,
            entities: &rendered.entities,
            can_stop: true,
        };
        let mut answer = self.api.call::<bool>("sendMessageDraft", &request).await;
        if matches!(answer, Err(CallError::BadEntities)) && !request.entities.is_empty() {
            tracing::warn!("Telegram refused our entities; the draft goes without them");
            request.entities = &[];
            answer = self.api.call::<bool>("sendMessageDraft", &request).await;
        }
        match answer {
            Ok(_) => Ok(()),
            Err(CallError::NotFound) => {
                self.drafts.store(false, Ordering::Relaxed);
                tracing::info!("this Bot API server knows no drafts; answers are shown by edits");
                Err(DeliveryError::refused(DeliveryErrorKind::Unsupported {
                    what: "drafts",
                }))
            }
            Err(error) => Err(error.into_delivery()),
        }
    }

    async fn acknowledge(&self, message: &IncomingMessage) -> Result<(), DeliveryError> {
        match query_id(message) {
            Some(id) => self.answer_callback_query(id, None).await,
            None => Ok(()),
        }
    }

    fn validate_webhook_signature(&self, headers: &dyn Headers, now: Timestamp) -> Result<(), SecurityError> {
        self.secrets
            .read()
            .check(Platform::Telegram, headers.get(SECRET_HEADER), now)
    }

    fn parse_webhook(&self, body: &[u8], now: Timestamp) -> Result<Parsed, ParseError> {
        parse_update(body, &self.config, self.identity.read().as_ref(), now)
    }

    fn set_webhook_secrets(&self, secrets: WebhookSecrets) {
        *self.secrets.write() = SecretDigests::new(&secrets);
    }
}

impl fmt::Debug for TelegramAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelegramAdapter")
            .field("bot", &self.config.bot)
            .field("identity", &*self.identity.read())
            .field("drafts", &self.drafts)
            .finish_non_exhaustive()
    }
}

/// A chat as the Bot API names it: a number, or a public name.
fn chat_ref(chat: &ChatId) -> wire::ChatRef<'_> {
    let bare = chat.bare();
    bare.parse().map_or(wire::ChatRef::Name(bare), wire::ChatRef::Id)
}

/// The topic to send to. The general topic is number 1 and must not be named.
fn thread(chat: &ChatId) -> Option<i64> {
    chat.topic()?.parse().ok().filter(|topic| *topic != 1)
}

fn number(id: &MessageId) -> Option<i64> {
    id.as_str().parse().ok()
}
