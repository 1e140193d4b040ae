//! Holds up what a person writes after `/new` until the conversation has been started over.
//!
//! A command is carried out on a lane of its own, beside the turns of its session. What was written after `/new` must not
//! begin before that is done: it would still be told the old conversation.

use crate::ports::EntryId;
use openclaw_core::TenantId;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// Conversations that are being started over. Never more than entries without an end.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    /// The commands under way.
    under_way: Mutex<HashMap<TenantId, BTreeSet<EntryId>>>,
    /// Told when one has ended.
    ended: Notify,
}

/// A conversation being started over, until this is dropped.
#[derive(Debug)]
pub(crate) struct Renewal {
    renewals: Arc<Renewals>,
    tenant: TenantId,
    command: EntryId,
    is_left: bool,
}

// === impl Renewals ===

impl Renewals {
    /// From now on what was accepted after the command waits.
    pub(crate) fn begin(self: &Arc<Self>, tenant: TenantId, command: EntryId) -> Renewal {
        let mut under_way = self.under_way.lock();
        under_way.entry(tenant.clone()).or_default().insert(command);
        drop(under_way);
        Renewal {
            renewals: Arc::clone(self),
            tenant,
            command,
            is_left: false,
        }
    }

    /// Ends when no command that was accepted before the entry is under way.
    pub(crate) async fn done_before(&self, tenant: &TenantId, entry: EntryId) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before looking, so that an end in between is not slept through.
            ended.as_mut().enable();
            let waits = self
                .under_way
                .lock()
                .get(tenant)
                .and_then(BTreeSet::first)
                .is_some_and(|first| *first < entry);
            if !waits {
                return;
            }
            ended.await;
        }
    }
}

// === impl Renewal ===

impl Renewal {
    /// The command has no end in the store and is carried out once more by the next process: what came after it waits
    /// for that.
    pub(crate) fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        {
            let mut under_way = self.renewals.under_way.lock();
            if let Some(commands) = under_way.get_mut(&self.tenant) {
                commands.remove(&self.command);
                if commands.is_empty() {
                    under_way.remove(&self.tenant);
                }
            }
        }
        self.renewals.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn only_what_came_after_the_command_waits_and_only_in_its_own_chat() {
        let renewals = Arc::<Renewals>::default();
        let (own, other): (TenantId, TenantId) = ("web:1:1".parse().unwrap(), "web:1:2".parse().unwrap());
        let first = renewals.begin(own.clone(), EntryId(5));
        let second = renewals.begin(own.clone(), EntryId(7));
        let is_let_through = |tenant, entry| {
            let waiting = renewals.done_before(tenant, EntryId(entry));
            waiting.now_or_never().is_some()
        };
        assert!(is_let_through(&own, 4) && is_let_through(&other, 6));
        assert!(!is_let_through(&own, 6));
        let mut waiting = Box::pin(renewals.done_before(&own, EntryId(6)));
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        waiting.await;
        assert!(!is_let_through(&own, 8));
        drop(second);
        assert!(is_let_through(&own, 8) && renewals.under_way.lock().is_empty());
        renewals.begin(own.clone(), EntryId(9)).leave();
        assert!(!is_let_through(&own, 10));
    }
}
