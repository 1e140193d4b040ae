//! The in-memory store keeps the contract of the store ports.

use async_trait::async_trait;
use openclaw_gateway::contract::{Store, StoreUnderTest};
use openclaw_memory::MemoryStore;

struct InMemory(MemoryStore);

#[async_trait]
impl StoreUnderTest for InMemory {
    async fn fresh() -> Self {
        Self(MemoryStore::new())
    }

    fn store(&self) -> &dyn Store {
        &self.0
    }

    async fn crash(self) -> Self {
        Self(self.0.reopened())
    }
}

openclaw_gateway::store_contract!(super::InMemory);
