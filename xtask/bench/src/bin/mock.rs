//! Mock LLM upstream: OpenAI chat completions, Anthropic messages, Ollama chat.
//!
//! Behaviour is selected by the model name, because that is the one field every
//! gateway forwards unchanged:
//!
//!   mock-c64-d5-t20        64 stream chunks, 5 ms between chunks, 20 ms before the first byte
//!   mock-f429-a2           HTTP 429 with `Retry-After: 2`
//!   mock-f500 / -f503 / -f529   that status with a provider-shaped error body
//!   mock-c64-k10           stream is cut (connection closed) after 10 chunks
//!   mock-c64-e10           an in-band error event is sent after 10 chunks
//!   mock-p30               30 % of requests fail with 500 (deterministic round robin over 100)
//!   mock-h5000             accept the request, stay silent for 5000 ms before the headers
//!
//! GET  /__stats            counters as JSON; POST /__reset zeroes them.
//! `disconnects` counts streams whose reader went away before the last chunk.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

static REQS: AtomicU64 = AtomicU64::new(0);
static STREAMS: AtomicU64 = AtomicU64::new(0);
static CHUNKS: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);
static DISCONNECTS: AtomicU64 = AtomicU64::new(0);
static CONNS: AtomicU64 = AtomicU64::new(0);
static INFLIGHT: AtomicU64 = AtomicU64::new(0);
static INFLIGHT_MAX: AtomicU64 = AtomicU64::new(0);

type Body = BoxBody<Bytes, io::Error>;

#[derive(Clone, Copy, Debug)]
struct Plan {
    chunks: u64,
    delay_ms: u64,
    ttft_ms: u64,
    hang_ms: u64,
    fault: u16,
    retry_after: u64,
    cut_after: u64,
    err_after: u64,
    fail_pct: u64,
}

fn plan(model: &str) -> Plan {
    let mut p = Plan {
        chunks: 64,
        delay_ms: 0,
        ttft_ms: 0,
        hang_ms: 0,
        fault: 0,
        retry_after: 0,
        cut_after: u64::MAX,
        err_after: u64::MAX,
        fail_pct: 0,
    };
    for part in model.split('-').skip(1) {
        let Some(k) = part.chars().next() else { continue };
        let Ok(n) = part[k.len_utf8()..].parse::<u64>() else {
            continue;
        };
        match k {
            'c' => p.chunks = n,
            'd' => p.delay_ms = n,
            't' => p.ttft_ms = n,
            'h' => p.hang_ms = n,
            'f' => p.fault = n as u16,
            'a' => p.retry_after = n,
            'k' => p.cut_after = n,
            'e' => p.err_after = n,
            'p' => p.fail_pct = n,
            _ => {}
        }
    }
    p
}

#[derive(Clone, Copy, PartialEq)]
enum Wire {
    OpenAi,
    Anthropic,
    Ollama,
}

fn full(status: u16, ct: &str, body: String) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", ct)
        .body(Full::new(Bytes::from(body)).map_err(|e| match e {}).boxed())
        .unwrap()
}

fn error_resp(w: Wire, status: u16, retry_after: u64) -> Response<Body> {
    FAULTS.fetch_add(1, Relaxed);
    let (kind, akind) = match status {
        400 => ("invalid_request_error", "invalid_request_error"),
        401 => ("authentication_error", "authentication_error"),
        429 => ("requests", "rate_limit_error"),
        529 => ("server_error", "overloaded_error"),
        _ => ("server_error", "api_error"),
    };
    let body = match w {
        Wire::OpenAi => json!({"error":{"message":format!("mock fault {status}"),"type":kind,"param":null,
            "code": if status==429 {json!("rate_limit_exceeded")} else {Value::Null}}}),
        Wire::Anthropic => {
            json!({"type":"error","error":{"type":akind,"message":format!("mock fault {status}")},"request_id":"req_mock"})
        }
        Wire::Ollama => json!({"error":format!("mock fault {status}")}),
    };
    let mut r = full(status, "application/json", body.to_string());
    if retry_after > 0 {
        r.headers_mut()
            .insert("retry-after", retry_after.to_string().parse().unwrap());
    }
    r
}

const WORDS: &str = "The quick brown fox jumps over the lazy dog and keeps running far away. ";

fn chunk(w: Wire, model: &str, i: u64) -> Bytes {
    let word = if i % 2 == 0 { "lorem " } else { "ipsum " };
    Bytes::from(match w {
        Wire::OpenAi => format!(
            "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{model}\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{{\"index\":0,\"delta\":{{{}\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n",
            if i == 0 { "\"role\":\"assistant\"," } else { "" }
        ),
        Wire::Anthropic => format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
        ),
        Wire::Ollama => format!(
            "{{\"model\":\"{model}\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"{word}\"}},\"done\":false}}\n"
        ),
    })
}

fn prologue(w: Wire, model: &str, pt: u64) -> Option<Bytes> {
    (w == Wire::Anthropic).then(|| Bytes::from(format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"{model}\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{{\"input_tokens\":{pt},\"output_tokens\":1}}}}}}\n\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: ping\ndata: {{\"type\":\"ping\"}}\n\n")))
}

fn epilogue(w: Wire, model: &str, pt: u64, ct: u64, usage: bool) -> Bytes {
    Bytes::from(match w {
        Wire::OpenAi => {
            let mut s = format!(
                "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
            );
            if usage {
                s += &format!(
                    "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{model}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{pt},\"completion_tokens\":{ct},\"total_tokens\":{}}}}}\n\n",
                    pt + ct
                );
            }
            s + "data: [DONE]\n\n"
        }
        Wire::Anthropic => format!(
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":{ct}}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
        Wire::Ollama => format!(
            "{{\"model\":\"{model}\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"\"}},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1,\"load_duration\":1,\"prompt_eval_count\":{pt},\"prompt_eval_duration\":1,\"eval_count\":{ct},\"eval_duration\":1}}\n"
        ),
    })
}

fn inband_error(w: Wire) -> Bytes {
    Bytes::from_static(match w {
        Wire::OpenAi => b"data: {\"error\":{\"message\":\"mock mid-stream failure\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
        Wire::Anthropic => b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        Wire::Ollama => b"{\"error\":\"mock mid-stream failure\"}\n",
    })
}

struct InFlight;
impl InFlight {
    fn new() -> Self {
        let n = INFLIGHT.fetch_add(1, Relaxed) + 1;
        INFLIGHT_MAX.fetch_max(n, Relaxed);
        InFlight
    }
}
impl Drop for InFlight {
    fn drop(&mut self) {
        INFLIGHT.fetch_sub(1, Relaxed);
    }
}

async fn handle(req: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = req.uri().path().to_owned();
    let wire = match (req.method(), path.as_str()) {
        (&Method::GET, "/__stats") => {
            let v = json!({"requests":REQS.load(Relaxed),"streams":STREAMS.load(Relaxed),"chunks":CHUNKS.load(Relaxed),
                "faults":FAULTS.load(Relaxed),"disconnects":DISCONNECTS.load(Relaxed),"connections":CONNS.load(Relaxed),
                "inflight":INFLIGHT.load(Relaxed),"inflight_max":INFLIGHT_MAX.load(Relaxed)});
            return Ok(full(200, "application/json", v.to_string()));
        }
        (&Method::POST, "/__reset") => {
            for c in [&REQS, &STREAMS, &CHUNKS, &FAULTS, &DISCONNECTS, &CONNS, &INFLIGHT_MAX] { c.store(0, Relaxed); }
            return Ok(full(200, "application/json", "{}".into()));
        }
        (&Method::GET, p) if p.ends_with("/models") =>
            return Ok(full(200, "application/json", json!({"object":"list","data":[{"id":"mock-c64","object":"model","created":1700000000,"owned_by":"mock"}]}).to_string())),
        (&Method::POST, p) if p.ends_with("/chat/completions") => Wire::OpenAi,
        (&Method::POST, p) if p.ends_with("/messages") => Wire::Anthropic,
        (&Method::POST, p) if p.ends_with("/api/chat") => Wire::Ollama,
        _ => return Ok(full(404, "application/json", "{\"error\":{\"message\":\"not found\"}}".into())),
    };
    let guard = InFlight::new();
    let n = REQS.fetch_add(1, Relaxed);
    let Ok(body) = req.into_body().collect().await else {
        return Ok(error_resp(wire, 400, 0));
    };
    let body = body.to_bytes();
    let Ok(v) = serde_json::from_slice::<Value>(&body) else {
        return Ok(error_resp(wire, 400, 0));
    };
    let model = v["model"].as_str().unwrap_or("mock").to_owned();
    let p = plan(&model);
    let stream = v["stream"].as_bool().unwrap_or(wire == Wire::Ollama);
    let usage = v["stream_options"]["include_usage"].as_bool().unwrap_or(false);
    let pt = (body.len() as u64 / 4).max(1);
    if p.hang_ms > 0 {
        tokio::time::sleep(Duration::from_millis(p.hang_ms)).await;
    }
    if p.fault != 0 {
        return Ok(error_resp(wire, p.fault, p.retry_after));
    }
    if p.fail_pct > 0 && (n * 37) % 100 < p.fail_pct {
        return Ok(error_resp(wire, 500, 0));
    }

    if !stream {
        if p.ttft_ms > 0 {
            tokio::time::sleep(Duration::from_millis(p.ttft_ms)).await;
        }
        let text = WORDS.repeat((p.chunks as usize / 16).max(1));
        let v = match wire {
            Wire::OpenAi => {
                json!({"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":model,
                "choices":[{"index":0,"message":{"role":"assistant","content":text,"refusal":null},"logprobs":null,"finish_reason":"stop"}],
                "usage":{"prompt_tokens":pt,"completion_tokens":p.chunks,"total_tokens":pt+p.chunks},"system_fingerprint":"fp_mock"})
            }
            Wire::Anthropic => json!({"id":"msg_mock","type":"message","role":"assistant","model":model,
                "content":[{"type":"text","text":text}],"stop_reason":"end_turn","stop_sequence":null,
                "usage":{"input_tokens":pt,"output_tokens":p.chunks}}),
            Wire::Ollama => {
                json!({"model":model,"created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":text},
                "done":true,"done_reason":"stop","prompt_eval_count":pt,"eval_count":p.chunks})
            }
        };
        return Ok(full(200, "application/json", v.to_string()));
    }

    STREAMS.fetch_add(1, Relaxed);
    let (tx, rx) = mpsc::channel::<Result<Frame<Bytes>, io::Error>>(4);
    tokio::spawn(async move {
        let _guard = guard;
        if p.ttft_ms > 0 {
            tokio::time::sleep(Duration::from_millis(p.ttft_ms)).await;
        }
        let gone = |_| {
            DISCONNECTS.fetch_add(1, Relaxed);
        };
        if let Some(b) = prologue(wire, &model, pt) {
            if tx.send(Ok(Frame::data(b))).await.map_err(gone).is_err() {
                return;
            }
        }
        for i in 0..p.chunks {
            if i == p.cut_after {
                FAULTS.fetch_add(1, Relaxed);
                let _ = tx.send(Err(io::Error::other("cut"))).await;
                return;
            }
            if i == p.err_after {
                FAULTS.fetch_add(1, Relaxed);
                let _ = tx.send(Ok(Frame::data(inband_error(wire)))).await;
                return;
            }
            if i > 0 && p.delay_ms > 0 {
                tokio::select! {
                    _ = tokio::time::sleep(Duration::from_millis(p.delay_ms)) => {}
                    _ = tx.closed() => { DISCONNECTS.fetch_add(1, Relaxed); return; }
                }
            }
            if tx
                .send(Ok(Frame::data(chunk(wire, &model, i))))
                .await
                .map_err(gone)
                .is_err()
            {
                return;
            }
            CHUNKS.fetch_add(1, Relaxed);
        }
        let _ = tx
            .send(Ok(Frame::data(epilogue(wire, &model, pt, p.chunks, usage))))
            .await;
    });
    let body = StreamBody::new(Rx(rx)).boxed();
    let ct = if wire == Wire::Ollama {
        "application/x-ndjson"
    } else {
        "text/event-stream"
    };
    Ok(Response::builder()
        .header("content-type", ct)
        .header("cache-control", "no-cache")
        .body(body)
        .unwrap())
}

struct Rx(mpsc::Receiver<Result<Frame<Bytes>, io::Error>>);
impl futures_core::Stream for Rx {
    type Item = Result<Frame<Bytes>, io::Error>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9100".into());
    let l = TcpListener::bind(&addr).await?;
    eprintln!("mock upstream on {addr}");
    loop {
        let (s, _) = l.accept().await?;
        CONNS.fetch_add(1, Relaxed);
        s.set_nodelay(true)?;
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(s), service_fn(handle))
                .await;
        });
    }
}
