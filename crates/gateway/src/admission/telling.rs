//! What the people who wait are told meanwhile.

use super::{Admission, Priority};
use crate::ports::EntryId;
use crate::queue::{QueueId, QueuedItem};
use openclaw_concurrency::Pace;
use openclaw_core::TenantId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Chats that are shown a typing indicator while they wait, at most, per round.
const TYPING_AT_ONCE: usize = 64;
/// Messages whose place in line is told anew, at most, per round; those behind are told when they come so far.
const PLACES_AT_ONCE: usize = 1_024;

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
    pub(crate) fn tell_waiting(&self) {
        self.tell_first(usize::MAX);
    }

    /// Tells those at the head of the line how far they have come. Call it every few seconds.
    pub(crate) fn tell_places(&self) {
        if self.waiting_entries() > 0 || self.waiting_in_pool() > 0 {
            self.tell_first(PLACES_AT_ONCE);
        }
    }

    fn tell_first(&self, count: usize) {
        // What is answered before it in the same conversation, by tenant.
        let mut own: HashMap<Arc<str>, usize> = HashMap::new();
        for (place, item) in (1..).zip(self.queue()).take(count) {
            let before = own
                .entry(Arc::clone(&item.tenant))
                // The first of them that is not ready waits for one that runs.
                .or_insert(usize::from(!item.ready));
            let own = *before;
            *before += 1;
            if let (QueueId::Turn(entry), Ok(tenant)) = (item.id, item.tenant.parse::<TenantId>())
                && !self.services.has_chat(&tenant)
            {
                self.show_waiting(&tenant, entry, place, own);
            }
        }
    }

    /// Shows that a message waits, behind so many of its own conversation; what was said of a pause is true when nobody
    /// says anything after it.
    pub(super) fn show_waiting(&self, tenant: &TenantId, entry: EntryId, place: usize, own: usize) {
        loop {
            let paused = self.pool.is_paused();
            let expected = if paused {
                None
            } else {
                self.expected_wait(place, own)
            };
            self.services.show_waiting(tenant, entry, place, paused, expected);
            if self.pool.is_paused() == paused {
                return;
            }
        }
    }

    /// How long a message is likely to wait, by what the pool has measured: those before it share the workers, those of its
    /// own conversation are answered one after the other.
    fn expected_wait(&self, place: usize, own: usize) -> Option<Duration> {
        let pace = self.pool.pace()?;
        let alone = Pace { workers: 1, ..pace };
        Some(pace.wait(place).max(alone.wait(own)))
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
