//! What the pool's workers are given, and what is known of a turn from outside its worker.

use crate::completion::CompletionJob;
use crate::ports::{Fence, OpenEntry};
use openclaw_ai_fabric::TextMeter;
use openclaw_core::MessageId;
use parking_lot::Mutex;
use std::sync::Arc;

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
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The right to write the turn's results, from `begin_turn` until it was used.
    pub(crate) fence: Option<Fence>,
    /// The budget the turn spends from and the window it reserved in.
    pub(crate) account: Option<(String, openclaw_core::Timestamp)>,
    /// What the request is estimated to cost.
    pub(crate) input_estimate: u64,
    /// What the model has said so far, counted.
    pub(crate) said: TextMeter,
    /// Messages of the reply that stand in the chat: part and id.
    pub(crate) shown: Vec<(u32, MessageId)>,
}

// === impl TurnJob ===

impl TurnJob {
    pub(crate) fn new(entry: OpenEntry) -> Self {
        Self { entry: Arc::new(entry), progress: Arc::default() }
    }
}

// === impl TurnProgress ===

impl TurnProgress {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state.lock());
    }

    /// Takes the right to end the turn. Whoever gets the fence ends it; everybody after gets `None`.
    pub(crate) fn take_fence(&self) -> Option<Fence> {
        self.state.lock().fence.take()
    }

    pub(crate) fn snapshot(&self) -> Progress {
        self.state.lock().clone()
    }
}
