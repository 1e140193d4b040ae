//! Errors of a turn: the answer of `/v1`, and the end of a turn in the stream of a chat.

use super::Again::{After, Unsaid};
use super::{Row, row};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, Content, HttpClient, ServerProcess, ServerSetup};
use serde_json::{Value, json};

/// Nothing is tried again, so that one answer of the provider is one failure.
fn once(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
        .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000")
}

/// The problem a turn of a new chat ends with.
async fn end_of_turn(client: &HttpClient) -> Value {
    let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
    let chat = format!("/api/v1/chats/{}", opened["chatId"].as_str().unwrap());
    let mut events = client
        .get(&format!("{chat}/events"))
        .within(LONG)
        .stream()
        .await
        .unwrap();
    let posted = client
        .post(&format!("{chat}/messages"))
        .json(&json!({ "text": "hi" }))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status, 202, "{}", posted.text());
    loop {
        let event = events.next_event().await.unwrap().expect("the turn ends first");
        assert_ne!(event.event, "turn.finished", "{}", event.data);
        if event.event == "turn.failed" {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!(data["turnId"], posted.json().unwrap()["turnId"]);
            return data["problem"].clone();
        }
    }
}

/// The same failure on both surfaces.
async fn fails(server: &ServerProcess, client: &HttpClient, row: Row) {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = client
        .post("/v1/chat/completions")
        .json(&body)
        .within(LONG)
        .send()
        .await
        .unwrap();
    row.is_openai(&reply);
    let problem = end_of_turn(client).await;
    row.is_problem(&problem, &server.http().unwrap()).await;
    assert!(
        problem["correlationId"].as_str().is_some_and(|id| id.len() == 36),
        "{problem}"
    );
    for text in [reply.text(), problem.to_string()] {
        assert!(
            !text.contains("mock-provider") && !text.contains("127.0.0.1"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_a_provider_does_wrong_has_its_row_and_none_of_its_words() {
    let (provider, server, client) = api_world(once).await;
    let refused = |status: u16, code: &str| {
        let error = json!({ "error": { "message": "mock-provider says no", "type": "invalid_request_error", "code": code } });
        Answer::new(Content::Raw {
            status,
            content_type: "application/json".to_owned(),
            frames: vec![error.to_string().into()],
        })
    };
    let cases: Vec<(Answer, Row)> = vec![
        (
            Answer::fault(500),
            row(502, "ALL_MODELS_FAILED", "provider_unavailable", Unsaid),
        ),
        (
            Answer::fault(400),
            row(400, "MODEL_BAD_REQUEST", "invalid_request", Unsaid),
        ),
        (
            refused(400, "context_length_exceeded"),
            row(400, "MODEL_CONTEXT_TOO_LONG", "context_length_exceeded", Unsaid),
        ),
        (
            refused(400, "content_filter"),
            row(400, "MODEL_CONTENT_REFUSED", "content_filter", Unsaid),
        ),
        // The last, because the provider is left alone for as long as it asked.
        (
            Answer::rate_limited(7),
            row(502, "ALL_MODELS_FAILED", "provider_unavailable", After),
        ),
    ];
    for (answer, row) in cases {
        provider.answer_with(move |_| Some(answer.clone()));
        fails(&server, &client, row).await;
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_has_its_row() {
    let (provider, server, client) =
        api_world(|setup| once(setup).env("OPENCLAW__CONCURRENCY__WORKER_TIMEOUT_MS", "1000")).await;
    provider.answer_with(|_| Some(Answer::mute()));
    fails(&server, &client, row(504, "WORKER_TIMEOUT", "timeout", Unsaid)).await;
}

#[tokio::test]
async fn a_budget_used_up_before_a_turn_has_its_row_in_the_stream() {
    let (provider, server, client) = api_world(|setup| {
        once(setup)
            .env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", "2500")
            .env("OPENCLAW__AI_FABRIC__BUDGET_SCOPE", "user")
    })
    .await;
    // The first answer costs nearly all of it.
    provider.script(Answer::pieces(["ok"]).with_usage(2_300, 100));
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let spent = client.post("/v1/chat/completions").json(&body).send().await;
    assert_eq!(spent.unwrap().status, 200);
    let problem = end_of_turn(&client).await;
    let row = row(429, "TOKEN_BUDGET_EXCEEDED", "insufficient_quota", After);
    row.is_problem(&problem, &server.http().unwrap()).await;
    assert_eq!(provider.stats().requests, 1);
}

#[tokio::test]
async fn a_budget_too_small_for_any_turn_has_its_row_in_the_stream() {
    let (provider, server, client) =
        api_world(|setup| once(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", "10")).await;
    let problem = end_of_turn(&client).await;
    let row = row(429, "TOKEN_BUDGET_TOO_SMALL", "insufficient_quota", Unsaid);
    row.is_problem(&problem, &server.http().unwrap()).await;
    assert_eq!(provider.stats().requests, 0);
}

#[tokio::test]
async fn a_worker_that_dies_is_an_error_of_ours_that_says_no_more_than_its_id() {
    let (_provider, server, client) = api_world(|setup| {
        once(setup)
            .env("OPENCLAW__CONCURRENCY__RUNTIME", "process")
            .env("OPENCLAW__CONCURRENCY__COMMAND", r#"["/bin/sh", "-c", "exit 3"]"#)
    })
    .await;
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let reply = client
        .post("/v1/chat/completions")
        .json(&body)
        .within(LONG)
        .send()
        .await
        .unwrap();
    row(500, "", "internal_error", Unsaid).is_openai(&reply);
    let problem = end_of_turn(&client).await;
    assert_eq!(
        (problem["status"].as_u64(), problem["type"].as_str()),
        (Some(500), Some("/problems/internal")),
        "{problem}"
    );
    let opened = server.http().unwrap().get("/problems/internal").send().await;
    assert_eq!(opened.unwrap().status, 200);
}
