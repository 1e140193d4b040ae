//! What each method does to the tables, inside the transaction of whoever calls it.

pub(crate) mod directory;
pub(crate) mod feedback;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod sweep;
pub(crate) mod turn;
