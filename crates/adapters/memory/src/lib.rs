//! Everything the platform stores, in memory.
//!
//! A real implementation of every store port, for tests, embedders and `--storage memory`: one lock around one state,
//! so that each method is one step. Nothing survives the process; [`MemoryStore::reopened`] shows what a durable store
//! would find after a crash.
//!
//! ```
//! use openclaw_gateway::ports::{MetaStore, TurnStore};
//! use openclaw_memory::MemoryStore;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = MemoryStore::new();
//! store.put_meta("telegram.offset", "17").await?;
//! assert_eq!(store.get_meta("telegram.offset").await?.as_deref(), Some("17"));
//! assert_eq!(store.depths().await?.inbox_open, 0);
//! # Ok::<(), openclaw_gateway::ports::StoreError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: [`MemoryStore`] here, then `state` (the rows), `turn` (inbox, session, history, budget, outbox),
//! `directory` (tenants), `keys` (API keys, remembered values).
//!
//! What grows is bounded by what is swept ([`TurnStore::sweep`]); nothing is dropped by itself.
//!
//! [`TurnStore::sweep`]: openclaw_gateway::ports::TurnStore::sweep

#![forbid(unsafe_code)]

mod directory;
mod feedback;
mod keys;
mod ledger;
mod state;
mod turn;

use openclaw_gateway::ports::{Recovery, StoreError};
use parking_lot::{Mutex, MutexGuard};
use state::State;
use std::fmt;

/// All stores in one, in memory.
pub struct MemoryStore {
    /// Held for one method, never across an await.
    state: Mutex<State>,
    recovery: Recovery,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            recovery: Recovery::default(),
        }
    }

    /// The store as a process started after a crash of this one would find it: running turns are interrupted, their
    /// reservations settled at the input estimate. This store takes no further calls.
    pub fn reopened(&self) -> Self {
        let mut old = self.state.lock();
        let mut state = std::mem::take(&mut *old);
        old.closed = true;
        state.closed = false;
        let recovery = state.recover();
        Self {
            state: Mutex::new(state),
            recovery,
        }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock();
        if state.closed {
            return Err(StoreError::Unavailable {
                reason: "the store is closed".into(),
            });
        }
        Ok(state)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Without texts: numbers only.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemoryStore")
            .field("tenants", &state.tenants.len())
            .field("entries", &state.inbox.len())
            .field("outbox", &state.outbox.len())
            .finish()
    }
}
