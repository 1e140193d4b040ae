//! What the durable store promises, from outside.

mod contract;
mod crash;
mod opening;
mod refusing;

use openclaw_core::Timestamp;
use openclaw_sqlite::{SqliteOptions, SqliteStore};
use std::path::Path;

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, SqliteOptions::default(), Timestamp::from_millis(0)).expect("a store")
}
