//! Canaries: no token, key, secret or text of anybody stands in the log, the metrics or an error.

use crate::setup::{LONG, SECRET, without_limits, world};
use openclaw_testkit::Answer;
use openclaw_testkit::fake_telegram::Fault;
use serde_json::json;

#[tokio::test]
async fn no_secret_and_no_text_is_logged_counted_or_told() {
    let world = world(|setup| {
        without_limits(setup)
            .env("LOG_LEVEL", "debug")
            .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
            .env("OPENCLAW_ADMIN_TOKEN", "canary-admin-token-1")
            .env("OPENCLAW_API_KEY", "canary-api-key-0002")
    })
    .await;
    assert_eq!(world.say(1, "canary-question").await, 200);
    world.hears(1, "echo: canary-question").await;
    // Ways to fail, each of which may tempt somebody to say too much.
    world.telegram.fault("sendMessage", Fault::Page { status: 502 });
    world.provider.script(Answer::fault(500));
    assert_eq!(world.say(2, "canary-question").await, 200);
    world
        .hears(
            2,
            "Sorry, the answer could not be produced. Please try again in a minute.",
        )
        .await;
    world
        .telegram
        .post_webhook(
            b"{\"update_id\":\"canary-body\"}".to_vec(),
            &[(openclaw_testkit::fake_telegram::SECRET_HEADER, SECRET.to_owned())],
        )
        .await
        .unwrap();
    let client = world.server.http().unwrap();
    let mut told = String::new();
    for (key, body) in [
        (
            "canary-wrong-key-03",
            json!({ "model": "auto", "messages": [{ "role": "user", "content": "canary-text" }] }),
        ),
        (
            "canary-api-key-0002",
            json!({ "model": "auto", "messages": [{ "role": "canary-role", "content": "canary-text" }] }),
        ),
        (
            "canary-api-key-0002",
            json!({ "model": "auto", "messages": "canary-text" }),
        ),
    ] {
        let reply = client
            .post("/v1/chat/completions")
            .bearer(key)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(reply.status.is_client_error());
        told.push_str(&reply.text());
    }
    world.provider.script(Answer::fault(401));
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "canary-text" }] });
    let reply = client
        .post("/v1/chat/completions")
        .bearer("canary-api-key-0002")
        .json(&body)
        .within(LONG)
        .send()
        .await
        .unwrap();
    told.push_str(&reply.text());
    let metrics = client
        .get("/metrics")
        .bearer("canary-admin-token-1")
        .send()
        .await
        .unwrap()
        .text();
    for canary in [
        "canary-admin",
        "canary-api-key",
        "canary-question",
        "canary-text",
        "canary-body",
        "canary-wrong-key",
        SECRET,
        "fake-token-do-not-log",
        "sk-mock-provider-key",
    ] {
        let log = world.server.log();
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary} is in the log");
        assert!(!metrics.contains(canary), "{canary} is in the metrics");
        // A caller may be shown the value that is wrong with the request, which is the caller's own.
        assert!(
            canary == "canary-text" || !told.contains(canary),
            "{canary} is in an error: {told}"
        );
    }
}
