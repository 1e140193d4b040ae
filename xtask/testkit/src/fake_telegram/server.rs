//! The HTTP side: connections, parameters, faults, long polling.

use super::fault::Fault;
use super::methods::{self, Refused};
use super::state::Call;
use super::{Shared, TOKEN};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Counts a call that is under way, whatever becomes of it.
struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

/// Accepts connections until it is aborted; their tasks end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Small answers must not wait for more to send.
        stream.set_nodelay(true).ok();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            // A cut is an error here, and meant to be.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_json = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_none_or(|value| value.starts_with("application/json"));
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let Some(method) = path
        .strip_prefix("/bot")
        .and_then(|rest| rest.strip_prefix(TOKEN))
        .and_then(|m| m.strip_prefix('/'))
    else {
        return Ok(refuse(&unauthorized(&path)));
    };
    let parameters = parameters(&query, &body, is_json);
    let (index, fault, latency) = note(&shared, method, &parameters);
    shared.changed.notify_waiters();
    let _in_flight = InFlight(Arc::clone(&shared));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let result = faulty(&shared, method, &parameters, fault).await;
    if let Some(index) = index
        && let Some(call) = shared.state.lock().calls.get_mut(index)
    {
        call.status = result.as_ref().map_or(0, |response| response.status().as_u16());
    }
    shared.changed.notify_waiters();
    result
}

/// Remembers a call and takes the fault that awaits it.
fn note(shared: &Shared, method: &str, parameters: &Value) -> (Option<usize>, Option<Fault>, Duration) {
    let at = shared.started.elapsed();
    let mut state = shared.state.lock();
    *state.counts.entry(method.to_owned()).or_default() += 1;
    state.in_flight += 1;
    state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
    if methods::is_send(method) {
        state.sends.push(at);
    }
    let index = (!state.not_recording).then(|| {
        state.calls.push(Call {
            method: method.to_owned(),
            parameters: parameters.clone(),
            at,
            status: 0,
        });
        state.calls.len() - 1
    });
    let of_chat = methods::chat_of(parameters).and_then(|chat| state.chat_faults.get(&chat).cloned());
    let fault = state
        .faults
        .get_mut(method)
        .and_then(std::collections::VecDeque::pop_front)
        .or(of_chat);
    (index, fault, state.latency)
}

async fn faulty(
    shared: &Arc<Shared>,
    method: &str,
    parameters: &Value,
    fault: Option<Fault>,
) -> Result<Response<Full<Bytes>>, Cut> {
    match fault {
        None => Ok(carry_out(shared, method, parameters).await),
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            Ok(carry_out(shared, method, parameters).await)
        }
        Some(Fault::RateLimited { retry_after }) => Ok(refuse(&Refused {
            code: 429,
            description: format!("Too Many Requests: retry after {retry_after}"),
            parameters: json!({ "retry_after": retry_after }),
        })),
        Some(Fault::Refused { code, description }) => Ok(refuse(&Refused {
            code,
            description,
            parameters: Value::Null,
        })),
        Some(Fault::Migrated { to }) => Ok(refuse(&Refused {
            code: 400,
            description: "Bad Request: group chat was upgraded to a supergroup chat".to_owned(),
            parameters: json!({ "migrate_to_chat_id": to }),
        })),
        Some(Fault::Page { status }) => Ok(respond(
            status,
            "text/html",
            "<html><h1>Bad Gateway</h1></html>".into(),
        )),
        Some(Fault::Garbage) => {
            carry_out(shared, method, parameters).await;
            Ok(respond(200, "application/json", "{\"ok\":true,".into()))
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::CutBefore) => Err(Cut),
        Some(Fault::CutAfter) => {
            carry_out(shared, method, parameters).await;
            Err(Cut)
        }
    }
}

async fn carry_out(shared: &Arc<Shared>, method: &str, parameters: &Value) -> Response<Full<Bytes>> {
    let result = if method == "getUpdates" {
        get_updates(shared, parameters).await
    } else {
        let at = shared.started.elapsed();
        methods::call(&mut shared.state.lock(), method, parameters, at)
    };
    match result {
        Ok(result) => respond(
            200,
            "application/json",
            json!({ "ok": true, "result": result }).to_string().into(),
        ),
        Err(refused) => refuse(&refused),
    }
}

/// Long polling: asking from an offset forgets what is before it, and a newer poller ends an older one.
async fn get_updates(shared: &Arc<Shared>, parameters: &Value) -> Result<Value, Refused> {
    let integer = |name| {
        parameters
            .get(name)
            .and_then(|v| v.as_i64().or_else(|| v.as_str()?.parse().ok()))
    };
    let limit = usize::try_from(integer("limit").unwrap_or(100))
        .unwrap_or(100)
        .clamp(1, 100);
    let timeout = u64::try_from(integer("timeout").unwrap_or(0))
        .unwrap_or(0)
        .min(50);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout);
    let own = {
        let mut state = shared.state.lock();
        if !state.webhook_url.is_empty() {
            return Err(conflict("can't use getUpdates method while webhook is active"));
        }
        match integer("offset").unwrap_or(0) {
            offset if offset > 0 => state.updates.retain(|(id, _)| *id >= offset),
            offset if offset < 0 => {
                let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
                let forget = state.updates.len().saturating_sub(keep);
                state.updates.drain(..forget);
            }
            _ => {}
        }
        state.poller += 1;
        state.poller
    };
    shared.updates.notify_waiters();
    loop {
        let news = shared.updates.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        {
            let state = shared.state.lock();
            if state.poller != own {
                return Err(conflict("terminated by other getUpdates request"));
            }
            if !state.updates.is_empty() {
                return Ok(state
                    .updates
                    .iter()
                    .take(limit)
                    .map(|(_, update)| update.clone())
                    .collect());
            }
        }
        if tokio::time::timeout_at(deadline, news).await.is_err() {
            return Ok(json!([]));
        }
    }
}

/// Parameters from the query and from a JSON or form body.
fn parameters(query: &str, body: &[u8], is_json: bool) -> Value {
    let mut all = serde_json::Map::new();
    form(query, &mut all);
    if is_json {
        if let Ok(Value::Object(map)) = serde_json::from_slice(body) {
            all.extend(map);
        }
    } else {
        form(&String::from_utf8_lossy(body), &mut all);
    }
    Value::Object(all)
}

fn form(text: &str, into: &mut serde_json::Map<String, Value>) {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value);
        // Arrays and objects come as JSON inside the form.
        let parsed = serde_json::from_str(&value)
            .ok()
            .filter(|value: &Value| value.is_array() || value.is_object());
        into.insert(decode(name), parsed.unwrap_or(Value::String(value)));
    }
}

pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, first) {
            (Some(byte), _) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            (None, b'+') => {
                bytes.push(b' ');
                rest = tail;
            }
            (None, other) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn conflict(why: &str) -> Refused {
    Refused {
        code: 409,
        description: format!("Conflict: {why}"),
        parameters: Value::Null,
    }
}

/// A wrong token is 401; a path that is not a bot's is 404.
fn unauthorized(path: &str) -> Refused {
    let (code, description) = if path.starts_with("/bot") {
        (401, "Unauthorized")
    } else {
        (404, "Not Found")
    };
    Refused {
        code,
        description: description.to_owned(),
        parameters: Value::Null,
    }
}

fn refuse(refused: &Refused) -> Response<Full<Bytes>> {
    let mut body = json!({ "ok": false, "error_code": refused.code, "description": refused.description });
    if !refused.parameters.is_null() {
        body["parameters"] = refused.parameters.clone();
    }
    let mut response = respond(refused.code, "application/json", body.to_string().into());
    if let Some(wait) = refused.parameters.get("retry_after").and_then(Value::as_u64) {
        response.headers_mut().insert("retry-after", wait.into());
    }
    response
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static(content_type));
    response
}
