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

mod directory;
mod feedback;
mod history;
mod inbox;
mod money;
mod outbox;
mod turn;
mod upkeep;

pub use self::directory::{ApiKeyRecord, StoredTenant};
pub use self::feedback::{Feedback, Opinion, Rating, RatingError};
pub use self::history::{HISTORY_KEPT, HistoryMessage, NewHistoryMessage};
pub use self::inbox::{
    Accepted, CloseEntry, EntryId, NewEntry, OpenEntry, Outcome, Repeated, ShownPart, message_digest,
};
pub use self::money::{AccountUsage, KEYS_KEPT, ReservationRecord, USAGE_KEPT, UsageDelta};
pub use self::outbox::{Delivery, NewOutboxPart, OutboxId, OutboxPart};
pub use self::turn::{BeginError, BeginTurn, CommitTurn, Fence, TurnGrant};
pub use self::upkeep::{Recovery, StoreDepths, StoreError, Sweep, Swept};

use crate::ledger::{Spent, SpentQuery, SpentRow};
use async_trait::async_trait;
use openclaw_core::{BotId, IncomingMessage, Platform, TenantId, Timestamp, UserId};
use openclaw_session::{TenantKey, TenantSession, UserTenant};
use std::fmt;
use std::ops::RangeInclusive;

/// Inbox, session, history, budget and outbox, where they change together.
#[async_trait]
pub trait TurnStore: Send + Sync + fmt::Debug {
    /// Puts messages into the inbox, each unless it is there already, and creates or touches their tenants. Results
    /// come in the order of the entries. Two deliveries of one message in one call give one entry.
    async fn accept(&self, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, StoreError>;

    /// The entry that a message repeats, if it is remembered and was accepted after `since`: what [`TurnStore::accept`]
    /// would call a duplicate. Changes nothing.
    async fn repeated(
        &self,
        message: &IncomingMessage,
        since: Timestamp,
    ) -> Result<Option<Repeated>, StoreError>;

    /// Ends an entry that has no running turn. `Ok(None)` when it has an end already or is gone: nothing changed,
    /// nothing is to be delivered. Else the parts to be delivered, in order. A turn that was left running loses its
    /// fence and is charged as a crashed one.
    async fn close(&self, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, StoreError>;

    /// Begins a turn: counts the attempt, hands out the tenant's next fence, opens or continues the session and moves
    /// it to `processing`, writes the reservation. A turn of the tenant that was running loses its fence and is charged
    /// its input estimate, which the ledger is told of; the attempt of its entry stays counted. An entry that is gone
    /// counts as closed.
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
    /// first by the order in which their entries were accepted, whichever ended first, without those that have no answer: at most `max_messages`, at most `max_tokens` together, and at least the
    /// newest one.
    async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError>;

    /// What a person may read: the same in the same order, with those that have no answer; at most `max_messages`.
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
    /// sessions past their time and without a running turn, chats of which nothing is kept, days of the ledger, usage of
    /// windows that began longer than [`USAGE_KEPT`] ago, keys that ended longer than [`KEYS_KEPT`] ago. Generations and
    /// fences of chats that stay, stay. To be called again while [`Swept::more`].
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

/// What people think of answers. [`TurnStore::sweep`] forgets what was said before [`Sweep::history_before`]; it goes with
/// its tenant too.
#[async_trait]
pub trait FeedbackStore: Send + Sync + fmt::Debug {
    /// Keeps what a tenant thinks of an answer; of one answer only the latest is kept. Returns whether there is such a
    /// tenant: nothing is kept otherwise.
    async fn rate(&self, tenant: TenantKey, feedback: Feedback) -> Result<bool, StoreError>;

    /// What a tenant thinks of answers to these entries, in their order.
    async fn feedback(
        &self,
        tenant: TenantKey,
        entries: RangeInclusive<EntryId>,
    ) -> Result<Vec<Feedback>, StoreError>;
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
