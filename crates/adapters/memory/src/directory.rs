//! Tenants, for operators and commands.

use crate::MemoryStore;
use async_trait::async_trait;
use openclaw_core::{BotId, Platform, TenantId, UserId};
use openclaw_gateway::ports::{EntryId, StoreError, StoredTenant, TenantDirectory};
use openclaw_session::{TenantKey, UserTenant, suspend_session};
use std::ops::Bound;

#[async_trait]
impl TenantDirectory for MemoryStore {
    async fn find(&self, bot: &BotId, tenant: &TenantId) -> Result<Option<StoredTenant>, StoreError> {
        let state = self.open_state()?;
        Ok(state
            .addresses
            .get(&(bot.clone(), tenant.clone()))
            .and_then(|key| state.stored_tenant(*key)))
    }

    async fn create(&self, bot: &BotId, tenant: UserTenant) -> Result<StoredTenant, StoreError> {
        let mut state = self.open_state()?;
        let id = tenant.tenant_id.clone();
        let (key, _) = state.tenant_at(bot, &id, || tenant);
        state
            .stored_tenant(key)
            .ok_or(StoreError::NotFound { what: "tenant" })
    }

    async fn update(
        &self,
        key: TenantKey,
        version: u64,
        tenant: UserTenant,
    ) -> Result<Option<StoredTenant>, StoreError> {
        let mut state = self.open_state()?;
        let row = state
            .tenants
            .get(&key)
            .ok_or(StoreError::NotFound { what: "tenant" })?;
        if row.version != version {
            return Ok(None);
        }
        let old = (row.bot.clone(), row.tenant.tenant_id.clone());
        let new = (row.bot.clone(), tenant.tenant_id.clone());
        let moved = new != old;
        if moved {
            if state.addresses.contains_key(&new) {
                return Err(StoreError::Unavailable {
                    reason: "another tenant has this address".into(),
                });
            }
            state.addresses.remove(&old);
            state.addresses.insert(new, key);
        }
        let Some(row) = state.tenants.get_mut(&key) else {
            return Ok(None);
        };
        let last_active_at = row.tenant.last_active_at.max(tenant.last_active_at);
        row.tenant = UserTenant {
            last_active_at,
            ..tenant
        };
        row.version = row.version.saturating_add(1);
        if row.tenant.suspended
            && let Some(session) = &mut row.session
        {
            *session = suspend_session(session);
        }
        let stored = row.stored(key);
        if moved {
            state.follow_address(key);
        }
        Ok(Some(stored))
    }

    async fn list(
        &self,
        of: Option<(Platform, UserId)>,
        after: Option<TenantKey>,
        limit: usize,
    ) -> Result<Vec<StoredTenant>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .open_state()?
            .tenants
            .range((from, Bound::Unbounded))
            .filter(|(_, row)| {
                let id = &row.tenant.tenant_id;
                of.as_ref()
                    .is_none_or(|(platform, user)| id.platform() == *platform && id.user() == user)
            })
            .take(limit)
            .map(|(key, row)| row.stored(*key))
            .collect())
    }

    async fn delete(&self, key: TenantKey) -> Result<bool, StoreError> {
        let mut state = self.open_state()?;
        state.interrupt(key);
        let Some(row) = state.tenants.remove(&key) else {
            return Ok(false);
        };
        state.forget_payer(&row.tenant.tenant_id);
        state.addresses.remove(&(row.bot, row.tenant.tenant_id));
        let entries: Vec<EntryId> = state
            .inbox
            .iter()
            .filter(|(_, entry)| entry.tenant == key)
            .map(|(id, _)| *id)
            .collect();
        for id in &entries {
            state.open.remove(id);
            if let Some(entry) = state.inbox.remove(id) {
                let message = entry.message;
                state
                    .updates
                    .remove(&(message.platform, message.bot, message.update_key));
            }
        }
        state
            .outbox
            .retain(|_, part| entries.binary_search(&part.entry).is_err());
        Ok(true)
    }
}
