//! The mock provider answers as it was told.

use bytes::Bytes;
use openclaw_testkit::{Answer, Content, End, HttpClient, MockOptions, MockProvider, SseReader};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn question(model: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "first"}, {"role": "user", "content": "hello \"there\""}],
    })
}

async fn streamed(provider: &MockProvider, model: &str) -> SseReader {
    let client = HttpClient::new(&provider.base_url()).unwrap();
    client
        .post("/chat/completions")
        .json(&question(model, true))
        .within(LIMIT)
        .stream()
        .await
        .unwrap()
}

/// The text of a stream and whether it ended with `[DONE]`.
async fn text_of(mut stream: SseReader) -> (String, bool) {
    let (mut text, mut done) = (String::new(), false);
    while let Some(event) = stream.next_event().await.unwrap() {
        if event.data == "[DONE]" {
            done = true;
        } else {
            let value: Value = serde_json::from_str(&event.data).unwrap();
            text += value["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default();
        }
    }
    (text, done)
}

#[tokio::test]
async fn an_echo_holds_the_last_user_message_unchanged_streamed_and_whole() {
    let provider = MockProvider::start().await.unwrap();
    let (text, done) = text_of(streamed(&provider, "mock-echo").await).await;
    assert_eq!((text.as_str(), done), ("echo: hello \"there\"", true));

    let client = HttpClient::new(&provider.base_url()).unwrap();
    let reply = client
        .post("/chat/completions")
        .json(&question("mock-echo", false))
        .send()
        .await
        .unwrap();
    let answer = reply.json().unwrap();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "echo: hello \"there\""
    );
    assert_eq!(answer["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn scripted_answers_come_in_order_and_a_rule_comes_before_them() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::pieces(["one ", "two"]));
    provider.script(Answer::text("three"));
    provider.answer_with(|request| (request.model() == "ruled").then(|| Answer::text("by rule")));
    assert_eq!(text_of(streamed(&provider, "ruled").await).await.0, "by rule");
    assert_eq!(text_of(streamed(&provider, "m").await).await.0, "one two");
    assert_eq!(text_of(streamed(&provider, "m").await).await.0, "three");
    assert_eq!(text_of(streamed(&provider, "m-c2").await).await.0, "lorem ipsum ");
    let models: Vec<_> = provider
        .requests()
        .iter()
        .map(|request| request.model().to_owned())
        .collect();
    assert_eq!(models, ["ruled", "m", "m", "m-c2"]);
}

#[tokio::test]
async fn a_cut_stream_is_an_error_and_never_looks_finished() {
    let provider = MockProvider::start().await.unwrap();
    let mut stream = streamed(&provider, "mock-c9-k2").await;
    let mut events = 0;
    while let Ok(event) = stream.next_event().await {
        assert_ne!(event.expect("a cut body does not end").data, "[DONE]");
        events += 1;
    }
    assert_eq!(events, 2);
    assert_eq!(provider.stats().faults, 1);
}

#[tokio::test]
async fn an_error_inside_a_stream_follows_the_pieces_and_nothing_follows_it() {
    let provider = MockProvider::start().await.unwrap();
    let events = streamed(&provider, "mock-c9-e2").await.collect().await.unwrap();
    assert_eq!(events.len(), 3);
    assert!(events[2].data.contains("mock mid-stream failure"), "{events:?}");
}

#[tokio::test]
async fn a_refusal_has_the_status_the_words_and_the_time() {
    let provider = MockProvider::start().await.unwrap();
    let client = HttpClient::new(&provider.base_url()).unwrap();
    let ask = client
        .post("/chat/completions")
        .json(&question("mock-f429-a7", true));
    let reply = ask.send().await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(reply.json().unwrap()["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_noticed_even_between_pieces() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::new(Content::Words(2)).with_gap(Duration::from_secs(3600)));
    let mut stream = streamed(&provider, "m").await;
    stream.next_event().await.unwrap();
    drop(stream);
    let stats = provider
        .wait_until(LIMIT, |stats| stats.in_flight == 0)
        .await
        .unwrap();
    assert_eq!((stats.disconnects, stats.chunks), (1, 1));
}

#[tokio::test]
async fn a_hold_keeps_requests_waiting_until_the_last_one_is_dropped() {
    let provider = MockProvider::start().await.unwrap();
    let (first, second) = (provider.hold(), provider.hold());
    let waiting = tokio::spawn({
        let client = HttpClient::new(&provider.base_url()).unwrap();
        async move {
            client
                .post("/chat/completions")
                .json(&question("m-c1", false))
                .send()
                .await
        }
    });
    provider.wait_for_requests(1, LIMIT).await.unwrap();
    drop(first);
    assert_eq!(provider.stats().in_flight, 1);
    assert!(!waiting.is_finished());
    drop(second);
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn raw_frames_arrive_as_they_are() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::new(Content::Raw {
        status: 502,
        content_type: "text/html".into(),
        frames: vec![Bytes::from_static(b"<html>"), Bytes::from_static(b"\xff\x00")],
    }));
    let client = HttpClient::new(&provider.base_url()).unwrap();
    let reply = client
        .post("/chat/completions")
        .json(&question("m", true))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (reply.status.as_u16(), reply.body.as_ref()),
        (502, b"<html>\xff\x00".as_ref())
    );
}

#[tokio::test]
async fn the_other_two_formats_end_as_their_providers_end_them() {
    let provider = MockProvider::start().await.unwrap();
    provider.script(Answer::text("hi").with_end(End::Complete).with_usage(5, 6));
    let client = HttpClient::new(&format!("http://{}", provider.address())).unwrap();
    let anthropic = client
        .post("/v1/messages")
        .json(&question("m", true))
        .send()
        .await
        .unwrap()
        .text();
    assert!(
        anthropic.contains("\"text\":\"hi\"") && anthropic.ends_with("\"message_stop\"}\n\n"),
        "{anthropic}"
    );
    assert!(anthropic.contains("\"output_tokens\":6"), "{anthropic}");
    let ollama = client
        .post("/api/chat")
        .json(&question("m-c1", true))
        .send()
        .await
        .unwrap()
        .text();
    let last: Value = serde_json::from_str(ollama.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["eval_count"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn the_oldest_requests_are_forgotten_first_and_what_is_not_json_is_refused() {
    let options = MockOptions {
        remember: 2,
        ..MockOptions::default()
    };
    let provider = MockProvider::start_with(options).await.unwrap();
    let client = HttpClient::new(&provider.base_url()).unwrap();
    for model in ["a-c1", "b-c1", "c-c1"] {
        client
            .post("/chat/completions")
            .json(&question(model, false))
            .send()
            .await
            .unwrap();
    }
    let kept: Vec<_> = provider
        .requests()
        .iter()
        .map(|request| request.model().to_owned())
        .collect();
    assert_eq!(kept, ["b-c1", "c-c1"]);
    assert_eq!(
        client
            .post("/chat/completions")
            .body("{")
            .send()
            .await
            .unwrap()
            .status,
        400
    );
    assert_eq!(provider.stats().requests, 3);
}
