//! What happens here, as domain events. They carry ids and lengths, never texts or secrets.

use openclaw_core::{ChatId, Event, IncomingKind, IncomingMessage, MessageId, Platform, TenantId};
use serde::Serialize;

/// An authentic webhook request was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookReceived {
    /// Of which platform.
    pub platform: Platform,
    /// The length of its body.
    pub bytes: usize,
    /// How many messages it brought.
    pub messages: usize,
    /// What became of it: `messages`, `migrated`, `malformed`, or the kind that was ignored.
    pub kind: String,
}

/// A webhook request was not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookValidationFailed {
    /// For which platform.
    pub platform: Platform,
    /// `no_secret_configured`, `missing_secret`, `wrong_secret` or `not_registered`.
    pub reason: &'static str,
}

/// A message was accepted. Published by whoever stored it, once per message and not once per delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageReceived {
    /// Whose.
    pub tenant_id: TenantId,
    /// What happened.
    pub kind: IncomingKind,
    /// The platform's id of the message.
    pub message_id: Option<MessageId>,
    /// The length of its text in Unicode scalar values.
    pub length: usize,
    /// How many files came with it.
    pub attachments: usize,
}

/// A message stands in the chat: sent, or changed to its final text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSent {
    /// To whom.
    pub tenant_id: TenantId,
    /// Where it stands; differs from the tenant's chat when that has moved.
    pub chat_id: ChatId,
    /// The platform's id of it.
    pub message_id: MessageId,
    /// The length of its text in Unicode scalar values.
    pub length: usize,
    /// It had been sent before and was changed.
    pub edited: bool,
}

/// One attempt to send a message, or to change it to its final text, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDeliveryFailed {
    /// To whom.
    pub tenant_id: TenantId,
    /// The error's code.
    pub code: &'static str,
    /// The same call can never succeed.
    pub permanent: bool,
    /// The message may stand in the chat all the same.
    pub ambiguous: bool,
}

impl Event for WebhookReceived {
    const NAME: &'static str = "messenger.webhook.received";
}

impl Event for WebhookValidationFailed {
    const NAME: &'static str = "messenger.webhook.validation_failed";
}

impl Event for MessageReceived {
    const NAME: &'static str = "messenger.message.received";
}

impl Event for MessageSent {
    const NAME: &'static str = "messenger.message.sent";
}

impl Event for MessageDeliveryFailed {
    const NAME: &'static str = "messenger.message.delivery_failed";
}

// === impl MessageReceived ===

impl MessageReceived {
    /// The event of a message.
    pub fn of(message: &IncomingMessage) -> Self {
        Self {
            tenant_id: message.tenant_id(),
            kind: message.kind,
            message_id: message.message_id.clone(),
            length: message.text.chars().count(),
            attachments: message.attachments.len(),
        }
    }
}
