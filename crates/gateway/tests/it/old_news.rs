//! What the store said of a budget is not believed once somebody else has spent of it.

use crate::faulty_store::FaultyStore;
use crate::world::World;
use openclaw_core::testing::ManualClock;
use openclaw_core::{AccessTier, Clock, TenantId};
use openclaw_gateway::ports::TurnStore;
use openclaw_memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_budget_spent_and_forgotten_while_somebody_reads_what_the_store_knows_is_not_as_good_as_new() {
    let store = Arc::new(MemoryStore::new());
    let faulty = FaultyStore::new(Arc::clone(&store));
    let clock = ManualClock::new();
    let world = World::on(
        store,
        Arc::clone(&faulty) as Arc<dyn TurnStore>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        |_| {},
    )
    .await;
    let tenant: TenantId = "telegram:1:1".parse().unwrap();
    faulty.hold("usage");
    let slow = tokio::spawn({
        let (gateway, tenant) = (world.gateway.clone(), tenant.clone());
        async move { gateway.usage(&tenant, AccessTier::Free).await.unwrap() }
    });
    while !faulty.is_held("usage") {
        tokio::task::yield_now().await;
    }
    world.say("1", "hello").await;
    while world.gateway.open_entries() > 0 {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    let spent = world.gateway.usage(&tenant, AccessTier::Free).await.unwrap().used;
    assert!(spent > 0);
    // Long enough for whoever is idle to be forgotten.
    for _ in 0..120 {
        clock.advance(Duration::from_secs(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    faulty.let_go("usage");
    assert_eq!(slow.await.unwrap().used, spent);
    let now = world.gateway.usage(&tenant, AccessTier::Free).await.unwrap();
    assert_eq!(now.used, spent);
    world.gateway.shut_down(Duration::ZERO).await;
}
