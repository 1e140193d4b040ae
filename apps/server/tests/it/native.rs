//! The native API as its callers see it: conversations, streams that are picked up again, keys and visitors.

use crate::BINARY;
use crate::setup::{LONG, api_world};
use openclaw_testkit::{
    Answer, Content, HttpClient, MockProvider, Reply, ServerProcess, ServerSetup, SseEvent, SseReader,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Somebody with a credential.
#[derive(Clone)]
struct Person {
    client: HttpClient,
    /// A visitor's cookie.
    cookie: Option<String>,
}

/// A stream of events as one reader sees it.
struct Watch {
    reader: SseReader,
    last_id: String,
}

impl Person {
    fn with_key(client: &HttpClient) -> Self {
        Self {
            client: client.clone(),
            cookie: None,
        }
    }

    /// A new visitor and their first chat.
    async fn visitor(server: &ServerProcess) -> (Self, String) {
        let client = server.http().unwrap();
        let reply = client
            .post("/api/v1/chats")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status, 201, "{}", reply.text());
        let cookie = reply
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        (
            Self {
                client,
                cookie: Some(cookie),
            },
            chat_id(&reply),
        )
    }

    fn request(&self, method: &str, path: &str) -> openclaw_testkit::RequestBuilder {
        let request = match method {
            "GET" => self.client.get(path),
            "DELETE" => self.client.delete(path),
            _ => self.client.post(path),
        };
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send().await.unwrap()
    }

    async fn open(&self) -> String {
        let reply = self
            .request("POST", "/api/v1/chats")
            .json(&json!({ "title": "ignored" }))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status, 201, "{}", reply.text());
        chat_id(&reply)
    }

    async fn try_post(&self, chat: &str, text: &str) -> Reply {
        let request = self.request("POST", &format!("/api/v1/chats/{chat}/messages"));
        request.json(&json!({ "text": text })).send().await.unwrap()
    }

    /// Posts a message; its turn.
    async fn post(&self, chat: &str, text: &str) -> String {
        let reply = self.try_post(chat, text).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json().unwrap()["turnId"].as_str().unwrap().to_owned()
    }

    async fn watch(&self, chat: &str) -> Watch {
        self.watch_from(chat, None).await
    }

    async fn watch_from(&self, chat: &str, last_id: Option<&str>) -> Watch {
        let mut request = self
            .request("GET", &format!("/api/v1/chats/{chat}/events"))
            .within(LONG);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let mut reader = request.stream().await.unwrap();
        assert_eq!(reader.status, 200);
        let opening = reader.next_event().await.unwrap().unwrap();
        assert_eq!(
            (opening.event.as_str(), opening.data.as_str()),
            ("", ""),
            "the stream opens with its position"
        );
        Watch {
            reader,
            last_id: opening.id.unwrap(),
        }
    }

    async fn messages(&self, chat: &str) -> Value {
        let reply = self.get(&format!("/api/v1/chats/{chat}/messages")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().unwrap()
    }
}

impl Watch {
    async fn next(&mut self) -> Option<SseEvent> {
        let event = self.reader.next_event().await.unwrap()?;
        if let Some(id) = &event.id {
            let newer = id.parse::<u64>().unwrap() > self.last_id.parse().unwrap_or(0);
            assert!(newer || event.event == "reset", "{id} after {}", self.last_id);
            self.last_id.clone_from(id);
        }
        Some(event)
    }

    /// All events up to the one of that name, which is the last.
    async fn until(&mut self, name: &str) -> Vec<SseEvent> {
        let mut events = Vec::new();
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended before {name}: {events:?}"));
            let found = event.event == name;
            events.push(event);
            if found {
                return events;
            }
        }
    }
}

fn chat_id(reply: &Reply) -> String {
    reply.json().unwrap()["chatId"].as_str().unwrap().to_owned()
}

fn data(event: &SseEvent) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

/// The text as a reader has it that appends and replaces as told.
fn shown(events: &[SseEvent]) -> String {
    let mut text = String::new();
    for event in events {
        match event.event.as_str() {
            "text.delta" => text.push_str(data(event)["text"].as_str().unwrap()),
            "text.replace" => data(event)["text"].as_str().unwrap().clone_into(&mut text),
            _ => {}
        }
    }
    text
}

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let body = reply.json().unwrap();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(
        body["correlationId"].as_str(),
        reply.header("x-request-id"),
        "{body}"
    );
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
}

/// Words that a stream shows one by one.
fn words(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("word-{number} ")).collect()
}

/// Every word is an event of its own.
fn word_by_word(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__STREAMING__API__FLUSH_TOKEN_THRESHOLD", "1")
        .env("OPENCLAW__STREAMING__WEB__FLUSH_TOKEN_THRESHOLD", "1")
}

#[tokio::test]
async fn a_conversation_is_streamed_in_order_and_remembered() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    assert_eq!(watch.reader.headers["content-type"], "text/event-stream");
    assert_eq!(watch.reader.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(watch.reader.headers["x-accel-buffering"], "no");

    let turn = person.post(&chat, "my name is Ada").await;
    let events = watch.until("turn.finished").await;
    let names: Vec<&str> = events
        .iter()
        .map(|event| event.event.as_str())
        .filter(|name| *name != "notice")
        .collect();
    assert_eq!(
        (names.first(), names.last()),
        (Some(&"turn.started"), Some(&"turn.finished"))
    );
    assert!(
        names.len() > 3 && names[1..names.len() - 1].iter().all(|name| *name == "text.delta"),
        "{names:?}"
    );
    let end = data(events.last().unwrap());
    assert_eq!(end["text"], "echo: my name is Ada");
    assert_eq!(
        (end["turnId"].as_str(), end["finishReason"].as_str()),
        (Some(&*turn), Some("stop"))
    );
    assert!(end["usage"].is_object());
    assert_eq!(shown(&events), "echo: my name is Ada");

    person.post(&chat, "what is my name?").await;
    watch.until("turn.finished").await;
    let told: Vec<String> = provider.requests()[1].body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        told,
        ["my name is Ada", "echo: my name is Ada", "what is my name?"]
    );

    let snapshot = person.messages(&chat).await;
    let said: Vec<(&str, &str)> = snapshot["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message["text"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("user", "my name is Ada"),
        ("assistant", "echo: my name is Ada"),
        ("user", "what is my name?"),
        ("assistant", "echo: what is my name?"),
    ];
    assert_eq!(said, expected);
    assert!(snapshot["live"].is_null() && snapshot["pending"] == json!([]) && snapshot["next"].is_null());
}

#[tokio::test]
async fn a_message_without_an_answer_is_read_again_with_what_was_said_of_it() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    provider.answer_with(|_| Some(Answer::fault(400)));
    let turn = person.post(&chat, "question").await;
    let events = watch.until("turn.failed").await;
    let words = data(events.last().unwrap())["problem"]["detail"].clone();
    let said = |snapshot: &Value| {
        let messages = snapshot["messages"].as_array().unwrap();
        let said = messages
            .iter()
            .map(|said| json!([said["role"], said["text"], said["turnId"], said["unanswered"]]));
        said.collect::<Vec<_>>()
    };
    let expected = [
        json!(["user", "question", turn, "failed"]),
        json!(["assistant", words, turn, "failed"]),
    ];
    assert_eq!(said(&person.messages(&chat).await), expected);
    provider.clear_script();
    let next = person.post(&chat, "next").await;
    watch.until("turn.finished").await;
    let told = provider.requests().last().unwrap().body["messages"].clone();
    assert_eq!(
        told.as_array().unwrap().len(),
        1,
        "the model is told the question only"
    );
    let read = said(&person.messages(&chat).await);
    assert_eq!(read[..2], expected);
    assert_eq!(read[2], json!(["user", "next", next, null]));
}

#[tokio::test]
async fn a_conversation_is_read_page_by_page_from_its_end() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    for number in 0..4 {
        person.post(&chat, &format!("question {number}")).await;
        watch.until("turn.finished").await;
    }
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let reply = person
            .get(&format!("/api/v1/chats/{chat}/messages?limit=3{next}"))
            .await;
        let page = reply.json().unwrap();
        let texts: Vec<String> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["text"].as_str().unwrap().to_owned())
            .collect();
        pages.push(texts);
        match page["next"].as_str() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 2]);
    let all: Vec<String> = pages.into_iter().rev().flatten().collect();
    let expected: Vec<String> = (0..4)
        .flat_map(|n| [format!("question {n}"), format!("echo: question {n}")])
        .collect();
    assert_eq!(all, expected);
    let reply = person
        .get(&format!("/api/v1/chats/{chat}/messages?limit=0"))
        .await;
    assert_problem(&reply, 400, "VALIDATION");
}

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
        provider.script(Answer::pieces(words.clone()).with_gap(Duration::from_millis(4)));
        let chat = person.open().await;
        let mut watch = person.watch(&chat).await;
        let turn = person.post(&chat, "go on").await;
        for _ in 0..wait_for {
            watch.next().await.unwrap();
        }
        let snapshot = person.messages(&chat).await;
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

#[tokio::test]
async fn a_post_sent_twice_under_one_key_runs_one_turn() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let (chat, other) = (person.open().await, person.open().await);
    let mut watch = person.watch(&chat).await;
    let send = async |chat: &str, key: &str, text: &str| {
        let request = person.request("POST", &format!("/api/v1/chats/{chat}/messages"));
        request
            .header("idempotency-key", key)
            .json(&json!({ "text": text }))
            .send()
            .await
            .unwrap()
    };
    let first = send(&chat, "\"key-1\"", "once").await;
    let second = send(&chat, "key-1", "once").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.json().unwrap(), second.json().unwrap());
    watch.until("turn.finished").await;
    // Also after the turn has ended, when the inbox has forgotten the text.
    assert_eq!(
        send(&chat, "key-1", "once").await.json().unwrap(),
        first.json().unwrap()
    );
    assert_problem(
        &send(&chat, "key-1", "something else").await,
        422,
        "IDEMPOTENCY_MISMATCH",
    );
    assert_problem(&send(&chat, "\"open", "x").await, 400, "VALIDATION");
    assert_eq!(provider.stats().requests, 1);
    // Another chat is another matter.
    let elsewhere = send(&other, "key-1", "something else").await;
    assert_eq!(elsewhere.status, 202);
    assert_ne!(elsewhere.json().unwrap(), first.json().unwrap());
}

#[tokio::test]
async fn many_posts_at_once_under_one_key_run_one_turn() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    let posts = (0..20).map(|_| {
        let request = person.request("POST", &format!("/api/v1/chats/{chat}/messages"));
        let request = request
            .header("idempotency-key", "burst")
            .json(&json!({ "text": "once" }));
        tokio::spawn(async move { request.send().await.unwrap().json().unwrap() })
    });
    let mut turns = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        turns.push(post.await.unwrap());
    }
    assert!(
        turns
            .iter()
            .all(|turn| *turn == turns[0] && turn["turnId"].is_string()),
        "{turns:?}"
    );
    watch.until("turn.finished").await;
    assert_eq!(provider.stats().requests, 1);
}

#[tokio::test]
async fn a_chat_of_somebody_else_is_answered_like_one_that_never_was() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let operator = Person::with_key(&client);
    let (one, one_chat) = Person::visitor(&server).await;
    let (two, two_chat) = Person::visitor(&server).await;
    let operator_chat = operator.open().await;
    let strangers: [(&Person, &str); 6] = [
        (&two, &one_chat),
        (&one, &two_chat),
        (&one, &operator_chat),
        (&operator, &one_chat),
        (&one, "0123456789abcdef0123456789abcdef"),
        (&one, "a%3Ab"),
    ];
    for (person, chat) in strangers {
        let base = format!("/api/v1/chats/{chat}");
        let requests = [
            ("GET", format!("{base}/messages")),
            ("GET", format!("{base}/events")),
            ("POST", format!("{base}/messages")),
            ("POST", format!("{base}/stop")),
            ("DELETE", base.clone()),
            ("GET", format!("/api/v1/usage?chatId={chat}")),
        ];
        for (method, path) in requests {
            let reply = person
                .request(method, &path)
                .json(&json!({ "text": "hi" }))
                .send()
                .await
                .unwrap();
            assert_problem(&reply, 404, "NOT_FOUND");
            let mut body = reply.json().unwrap();
            body["correlationId"] = Value::Null;
            let expected = json!({
                "type": "/problems/not-found", "title": "There is no such thing", "status": 404,
                "detail": "There is no such chat.", "code": "NOT_FOUND", "correlationId": null,
            });
            assert_eq!(body, expected, "{method} {path}");
        }
    }
    for (person, chat) in [(&one, &one_chat), (&two, &two_chat), (&operator, &operator_chat)] {
        let listed = person.get("/api/v1/chats").await.json().unwrap();
        let ids: Vec<&str> = listed["chats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chat| chat["chatId"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [chat], "everybody sees their own");
    }
}

#[tokio::test]
async fn two_people_never_see_each_others_words() {
    let (_provider, server, _client) = api_world(word_by_word).await;
    let (one, one_chat) = Person::visitor(&server).await;
    let (two, two_chat) = Person::visitor(&server).await;
    let (mut one_watch, mut two_watch) = (one.watch(&one_chat).await, two.watch(&two_chat).await);
    for round in 0..5 {
        let (red, blue) = (format!("red {round}"), format!("blue {round}"));
        tokio::join!(one.post(&one_chat, &red), two.post(&two_chat, &blue));
        let (one_events, two_events) =
            tokio::join!(one_watch.until("turn.finished"), two_watch.until("turn.finished"));
        assert_eq!(
            (shown(&one_events), shown(&two_events)),
            (format!("echo: {red}"), format!("echo: {blue}"))
        );
    }
    let (one_text, two_text) = (
        one.messages(&one_chat).await.to_string(),
        two.messages(&two_chat).await.to_string(),
    );
    assert!(one_text.contains("echo: red") && !one_text.contains("blue"));
    assert!(two_text.contains("echo: blue") && !two_text.contains("echo: red"));
}

#[tokio::test]
async fn chats_are_listed_page_by_page() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(person.open().await);
    }
    let (mut listed, mut next) = (Vec::new(), String::new());
    loop {
        let page = person
            .get(&format!("/api/v1/chats?limit=2{next}"))
            .await
            .json()
            .unwrap();
        let chats = page["chats"].as_array().unwrap();
        assert!(chats.len() <= 2);
        listed.extend(
            chats
                .iter()
                .map(|chat| chat["chatId"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => break,
        }
    }
    assert_eq!(listed, opened);
}

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
async fn a_full_pool_refuses_keys_before_anything_is_written_and_lets_visitors_wait() {
    let (provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "1")
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "1")
    })
    .await;
    let person = Person::with_key(&client);
    let hold = provider.hold();
    let mut chats = Vec::new();
    for _ in 0..3 {
        chats.push(person.open().await);
    }
    person.post(&chats[0], "running").await;
    provider.wait_for_requests(1, LONG).await.unwrap();
    person.post(&chats[1], "queued").await;
    let refused = person.try_post(&chats[2], "too many").await;
    assert_problem(&refused, 503, "BACKPRESSURE");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        person.messages(&chats[2]).await["pending"],
        json!([]),
        "nothing was written"
    );

    let (visitor, chat) = Person::visitor(&server).await;
    let mut watch = visitor.watch(&chat).await;
    visitor.post(&chat, "I can wait").await;
    let notice = watch.next().await.unwrap();
    assert_eq!(
        (notice.event.as_str(), data(&notice)["place"].as_u64()),
        ("notice", Some(1))
    );
    drop(hold);
    let events = watch.until("turn.finished").await;
    assert_eq!(data(events.last().unwrap())["text"], "echo: I can wait");
}

#[tokio::test]
async fn a_visitor_is_known_by_a_signed_cookie_also_after_a_restart() {
    let (_provider, mut server, _client) = api_world(|setup| setup).await;
    let client = server.http().unwrap();
    let reply = client.post("/api/v1/chats").send().await.unwrap();
    assert_eq!(reply.status, 201, "no body is needed");
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let chat = chat_id(&reply);
    let pair = cookie.split(';').next().unwrap().to_owned();
    let mode = std::fs::metadata(server.data_dir().join("visitor.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let visitor = Person {
        client: server.http().unwrap(),
        cookie: Some(pair.clone()),
    };
    assert_eq!(visitor.messages(&chat).await["messages"], json!([]));
    let (head, tail) = pair.split_at(pair.len() - 1);
    let forged = format!("{head}{}", if tail == "0" { "1" } else { "0" });
    let stranger = Person {
        client: server.http().unwrap(),
        cookie: Some(forged),
    };
    assert_problem(
        &stranger.get(&format!("/api/v1/chats/{chat}/messages")).await,
        401,
        "UNAUTHORIZED",
    );
    let nobody = Person {
        client: server.http().unwrap(),
        cookie: None,
    };
    assert_problem(&nobody.get("/api/v1/chats").await, 401, "UNAUTHORIZED");
    // A key that is wrong is not made good by a cookie.
    let request = visitor.request("GET", "/api/v1/chats").bearer("oc_live_wrong");
    assert_problem(&request.send().await.unwrap(), 401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_a_visitors_cookie() {
    let (provider, server, _client) = api_world(|setup| setup).await;
    let (visitor, chat) = Person::visitor(&server).await;
    let own = format!("http://{}", server.address());
    let send = async |method: &str, path: &str, header: &str, value: &str| {
        let request = visitor
            .request(method, path)
            .header("host", &server.address().to_string());
        request
            .header(header, value)
            .json(&json!({ "text": "hi" }))
            .send()
            .await
            .unwrap()
    };
    let base = format!("/api/v1/chats/{chat}");
    let changes = [
        ("POST", format!("{base}/messages")),
        ("POST", format!("{base}/stop")),
        ("DELETE", base.clone()),
        ("POST", "/api/v1/chats".into()),
    ];
    for (method, path) in &changes {
        for (header, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_problem(&send(method, path, header, value).await, 403, "FORBIDDEN");
        }
    }
    assert_eq!(provider.stats().requests, 0);
    assert_eq!(
        send("POST", &format!("{base}/messages"), "origin", &own)
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn each_visitor_has_a_limit_of_their_own_and_is_told_of_it() {
    let (_provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__WEB__RPS", "0.01")
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__WEB__BURST_SIZE", "3")
    })
    .await;
    let (one, chat) = Person::visitor(&server).await;
    let path = format!("/api/v1/chats/{chat}/messages");
    let reply = one.get(&path).await;
    assert_eq!(reply.header("ratelimit-policy"), Some("\"requests\";q=3;w=300"));
    assert!(
        reply
            .header("ratelimit")
            .unwrap()
            .starts_with("\"requests\";r=1;t="),
        "{:?}",
        reply.headers
    );
    assert_eq!(one.get(&path).await.status, 200);
    let refused = one.get(&path).await;
    assert_problem(&refused, 429, "RATE_LIMIT");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=100).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").unwrap().contains("r=0"));
    Person::visitor(&server).await;
    // The operator's key has none.
    let operator = Person::with_key(&client);
    for _ in 0..10 {
        let reply = operator.get("/api/v1/chats").await;
        assert_eq!((reply.status.as_u16(), reply.header("ratelimit")), (200, None));
    }
}

#[tokio::test]
async fn one_address_does_not_open_chats_without_end() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let visitors = server.http().unwrap();
    let mut opened = 0;
    let refused = loop {
        let reply = visitors.post("/api/v1/chats").send().await.unwrap();
        if reply.status != 201 {
            break reply;
        }
        opened += 1;
        assert!(opened < 2_000, "there is no limit");
    };
    assert_problem(&refused, 429, "RATE_LIMIT");
    assert!(opened >= 30, "{opened}");
    Person::with_key(&client).open().await;
}

#[tokio::test]
async fn bad_requests_get_problems_that_name_the_fault() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let path = format!("/api/v1/chats/{chat}/messages");
    let long = json!({ "text": "x".repeat((64 << 10) + 1) }).to_string();
    let huge = "x".repeat(2 << 20);
    let cases: [(&str, u16, &str); 7] = [
        ("", 400, "VALIDATION"),
        ("[1]", 400, "VALIDATION"),
        ("{\"text\":", 400, "VALIDATION"),
        ("{}", 400, "VALIDATION"),
        ("{\"text\":\" \\n \"}", 400, "VALIDATION"),
        (&long, 413, "TOO_LARGE"),
        (&huge, 413, "TOO_LARGE"),
    ];
    for (body, status, code) in cases {
        let reply = person
            .request("POST", &path)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        assert_problem(&reply, status, code);
    }
    let form = person
        .request("POST", &path)
        .header("content-type", "application/x-www-form-urlencoded");
    assert_problem(
        &form.body("text=hi").send().await.unwrap(),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    );
    assert_problem(&person.get("/api/v1/nothing").await, 404, "NOT_FOUND");
    assert_problem(
        &person.request("POST", "/api/v1/usage").send().await.unwrap(),
        405,
        "METHOD_NOT_ALLOWED",
    );
    let russian = person
        .request("GET", "/api/v1/chats/none/messages")
        .header("accept-language", "ru");
    assert_eq!(
        russian.send().await.unwrap().json().unwrap()["detail"],
        "Такого чата нет."
    );
    assert_eq!(provider.stats().requests, 0);
}

#[tokio::test]
async fn usage_is_told_by_chat() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let (visitor, chat) = Person::visitor(&server).await;
    provider.script(Answer::text("done").with_usage(100, 23));
    let mut watch = visitor.watch(&chat).await;
    visitor.post(&chat, "count").await;
    watch.until("turn.finished").await;
    let usage = visitor
        .get(&format!("/api/v1/usage?chatId={chat}"))
        .await
        .json()
        .unwrap();
    assert_eq!(
        (&usage["used"], &usage["limit"], &usage["remaining"]),
        (&json!(123), &json!(10_000), &json!(9_877))
    );
    assert!(
        usage["resetsAt"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{usage}"
    );
    let operator = Person::with_key(&client)
        .get("/api/v1/usage")
        .await
        .json()
        .unwrap();
    assert_eq!(
        operator,
        json!({ "used": 0, "limit": null, "remaining": null, "resetsAt": null })
    );
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

#[tokio::test]
async fn the_description_is_for_this_machine_and_for_the_admin_token() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let anybody = server.http().unwrap();
    let document = anybody.get("/openapi.json").send().await.unwrap();
    assert_eq!(document.json().unwrap()["openapi"], "3.1.0");
    let page = anybody.get("/docs").send().await.unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'nonce-"),
        "{policy}"
    );
    assert!(page.text().contains("/api/v1/chats/{chatId}/events"));
    for path in ["/openapi.json", "/docs"] {
        let from_outside = |client: &HttpClient| client.get(path).header("x-forwarded-for", "203.0.113.9");
        assert_eq!(from_outside(&client).send().await.unwrap().status, 401);
        let admin = from_outside(&anybody).bearer(&server.admin_token().unwrap());
        assert_eq!(admin.send().await.unwrap().status, 200);
    }
}

/// `OPENCLAW_TEST_BINARY` lets it run against another build; the time it takes is printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_chats_at_once_are_all_answered() {
    const CHATS: usize = 1_000;
    let provider = MockProvider::start().await.unwrap();
    provider.answer_with(|_| {
        Some(Answer::new(Content::Pieces(vec!["done".to_owned()])).with_first_after(Duration::from_secs(2)))
    });
    let binary = std::env::var("OPENCLAW_TEST_BINARY").unwrap_or_else(|_| BINARY.to_owned());
    let server = ServerSetup::new(binary)
        .provider(&provider)
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1024")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "4096")
        .start()
        .await
        .unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let person = Person::with_key(&client);
    let mut ready = Vec::new();
    for _ in 0..CHATS {
        let chat = person.open().await;
        let watch = person.watch(&chat).await;
        ready.push((chat, watch));
    }
    let began = std::time::Instant::now();
    let chats: Vec<_> = ready
        .into_iter()
        .map(|(chat, mut watch)| {
            let person = person.clone();
            tokio::spawn(async move {
                person.post(&chat, "hello").await;
                let events = watch.until("turn.finished").await;
                shown(&events)
            })
        })
        .collect();
    for chat in chats {
        assert_eq!(chat.await.unwrap(), "done");
    }
    println!("{CHATS} chats on a model of 2 s: {:?}", began.elapsed());
    assert_eq!(provider.stats().requests, CHATS as u64);
}
