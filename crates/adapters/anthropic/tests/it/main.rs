//! The adapter against a provider on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

use futures::StreamExt;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort};
use openclaw_anthropic::{AnthropicConfig, AnthropicModel};
use openclaw_core::{
    ChatMessage, Clock, CorrelationId, ModelEvent, ModelId, Role, Secret, StopReason, TokenUsage,
};
use openclaw_http_client::HttpClientConfig;
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_testkit::{Answer, MockProvider};
use std::sync::Arc;
use std::time::Duration;

fn adapter(base_url: &str) -> AnthropicModel {
    let mut config = AnthropicConfig::new("p".parse().unwrap(), Some(Secret::new("sk-hush")));
    config.base_url = base_url.into();
    config.headers = vec![("anthropic-beta".into(), Secret::new("new-thing"))];
    let client = HttpClientConfig::default().build().unwrap();
    AnthropicModel::new(config, client, Arc::new(SystemClock::new())).unwrap()
}

async fn open(adapter: &AnthropicModel) -> Result<openclaw_ai_fabric::ModelStream, ModelError> {
    let id = CorrelationId::new(SystemClock::new().now(), &SystemRandom);
    let messages = vec![
        ChatMessage::text(Role::System, "be kind"),
        ChatMessage::text(Role::User, "Hello"),
    ];
    let model: ModelId = "claude".parse().unwrap();
    adapter.stream(&model, &ChatRequest::new(messages, 64), id).await
}

async fn ask(adapter: &AnthropicModel) -> Result<Vec<Result<ModelEvent, ModelError>>, ModelError> {
    let said = |event: &Result<ModelEvent, ModelError>| !matches!(event, Ok(ModelEvent::Ping));
    let stream = open(adapter).await?;
    Ok(stream
        .filter(|event| std::future::ready(said(event)))
        .collect()
        .await)
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.into())
}

#[tokio::test]
async fn a_call_carries_key_version_and_request_and_its_answer_is_decoded() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::pieces(["Good ", "morning!"]).with_usage(7, 3));
    let events = ask(&adapter(&provider.base_url())).await.unwrap();
    let usage = TokenUsage {
        input_tokens: 7,
        output_tokens: 3,
        estimated: false,
    };
    assert_eq!(
        events,
        [
            Ok(text("Good ")),
            Ok(text("morning!")),
            Ok(ModelEvent::Usage(usage)),
            Ok(ModelEvent::Stop(StopReason::EndTurn)),
        ]
    );
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.header("x-api-key"), Some("sk-hush"));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("anthropic-beta"), Some("new-thing"));
    assert_eq!(
        (&request.body["system"], &request.body["max_tokens"]),
        (&"be kind".into(), &64.into())
    );
    assert_eq!(request.last_user_text().as_deref(), Some("Hello"));
}

#[tokio::test]
async fn the_address_is_taken_with_and_without_its_version() {
    let provider = MockProvider::start().await.unwrap();
    let bare = format!("http://{}/", provider.address());
    for base_url in [bare, provider.base_url()] {
        ask(&adapter(&base_url)).await.unwrap();
    }
    assert!(
        provider
            .requests()
            .iter()
            .all(|request| request.path == "/v1/messages")
    );
}

#[tokio::test]
async fn connections_are_used_again() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    for _ in 0..5 {
        ask(&adapter).await.unwrap();
    }
    assert_eq!(provider.stats().connections, 1);
}

#[tokio::test]
async fn refusals_are_told_apart_and_name_neither_key_nor_address() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    provider.script(Answer::rate_limited(2));
    let limited = ModelError::RateLimited {
        retry_after: Some(Duration::from_secs(2)),
    };
    assert_eq!(ask(&adapter).await, Err(limited));
    let server = |status| ModelError::Server {
        status,
        retry_after: None,
    };
    for (status, expected) in [
        (401, ModelError::Unauthorized { status: 401 }),
        (404, ModelError::UnknownModel),
        (500, server(500)),
        (503, ModelError::Overloaded { retry_after: None }),
        (529, ModelError::Overloaded { retry_after: None }),
    ] {
        provider.script(Answer::fault(status));
        assert_eq!(ask(&adapter).await, Err(expected));
    }
    let gone = self::adapter("http://127.0.0.1:1");
    let error = ask(&gone).await.unwrap_err();
    assert!(matches!(error, ModelError::Connect { .. }));
    let shown = format!("{error} {error:?} {gone:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn every_fault_of_a_configuration_is_named_and_no_secret_is_shown() {
    let mut config = AnthropicConfig::new("p".parse().unwrap(), Some(Secret::new("hush\n")));
    config.base_url = "https://u:hush@x".into();
    config.headers = vec![("bad name".into(), Secret::new("hush"))];
    config.default_max_tokens = 0;
    let client = HttpClientConfig::default().build().unwrap();
    let error = AnthropicModel::new(config, client, Arc::new(SystemClock::new())).unwrap_err();
    assert_eq!(error.violations.len(), 4);
    assert!(!error.to_string().contains("hush"));
}
