//! Promises of the whole that this crate keeps, where no other test shows them.

use crate::faults::{faulty, until};
use crate::world::World;
use futures::FutureExt;
use openclaw_concurrency::WorkerState;
use openclaw_core::testing::ManualClock;
use openclaw_core::{AccessTier, Clock, IncomingMessage};
use openclaw_gateway::Refusal;
use openclaw_gateway::ledger::{SpentBy, SpentQuery, day_of};
use openclaw_gateway::ports::{BeginTurn, NewEntry, TurnStore, UsageLedger};
use openclaw_memory::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_message_answered() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.hold("accept");
    let message = world.message("1", "hello");
    let mut call = Box::pin(world.gateway.receive(vec![message], None));
    until("the store has it in hand", async || {
        assert!((&mut call).now_or_never().is_none());
        faulty.store.is_held("accept")
    })
    .await;
    drop(call);
    faulty.store.let_go("accept");
    world.messenger.shows("1", &["echo: hello"]).await;
    until("its place is free", async || world.gateway.open_entries() == 0).await;
}

#[tokio::test]
async fn what_the_store_did_not_take_is_refused_and_takes_no_place() {
    let faulty = faulty(|config| config.max_open_entries = 1).await;
    let world = &faulty.world;
    faulty.store.refuse("accept", 1);
    let message = world.message("1", "hello");
    let refused = world.gateway.receive(vec![message.clone()], None).await;
    assert!(matches!(refused, Err(Refusal::Store(_))), "{refused:?}");
    assert_eq!(world.gateway.open_entries(), 0);
    // Sent again it is a first delivery.
    let taken = world.gateway.receive(vec![message], None).await.unwrap();
    assert!(!taken[0].duplicate);
    world.messenger.shows("1", &["echo: hello"]).await;
    assert_eq!(world.model.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_message_whose_turns_crashed_too_often_is_set_aside_with_words() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.gateway.pause();
    let message = world.message("1", "hello");
    let receipts = world.gateway.receive(vec![message], None).await.unwrap();
    for _ in 0..3 {
        let begin = BeginTurn {
            entry: receipts[0].entry,
            now: faulty.clock.now(),
            session_ttl: Duration::from_secs(60),
            reservation: None,
            max_attempts: 3,
        };
        faulty.store.begin_turn(begin).await.unwrap();
    }
    world.gateway.resume();
    let words =
        "Sorry, I failed to answer this message several times. It has been set aside for the operator.";
    world.messenger.shows("1", &[words]).await;
    until("it has its end", async || world.gateway.open_entries() == 0).await;
    assert_eq!(world.model.asked.lock().len(), 0);
}

fn entry(world: &World, message: IncomingMessage, received_at: openclaw_core::Timestamp) -> NewEntry {
    NewEntry {
        message,
        correlation_id: world.gateway.correlation_id(),
        tier_if_new: AccessTier::Free,
        received_at,
        repeats_after: None,
    }
}

#[tokio::test]
async fn after_a_restart_what_is_old_is_told_so_and_the_rest_is_answered_in_its_order() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::new());
    let turns = || Arc::clone(&store) as Arc<dyn TurnStore>;
    let before = World::on(
        Arc::clone(&store),
        turns(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        |_| {},
    )
    .await;
    let start = clock.now();
    let accepted_at = |minutes: u64| start + Duration::from_secs(60 * minutes);
    let entries = [("old", 0), ("first", 30), ("second", 31), ("third", 31)]
        .map(|(text, minutes)| entry(&before, before.message("1", text), accepted_at(minutes)));
    // As if the process had ended right after it accepted them.
    store.accept(entries.to_vec()).await.unwrap();
    drop(before);
    clock.advance(Duration::from_secs(61 * 60));
    let world = World::on(Arc::clone(&store), turns(), clock, |_| {}).await;
    let late =
        "Sorry, I was away and your message waited too long. Please send it again if it still matters.";
    let answers = ["echo: first", "echo: second", "echo: third"];
    let all = async {
        while world.gateway.open_entries() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::world::LONG, all).await.unwrap();
    let shown = world.messenger.texts("1");
    assert_eq!(shown.iter().filter(|text| *text == late).count(), 1, "{shown:?}");
    let answered: Vec<&String> = shown.iter().filter(|text| *text != late).collect();
    assert_eq!(answered, answers);
}

#[tokio::test]
async fn what_is_urgent_is_taken_first_and_nobody_waits_for_another_persons_flood() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.gateway.pause();
    for _ in 0..30 {
        world.say("1", "flood").await;
    }
    world.say("2", "quiet").await;
    for person in 10..20 {
        world.say(&person.to_string(), "hurried").await;
    }
    let urgent = world.message("3", "urgent");
    world
        .gateway
        .receive(vec![urgent], Some(AccessTier::Premium))
        .await
        .unwrap();
    // Each answer takes long enough for those handed over together to have asked.
    *world.model.gap.lock() = Duration::from_millis(20);
    world.gateway.resume();
    until("all are answered", async || world.gateway.open_entries() == 0).await;
    let asked: Vec<String> = world
        .model
        .asked
        .lock()
        .iter()
        .map(|request| request.messages.last().unwrap().joined_text())
        .collect();
    let place = |text: &str| asked.iter().position(|asked| asked == text).unwrap();
    // Workers run side by side: whoever was handed over first need not be the first to ask.
    assert!(place("urgent") < 4, "{asked:?}");
    assert!(place("urgent") < place("hurried"), "{asked:?}");
    assert!(place("quiet") < 7, "{asked:?}");
}

#[tokio::test]
async fn a_turn_cut_by_the_stop_of_the_server_is_run_again_as_if_it_had_not_begun() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    world.say("1", "hello").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let report = world.gateway.shut_down(Duration::from_secs(1)).await;
    assert_eq!(report.interrupted, 1);
    let left = world.store.reopened();
    let open = left.open_entries(None, 9).await.unwrap();
    assert_eq!((open.len(), open[0].attempts), (1, 0));
}

#[tokio::test]
async fn without_room_in_the_budget_no_model_is_asked() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    // Tokens the model reports count, however few were set aside for it.
    world.model.costs(9_900);
    world.say("1", "first").await;
    world.messenger.shows("1", &["echo: first"]).await;
    world.say("1", "second").await;
    until("it is refused", async || world.gateway.open_entries() == 0).await;
    let shown = world.messenger.texts("1");
    assert!(
        shown[1].starts_with(
            "Of your daily limit of 10\u{202f}000 tokens, 95 are left, and this message needs at least "
        ),
        "{shown:?}"
    );
    assert_eq!(world.model.asked.lock().len(), 1);
}

#[tokio::test]
async fn what_a_turn_has_spent_is_stored_later_when_its_end_could_not_be() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.refuse("commit_turn", 1);
    world.say("1", "hello").await;
    until("it is answered", async || world.gateway.open_entries() == 0).await;
    assert_eq!(world.model.asked.lock().len(), 2, "it was asked again");
    world.gateway.flush_usage().await.unwrap();
    let account = world.gateway.account_of(&world.message("1", "").tenant_id());
    let stored = faulty.store.usage(&account).await.unwrap().unwrap();
    assert_eq!((stored.used, stored.settled), (30, 2));
}

#[tokio::test]
async fn a_turn_whose_worker_broke_is_charged_what_it_asked_for() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.model.says(|_| panic!("as the test wants"));
    world.say("1", "hello").await;
    until("it has its end", async || world.gateway.open_entries() == 0).await;
    let tenant = world.message("1", "").tenant_id();
    let in_memory = world.gateway.usage(&tenant, AccessTier::Free).await.unwrap();
    let stored = faulty
        .store
        .usage(&world.gateway.account_of(&tenant))
        .await
        .unwrap();
    let stored = stored.map_or((0, 0), |stored| (stored.used, stored.settled));
    assert!(in_memory.used > 0);
    assert_eq!(stored, (in_memory.used, 1), "a restart knows it too");
}

#[tokio::test]
async fn a_turn_whose_worker_is_killed_while_the_disk_refuses_is_charged_once() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.hold("commit_turn");
    faulty.store.refuse("commit_turn", 1);
    world.say("1", "hello").await;
    until("it ends", async || faulty.store.is_held("commit_turn")).await;
    let workers = world.gateway.pool().workers();
    let busy = workers.iter().find(|worker| worker.state == WorkerState::Busy);
    world.gateway.pool().kill(busy.unwrap().id).unwrap();
    faulty.store.let_go("commit_turn");
    until("it has its end", async || world.gateway.open_entries() == 0).await;
    world.gateway.flush_usage().await.unwrap();
    let tenant = world.message("1", "").tenant_id();
    let account = world.gateway.account_of(&tenant);
    let stored = faulty.store.usage(&account).await.unwrap().unwrap();
    assert_eq!(
        (stored.used, stored.settled),
        (15, 1),
        "what the model said it cost"
    );
    let in_memory = world.gateway.usage(&tenant, AccessTier::Free).await.unwrap();
    assert_eq!(in_memory.used, 15);
    let query = SpentQuery {
        by: SpentBy::Tenant,
        since_day: 0,
        payer: None,
        limit: 9,
    };
    let spent = world.store.spent(query).await.unwrap();
    assert_eq!((spent[0].sums.calls, spent[0].sums.tokens()), (1, 15));
}

#[tokio::test]
async fn what_a_crash_is_charged_stands_in_the_ledger_under_its_model() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    world.say("1", "hello").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    let tenant = world.message("1", "").tenant_id();
    let after = world.store.reopened();
    let query = |by| SpentQuery {
        by,
        since_day: day_of(faulty.clock.now()),
        payer: Some(tenant.to_string()),
        limit: 9,
    };
    let spent = after.spent(query(SpentBy::Model)).await.unwrap();
    let account = world.gateway.account_of(&tenant);
    let charged = after.usage(&account).await.unwrap().unwrap();
    assert_eq!((spent.len(), spent[0].key.as_str()), (1, "test/test"));
    let sums = spent[0].sums;
    assert_eq!((sums.calls, sums.estimated_calls), (1, 1));
    assert!(charged.used > 0);
    assert_eq!(sums.tokens(), charged.used, "as much as the budget");
    assert_eq!(after.spent(query(SpentBy::Tier)).await.unwrap()[0].key, "free");
}

#[tokio::test]
async fn a_disk_that_refuses_for_long_is_no_crash_of_the_turn() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.refuse("commit_turn", 5);
    world.say("1", "hello").await;
    world.messenger.shows("1", &["echo: hello"]).await;
    until("it is answered", async || world.gateway.open_entries() == 0).await;
    assert_eq!(world.messenger.texts("1"), ["echo: hello"]);
    assert_eq!(faulty.store.left("commit_turn"), 0);
}
