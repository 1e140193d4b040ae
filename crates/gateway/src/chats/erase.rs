//! Erasing a chat with everything that was said in it.

use super::{ChatError, Chats};
use crate::error::Refusal;
use crate::feed::{FeedEvent, FeedRead};
use openclaw_core::TenantId;
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use openclaw_session::event::TenantDeleted;
use std::collections::HashSet;
use std::time::Duration;

/// How long erasing waits for a running turn to end before it goes on without it.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

// === impl Chats ===

impl Chats {
    /// Erases a chat with everything that was said in it. Dropping the future abandons the wait only.
    pub async fn erase(&self, tenant: &TenantId) -> Result<(), ChatError> {
        let passage = self.gate.erase(tenant).await.ok_or(ChatError::NoSuchChat)?;
        let (chats, tenant) = (self.clone(), tenant.clone());
        self.run(async move {
            let erased = chats.erase_now(&tenant).await;
            drop(passage);
            erased
        })
        .await
    }

    async fn erase_now(&self, tenant: &TenantId) -> Result<(), ChatError> {
        let stored = self.find(tenant).await?;
        let services = self.gateway.services();
        self.end_turns(tenant).await;
        if services.hooks.has(HookName::OnSessionEnd) {
            let ended = services
                .store
                .start_over(stored.key, services.clock.now())
                .await
                .map_err(Refusal::from)?;
            if let Some(session) = ended {
                let mut context = HookContext::OnSessionEnd {
                    tenant: tenant.clone(),
                    session: session.id,
                    generation: session.generation,
                    reason: SessionEndReason::Deleted,
                };
                services
                    .hooks
                    .dispatch(HookName::OnSessionEnd, &mut context, stored.tenant.tier, None)
                    .await;
            }
        }
        let deleted = self.directory.delete(stored.key).await.map_err(Refusal::from)?;
        services.recall.forget(stored.key);
        services.feeds.forget(tenant);
        if deleted {
            services.session_events.publish(None, || TenantDeleted {
                tenant_id: tenant.clone(),
                removed: vec!["sessions", "history"],
            });
        }
        Ok(())
    }

    /// Stops what is under way in the chat and waits a moment until it has ended, so that nothing is said after the
    /// chat is gone.
    async fn end_turns(&self, tenant: &TenantId) {
        let services = self.gateway.services();
        let state = services.feeds.state(tenant);
        let mut reader = services.feeds.subscribe(tenant, Some(state.id));
        self.gateway.stop(tenant).await;
        let asked = state.asked.into_iter().map(|asked| asked.turn_id);
        let mut under_way: HashSet<String> = asked.chain(state.live.map(|live| live.turn_id)).collect();
        let patience = services.clock.sleep(STOP_PATIENCE);
        tokio::pin!(patience);
        while !under_way.is_empty() {
            let read = tokio::select! {
                biased;
                read = reader.next() => read,
                () = &mut patience => return,
            };
            match read {
                FeedRead::Event { event, .. } => {
                    if let FeedEvent::TurnFinished { turn_id, .. } | FeedEvent::TurnFailed { turn_id, .. } =
                        &*event
                    {
                        under_way.remove(turn_id);
                    }
                }
                FeedRead::Reset { .. } => {}
                FeedRead::Closed => return,
            }
        }
    }
}
