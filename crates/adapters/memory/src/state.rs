//! The rows and what keeps them consistent with each other.

use openclaw_core::{BotId, CorrelationId, IncomingMessage, Platform, SessionId, TenantId, Timestamp};
use openclaw_gateway::ledger::Spent;
use openclaw_gateway::ports::{
    AccountUsage, ApiKeyRecord, EntryId, Feedback, Fence, HISTORY_KEPT, HistoryMessage, NewHistoryMessage,
    NewOutboxPart, OpenEntry, OutboxId, OutboxPart, Outcome, Recovery, ReservationRecord, ShownPart,
    StoreError, StoredTenant, USAGE_KEPT, UsageDelta,
};
use openclaw_session::{TenantKey, TenantSession, UserTenant, leave_session};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// What a delivery is known by.
pub(crate) type UpdateKey = (Platform, BotId, String);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) closed: bool,
    pub(crate) tenants: BTreeMap<TenantKey, TenantRow>,
    pub(crate) addresses: HashMap<(BotId, TenantId), TenantKey>,
    pub(crate) inbox: BTreeMap<EntryId, EntryRow>,
    pub(crate) open: BTreeSet<EntryId>,
    pub(crate) updates: HashMap<UpdateKey, EntryId>,
    pub(crate) outbox: BTreeMap<OutboxId, OutboxPart>,
    pub(crate) usage: HashMap<String, AccountUsage>,
    /// One row for each day, payer, tier and model.
    pub(crate) ledger: Vec<Spent>,
    pub(crate) keys: Vec<ApiKeyRecord>,
    pub(crate) meta: HashMap<String, String>,
    last_tenant: i64,
    last_entry: i64,
    last_part: i64,
}

#[derive(Debug)]
pub(crate) struct TenantRow {
    pub(crate) bot: BotId,
    pub(crate) tenant: UserTenant,
    pub(crate) version: u64,
    pub(crate) session: Option<TenantSession>,
    /// The highest generation any session had.
    pub(crate) generation: u64,
    /// What was said in this generation and before is not told to a model again.
    pub(crate) forgotten: u64,
    pub(crate) fence: Fence,
    pub(crate) running: Option<Running>,
    pub(crate) history: VecDeque<HistoryMessage>,
    pub(crate) feedback: BTreeMap<EntryId, Feedback>,
    pub(crate) last_seq: i64,
}

/// The one turn of a tenant that may write.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) entry: EntryId,
    pub(crate) generation: u64,
    pub(crate) reservation: Option<ReservationRecord>,
}

#[derive(Debug)]
pub(crate) struct EntryRow {
    pub(crate) tenant: TenantKey,
    pub(crate) tenant_is_new: bool,
    pub(crate) message: IncomingMessage,
    pub(crate) digest: [u8; 32],
    pub(crate) correlation_id: CorrelationId,
    pub(crate) accepted_at: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) shown: Vec<ShownPart>,
    pub(crate) closed: Option<(Timestamp, Outcome)>,
}

// === impl State ===

impl State {
    /// The tenant at the address, created when there is none. Says whether it was.
    pub(crate) fn tenant_at(
        &mut self,
        bot: &BotId,
        id: &TenantId,
        create: impl FnOnce() -> UserTenant,
    ) -> (TenantKey, bool) {
        let address = (bot.clone(), id.clone());
        if let Some(key) = self.addresses.get(&address) {
            return (*key, false);
        }
        self.last_tenant += 1;
        let key = TenantKey(self.last_tenant);
        self.addresses.insert(address, key);
        self.tenants.insert(
            key,
            TenantRow {
                bot: bot.clone(),
                tenant: create(),
                version: 1,
                session: None,
                generation: 0,
                forgotten: 0,
                fence: Fence(0),
                running: None,
                history: VecDeque::new(),
                feedback: BTreeMap::new(),
                last_seq: 0,
            },
        );
        (key, true)
    }

    pub(crate) fn add_entry(&mut self, key: UpdateKey, row: EntryRow) -> EntryId {
        self.last_entry += 1;
        let id = EntryId(self.last_entry);
        self.updates.insert(key, id);
        self.inbox.insert(id, row);
        self.open.insert(id);
        id
    }

    pub(crate) fn open_entry(&self, id: EntryId) -> Option<OpenEntry> {
        let row = self.inbox.get(&id).filter(|row| row.closed.is_none())?;
        let tenant = self.tenants.get(&row.tenant)?;
        Some(OpenEntry {
            id,
            key: row.tenant,
            tenant: tenant.tenant.clone(),
            tenant_is_new: row.tenant_is_new,
            message: row.message.clone(),
            correlation_id: row.correlation_id,
            accepted_at: row.accepted_at,
            attempts: row.attempts,
            shown: row.shown.clone(),
        })
    }

    /// Gives an open entry its end and forgets what was said in it. `None` when there is no such open entry.
    pub(crate) fn end_entry(&mut self, id: EntryId, now: Timestamp, outcome: Outcome) -> Option<&EntryRow> {
        let row = self.inbox.get_mut(&id).filter(|row| row.closed.is_none())?;
        row.closed = Some((now, outcome));
        row.message.text = String::new();
        row.message.attachments = Vec::new();
        row.shown = Vec::new();
        self.open.remove(&id);
        Some(row)
    }

    /// Writes the parts of an entry's reply.
    pub(crate) fn add_parts(
        &mut self,
        entry: EntryId,
        key: TenantKey,
        correlation_id: CorrelationId,
        parts: Vec<NewOutboxPart>,
        now: Timestamp,
    ) -> Vec<OutboxPart> {
        let Some(tenant) = self.tenants.get(&key) else {
            return Vec::new();
        };
        let (tenant_id, bot) = (tenant.tenant.tenant_id.clone(), tenant.bot.clone());
        let tier = tenant.tenant.tier;
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            self.last_part += 1;
            let part = OutboxPart {
                id: OutboxId(self.last_part),
                entry,
                tenant: tenant_id.clone(),
                tier,
                bot: bot.clone(),
                correlation_id,
                part,
                attempts: 0,
                ambiguous: 0,
                due_at: now,
            };
            self.outbox.insert(part.id, part.clone());
            written.push(part);
        }
        written
    }

    pub(crate) fn add_usage(&mut self, delta: &UsageDelta) {
        let usage = self
            .usage
            .entry(delta.account.clone())
            .or_insert_with(|| AccountUsage {
                account: delta.account.clone(),
                window_started_at: delta.window_started_at,
                used: 0,
                settled: 0,
            });
        if delta.window_started_at > usage.window_started_at {
            usage.window_started_at = delta.window_started_at;
            usage.used = delta.tokens;
            usage.settled = delta.settled;
        } else if delta.window_started_at == usage.window_started_at {
            usage.used = usage.used.saturating_add(delta.tokens);
            usage.settled = usage.settled.saturating_add(delta.settled);
        }
    }

    pub(crate) fn reset_usage(&mut self, account: &str, over: Timestamp) {
        // A window that is newer replaces what is known, which is all there is to it.
        self.add_usage(&UsageDelta {
            account: account.to_owned(),
            window_started_at: over + Duration::from_millis(1),
            tokens: 0,
            settled: 0,
        });
    }

    /// Forgets what was used in windows that are long over.
    pub(crate) fn sweep_usage(&mut self, now: Timestamp) {
        let oldest = now - USAGE_KEPT;
        self.usage.retain(|_, usage| usage.window_started_at >= oldest);
    }

    /// Charges what a turn that did not end had set aside, into the windows it was taken from.
    pub(crate) fn charge_interrupted(&mut self, reservation: &ReservationRecord) {
        let own = (reservation.account.clone(), reservation.window_started_at);
        for (account, window_started_at) in std::iter::once(own).chain(reservation.shared.clone()) {
            self.add_usage(&UsageDelta {
                account,
                window_started_at,
                tokens: reservation.input_estimate,
                settled: 1,
            });
        }
        self.add_spent(&reservation.if_lost);
    }

    /// Takes the right to write from the tenant's running turn, as a crash would.
    pub(crate) fn interrupt(&mut self, key: TenantKey) -> Option<Running> {
        let running = self.tenants.get_mut(&key)?.running.take()?;
        if let Some(reservation) = &running.reservation {
            self.charge_interrupted(reservation);
        }
        Some(running)
    }

    /// What is done once when a store is opened after a crash.
    pub(crate) fn recover(&mut self) -> Recovery {
        let mut recovery = Recovery::default();
        let keys: Vec<TenantKey> = self.tenants.keys().copied().collect();
        for key in keys {
            if let Some(running) = self.interrupt(key) {
                recovery.interrupted_turns += 1;
                recovery.settled_reservations += u64::from(running.reservation.is_some());
            }
            if let Some(tenant) = self.tenants.get_mut(&key) {
                tenant.rest();
            }
        }
        recovery.open_entries = self.open.len() as u64;
        recovery
    }

    /// Lets the session and what waits to be delivered bear the tenant's new address.
    pub(crate) fn follow_address(&mut self, key: TenantKey) {
        let Some(row) = self.tenants.get_mut(&key) else {
            return;
        };
        let id = row.tenant.tenant_id.clone();
        if let Some(session) = &mut row.session {
            session.id = SessionId::of(id.clone());
        }
        for part in self.outbox.values_mut() {
            if self
                .inbox
                .get(&part.entry)
                .is_some_and(|entry| entry.tenant == key)
            {
                part.tenant = id.clone();
            }
        }
    }

    pub(crate) fn stored_tenant(&self, key: TenantKey) -> Option<StoredTenant> {
        self.tenants.get(&key).map(|row| row.stored(key))
    }

    /// The tenant whose turn of this entry holds this fence.
    pub(crate) fn holder(&self, entry: EntryId, fence: Fence) -> Result<TenantKey, StoreError> {
        let key = self
            .inbox
            .get(&entry)
            .map(|row| row.tenant)
            .ok_or(StoreError::Stale)?;
        self.tenants
            .get(&key)
            .filter(|tenant| {
                tenant.fence == fence
                    && tenant
                        .running
                        .as_ref()
                        .is_some_and(|running| running.entry == entry)
            })
            .map(|_| key)
            .ok_or(StoreError::Stale)
    }
}

// === impl TenantRow ===

impl TenantRow {
    /// The session between turns, its life not prolonged.
    pub(crate) fn rest(&mut self) {
        if let Some(session) = &mut self.session {
            *session = leave_session(session, session.last_activity_at, Duration::ZERO);
        }
    }

    pub(crate) fn stored(&self, key: TenantKey) -> StoredTenant {
        StoredTenant {
            key,
            bot: self.bot.clone(),
            tenant: self.tenant.clone(),
            version: self.version,
        }
    }

    /// Whether it is a chat that was opened and that nobody has written in or changed. Every message moves the time of
    /// activity.
    pub(crate) fn is_unused(&self) -> bool {
        let is_opened = matches!(self.tenant.platform(), Platform::Web | Platform::Api);
        is_opened
            && self.generation == 0
            && self.version == 1
            && self.tenant.last_active_at == self.tenant.created_at
    }

    /// Whether it is a visitor's chat of which nothing is kept here, and that no operator has changed. A turn under way
    /// has an open entry.
    pub(crate) fn is_silent(&self) -> bool {
        self.tenant.platform() == Platform::Web
            && self.version == 1
            && self.session.is_none()
            && self.history.is_empty()
    }

    /// The generation of what is said outside a turn: the session there is, or the one to come.
    pub(crate) fn present_generation(&self) -> u64 {
        self.generation.max(self.forgotten.saturating_add(1))
    }

    pub(crate) fn remember(
        &mut self,
        entry: EntryId,
        generation: u64,
        said: Vec<NewHistoryMessage>,
        ended_at: Timestamp,
    ) {
        for said in said {
            self.last_seq += 1;
            let message = HistoryMessage {
                seq: self.last_seq,
                generation,
                message: said.message,
                tokens: said.tokens,
                model: said.model,
                at: said.at.unwrap_or(ended_at),
                entry: Some(entry),
                unanswered: said.unanswered,
                finish_reason: said.finish_reason,
            };
            // Behind what belongs to entries accepted before, whichever ended first.
            let place = self.history.partition_point(|said| said.entry <= message.entry);
            self.history.insert(place, message);
            if self.history.len() > HISTORY_KEPT {
                self.history.pop_front();
            }
        }
    }

    /// The newest of what was said since the conversation was last forgotten, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &HistoryMessage> {
        let forgotten = self.forgotten;
        self.history
            .iter()
            .rev()
            .filter(move |said| said.generation > forgotten)
    }
}
