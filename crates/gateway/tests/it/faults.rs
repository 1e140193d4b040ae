//! A store that refuses for a while, a model that breaks its worker, a rush on the last places.

use crate::faulty_store::FaultyStore;
use crate::world::World;
use futures::FutureExt;
use openclaw_ai_fabric::ChatRequest;
use openclaw_core::testing::ManualClock;
use openclaw_core::{AccessTier, ChatMessage, Clock, Language, Role};
use openclaw_gateway::ports::TurnStore;
use openclaw_gateway::{CompletionRequest, GatewayConfig, QueueId, QueuePlace, Refusal};
use openclaw_memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

pub(crate) struct Faulty {
    pub(crate) world: World,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) clock: Arc<ManualClock>,
    time: JoinHandle<()>,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.time.abort();
    }
}

/// A world whose time passes as fast as everything in it is done.
pub(crate) async fn faulty(change: impl FnOnce(&mut GatewayConfig)) -> Faulty {
    let clock = ManualClock::new();
    let memory = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(Arc::clone(&memory));
    let turns = Arc::clone(&store) as Arc<dyn TurnStore>;
    let world = World::on(memory, turns, Arc::clone(&clock) as Arc<dyn Clock>, change).await;
    let running = Arc::clone(&clock);
    let time = tokio::spawn(async move {
        loop {
            for _ in 0..40 {
                tokio::task::yield_now().await;
            }
            running.advance(Duration::from_millis(50));
        }
    });
    Faulty {
        world,
        store,
        clock,
        time,
    }
}

/// Waits, in turns of all tasks, until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
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

/// A stateless call whose usage of 15 tokens is settled and, with so long an interval, waits to be stored.
async fn called() -> Faulty {
    let faulty = faulty(|config| config.usage_flush_interval = Duration::from_secs(1_000_000)).await;
    call(&faulty).await;
    faulty.store.hold_usage(true);
    faulty
}

async fn call(faulty: &Faulty) {
    let gateway = &faulty.world.gateway;
    let mut answer = gateway
        .complete(CompletionRequest {
            tenant: "api:alice:default".parse().unwrap(),
            tier: AccessTier::Standard,
            model: None,
            chat: ChatRequest::new(vec![ChatMessage::text(Role::User, "hello")], 100),
            correlation_id: gateway.correlation_id(),
            language: Language::En,
        })
        .unwrap();
    while answer.next().await.is_some() {}
}

async fn stored_usage(faulty: &Faulty) -> Option<u64> {
    let stored = faulty.store.usage("user:api:alice").await.unwrap();
    stored.map(|usage| usage.used)
}

#[tokio::test]
async fn usage_is_not_lost_with_whoever_asked_for_it_to_be_stored() {
    let faulty = called().await;
    let mut asked = Box::pin(faulty.world.gateway.flush_usage());
    until("the store has it in hand", async || {
        assert!((&mut asked).now_or_never().is_none());
        faulty.store.held_up() == 1
    })
    .await;
    drop(asked);
    faulty.store.hold_usage(false);
    until("the usage is stored", async || {
        stored_usage(&faulty).await == Some(15)
    })
    .await;
}

#[tokio::test]
async fn usage_on_its_way_to_the_store_at_the_stop_arrives() {
    let faulty = faulty(|_| {}).await;
    faulty.store.hold_usage(true);
    call(&faulty).await;
    until("the store has it in hand", async || faulty.store.held_up() == 1).await;
    let mut stopping = Box::pin(faulty.world.gateway.shut_down(Duration::from_secs(1)));
    for _ in 0..200 {
        assert!((&mut stopping).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    faulty.store.hold_usage(false);
    stopping.await;
    assert_eq!(faulty.store.stored_tokens(), 15);
}

#[tokio::test]
async fn usage_that_could_not_be_stored_is_stored_with_the_next() {
    let faulty = called().await;
    faulty.store.hold_usage(false);
    faulty.store.refuse("add_usage", 1);
    faulty.world.gateway.flush_usage().await.unwrap_err();
    assert_eq!(stored_usage(&faulty).await, None);
    faulty.world.gateway.flush_usage().await.unwrap();
    let stored = faulty.store.usage("user:api:alice").await.unwrap().unwrap();
    assert_eq!((stored.used, stored.settled), (15, 1));
    faulty.world.gateway.flush_usage().await.unwrap();
    assert_eq!(stored_usage(&faulty).await, Some(15), "and once");
}

#[tokio::test]
async fn usage_that_could_not_be_stored_does_not_come_back_after_a_budget_was_started_over() {
    let faulty = called().await;
    faulty.store.refuse("add_usage", 1);
    let mut flushing = Box::pin(faulty.world.gateway.flush_usage());
    let mut resetting = Box::pin(faulty.world.gateway.reset_budget("user:api:alice"));
    until("the store has it in hand", async || {
        assert!((&mut flushing).now_or_never().is_none());
        faulty.store.held_up() == 1
    })
    .await;
    for _ in 0..200 {
        assert!((&mut resetting).now_or_never().is_none(), "it waits its turn");
        tokio::task::yield_now().await;
    }
    faulty.store.hold_usage(false);
    flushing.await.unwrap_err();
    resetting.await.unwrap();
    faulty.world.gateway.flush_usage().await.unwrap();
    assert_eq!(stored_usage(&faulty).await, Some(0));
}

#[tokio::test]
async fn what_was_dropped_from_the_pool_has_its_end_in_the_store_when_the_operator_is_told() {
    let faulty = faulty(|_| {}).await;
    let gateway = &faulty.world.gateway;
    // All workers are busy for long, and one more message waits for one of them in the pool.
    *faulty.world.model.gap.lock() = Duration::from_secs(60);
    let mut queued = Vec::new();
    let mut person = 0;
    while queued.is_empty() {
        person += 1;
        faulty.world.say(&person.to_string(), "hello").await;
        queued = gateway.queue();
    }
    let item = &queued[0];
    assert_eq!(item.place, QueuePlace::Pool);
    faulty.store.refuse("close", 2);
    let dropped = gateway.drop_queued(item.id).await.unwrap().unwrap();
    assert_eq!(dropped.id, item.id);
    assert_eq!(faulty.store.left("close"), 0);
    let QueueId::Turn(entry) = item.id else {
        panic!("{item:?}");
    };
    let open = faulty.store.open_entries(None, 100).await.unwrap();
    assert!(
        open.iter().all(|open| open.id != entry),
        "a restart would answer it"
    );
}

#[tokio::test]
async fn a_drop_that_the_store_did_not_take_before_the_stop_is_not_told_as_one() {
    let faulty = faulty(|_| {}).await;
    let gateway = &faulty.world.gateway;
    gateway.pause();
    faulty.world.say("1", "hello").await;
    let item = gateway.queue().remove(0);
    assert_eq!(item.place, QueuePlace::Inbox);
    faulty.store.refuse("close", u32::MAX);
    let mut dropping = Box::pin(gateway.drop_queued(item.id));
    until("the store has refused", async || {
        assert!((&mut dropping).now_or_never().is_none());
        faulty.store.left("close") < u32::MAX
    })
    .await;
    let (refused, _) = tokio::join!(dropping, gateway.shut_down(Duration::ZERO));
    assert!(matches!(refused, Err(Refusal::Store(_))), "{refused:?}");
}

#[tokio::test]
async fn a_stop_ends_nothing_that_was_written_after_it() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    let batch = ["/stop", "a question"].map(|text| world.message("1", text));
    world.gateway.receive(batch.to_vec(), None).await.unwrap();
    until("both are answered", async || {
        world.messenger.texts("1").len() == 2
    })
    .await;
    let mut texts = world.messenger.texts("1");
    texts.sort();
    assert_eq!(texts, ["There is nothing to stop.", "echo: a question"]);

    // What runs and what waits is stopped, and only that.
    *world.model.gap.lock() = Duration::from_secs(1_000);
    world.say("2", "runs").await;
    until("it runs", async || world.model.asked.lock().len() == 2).await;
    *world.model.gap.lock() = Duration::ZERO;
    let batch = ["waits", "/stop", "after it"].map(|text| world.message("2", text));
    world.gateway.receive(batch.to_vec(), None).await.unwrap();
    let expected = ["Stopped.", "echo: after it"];
    until("the rest is answered", async || {
        world.messenger.texts("2") == expected
    })
    .await;
    until("every place is free", async || world.gateway.open_entries() == 0).await;
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

#[tokio::test]
async fn a_turn_that_ends_after_its_budget_was_started_over_counts_nowhere() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(2);
    world.say("1", "one two three").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let tenant = world.message("1", "").tenant_id();
    let account = world.gateway.account_of(&tenant);
    world.gateway.reset_budget(&account).await.unwrap();
    until("it has ended", async || world.gateway.open_entries() == 0).await;
    let in_memory = world.gateway.usage(&tenant, AccessTier::Free).await.unwrap();
    assert_eq!((in_memory.used, in_memory.reserved), (0, 0));
    let stored = faulty.store.usage(&account).await.unwrap().unwrap();
    assert_eq!(
        (stored.used, stored.settled),
        (0, 0),
        "a restart would believe it"
    );
    world.say("1", "after it").await;
    until("it is answered", async || world.gateway.open_entries() == 0).await;
    let stored = faulty.store.usage(&account).await.unwrap().unwrap();
    assert_eq!((stored.used, stored.settled), (15, 1));
}
