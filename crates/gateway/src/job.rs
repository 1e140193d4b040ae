//! What the pool's workers are given, and what is known of a turn from outside its worker.

use crate::completion::CompletionJob;
use crate::ports::{Fence, OpenEntry};
use openclaw_ai_fabric::{ModelDefinition, Reservation, TextMeter};
use openclaw_core::MessageId;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::SetOnce;

/// A piece of work for a worker.
#[derive(Debug)]
pub enum Job {
    /// Answer a message of the inbox.
    Turn(TurnJob),
    /// Answer a stateless call.
    Completion(CompletionJob),
}

/// A turn to be run.
#[derive(Clone, Debug)]
pub struct TurnJob {
    pub(crate) entry: Arc<OpenEntry>,
    pub(crate) progress: Arc<TurnProgress>,
}

/// How a worker ended a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// The entry has its end, or the caller its answer.
    Ended,
    /// Nothing could be stored: the entry is as it was and is run again.
    NotStored,
}

/// How far a turn has come. Its worker writes it; whoever must end the turn when the worker is gone reads it.
#[derive(Debug, Default)]
pub(crate) struct TurnProgress {
    state: Mutex<Progress>,
    /// Held while something is being shown in the chat.
    acting: Arc<tokio::sync::Mutex<()>>,
    /// Set when an operator has taken the turn out of the pool: whether its end is in the store.
    dropped: SetOnce<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The right to write the turn's results, from `begin_turn` until somebody ends the turn.
    pub(crate) fence: Option<Fence>,
    /// The right of a turn whose end the store refused. Its reservation is still in the store, though what it has cost
    /// is settled.
    pub(crate) refused: Option<Fence>,
    /// Of the turn's session.
    pub(crate) generation: Option<u64>,
    /// What the turn may spend. Settled by whoever ends it.
    pub(crate) reservation: Option<Reservation>,
    /// The model that was chosen, which is charged for what nobody has heard the end of.
    pub(crate) asked: Option<Arc<ModelDefinition>>,
    /// What the model has said so far, counted.
    pub(crate) said: TextMeter,
    /// Messages of the reply that stand in the chat: part and id.
    pub(crate) shown: Vec<(u32, MessageId)>,
}

/// The right and the duty to end a turn.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) fence: Fence,
    pub(crate) generation: Option<u64>,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) asked: Option<Arc<ModelDefinition>>,
    pub(crate) said: TextMeter,
    pub(crate) shown: Vec<(u32, MessageId)>,
}

// === impl TurnJob ===

impl TurnJob {
    pub(crate) fn new(entry: OpenEntry) -> Self {
        Self {
            entry: Arc::new(entry),
            progress: Arc::default(),
        }
    }
}

// === impl TurnProgress ===

impl TurnProgress {
    /// Held for as long as something is being shown in the chat.
    pub(crate) fn acting(
        self: Arc<Self>,
    ) -> impl Future<Output = tokio::sync::OwnedMutexGuard<()>> + Send + 'static {
        Arc::clone(&self.acting).lock_owned()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state.lock());
    }

    /// Looks at how far the turn has come.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Progress) -> T) -> T {
        look(&self.state.lock())
    }

    /// The turn was taken out of the pool, and its end is in the store or is not going to be.
    pub(crate) fn was_dropped(&self, stored: bool) {
        // Nobody is dropped twice.
        self.dropped.set(stored).ok();
    }

    /// Waits for the end of a turn that was taken out of the pool: whether it is in the store.
    pub(crate) async fn drop_stored(&self) -> bool {
        *self.dropped.wait().await
    }

    /// Takes the right to end the turn. Whoever gets it ends the turn; everybody after gets `None`.
    pub(crate) fn end(&self) -> Option<Ending> {
        let mut state = self.state.lock();
        let fence = state.fence.take()?;
        Some(Ending {
            fence,
            generation: state.generation,
            reservation: state.reservation.take(),
            asked: state.asked.take(),
            said: std::mem::take(&mut state.said),
            // Not taken: when the end cannot be stored, the next turn of the entry must know what stands in the chat.
            shown: state.shown.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_ends_a_turn_and_what_was_shown_stays_known() {
        let progress = TurnProgress::default();
        assert!(progress.end().is_none(), "it has not begun");
        let id = MessageId::parse("7").unwrap();
        progress.update(|progress| {
            progress.fence = Some(Fence(1));
            progress.generation = Some(3);
            progress.shown = vec![(0, id.clone())];
        });
        let ending = progress.end().unwrap();
        assert_eq!((ending.fence, ending.generation), (Fence(1), Some(3)));
        assert_eq!(ending.shown, [(0, id)]);
        assert!(progress.end().is_none(), "whoever comes after it is too late");
        assert_eq!(progress.read(|progress| progress.shown.len()), 1);
    }
}
