//! What a platform must implement.

use crate::capabilities::Capabilities;
use crate::error::{DeliveryError, ParseError, SecurityError};
use crate::secrets::WebhookSecrets;
use async_trait::async_trait;
use openclaw_core::{ChatId, IncomingMessage, MessageId, OutgoingMessage, Platform, Timestamp};
use std::borrow::Cow;
use std::fmt;

/// The headers of a request, whatever library read them.
pub trait Headers: Sync {
    /// The first value of a header. `name` is in lower case; implementations compare without regard to case.
    fn get(&self, name: &str) -> Option<&[u8]>;
}

/// What a webhook body or a polled update turned out to be. All of them are acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Messages to accept. Never empty.
    Messages(Vec<IncomingMessage>),
    /// Nothing for us: a kind we do not handle, or a group's talk that is not addressed to us.
    Ignored {
        /// What it was, short and from a small set, for counters.
        kind: Cow<'static, str>,
    },
    /// The platform gave a chat another id. Messages to the old one now go to the new one.
    Migrated {
        /// The old id.
        from: ChatId,
        /// The new id.
        to: ChatId,
    },
}

/// A platform people write from. Implemented by each platform's adapter.
///
/// Sending methods make one attempt (a second one only where the platform refused the first for its formatting) and
/// wait for the platform's answer, never for a rate limit: pacing is the dispatcher's. Dropping a future abandons the
/// wait; the message may still be sent. An error says whether it surely was not.
#[async_trait]
pub trait MessengerPort: Send + Sync + fmt::Debug {
    /// Which platform.
    fn platform(&self) -> Platform;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Sends a message to `message.chat` and returns the platform's id of it.
    async fn send_message(&self, message: &OutgoingMessage) -> Result<MessageId, DeliveryError>;

    /// Makes the message read as given: the whole text, never only the newest piece. A message that reads so already
    /// is `Ok`.
    async fn edit_message(&self, id: &MessageId, message: &OutgoingMessage) -> Result<(), DeliveryError>;

    /// Takes a message away. One that is gone already is `Ok`.
    async fn delete_message(&self, chat: &ChatId, id: &MessageId) -> Result<(), DeliveryError>;

    /// Shows for a few seconds that an answer is being written.
    async fn send_typing_indicator(&self, chat: &ChatId) -> Result<(), DeliveryError>;

    /// Shows a text as being written, without sending it. The same `draft`, not 0, replaces what it showed before.
    async fn send_draft(&self, draft: i64, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        let _ = (draft, message);
        Err(DeliveryError::unsupported("drafts"))
    }

    /// Tells the platform that a button press has arrived, so that its button stops waiting. Nothing to do for other
    /// messages and on platforms without buttons.
    async fn acknowledge(&self, message: &IncomingMessage) -> Result<(), DeliveryError> {
        let _ = message;
        Ok(())
    }

    /// Whether the sender of a request proved to be the platform. Compares in constant time; fails closed: without a
    /// secret that is valid `now`, nobody is believed.
    fn validate_webhook_signature(&self, headers: &dyn Headers, now: Timestamp) -> Result<(), SecurityError>;

    /// Reads a body whose sender has been believed. Kinds that are unknown are [`Parsed::Ignored`], not errors.
    fn parse_webhook(&self, body: &[u8], now: Timestamp) -> Result<Parsed, ParseError>;

    /// Replaces the secrets that are believed. Takes effect with the next request.
    fn set_webhook_secrets(&self, secrets: WebhookSecrets);
}

/// Pairs of a name in any case and a value, for tests and for servers that keep headers so.
impl<const N: usize> Headers for [(&str, &[u8]); N] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}
