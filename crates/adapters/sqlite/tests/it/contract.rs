//! The contract of the store ports. A crash is a copy of the files as they lie, opened elsewhere.

use crate::crash::image;
use crate::open;
use async_trait::async_trait;
use openclaw_gateway::contract::{Store, StoreUnderTest};
use openclaw_sqlite::SqliteStore;
use tempfile::TempDir;

struct OnDisk {
    store: SqliteStore,
    dir: TempDir,
}

#[async_trait]
impl StoreUnderTest for OnDisk {
    async fn fresh() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self {
            store: open(dir.path()),
            dir,
        }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn crash(self) -> Self {
        let dir = image(self.dir.path());
        Self {
            store: open(dir.path()),
            dir,
        }
    }
}

openclaw_gateway::store_contract!(super::OnDisk);
