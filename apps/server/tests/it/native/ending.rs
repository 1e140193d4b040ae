//! Answers that are stopped, chats that are erased, a server that ends.

use super::{Person, assert_problem, data, shown, words};
use crate::setup::{LONG, api_world, word_by_word};
use openclaw_testkit::Answer;
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn stopping_ends_the_answer_and_keeps_what_was_said() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let stop = async || {
        person
            .request("POST", &format!("/api/v1/chats/{chat}/stop"))
            .send()
            .await
            .unwrap()
    };
    assert_eq!(stop().await.status, 204, "there is nothing to stop");
    provider.script(Answer::pieces(words(10_000)).with_gap(Duration::from_millis(5)));
    let mut watch = person.watch(&chat).await;
    person.post(&chat, "talk").await;
    let mut events = watch.until("text.delta").await;
    assert_eq!(stop().await.status, 202);
    events.extend(watch.until("turn.finished").await);
    let end = data(events.last().unwrap());
    assert_eq!(end["finishReason"], "stopped");
    assert_eq!(end["text"].as_str(), Some(&*shown(&events)));
    let snapshot = person.messages(&chat).await;
    assert_eq!(snapshot["messages"][1]["text"], end["text"]);
    provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
}

/// Nothing of the answer has come, or the message only waits behind another: nothing was said that could show the stop.
#[tokio::test]
async fn a_message_stopped_before_any_text_is_marked_in_what_is_read_later() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let hold = provider.hold();
    let mut watch = person.watch(&chat).await;
    let first = person.post(&chat, "talk").await;
    provider
        .wait_until(LONG, |stats| stats.in_flight == 1)
        .await
        .unwrap();
    let second = person.post(&chat, "and then?").await;
    let stop = person.request("POST", &format!("/api/v1/chats/{chat}/stop"));
    assert_eq!(stop.send().await.unwrap().status, 202);
    for _ in 0..2 {
        let events = watch.until("turn.finished").await;
        let end = data(events.last().unwrap());
        assert_eq!(
            (&end["finishReason"], &end["text"]),
            (&json!("stopped"), &json!(""))
        );
    }
    let snapshot = person.messages(&chat).await;
    let said: Vec<_> = snapshot["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let text = |name: &str| message[name].as_str().unwrap().to_owned();
            [text("turnId"), text("text"), text("unanswered")]
        })
        .collect();
    let expected = |turn: &str, text: &str| [turn, text, "stopped"].map(str::to_owned);
    assert_eq!(
        said,
        [
            expected(&first, "talk"),
            expected(&first, "Stopped."),
            expected(&second, "and then?"),
            expected(&second, "Stopped."),
        ],
        "{snapshot:#}"
    );
    drop(hold);
}

#[tokio::test]
async fn an_erased_chat_is_gone_with_its_streams_and_its_answer() {
    let (provider, server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    provider.script(Answer::pieces(words(10_000)).with_gap(Duration::from_millis(5)));
    let mut watch = person.watch(&chat).await;
    person.post(&chat, "talk").await;
    watch.until("text.delta").await;
    let path = format!("/api/v1/chats/{chat}");
    assert_eq!(person.request("DELETE", &path).send().await.unwrap().status, 204);
    while watch.next().await.is_some() {}
    provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
    assert_problem(&person.get(&format!("{path}/messages")).await, 404, "NOT_FOUND");
    assert_problem(&person.try_post(&chat, "still there?").await, 404, "NOT_FOUND");
    assert_problem(
        &person.request("DELETE", &path).send().await.unwrap(),
        404,
        "NOT_FOUND",
    );
    assert_eq!(
        person.get("/api/v1/chats").await.json().unwrap()["chats"],
        json!([])
    );
    assert!(
        !server.log().contains("\"level\":\"ERROR\"") && !server.log().contains(" ERROR "),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn posts_at_the_moment_of_erasing_do_not_bring_a_chat_back() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    for _ in 0..10 {
        let chat = person.open().await;
        let posts: Vec<_> = (0..6)
            .map(|number| {
                let (person, chat) = (person.clone(), chat.clone());
                tokio::spawn(async move {
                    person
                        .try_post(&chat, &format!("hi {number}"))
                        .await
                        .status
                        .as_u16()
                })
            })
            .collect();
        let path = format!("/api/v1/chats/{chat}");
        let erased = person.request("DELETE", &path).send().await.unwrap();
        assert_eq!(erased.status, 204, "{}", erased.text());
        for post in posts {
            assert!(matches!(post.await.unwrap(), 202 | 404));
        }
        assert_problem(&person.get(&format!("{path}/messages")).await, 404, "NOT_FOUND");
        assert_eq!(
            person.get("/api/v1/chats").await.json().unwrap()["chats"],
            json!([])
        );
    }
}

#[tokio::test]
async fn a_stop_of_the_server_lets_an_answer_end_and_closes_every_stream_cleanly() {
    let (provider, mut server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let (idle, busy) = (person.open().await, person.open().await);
    let (mut idle_watch, mut busy_watch) = (person.watch(&idle).await, person.watch(&busy).await);
    let words = words(60);
    provider.script(Answer::pieces(words.clone()).with_gap(Duration::from_millis(20)));
    person.post(&busy, "talk").await;
    let mut events = busy_watch.until("text.delta").await;
    server.signal(Signal::TERM).unwrap();
    assert_eq!(idle_watch.next().await, None);
    events.extend(busy_watch.until("turn.finished").await);
    assert_eq!(shown(&events), words.concat());
    assert_eq!(busy_watch.next().await, None);
    assert!(server.wait(LONG).await.unwrap().success());
}
