//! What people think of answers.

use crate::MemoryStore;
use async_trait::async_trait;
use openclaw_gateway::ports::{EntryId, Feedback, FeedbackStore, StoreError};
use openclaw_session::TenantKey;
use std::ops::RangeInclusive;

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

    async fn feedback(
        &self,
        tenant: TenantKey,
        entries: RangeInclusive<EntryId>,
    ) -> Result<Vec<Feedback>, StoreError> {
        let state = self.open_state()?;
        // An empty range is no mistake.
        let row = state.tenants.get(&tenant).filter(|_| !entries.is_empty());
        Ok(row.map_or_else(Vec::new, |row| {
            row.feedback
                .range(entries)
                .map(|(_, said)| said.clone())
                .collect()
        }))
    }
}
