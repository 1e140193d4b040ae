//! Streams that are lost and picked up again.

use super::{Person, Watch, data, shown, words};
use crate::setup::{LONG, api_world, word_by_word};
use openclaw_testkit::{Answer, Gate};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_stream_cut_anywhere_goes_on_without_a_lost_or_doubled_word() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let words = words(30);
    for cut_after in [0, 1, 2, 7, 15, 29] {
        provider.script(Answer::pieces(words.clone()).with_gap(Duration::from_millis(4)));
        let chat = person.open().await;
        let mut watch = person.watch(&chat).await;
        person.post(&chat, "go on").await;
        let mut events = Vec::new();
        for _ in 0..cut_after {
            events.push(watch.next().await.unwrap());
        }
        let last_id = watch.last_id.clone();
        drop(watch);
        let mut watch = person.watch_from(&chat, Some(&last_id)).await;
        events.extend(watch.until("turn.finished").await);
        assert_eq!(shown(&events), words.concat(), "cut after {cut_after}");
        let started = events
            .iter()
            .filter(|event| event.event == "turn.started")
            .count();
        assert_eq!(started, 1, "cut after {cut_after}");
    }
}

#[tokio::test]
async fn a_snapshot_and_the_events_after_it_are_the_whole_answer() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let words = words(40);
    for wait_for in [1, 10, 25] {
        // Not over before the snapshot is taken, however long that takes.
        let gate = Gate::new();
        provider.script(
            Answer::pieces(words.clone())
                .with_gap(Duration::from_millis(4))
                .with_halt(30, &gate),
        );
        let chat = person.open().await;
        let mut watch = person.watch(&chat).await;
        let turn = person.post(&chat, "go on").await;
        for _ in 0..wait_for {
            watch.next().await.unwrap();
        }
        let snapshot = person.messages(&chat).await;
        gate.open();
        assert_eq!(snapshot["pending"], json!([{ "turnId": turn, "text": "go on" }]));
        assert_eq!(snapshot["messages"], json!([]));
        let live = snapshot["live"]["text"].as_str().unwrap().to_owned();
        let position = snapshot["lastEventId"].as_str().unwrap();
        let mut request = person.request(
            "GET",
            &format!("/api/v1/chats/{chat}/events?lastEventId={position}"),
        );
        request = request.within(LONG);
        let mut rest = Watch {
            reader: request.stream().await.unwrap(),
            last_id: "0".into(),
        };
        let events = rest.until("turn.finished").await;
        assert_eq!(live + &shown(&events), words.concat(), "after {wait_for} events");
    }
}

#[tokio::test]
async fn a_position_that_is_no_longer_held_gives_a_snapshot_and_what_follows() {
    let (_provider, mut server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    person.post(&chat, "remember me").await;
    watch.until("turn.finished").await;
    let last_id = watch.last_id.clone();
    drop(watch);
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let person = Person::with_key(&client);
    let mut watch = person.watch_from(&chat, Some(&last_id)).await;
    let reset = watch.next().await.unwrap();
    assert_eq!(reset.event, "reset");
    let snapshot = &data(&reset)["snapshot"];
    assert_eq!(snapshot["messages"][1]["text"], "echo: remember me");
    person.post(&chat, "and again").await;
    let events = watch.until("turn.finished").await;
    assert_eq!(data(events.last().unwrap())["text"], "echo: and again");
}
