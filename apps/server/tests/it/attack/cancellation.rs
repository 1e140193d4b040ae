//! Callers that leave: the provider is left too, the worker is free, the tokens are given back or settled.

use super::{comes_to_pass, metric};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, HttpClient, ServerProcess};
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

fn call(client: &HttpClient, stream: bool) -> openclaw_testkit::RequestBuilder {
    client.post("/v1/chat/completions").json(&json!({
        "model": "auto", "stream": stream, "max_tokens": 2_000,
        "messages": [{ "role": "user", "content": "hello" }],
    }))
}

async fn comes_to_rest(server: &ServerProcess) {
    comes_to_pass("no worker is busy and nobody waits", || async {
        metric(server, "activeWorkers").await == 0 && metric(server, "queueDepth").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_frees_everything() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let words: Vec<String> = (0..10_000).map(|number| format!("word{number} ")).collect();
    provider.script(Answer::pieces(words).with_gap(Duration::from_millis(10)));
    let mut reader = call(&client, true).stream().await.unwrap();
    for _ in 0..5 {
        reader.next_event().await.unwrap().unwrap();
    }
    drop(reader);
    provider
        .wait_until(LONG, |stats| stats.disconnects == 1 && stats.in_flight == 0)
        .await
        .unwrap();
    comes_to_rest(&server).await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_first_word_or_the_queue_frees_everything() {
    let (provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "64")
    })
    .await;
    let hold = provider.hold();
    let calling = |stream: bool| {
        let client = client.clone();
        tokio::spawn(async move { call(&client, stream).send().await.map(|reply| reply.status) })
    };
    let first = calling(true);
    provider.wait_for_requests(1, LONG).await.unwrap();
    let waiting: Vec<_> = [false, true, false, true].into_iter().map(calling).collect();
    comes_to_pass("four wait", || async { metric(&server, "queueDepth").await == 4 }).await;
    // Those who wait leave before the one they wait for: otherwise the next of them may rightly be served meanwhile.
    for caller in waiting {
        caller.abort();
        caller.await.ok();
    }
    comes_to_pass("none waits", || async {
        metric(&server, "queueDepth").await == 0
    })
    .await;
    first.abort();
    first.await.ok();
    comes_to_rest(&server).await;
    drop(hold);
    provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
    assert_eq!(
        provider.stats().requests,
        1,
        "nobody asked for those who had left"
    );
    assert_eq!(call(&client, false).send().await.unwrap().status, 200);
}

#[tokio::test]
async fn callers_whose_answer_the_stop_cuts_short_are_told_so() {
    let (provider, mut server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "2")
            .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "64")
            .env("OPENCLAW__SERVER__SHUTDOWN_GRACE_MS", "300")
    })
    .await;
    let words: Vec<String> = (0..10_000).map(|number| format!("word{number} ")).collect();
    provider.script(Answer::pieces(words).with_gap(Duration::from_millis(10)));
    let mut reader = call(&client, true).stream().await.unwrap();
    reader.next_event().await.unwrap().unwrap();
    let _hold = provider.hold();
    // One of them has a worker and no word yet, the others wait.
    let callers: Vec<_> = [true, false, false]
        .into_iter()
        .map(|stream| tokio::spawn(call(&client, stream).within(LONG).send()))
        .collect();
    provider.wait_for_requests(2, LONG).await.unwrap();
    comes_to_pass("two wait", || async { metric(&server, "queueDepth").await == 2 }).await;
    server.signal(Signal::TERM).unwrap();
    for caller in callers {
        let reply = caller.await.unwrap().expect("an answer and not a cut");
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(reply.json().unwrap()["error"]["code"].is_string());
    }
    let mut last = None;
    while let Some(event) = reader.next_event().await.expect("an end and not a cut") {
        last = Some(event);
    }
    let last = last.expect("more than one event").data;
    let last: serde_json::Value = serde_json::from_str(&last).expect("no [DONE]");
    assert!(last["error"]["code"].is_string(), "{last}");
    assert!(server.wait(LONG).await.unwrap().success());
}
