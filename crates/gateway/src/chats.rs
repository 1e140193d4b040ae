//! Chats that are read from a feed: the web page's and the native API's.
//!
//! A chat is a tenant whose id was made here and is known to its owner only. It is opened before the first message, so
//! that a message to a chat that was never opened, or was erased, is refused instead of opening one.
//!
//! Posting and erasing exclude each other per chat: without that, a message posted while its chat is being erased
//! would bring it back to life.

mod erase;
mod error;
mod gate;

pub use self::error::ChatError;
use self::gate::Gate;

use crate::error::Refusal;
use crate::feed::{Asked, FeedReader, LiveAnswer, turn_id};
use crate::gateway::Gateway;
use crate::ports::{
    EntryId, Feedback, FeedbackStore, HISTORY_KEPT, HistoryMessage, Opinion, Outcome, StoreError,
    StoredTenant, TenantDirectory,
};
use openclaw_ai_fabric::BudgetUsage;
use openclaw_core::{
    AccessTier, ChatId, ChatKind, CorrelationId, IncomingKind, IncomingMessage, Language, Platform, Role,
    TenantId, Timestamp, UserId,
};
use openclaw_session::event::TenantCreated;
use openclaw_session::{TenantKey, create_user_tenant};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How far back a conversation can be read, in messages.
pub const MAX_REACH: usize = HISTORY_KEPT;
/// Beside a page, so many messages are read for those that are not shown: calls of tools and their results.
const NOT_SHOWN: usize = 64;
/// How long a key of a message's author stands for that message; after that it stands for another.
const REPEATED: Duration = Duration::from_secs(24 * 3_600);

/// The use cases of chats that are read from a feed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chats {
    gateway: Gateway,
    directory: Arc<dyn TenantDirectory>,
    opinions: Arc<dyn FeedbackStore>,
    gate: Arc<Gate>,
}

/// A message as its author hands it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The text.
    pub text: String,
    /// The author's own key: the same key and text in the same chat are one message.
    pub idempotency_key: Option<String>,
    /// What the author reads, where known.
    pub language: Option<Language>,
    /// What the request is known by already; the turn goes on under it. `None` for a new one.
    pub correlation_id: Option<CorrelationId>,
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The turn that answers it.
    pub turn_id: String,
    /// It had been taken before; nothing happened now.
    pub duplicate: bool,
}

/// Something that was said in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidMessage {
    /// What it is known by within its chat.
    pub seq: i64,
    /// The person, or the model.
    pub role: Role,
    /// What was said.
    pub text: String,
    /// When it was said: a question when it was accepted, an answer when it had its end.
    pub at: Timestamp,
    /// The turn it belongs to, where that is known.
    pub turn_id: Option<String>,
    /// How that turn ended, when it was without an answer: the text is then the person's, or what they were told.
    pub unanswered: Option<Outcome>,
    /// Of an answer: how it ended, as its event told; on the last message of it, where that is known.
    pub finish_reason: Option<String>,
    /// What the person thinks of the answer; on the last message of it.
    pub feedback: Option<Opinion>,
}

/// A chat at one moment: what is remembered of it, and what goes on in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSnapshot {
    /// What was said, oldest first.
    pub messages: Vec<SaidMessage>,
    /// Whether something older can be read.
    pub more: bool,
    /// The answer being written.
    pub live: Option<LiveAnswer>,
    /// Messages without an end, oldest first; the one being answered too.
    pub asked: Vec<Asked>,
    /// Where a reader goes on from.
    pub position: u64,
}

// === impl Chats ===

impl Chats {
    /// Joins the gateway with the tenants and with what they think of answers.
    pub fn new(
        gateway: Gateway,
        directory: Arc<dyn TenantDirectory>,
        opinions: Arc<dyn FeedbackStore>,
    ) -> Self {
        Self {
            gateway,
            directory,
            opinions,
            gate: Arc::default(),
        }
    }

    /// Opens a chat of a person, with a name that cannot be guessed. `tier` is what it is granted; `None` for the
    /// configured one. Dropping the future abandons the wait; the chat may still be opened.
    pub async fn open(
        &self,
        platform: Platform,
        user: UserId,
        tier: Option<AccessTier>,
    ) -> Result<ChatId, ChatError> {
        let services = Arc::clone(self.gateway.services());
        let mut bytes = [0_u8; 16];
        services.random.fill(&mut bytes);
        let chat = ChatId::parse(hex(&bytes)).expect("hex digits are within the bound of an id");
        let tenant_id = TenantId::new(platform, user, chat.clone());
        let tier = tier.unwrap_or(services.config.default_tier);
        let tenant = create_user_tenant(tenant_id.clone(), tier, services.clock.now());
        let directory = Arc::clone(&self.directory);
        self.run(async move {
            directory.create(&services.bot, tenant).await?;
            services
                .session_events
                .publish(None, || TenantCreated { tenant_id, tier });
            Ok(())
        })
        .await?;
        Ok(chat)
    }

    /// Chats of a person in the order they were opened, after the given one; and where the next page starts, if there
    /// is one.
    pub async fn list(
        &self,
        platform: Platform,
        user: UserId,
        after: Option<TenantKey>,
        limit: usize,
    ) -> Result<(Vec<StoredTenant>, Option<TenantKey>), ChatError> {
        let wanted = limit.saturating_add(1);
        let mut found = self
            .directory
            .list(Some((platform, user)), after, wanted)
            .await
            .map_err(Refusal::from)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| last.key);
        Ok((found, next))
    }

    /// The chat, if there is one.
    pub async fn find(&self, tenant: &TenantId) -> Result<StoredTenant, ChatError> {
        let found = self.directory.find(&self.gateway.services().bot, tenant).await;
        found.map_err(Refusal::from)?.ok_or(ChatError::NoSuchChat)
    }

    /// Takes a message in. When this returned `Ok`, it is durable and will be answered. `ask_first` refuses a new one,
    /// before anything is written, when the pool would; else it waits. Dropping the future abandons the wait only.
    pub async fn post(&self, tenant: &TenantId, draft: Draft, ask_first: bool) -> Result<Posted, ChatError> {
        let passage = self.gate.post(tenant).ok_or(ChatError::NoSuchChat)?;
        let (chats, tenant) = (self.clone(), tenant.clone());
        // The passage is held until the message is stored, also when nobody waits for that any more.
        self.run(async move {
            let posted = chats.accept(&tenant, draft, ask_first).await;
            drop(passage);
            posted
        })
        .await
    }

    async fn accept(&self, tenant: &TenantId, draft: Draft, ask_first: bool) -> Result<Posted, ChatError> {
        if self.find(tenant).await?.tenant.suspended {
            return Err(Refusal::TenantSuspended.into());
        }
        let services = self.gateway.services();
        let update_key = match &draft.idempotency_key {
            Some(key) => idempotent_key(tenant, key),
            None => {
                let mut bytes = [0_u8; 16];
                services.random.fill(&mut bytes);
                format!("m-{}", hex(&bytes))
            }
        };
        let message = IncomingMessage {
            platform: tenant.platform(),
            bot: services.bot.clone(),
            update_key,
            user: tenant.user().clone(),
            chat: tenant.chat().clone(),
            chat_kind: ChatKind::Private,
            kind: IncomingKind::Message,
            message_id: None,
            reply_to: None,
            text: draft.text,
            attachments: Vec::new(),
            language: draft.language,
            sent_at: None,
        };
        let repeats_after = draft
            .idempotency_key
            .is_some()
            .then(|| services.clock.now() - REPEATED);
        // What was taken needs no place: its author must get the same answer also when there is none to be had.
        if let Some(since) = repeats_after
            && let Some(known) = services.store.repeated(&message, since).await?
        {
            return posted(known.entry, known.same, true);
        }
        if ask_first {
            self.gateway.check_admission()?;
        }
        let received = self
            .gateway
            .receive_keyed(draft.correlation_id, message, repeats_after);
        let receipts = received.await?;
        let receipt = receipts.first().ok_or_else(|| {
            Refusal::Store(StoreError::Unknown {
                reason: "the store told nothing of a message".to_owned(),
            })
        })?;
        posted(receipt.entry, receipt.same, receipt.duplicate)
    }

    /// The newest messages of a chat, at most `limit` and at most [`MAX_REACH`] back, those before the one known by
    /// `before` when that is given; and what goes on in the chat. A reader that goes on from the snapshot's position misses nothing
    /// and sees nothing twice.
    pub async fn snapshot(
        &self,
        tenant: &TenantId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ChatSnapshot, ChatError> {
        let stored = self.find(tenant).await?;
        let services = self.gateway.services();
        // The feed first: what ends while the history is read is then told by the feed once more.
        let state = services.feeds.state(tenant);
        let window = if before.is_some() {
            MAX_REACH
        } else {
            limit.saturating_add(NOT_SHOWN).min(MAX_REACH)
        };
        let mut history = services
            .recall
            .said(stored.key, window)
            .await
            .map_err(Refusal::from)?;
        let may_have_more = history.len() >= window && window < MAX_REACH;
        if let Some(before) = before {
            match history.iter().position(|message| message.seq == before) {
                Some(place) => history.truncate(place),
                // It is gone meanwhile: what was written before it is no younger.
                None => history.retain(|message| message.seq < before),
            }
        }
        let began = state.live.as_ref().map(|live| live.started_at);
        let is_open = |turn: &str| {
            state.live.as_ref().is_some_and(|live| live.turn_id == turn)
                || state.asked.iter().any(|asked| asked.turn_id == turn)
        };
        // With each the entry whose answer it is the end of.
        let mut messages: Vec<(Option<EntryId>, SaidMessage)> = history
            .into_iter()
            .map(|message| (message.entry.map(turn_id), message))
            // What belongs to a turn that the feed has yet to end is told with its end. Where the turn is not known: one
            // runs at a time, and what was remembered after it began is its own.
            .filter(|(turn, message)| match turn {
                Some(turn) => !is_open(turn),
                None => began.is_none_or(|began| message.at <= began),
            })
            .filter(|(_, message)| matches!(message.message.role, Role::User | Role::Assistant))
            .map(|(turn_id, message)| {
                let answered = message.entry.filter(|_| is_answer(&message));
                let said = SaidMessage {
                    turn_id,
                    unanswered: message.unanswered,
                    finish_reason: message.finish_reason,
                    seq: message.seq,
                    role: message.message.role,
                    text: message.message.joined_text(),
                    at: message.at,
                    feedback: None,
                };
                (answered, said)
            })
            .filter(|(_, message)| !message.text.is_empty())
            .collect();
        let surplus = messages.len().saturating_sub(limit);
        messages.drain(..surplus);
        let answered = || messages.iter().filter_map(|(entry, _)| *entry);
        if let (Some(first), Some(last)) = (answered().min(), answered().max()) {
            let opinions = self.opinions.feedback(stored.key, first..=last).await;
            let mut opinions: HashMap<EntryId, Opinion> = opinions
                .map_err(Refusal::from)?
                .into_iter()
                .map(|feedback| (feedback.entry, feedback.opinion))
                .collect();
            for (entry, message) in &mut messages {
                message.feedback = entry.and_then(|entry| opinions.remove(&entry));
            }
        }
        Ok(ChatSnapshot {
            messages: messages.into_iter().map(|(_, message)| message).collect(),
            more: surplus > 0 || may_have_more,
            live: state.live,
            asked: state.asked,
            position: state.id,
        })
    }

    /// Keeps what the chat's person thinks of the answer of the turn that `is_meant` knows by its id; a second opinion takes
    /// the place of the first. Where texts are not stored, its words are not either. Dropping the future abandons the wait
    /// only.
    ///
    /// # Errors
    ///
    /// [`ChatError::NoSuchAnswer`] when no answer that can be read in the chat is of that turn.
    pub async fn rate(
        &self,
        tenant: &TenantId,
        is_meant: impl Fn(&str) -> bool,
        mut opinion: Opinion,
    ) -> Result<(), ChatError> {
        let stored = self.find(tenant).await?;
        let services = self.gateway.services();
        let said = services.recall.said(stored.key, MAX_REACH).await;
        let entry = said
            .map_err(Refusal::from)?
            .iter()
            .rev()
            .filter(|message| is_answer(message))
            .filter_map(|message| message.entry)
            .find(|entry| is_meant(&turn_id(*entry)))
            .ok_or(ChatError::NoSuchAnswer)?;
        if !services.recall.stores_texts() {
            opinion.text = None;
        }
        let feedback = Feedback {
            entry,
            opinion,
            at: services.clock.now(),
        };
        let opinions = Arc::clone(&self.opinions);
        self.run(async move {
            let kept = opinions.rate(stored.key, feedback).await?;
            // It was erased meanwhile.
            if kept { Ok(()) } else { Err(ChatError::NoSuchChat) }
        })
        .await
    }

    /// Reads a chat's events from the one after `last_seen`, or from now on.
    pub fn subscribe(&self, tenant: &TenantId, last_seen: Option<u64>) -> FeedReader {
        self.gateway.feeds().subscribe(tenant, last_seen)
    }

    /// Whether an answer is being written in a chat.
    pub fn is_answering(&self, tenant: &TenantId) -> bool {
        self.gateway.feeds().is_answering(tenant)
    }

    /// Stops what is being answered and whatever waits behind it. Returns whether there was anything.
    pub async fn stop(&self, tenant: &TenantId) -> Result<bool, ChatError> {
        self.find(tenant).await?;
        let (gateway, tenant) = (self.gateway.clone(), tenant.clone());
        self.run(async move { Ok(gateway.stop(&tenant).await) }).await
    }

    /// What a chat's budget has used and has left.
    pub async fn usage(&self, tenant: &TenantId) -> Result<BudgetUsage, ChatError> {
        let stored = self.find(tenant).await?;
        Ok(self.gateway.usage(tenant, stored.tenant.tier).await?)
    }

    /// What the budget of a tenant has used that needs no chat, such as that of stateless calls. `tier` is what it is
    /// granted; `None` for the configured one.
    pub async fn usage_as(
        &self,
        tenant: &TenantId,
        tier: Option<AccessTier>,
    ) -> Result<BudgetUsage, ChatError> {
        let tier = tier.unwrap_or(self.gateway.services().config.default_tier);
        Ok(self.gateway.usage(tenant, tier).await?)
    }

    /// Runs a change of state to its end, also when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ChatError>> + Send + 'static,
    ) -> Result<T, ChatError> {
        let running = self.gateway.services().runtime.spawn(work);
        running.await.unwrap_or_else(|error| {
            Err(Refusal::Store(StoreError::Unknown {
                reason: error.to_string(),
            })
            .into())
        })
    }
}

/// Whether a message is the last one of an answer.
fn is_answer(message: &HistoryMessage) -> bool {
    message.message.role == Role::Assistant && message.unanswered.is_none() && message.finish_reason.is_some()
}

/// What the author of a message is answered.
fn posted(entry: EntryId, same: bool, duplicate: bool) -> Result<Posted, ChatError> {
    if !same {
        return Err(ChatError::Mismatch);
    }
    Ok(Posted {
        turn_id: turn_id(entry),
        duplicate,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The key a message is de-duplicated by: of the chat, the route and the author's own key.
fn idempotent_key(tenant: &TenantId, key: &str) -> String {
    let mut digest = Sha256::new();
    // Neither a tenant id nor a header holds a line feed, so that the parts cannot run into each other.
    digest.update(format!("chats/messages\n{tenant}\n{key}"));
    format!("k-{}", hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    #[test]
    fn one_key_in_two_chats_is_two_keys() {
        let one = idempotent_key(&chat("web:1:1"), "k");
        assert_eq!(one, idempotent_key(&chat("web:1:1"), "k"));
        assert_ne!(one, idempotent_key(&chat("web:1:2"), "k"));
        assert_ne!(one, idempotent_key(&chat("web:1:1"), "K"));
    }
}
