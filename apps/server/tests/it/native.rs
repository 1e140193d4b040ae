//! The native API as its callers see it: conversations, streams that are picked up again, keys and visitors.

mod bad_requests;
mod coming_back;
mod conversation;
mod description;
mod ending;
mod events;
mod limits;
mod once;
mod owners;
mod rebinding;
mod thousand;

use crate::setup::LONG;
use openclaw_testkit::{HttpClient, Reply, ServerProcess, SseEvent, SseReader};
use serde_json::{Value, json};

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
