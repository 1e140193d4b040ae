//! Providers that fail in the middle, as people and programs see it: `docs/provider-faults.md` has every fault in every
//! wire format, here the main ones go through the server.

use crate::setup::{LONG, World, api_world, without_limits, world};
use openclaw_testkit::{Answer, End, Gate, HttpClient, MockProvider, ServerSetup};
use serde_json::{Value, json};

/// So many pieces of the answer that fails are shown before it does: more than one flush of them.
const BEFORE: u64 = 60;
const STEADY: &str = "The whole answer of the other model.";

/// Two models, one after the other; no retries, so that what is seen is the change of models.
fn chain(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__AI_FABRIC__FALLBACK__PRIMARY_MODEL", "flaky")
        .env("OPENCLAW__AI_FABRIC__FALLBACK__FALLBACKS", "[\"steady\"]")
        .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
}

/// The first model answers so; the other one answers well.
fn stage(provider: &MockProvider, flaky: Answer) {
    provider.answer_with(move |request| {
        Some(match request.model() {
            "flaky" => flaky.clone(),
            _ => Answer::text(STEADY),
        })
    });
}

/// An answer that fails after a few flushes of it, once the gate is open.
fn failing(end: End, gate: &Gate) -> Answer {
    let words = (0..2 * BEFORE).map(|number| format!("wrong{number} "));
    Answer::pieces(words).with_end(end).with_gate(gate)
}

fn asked(provider: &MockProvider) -> Vec<String> {
    let requests = provider.requests();
    requests
        .iter()
        .map(|request| request.model().to_owned())
        .collect()
}

/// What a chat shows is replaced by the next model's answer, in the same message.
async fn replaces(end: End) {
    let world = world(|setup| chain(without_limits(setup))).await;
    let gate = Gate::new();
    stage(&world.provider, failing(end, &gate));
    assert_eq!(world.say(1, "tell me").await, 200);
    world
        .telegram
        .wait_for(|state| state.chat(1).texts().concat().contains("wrong"), LONG)
        .await
        .unwrap();
    gate.open();
    world.hears(1, STEADY).await;
    let chat = world.telegram.chat(1);
    let messages: Vec<_> = chat.messages().collect();
    assert_eq!(messages.len(), 1, "{end:?}: {:?}", chat.texts());
    let before = messages[0].history.concat();
    assert!(before.contains("wrong"), "{end:?}: the message was not the same");
    assert_eq!(asked(&world.provider), ["flaky", "steady"]);
}

#[tokio::test]
async fn a_chat_shows_the_next_models_answer_in_place_of_one_that_was_cut() {
    replaces(End::CutAfter(BEFORE)).await;
    replaces(End::MarkMissingAfter(BEFORE)).await;
}

#[tokio::test]
async fn a_chat_shows_the_next_models_answer_in_place_of_one_with_an_error_inside() {
    replaces(End::ErrorEventAfter(BEFORE)).await;
    replaces(End::MalformedAfter(BEFORE)).await;
}

#[tokio::test]
async fn a_chat_shows_the_next_models_answer_when_one_falls_silent_in_the_middle() {
    let world =
        world(|setup| chain(without_limits(setup)).env("OPENCLAW__AI_FABRIC__IDLE_TIMEOUT_MS", "3000")).await;
    let words = (0..2 * BEFORE).map(|number| format!("wrong{number} "));
    stage(
        &world.provider,
        Answer::pieces(words).with_end(End::SilentAfter(BEFORE)),
    );
    assert_eq!(world.say(1, "tell me").await, 200);
    world.hears(1, STEADY).await;
    assert_eq!(world.telegram.chat(1).texts(), [STEADY]);
    assert_eq!(asked(&world.provider), ["flaky", "steady"]);
    // The one that fell silent was left.
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_chat_is_answered_by_the_next_model_when_one_says_nothing() {
    let world: World = world(|setup| {
        chain(without_limits(setup)).env("OPENCLAW__AI_FABRIC__FIRST_TOKEN_TIMEOUT_MS", "3000")
    })
    .await;
    stage(&world.provider, Answer::mute());
    assert_eq!(world.say(1, "tell me").await, 200);
    world.hears(1, STEADY).await;
    assert_eq!(asked(&world.provider), ["flaky", "steady"]);
    // The one that says nothing was left.
    world
        .provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
}

/// A streamed completion: its text, and every event that is no piece of text.
async fn completion(
    client: &HttpClient,
    model: &str,
    mut at_piece: impl FnMut(u64),
) -> (String, Vec<String>) {
    let mut stream = client
        .post("/v1/chat/completions")
        .json(&json!({
            "model": model, "stream": true,
            "messages": [{ "role": "user", "content": "tell me" }],
        }))
        .within(LONG)
        .stream()
        .await
        .unwrap();
    assert_eq!(stream.status, 200);
    let (mut text, mut pieces, mut others) = (String::new(), 0, Vec::new());
    while let Some(event) = stream.next_event().await.unwrap() {
        let value: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match value["choices"][0]["delta"]["content"].as_str() {
            Some(piece) if !piece.is_empty() => {
                text += piece;
                pieces += 1;
                at_piece(pieces);
            }
            _ => others.push(event.data),
        }
    }
    (text, others)
}

/// The ways to break off in the middle, each in a stream of its own.
async fn breaks_off(provider: &MockProvider, client: &HttpClient, model: &str) {
    for end in [
        End::CutAfter(BEFORE),
        End::MarkMissingAfter(BEFORE),
        End::ErrorEventAfter(BEFORE),
        End::MalformedAfter(BEFORE),
    ] {
        provider.reset();
        let gate = Gate::new();
        stage(provider, failing(end, &gate));
        let (text, others) = completion(client, model, |pieces| {
            if pieces == BEFORE {
                gate.open();
            }
        })
        .await;
        let words: String = (0..BEFORE).map(|number| format!("wrong{number} ")).collect();
        assert_eq!(text, words, "{model} {end:?}");
        let last: Value = serde_json::from_str(others.last().unwrap()).unwrap();
        assert!(
            last["error"]["message"].is_string(),
            "{model} {end:?}: {others:?}"
        );
        assert!(
            !others.iter().any(|data| data == "[DONE]"),
            "{model} {end:?}: {others:?}"
        );
        let finished = others
            .iter()
            .any(|data| data.contains("\"finish_reason\":\"stop\""));
        assert!(!finished, "{model} {end:?}: {others:?}");
        assert_eq!(
            asked(provider),
            ["flaky"],
            "{model} {end:?}: text that was sent cannot be replaced"
        );
    }
}

#[tokio::test]
async fn v1_ends_an_answer_that_broke_off_with_an_error_object_and_without_done() {
    let (provider, _server, client) = api_world(chain).await;
    breaks_off(&provider, &client, "auto").await;
}

#[tokio::test]
async fn v1_does_so_whatever_the_provider_speaks() {
    let provider = MockProvider::start().await.unwrap();
    let origin = provider.origin();
    let (giga, auth) = (provider.gigachat_base_url(), provider.gigachat_auth_url());
    let file = format!(
        r#"
[[ai-fabric.providers]]
id = "claude"
kind = "anthropic"
baseUrl = "{origin}"
apiKey = {{ env = "SOME_KEY" }}
models = [{{ id = "flaky", aliases = ["by-anthropic"] }}]

[[ai-fabric.providers]]
id = "giga"
kind = "gigachat"
baseUrl = "{giga}"
authUrl = "{auth}"
apiKey = {{ env = "SOME_KEY" }}
models = [{{ id = "flaky", aliases = ["by-gigachat"] }}]

[[ai-fabric.providers]]
id = "local"
kind = "ollama"
baseUrl = "{origin}"
models = [{{ id = "flaky", aliases = ["by-ollama"] }}]
"#
    );
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("openclaw.toml"), file).unwrap();
    let setup = ServerSetup::new(crate::BINARY)
        .data_dir(directory.path())
        .env("SOME_KEY", "a2V5OmhhcmQ=")
        .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000");
    let server = setup.start().await.unwrap();
    let key = server.api_key().unwrap();
    let client = server.http().unwrap().with_bearer(&key).unwrap();
    for model in ["by-anthropic", "by-gigachat", "by-ollama"] {
        breaks_off(&provider, &client, model).await;
    }
}

#[tokio::test]
async fn v1_walks_the_chain_as_long_as_nothing_was_sent() {
    let (provider, _server, client) = api_world(|setup| {
        chain(setup)
            .env("OPENCLAW__AI_FABRIC__FIRST_TOKEN_TIMEOUT_MS", "3000")
            .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000")
    })
    .await;
    for flaky in [
        Answer::mute(),
        Answer::text("never").with_end(End::CutAfter(0)),
        Answer::text("never").with_end(End::ErrorEventAfter(0)),
        Answer::text("never").with_end(End::SilentAfter(0)),
        Answer::fault(529),
    ] {
        provider.reset();
        stage(&provider, flaky.clone());
        let (text, others) = completion(&client, "auto", |_| {}).await;
        assert_eq!(text, STEADY, "{flaky:?}");
        assert_eq!(others.last().map(String::as_str), Some("[DONE]"), "{flaky:?}");
        assert_eq!(asked(&provider), ["flaky", "steady"], "{flaky:?}");
    }
    let left = provider.wait_until(LONG, |stats| stats.in_flight == 0).await;
    assert!(left.is_ok(), "{left:?}");
}

#[tokio::test]
async fn v1_says_in_its_status_that_no_model_could_answer() {
    let (provider, _server, client) = api_world(chain).await;
    provider.answer_with(|_| Some(Answer::fault(503)));
    let reply = client
        .post("/v1/chat/completions")
        .json(&json!({
            "model": "auto", "stream": true,
            "messages": [{ "role": "user", "content": "tell me" }],
        }))
        .within(LONG)
        .send()
        .await
        .unwrap();
    assert!(reply.status.is_server_error(), "{}", reply.text());
    assert!(
        reply.json().unwrap()["error"]["message"].is_string(),
        "{}",
        reply.text()
    );
    assert_eq!(asked(&provider), ["flaky", "steady"]);
}
