//! A crowd that writes, stops, starts over, repeats itself and walks away at random, and an operator who takes things out
//! of the queue: in the end every message that was taken has had exactly one end, and nothing is left.

use super::{Seeded, assert_quiet, comes_to_pass, metric};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, Content, HttpClient, ServerProcess};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often each turn of a chat was said to have ended, and whether the reader had to begin anew.
#[derive(Debug, Default)]
struct Heard {
    ends: HashMap<String, u32>,
    resets: u32,
}

/// One person and their chat.
struct Talker {
    client: HttpClient,
    chat: String,
    chance: Seeded,
    /// Turns of messages that were taken, in order, and whether each was `/new`.
    taken: Vec<(String, bool)>,
}

impl Talker {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/chats/{}/{rest}", self.chat)
    }

    /// Hands a message in; what was said of it, or nothing where the writer has gone before.
    async fn post(&self, text: &str, key: Option<&str>, patience: Duration) -> Option<Value> {
        let mut request = self
            .client
            .post(&self.path("messages"))
            .json(&json!({ "text": text }))
            .within(LONG);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let reply = tokio::time::timeout(patience, request.send())
            .await
            .ok()?
            .unwrap();
        // The pool may be full for a moment; that is said before anything is taken.
        assert!([202, 503].contains(&reply.status.as_u16()), "{}", reply.text());
        (reply.status == 202).then(|| reply.json().unwrap()["turnId"].clone())
    }

    async fn act(&mut self, number: u64) {
        match self.chance.below(12) {
            0..=5 => {
                if let Some(turn) = self.post(&format!("message {number}"), None, LONG).await {
                    self.taken.push((turn.as_str().unwrap().to_owned(), false));
                }
            }
            6 => {
                let stopped = self.client.post(&self.path("stop")).send().await.unwrap();
                assert!(
                    [202, 204].contains(&stopped.status.as_u16()),
                    "{}",
                    stopped.text()
                );
            }
            7 => {
                if let Some(turn) = self.post("/new", None, LONG).await {
                    self.taken.push((turn.as_str().unwrap().to_owned(), true));
                }
            }
            8 | 9 => {
                // Somebody who does not wait for the answer, and asks again.
                let (key, text) = (format!("key {number}"), format!("message {number}"));
                let patience = Duration::from_micros(self.chance.below(3_000));
                let first = self.post(&text, Some(&key), patience).await;
                let second = self.post(&text, Some(&key), LONG).await;
                if let (Some(first), Some(second)) = (&first, &second) {
                    assert_eq!(first, second);
                }
                if let Some(turn) = first.or(second) {
                    self.taken.push((turn.as_str().unwrap().to_owned(), false));
                }
            }
            _ => {
                let reading = self.client.get(&self.path("events")).within(LONG).stream().await;
                let mut reader = reading.unwrap();
                let patience = Duration::from_millis(self.chance.below(30));
                for _ in 0..self.chance.below(4) {
                    tokio::time::timeout(patience, reader.next_event()).await.ok();
                }
            }
        }
    }
}

/// Listens until the stream ends.
async fn listen(client: HttpClient, chat: String, heard: Arc<std::sync::Mutex<Heard>>) {
    let path = format!("/api/v1/chats/{chat}/events");
    let mut reader = client
        .get(&path)
        .within(Duration::from_secs(600))
        .stream()
        .await
        .unwrap();
    while let Ok(Some(event)) = reader.next_event().await {
        let mut heard = heard.lock().unwrap();
        match event.event.as_str() {
            "turn.finished" | "turn.failed" => {
                let data: Value = serde_json::from_str(&event.data).unwrap();
                let turn = data["turnId"].as_str().unwrap().to_owned();
                *heard.ends.entry(turn).or_default() += 1;
            }
            "reset" => heard.resets += 1,
            _ => {}
        }
    }
}

/// Takes out of the queue whatever stands there, now and then.
async fn meddle(server: &ServerProcess, over: &AtomicBool, mut chance: Seeded) {
    let operator = server
        .http()
        .unwrap()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    while !over.load(Ordering::Acquire) {
        let queue = operator.get("/admin/api/v1/queue?limit=50").send().await.unwrap();
        let queue = queue.json().unwrap();
        let items = queue["items"].as_array().unwrap();
        if !items.is_empty() {
            let id = chance.pick(items)["id"].as_str().unwrap().to_owned();
            let dropped = operator
                .delete(&format!("/admin/api/v1/queue/{id}"))
                .send()
                .await
                .unwrap();
            assert!(
                [200, 404].contains(&dropped.status.as_u16()),
                "{}",
                dropped.text()
            );
        }
        let action = if chance.below(10) == 0 { "pause" } else { "resume" };
        let done = operator
            .post(&format!("/admin/api/v1/queue/{action}"))
            .send()
            .await;
        assert_eq!(done.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(chance.below(20))).await;
    }
    let done = operator.post("/admin/api/v1/queue/resume").send().await;
    assert_eq!(done.unwrap().status, 200);
}

async fn crowd(seed: u64, chats: usize, lasting: Duration) {
    let (provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "32")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "1024")
            .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
            .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000000")
    })
    .await;
    provider.answer_with(|request| {
        let number = request.body["messages"].as_array().map_or(0, Vec::len);
        Some(match number % 7 {
            5 => Answer::fault(400),
            6 => Answer::pieces(["cut ", "off"]).with_gap(Duration::from_millis(40)),
            _ => Answer::new(Content::Echo).with_first_after(Duration::from_millis(10)),
        })
    });
    let over = Arc::new(AtomicBool::new(false));
    let mut ready = Vec::new();
    for number in 0..chats {
        let opened = client
            .post("/api/v1/chats")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(opened.status, 201, "{}", opened.text());
        let chat = opened.json().unwrap()["chatId"].as_str().unwrap().to_owned();
        let heard = Arc::new(std::sync::Mutex::new(Heard::default()));
        let listener = tokio::spawn(listen(client.clone(), chat.clone(), Arc::clone(&heard)));
        let talker = Talker {
            client: client.clone(),
            chat,
            chance: Seeded(seed ^ ((number as u64) << 20)),
            taken: Vec::new(),
        };
        ready.push((talker, listener, heard));
    }
    let mut people = Vec::new();
    for (mut talker, listener, heard) in ready {
        let over = Arc::clone(&over);
        let talking = tokio::spawn(async move {
            let mut number = 0;
            // Also where the machine is so busy that the time is over before anybody has said much.
            while !over.load(Ordering::Acquire) || number < 8 {
                talker.act(number).await;
                number += 1;
                tokio::time::sleep(Duration::from_millis(talker.chance.below(200))).await;
            }
            talker
        });
        people.push((talking, listener, heard));
    }
    let clock = async {
        tokio::time::sleep(lasting).await;
        over.store(true, Ordering::Release);
    };
    tokio::join!(meddle(&server, &over, Seeded(seed)), clock);
    let mut taken = 0;
    for (talking, listener, heard) in people {
        let talker = talking.await.unwrap();
        let path = talker.path("messages?limit=200");
        let state = async || {
            client
                .get(&path)
                .within(LONG)
                .send()
                .await
                .unwrap()
                .json()
                .unwrap()
        };
        comes_to_pass("everything has its end", || async {
            state().await["pending"] == json!([])
        })
        .await;
        let ids: HashSet<&str> = talker.taken.iter().map(|(turn, _)| turn.as_str()).collect();
        assert_eq!(ids.len(), talker.taken.len(), "no two messages are one turn");
        if heard.lock().unwrap().resets == 0 {
            comes_to_pass("each end is told", || async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let heard = heard.lock().unwrap();
                ids.iter().all(|turn| heard.ends.contains_key(*turn))
            })
            .await;
            let heard = heard.lock().unwrap();
            assert_eq!(heard.ends.values().max().copied().unwrap_or(1), 1, "{heard:?}");
        }
        let read = state().await;
        assert_eq!(read["live"], Value::Null);
        // What was written since the conversation was last started over is there once each.
        let since = talker.taken.iter().rposition(|(_, is_new)| *is_new);
        let written: Vec<&str> = read["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|said| said["role"] == "user")
            .map(|said| said["turnId"].as_str().unwrap())
            .collect();
        let unique: HashSet<&str> = written.iter().copied().collect();
        assert_eq!(unique.len(), written.len(), "{read}");
        for (turn, _) in &talker.taken[since.map_or(0, |at| at + 1)..] {
            assert!(unique.contains(turn.as_str()), "{turn} is not in {read}");
        }
        taken += talker.taken.len();
        listener.abort();
    }
    for name in ["activeWorkers", "queueDepth"] {
        comes_to_pass(name, || async { metric(&server, name).await == 0 }).await;
    }
    let operator = server
        .http()
        .unwrap()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    let status = operator
        .get("/admin/api/v1/status")
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    for open in [
        &status["inbox"]["open"],
        &status["inbox"]["waiting"],
        &status["outbox"]["pending"],
    ] {
        assert!(open.as_u64().is_none_or(|open| open == 0), "{status}");
    }
    assert_quiet(&server.log());
    assert!(taken > chats, "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_crowd_gets_one_end_for_every_message() {
    crowd(1, 24, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some minutes; run it by hand and at night"]
async fn two_thousand_get_one_end_for_every_message() {
    crowd(2, 2_000, Duration::from_secs(60)).await;
}
