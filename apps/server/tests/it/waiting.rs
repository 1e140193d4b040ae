//! Whoever waits for a worker is told so: that the operator has paused answering, or how many are in line.

use crate::BINARY;
use crate::cli::{check, run};
use crate::setup::{LONG, api_world, one_place};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn send_says_that_answering_is_paused_and_prints_the_answer_when_it_goes_on() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    check(&run(server.data_dir(), &["queue", "pause"]).await, 0, &["paused"]);
    // With the admin token the queue is read; without one, what the server tells everybody.
    for without_token in [false, true] {
        let mut command = Command::new(BINARY);
        command
            .args(["send", "hello"])
            .env_clear()
            .env("OPENCLAW_DATA_DIR", server.data_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if without_token {
            command.env("OPENCLAW_ADMIN_TOKEN_FILE", "/nowhere/token");
            check(&run(server.data_dir(), &["queue", "pause"]).await, 0, &["paused"]);
        }
        let mut sending = command.spawn().unwrap();
        let mut told = BufReader::new(sending.stderr.take().unwrap()).lines();
        let line = tokio::time::timeout(LONG, told.next_line())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            line.as_deref(),
            Some("answering is paused by the operator; the message waits")
        );
        check(
            &run(server.data_dir(), &["queue", "resume"]).await,
            0,
            &["resumed"],
        );
        let mut answer = String::new();
        let mut out = sending.stdout.take().unwrap();
        tokio::time::timeout(LONG, out.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, "echo: hello\n");
        assert!(sending.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_chats_events_say_that_its_message_waits_because_answering_is_paused() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
    let path = format!("/api/v1/chats/{}", opened["chatId"].as_str().unwrap());
    let mut events = client
        .get(&format!("{path}/events"))
        .within(LONG)
        .stream()
        .await
        .unwrap();
    check(&run(server.data_dir(), &["queue", "pause"]).await, 0, &["paused"]);
    let posted = client
        .post(&format!("{path}/messages"))
        .json(&json!({ "text": "hello" }))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status, 202, "{}", posted.text());
    let turn = posted.json().unwrap()["turnId"].clone();
    assert!(
        turn.as_str()
            .and_then(|turn| turn.strip_prefix("turn_"))
            .is_some_and(|own| own.len() == 24),
        "{turn} counts nothing"
    );
    let mut names = Vec::new();
    let mut notice = Value::Null;
    while names.last().map(String::as_str) != Some("turn.finished") {
        let event = events.next_event().await.unwrap().unwrap();
        if event.event.is_empty() {
            continue;
        }
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["turnId"], turn, "{}", event.event);
        if event.event == "notice" {
            notice = data;
            check(
                &run(server.data_dir(), &["queue", "resume"]).await,
                0,
                &["resumed"],
            );
        }
        names.push(event.event);
    }
    assert_eq!(
        notice,
        json!({ "turnId": turn, "place": 1, "paused": true, "expectedWaitMs": null })
    );
    assert_eq!(names[0], "notice", "{names:?}");
}

#[tokio::test]
async fn a_pause_that_begins_while_a_message_waits_is_told_in_its_chat_and_so_is_its_end() {
    let (provider, server, client) = api_world(one_place).await;
    let hold = provider.hold();
    let open = async || {
        let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
        format!("/api/v1/chats/{}", opened["chatId"].as_str().unwrap())
    };
    let post = async |path: &str| {
        let request = client.post(&format!("{path}/messages"));
        let posted = request.json(&json!({ "text": "hello" })).send().await.unwrap();
        assert_eq!(posted.status, 202, "{}", posted.text());
        posted.json().unwrap()["turnId"].clone()
    };
    post(&open().await).await;
    provider.wait_for_requests(1, LONG).await.unwrap();
    let path = open().await;
    let request = client.get(&format!("{path}/events")).within(LONG);
    let mut events = request.stream().await.unwrap();
    let turn = post(&path).await;
    let mut next = async || loop {
        let event = events.next_event().await.unwrap().unwrap();
        if !event.event.is_empty() {
            break (event.event, serde_json::from_str::<Value>(&event.data).unwrap());
        }
    };
    let notice = |paused: bool| {
        let data = json!({ "turnId": turn, "place": 1, "paused": paused, "expectedWaitMs": null });
        ("notice".to_owned(), data)
    };
    assert_eq!(next().await, notice(false), "no worker is free");
    check(&run(server.data_dir(), &["queue", "pause"]).await, 0, &["paused"]);
    assert_eq!(next().await, notice(true));
    let resume = run(server.data_dir(), &["queue", "resume"]).await;
    check(&resume, 0, &["resumed"]);
    assert_eq!(next().await, notice(false), "the worker is still busy");
    drop(hold);
    assert_eq!(next().await.0, "turn.started");
}
