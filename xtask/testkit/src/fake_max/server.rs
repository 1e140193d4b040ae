//! The HTTP side: connections, parameters, faults, long polling.

use super::methods::{self, Asked, Refused};
use super::state::{MaxCall, MaxFault};
use super::{Shared, TOKEN};
use crate::fake_telegram::server::decode;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Accepts connections until it is aborted; their tasks end with it.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Small answers must not wait for more to send.
        stream.set_nodelay(true).ok();
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match tls {
                None => connection(stream, shared).await,
                Some(tls) => {
                    // Who does not trust us hangs up.
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // A cut is an error here, and meant to be.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (number, path) = without_number(request.uri().path());
    let method = format!("{} {path}", request.method());
    let query: HashMap<String, String> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    // The token as it is: no scheme before it, and not in the address.
    let is_ours = request
        .headers()
        .get("authorization")
        .is_some_and(|value| value.as_bytes() == TOKEN.as_bytes());
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (index, fault) = note(&shared, &method, &query, &body);
    shared.changed.notify_waiters();
    let asked = Asked {
        method: &method,
        number,
        query: &query,
        body: &body,
    };
    let result = match is_ours {
        true => faulty(&shared, &asked, fault).await,
        false => Ok(refuse(&Refused {
            status: 401,
            code: "verify.token",
            message: "Invalid access_token".to_owned(),
        })),
    };
    if let Some(call) = shared.state.lock().calls.get_mut(index) {
        call.status = result.as_ref().map_or(0, |response| response.status().as_u16());
    }
    shared.changed.notify_waiters();
    result
}

/// `/chats/-5/actions` as -5 and `/chats/actions`.
fn without_number(path: &str) -> (Option<i64>, String) {
    let mut number = None;
    let mut rest = Vec::new();
    for part in path.split('/') {
        match part.parse() {
            Ok(found) => number = Some(found),
            Err(_) => rest.push(part),
        }
    }
    (number, rest.join("/"))
}

/// Remembers a call and takes the fault that awaits it.
fn note(
    shared: &Shared,
    method: &str,
    query: &HashMap<String, String>,
    body: &Value,
) -> (usize, Option<MaxFault>) {
    let at = shared.started.elapsed();
    let mut state = shared.state.lock();
    *state.counts.entry(method.to_owned()).or_default() += 1;
    if methods::is_send(method) {
        state.sends.push(at);
    }
    state.calls.push(MaxCall {
        method: method.to_owned(),
        query: query.clone(),
        body: body.clone(),
        at,
        status: 0,
    });
    let index = state.calls.len() - 1;
    let fault = state.faults.get_mut(method).and_then(VecDeque::pop_front);
    (index, fault)
}

async fn faulty(
    shared: &Arc<Shared>,
    asked: &Asked<'_>,
    fault: Option<MaxFault>,
) -> Result<Response<Full<Bytes>>, Cut> {
    match fault {
        None => Ok(carry_out(shared, asked).await),
        Some(MaxFault::RateLimited { retry_after }) => {
            let mut response = refuse(&Refused {
                status: 429,
                code: "too.many.requests",
                message: "Too many requests".to_owned(),
            });
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            Ok(response)
        }
        Some(MaxFault::Refused {
            status,
            code,
            message,
        }) => Ok(refuse(&Refused {
            status,
            code,
            message,
        })),
        Some(MaxFault::NotDone { message }) => {
            let body = json!({ "success": false, "message": message });
            Ok(respond(200, "application/json", body.to_string().into()))
        }
        Some(MaxFault::Page { status }) => Ok(respond(
            status,
            "text/html",
            "<html><h1>Bad Gateway</h1></html>".into(),
        )),
        Some(MaxFault::Garbage) => {
            carry_out(shared, asked).await;
            Ok(respond(200, "application/json", "{\"message\":".into()))
        }
        Some(MaxFault::Hang) => std::future::pending().await,
        Some(MaxFault::CutBefore) => Err(Cut),
        Some(MaxFault::CutAfter) => {
            carry_out(shared, asked).await;
            Err(Cut)
        }
    }
}

async fn carry_out(shared: &Arc<Shared>, asked: &Asked<'_>) -> Response<Full<Bytes>> {
    let result = match asked.method {
        "GET /updates" => get_updates(shared, asked.query).await,
        _ => methods::call(&mut shared.state.lock(), asked),
    };
    match result {
        Ok(result) => respond(200, "application/json", result.to_string().into()),
        Err(refused) => refuse(&refused),
    }
}

/// Long polling: a marker forgets what is before it; without one only the newest update comes. While there is a
/// subscription nothing does.
async fn get_updates(shared: &Arc<Shared>, query: &HashMap<String, String>) -> Result<Value, Refused> {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let (limit, timeout) = (number("limit").unwrap_or(100), number("timeout").unwrap_or(30));
    if !(1..=100).contains(&limit) || !(0..=30).contains(&timeout) {
        return Err(Refused {
            status: 400,
            code: "proto.payload",
            message: "limit must be 1 to 100, timeout 0 to 30".to_owned(),
        });
    }
    let (limit, timeout) = (limit.unsigned_abs(), timeout.unsigned_abs());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout);
    let marker = number("marker");
    if let Some(marker) = marker {
        shared
            .state
            .lock()
            .updates
            .retain(|(position, _)| *position >= marker);
        shared.changed.notify_waiters();
    }
    loop {
        let news = shared.updates.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        {
            let mut state = shared.state.lock();
            if marker.is_none() && state.updates.len() > 1 {
                let newest = state.updates.pop_back();
                state.updates.clear();
                state.updates.extend(newest);
            }
            if !state.updates.is_empty() && state.subscriptions.is_empty() {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let batch: Vec<_> = state.updates.iter().take(limit).cloned().collect();
                let next = batch.last().map(|(position, _)| position + 1);
                let updates: Vec<Value> = batch.into_iter().map(|(_, update)| update).collect();
                return Ok(json!({ "updates": updates, "marker": next }));
            }
        }
        if tokio::time::timeout_at(deadline, news).await.is_err() {
            return Ok(json!({ "updates": [], "marker": null }));
        }
    }
}

fn refuse(refused: &Refused) -> Response<Full<Bytes>> {
    let body = json!({ "code": refused.code, "message": refused.message });
    respond(refused.status, "application/json", body.to_string().into())
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static(content_type));
    response
}
