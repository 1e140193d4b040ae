//! The vocabulary of a chat's stream: every event that comes today, in the form that is described.
//!
//! `tool.started` and `tool.finished` are described and cannot come yet: no tool is called in a chat. `turn.failed` has a
//! table of its own (`errors::turns`), `reset` is met where streams are picked up again.

use super::{Person, data, shown};
use crate::setup::{LONG, api_world, word_by_word};
use openclaw_testkit::{Answer, End};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_stream_opens_with_the_pause_before_coming_back_and_with_its_position() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let chat = Person::with_key(&client).open().await;
    let mut line = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let key = server.api_key().unwrap();
    let head =
        format!("GET /api/v1/chats/{chat}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
    line.write_all(head.as_bytes()).await.unwrap();
    let mut got = String::new();
    let opening = async {
        while !got.contains("\n\n") {
            let mut piece = [0; 1024];
            let length = line.read(&mut piece).await.unwrap();
            assert!(length > 0, "{got}");
            got.push_str(&String::from_utf8_lossy(piece.get(..length).unwrap()));
        }
    };
    tokio::time::timeout(LONG, opening)
        .await
        .expect("it opens at once");
    let (_, body) = got
        .split_once("retry: 1000\nid: ")
        .unwrap_or_else(|| panic!("{got}"));
    let id = body.split('\n').next().unwrap();
    assert!(id.parse::<u64>().is_ok(), "{got}");
}

#[tokio::test]
async fn an_answer_that_begins_again_voids_what_was_shown() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    provider.script(Answer::pieces(["a ", "false ", "start"]).with_end(End::ErrorEventAfter(2)));
    provider.script(Answer::pieces(["the ", "answer"]));
    person.post(&chat, "begin").await;
    let events = watch.until("turn.finished").await;
    let names: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    let replaced = names.iter().position(|name| *name == "text.replace");
    let replaced = replaced.unwrap_or_else(|| panic!("{names:?}"));
    assert!(names[..replaced].contains(&"text.delta"), "{names:?}");
    assert_eq!(data(&events[replaced])["text"], "", "nothing of it stays");
    assert_eq!(shown(&events), "the answer");
    assert_eq!(data(events.last().unwrap())["text"], "the answer");
}

#[tokio::test]
async fn every_event_has_the_form_that_is_described_and_an_id() {
    let (provider, server, client) = api_world(word_by_word).await;
    let document = server
        .http()
        .unwrap()
        .get("/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    let described = document["components"]["schemas"]["Event"]["oneOf"]
        .as_array()
        .unwrap();
    let names: BTreeSet<&str> = described
        .iter()
        .map(|one| one["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "turn.started",
            "text.delta",
            "text.replace",
            "tool.started",
            "tool.finished",
            "notice",
            "turn.finished",
            "turn.failed",
            "reset",
        ])
    );
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch_from(&chat, Some("1")).await;
    let mut events = watch.until("reset").await;
    provider.script(Answer::pieces(["a ", "false ", "start"]).with_end(End::ErrorEventAfter(2)));
    let turn = person.post(&chat, "hello").await;
    events.extend(watch.until("turn.finished").await);
    provider.answer_with(|_| Some(Answer::fault(400)));
    person.post(&chat, "fail").await;
    events.extend(watch.until("turn.failed").await);
    let mut came = BTreeSet::new();
    for event in &events {
        assert!(event.id.is_some(), "{event:?}");
        let form = described.iter().find(|one| one["title"] == event.event.as_str());
        let form = form.unwrap_or_else(|| panic!("{} is not described", event.event));
        let data = data(event);
        for field in form["required"].as_array().unwrap() {
            assert!(
                data.get(field.as_str().unwrap()).is_some(),
                "{event:?} has no {field}"
            );
        }
        for field in data.as_object().unwrap().keys() {
            assert!(
                form["properties"].get(field).is_some(),
                "{event:?}: {field} is not described"
            );
        }
        came.insert(event.event.clone());
    }
    assert_eq!(data(&events[1])["turnId"], Value::from(turn));
    for name in [
        "reset",
        "turn.started",
        "text.delta",
        "text.replace",
        "turn.finished",
        "turn.failed",
    ] {
        assert!(came.contains(name), "{name}: {came:?}");
    }
}
