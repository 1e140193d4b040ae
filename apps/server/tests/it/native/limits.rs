//! How many there may be at once, and in what time.

use super::{Person, assert_problem, data};
use crate::setup::{LONG, api_world, one_place};
use serde_json::json;

#[tokio::test]
async fn a_full_pool_refuses_keys_before_anything_is_written_and_lets_visitors_wait() {
    let (provider, server, client) = api_world(one_place).await;
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
        ("notice", Some(2)),
        "behind the one in the pool"
    );
    drop(hold);
    let events = watch.until("turn.finished").await;
    assert_eq!(data(events.last().unwrap())["text"], "echo: I can wait");
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
