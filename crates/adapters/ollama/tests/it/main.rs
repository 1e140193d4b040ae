//! The adapter against an Ollama on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

use futures::StreamExt;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_core::testing::ManualClock;
use openclaw_core::{ChatMessage, Clock, CorrelationId, ModelEvent, ModelId, Role, StopReason, TokenUsage};
use openclaw_http_client::HttpClientConfig;
use openclaw_ollama::{Discovered, OllamaConfig, OllamaModel, discover};
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_testkit::{Answer, Content, MockProvider};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(60);

fn adapter(base_url: &str) -> OllamaModel {
    let config = OllamaConfig::new("p".parse().unwrap(), base_url);
    let client = HttpClientConfig::default().build().unwrap();
    OllamaModel::new(config, client, Arc::new(SystemClock::new())).unwrap()
}

async fn open(adapter: &OllamaModel) -> Result<ModelStream, ModelError> {
    let id = CorrelationId::new(SystemClock::new().now(), &SystemRandom);
    let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "Hello")], 64);
    let model: ModelId = "llama3.2:1b".parse().unwrap();
    adapter.stream(&model, &request, id).await
}

async fn ask(adapter: &OllamaModel) -> Result<Vec<Result<ModelEvent, ModelError>>, ModelError> {
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

/// Answers one request with this and closes; returns where.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(connection.read(&mut request).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n";
        connection
            .write_all([head, answer].concat().as_bytes())
            .await
            .unwrap();
    });
    base_url
}

#[tokio::test]
async fn a_call_is_answered_in_lines_that_are_decoded() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::pieces(["Good ", "morning!"]).with_usage(7, 3));
    let events = ask(&adapter(&format!("http://{}", provider.address())))
        .await
        .unwrap();
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
    assert_eq!(request.path, "/api/chat");
    assert_eq!(request.model(), "llama3.2:1b");
    assert_eq!(request.body["options"]["num_predict"], 64);
    assert_eq!(request.last_user_text().as_deref(), Some("Hello"));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&format!("http://{}", provider.address()));
    for (status, expected) in [
        (404, ModelError::UnknownModel),
        (503, ModelError::Overloaded { retry_after: None }),
        (
            500,
            ModelError::Server {
                status: 500,
                retry_after: None,
            },
        ),
    ] {
        provider.script(Answer::fault(status));
        assert_eq!(ask(&adapter).await, Err(expected));
    }
    let gone = self::adapter("http://127.0.0.1:1");
    assert!(matches!(ask(&gone).await, Err(ModelError::Connect { .. })));
}

#[tokio::test]
async fn calls_of_two_answers_never_share_an_id() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&format!("http://{}", provider.address()));
    let line = r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},"done":true}"#;
    let mut ids = Vec::new();
    for _ in 0..2 {
        provider.script(Answer::new(Content::Raw {
            status: 200,
            content_type: "application/x-ndjson".into(),
            frames: vec![line.into()],
        }));
        let events = ask(&adapter).await.unwrap();
        assert_eq!(events.last(), Some(&Ok(ModelEvent::Stop(StopReason::ToolUse))));
        let Some(Ok(ModelEvent::ToolUseStart { id, .. })) = events.first() else {
            panic!("{events:?}");
        };
        ids.push(id.clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn an_ollama_is_found_with_its_models_and_nothing_else_is_taken_for_one() {
    let client = HttpClientConfig::default().build().unwrap();
    let clock = SystemClock::new();
    let base_url = answering(r#"{"models":[{"name":"qwen3:8b","size":1},{"name":"llama3.2:1b"}]}"#).await;
    let models = vec!["qwen3:8b".parse().unwrap(), "llama3.2:1b".parse().unwrap()];
    let found = discover(&client, &base_url, LIMIT, &clock).await;
    assert_eq!(
        found,
        Some(Discovered {
            models: models.clone()
        })
    );
    let base_url = answering(r#"{"hello":"world"}"#).await;
    assert_eq!(discover(&client, &base_url, LIMIT, &clock).await, None);
    assert_eq!(discover(&client, "http://127.0.0.1:1", LIMIT, &clock).await, None);
    let base_url = answering(r#"{"models":[{"name":"qwen3:8b"},{"name":"llama3.2:1b"}]}"#).await;
    assert_eq!(adapter(&base_url).models().await, Ok(Some(models)));
}

#[tokio::test]
async fn nobody_waits_longer_for_an_answer_than_they_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let client = HttpClientConfig::default().build().unwrap();
    let clock = ManualClock::new();
    let waiting = discover(&client, &base_url, Duration::from_millis(300), clock.as_ref());
    let waiting = std::pin::pin!(waiting);
    let arrival = std::pin::pin!(listener.accept());
    // The question has arrived and is not answered.
    let waiting = match futures::future::select(waiting, arrival).await {
        futures::future::Either::Left((found, _)) => panic!("{found:?}"),
        futures::future::Either::Right((_, waiting)) => waiting,
    };
    clock.advance(Duration::from_millis(300));
    assert_eq!(waiting.await, None);
}

#[test]
fn every_fault_of_a_configuration_is_named() {
    let mut config = OllamaConfig::new("p".parse().unwrap(), "ftp://u:hush@x");
    config.context_tokens = Some(0);
    let client = HttpClientConfig::default().build().unwrap();
    let error = OllamaModel::new(config, client, Arc::new(SystemClock::new())).unwrap_err();
    assert_eq!(error.violations.len(), 2);
    assert!(!error.to_string().contains("hush"));
}
