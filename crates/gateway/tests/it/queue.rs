//! An operator takes a message out of the queue, wherever it is.

use crate::faults::{Faulty, faulty, until};
use crate::world::World;
use openclaw_concurrency::RequestError;
use openclaw_core::{CodedError, Language};
use openclaw_gateway::ports::EntryId;
use openclaw_gateway::{QueueId, QueuePlace};
use std::time::Duration;

/// A message that the store let not begin: for a moment it is neither in the inbox nor in the pool.
async fn between_two_places(faulty: &Faulty, text: &str) -> QueueId {
    faulty.store.refuse("begin_turn", 1);
    let message = faulty.world.message("1", text);
    let receipts = faulty.world.gateway.receive(vec![message], None).await.unwrap();
    until("the store has refused", async || {
        faulty.store.left("begin_turn") == 0
    })
    .await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    QueueId::Turn(receipts[0].entry)
}

#[tokio::test]
async fn a_message_put_back_for_a_moment_can_be_dropped_in_that_moment() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    let id = between_two_places(&faulty, "not any more").await;
    assert!(world.gateway.queue().is_empty(), "it is in neither place");
    let dropped = world.gateway.drop_queued(id).await.unwrap().unwrap();
    assert_eq!((dropped.id, dropped.place), (id, QueuePlace::Inbox));
    assert!(world.gateway.drop_queued(id).await.unwrap().is_none(), "once");
    world.say("1", "this").await;
    until("every place is free", async || world.gateway.open_entries() == 0).await;
    let words = RequestError::Dropped.user_message(Language::En);
    world.messenger.shows("1", &[&words, "echo: this"]).await;
    assert_eq!(world.model.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_drop_on_the_way_that_the_stop_of_the_server_overtakes_is_not_told_as_one() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    let id = between_two_places(&faulty, "hello").await;
    let dropping = world.gateway.drop_queued(id);
    let (refused, _) = tokio::join!(dropping, world.gateway.shut_down(Duration::ZERO));
    refused.unwrap_err();
}

/// While the waiting room empties into the pool, everything that no worker has begun is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drop_misses_nothing_that_moves_from_the_inbox_into_the_pool() {
    const MESSAGES: usize = 40;
    for _ in 0..10 {
        let world = World::new().await;
        // What a worker begins it keeps.
        *world.model.gap.lock() = Duration::from_secs(1_000);
        world.gateway.pause();
        let mut ids = Vec::new();
        for number in 0..MESSAGES {
            let message = world.message(&number.to_string(), "hello");
            let receipts = world.gateway.receive(vec![message], None).await.unwrap();
            ids.push(receipts[0].entry);
        }
        let drops = ids.iter().map(|id: &EntryId| {
            let (gateway, id) = (world.gateway.clone(), QueueId::Turn(*id));
            tokio::spawn(async move { gateway.drop_queued(id).await.unwrap().is_some() })
        });
        let drops: Vec<_> = drops.collect();
        let gateway = world.gateway.clone();
        let resumed = tokio::spawn(async move { gateway.resume() });
        let mut kept = 0;
        for dropped in drops {
            kept += usize::from(!dropped.await.unwrap());
        }
        resumed.await.unwrap();
        let begun = world.gateway.pool().metrics().active_workers;
        assert_eq!(kept, begun, "what was not dropped runs");
        world.gateway.shut_down(Duration::ZERO).await;
    }
}
