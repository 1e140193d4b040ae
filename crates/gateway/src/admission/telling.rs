//! What the people who wait are told meanwhile.

use super::{Admission, Priority};
use crate::ports::EntryId;
use crate::queue::{QueueId, QueuedItem};
use openclaw_core::TenantId;
use std::sync::Arc;

/// Chats that are shown a typing indicator while they wait, at most, per round.
const TYPING_AT_ONCE: usize = 64;

// === impl Admission ===

impl Admission {
    /// Everything that waits, here and in the pool, in the order an operator sees it in.
    pub(crate) fn queue(&self) -> Vec<QueuedItem> {
        let now = self.services.clock.monotonic();
        let mut items = self.waiting(|entry, waiting| QueuedItem::in_inbox(entry, waiting, now));
        items.extend(self.pool.waiting(|waiting| QueuedItem::in_pool(&waiting, now)));
        items.sort_by_key(|item| (item.priority as usize, std::cmp::Reverse(item.waited)));
        items
    }

    /// Tells everybody who waits and reads a feed their place in line, and whether answering is paused. Its cost grows
    /// with what waits.
    pub(crate) fn tell_waiting(self: &Arc<Self>) {
        for (place, item) in (1..).zip(self.queue()) {
            if let (QueueId::Turn(entry), Ok(tenant)) = (item.id, item.tenant.parse::<TenantId>())
                && !self.services.has_chat(&tenant)
            {
                self.show_waiting(&tenant, entry, place);
            }
        }
    }

    /// Shows that a message waits; what was said of a pause is true when nobody says anything after it.
    pub(super) fn show_waiting(&self, tenant: &TenantId, entry: EntryId, place: usize) {
        loop {
            let paused = self.pool.is_paused();
            self.services.show_waiting(tenant, entry, place, paused);
            if self.pool.is_paused() == paused {
                return;
            }
        }
    }

    /// Messages and calls that have a place in the pool and no worker yet.
    pub(super) fn waiting_in_pool(&self) -> usize {
        Priority::ALL
            .into_iter()
            .map(|priority| self.pool.queue_depth_of(priority))
            .sum()
    }

    /// Shows the people who wait that they are not forgotten. Call it every few seconds.
    pub(crate) fn show_typing(self: &Arc<Self>) {
        let keys: Vec<Arc<str>> = self
            .room
            .lock()
            .waiting
            .keys()
            .take(TYPING_AT_ONCE)
            .cloned()
            .collect();
        for tenant in keys.iter().filter_map(|key| key.parse::<TenantId>().ok()) {
            let services = Arc::clone(&self.services);
            self.spawn(async move {
                services
                    .dispatcher
                    .typing(&tenant, openclaw_core::ChatKind::Private)
                    .await
                    .ok();
            });
        }
    }
}
