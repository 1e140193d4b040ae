//! The mock provider, proven with clients that are not ours.

use openclaw_testkit::sdk::{Endpoint, Sdk};
use openclaw_testkit::{Answer, MockProvider};
use serde_json::json;

async fn speaks_with(sdk: Option<Sdk>) {
    let Some(sdk) = sdk else { return };
    let provider = MockProvider::start().await.unwrap();
    let endpoint = Endpoint {
        base_url: provider.base_url(),
        api_key: "sk-mock".into(),
        max_retries: 0,
    };
    let messages = json!([{"role": "user", "content": "привет, \"мир\""}]);

    provider.script(Answer::pieces(["one ", "two"]).with_usage(7, 2));
    let body = json!({
        "model": "m", "messages": messages, "stream": true, "stream_options": {"include_usage": true},
    });
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 2});
    let outcome = sdk.chat(&endpoint, &body).await.unwrap();
    assert_eq!(
        outcome,
        json!({"text": "one two", "pieces": 2, "finish_reason": "stop", "usage": usage})
    );

    let outcome = sdk
        .chat(&endpoint, &json!({"model": "mock-echo", "messages": messages}))
        .await
        .unwrap();
    assert_eq!(outcome["text"], "echo: привет, \"мир\"");

    provider.script(Answer::rate_limited(1));
    let outcome = sdk
        .chat(&endpoint, &json!({"model": "m", "messages": messages}))
        .await
        .unwrap();
    let error = &outcome["error"];
    assert_eq!(
        (&error["class"], &error["status"]),
        (&json!("RateLimitError"), &json!(429)),
        "{outcome}"
    );
    assert_eq!(error["code"], "rate_limit_exceeded");

    let body = json!({"model": "mock-c9-e2", "messages": messages, "stream": true});
    let outcome = sdk.chat(&endpoint, &body).await.unwrap();
    assert_eq!(outcome["error"]["class"], "APIError", "{outcome}");
    assert_eq!(
        provider.requests()[0].header("authorization"),
        Some("Bearer sk-mock")
    );
}

#[tokio::test]
async fn the_sdk_for_python_understands_the_mock() {
    speaks_with(Sdk::python()).await;
}

#[tokio::test]
async fn the_sdk_for_java_script_understands_the_mock() {
    speaks_with(Sdk::java_script()).await;
}
