//! Errors a request is answered with at once.

use super::Again::{After, Unsaid};
use super::{Row, row};
use crate::setup::{LONG, api_world, one_place};
use openclaw_testkit::{HttpClient, RequestBuilder, ServerProcess, ServerSetup};
use rustix::process::Signal;
use serde_json::{Value, json};

const INVALID: Row = row(400, "VALIDATION", "invalid_request", Unsaid);
const UNAUTHORIZED: Row = row(401, "UNAUTHORIZED", "invalid_api_key", Unsaid);
const FORBIDDEN: Row = row(403, "FORBIDDEN", "forbidden", Unsaid);
const NOT_FOUND: Row = row(404, "NOT_FOUND", "not_found", Unsaid);
const NOT_ALLOWED: Row = row(405, "METHOD_NOT_ALLOWED", "method_not_allowed", Unsaid);
const TOO_LARGE: Row = row(413, "TOO_LARGE", "too_large", Unsaid);
const WRONG_TYPE: Row = row(415, "UNSUPPORTED_MEDIA_TYPE", "unsupported_media_type", Unsaid);
const MISMATCH: Row = row(422, "IDEMPOTENCY_MISMATCH", "idempotency_mismatch", Unsaid);
const RATE: Row = row(429, "RATE_LIMIT", "rate_limit_exceeded", After);
const BUDGET: Row = row(429, "TOKEN_BUDGET_EXCEEDED", "insufficient_quota", After);
const OVERLOADED: Row = row(503, "BACKPRESSURE", "overloaded", After);
const INBOX: Row = row(503, "INBOX_FULL", "overloaded", After);
const STOPPING: Row = row(503, "SHUTTING_DOWN", "shutting_down", After);

/// A question to `/v1`.
fn question() -> Value {
    json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] })
}

fn ask(client: &HttpClient) -> RequestBuilder {
    client.post("/v1/chat/completions").json(&question())
}

async fn open(client: &HttpClient) -> String {
    let reply = client.post("/api/v1/chats").send().await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let chat = reply.json().unwrap()["chatId"].as_str().unwrap().to_owned();
    format!("/api/v1/chats/{chat}/messages")
}

fn say(client: &HttpClient, messages: &str) -> RequestBuilder {
    client.post(messages).json(&json!({ "text": "hi" }))
}

/// A client with a new key; `fields` as the admin API takes them.
async fn key(server: &ServerProcess, fields: Value) -> HttpClient {
    let admin = server.http().unwrap().post("/admin/api/v1/keys");
    let made = admin.bearer(&server.admin_token().unwrap()).json(&fields);
    let made = made.send().await.unwrap().json().unwrap();
    server
        .http()
        .unwrap()
        .with_bearer(made["key"].as_str().unwrap_or_else(|| panic!("{made}")))
        .unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_a_request_has_its_row_on_every_surface() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let anybody = server.http().unwrap();
    let admin = anybody
        .clone()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    let messages = open(&client).await;
    let large = "x".repeat(2 << 20);
    let first = say(&client, &messages)
        .header("idempotency-key", "k")
        .send()
        .await;
    assert_eq!(first.unwrap().status, 202);

    let native: Vec<(RequestBuilder, Row)> = vec![
        (client.post(&messages).json(&json!({ "text": "" })), INVALID),
        (client.get(&format!("{messages}?limit=0")), INVALID),
        (
            admin.post("/admin/api/v1/keys").json(&json!({ "tier": "gold" })),
            INVALID,
        ),
        (say(&anybody, &messages), UNAUTHORIZED),
        (say(&anybody, &messages).bearer("oc_live_wrong"), UNAUTHORIZED),
        (
            say(&anybody, &messages).header("x-api-key", "wrong"),
            UNAUTHORIZED,
        ),
        (client.get("/admin/api/v1/status"), UNAUTHORIZED),
        (
            anybody
                .post("/api/v1/chats")
                .header("origin", "https://evil.example"),
            FORBIDDEN,
        ),
        (say(&client, "/api/v1/chats/none/messages"), NOT_FOUND),
        (client.get("/nothing"), NOT_FOUND),
        (client.get("/problems/none"), NOT_FOUND),
        (admin.delete("/admin/api/v1/keys/none"), NOT_FOUND),
        (client.post("/api/v1/usage"), NOT_ALLOWED),
        (admin.delete("/admin/api/v1/status"), NOT_ALLOWED),
        (client.post(&messages).body(large.clone()), TOO_LARGE),
        (
            client
                .post(&messages)
                .json(&json!({ "text": "x".repeat((64 << 10) + 1) })),
            TOO_LARGE,
        ),
        (client.post("/api/v1/chats").body(large.clone()), TOO_LARGE),
        (
            client
                .post(&messages)
                .header("content-type", "text/plain")
                .body("hi"),
            WRONG_TYPE,
        ),
        (
            client
                .post(&messages)
                .header("idempotency-key", "k")
                .json(&json!({ "text": "else" })),
            MISMATCH,
        ),
    ];
    for (request, row) in native {
        row.is_native(&request.send().await.unwrap(), &anybody).await;
    }

    let openai: Vec<(RequestBuilder, Row)> = vec![
        (
            client
                .post("/v1/chat/completions")
                .json(&json!({ "model": "auto" })),
            INVALID,
        ),
        (client.post("/v1/chat/completions").body("{"), INVALID),
        (ask(&anybody), UNAUTHORIZED),
        (ask(&anybody).bearer("oc_live_wrong"), UNAUTHORIZED),
        (anybody.get("/v1/models"), UNAUTHORIZED),
        (client.get("/v1/nothing"), NOT_FOUND),
        (
            client.get("/v1/models/none"),
            row(404, "MODEL_UNKNOWN", "model_not_found", Unsaid),
        ),
        (client.get("/v1/chat/completions"), NOT_ALLOWED),
        (client.post("/v1/chat/completions").body(large), TOO_LARGE),
    ];
    for (request, row) in openai {
        row.is_openai(&request.send().await.unwrap());
    }
    assert!(provider.stats().requests <= 1, "what is refused asks no model");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let seldom = |setup: ServerSetup| {
        ["API", "WEB"].into_iter().fold(setup, |setup, platform| {
            setup
                .env(
                    &format!("OPENCLAW__MESSENGER__RATE_LIMITS__{platform}__RPS"),
                    "0.001",
                )
                .env(
                    &format!("OPENCLAW__MESSENGER__RATE_LIMITS__{platform}__BURST_SIZE"),
                    "1",
                )
        })
    };
    let (_provider, server, _) = api_world(seldom).await;
    let anybody = server.http().unwrap();
    let limited = key(&server, json!({ "user": "ann", "tier": "standard" })).await;
    assert_eq!(ask(&limited).send().await.unwrap().status, 200);
    RATE.is_openai(&ask(&limited).send().await.unwrap());
    RATE.is_native(&limited.get("/api/v1/chats").send().await.unwrap(), &anybody)
        .await;
    let opened = anybody.post("/api/v1/chats").send().await.unwrap();
    let cookie = opened
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let refused = anybody
        .get("/api/v1/chats")
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    RATE.is_native(&refused, &anybody).await;
}

#[tokio::test]
async fn a_used_up_budget_says_until_when() {
    let (provider, server, _) = api_world(|setup| setup).await;
    let spender = key(
        &server,
        json!({ "user": "bob", "tier": "free", "unlimited": true }),
    )
    .await;
    provider.script(openclaw_testkit::Answer::text("done").with_usage(4_900, 5_000));
    assert_eq!(ask(&spender).send().await.unwrap().status, 200);
    let refused = ask(&spender).send().await.unwrap();
    BUDGET.is_openai(&refused);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn a_server_at_capacity_has_its_row_on_both_surfaces() {
    let (provider, server, client) = api_world(one_place).await;
    let anybody = server.http().unwrap();
    let (first, second, third) = (open(&client).await, open(&client).await, open(&client).await);
    let _hold = provider.hold();
    assert_eq!(say(&client, &first).send().await.unwrap().status, 202);
    provider.wait_for_requests(1, LONG).await.unwrap();
    assert_eq!(say(&client, &second).send().await.unwrap().status, 202);
    OVERLOADED
        .is_native(&say(&client, &third).send().await.unwrap(), &anybody)
        .await;
    OVERLOADED.is_openai(&ask(&client).send().await.unwrap());
}

#[tokio::test]
async fn a_full_inbox_has_its_row() {
    let (provider, server, client) = api_world(|setup| setup.env("OPENCLAW__INBOX__MAX_OPEN", "1")).await;
    let anybody = server.http().unwrap();
    let (first, second) = (open(&client).await, open(&client).await);
    let _hold = provider.hold();
    assert_eq!(say(&client, &first).send().await.unwrap().status, 202);
    INBOX
        .is_native(&say(&client, &second).send().await.unwrap(), &anybody)
        .await;
}

#[tokio::test]
async fn a_call_that_the_stop_cuts_short_is_told_to_go_elsewhere() {
    let (provider, server, client) =
        api_world(|setup| setup.env("OPENCLAW__SERVER__SHUTDOWN_GRACE_MS", "50")).await;
    let _hold = provider.hold();
    let calling = tokio::spawn(ask(&client).send());
    provider.wait_for_requests(1, LONG).await.unwrap();
    server.signal(Signal::TERM).unwrap();
    let refused = calling.await.unwrap().unwrap();
    STOPPING.is_openai(&refused);
    assert_eq!(refused.header("retry-after"), Some("5"));
}
