//! A store that refuses for a while, a model that breaks its worker, a rush on the last places.

use crate::faulty_store::FaultyStore;
use crate::world::World;
use openclaw_core::Clock;
use openclaw_core::testing::ManualClock;
use openclaw_gateway::ports::TurnStore;
use openclaw_gateway::{GatewayConfig, Refusal};
use openclaw_memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

struct Faulty {
    world: World,
    store: Arc<FaultyStore>,
    time: JoinHandle<()>,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.time.abort();
    }
}

/// A world whose time passes as fast as everything in it is done.
async fn faulty(change: impl FnOnce(&mut GatewayConfig)) -> Faulty {
    let clock = ManualClock::new();
    let memory = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(Arc::clone(&memory));
    let turns = Arc::clone(&store) as Arc<dyn TurnStore>;
    let world = World::on(memory, turns, Arc::clone(&clock) as Arc<dyn Clock>, change).await;
    let time = tokio::spawn(async move {
        loop {
            for _ in 0..40 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_millis(50));
        }
    });
    Faulty { world, store, time }
}

/// Waits, in turns of all tasks, until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(crate::world::LONG, waiting).await.is_err() {
        panic!("it did not come to pass: {what}");
    }
}

#[tokio::test]
async fn a_turn_that_could_not_begin_stays_before_what_came_after_it() {
    let faulty = faulty(|_| {}).await;
    faulty.store.refuse("begin_turn", 2);
    for text in ["first", "second", "third"] {
        faulty.world.say("1", text).await;
    }
    let expected = ["echo: first", "echo: second", "echo: third"];
    faulty.world.messenger.shows("1", &expected).await;
    assert_eq!(faulty.world.model.asked.lock().len(), 3);
}

#[tokio::test]
async fn a_turn_run_again_edits_what_the_first_had_shown() {
    let faulty = faulty(|_| {}).await;
    *faulty.world.model.gap.lock() = Duration::from_millis(400);
    faulty.store.refuse("commit_turn", 1);
    faulty.world.say("1", "one two three four five six").await;
    until("the answer was not stored", async || {
        faulty.store.left("commit_turn") == 0
    })
    .await;
    assert_eq!(faulty.world.messenger.texts("1").len(), 1, "some of it was shown");
    until("it is asked again", async || {
        faulty.world.model.asked.lock().len() == 2
    })
    .await;
    faulty.world.say("1", "end").await;
    let expected = ["echo: one two three four five six", "echo: end"];
    faulty.world.messenger.shows("1", &expected).await;
}

#[tokio::test]
async fn the_end_of_a_command_is_stored_when_there_is_room_again() {
    let faulty = faulty(|_| {}).await;
    faulty.store.refuse("close", 3);
    faulty.world.say("1", "/stop").await;
    faulty
        .world
        .messenger
        .shows("1", &["There is nothing to stop."])
        .await;
    until("the place is free", async || {
        faulty.world.gateway.open_entries() == 0
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_recorded_when_there_is_room_again() {
    let faulty = faulty(|_| {}).await;
    faulty.store.refuse("record_delivery", 2);
    faulty.world.say("1", "hello").await;
    faulty.world.messenger.shows("1", &["echo: hello"]).await;
    until("nothing is to be delivered once more", async || {
        faulty.store.pending_outbox(None, 10).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(faulty.world.messenger.texts("1"), ["echo: hello"]);
}

#[tokio::test]
async fn a_turn_that_waits_for_the_store_can_be_stopped() {
    let faulty = faulty(|_| {}).await;
    faulty.store.refuse("begin_turn", 1);
    faulty.world.say("1", "not any more").await;
    until("the store has refused", async || {
        faulty.store.left("begin_turn") == 0
    })
    .await;
    faulty.world.say("1", "/stop").await;
    faulty.world.messenger.shows("1", &["Stopped."]).await;
    faulty.world.say("1", "this").await;
    faulty
        .world
        .messenger
        .shows("1", &["Stopped.", "echo: this"])
        .await;
    assert_eq!(faulty.world.model.asked.lock().len(), 1);
    until("every place is free", async || {
        faulty.world.gateway.open_entries() == 0
    })
    .await;
}

#[tokio::test]
async fn of_a_rush_only_as_many_are_taken_as_there_are_places() {
    let faulty = faulty(|config| config.max_open_entries = 3).await;
    let receive = |number: usize| {
        let message = faulty.world.message(&number.to_string(), "hello");
        faulty.world.gateway.receive(vec![message], None)
    };
    let taken = futures::future::join_all((0..10).map(receive)).await;
    let refused = |result: &Result<_, Refusal>| matches!(result, Err(Refusal::InboxFull { limit: 3 }));
    assert_eq!(taken.iter().filter(|result| result.is_ok()).count(), 3);
    assert_eq!(taken.iter().filter(|result| refused(result)).count(), 7);
    until("every place is free", async || {
        faulty.world.gateway.open_entries() == 0
    })
    .await;
    // A second delivery takes no place.
    let message = faulty.world.message("7", "hello");
    for _ in 0..5 {
        faulty
            .world
            .gateway
            .receive(vec![message.clone()], None)
            .await
            .unwrap();
    }
    until("every place is free", async || {
        faulty.world.gateway.open_entries() == 0
    })
    .await;
}

#[tokio::test]
async fn a_model_that_panics_takes_its_worker_and_nothing_else() {
    let faulty = faulty(|_| {}).await;
    faulty.world.model.says(|request| {
        let text = request.messages.last().unwrap().joined_text();
        assert_ne!(text, "break", "as the test wants");
        Ok(format!("echo: {text}"))
    });
    faulty.world.say("1", "break").await;
    let words = "Something went wrong while your request was being answered. Please try again.";
    faulty.world.messenger.shows("1", &[words]).await;
    faulty.world.say("1", "go on").await;
    faulty.world.say("2", "and I").await;
    faulty.world.messenger.shows("2", &["echo: and I"]).await;
    faulty.world.messenger.shows("1", &[words, "echo: go on"]).await;
    assert!(faulty.world.gateway.pool().metrics().total_errors >= 1);
}
