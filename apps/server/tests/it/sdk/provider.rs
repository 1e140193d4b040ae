//! What the provider answers the scenarios, by the model's name. Names it does not know are read by the mock itself.

use bytes::Bytes;
use openclaw_testkit::{Answer, Content, RecordedRequest};
use serde_json::{Value, json};

/// The rule of the mock.
pub(super) fn answer(request: &RecordedRequest) -> Option<Answer> {
    let model = request.model();
    Some(match model {
        "records-length" => {
            let length = request.last_user_text().map_or(0, |text| text.len());
            Answer::text(length.to_string())
        }
        "patient" | "came-through" => Answer::text("noted"),
        "usage-7-2" => Answer::text("counted").with_usage(7, 2),
        "usage-4900-5000" => Answer::text("spent").with_usage(4_900, 5_000),
        "overspends" => Answer::pieces(["more ", "than ", "there ", "was"]).with_usage(2_000, 10_000),
        "too-long" => Answer {
            finish_reason: "length",
            ..Answer::text("as far as")
        },
        "no-usage" => sent(request, &[json!({ "content": "not counted" })], "stop"),
        "answers-json" => Answer::text(r#"{"city":"Rome","degrees":31}"#),
        "calls-one" => sent(request, &one_call(), "tool_calls"),
        "calls-two" => match results(request) {
            Some(text) => Answer::text(text),
            None => sent(request, &two_calls(), "tool_calls"),
        },
        "calls-in-turn" => match results(request) {
            Some(text) => Answer::text(text),
            None => sent(request, &calls_in_turn(), "tool_calls"),
        },
        "context-too-long" => raw(
            400,
            "application/json",
            vec![
                json!({ "error": { "message": "This model's maximum context length is 5 tokens.",
                "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded" } })
                .to_string(),
            ],
        ),
        "whole-cut" => raw(
            200,
            "application/json",
            vec![r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"mess"#.to_owned()],
        ),
        _ if model.starts_with("records-") => Answer::text("noted"),
        _ => return None,
    })
}

/// What arrives at the provider of the scenario that says everything a model may understand.
pub(super) fn expected_parameters() -> Value {
    json!({
        "model": "records-parameters", "stream": false, "max_tokens": 500, "user": "ann",
        "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["END", "STOP"],
        "frequency_penalty": 0.5, "presence_penalty": -0.5, "logit_bias": { "50256": -100 },
        "response_format": { "type": "json_schema",
            "json_schema": { "name": "place", "strict": true, "schema": { "type": "object", "properties": {} } } },
        "reasoning_effort": "low", "verbosity": "low", "prediction": { "type": "content", "content": "hi" },
        "prompt_cache_key": "k", "safety_identifier": "s", "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1,
    })
}

/// A call in the pieces a provider sends it in.
fn one_call() -> Vec<Value> {
    vec![
        begin(0, "call_a"),
        more(0, r#"{"ci"#),
        more(0, r#"ty":"Ro"#),
        more(0, r#"me"}"#),
    ]
}

/// Two calls whose pieces come mixed.
fn two_calls() -> Vec<Value> {
    vec![
        begin(0, "call_a"),
        more(0, r#"{"city":"#),
        begin(1, "call_b"),
        more(1, r#"{"city":"Осло "#),
        more(0, r#""Rome"}"#),
        more(1, r#"\"N\""}"#),
    ]
}

/// Two calls, the second after the first is complete: what the SDKs' own helpers expect.
fn calls_in_turn() -> Vec<Value> {
    let mut calls = one_call();
    calls.extend([
        begin(1, "call_b"),
        more(1, r#"{"city":"Осло "#),
        more(1, r#"\"N\""}"#),
    ]);
    calls
}

fn begin(index: usize, id: &str) -> Value {
    json!({ "tool_calls": [{ "index": index, "id": id, "type": "function",
        "function": { "name": "weather", "arguments": "" } }] })
}

fn more(index: usize, arguments: &str) -> Value {
    json!({ "tool_calls": [{ "index": index, "function": { "arguments": arguments } }] })
}

/// The results of tools in the conversation, once there are any.
fn results(request: &RecordedRequest) -> Option<String> {
    let messages = request.body["messages"].as_array()?;
    let results: Vec<String> = messages
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| {
            let text = |field: &str| message[field].as_str().unwrap_or_default();
            format!("{}: {}", text("tool_call_id"), text("content"))
        })
        .collect();
    // Each result answers a call that the conversation still holds.
    let held = messages
        .iter()
        .flat_map(|message| message["tool_calls"].as_array())
        .flatten();
    (!results.is_empty() && held.count() == results.len()).then(|| results.join("; "))
}

/// These deltas, as a stream or gathered into one answer, as it was asked for; without usage.
fn sent(request: &RecordedRequest, deltas: &[Value], finish: &str) -> Answer {
    let chunk = |delta: &Value, finish: Value| {
        json!({ "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": request.model(),
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
    };
    if request.body["stream"] == true {
        let mut frames: Vec<String> = deltas
            .iter()
            .map(|delta| format!("data: {}\n\n", chunk(delta, Value::Null)))
            .collect();
        frames.push(format!(
            "data: {}\n\ndata: [DONE]\n\n",
            chunk(&json!({}), json!(finish))
        ));
        return raw(200, "text/event-stream", frames);
    }
    let mut message = json!({ "role": "assistant", "content": null });
    let mut calls: Vec<Value> = Vec::new();
    for delta in deltas {
        if let Some(text) = delta["content"].as_str() {
            message["content"] = text.into();
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
            match calls.get_mut(index) {
                None => calls.push(piece.clone()),
                Some(call) => {
                    let arguments = |call: &Value| call["function"]["arguments"].as_str().unwrap().to_owned();
                    call["function"]["arguments"] = (arguments(call) + &arguments(piece)).into();
                }
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let whole = json!({ "id": "chatcmpl-mock", "object": "chat.completion", "created": 1, "model": request.model(),
        "choices": [{ "index": 0, "message": message, "finish_reason": finish }] });
    raw(200, "application/json", vec![whole.to_string()])
}

fn raw(status: u16, content_type: &str, frames: Vec<String>) -> Answer {
    Answer::new(Content::Raw {
        status,
        content_type: content_type.to_owned(),
        frames: frames.into_iter().map(Bytes::from).collect(),
    })
}
