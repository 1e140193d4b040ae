//! Whether the store takes writes, and the word that it never will again.

use openclaw_gateway::ports::StoreError;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Shared by the writer, who knows, and everyone who asks.
#[derive(Debug)]
pub(crate) struct Health {
    /// Held for a look or a change.
    state: Mutex<State>,
    failed: watch::Sender<Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Writable,
    /// Writes were refused by the database; tried again until one passes.
    Refusing(String),
    /// It is not known what is on the disk. For good.
    Failed(String),
    Closed,
}

// === impl Health ===

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Writable),
            failed: watch::Sender::new(None),
        }
    }

    /// Whether a write may be tried. A store that refuses is asked again by each write.
    pub(crate) fn may_try(&self) -> Result<(), StoreError> {
        match &*self.state.lock() {
            State::Writable | State::Refusing(_) => Ok(()),
            State::Failed(reason) => Err(unavailable(reason)),
            State::Closed => Err(unavailable("the store is closed")),
        }
    }

    /// Whether what was handed in may still be written; a store that is being closed writes what it has.
    pub(crate) fn may_write(&self) -> Result<(), String> {
        match &*self.state.lock() {
            State::Writable | State::Refusing(_) | State::Closed => Ok(()),
            State::Failed(reason) => Err(reason.clone()),
        }
    }

    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        match &*self.state.lock() {
            State::Writable => Ok(()),
            State::Refusing(reason) | State::Failed(reason) => Err(unavailable(reason)),
            State::Closed => Err(unavailable("the store is closed")),
        }
    }

    pub(crate) fn is_refusing(&self) -> bool {
        matches!(*self.state.lock(), State::Refusing(_))
    }

    pub(crate) fn wrote(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Refusing(_)) {
            tracing::info!("the store takes writes again");
            *state = State::Writable;
        }
    }

    pub(crate) fn refused(&self, reason: &str) {
        let mut state = self.state.lock();
        match *state {
            State::Writable => {
                tracing::error!(reason, "the store refuses writes");
                *state = State::Refusing(reason.to_owned());
            }
            State::Refusing(_) => *state = State::Refusing(reason.to_owned()),
            State::Failed(_) | State::Closed => {}
        }
    }

    pub(crate) fn failed(&self, reason: &str) {
        let mut state = self.state.lock();
        if !matches!(*state, State::Failed(_)) {
            tracing::error!(reason, "the store failed; it is unknown what is on the disk");
            *state = State::Failed(reason.to_owned());
        }
        drop(state);
        self.failed.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(reason.to_owned());
            }
            first
        });
    }

    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(*state, State::Failed(_)) {
            *state = State::Closed;
        }
    }

    /// Ends with the reason when the store has failed for good; else never.
    pub(crate) async fn wait_failed(&self) -> String {
        let mut failed = self.failed.subscribe();
        let reason = failed
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

pub(crate) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable {
        reason: reason.to_owned(),
    }
}
