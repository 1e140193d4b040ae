//! What the gateway needs from a store.
//!
//! What must change together across contexts — inbox, session, history, budget, outbox — changes in one transaction
//! behind [`TurnStore`]. Implemented by the in-memory store and by the embedded durable one; one contract suite
//! (`contract`, behind the feature of that name) runs against both.
//!
//! # Contract of every method
//!
//! - **Atomic**: a method changes everything it names or nothing.
//! - **Durable**: when it returned `Ok`, the change survives the process and, on a disk that honours sync, the machine.
//! - **Cancellation**: dropping a future before it is ready abandons the wait, not the change; the change may still
//!   happen. Callers that must know run it in a task of their own.
//! - **Errors**: [`StoreError::Unavailable`] promises that nothing was changed. [`StoreError::Unknown`] promises
//!   nothing: the change may or may not be there after a restart, and the store accepts no further writes.

use crate::ledger::{Spent, SpentQuery, SpentRow};
use async_trait::async_trait;
use openclaw_core::{
    AccessTier, BotId, ChatMessage, CorrelationId, IncomingMessage, MessageId, ModelId, OutgoingMessage,
    Platform, TenantId, Timestamp, UserId,
};
use openclaw_session::{TenantKey, TenantSession, UserTenant};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// An inbox entry. Grows in the order entries were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub i64);

/// A piece of a reply waiting to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutboxId(pub i64);

/// The right to write the results of a turn. Grows per tenant with every turn begun; an older one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// A message to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// The message; unique by platform, bot and `update_key`.
    pub message: IncomingMessage,
    /// What it will be found by.
    pub correlation_id: CorrelationId,
    /// The tier its tenant gets at first contact. A known tenant keeps its own.
    pub tier_if_new: AccessTier,
    /// When it arrived.
    pub received_at: Timestamp,
    /// A message of the same key is taken for a second delivery only if it was accepted after this time; one accepted
    /// earlier gives the key up. `None` for as long as it is remembered at all.
    pub repeats_after: Option<Timestamp>,
}

/// What became of a message that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// It is in the inbox now.
    New(OpenEntry),
    /// It was there already; nothing changed.
    Duplicate {
        /// The entry of the first delivery.
        entry: EntryId,
        /// What was accepted then. Text and attachments are gone once the entry has its end.
        message: IncomingMessage,
        /// Whether what came now says the same as what was accepted then, by [`message_digest`]. Known also after
        /// the text was forgotten.
        same: bool,
    },
}

/// An inbox entry without an end.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenEntry {
    /// Its id.
    pub id: EntryId,
    /// Whose it is.
    pub key: TenantKey,
    /// The tenant as stored when this was read.
    pub tenant: UserTenant,
    /// Whether this entry was the tenant's first contact.
    pub tenant_is_new: bool,
    /// The message.
    pub message: IncomingMessage,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// When it was accepted; age counts from here.
    pub accepted_at: Timestamp,
    /// How many turns were begun for it and did not end.
    pub attempts: u32,
    /// What the person has already been shown by a turn that did not end.
    pub shown: Vec<ShownPart>,
}

/// A message of a reply that stands in the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPart {
    /// Which part of the reply, from 0.
    pub part: u32,
    /// The platform's id of it, which a repaired turn edits instead of sending again.
    pub message_id: MessageId,
}

/// Tokens set aside for a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRecord {
    /// The budget they are taken from.
    pub account: String,
    /// How many.
    pub tokens: u64,
    /// How many of them the request itself is estimated to cost: what a crash is charged.
    pub input_estimate: u64,
    /// The window they are taken from, into which a crash is charged.
    pub window_started_at: Timestamp,
    /// Another budget that they are taken from as well, and its window: that of all free tenants, where there is one.
    pub shared: Option<(String, Timestamp)>,
}

/// What a budget has used in its window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountUsage {
    /// The budget.
    pub account: String,
    /// When the window began: at the first use in it.
    pub window_started_at: Timestamp,
    /// Tokens settled in the window.
    pub used: u64,
    /// Turns and calls settled in the window.
    pub settled: u64,
}

/// Tokens to be added to a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// The budget.
    pub account: String,
    /// The window they belong to. A window that is newer than the stored one replaces it; one that is older adds
    /// nothing.
    pub window_started_at: Timestamp,
    /// How many.
    pub tokens: u64,
    /// Of how many turns and calls.
    pub settled: u64,
}

/// A turn to be begun.
#[derive(Clone, Debug)]
pub struct BeginTurn {
    /// For this entry.
    pub entry: EntryId,
    /// Now.
    pub now: Timestamp,
    /// The time to live of a session that is opened, and the life added by activity.
    pub session_ttl: Duration,
    /// What is set aside, unless the budget is unlimited.
    pub reservation: Option<ReservationRecord>,
    /// How many turns may crash before the entry is set aside.
    pub max_attempts: u32,
}

/// A turn that has begun: the attempt is counted, the session is `processing`, the reservation is written.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnGrant {
    /// The right to write its results.
    pub fence: Fence,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The session, `processing`.
    pub session: TenantSession,
    /// Whether this turn opened the session.
    pub opened: bool,
    /// The session that had ended before, if this turn found one that was past its time.
    pub ended: Option<TenantSession>,
}

/// Why a turn could not begin. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The entry has an end already.
    #[error("the inbox entry is closed")]
    Closed,
    /// The entry's turns crashed as often as is allowed.
    #[error("{attempts} turns of this entry did not end")]
    TooManyAttempts {
        /// How many.
        attempts: u32,
    },
    /// The tenant was suspended meanwhile.
    #[error("the tenant is suspended")]
    Suspended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an accepted message ended. Exactly one of these, for every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// A command was carried out.
    Command,
    /// Refused with words: suspended, budget, too long, no place within the admission deadline, or dropped from the
    /// queue by an operator.
    Refused,
    /// Cancelled by a plugin.
    Cancelled,
    /// Stopped by its person.
    Stopped,
    /// Failed with words: models exhausted, time limit, worker killed.
    Failed,
    /// Too old to be answered as if nothing had happened.
    Expired,
    /// Its turns crashed too often; the operator sees it.
    DeadLettered,
    /// Nothing to answer: an empty message, an update we only take note of.
    Ignored,
}

/// Of a conversation the newest messages are kept, so many.
pub const HISTORY_KEPT: usize = 2_000;

/// One message of the conversation to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHistoryMessage {
    /// What was said and by whom.
    pub message: ChatMessage,
    /// What it counts against the history limit.
    pub tokens: u64,
    /// Which model said it, if one did.
    pub model: Option<ModelId>,
    /// How the message ended that this belongs to, when that was without an answer: what its person wrote, and the words
    /// they were told. Such messages are there to be read and are never told to a model.
    pub unanswered: Option<Outcome>,
}

/// One message of the conversation as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryMessage {
    /// Its place; grows within a tenant.
    pub seq: i64,
    /// The generation of the session it was said in.
    pub generation: u64,
    /// What was said and by whom.
    pub message: ChatMessage,
    /// What it counts against the history limit.
    pub tokens: u64,
    /// Which model said it, if one did.
    pub model: Option<ModelId>,
    /// When.
    pub at: Timestamp,
    /// The entry whose end brought it; `None` for what was written before that was noted.
    pub entry: Option<EntryId>,
    /// As in [`NewHistoryMessage`].
    pub unanswered: Option<Outcome>,
}

/// A piece of a reply to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOutboxPart {
    /// Which part of the reply, from 0.
    pub part: u32,
    /// What is to stand in the chat.
    pub message: OutgoingMessage,
    /// The message to edit; `None` sends a new one.
    pub edits: Option<MessageId>,
}

/// A piece of a reply that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxPart {
    /// Its id; grows in the order parts were written.
    pub id: OutboxId,
    /// The entry it answers.
    pub entry: EntryId,
    /// Whose chat it goes to.
    pub tenant: TenantId,
    /// What the tenant has been granted.
    pub tier: AccessTier,
    /// Which of our bots sends it.
    pub bot: BotId,
    /// What it is found by.
    pub correlation_id: CorrelationId,
    /// The piece.
    pub part: NewOutboxPart,
    /// How often delivery was tried.
    pub attempts: u32,
    /// How many of these may have reached the person without our knowing.
    pub ambiguous: u32,
    /// Not before this time.
    pub due_at: Timestamp,
}

/// What became of an attempt to deliver a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It stands in the chat. The text is forgotten.
    Delivered {
        /// The platform's id of it, where it has one.
        message_id: Option<MessageId>,
    },
    /// To be tried again.
    Retry {
        /// Not before this time.
        due_at: Timestamp,
        /// Whether this attempt may have reached the person.
        ambiguous: bool,
    },
    /// Given up.
    Failed {
        /// Why, for the log.
        reason: String,
    },
}

/// The end of a turn.
#[derive(Clone, Debug)]
pub struct CommitTurn {
    /// Its entry.
    pub entry: EntryId,
    /// Its right to write.
    pub fence: Fence,
    /// Now.
    pub now: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be remembered, in order. Empty when texts are not stored or nothing was said.
    pub history: Vec<NewHistoryMessage>,
    /// What it cost, by budget; takes the place of the reservation.
    pub usage: Vec<UsageDelta>,
    /// What that was spent on.
    pub spent: Vec<Spent>,
    /// What is still to be delivered. Parts that already stand in the chat as they should are left out.
    pub outbox: Vec<NewOutboxPart>,
    /// The time to live added to the session by activity.
    pub session_ttl: Duration,
}

/// The end of an entry that has no running turn.
#[derive(Clone, Debug)]
pub struct CloseEntry {
    /// The entry.
    pub entry: EntryId,
    /// Now.
    pub now: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be remembered, in order: in the session there is, or the one to come.
    pub history: Vec<NewHistoryMessage>,
    /// What the person is told.
    pub outbox: Vec<NewOutboxPart>,
}

/// What may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Now: sessions past their time end.
    pub now: Timestamp,
    /// Entries that were closed before this time are forgotten; what comes again after that is taken for new. At
    /// least 72 hours ago.
    pub closed_before: Timestamp,
    /// What was said before this time is forgotten.
    pub history_before: Timestamp,
    /// How many rows of each kind are removed at most: a sweep is one short transaction.
    pub limit: usize,
}

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Closed entries removed.
    pub entries: u64,
    /// Messages of conversations removed.
    pub history: u64,
    /// Sessions that were past their time and are removed, `expired`; oldest end first.
    pub sessions: Vec<TenantSession>,
    /// Whether a limit was reached: there may be more.
    pub more: bool,
}

/// What a store found when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries without an end.
    pub open_entries: u64,
    /// Turns that were running when the process before this one ended.
    pub interrupted_turns: u64,
    /// Reservations of that process, settled at their input estimate.
    pub settled_reservations: u64,
}

/// Depths and ages, for metrics and readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreDepths {
    /// Entries without an end.
    pub inbox_open: u64,
    /// Parts waiting to be delivered.
    pub outbox_pending: u64,
    /// When the oldest open entry was accepted.
    pub oldest_open_at: Option<Timestamp>,
}

/// Why a store could not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed; it may work later (disk full, read-only, busy).
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, for the log.
        reason: String,
    },
    /// The change may or may not have happened; the store takes no further writes until it is opened again.
    #[error("it is unknown whether the change was stored: {reason}")]
    Unknown {
        /// What is wrong, for the log.
        reason: String,
    },
    /// The fence is not the newest of its tenant. Nothing was changed.
    #[error("another turn has taken over")]
    Stale,
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// Of what.
        what: &'static str,
    },
    /// A stored row cannot be read.
    #[error("a stored {what} cannot be read: {reason}")]
    Corrupt {
        /// Of what.
        what: &'static str,
        /// What is wrong, for the log.
        reason: String,
    },
}

/// Inbox, session, history, budget and outbox, where they change together.
#[async_trait]
pub trait TurnStore: Send + Sync + fmt::Debug {
    /// Puts messages into the inbox, each unless it is there already, and creates or touches their tenants. Results
    /// come in the order of the entries. Two deliveries of one message in one call give one entry.
    async fn accept(&self, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, StoreError>;

    /// Ends an entry that has no running turn. `Ok(None)` when it has an end already or is gone: nothing changed,
    /// nothing is to be delivered. Else the parts to be delivered, in order. A turn that was left running loses its
    /// fence and is charged as a crashed one.
    async fn close(&self, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, StoreError>;

    /// Begins a turn: counts the attempt, hands out the tenant's next fence, opens or continues the session and moves
    /// it to `processing`, writes the reservation. A turn of the tenant that was running loses its fence and is charged
    /// its input estimate; the attempt of its entry stays counted. An entry that is gone counts as closed.
    async fn begin_turn(&self, begin: BeginTurn) -> Result<TurnGrant, BeginError>;

    /// Remembers that a part of the reply stands in the chat, before its first edit. `Stale` under an old fence.
    async fn record_send(&self, entry: EntryId, fence: Fence, shown: ShownPart) -> Result<(), StoreError>;

    /// Ends a turn: closes the entry, appends the history, takes the reservation away and adds the usage, writes the
    /// outbox, returns the session to `active`. `Stale` under an old fence. Returns the parts to be delivered.
    async fn commit_turn(&self, commit: CommitTurn) -> Result<Vec<OutboxPart>, StoreError>;

    /// Gives a turn back unfinished: the entry is open again, the attempt is not counted, the reservation is gone, the
    /// session is `active`. For a shutdown that could not wait. `Stale` under an old fence.
    async fn release(&self, entry: EntryId, fence: Fence, now: Timestamp) -> Result<(), StoreError>;

    /// Records what became of an attempt to deliver a part. A part that is gone is left alone.
    async fn record_delivery(
        &self,
        part: OutboxId,
        delivery: Delivery,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Parts waiting to be delivered, oldest first, after the given id.
    async fn pending_outbox(
        &self,
        after: Option<OutboxId>,
        limit: usize,
    ) -> Result<Vec<OutboxPart>, StoreError>;

    /// Entries without an end, oldest first, after the given id.
    async fn open_entries(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<OpenEntry>, StoreError>;

    /// What a model may be told: the newest messages of the tenant's conversation since it was last forgotten, oldest
    /// first, without those that have no answer: at most `max_messages`, at most `max_tokens` together, and at least the
    /// newest one.
    async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError>;

    /// What a person may read: the newest messages of the tenant's conversation since it was last forgotten, oldest first,
    /// with those that have no answer; at most `max_messages`.
    async fn said(&self, tenant: TenantKey, max_messages: usize) -> Result<Vec<HistoryMessage>, StoreError>;

    /// Starts the tenant's conversation over: nothing said so far is told to a model again. Ends the session; returns
    /// it when there was one.
    async fn start_over(
        &self,
        tenant: TenantKey,
        now: Timestamp,
    ) -> Result<Option<TenantSession>, StoreError>;

    /// What a budget has used.
    async fn usage(&self, account: &str) -> Result<Option<AccountUsage>, StoreError>;

    /// Adds usage that belongs to no turn, and what it was spent on.
    async fn add_usage(&self, deltas: Vec<UsageDelta>, spent: Vec<Spent>) -> Result<(), StoreError>;

    /// Starts a budget over: whatever window of it began at `over` or before is over, and what is charged to one of them
    /// later, by a turn that ends or by a crash, counts nowhere. Known from then on as a window that begins a millisecond
    /// after `over` and in which nothing was used.
    async fn reset_usage(&self, account: &str, over: Timestamp) -> Result<(), StoreError>;

    /// Forgets, in one short transaction, what is old: closed entries whose replies are delivered, old messages,
    /// sessions past their time and without a running turn. Generations and fences stay. To be called again while [`Swept::more`].
    async fn sweep(&self, sweep: Sweep) -> Result<Swept, StoreError>;

    /// Depths and ages.
    async fn depths(&self) -> Result<StoreDepths, StoreError>;

    /// What was found at the start.
    fn recovery(&self) -> Recovery;

    /// Whether the store takes writes; the reason when it does not.
    fn writable(&self) -> Result<(), StoreError>;

    /// Waits until everything written is durable and the store is closed. Further calls are `Unavailable`.
    async fn shut_down(&self);
}

/// What a message says, as SHA-256: its kind, text, attachments and what it answers. Not when or how it came, so that
/// a second delivery of the same message has the same digest.
pub fn message_digest(message: &IncomingMessage) -> [u8; 32] {
    let said = (
        &message.kind,
        &message.text,
        &message.attachments,
        &message.reply_to,
    );
    // Plain texts and numbers always become JSON.
    let bytes = serde_json::to_vec(&said).unwrap_or_default();
    Sha256::digest(bytes).into()
}

/// A stored tenant with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTenant {
    /// What stores know it by.
    pub key: TenantKey,
    /// Which of our bots it talks to.
    pub bot: BotId,
    /// The tenant.
    pub tenant: UserTenant,
    /// Grows with every change.
    pub version: u64,
}

/// Tenants, for operators and commands.
#[async_trait]
pub trait TenantDirectory: Send + Sync + fmt::Debug {
    /// The tenant at an address.
    async fn find(&self, bot: &BotId, tenant: &TenantId) -> Result<Option<StoredTenant>, StoreError>;

    /// Creates a tenant unless the address is taken; returns the one that is there.
    async fn create(&self, bot: &BotId, tenant: UserTenant) -> Result<StoredTenant, StoreError>;

    /// Replaces a tenant, when `version` is still the stored one; `Ok(None)` when it is not. Suspending also suspends
    /// the session. Messages touch a tenant without changing its version; the later time of activity is kept. The
    /// tenant may get another address; one that is taken is `Unavailable`.
    async fn update(
        &self,
        key: TenantKey,
        version: u64,
        tenant: UserTenant,
    ) -> Result<Option<StoredTenant>, StoreError>;

    /// Tenants in the order of their keys, after the given one; of a platform and user when asked.
    async fn list(
        &self,
        of: Option<(Platform, UserId)>,
        after: Option<TenantKey>,
        limit: usize,
    ) -> Result<Vec<StoredTenant>, StoreError>;

    /// Removes a tenant with its sessions, history, inbox, outbox. Its open entries end without an answer. Returns
    /// whether there was one.
    async fn delete(&self, key: TenantKey) -> Result<bool, StoreError>;
}

/// What calls of models have cost, for operators. Written with turns and usage by [`TurnStore`]; [`TurnStore::sweep`]
/// forgets what is older than [`LEDGER_DAYS`](crate::ledger::LEDGER_DAYS). Deleting a tenant leaves its sums under
/// [`FORGOTTEN_PAYER`](crate::ledger::FORGOTTEN_PAYER).
#[async_trait]
pub trait UsageLedger: Send + Sync + fmt::Debug {
    /// Sums of the ledger, the most tokens first; equal ones by key.
    async fn spent(&self, query: SpentQuery) -> Result<Vec<SpentRow>, StoreError>;
}

/// An API key as stored: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyRecord {
    /// A short public name for it, the first characters of the key.
    pub id: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    /// Whose it is.
    pub user: UserId,
    /// The platform its tenants belong to: `api`, or `web` for a key of the web platform.
    pub platform: Platform,
    /// What it grants.
    pub tier: AccessTier,
    /// Whether calls under it are limited to `messenger.rateLimits`.
    pub limited: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// API keys.
#[async_trait]
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// Stores a key; replaces one of the same hash.
    async fn put_key(&self, key: ApiKeyRecord) -> Result<(), StoreError>;

    /// All keys, revoked ones too, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError>;

    /// Takes a key back. Returns whether it was there and valid.
    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;
}

/// What the platform remembers about itself: polling positions, capability latches.
#[async_trait]
pub trait MetaStore: Send + Sync + fmt::Debug {
    /// A remembered value.
    async fn get_meta(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Remembers a value.
    async fn put_meta(&self, key: &str, value: &str) -> Result<(), StoreError>;
}
