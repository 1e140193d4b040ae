//! A message that is sent twice under one key.

use super::{Person, assert_problem};
use crate::setup::{LONG, api_world, one_place};
use serde_json::json;

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
async fn a_post_sent_twice_has_its_answer_while_the_pool_is_full() {
    let (provider, _server, client) = api_world(one_place).await;
    let person = Person::with_key(&client);
    let send = async |chat: &str, text: &str| {
        let request = person.request("POST", &format!("/api/v1/chats/{chat}/messages"));
        let request = request.header("idempotency-key", "key-1");
        request.json(&json!({ "text": text })).send().await.unwrap()
    };
    let (running, waiting, late) = (person.open().await, person.open().await, person.open().await);
    let hold = provider.hold();
    let first = send(&running, "once").await;
    provider.wait_for_requests(1, LONG).await.unwrap();
    let second = send(&waiting, "queued").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    for (chat, text, before) in [(&running, "once", &first), (&waiting, "queued", &second)] {
        let again = send(chat, text).await;
        assert_eq!(again.status, 202, "{}", again.text());
        assert_eq!(again.json().unwrap(), before.json().unwrap());
        assert_problem(&send(chat, "something else").await, 422, "IDEMPOTENCY_MISMATCH");
    }
    // The key is taken in those chats only, and a new message needs a place.
    assert_problem(&send(&late, "once").await, 503, "BACKPRESSURE");
    let mut watch = person.watch(&waiting).await;
    drop(hold);
    watch.until("turn.finished").await;
    assert_eq!(provider.stats().requests, 2);
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
