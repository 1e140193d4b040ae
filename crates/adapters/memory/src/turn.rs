//! Inbox, session, history, budget and outbox.

use crate::MemoryStore;
use crate::state::{EntryRow, Running, State, TenantRow};
use async_trait::async_trait;
use openclaw_core::{IncomingMessage, Timestamp};
use openclaw_gateway::ledger::Spent;
use openclaw_gateway::ports::{
    Accepted, AccountUsage, ApiKeyRecord, BeginError, BeginTurn, CloseEntry, CommitTurn, Delivery, EntryId,
    Fence, HistoryMessage, KEYS_KEPT, NewEntry, OpenEntry, OutboxId, OutboxPart, Recovery, Repeated,
    ShownPart, StoreDepths, StoreError, Sweep, Swept, TurnGrant, TurnStore, UsageDelta, message_digest,
};
use openclaw_session::{
    TenantKey, TenantSession, create_user_tenant, end_session, enter_session, leave_session, touch_tenant,
};
use std::ops::Bound;

#[async_trait]
impl TurnStore for MemoryStore {
    async fn accept(&self, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, StoreError> {
        let mut state = self.open_state()?;
        Ok(entries
            .into_iter()
            .map(|entry| accept_one(&mut state, entry))
            .collect())
    }

    async fn repeated(
        &self,
        message: &IncomingMessage,
        since: Timestamp,
    ) -> Result<Option<Repeated>, StoreError> {
        let state = self.open_state()?;
        let update = (message.platform, message.bot.clone(), message.update_key.clone());
        let known = state
            .updates
            .get(&update)
            .and_then(|id| state.inbox.get(id).map(|row| (*id, row)))
            .filter(|(_, row)| row.accepted_at > since);
        Ok(known.map(|(entry, row)| Repeated {
            entry,
            same: row.digest == message_digest(message),
        }))
    }

    async fn close(&self, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, StoreError> {
        let mut state = self.open_state()?;
        let Some(row) = state.end_entry(close.entry, close.now, close.outcome) else {
            return Ok(None);
        };
        let (key, correlation_id) = (row.tenant, row.correlation_id);
        let is_running = state
            .tenants
            .get(&key)
            .and_then(|tenant| tenant.running.as_ref())
            .is_some_and(|running| running.entry == close.entry);
        if is_running {
            state.interrupt(key);
            if let Some(tenant) = state.tenants.get_mut(&key) {
                tenant.rest();
            }
        }
        if let Some(tenant) = state.tenants.get_mut(&key) {
            let generation = tenant.present_generation();
            tenant.remember(close.entry, generation, close.history, close.now);
        }
        Ok(Some(state.add_parts(
            close.entry,
            key,
            correlation_id,
            close.outbox,
            close.now,
        )))
    }

    async fn begin_turn(&self, begin: BeginTurn) -> Result<TurnGrant, BeginError> {
        let mut state = self.open_state()?;
        let (key, attempts) = state
            .inbox
            .get(&begin.entry)
            .filter(|row| row.closed.is_none())
            .map(|row| (row.tenant, row.attempts))
            .ok_or(BeginError::Closed)?;
        let tenant = state.tenants.get(&key).ok_or(BeginError::Closed)?;
        if tenant.tenant.suspended {
            return Err(BeginError::Suspended);
        }
        if attempts >= begin.max_attempts {
            return Err(BeginError::TooManyAttempts { attempts });
        }
        state.interrupt(key);
        let attempt = attempts.saturating_add(1);
        if let Some(row) = state.inbox.get_mut(&begin.entry) {
            row.attempts = attempt;
        }
        let tenant = state.tenants.get_mut(&key).ok_or(BeginError::Closed)?;
        let entered = enter_session(
            &tenant.tenant.tenant_id,
            tenant.session.as_ref(),
            tenant.generation,
            begin.now,
            begin.session_ttl,
        );
        tenant.generation = entered.session.generation;
        tenant.session = Some(entered.session.clone());
        tenant.fence = Fence(tenant.fence.0.saturating_add(1));
        tenant.running = Some(Running {
            entry: begin.entry,
            generation: entered.session.generation,
            reservation: begin.reservation,
        });
        Ok(TurnGrant {
            fence: tenant.fence,
            attempt,
            session: entered.session,
            opened: entered.opened,
            ended: entered.ended,
        })
    }

    async fn record_send(&self, entry: EntryId, fence: Fence, shown: ShownPart) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        state.holder(entry, fence)?;
        let row = state.inbox.get_mut(&entry).ok_or(StoreError::Stale)?;
        row.shown.retain(|known| known.part != shown.part);
        row.shown.push(shown);
        row.shown.sort_by_key(|known| known.part);
        Ok(())
    }

    async fn commit_turn(&self, commit: CommitTurn) -> Result<Vec<OutboxPart>, StoreError> {
        let mut state = self.open_state()?;
        let key = state.holder(commit.entry, commit.fence)?;
        let correlation_id = state
            .end_entry(commit.entry, commit.now, commit.outcome)
            .map(|row| row.correlation_id)
            .ok_or(StoreError::Stale)?;
        if let Some(tenant) = state.tenants.get_mut(&key) {
            let generation = tenant
                .running
                .take()
                .map_or(tenant.generation, |running| running.generation);
            if let Some(session) = &mut tenant.session {
                *session = leave_session(session, commit.now, commit.session_ttl);
            }
            tenant.remember(commit.entry, generation, commit.history, commit.now);
        }
        for delta in &commit.usage {
            state.add_usage(delta);
        }
        for spent in &commit.spent {
            state.add_spent(spent);
        }
        Ok(state.add_parts(commit.entry, key, correlation_id, commit.outbox, commit.now))
    }

    async fn release(&self, entry: EntryId, fence: Fence, _now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        let key = state.holder(entry, fence)?;
        if let Some(tenant) = state.tenants.get_mut(&key) {
            tenant.running = None;
            tenant.rest();
        }
        if let Some(row) = state.inbox.get_mut(&entry) {
            row.attempts = row.attempts.saturating_sub(1);
        }
        Ok(())
    }

    async fn record_delivery(
        &self,
        part: OutboxId,
        delivery: Delivery,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        match delivery {
            Delivery::Delivered { .. } | Delivery::Failed { .. } => {
                state.outbox.remove(&part);
            }
            Delivery::Retry { due_at, ambiguous } => {
                if let Some(part) = state.outbox.get_mut(&part) {
                    part.attempts = part.attempts.saturating_add(1);
                    part.ambiguous = part.ambiguous.saturating_add(u32::from(ambiguous));
                    part.due_at = due_at;
                }
            }
        }
        Ok(())
    }

    async fn pending_outbox(
        &self,
        after: Option<OutboxId>,
        limit: usize,
    ) -> Result<Vec<OutboxPart>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .open_state()?
            .outbox
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, part)| part.clone())
            .collect())
    }

    async fn open_entries(&self, after: Option<EntryId>, limit: usize) -> Result<Vec<OpenEntry>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.open_state()?;
        Ok(state
            .open
            .range((from, Bound::Unbounded))
            .filter_map(|id| state.open_entry(*id))
            .take(limit)
            .collect())
    }

    async fn history(
        &self,
        tenant: TenantKey,
        max_messages: usize,
        max_tokens: u64,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        let state = self.open_state()?;
        let Some(tenant) = state.tenants.get(&tenant) else {
            return Ok(Vec::new());
        };
        let mut newest = Vec::new();
        let mut tokens = 0_u64;
        for message in tenant.newest().filter(|said| said.unanswered.is_none()) {
            tokens = tokens.saturating_add(message.tokens);
            if !newest.is_empty() && (newest.len() >= max_messages || tokens > max_tokens) {
                break;
            }
            newest.push(message.clone());
        }
        newest.reverse();
        Ok(newest)
    }

    async fn said(&self, tenant: TenantKey, max_messages: usize) -> Result<Vec<HistoryMessage>, StoreError> {
        let state = self.open_state()?;
        let mut newest: Vec<HistoryMessage> = match state.tenants.get(&tenant) {
            Some(tenant) => tenant.newest().take(max_messages).cloned().collect(),
            None => Vec::new(),
        };
        newest.reverse();
        Ok(newest)
    }

    async fn start_over(
        &self,
        tenant: TenantKey,
        _now: Timestamp,
    ) -> Result<Option<TenantSession>, StoreError> {
        let mut state = self.open_state()?;
        let tenant = state
            .tenants
            .get_mut(&tenant)
            .ok_or(StoreError::NotFound { what: "tenant" })?;
        tenant.forgotten = tenant.generation;
        Ok(tenant.session.take().map(|session| end_session(&session)))
    }

    async fn usage(&self, account: &str) -> Result<Option<AccountUsage>, StoreError> {
        Ok(self.open_state()?.usage.get(account).cloned())
    }

    async fn add_usage(&self, deltas: Vec<UsageDelta>, spent: Vec<Spent>) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        for delta in &deltas {
            state.add_usage(delta);
        }
        for spent in &spent {
            state.add_spent(spent);
        }
        Ok(())
    }

    async fn reset_usage(&self, account: &str, over: Timestamp) -> Result<(), StoreError> {
        self.open_state()?.reset_usage(account, over);
        Ok(())
    }

    async fn sweep(&self, sweep: Sweep) -> Result<Swept, StoreError> {
        let mut state = self.open_state()?;
        state.sweep_ledger(sweep.now);
        state.sweep_usage(sweep.now);
        Ok(sweep_state(&mut state, sweep))
    }

    async fn depths(&self) -> Result<StoreDepths, StoreError> {
        let state = self.open_state()?;
        Ok(StoreDepths {
            inbox_open: state.open.len() as u64,
            outbox_pending: state.outbox.len() as u64,
            oldest_open_at: state
                .open
                .first()
                .and_then(|id| state.inbox.get(id))
                .map(|row| row.accepted_at),
        })
    }

    fn recovery(&self) -> Recovery {
        self.recovery.clone()
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    async fn shut_down(&self) {
        self.state.lock().closed = true;
    }
}

fn accept_one(state: &mut State, entry: NewEntry) -> Accepted {
    let message = entry.message;
    let update = (message.platform, message.bot.clone(), message.update_key.clone());
    let digest = message_digest(&message);
    let is_known = |row: &EntryRow| entry.repeats_after.is_none_or(|after| row.accepted_at > after);
    // An older one gives its key up to the one that comes now.
    if let Some((id, row)) = state
        .updates
        .get(&update)
        .and_then(|id| state.inbox.get(id).map(|row| (*id, row)))
        .filter(|(_, row)| is_known(row))
    {
        return Accepted::Duplicate {
            entry: id,
            message: row.message.clone(),
            same: row.digest == digest,
        };
    }
    let tenant_id = message.tenant_id();
    let (key, tenant_is_new) = state.tenant_at(&message.bot, &tenant_id, || {
        create_user_tenant(tenant_id.clone(), entry.tier_if_new, entry.received_at)
    });
    let tenant = match state.tenants.get_mut(&key) {
        Some(row) => {
            row.tenant = touch_tenant(&row.tenant, entry.received_at);
            row.tenant.clone()
        }
        // The address map and the rows change together.
        None => create_user_tenant(tenant_id, entry.tier_if_new, entry.received_at),
    };
    let id = state.add_entry(
        update,
        EntryRow {
            tenant: key,
            tenant_is_new,
            message: message.clone(),
            digest,
            correlation_id: entry.correlation_id,
            accepted_at: entry.received_at,
            attempts: 0,
            shown: Vec::new(),
            closed: None,
        },
    );
    Accepted::New(OpenEntry {
        id,
        key,
        tenant,
        tenant_is_new,
        message,
        correlation_id: entry.correlation_id,
        accepted_at: entry.received_at,
        attempts: 0,
        shown: Vec::new(),
    })
}

fn sweep_state(state: &mut State, sweep: Sweep) -> Swept {
    let limit = sweep.limit.max(1);
    let mut swept = Swept::default();
    let undelivered: Vec<EntryId> = state.outbox.values().map(|part| part.entry).collect();
    let mut old: Vec<(Timestamp, EntryId)> = state
        .inbox
        .iter()
        .filter_map(|(id, row)| row.closed.map(|(at, _)| (at, *id)))
        .filter(|(at, id)| *at < sweep.closed_before && !undelivered.contains(id))
        .collect();
    old.sort_unstable();
    swept.more |= old.len() >= limit;
    for (_, id) in old.into_iter().take(limit) {
        if let Some(row) = state.inbox.remove(&id) {
            let message = row.message;
            let key = (message.platform, message.bot, message.update_key);
            if state.updates.get(&key) == Some(&id) {
                state.updates.remove(&key);
            }
            swept.entries += 1;
        }
    }
    let mut left = limit;
    for tenant in state.tenants.values_mut() {
        while left > 0
            && tenant
                .history
                .front()
                .is_some_and(|said| said.at < sweep.history_before)
        {
            tenant.history.pop_front();
            swept.history += 1;
            left -= 1;
        }
    }
    swept.more |= left == 0;
    let mut opinions: Vec<(Timestamp, TenantKey, EntryId)> = state
        .tenants
        .iter()
        .flat_map(|(key, row)| row.feedback.values().map(|said| (said.at, *key, said.entry)))
        .filter(|(at, _, _)| *at < sweep.history_before)
        .collect();
    opinions.sort_unstable();
    swept.more |= opinions.len() >= limit;
    for (_, key, entry) in opinions.into_iter().take(limit) {
        if let Some(row) = state.tenants.get_mut(&key) {
            row.feedback.remove(&entry);
        }
    }
    let mut past: Vec<(Timestamp, TenantKey)> = state
        .tenants
        .iter()
        .filter(|(_, row)| row.running.is_none())
        .filter_map(|(key, row)| Some((row.session.as_ref()?.expires_at, *key)))
        .filter(|(expires_at, _)| *expires_at <= sweep.now)
        .collect();
    past.sort_unstable();
    swept.more |= past.len() >= limit;
    for (_, key) in past.into_iter().take(limit) {
        if let Some(session) = state.tenants.get_mut(&key).and_then(|row| row.session.take()) {
            swept.sessions.push(end_session(&session));
        }
    }
    remove_chats(state, &sweep, &mut swept, TenantRow::is_unused);
    remove_chats(state, &sweep, &mut swept, TenantRow::is_silent);
    let ended = |key: &ApiKeyRecord| {
        let end = key.revoked_at.into_iter().chain(key.expires_at).min();
        end.is_some_and(|end| end < sweep.now - KEYS_KEPT)
    };
    let mut left = limit;
    state.keys.retain(|key| {
        let goes = left > 0 && ended(key);
        left -= usize::from(goes);
        !goes
    });
    swept.more |= left == 0;
    swept
}

/// Removes such chats, those that have been silent for longest first.
fn remove_chats(state: &mut State, sweep: &Sweep, swept: &mut Swept, which: fn(&TenantRow) -> bool) {
    let limit = sweep.limit.max(1);
    let mut found: Vec<(Timestamp, TenantKey)> = state
        .tenants
        .iter()
        .filter(|(_, row)| which(row) && row.tenant.last_active_at < sweep.history_before)
        .filter(|(key, _)| state.inbox.values().all(|entry| entry.tenant != **key))
        .map(|(key, row)| (row.tenant.last_active_at, *key))
        .collect();
    found.sort_unstable();
    swept.more |= found.len() >= limit;
    for (_, key) in found.into_iter().take(limit) {
        if let Some(row) = state.tenants.remove(&key) {
            swept.chats.push(row.tenant.tenant_id.clone());
            state.addresses.remove(&(row.bot, row.tenant.tenant_id));
        }
    }
}
