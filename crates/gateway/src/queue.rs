//! The operator's hand on what waits: seen as one queue, stopped, let go on, and taken out of.
//!
//! A message waits first in the waiting room, as an entry of the inbox, then in the pool; a stateless call waits in the
//! pool only. To an operator that is one queue.

use crate::admission::{Admission, Dropped, ToDrop};
use crate::error::Refusal;
use crate::feed::turn_id;
use crate::gateway::Gateway;
use crate::job::Job;
use crate::ports::{EntryId, OpenEntry, Outcome, StoreError};
use openclaw_concurrency::{Priority, Queued, RequestError, Submission, Waiting};
use openclaw_core::{AccessTier, CodedError, CorrelationId, Monotonic};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What an operator calls something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueId {
    /// A message: `turn_12`, as its chat's events name it.
    Turn(EntryId),
    /// A stateless call: `call_7`, by its number in the pool.
    Call(u64),
}

/// Where something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// In the inbox, for a place in the pool.
    Inbox,
    /// In the pool, for a worker.
    Pool,
}

/// Something that waits for a worker.
#[derive(Clone, Debug)]
pub struct QueuedItem {
    /// What it is called.
    pub id: QueueId,
    /// What it is found by.
    pub correlation_id: Option<CorrelationId>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// What its tenant has been granted.
    pub tier: AccessTier,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it waits.
    pub place: QueuePlace,
    /// Whether only a worker is missing. Otherwise it waits for the message before it in the same conversation.
    pub ready: bool,
    /// For how long.
    pub waited: Duration,
}

// === impl QueueId ===

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(entry) => f.write_str(&turn_id(*entry)),
            Self::Call(number) => write!(f, "call_{number}"),
        }
    }
}

/// A text that names nothing that could wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected turn_N or call_N")]
pub struct QueueIdError;

impl FromStr for QueueId {
    type Err = QueueIdError;

    fn from_str(text: &str) -> Result<Self, QueueIdError> {
        let (kind, number) = text.split_once('_').ok_or(QueueIdError)?;
        match kind {
            "turn" => number.parse().map(EntryId).map(Self::Turn),
            "call" => number.parse().map(Self::Call),
            _ => return Err(QueueIdError),
        }
        .map_err(|_| QueueIdError)
    }
}

// === impl QueuedItem ===

impl QueuedItem {
    pub(crate) fn in_inbox(entry: &OpenEntry, waiting: &WaitingEntry<'_>, now: Monotonic) -> Self {
        Self {
            id: QueueId::Turn(entry.id),
            correlation_id: Some(entry.correlation_id),
            tenant: Arc::clone(waiting.tenant),
            tier: entry.tenant.tier,
            priority: waiting.priority,
            place: QueuePlace::Inbox,
            ready: waiting.ready,
            waited: now.saturating_since(waiting.accepted_at),
        }
    }

    pub(crate) fn in_pool(waiting: &Waiting<'_, Job>, now: Monotonic) -> Self {
        let (id, tier) = match waiting.request {
            Job::Turn(turn) => (QueueId::Turn(turn.entry.id), turn.entry.tenant.tier),
            Job::Completion(call) => (QueueId::Call(waiting.number), call.request.tier),
        };
        Self {
            id,
            correlation_id: waiting.correlation_id,
            tenant: Arc::clone(waiting.tenant),
            tier,
            priority: waiting.priority,
            place: QueuePlace::Pool,
            ready: waiting.ready,
            waited: now.saturating_since(waiting.accepted_at),
        }
    }
}

/// An entry of the waiting room where it stands.
pub(crate) struct WaitingEntry<'a> {
    pub(crate) tenant: &'a Arc<str>,
    pub(crate) priority: Priority,
    pub(crate) accepted_at: Monotonic,
    pub(crate) ready: bool,
}

impl<'a> WaitingEntry<'a> {
    pub(crate) fn of(queued: &Queued<'a, OpenEntry>) -> Self {
        Self {
            tenant: &queued.submission.tenant,
            priority: queued.submission.priority,
            accepted_at: queued.submission.accepted_at,
            ready: queued.ready,
        }
    }

    /// The same of one that has just left it, or was about to come back.
    pub(crate) fn of_submission(submission: &'a Submission<OpenEntry>) -> Self {
        Self {
            tenant: &submission.tenant,
            priority: submission.priority,
            accepted_at: submission.accepted_at,
            ready: true,
        }
    }
}

impl Gateway {
    /// Everything that waits, the most urgent first, of one priority the oldest. A picture of a moment: what is on its
    /// way from the inbox into the pool may be missing. Its cost grows with what waits.
    pub fn queue(&self) -> Vec<QueuedItem> {
        self.admission().queue()
    }

    /// Takes something out of the queue: its person is told in words, its caller by an error. What a worker has begun is
    /// left alone. Gives what it was; `None` when nothing of that name waits. Ends when a message's end is in the store,
    /// so that no restart answers it after all; dropping the future abandons the wait, not the end.
    ///
    /// # Errors
    ///
    /// [`Refusal::Store`] when the end could not be stored before the server stopped: the message is answered after the
    /// next start.
    pub async fn drop_queued(&self, id: QueueId) -> Result<Option<QueuedItem>, Refusal> {
        // What a worker gave back between the two looks of one round is found by the next.
        for _ in 0..2 {
            if let QueueId::Turn(wanted) = id {
                match self.admission().find_to_drop(wanted) {
                    ToDrop::Taken(taken) => {
                        let (item, entry) = *taken;
                        let stored = self.admission().close_dropped(entry).await;
                        return Dropped { item, stored }.told().map(Some);
                    }
                    ToDrop::OnItsWay(hears) => {
                        // Nobody has ended it where it was going: the server stops.
                        let dropped = hears.await.map_err(|_| not_stored())?;
                        return dropped.map(Dropped::told).transpose();
                    }
                    ToDrop::Elsewhere => {}
                }
            }
            if let Some(dropped) = self.admission().drop_in_pool(id).await {
                return dropped.told().map(Some);
            }
        }
        Ok(None)
    }

    /// Hands nothing to workers from now on. Messages and calls are accepted as before and wait; what runs runs on. Not
    /// remembered over a restart. Whoever waits and reads a feed is told.
    pub fn pause(&self) {
        self.pool().pause();
        self.admission().tell_waiting();
    }

    /// Goes on where [`Gateway::pause`] stopped. Whoever still waits and reads a feed is told.
    pub fn resume(&self) {
        self.pool().resume();
        self.admission().feed();
        self.admission().tell_waiting();
    }
}

impl Admission {
    /// Ends an entry that an operator took out of the waiting room; whether its end is in the store.
    pub(crate) async fn close_dropped(self: &Arc<Self>, entry: OpenEntry) -> bool {
        let admission = Arc::clone(self);
        let ended = self.run(async move {
            let refusal = Refusal::Worker(RequestError::Dropped);
            let words = refusal.user_message(entry.message.language()).into_owned();
            admission
                .close_entry(&entry, Outcome::Refused, &words, Some(&refusal))
                .await
        });
        ended.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the end of a dropped entry was not reached");
            false
        })
    }
}

impl Dropped {
    fn told(self) -> Result<QueuedItem, Refusal> {
        if self.stored {
            Ok(self.item)
        } else {
            Err(not_stored())
        }
    }
}

fn not_stored() -> Refusal {
    Refusal::Store(StoreError::Unavailable {
        reason: "the server stopped before the end of a dropped message was stored".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        for id in [QueueId::Turn(EntryId(12)), QueueId::Call(7)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in [
            "", "turn", "turn_", "turn_x", "12", "call_-1", "other_1", "turn_1 ",
        ] {
            assert_eq!(wrong.parse::<QueueId>(), Err(QueueIdError), "{wrong:?}");
        }
    }
}
