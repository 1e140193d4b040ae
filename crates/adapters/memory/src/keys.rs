//! API keys and what the platform remembers about itself.

use crate::MemoryStore;
use async_trait::async_trait;
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{ApiKeyRecord, KeyStore, MetaStore, StoreError};

#[async_trait]
impl KeyStore for MemoryStore {
    async fn put_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        match state.keys.iter_mut().find(|known| known.hash == key.hash) {
            Some(known) => *known = key,
            None => state.keys.push(key),
        }
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let mut keys = self.open_state()?.keys.clone();
        // Stable: keys of one moment stay in the order they were stored.
        keys.sort_by_key(|key| key.created_at);
        Ok(keys)
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.open_state()?;
        let mut revoked = false;
        for key in &mut state.keys {
            let valid = key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end);
            if key.id == id && valid {
                key.revoked_at = Some(now);
                revoked = true;
            }
        }
        Ok(revoked)
    }
}

#[async_trait]
impl MetaStore for MemoryStore {
    async fn get_meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.open_state()?.meta.get(key).cloned())
    }

    async fn put_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.open_state()?.meta.insert(key.into(), value.into());
        Ok(())
    }
}
