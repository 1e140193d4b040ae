//! The mock's HTTP side: accept, read, decide, write.

use super::answer::{Answer, Content, End};
use super::wire::{Head, Wire, quoted, refusal};
use super::{Counters, RecordedRequest, Shared, last_user_text};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Body = BoxBody<Bytes, io::Error>;
type Frames = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

/// Text of an answer without a stream: so many bytes for every 16 pieces asked for.
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog and keeps running far away. ";

/// Time for the pieces before a cut to leave the process.
const CUT_AFTER_FLUSH: Duration = Duration::from_millis(2);

/// Serves until the task is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // Out of file descriptors, most likely: leave the processor to those who can close some.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                shared.counters.connections.fetch_add(1, Relaxed);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // Without it a small answer waits for the next acknowledgement; a socket that refuses is closing.
                    let _refused = socket.set_nodelay(true);
                    let service = service_fn(|request| handle(Arc::clone(&shared), request));
                    // A connection the client broke is what tests do on purpose.
                    let _broken = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

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

fn refuse(counters: &Counters, wire: Wire, status: u16, retry_after: Option<u64>) -> Response<Body> {
    counters.faults.fetch_add(1, Relaxed);
    let mut response = whole(status, "application/json", refusal(wire, status));
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let json_body = |body: Value| whole(200, "application/json", body.to_string());
    let wire = match (request.method(), request.uri().path()) {
        (&Method::GET, "/__stats") => return Ok(json_body(shared.counters.json())),
        (&Method::POST, "/__reset") => {
            shared.counters.reset();
            return Ok(json_body(json!({})));
        }
        (&Method::GET, path) if path.ends_with("/models") => {
            let model =
                json!({"id": "mock-c64", "object": "model", "created": 1_700_000_000, "owned_by": "mock"});
            return Ok(json_body(json!({"object": "list", "data": [model]})));
        }
        (&Method::POST, path) if path.ends_with("/chat/completions") => Wire::OpenAi,
        (&Method::POST, path) if path.ends_with("/messages") => Wire::Anthropic,
        (&Method::POST, path) if path.ends_with("/api/chat") => Wire::Ollama,
        _ => {
            return Ok(whole(
                404,
                "application/json",
                json!({"error": {"message": "not found"}}).to_string(),
            ));
        }
    };
    let in_flight = InFlight::enter(&shared);
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(refuse(&shared.counters, wire, 400, None));
    };
    let body = body.to_bytes();
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return Ok(refuse(&shared.counters, wire, 400, None));
    };
    let number = shared.counters.requests.fetch_add(1, Relaxed);
    let streamed = value["stream"].as_bool().unwrap_or(wire == Wire::Ollama);
    let head = Head {
        wire,
        model: quoted(value["model"].as_str().unwrap_or("mock")),
        prompt_tokens: (body.len() as u64 / 4).max(1),
        finish_reason: "stop",
        usage_wanted: value["stream_options"]["include_usage"]
            .as_bool()
            .unwrap_or(false),
    };
    let echo = || format!("echo: {}", last_user_text(&value).unwrap_or_default());
    let answer = decide(&shared, &parts, &value, number);
    let prepared = prepare(answer, head, echo);
    shared.changed.notify_waiters();

    let mut holds = shared.holds.subscribe();
    // The sender lives in `shared`, so waiting can only end with the holds.
    drop(holds.wait_for(|holds| *holds == 0).await);
    if !prepared.answer.silence.is_zero() {
        tokio::time::sleep(prepared.answer.silence).await;
    }
    Ok(respond(&shared, in_flight, prepared, streamed).await)
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

/// An answer with everything the request had to say about it.
struct Prepared {
    answer: Answer,
    head: Head,
    /// The pieces, where the content is text of its own; made-up words are not kept.
    pieces: Option<Vec<String>>,
}

fn prepare(answer: Answer, mut head: Head, echo: impl FnOnce() -> String) -> Prepared {
    head.finish_reason = answer.finish_reason;
    if let Some((prompt, _)) = answer.usage {
        head.prompt_tokens = prompt;
    }
    let pieces = match &answer.content {
        Content::Pieces(pieces) => Some(pieces.clone()),
        Content::Echo => Some(echo().split_inclusive(' ').map(str::to_owned).collect()),
        Content::Words(_) | Content::Fault { .. } | Content::Raw { .. } => None,
    };
    Prepared { answer, head, pieces }
}

impl Prepared {
    fn piece_count(&self) -> u64 {
        match (&self.pieces, &self.answer.content) {
            (Some(pieces), _) => pieces.len() as u64,
            (None, Content::Words(count)) => *count,
            (None, _) => 0,
        }
    }

    fn completion_tokens(&self) -> u64 {
        match self.answer.usage {
            Some((_, completion)) => completion,
            None => self.piece_count(),
        }
    }

    fn piece(&self, index: u64) -> Bytes {
        let first = index == 0;
        match &self.pieces {
            Some(pieces) => {
                let text = usize::try_from(index).ok().and_then(|index| pieces.get(index));
                self.head.piece(&quoted(text.map_or("", String::as_str)), first)
            }
            None => self.head.piece(
                if index.is_multiple_of(2) {
                    "\"lorem \""
                } else {
                    "\"ipsum \""
                },
                first,
            ),
        }
    }

    fn whole_text(&self) -> String {
        match &self.pieces {
            Some(pieces) => pieces.concat(),
            None => SENTENCE.repeat(usize::try_from(self.piece_count() / 16).unwrap_or(1).max(1)),
        }
    }
}

async fn respond(
    shared: &Arc<Shared>,
    in_flight: InFlight,
    prepared: Prepared,
    streamed: bool,
) -> Response<Body> {
    match &prepared.answer.content {
        Content::Fault { status, retry_after } => {
            return refuse(&shared.counters, prepared.head.wire, *status, *retry_after);
        }
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
                    if to.send(Ok(Frame::data(frame))).await.is_err() {
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

/// The reader went away.
struct Gone;

async fn send(to: &Frames, bytes: Bytes) -> Result<(), Gone> {
    to.send(Ok(Frame::data(bytes))).await.map_err(|_closed| Gone)
}

/// Waits, unless the reader goes away first.
async fn pause(to: &Frames, time: Duration) -> Result<(), Gone> {
    if time.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = to.closed() => Err(Gone),
    }
}

async fn write_stream(counters: &Counters, prepared: &Prepared, to: &Frames) -> Result<(), Gone> {
    pause(to, prepared.answer.first_after).await?;
    if let Some(prologue) = prepared.head.prologue() {
        send(to, prologue).await?;
    }
    let count = prepared.piece_count();
    for index in 0..=count {
        match prepared.answer.end {
            End::CutAfter(last) if last == index => {
                counters.faults.fetch_add(1, Relaxed);
                // What was written last is still in the connection's buffer, which an error throws away.
                pause(to, CUT_AFTER_FLUSH).await?;
                // An error as the body's next frame makes the server drop the connection in the middle of a chunk.
                return to
                    .send(Err(io::Error::other("cut")))
                    .await
                    .map_err(|_closed| Gone);
            }
            End::ErrorEventAfter(last) if last == index => {
                counters.faults.fetch_add(1, Relaxed);
                return send(to, prepared.head.error_event()).await;
            }
            End::SilentAfter(last) if last == index => {
                counters.faults.fetch_add(1, Relaxed);
                to.closed().await;
                return Err(Gone);
            }
            End::Complete | End::CutAfter(_) | End::ErrorEventAfter(_) | End::SilentAfter(_) => {}
        }
        if index == count {
            break;
        }
        if index > 0 {
            pause(to, prepared.answer.gap).await?;
        }
        send(to, prepared.piece(index)).await?;
        counters.chunks.fetch_add(1, Relaxed);
    }
    send(to, prepared.head.epilogue(prepared.completion_tokens())).await
}

/// A response whose body is written by a task of its own; the task ends when the reader is gone. At most four frames
/// wait for the reader.
fn streaming<F>(content_type: &str, write: impl FnOnce(Frames) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (to, from) = mpsc::channel(4);
    tokio::spawn(write(to));
    let frames = stream::poll_fn({
        let mut from = from;
        move |context| from.poll_recv(context)
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
