//! One session's messages in the order they were accepted, commands among them.

use crate::faults::{faulty, until};
use openclaw_core::{IncomingMessage, Role};
use openclaw_gateway::ports::TurnStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn messages_of_many_calls_at_once_are_answered_in_the_order_they_were_accepted() {
    const PEOPLE: usize = 6;
    const MESSAGES: usize = 20;
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    faulty.store.scatter();
    let calls = (0..PEOPLE * MESSAGES).map(|number| {
        let person = (number % PEOPLE).to_string();
        let text = number.to_string();
        let message = world.message(&person, &text);
        async move {
            let receipts = world.gateway.receive(vec![message], None).await.unwrap();
            (receipts[0].entry, person, text)
        }
    });
    let mut accepted = futures::future::join_all(calls).await;
    until("all are answered", async || world.gateway.open_entries() == 0).await;
    accepted.sort();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, person, text) in accepted {
        expected.entry(person).or_default().push(format!("echo: {text}"));
    }
    for (person, texts) in expected {
        world
            .messenger
            .shows(&person, &texts.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
    }
}

/// The texts a model was told with this question.
fn told(asked: &[openclaw_ai_fabric::ChatRequest], question: &str) -> Vec<String> {
    let request = asked.iter().find(|request| {
        let last = request.messages.last().unwrap();
        last.role == Role::User && last.joined_text() == question
    });
    let request = request.unwrap_or_else(|| panic!("nobody was asked {question:?}"));
    request
        .messages
        .iter()
        .map(|message| message.joined_text())
        .collect()
}

#[tokio::test]
async fn what_is_written_after_new_is_told_nothing_of_the_old_conversation() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.say("1", "old").await;
    world.messenger.shows("1", &["echo: old"]).await;
    let over = "A new conversation. I no longer remember the earlier one.";

    // In one batch, with a store that needs its time for what the command does.
    faulty.store.slow("start_over", 50);
    let batch = ["/new", "question"].map(|text| world.message("1", text));
    world.gateway.receive(batch.to_vec(), None).await.unwrap();
    until("both are answered", async || world.gateway.open_entries() == 0).await;
    assert_eq!(told(&world.model.asked.lock(), "question"), ["question"]);
    world
        .messenger
        .shows("1", &["echo: old", over, "echo: question"])
        .await;

    // In calls at once, while the store does not take the end of the command at first.
    faulty.store.refuse("close", 2);
    let calls = ["/new", "again"].map(|text| {
        let message = world.message("1", text);
        world.gateway.receive(vec![message], None)
    });
    futures::future::try_join_all(calls).await.unwrap();
    until("both are answered", async || world.gateway.open_entries() == 0).await;
    assert_eq!(told(&world.model.asked.lock(), "again"), ["again"]);
    world.say("1", "more").await;
    until("it is answered", async || world.gateway.open_entries() == 0).await;
    assert_eq!(
        told(&world.model.asked.lock(), "more"),
        ["again", "echo: again", "more"],
        "the command was carried out before what came after it, and once"
    );
}

#[tokio::test]
async fn a_stop_waits_for_no_turn_and_reaches_what_waits_for_a_new_conversation() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    *world.model.gap.lock() = Duration::from_secs(1_000);
    world.say("1", "runs for long").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    faulty.store.hold("start_over");
    world.say("1", "/new").await;
    world.say("1", "waits for it").await;
    until("the store has the command in hand", async || {
        faulty.store.is_held("start_over")
    })
    .await;
    world.say("1", "/stop").await;
    world.messenger.shows("1", &["Stopped."]).await;
    faulty.store.let_go("start_over");
    until("everything has its end", async || {
        world.gateway.open_entries() == 0
    })
    .await;
    assert_eq!(world.model.asked.lock().len(), 1, "what waited was stopped");
}

#[tokio::test]
async fn of_a_command_that_no_stop_of_the_server_lets_end_nothing_after_it_is_answered() {
    let faulty = faulty(|_| {}).await;
    let world = &faulty.world;
    world.say("1", "old").await;
    world.messenger.shows("1", &["echo: old"]).await;
    faulty.store.refuse("close", u32::MAX);
    let batch: Vec<IncomingMessage> = ["/new", "question"].map(|text| world.message("1", text)).to_vec();
    world.gateway.receive(batch, None).await.unwrap();
    until("the store has refused the end", async || {
        faulty.store.left("close") < u32::MAX
    })
    .await;
    let store = Arc::clone(&faulty.store);
    let open = store.open_entries(None, 9).await.unwrap();
    world.gateway.shut_down(Duration::from_secs(20)).await;
    assert_eq!(open.len(), 2, "both are carried out by the next process");
    assert_eq!(world.model.asked.lock().len(), 1);
}
