//! Keeps memory in step with what goes on: whoever has been served and gone leaves nothing behind.
//!
//! Tables of people and chats grow with a crowd. Entries leave them when they are no longer needed; the room they took
//! would stay for ever, and what is only kept because it may be needed again soon would stay until the next newcomer.
//! This looks after both, every so often.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Time between two looks. A budget's account is kept in memory for one to two of them after its last use.
pub(crate) const EVERY: Duration = Duration::from_secs(30);
/// A table keeps room for so many entries, however few there are.
const KEPT_ROOM: usize = 256;

/// What the gateway holds in memory of people and chats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Budgets that were used lately or have something to be stored.
    pub accounts: Held,
    /// Chats whose outgoing limits are not at rest.
    pub paced_chats: Held,
    /// Chats of the page and the native API that somebody reads or that something happened in lately.
    pub feeds: Held,
    /// Chats with parts to be delivered.
    pub outbox_lanes: Held,
    /// Tenants with a turn under way.
    pub running: Held,
    /// Tenants with messages that wait.
    pub waiting: Held,
    /// Suspended tenants that were told so within the notice interval.
    pub notices: Held,
}

/// How many entries a table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Entries.
    pub entries: usize,
    /// Entries it has room for without asking for more memory.
    pub room: usize,
}

// === impl Remembered ===

impl Remembered {
    /// All tables with their names.
    pub fn tables(&self) -> [(&'static str, Held); 7] {
        [
            ("accounts", self.accounts),
            ("paced_chats", self.paced_chats),
            ("feeds", self.feeds),
            ("outbox_lanes", self.outbox_lanes),
            ("running", self.running),
            ("waiting", self.waiting),
            ("notices", self.notices),
        ]
    }
}

// === impl Held ===

impl Held {
    pub(crate) fn of<K, V>(table: &HashMap<K, V>) -> Self {
        Self {
            entries: table.len(),
            room: table.capacity(),
        }
    }
}

/// Gives back the room of entries that are gone, unless it is little.
pub(crate) fn shrink<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    table.shrink_to(table.len().saturating_mul(2).max(KEPT_ROOM));
}
