//! What the pool and the worker's task hold of a child together: its process group while it may be signalled, the
//! order to kill, the memory last seen.

use openclaw_concurrency::MemoryInUse;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// One worker's leash. Children come and go on it; once killed it holds none ever again.
#[derive(Debug)]
pub(crate) struct Leash {
    /// Held for one signal, so that a group is never signalled after its leader was reaped and its number is free for
    /// others.
    state: Mutex<Tied>,
    ordered: Notify,
    /// Kilobytes, or [`UNREADABLE`].
    memory_kb: AtomicU64,
}

#[derive(Debug, Default)]
struct Tied {
    group: Option<Pid>,
    killed: bool,
}

/// No child, or its memory cannot be read.
const UNREADABLE: u64 = u64::MAX;

impl Leash {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            ordered: Notify::new(),
            memory_kb: AtomicU64::new(UNREADABLE),
        }
    }

    /// Ties a new child's group. If the order to kill came before, the group is ended at once.
    pub(crate) fn tie(&self, group: Pid) {
        let mut tied = self.state.lock();
        tied.group = Some(group);
        if tied.killed {
            end(group, Signal::KILL);
        }
    }

    /// Ends what is left of the group and lets go of it. Must come before its leader is reaped.
    pub(crate) fn untie(&self) {
        let mut tied = self.state.lock();
        if let Some(group) = tied.group.take() {
            end(group, Signal::KILL);
        }
        self.memory_kb.store(UNREADABLE, Ordering::Release);
    }

    /// Sends a signal to the whole group, if there is one.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.state.lock().group {
            end(group, signal);
        }
    }

    /// Ends the group now, and every one that comes after it.
    pub(crate) fn kill(&self) {
        {
            let mut tied = self.state.lock();
            tied.killed = true;
            if let Some(group) = tied.group {
                end(group, Signal::KILL);
            }
        }
        self.ordered.notify_one();
    }

    /// Ends when the order to kill has come.
    pub(crate) async fn killed(&self) {
        while !self.state.lock().killed {
            // The permit of `notify_one` stays, so that an order between the question and the wait is not missed.
            self.ordered.notified().await;
        }
    }

    pub(crate) fn saw_memory(&self, kb: Option<u64>) {
        self.memory_kb.store(kb.unwrap_or(UNREADABLE), Ordering::Release);
    }

    pub(crate) fn memory(&self) -> MemoryInUse {
        match self.memory_kb.load(Ordering::Acquire) {
            UNREADABLE => MemoryInUse::Unreadable,
            kb => MemoryInUse::Megabytes(kb / 1024),
        }
    }
}

fn end(group: Pid, signal: Signal) {
    // The group is gone already, or consists of processes that have ended: nothing is left to do.
    if let Err(error) = kill_process_group(group, signal) {
        tracing::trace!(%error, ?group, "no process took the signal");
    }
}
