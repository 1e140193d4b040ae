//! Callers that leave: the provider is left too, the worker is free, the tokens are given back or settled.

use super::{comes_to_pass, metric};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, HttpClient, ServerProcess};
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
