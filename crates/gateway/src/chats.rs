//! Chats that are read from a feed: the web page's and the native API's.
//!
//! A chat is a tenant whose id was made here and is known to its owner only. It is opened before the first message, so
//! that a message to a chat that was never opened, or was erased, is refused instead of opening one.
//!
//! Posting and erasing exclude each other per chat: without that, a message posted while its chat is being erased
//! would bring it back to life.

use crate::error::Refusal;
use crate::feed::{Asked, FeedEvent, FeedRead, FeedReader, LiveAnswer, turn_id};
use crate::gateway::Gateway;
use crate::ports::{StoreError, StoredTenant, TenantDirectory};
use openclaw_ai_fabric::BudgetUsage;
use openclaw_core::{
    AccessTier, ChatId, ChatKind, CodedError, IncomingKind, IncomingMessage, Language, Platform, Role,
    TenantId, Timestamp, UserId,
};
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use openclaw_session::event::{TenantCreated, TenantDeleted};
use openclaw_session::{TenantKey, create_user_tenant};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How far back a conversation can be read, in messages.
pub const MAX_REACH: usize = 2_000;
/// Beside a page, so many messages are read for those that are not shown: calls of tools and their results.
const NOT_SHOWN: usize = 64;
/// How long erasing waits for a running turn to end before it goes on without it.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The use cases of chats that are read from a feed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chats {
    gateway: Gateway,
    directory: Arc<dyn TenantDirectory>,
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
    /// Its place; grows within a chat.
    pub seq: i64,
    /// The person, or the model.
    pub role: Role,
    /// What was said.
    pub text: String,
    /// When.
    pub at: Timestamp,
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

/// Why a chat did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// There is none, or it is somebody else's, which nobody is told.
    #[error("there is no such chat")]
    NoSuchChat,
    /// The idempotency key came with another text before.
    #[error("the idempotency key was used with another message")]
    Mismatch,
    /// The gateway refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Lets either posts or an erasure into a chat.
#[derive(Debug, Default)]
struct Gate {
    /// Holds only chats with something under way: never larger than the number of requests being served.
    traffic: Mutex<HashMap<TenantId, Traffic>>,
    /// Told when a post has ended.
    left: Notify,
}

#[derive(Debug, Default)]
struct Traffic {
    posts: usize,
    erasing: bool,
}

/// A post's or an erasure's place; given back when it is dropped.
#[derive(Debug)]
struct Passage {
    gate: Arc<Gate>,
    tenant: TenantId,
    erasing: bool,
}

// === impl Chats ===

impl Chats {
    /// Joins the gateway with the tenants.
    pub fn new(gateway: Gateway, directory: Arc<dyn TenantDirectory>) -> Self {
        Self {
            gateway,
            directory,
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

    /// Takes a message in. When this returned `Ok`, it is durable and will be answered. `ask_first` refuses it, before
    /// anything is written, when the pool would; else it waits. Dropping the future abandons the wait only.
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
        if ask_first {
            self.gateway.check_admission()?;
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
        let receipts = self.gateway.receive(vec![message], None).await?;
        let receipt = receipts.first().ok_or_else(|| {
            Refusal::Store(StoreError::Unknown {
                reason: "the store told nothing of a message".to_owned(),
            })
        })?;
        if receipt.same {
            Ok(Posted {
                turn_id: turn_id(receipt.entry),
                duplicate: receipt.duplicate,
            })
        } else {
            Err(ChatError::Mismatch)
        }
    }

    /// The newest messages of a chat, at most `limit` and at most [`MAX_REACH`] back, those older than `before` when
    /// that is given; and what goes on in the chat. A reader that goes on from the snapshot's position misses nothing
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
        let history = services
            .store
            .history(stored.key, window, u64::MAX)
            .await
            .map_err(Refusal::from)?;
        let may_have_more = history.len() >= window && window < MAX_REACH;
        let began = state.live.as_ref().map(|live| live.started_at);
        let mut messages: Vec<SaidMessage> = history
            .into_iter()
            // One turn runs at a time: what was remembered after it began is its own, which the feed has yet to end.
            .filter(|message| began.is_none_or(|began| message.at <= began))
            .filter(|message| before.is_none_or(|before| message.seq < before))
            .filter(|message| matches!(message.message.role, Role::User | Role::Assistant))
            .map(|message| SaidMessage {
                seq: message.seq,
                role: message.message.role,
                text: message.message.joined_text(),
                at: message.at,
            })
            .filter(|message| !message.text.is_empty())
            .collect();
        let surplus = messages.len().saturating_sub(limit);
        messages.drain(..surplus);
        Ok(ChatSnapshot {
            messages,
            more: surplus > 0 || may_have_more,
            live: state.live,
            asked: state.asked,
            position: state.id,
        })
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

    /// Erases a chat with everything that was said in it. Dropping the future abandons the wait only.
    pub async fn erase(&self, tenant: &TenantId) -> Result<(), ChatError> {
        let passage = self.gate.erase(tenant).await.ok_or(ChatError::NoSuchChat)?;
        let (chats, tenant) = (self.clone(), tenant.clone());
        self.run(async move {
            let erased = chats.erase_now(&tenant).await;
            drop(passage);
            erased
        })
        .await
    }

    async fn erase_now(&self, tenant: &TenantId) -> Result<(), ChatError> {
        let stored = self.find(tenant).await?;
        let services = self.gateway.services();
        self.end_turns(tenant).await;
        if services.hooks.has(HookName::OnSessionEnd) {
            let ended = services
                .store
                .start_over(stored.key, services.clock.now())
                .await
                .map_err(Refusal::from)?;
            if let Some(session) = ended {
                let mut context = HookContext::OnSessionEnd {
                    tenant: tenant.clone(),
                    session: session.id,
                    generation: session.generation,
                    reason: SessionEndReason::Deleted,
                };
                services
                    .hooks
                    .dispatch(HookName::OnSessionEnd, &mut context, stored.tenant.tier, None)
                    .await;
            }
        }
        let deleted = self.directory.delete(stored.key).await.map_err(Refusal::from)?;
        services.feeds.forget(tenant);
        if deleted {
            services.session_events.publish(None, || TenantDeleted {
                tenant_id: tenant.clone(),
                removed: vec!["sessions", "history"],
            });
        }
        Ok(())
    }

    /// Stops what is under way in the chat and waits a moment until it has ended, so that nothing is said after the
    /// chat is gone.
    async fn end_turns(&self, tenant: &TenantId) {
        let services = self.gateway.services();
        let state = services.feeds.state(tenant);
        let mut reader = services.feeds.subscribe(tenant, Some(state.id));
        self.gateway.stop(tenant).await;
        let asked = state.asked.into_iter().map(|asked| asked.turn_id);
        let mut under_way: HashSet<String> = asked.chain(state.live.map(|live| live.turn_id)).collect();
        let patience = services.clock.sleep(STOP_PATIENCE);
        tokio::pin!(patience);
        while !under_way.is_empty() {
            let read = tokio::select! {
                biased;
                read = reader.next() => read,
                () = &mut patience => return,
            };
            match read {
                FeedRead::Event { event, .. } => {
                    if let FeedEvent::TurnFinished { turn_id, .. } | FeedEvent::TurnFailed { turn_id, .. } =
                        &*event
                    {
                        under_way.remove(turn_id);
                    }
                }
                FeedRead::Reset { .. } => {}
                FeedRead::Closed => return,
            }
        }
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

// === impl ChatError ===

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl CodedError for ChatError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchChat => "NOT_FOUND",
            Self::Mismatch => "IDEMPOTENCY_MISMATCH",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    fn recoverable(&self) -> bool {
        match self {
            Self::NoSuchChat | Self::Mismatch => false,
            Self::Refused(refusal) => refusal.recoverable(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoSuchChat | Self::Mismatch => None,
            Self::Refused(refusal) => refusal.retry_after(),
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match (self, language) {
            (Self::NoSuchChat, Language::En) => "There is no such chat.".into(),
            (Self::NoSuchChat, Language::Ru) => "Такого чата нет.".into(),
            (Self::Mismatch, Language::En) => "This Idempotency-Key was used with another message.".into(),
            (Self::Mismatch, Language::Ru) => {
                "Этот Idempotency-Key уже использован с другим сообщением.".into()
            }
            (Self::Refused(refusal), language) => refusal.user_message(language),
        }
    }
}

// === impl Gate ===

impl Gate {
    /// A place for a post; `None` while the chat is being erased.
    fn post(self: &Arc<Self>, tenant: &TenantId) -> Option<Passage> {
        let mut chats = self.traffic.lock();
        let traffic = chats.entry(tenant.clone()).or_default();
        if traffic.erasing {
            return None;
        }
        traffic.posts += 1;
        Some(Passage {
            gate: Arc::clone(self),
            tenant: tenant.clone(),
            erasing: false,
        })
    }

    /// The place for an erasure, once the posts under way have ended; new ones are refused from now on. `None` when
    /// another erasure has it. Dropping the future lets posts in again.
    async fn erase(self: &Arc<Self>, tenant: &TenantId) -> Option<Passage> {
        {
            let mut chats = self.traffic.lock();
            let traffic = chats.entry(tenant.clone()).or_default();
            if traffic.erasing {
                return None;
            }
            traffic.erasing = true;
        }
        let passage = Passage {
            gate: Arc::clone(self),
            tenant: tenant.clone(),
            erasing: true,
        };
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Registered before looking, so that a post that ends in between is not slept through.
            left.as_mut().enable();
            if self
                .traffic
                .lock()
                .get(tenant)
                .is_none_or(|traffic| traffic.posts == 0)
            {
                return Some(passage);
            }
            left.await;
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        {
            let mut chats = self.gate.traffic.lock();
            if let Some(traffic) = chats.get_mut(&self.tenant) {
                if self.erasing {
                    traffic.erasing = false;
                } else {
                    traffic.posts = traffic.posts.saturating_sub(1);
                }
                if traffic.posts == 0 && !traffic.erasing {
                    chats.remove(&self.tenant);
                }
            }
        }
        self.gate.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn chat(text: &str) -> TenantId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_erasure_waits_for_posts_and_keeps_new_ones_out() {
        let gate = Arc::new(Gate::default());
        let (own, other) = (chat("web:1:1"), chat("web:1:2"));
        let post = gate.post(&own).unwrap();
        let mut erasing = Box::pin(gate.erase(&own));
        assert!((&mut erasing).now_or_never().is_none(), "a post is under way");
        assert!(gate.post(&own).is_none());
        assert!(gate.post(&other).is_some(), "another chat is not concerned");
        drop(post);
        let passage = erasing.await.unwrap();
        assert!(gate.post(&own).is_none());
        assert!(gate.erase(&own).await.is_none(), "one erasure at a time");
        drop(passage);
        assert!(
            gate.traffic.lock().is_empty(),
            "nothing is remembered of chats without traffic"
        );
        assert!(gate.post(&own).is_some());
    }

    #[tokio::test]
    async fn an_erasure_that_is_given_up_lets_posts_in_again() {
        let gate = Arc::new(Gate::default());
        let own = chat("web:1:1");
        let post = gate.post(&own).unwrap();
        assert!(gate.erase(&own).now_or_never().is_none());
        assert!(gate.post(&own).is_some());
        drop(post);
        assert!(gate.traffic.lock().is_empty());
    }

    #[test]
    fn one_key_in_two_chats_is_two_keys() {
        let one = idempotent_key(&chat("web:1:1"), "k");
        assert_eq!(one, idempotent_key(&chat("web:1:1"), "k"));
        assert_ne!(one, idempotent_key(&chat("web:1:2"), "k"));
        assert_ne!(one, idempotent_key(&chat("web:1:1"), "K"));
    }
}
