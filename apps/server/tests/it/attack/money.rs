//! Budgets under a rush, a crash and failures.

use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, HttpClient, MockProvider, Reply, ServerSetup};
use serde_json::json;

/// What an estimate of a small request may be wrong by.
const GUESS: u64 = 60;

fn limited(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "64")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "256")
        .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
        .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000")
}

async fn call(client: &HttpClient, max_tokens: u64) -> Reply {
    let body = json!({
        "model": "auto", "max_tokens": max_tokens,
        "messages": [{ "role": "user", "content": "hi" }],
    });
    client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap()
}

/// What the provider was allowed to answer with in its newest request.
fn allowed(provider: &MockProvider) -> u64 {
    let request = provider.requests().pop().unwrap();
    ["max_tokens", "max_completion_tokens"]
        .iter()
        .find_map(|name| request.body[*name].as_u64())
        .unwrap_or_else(|| panic!("{}", request.body))
}

/// What is left of the budget, give or take the guess of a small request, found out by asking for more than that. The
/// call itself costs two tokens.
async fn left(provider: &MockProvider, client: &HttpClient) -> u64 {
    provider.script(Answer::text("x").with_usage(1, 1));
    let reply = call(client, 16_000).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    allowed(provider)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_calls_at_once_only_as_many_are_admitted_as_fit() {
    let (provider, _server, client) =
        api_world(|setup| limited(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", "10000")).await;
    let hold = provider.hold();
    provider.answer_with(|_| Some(Answer::text("x").with_usage(100, 900)));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, 1_000).await })
        })
        .collect();
    // Nobody who fits is refused, nobody else is let in: what all were allowed together is at most the budget.
    provider.wait_for_requests(9, LONG).await.unwrap();
    let mut refused = 0;
    let mut answered = 0;
    drop(hold_until_refused(hold, &callers).await);
    for caller in callers {
        let reply = caller.await.unwrap();
        match reply.status.as_u16() {
            200 => answered += 1,
            429 => refused += 1,
            other => panic!("{other}: {}", reply.text()),
        }
    }
    let granted: u64 = provider
        .requests()
        .iter()
        .map(|request| {
            request.body["max_tokens"]
                .as_u64()
                .or(request.body["max_completion_tokens"].as_u64())
                .unwrap()
        })
        .sum();
    assert_eq!(answered + refused, 64);
    assert!(granted <= 10_000, "{granted} were granted of 10 000");
    assert!((9..=10).contains(&answered), "{answered} of 64");
}

/// Holds the provider until everybody who is refused has been told.
async fn hold_until_refused<T>(hold: T, callers: &[tokio::task::JoinHandle<Reply>]) -> T {
    let waiting = async {
        while callers.iter().filter(|caller| caller.is_finished()).count() < 54 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .expect("the others are refused at once");
    hold
}

#[tokio::test]
async fn what_is_used_is_what_the_provider_reported_also_after_a_crash() {
    let (provider, mut server, client) =
        api_world(|setup| limited(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", "14000")).await;
    let before = left(&provider, &client).await;
    assert!((14_000 - GUESS..14_000).contains(&before), "{before}");
    for _ in 0..4 {
        provider.script(Answer::text("x").with_usage(500, 1_000));
        assert_eq!(call(&client, 1_000).await.status, 200);
    }
    let after = left(&provider, &client).await;
    assert!((before - after).abs_diff(6_002) <= GUESS, "{before} − {after}");
    // What failed is given back.
    for _ in 0..10 {
        provider.script(Answer::fault(500));
        assert!(call(&client, 1_000).await.status.is_server_error());
    }
    let failed = left(&provider, &client).await;
    assert!(after.abs_diff(failed) <= GUESS, "{after} − {failed}");
    // What was under way at a crash holds nothing back. What was settled is stored shortly after, and for a report at
    // once.
    let operator = server.http().unwrap().with_bearer(&server.admin_token().unwrap());
    let report = operator
        .unwrap()
        .get("/admin/api/v1/budgets?by=model")
        .send()
        .await;
    assert_eq!(report.unwrap().status, 200);
    let hold = provider.hold();
    let asked = provider.stats().requests;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = json!({ "model": "auto", "max_tokens": 1_000, "messages": [{ "role": "user", "content": "hi" }] });
                client.post("/v1/chat/completions").json(&body).send().await.ok();
            })
        })
        .collect();
    provider.wait_for_requests(asked + 4, LONG).await.unwrap();
    server.kill().await.unwrap();
    for caller in callers {
        caller.await.unwrap();
    }
    drop(hold);
    server.start_again().await.unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let again = left(&provider, &client).await;
    assert!(failed.abs_diff(again) <= GUESS, "{failed} − {again}");
}

#[tokio::test]
async fn a_caller_who_leaves_pays_for_what_was_said_and_no_more() {
    let (provider, server, client) =
        api_world(|setup| limited(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", "14000")).await;
    let before = left(&provider, &client).await;
    let words: Vec<String> = (0..10_000).map(|number| format!("word{number} ")).collect();
    provider.script(Answer::pieces(words).with_gap(std::time::Duration::from_millis(5)));
    let body = json!({
        "model": "auto", "stream": true, "max_tokens": 5_000,
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let mut reader = client
        .post("/v1/chat/completions")
        .json(&body)
        .stream()
        .await
        .unwrap();
    for _ in 0..40 {
        reader.next_event().await.unwrap().unwrap();
    }
    drop(reader);
    provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
    super::comes_to_pass("the worker is free", || async {
        super::metric(&server, "activeWorkers").await == 0
    })
    .await;
    let after = left(&provider, &client).await;
    let spent = before - after;
    assert!((60..1_500).contains(&spent), "{spent} for about forty words");
}
