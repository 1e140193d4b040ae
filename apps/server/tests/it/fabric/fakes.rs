//! Providers of every protocol in one server. Each answers `<protocol> says <model>`; asked with tools and no result yet,
//! it calls the first tool with `{"city": "Perm"}`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What was asked of a fake.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// The fake. It ends with the test's runtime.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// `http://127.0.0.1:…` and a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The calls whose path ends so, oldest first.
    pub(super) fn asked(&self, end: &str) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked
            .iter()
            .filter(|one| one.path.ends_with(end))
            .cloned()
            .collect()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))),
    };
    fake.asked.lock().push(asked.clone());
    match asked.path.as_str() {
        "/v1/messages" => anthropic(&asked.body),
        "/oauth" => token(),
        "/giga/chat/completions" => gigachat(&asked.body),
        "/api/tags" => json_of(&json!({ "models": [{ "name": "llama-one" }, { "name": "llama-two" }] })),
        "/api/chat" => ollama(&asked.body),
        path if path.ends_with("/chat/completions") => {
            let mut response = openai(&asked.body);
            // What OpenAI says of its own quota: less is left than we have counted.
            let headers = response.headers_mut();
            headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("20"));
            headers.insert("x-ratelimit-reset-requests", HeaderValue::from_static("30s"));
            response
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn events(lines: Vec<String>) -> Response {
    let text: String = lines.into_iter().map(|line| format!("{line}\n\n")).collect();
    ([("content-type", "text/event-stream")], text).into_response()
}

fn data(value: &Value) -> String {
    format!("data: {value}")
}

fn model(body: &Value) -> &str {
    body["model"].as_str().unwrap_or_default()
}

/// The first tool's name, if there are tools and nothing has answered a call yet.
fn tool(body: &Value, answered: bool) -> Option<String> {
    let tool = body.pointer("/tools/0")?;
    let name = tool.pointer("/function/name").or(tool.get("name"))?;
    (!answered).then(|| name.as_str().unwrap_or_default().to_owned())
}

fn has_role(body: &Value, role: &str) -> bool {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().any(|message| message["role"] == role)
}

fn openai(body: &Value) -> Response {
    let chunk = |delta: Value, finish: Value| {
        data(
            &json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": model(body),
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }),
        )
    };
    let usage = data(&json!({ "id": "c", "choices": [], "usage":
        { "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 } }));
    if body["stream"] == false && tool(body, true).is_none() && !body["tools"].is_array() {
        return json_of(
            &json!({ "id": "c", "object": "chat.completion", "created": 1, "model": model(body),
            "choices": [{ "index": 0, "message": { "role": "assistant",
                "content": format!("openai says {}", model(body)) }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 } }),
        );
    }
    let said = match tool(body, has_role(body, "tool")) {
        Some(name) => vec![
            chunk(
                json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function",
                    "function": { "name": name, "arguments": "{\"city\":" } }] }),
                Value::Null,
            ),
            chunk(
                json!({ "tool_calls": [{ "index": 0, "function": { "arguments": " \"Perm\"}" } }] }),
                Value::Null,
            ),
            chunk(json!({}), json!("tool_calls")),
        ],
        None => vec![
            chunk(
                json!({ "content": format!("openai says {}", model(body)) }),
                Value::Null,
            ),
            chunk(json!({}), json!("stop")),
        ],
    };
    events(
        said.into_iter()
            .chain([usage, "data: [DONE]".to_owned()])
            .collect(),
    )
}

fn anthropic(body: &Value) -> Response {
    let event = |value: Value| {
        let name = value["type"].as_str().unwrap_or_default().to_owned();
        format!("event: {name}\n{}", data(&value))
    };
    let answered = body["messages"].to_string().contains("tool_result");
    let (start, delta, reason) = match tool(body, answered) {
        Some(name) => (
            json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": "{\"city\": \"Perm\"}" }),
            "tool_use",
        ),
        None => (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": format!("anthropic says {}", model(body)) }),
            "end_turn",
        ),
    };
    events(vec![
        event(
            json!({ "type": "message_start", "message": { "id": "m", "role": "assistant", "content": [],
            "model": model(body), "usage": { "input_tokens": 5, "output_tokens": 1 } } }),
        ),
        event(json!({ "type": "content_block_start", "index": 0, "content_block": start })),
        event(json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
        event(json!({ "type": "content_block_stop", "index": 0 })),
        event(
            json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 3 } }),
        ),
        event(json!({ "type": "message_stop" })),
    ])
}

fn token() -> Response {
    let ends = std::time::SystemTime::now() + std::time::Duration::from_secs(1_800);
    let millis = ends.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    json_of(&json!({ "access_token": "giga-token", "expires_at": u64::try_from(millis).unwrap() }))
}

fn gigachat(body: &Value) -> Response {
    let chunk = |delta: Value, finish: Value| {
        data(
            &json!({ "object": "chat.completion", "created": 1, "model": model(body),
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }),
        )
    };
    let function = body.pointer("/functions/0/name").and_then(Value::as_str);
    let said = match function.filter(|_| !has_role(body, "function")) {
        Some(name) => vec![
            chunk(
                json!({ "role": "assistant", "content": "", "functions_state_id": "state-1",
                    "function_call": { "name": name, "arguments": { "city": "Perm" } } }),
                Value::Null,
            ),
            chunk(json!({ "content": "" }), json!("function_call")),
        ],
        None => vec![
            chunk(
                json!({ "role": "assistant", "content": format!("gigachat says {}", model(body)) }),
                Value::Null,
            ),
            chunk(json!({ "content": "" }), json!("stop")),
        ],
    };
    let usage = data(&json!({ "object": "chat.completion", "choices": [],
        "usage": { "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 } }));
    events(
        said.into_iter()
            .chain([usage, "data: [DONE]".to_owned()])
            .collect(),
    )
}

fn ollama(body: &Value) -> Response {
    let message = match tool(body, has_role(body, "tool")) {
        Some(name) => json!({ "role": "assistant", "content": "",
            "tool_calls": [{ "function": { "name": name, "arguments": { "city": "Perm" } } }] }),
        None => json!({ "role": "assistant", "content": format!("ollama says {}", model(body)) }),
    };
    let lines = [
        json!({ "model": model(body), "message": message, "done": false }),
        json!({ "model": model(body), "message": { "role": "assistant", "content": "" }, "done": true,
            "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3 }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let body = Body::from(Bytes::from(text));
    ([("content-type", "application/x-ndjson")], body).into_response()
}
