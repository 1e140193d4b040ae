//! A platform in memory: remembers every call with its time and fails as told.

use async_trait::async_trait;
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{
    ChatId, ChatKind, Clock, CorrelationId, EventBus, EventContext, InProcessEventBus, MessageId, Monotonic,
    OutgoingMessage, Platform, TenantId, TextFormat, Timestamp,
};
use openclaw_messenger::{
    Capabilities, DeliveryError, Headers, LengthUnit, Markup, MessengerPort, ParseError, Parsed, RateLimit,
    SecurityError, WebhookSecrets,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One call: when, of what kind, to which chat, with which text.
pub(crate) type Seen = (Monotonic, &'static str, String, String);

#[derive(Debug)]
pub(crate) struct MemoryPlatform {
    clock: Arc<ManualClock>,
    pub(crate) capabilities: Mutex<Capabilities>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) failures: Mutex<VecDeque<DeliveryError>>,
    /// Calls are answered only after this long.
    pub(crate) latency: Mutex<Duration>,
    secrets: Mutex<WebhookSecrets>,
}

impl MemoryPlatform {
    pub(crate) fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(clock),
            capabilities: Mutex::new(Capabilities {
                edit: true,
                typing: true,
                drafts: true,
                markup: Markup::Entities,
                max_length: Some(4_096),
                unit: LengthUnit::Utf16,
                threads: true,
                bot_limit: true,
                private_limit: None,
                group_limit: None,
                draft_limit: None,
            }),
            seen: Mutex::default(),
            failures: Mutex::default(),
            latency: Mutex::default(),
            secrets: Mutex::default(),
        })
    }

    pub(crate) fn fail(&self, error: DeliveryError) {
        self.failures.lock().push_back(error);
    }

    pub(crate) fn set_private_limit(&self, interval: Duration, burst: u32) {
        self.capabilities.lock().private_limit = Some(RateLimit::every(interval, burst));
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.3.clone()).collect()
    }

    async fn call(&self, kind: &'static str, chat: &ChatId, text: &str) -> Result<(), DeliveryError> {
        self.seen
            .lock()
            .push((self.clock.monotonic(), kind, chat.to_string(), text.to_owned()));
        let latency = *self.latency.lock();
        if !latency.is_zero() {
            self.clock.sleep(latency).await;
        }
        match self.failures.lock().pop_front() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl MessengerPort for MemoryPlatform {
    fn platform(&self) -> Platform {
        Platform::Telegram
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.lock()
    }

    async fn send_message(&self, message: &OutgoingMessage) -> Result<MessageId, DeliveryError> {
        self.call("send", &message.chat, &message.text).await?;
        Ok(MessageId::parse(format!("m{}", self.seen.lock().len())).unwrap())
    }

    async fn edit_message(&self, _: &MessageId, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        self.call("edit", &message.chat, &message.text).await
    }

    async fn delete_message(&self, chat: &ChatId, id: &MessageId) -> Result<(), DeliveryError> {
        self.call("delete", chat, id.as_str()).await
    }

    async fn send_typing_indicator(&self, chat: &ChatId) -> Result<(), DeliveryError> {
        self.call("typing", chat, "").await
    }

    async fn send_draft(&self, _: i64, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        self.call("draft", &message.chat, &message.text).await
    }

    fn validate_webhook_signature(&self, headers: &dyn Headers, now: Timestamp) -> Result<(), SecurityError> {
        let platform = Platform::Telegram;
        let secrets = self.secrets.lock();
        let valid: Vec<_> = secrets.all().filter(|secret| secret.is_valid(now)).collect();
        if valid.is_empty() {
            return Err(SecurityError::NoSecret { platform });
        }
        let value = headers
            .get("x-secret")
            .ok_or(SecurityError::MissingSecret { platform })?;
        if valid
            .iter()
            .any(|secret| secret.secret.expose().as_bytes() == value)
        {
            Ok(())
        } else {
            Err(SecurityError::WrongSecret { platform })
        }
    }

    fn parse_webhook(&self, body: &[u8], _: Timestamp) -> Result<Parsed, ParseError> {
        match body {
            b"migrated" => Ok(Parsed::Migrated {
                from: ChatId::parse("-1").unwrap(),
                to: ChatId::parse("-2").unwrap(),
            }),
            b"poll" => Ok(Parsed::Ignored { kind: "poll".into() }),
            _ => Err(ParseError::Field { field: "update_id" }),
        }
    }

    fn set_webhook_secrets(&self, secrets: WebhookSecrets) {
        *self.secrets.lock() = secrets;
    }
}

pub(crate) fn events(clock: &Arc<ManualClock>) -> (Arc<InProcessEventBus>, EventContext) {
    let bus = InProcessEventBus::new();
    let context = EventContext::new(
        Arc::clone(&bus) as Arc<dyn EventBus>,
        Arc::clone(clock) as Arc<dyn Clock>,
        "tests",
    );
    (bus, context)
}

pub(crate) fn correlation() -> CorrelationId {
    CorrelationId::new(Timestamp::from_millis(0), &SeededRandom::new(1))
}

pub(crate) fn tenant(chat: &str) -> TenantId {
    TenantId::parse(&format!("telegram:7:{chat}")).unwrap()
}

pub(crate) fn message(chat: &str, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat: ChatId::parse(chat).unwrap(),
        chat_kind: ChatKind::Private,
        reply_to: None,
        text: text.to_owned(),
        format: TextFormat::Plain,
    }
}
