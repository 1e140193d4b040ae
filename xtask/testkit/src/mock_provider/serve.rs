//! The mock's HTTP side: read, decide, answer.

use super::answer::{Answer, Content};
use super::request::{RecordedRequest, last_user_text};
use super::stats::Counters;
use super::stream::{Prepared, send, streaming, write_stream};
use super::wire::{Head, Refusal, Wire, quoted, token};
use super::{Shared, UsageForm};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// Counts a request as in flight for as long as it lives.
struct InFlight(Arc<Shared>);

impl InFlight {
    fn enter(shared: &Arc<Shared>) -> Self {
        let counters = &shared.counters;
        let now = counters.in_flight.fetch_add(1, Relaxed) + 1;
        counters.in_flight_peak.fetch_max(now, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Relaxed);
        self.0.changed.notify_waiters();
    }
}

fn whole(status: u16, content_type: &str, body: String) -> Response<Body> {
    let mut response = Response::new(
        Full::new(Bytes::from(body))
            .map_err(|never| match never {})
            .boxed(),
    );
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

fn json_body(body: &Value) -> Response<Body> {
    whole(200, "application/json", body.to_string())
}

fn refuse(
    counters: &Counters,
    (status, body): Refusal,
    headers: &[(&'static str, String)],
) -> Response<Body> {
    counters.faults.fetch_add(1, Relaxed);
    let mut response = whole(status, "application/json", body);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let wire = match (request.method(), Wire::of(path)) {
        (&Method::POST, Some(wire)) => wire,
        (method, _) => {
            return Ok(match (method, path) {
                (&Method::GET, "/__stats") => json_body(&shared.counters.json()),
                (&Method::POST, "/__reset") => {
                    shared.counters.reset();
                    json_body(&json!({}))
                }
                (&Method::GET, path) if path.ends_with("/models") => {
                    let model = json!({"id": "mock-c64", "object": "model", "created": 1_700_000_000, "owned_by": "mock"});
                    json_body(&json!({"object": "list", "data": [model]}))
                }
                (&Method::GET, path) if path.ends_with("/api/tags") => {
                    json_body(&json!({"models": [{"name": "mock-c64"}]}))
                }
                (&Method::POST, path) if path.ends_with("/oauth") => exchange(&shared).await,
                _ => whole(
                    404,
                    "application/json",
                    json!({"error": {"message": "not found"}}).to_string(),
                ),
            });
        }
    };
    let in_flight = InFlight::enter(&shared);
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_broken) => return Ok(refuse(&shared.counters, wire.refusal(400), &[])),
    };
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return Ok(refuse(&shared.counters, wire.refusal(400), &[]));
    };
    let number = shared.counters.numbers.fetch_add(1, Relaxed);
    if wire == Wire::GigaChat && !has_token(&parts) {
        shared.counters.requests.fetch_add(1, Relaxed);
        return Ok(refuse(&shared.counters, wire.refusal(401), &[]));
    }
    let streamed = value["stream"].as_bool().unwrap_or(wire.streams_by_default());
    let head = Head {
        wire,
        model: quoted(value["model"].as_str().unwrap_or("mock")),
        prompt_tokens: (body.len() as u64 / 4).max(1),
        finish_reason: "stop",
        usage_wanted: value["stream_options"]["include_usage"]
            .as_bool()
            .unwrap_or(false),
        usage_form: UsageForm::default(),
    };
    let echo = || format!("echo: {}", last_user_text(&value).unwrap_or_default());
    let prepared = Prepared::new(decide(&shared, &parts, &value, number), head, echo);
    // Counted once it is remembered: whoever waits for a number of requests then looks at them.
    shared.counters.requests.fetch_add(1, Relaxed);
    shared.changed.notify_waiters();

    let mut holds = shared.holds.subscribe();
    // The sender lives in `shared`, so waiting can only end with the holds.
    drop(holds.wait_for(|holds| *holds == 0).await);
    if !prepared.answer.silence.is_zero() {
        tokio::time::sleep(prepared.answer.silence).await;
    }
    Ok(respond(&shared, in_flight, prepared, streamed).await)
}

/// Exchanges a key for a token, or does what the script says instead.
async fn exchange(shared: &Shared) -> Response<Body> {
    let number = shared.counters.exchanges.fetch_add(1, Relaxed);
    let scripted = shared.exchanges.lock().pop_front();
    shared.changed.notify_waiters();
    if let Some(answer) = scripted {
        if !answer.silence.is_zero() {
            tokio::time::sleep(answer.silence).await;
        }
        if let Content::Fault { status, headers } = &answer.content {
            return refuse(&shared.counters, Wire::GigaChat.refusal(*status), headers);
        }
    }
    whole(200, "application/json", token(number))
}

/// Whether a caller shows a token that was given out here.
fn has_token(parts: &http::request::Parts) -> bool {
    parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("Bearer mock-token-"))
}

/// Remembers the request and picks the answer: rule, script, name.
fn decide(shared: &Shared, parts: &http::request::Parts, body: &Value, number: u64) -> Answer {
    let rule = shared.rule.lock().clone();
    if rule.is_some() || shared.remember > 0 {
        let recorded = RecordedRequest {
            path: parts.uri.path().to_owned(),
            headers: parts
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect(),
            body: body.clone(),
            at: Instant::now(),
        };
        let ruled = rule.and_then(|rule| rule(&recorded));
        if shared.remember > 0 {
            let mut requests = shared.requests.lock();
            while requests.len() >= shared.remember {
                requests.pop_front();
            }
            requests.push_back(recorded);
        }
        if let Some(answer) = ruled {
            return answer;
        }
    }
    let scripted = shared.script.lock().pop_front();
    scripted.unwrap_or_else(|| Answer::for_model(body["model"].as_str().unwrap_or("mock"), number))
}

async fn respond(
    shared: &Arc<Shared>,
    in_flight: InFlight,
    prepared: Prepared,
    streamed: bool,
) -> Response<Body> {
    let wire = prepared.head.wire;
    match &prepared.answer.content {
        Content::Fault { status, headers } => {
            return refuse(&shared.counters, wire.refusal(*status), headers);
        }
        Content::OutOfQuota => return refuse(&shared.counters, wire.out_of_quota(), &[]),
        Content::Raw {
            status,
            content_type,
            frames,
        } => {
            let (status, content_type, frames) = (*status, content_type.clone(), frames.clone());
            let gap = prepared.answer.gap;
            shared.counters.faults.fetch_add(1, Relaxed);
            let mut response = streaming(&content_type, move |to| async move {
                let _in_flight = in_flight;
                for frame in frames {
                    if send(&to, frame).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(gap).await;
                }
            });
            *response.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return response;
        }
        Content::Words(_) | Content::Pieces(_) | Content::Echo => {}
    }
    if !streamed {
        if !prepared.answer.first_after.is_zero() {
            tokio::time::sleep(prepared.answer.first_after).await;
        }
        let body = prepared
            .head
            .whole(&prepared.whole_text(), prepared.completion_tokens());
        return whole(200, "application/json", body);
    }
    shared.counters.streams.fetch_add(1, Relaxed);
    let shared = Arc::clone(shared);
    streaming(prepared.head.stream_type(), move |to| async move {
        let _in_flight = in_flight;
        if write_stream(&shared.counters, &prepared, &to).await.is_err() {
            shared.counters.disconnects.fetch_add(1, Relaxed);
        }
    })
}
