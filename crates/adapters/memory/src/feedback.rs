//! What people think of answers.

use crate::MemoryStore;
use async_trait::async_trait;
use openclaw_gateway::ports::{Feedback, FeedbackStore, StoreError};
use openclaw_session::TenantKey;

#[async_trait]
impl FeedbackStore for MemoryStore {
    async fn rate(&self, tenant: TenantKey, feedback: Feedback) -> Result<bool, StoreError> {
        let mut state = self.open_state()?;
        let Some(row) = state.tenants.get_mut(&tenant) else {
            return Ok(false);
        };
        row.feedback.insert(feedback.entry, feedback);
        Ok(true)
    }

    async fn feedback(&self, tenant: TenantKey) -> Result<Vec<Feedback>, StoreError> {
        let state = self.open_state()?;
        let row = state.tenants.get(&tenant);
        Ok(row.map_or_else(Vec::new, |row| row.feedback.values().cloned().collect()))
    }
}
