//! Taking out what waits: at the word of its person, and at an operator's, who sees inbox and pool as one queue.

use super::{Admission, Fate, Running, key_of};
use crate::job::Job;
use crate::ports::{EntryId, OpenEntry, Outcome};
use crate::queue::{QueueId, QueuedItem, WaitingEntry};
use openclaw_concurrency::Submission;
use openclaw_core::TenantId;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Something that an operator took out of the queue.
#[derive(Debug)]
pub(crate) struct Dropped {
    pub(crate) item: QueuedItem,
    /// Whether its end is in the store.
    pub(crate) stored: bool,
}

/// Where something is that an operator wants out of the queue.
#[derive(Debug)]
pub(crate) enum ToDrop {
    /// It waited; whoever has it must end it.
    Taken(Box<(QueuedItem, OpenEntry)>),
    /// On its way to another place. It ends there; `None` when a worker was quicker.
    OnItsWay(oneshot::Receiver<Option<Dropped>>),
    /// Not here.
    Elsewhere,
}

// === impl Admission ===

impl Admission {
    /// Whether an operator has dropped the tenant's turn on its way into the pool. Its session is free then.
    pub(super) fn dropped_meanwhile(&self, key: &Arc<str>) -> Option<oneshot::Sender<Option<Dropped>>> {
        let mut room = self.room.lock();
        let (_, running) = room.running.get_mut(key)?;
        let Running::Between(fate @ Fate::Dropped(_)) = running else {
            return None;
        };
        let Fate::Dropped(told) = std::mem::take(fate) else {
            return None;
        };
        room.running.remove(key);
        room.scheduler.release(key);
        Some(told)
    }

    pub(super) fn item_of(&self, submission: &Submission<OpenEntry>) -> QueuedItem {
        let waiting = WaitingEntry::of_submission(submission);
        QueuedItem::in_inbox(&submission.request, &waiting, self.services.clock.monotonic())
    }

    pub(super) async fn end_dropped(
        self: Arc<Self>,
        item: QueuedItem,
        entry: OpenEntry,
        told: oneshot::Sender<Option<Dropped>>,
    ) {
        let stored = self.close_dropped(entry).await;
        // Nobody waits for it any more: it has ended all the same.
        told.send(Some(Dropped { item, stored })).ok();
    }

    /// Takes what waits in the pool under this name out of it.
    pub(crate) fn drop_in_pool(&self, id: QueueId) -> impl Future<Output = Option<Dropped>> + Send + use<> {
        let now = self.services.clock.monotonic();
        let dropped = self.pool.drop_waiting(|waiting| {
            let item = QueuedItem::in_pool(&waiting, now);
            let turn = match waiting.request {
                Job::Turn(turn) => Some(Arc::clone(&turn.progress)),
                Job::Completion(_) => None,
            };
            (item.id == id).then_some((item, turn))
        });
        async move {
            let (item, turn) = dropped?;
            let stored = match turn {
                Some(turn) => turn.drop_stored().await,
                None => true,
            };
            Some(Dropped { item, stored })
        }
    }

    /// Stops a tenant's turn and ends what waits behind it; of these only what was accepted before `command`, where one
    /// says so: what its person wrote after it is to be answered. Returns whether there was anything. Dropping the future
    /// abandons the wait, not the ends.
    pub(crate) async fn stop(self: &Arc<Self>, tenant: &TenantId, command: Option<EntryId>) -> bool {
        let key = key_of(tenant);
        let is_meant = |entry: EntryId| command.is_none_or(|command| entry < command);
        let (canceller, is_running, waiting) = {
            let mut room = self.room.lock();
            let room = &mut *room;
            let mut waiting = Vec::new();
            if let Some(ids) = room.waiting.get_mut(&key) {
                ids.retain(|(id, entry)| {
                    if is_meant(*entry) {
                        waiting.extend(room.scheduler.remove(*id));
                    }
                    !is_meant(*entry)
                });
                if ids.is_empty() {
                    room.waiting.remove(&key);
                }
            }
            let running = room.running.get_mut(&key).filter(|(entry, _)| is_meant(*entry));
            let is_running = running.is_some();
            let canceller = match running {
                Some((_, Running::InPool(canceller))) => Some(canceller.clone()),
                Some((_, Running::Between(fate))) => {
                    if matches!(fate, Fate::On) {
                        *fate = Fate::Stopped;
                    }
                    None
                }
                None => None,
            };
            (canceller, is_running, waiting)
        };
        let anything = is_running || !waiting.is_empty();
        if let Some(canceller) = canceller {
            canceller.cancel();
        }
        let ends: Vec<_> = waiting
            .into_iter()
            .map(|scheduled| {
                let admission = Arc::clone(self);
                let entry = scheduled.submission.request;
                self.tasks.spawn_on(
                    async move { admission.close_entry(&entry, Outcome::Stopped, "", None).await },
                    &self.services.runtime,
                )
            })
            .collect();
        futures::future::join_all(ends).await;
        anything
    }

    /// Looks at everything in the waiting room, in no order. `look` runs under the room's lock and must be quick.
    pub(crate) fn waiting<X>(&self, mut look: impl FnMut(&OpenEntry, &WaitingEntry<'_>) -> X) -> Vec<X> {
        let room = self.room.lock();
        room.scheduler
            .queued()
            .map(|queued| look(&queued.submission.request, &WaitingEntry::of(&queued)))
            .collect()
    }

    /// Takes an entry out of the waiting room, or has it taken out where it is going.
    pub(crate) fn find_to_drop(&self, wanted: EntryId) -> ToDrop {
        let now = self.services.clock.monotonic();
        let mut room = self.room.lock();
        let waiting = room.scheduler.queued().find_map(|queued| {
            let entry = &queued.submission.request;
            (entry.id == wanted).then(|| {
                (
                    queued.id,
                    QueuedItem::in_inbox(entry, &WaitingEntry::of(&queued), now),
                )
            })
        });
        if let Some((id, item)) = waiting {
            return match room.scheduler.remove(id) {
                Some(scheduled) => {
                    room.left(&scheduled);
                    ToDrop::Taken(Box::new((item, scheduled.submission.request)))
                }
                None => ToDrop::Elsewhere,
            };
        }
        let on_its_way = room.running.values_mut().find_map(|running| match running {
            (entry, Running::Between(fate @ Fate::On)) if *entry == wanted => Some(fate),
            _ => None,
        });
        match on_its_way {
            Some(fate) => {
                let (told, hears) = oneshot::channel();
                *fate = Fate::Dropped(told);
                ToDrop::OnItsWay(hears)
            }
            None => ToDrop::Elsewhere,
        }
    }
}
