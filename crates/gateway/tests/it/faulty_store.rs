//! The in-memory store with a disk that refuses when the test says so.

use async_trait::async_trait;
use openclaw_core::{IncomingMessage, Timestamp};
use openclaw_gateway::ledger::Spent;
use openclaw_gateway::ports::{
    Accepted, AccountUsage, BeginError, BeginTurn, CloseEntry, CommitTurn, Delivery, EntryId, Fence,
    HistoryMessage, NewEntry, OpenEntry, OutboxId, OutboxPart, Recovery, Repeated, ShownPart, StoreDepths,
    StoreError, Sweep, Swept, TurnGrant, TurnStore, UsageDelta,
};
use openclaw_memory::MemoryStore;
use openclaw_session::{TenantKey, TenantSession};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Passes everything on, except the calls that are to be refused.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    store: Arc<MemoryStore>,
    refusals: Mutex<HashMap<&'static str, u32>>,
    /// Calls that take so many turns of all tasks, by method.
    slow: Mutex<HashMap<&'static str, u32>>,
    /// Methods that are held up, and whether a call waits there.
    stopped: tokio::sync::watch::Sender<HashMap<&'static str, bool>>,
    /// Whether usage is held up on its way to the store, and how many calls wait there.
    held: tokio::sync::watch::Sender<bool>,
    waiting: AtomicUsize,
    /// Whether some calls hear later than others that their messages were accepted.
    scattered: AtomicBool,
    /// Tokens of usage that came without a turn and are stored.
    stored: AtomicU64,
}

impl FaultyStore {
    pub(crate) fn new(store: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            refusals: Mutex::default(),
            slow: Mutex::default(),
            stopped: tokio::sync::watch::Sender::default(),
            held: tokio::sync::watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
            scattered: AtomicBool::new(false),
            stored: AtomicU64::new(0),
        })
    }

    /// The next `times` calls of `method` are refused as by a full disk.
    pub(crate) fn refuse(&self, method: &'static str, times: u32) {
        self.refusals.lock().insert(method, times);
    }

    /// From now on calls of `method` take so many turns of all tasks.
    pub(crate) fn slow(&self, method: &'static str, turns: u32) {
        self.slow.lock().insert(method, turns);
    }

    /// Holds calls of `method` up before the store takes them.
    pub(crate) fn hold(&self, method: &'static str) {
        self.stopped.send_modify(|stopped| {
            stopped.insert(method, false);
        });
    }

    /// Whether a call of `method` is held up.
    pub(crate) fn is_held(&self, method: &'static str) -> bool {
        self.stopped.borrow().get(method) == Some(&true)
    }

    /// Lets calls of `method` go on.
    pub(crate) fn let_go(&self, method: &'static str) {
        self.stopped.send_modify(|stopped| {
            stopped.remove(method);
        });
    }

    async fn delay(&self, method: &'static str) {
        let turns = self.slow.lock().get(method).copied().unwrap_or(0);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if self.stopped.borrow().contains_key(method) {
            self.stopped.send_modify(|stopped| {
                stopped.insert(method, true);
            });
        }
        let mut stopped = self.stopped.subscribe();
        stopped
            .wait_for(|stopped| !stopped.contains_key(method))
            .await
            .ok();
    }

    /// Holds usage up before the store takes it, or lets it go on.
    pub(crate) fn hold_usage(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// From now on calls hear in another order that their messages were accepted than they were accepted in.
    pub(crate) fn scatter(&self) {
        self.scattered.store(true, Ordering::SeqCst);
    }

    /// How many calls with usage have been held up.
    pub(crate) fn held_up(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Tokens of usage that came without a turn and are stored. Known also when the store is closed.
    pub(crate) fn stored_tokens(&self) -> u64 {
        self.stored.load(Ordering::SeqCst)
    }

    /// How many refusals of `method` are still to come.
    pub(crate) fn left(&self, method: &'static str) -> u32 {
        self.refusals.lock().get(method).copied().unwrap_or(0)
    }

    fn ask(&self, method: &'static str) -> Result<(), StoreError> {
        match self.refusals.lock().get_mut(method) {
            Some(times @ 1..) => {
                *times -= 1;
                Err(StoreError::Unavailable {
                    reason: "the disk is full".into(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TurnStore for FaultyStore {
    async fn accept(&self, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, StoreError> {
        self.delay("accept").await;
        self.ask("accept")?;
        let accepted = self.store.accept(entries).await?;
        if self.scattered.load(Ordering::SeqCst)
            && let Some(Accepted::New(entry)) = accepted.first()
        {
            for _ in 0..entry.id.0.unsigned_abs() * 7_919 % 29 {
                tokio::task::yield_now().await;
            }
        }
        Ok(accepted)
    }

    async fn repeated(
        &self,
        message: &IncomingMessage,
        since: Timestamp,
    ) -> Result<Option<Repeated>, StoreError> {
        self.store.repeated(message, since).await
    }

    async fn close(&self, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, StoreError> {
        self.ask("close")?;
        self.store.close(close).await
    }

    async fn begin_turn(&self, begin: BeginTurn) -> Result<TurnGrant, BeginError> {
        self.ask("begin_turn")?;
        self.store.begin_turn(begin).await
    }

    async fn record_send(&self, entry: EntryId, fence: Fence, shown: ShownPart) -> Result<(), StoreError> {
        self.ask("record_send")?;
        self.store.record_send(entry, fence, shown).await
    }

    async fn commit_turn(&self, commit: CommitTurn) -> Result<Vec<OutboxPart>, StoreError> {
        self.delay("commit_turn").await;
        self.ask("commit_turn")?;
        let committed = self.store.commit_turn(commit).await;
        self.delay("commit_turn's answer").await;
        committed
    }

    async fn release(&self, entry: EntryId, fence: Fence, now: Timestamp) -> Result<(), StoreError> {
        self.ask("release")?;
        self.store.release(entry, fence, now).await
    }

    async fn record_delivery(
        &self,
        part: OutboxId,
        delivery: Delivery,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ask("record_delivery")?;
        self.store.record_delivery(part, delivery, now).await
    }

    async fn pending_outbox(
        &self,
        after: Option<OutboxId>,
        limit: usize,
    ) -> Result<Vec<OutboxPart>, StoreError> {
        self.store.pending_outbox(after, limit).await
    }

    async fn open_entries(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<OpenEntry>, StoreError> {
        self.store.open_entries(after, limit).await
    }

    async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        self.store.history(tenant, max_messages, max_tokens).await
    }

    async fn said(&self, tenant: TenantKey, max_messages: usize) -> Result<Vec<HistoryMessage>, StoreError> {
        self.store.said(tenant, max_messages).await
    }

    async fn start_over(
        &self,
        tenant: TenantKey,
        now: Timestamp,
    ) -> Result<Option<TenantSession>, StoreError> {
        self.delay("start_over").await;
        self.ask("start_over")?;
        self.store.start_over(tenant, now).await
    }

    async fn usage(&self, account: &str) -> Result<Option<AccountUsage>, StoreError> {
        let known = self.store.usage(account).await;
        // Only one is held up, with what it was told already.
        if self.stopped.borrow().get("usage") == Some(&false) {
            self.delay("usage").await;
        }
        known
    }

    async fn add_usage(&self, deltas: Vec<UsageDelta>, spent: Vec<Spent>) -> Result<(), StoreError> {
        if *self.held.borrow() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.held.subscribe().wait_for(|held| !held).await.ok();
        }
        self.ask("add_usage")?;
        let tokens = deltas.iter().map(|delta| delta.tokens).sum();
        self.store.add_usage(deltas, spent).await?;
        self.stored.fetch_add(tokens, Ordering::SeqCst);
        Ok(())
    }

    async fn reset_usage(&self, account: &str, over: Timestamp) -> Result<(), StoreError> {
        self.store.reset_usage(account, over).await
    }

    async fn sweep(&self, sweep: Sweep) -> Result<Swept, StoreError> {
        self.store.sweep(sweep).await
    }

    async fn depths(&self) -> Result<StoreDepths, StoreError> {
        self.store.depths().await
    }

    fn recovery(&self) -> Recovery {
        self.store.recovery()
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.store.writable()
    }

    async fn shut_down(&self) {
        self.store.shut_down().await;
    }
}
