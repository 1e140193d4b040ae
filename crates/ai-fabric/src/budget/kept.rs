//! Accounts that somebody is about to use.

use super::Shared;
use std::fmt;
use std::sync::Arc;

/// Keeps an account in memory from before the store is asked for it until it is used. Dropped, it may be forgotten.
#[must_use = "an account is kept as long as this is"]
pub struct Kept {
    shared: Arc<Shared>,
    account: Arc<str>,
}

// === impl Kept ===

impl Kept {
    pub(super) fn new(shared: &Arc<Shared>, account: &str) -> Self {
        let account = Arc::from(account);
        shared.accounts.lock().keep(&account);
        Self {
            shared: Arc::clone(shared),
            account,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.accounts.lock().let_go(&self.account);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.account).finish()
    }
}
