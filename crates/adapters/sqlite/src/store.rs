//! The ports, each method handed to the writer or to a reader.

use crate::SqliteStore;
use crate::ops::{directory, feedback, inbox, keys, ledger, memory, outbox, sweep, turn};
use async_trait::async_trait;
use openclaw_core::{BotId, IncomingMessage, Platform, TenantId, Timestamp, UserId};
use openclaw_gateway::ledger::{Spent, SpentQuery, SpentRow};
use openclaw_gateway::ports::{
    Accepted, AccountUsage, ApiKeyRecord, BeginError, BeginTurn, CloseEntry, CommitTurn, Delivery, EntryId,
    Feedback, FeedbackStore, Fence, HistoryMessage, KeyStore, MetaStore, NewEntry, OpenEntry, OutboxId,
    OutboxPart, Recovery, Repeated, ShownPart, StoreDepths, StoreError, StoredTenant, Sweep, Swept,
    TenantDirectory, TurnGrant, TurnStore, UsageDelta, UsageLedger, message_digest,
};
use openclaw_session::{TenantKey, TenantSession, UserTenant};
use std::ops::RangeInclusive;

#[async_trait]
impl TurnStore for SqliteStore {
    async fn accept(&self, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, StoreError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.write(move |c| inbox::accept(c, entries)).await?)
    }

    async fn repeated(
        &self,
        message: &IncomingMessage,
        since: Timestamp,
    ) -> Result<Option<Repeated>, StoreError> {
        let digest = message_digest(message);
        let (platform, bot, key) = (message.platform, message.bot.clone(), message.update_key.clone());
        Ok(self
            .read(move |c| inbox::repeated(c, (platform, &bot, &key), digest, since))
            .await?)
    }

    async fn close(&self, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, StoreError> {
        Ok(self.write(move |c| inbox::close(c, close)).await?)
    }

    async fn begin_turn(&self, begin: BeginTurn) -> Result<TurnGrant, BeginError> {
        let epoch = self.epoch();
        Ok(self.write(move |c| turn::begin(c, epoch, &begin)).await?)
    }

    async fn record_send(&self, entry: EntryId, fence: Fence, shown: ShownPart) -> Result<(), StoreError> {
        Ok(self
            .write(move |c| turn::record_send(c, entry, fence, shown))
            .await?)
    }

    async fn commit_turn(&self, commit: CommitTurn) -> Result<Vec<OutboxPart>, StoreError> {
        Ok(self.write(move |c| turn::commit(c, commit)).await?)
    }

    async fn release(&self, entry: EntryId, fence: Fence, _now: Timestamp) -> Result<(), StoreError> {
        Ok(self.write(move |c| turn::release(c, entry, fence)).await?)
    }

    async fn record_delivery(
        &self,
        part: OutboxId,
        delivery: Delivery,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(self
            .write(move |c| outbox::record_delivery(c, part, &delivery))
            .await?)
    }

    async fn pending_outbox(
        &self,
        after: Option<OutboxId>,
        limit: usize,
    ) -> Result<Vec<OutboxPart>, StoreError> {
        Ok(self.read(move |c| outbox::pending(c, after, limit)).await?)
    }

    async fn open_entries(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<OpenEntry>, StoreError> {
        Ok(self.read(move |c| inbox::open_entries(c, after, limit)).await?)
    }

    async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        Ok(self
            .read(move |c| memory::history(c, tenant, max_messages, max_tokens))
            .await?)
    }

    async fn said(&self, tenant: TenantKey, max_messages: usize) -> Result<Vec<HistoryMessage>, StoreError> {
        Ok(self.read(move |c| memory::said(c, tenant, max_messages)).await?)
    }

    async fn start_over(
        &self,
        tenant: TenantKey,
        now: Timestamp,
    ) -> Result<Option<TenantSession>, StoreError> {
        Ok(self.write(move |c| turn::start_over(c, tenant, now)).await?)
    }

    async fn usage(&self, account: &str) -> Result<Option<AccountUsage>, StoreError> {
        let account = account.to_owned();
        Ok(self.read(move |c| memory::usage(c, &account)).await?)
    }

    async fn add_usage(&self, deltas: Vec<UsageDelta>, spent: Vec<Spent>) -> Result<(), StoreError> {
        if deltas.is_empty() && spent.is_empty() {
            return Ok(());
        }
        Ok(self
            .write(move |c| {
                deltas.iter().try_for_each(|delta| memory::add_usage(c, delta))?;
                spent.iter().try_for_each(|spent| ledger::add(c, spent))
            })
            .await?)
    }

    async fn reset_usage(&self, account: &str, over: Timestamp) -> Result<(), StoreError> {
        let account = account.to_owned();
        Ok(self
            .write(move |c| memory::reset_usage(c, &account, over))
            .await?)
    }

    async fn sweep(&self, what: Sweep) -> Result<Swept, StoreError> {
        Ok(self.write(move |c| sweep::sweep(c, what)).await?)
    }

    async fn depths(&self) -> Result<StoreDepths, StoreError> {
        Ok(self.read(inbox::depths).await?)
    }

    fn recovery(&self) -> Recovery {
        self.recovered()
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.health().writable()
    }

    async fn shut_down(&self) {
        self.close().await;
    }
}

#[async_trait]
impl TenantDirectory for SqliteStore {
    async fn find(&self, bot: &BotId, tenant: &TenantId) -> Result<Option<StoredTenant>, StoreError> {
        let (bot, tenant) = (bot.clone(), tenant.clone());
        Ok(self.read(move |c| directory::find(c, &bot, &tenant)).await?)
    }

    async fn create(&self, bot: &BotId, tenant: UserTenant) -> Result<StoredTenant, StoreError> {
        let bot = bot.clone();
        Ok(self.write(move |c| directory::create(c, &bot, tenant)).await?)
    }

    async fn update(
        &self,
        key: TenantKey,
        version: u64,
        tenant: UserTenant,
    ) -> Result<Option<StoredTenant>, StoreError> {
        Ok(self
            .write(move |c| directory::update(c, key, version, tenant))
            .await?)
    }

    async fn list(
        &self,
        of: Option<(Platform, UserId)>,
        after: Option<TenantKey>,
        limit: usize,
    ) -> Result<Vec<StoredTenant>, StoreError> {
        Ok(self.read(move |c| directory::list(c, of, after, limit)).await?)
    }

    async fn delete(&self, key: TenantKey) -> Result<bool, StoreError> {
        Ok(self.write(move |c| directory::delete(c, key)).await?)
    }
}

#[async_trait]
impl FeedbackStore for SqliteStore {
    async fn rate(&self, tenant: TenantKey, feedback: Feedback) -> Result<bool, StoreError> {
        Ok(self.write(move |c| feedback::rate(c, tenant, &feedback)).await?)
    }

    async fn feedback(
        &self,
        tenant: TenantKey,
        entries: RangeInclusive<EntryId>,
    ) -> Result<Vec<Feedback>, StoreError> {
        Ok(self.read(move |c| feedback::list(c, tenant, &entries)).await?)
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn put_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        Ok(self.write(move |c| keys::put(c, &key)).await?)
    }

    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError> {
        Ok(self.read(keys::list).await?)
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        Ok(self.write(move |c| keys::revoke(c, &id, now)).await?)
    }
}

#[async_trait]
impl MetaStore for SqliteStore {
    async fn get_meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        Ok(self.read(move |c| keys::get_meta(c, &key)).await?)
    }

    async fn put_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Ok(self.write(move |c| keys::put_meta(c, &key, &value)).await?)
    }
}

#[async_trait]
impl UsageLedger for SqliteStore {
    async fn spent(&self, query: SpentQuery) -> Result<Vec<SpentRow>, StoreError> {
        Ok(self.read(move |c| ledger::spent(c, &query)).await?)
    }
}
