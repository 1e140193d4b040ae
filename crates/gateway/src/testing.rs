//! What the unit tests of this crate are made of.

use crate::ports::{EntryId, OpenEntry};
use openclaw_core::testing::SeededRandom;
use openclaw_core::{
    AccessTier, BotId, ChatId, ChatKind, CorrelationId, IncomingKind, IncomingMessage, Language, Platform,
    Timestamp, UserId,
};
use openclaw_session::{TenantKey, create_user_tenant};

/// An open entry of a person's private chat.
pub(crate) fn open_entry(user: &str, id: i64, text: &str) -> OpenEntry {
    let now = Timestamp::from_millis(id);
    let message = IncomingMessage {
        platform: Platform::Telegram,
        bot: BotId::default(),
        update_key: id.to_string(),
        user: UserId::parse(user).unwrap(),
        chat: ChatId::parse(user).unwrap(),
        chat_kind: ChatKind::Private,
        kind: IncomingKind::Message,
        message_id: None,
        reply_to: None,
        text: text.to_owned(),
        attachments: Vec::new(),
        language: Some(Language::En),
        sent_at: None,
    };
    OpenEntry {
        id: EntryId(id),
        key: TenantKey(1),
        tenant: create_user_tenant(message.tenant_id(), AccessTier::Free, now),
        tenant_is_new: false,
        message,
        correlation_id: CorrelationId::new(now, &SeededRandom::new(1)),
        accepted_at: now,
        attempts: 0,
        shown: Vec::new(),
    }
}
