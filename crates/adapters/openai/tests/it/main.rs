//! The adapter against a provider on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they are called from"
)]

use bytes::Bytes;
use futures::StreamExt;
use openclaw_ai_fabric::{AnswerForm, ChatRequest, ModelError, ModelPort, ProviderRateLimit, RateLimiter};
use openclaw_core::{
    ChatMessage, Clock, CorrelationId, ModelEvent, ModelId, Role, Secret, StopReason, TokenUsage,
};
use openclaw_http_client::HttpClientConfig;
use openclaw_openai::{OpenAiConfig, OpenAiModel};
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_testkit::{Answer, Content, MockProvider};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn adapter(base_url: &str) -> OpenAiModel {
    let mut config = OpenAiConfig::new("p".parse().unwrap(), base_url, Some(Secret::new("sk-hush")));
    config.headers = vec![("X-Folder-Id".into(), Secret::new("folder"))];
    let client = HttpClientConfig::default().build().unwrap();
    OpenAiModel::new(config, client, Arc::new(SystemClock::new())).unwrap()
}

async fn ask(adapter: &OpenAiModel) -> Result<Vec<Result<ModelEvent, ModelError>>, ModelError> {
    let id = CorrelationId::new(SystemClock::new().now(), &SystemRandom);
    let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "Hello")], 64);
    let stream = adapter.stream(&model(), &request, id).await?;
    let said = |event: &Result<ModelEvent, ModelError>| !matches!(event, Ok(ModelEvent::Ping));
    Ok(stream
        .filter(|event| std::future::ready(said(event)))
        .collect()
        .await)
}

fn model() -> ModelId {
    "any".parse().unwrap()
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.into())
}

/// An answer in these pieces of bytes.
fn raw(content_type: &str, frames: impl IntoIterator<Item = Vec<u8>>) -> Answer {
    Answer::new(Content::Raw {
        status: 200,
        content_type: content_type.into(),
        frames: frames.into_iter().map(Bytes::from).collect(),
    })
}

#[tokio::test]
async fn a_call_carries_key_headers_and_request_and_its_answer_is_decoded() {
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
            Ok(ModelEvent::Stop(StopReason::EndTurn)),
            Ok(ModelEvent::Usage(usage)),
        ]
    );
    let request = &provider.requests()[0];
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some("Bearer sk-hush"));
    assert_eq!(request.header("x-folder-id"), Some("folder"));
    assert_eq!(
        (&request.body["model"], &request.body["max_tokens"]),
        (&"any".into(), &64.into())
    );
    assert_eq!(request.body["stream_options"]["include_usage"], true);
    assert_eq!(request.last_user_text().as_deref(), Some("Hello"));
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
    provider.script(Answer::fault(401));
    assert_eq!(ask(&adapter).await, Err(ModelError::Unauthorized { status: 401 }));
    provider.script(Answer::fault(529));
    assert_eq!(
        ask(&adapter).await,
        Err(ModelError::Overloaded { retry_after: None })
    );
    drop(provider);
    let gone = self::adapter("http://127.0.0.1:1/v1");
    let error = ask(&gone).await.unwrap_err();
    assert!(matches!(error, ModelError::Connect { .. }));
    let shown = format!("{error} {error:?} {gone:?}");
    assert!(!shown.contains("hush"), "{shown}");
    assert!(!format!("{error}").contains("127.0.0.1:1/v1"));
}

#[tokio::test]
async fn however_the_bytes_are_cut_the_events_are_the_same() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    let body = concat!(
        ": keep-alive\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"При\"}}]}\n\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"вет 🙂\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
    );
    let mut first = None;
    for size in [1, 2, 3, 7, 1_000] {
        provider.script(raw(
            "text/event-stream",
            body.as_bytes().chunks(size).map(<[u8]>::to_vec),
        ));
        let events = ask(&adapter).await.unwrap();
        assert_eq!(events.len(), 4, "{events:?}");
        assert_eq!(*first.get_or_insert_with(|| events.clone()), events);
    }
}

#[tokio::test]
async fn an_end_without_its_mark_is_a_cut_unless_the_model_had_stopped() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    let said = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
    let stream = |parts: &[&str]| raw("text/event-stream", [parts.concat().into_bytes()]);
    provider.script(stream(&[said]));
    assert_eq!(
        ask(&adapter).await.unwrap(),
        [Ok(text("x")), Err(ModelError::Cut)]
    );
    provider.script(stream(&[said, "data: {\"choi"]));
    assert_eq!(
        ask(&adapter).await.unwrap(),
        [Ok(text("x")), Err(ModelError::Cut)]
    );
    provider.script(stream(&[said, stop]));
    let stopped = Ok(ModelEvent::Stop(StopReason::MaxTokens));
    assert_eq!(ask(&adapter).await.unwrap(), [Ok(text("x")), stopped]);
    provider.script(stream(&[said, "data: {oops\n\n"]));
    let events = ask(&adapter).await.unwrap();
    assert!(
        matches!(events[1], Err(ModelError::Malformed { .. })),
        "{events:?}"
    );
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error() {
    let provider = MockProvider::start().await.unwrap();
    let body = br#"{"error":{"message":"overloaded inside"}}"#.to_vec();
    provider.script(raw("application/json; charset=utf-8", [body]));
    let message = "overloaded inside".to_owned();
    assert_eq!(
        ask(&adapter(&provider.base_url())).await,
        Err(ModelError::InStream { message })
    );
}

#[tokio::test]
async fn an_address_with_a_password_or_a_broken_header_is_refused_without_being_shown() {
    let client = HttpClientConfig::default().build().unwrap();
    let mut config = OpenAiConfig::new("p".parse().unwrap(), "https://u:hush@x/v1", None);
    config.headers = vec![("bad name".into(), Secret::new("hush"))];
    let error = OpenAiModel::new(config, client, Arc::new(SystemClock::new())).unwrap_err();
    assert_eq!(error.violations.len(), 2);
    assert!(!error.to_string().contains("hush"));
}

#[tokio::test]
async fn what_a_provider_says_of_its_quota_reaches_the_limiter() {
    let limiter = Arc::new(RateLimiter::new(Arc::new(SystemClock::new())));
    let limits = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(100),
        ..ProviderRateLimit::default()
    };
    limiter.set_limits(&"p".parse().unwrap(), limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(connection.read(&mut request).await.unwrap() > 0);
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\
            x-ratelimit-remaining-requests: 3\r\nx-ratelimit-reset-requests: 1m\r\n\r\ndata: [DONE]\n\n";
        connection.write_all(answer.as_bytes()).await.unwrap();
    });
    let adapter = adapter(&base_url).with_quota_sink(Arc::clone(&limiter) as _);
    let events = ask(&adapter).await.unwrap();
    assert_eq!(events, [Ok(ModelEvent::Stop(StopReason::EndTurn))]);
    assert_eq!(
        limiter.remaining_quota(&"p".parse().unwrap()).unwrap().requests,
        Some(3)
    );
    server.await.unwrap();
}

async fn ask_whole(adapter: &OpenAiModel) -> Result<Vec<ModelEvent>, ModelError> {
    let id = CorrelationId::new(SystemClock::new().now(), &SystemRandom);
    let mut request = ChatRequest::new(vec![ChatMessage::text(Role::User, "Hello")], 64);
    request.form = AnswerForm::Whole;
    let events: Vec<_> = adapter.stream(&model(), &request, id).await?.collect().await;
    events.into_iter().collect()
}

fn json_answer(body: &str) -> Answer {
    raw("application/json", [body.as_bytes().to_vec()])
}

#[tokio::test]
async fn an_answer_in_one_piece_is_asked_for_and_says_what_a_stream_would() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    provider.script(Answer::pieces(["Good ", "morning!"]).with_usage(7, 3));
    let usage = TokenUsage {
        input_tokens: 7,
        output_tokens: 3,
        estimated: false,
    };
    let (stop, usage) = (ModelEvent::Stop(StopReason::EndTurn), ModelEvent::Usage(usage));
    let events = ask_whole(&adapter).await.unwrap();
    assert_eq!(events, [text("Good morning!"), usage, stop]);
    let body = &provider.requests()[0].body;
    assert_eq!(body["stream"], false);
    assert!(body.get("stream_options").is_none(), "{body}");

    provider.script(json_answer(
        r#"{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]}"#,
    ));
    let calls = [
        ModelEvent::ToolUseStart {
            index: 0,
            id: "c".into(),
            name: "f".into(),
        },
        ModelEvent::ToolArgumentsDelta {
            index: 0,
            delta: "{}".into(),
        },
        ModelEvent::Stop(StopReason::ToolUse),
    ];
    assert_eq!(ask_whole(&adapter).await.unwrap(), calls);
}

#[tokio::test]
async fn a_server_that_streams_an_answer_wanted_in_one_piece_is_understood() {
    let provider = MockProvider::start().await.unwrap();
    let chunk = br#"data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;
    provider.script(raw(
        "text/event-stream",
        [[&chunk[..], b"\n\ndata: [DONE]\n\n"].concat()],
    ));
    let events = ask_whole(&adapter(&provider.base_url())).await.unwrap();
    assert!(events.starts_with(&[text("hi")]), "{events:?}");
}

#[tokio::test]
async fn what_is_no_answer_in_one_piece_is_an_error() {
    let provider = MockProvider::start().await.unwrap();
    let adapter = adapter(&provider.base_url());
    for (body, code) in [
        (r#"{"error": {"message": "overloaded"}}"#, "InStream"),
        (r#"{"detail": "not here"}"#, "Malformed"),
        (r#"{"choices": [{"message": {"content": "ha"#, "Malformed"),
    ] {
        provider.script(json_answer(body));
        let error = ask_whole(&adapter).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(code), "{body}: {error:?}");
    }
}
