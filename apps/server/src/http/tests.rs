//! Calls of `/v1/chat/completions` go past the router: nobody may notice. The same bytes go to two servers of the same
//! build, one behind [`Edge`] and one behind the router alone, over real connections; status, headers, body and what is
//! counted must be the same.

use super::{Edge, router};
use crate::accept::{self, AcceptConfig, Answers};
use crate::config::{self, environment::FixedEnvironment};
use crate::wire::{self, Built, Purpose};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, Monotonic, Secret, Timestamp};
use openclaw_messenger::RateLimiter;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Far longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: &str = r#"
[server]
bodyLimit = "64KiB"
[storage]
kind = "memory"
[[ai-fabric.providers]]
id = "demo"
kind = "demo"
[messenger.rateLimits.api]
rps = 1
burstSize = 3
"#;
/// The operator's key, which has no limit.
const OPERATOR: &str = "operator-key-0123456789";
/// A key with the limits above.
const LIMITED: &str = "limited-key-0123456789";
/// What differs between any two answers.
const OF_ITS_OWN: [&str; 3] = ["date", "x-request-id", "x-ratelimit-reset-tokens"];
const HELLO: &str = r#"{"model":"auto","max_tokens":4,"messages":[{"role":"user","content":"hello"}]}"#;
const STREAMED: &str = r#"{"model":"auto","max_tokens":4,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}"#;

/// A clock that stands still, and that breaks whoever asks it when the test wants that.
#[derive(Debug)]
struct Fragile {
    clock: Arc<ManualClock>,
    is_broken: AtomicBool,
}

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        assert!(!self.is_broken.load(Ordering::Relaxed), "as the test wants");
        self.clock.monotonic()
    }

    fn sleep_until(&self, deadline: Monotonic) -> futures::future::BoxFuture<'static, ()> {
        self.clock.sleep_until(deadline)
    }
}

/// An answer without what differs between any two.
#[derive(Debug, PartialEq)]
struct Answer {
    /// Of the status line; empty when there was no answer.
    status: String,
    /// By name; of those that are never the same, only that they are there.
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

struct Server {
    address: SocketAddr,
    clock: Arc<Fragile>,
    built: Built,
    _serving: AbortOnDropHandle<accept::Stopped>,
}

impl Server {
    async fn start<A: Answers>(answers: impl FnOnce(&Built) -> A) -> Self {
        let mut loaded = config::load(Some(CONFIG), &FixedEnvironment::default(), &[]).unwrap();
        loaded.secrets.web_api_key = Some(Secret::new(LIMITED));
        let mut built = wire::build(
            &loaded,
            Path::new("unused"),
            &Secret::new("admin-token-0123456789"),
            &Secret::new(OPERATOR),
            Secret::new("visitors"),
            Purpose::Serve,
        )
        .await
        .unwrap();
        let clock = Arc::new(Fragile {
            clock: ManualClock::new(),
            is_broken: AtomicBool::new(false),
        });
        let app = Arc::get_mut(&mut built.app).expect("nobody else has it yet");
        app.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        app.inbound = RateLimiter::new(app.native.api_limit, 10, Arc::clone(&app.clock));
        built.gateway.start().await.unwrap();
        let listener = accept::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = accept::serve(
            listener,
            answers(&built),
            AcceptConfig::default(),
            Arc::default(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        Self {
            address,
            clock,
            built,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// Sends these bytes and reads to the end of the connection.
    async fn answer(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has refused may close before it has read all.
        stream.write_all(request).await.ok();
        self.read(stream).await
    }

    async fn read(&self, mut stream: TcpStream) -> Answer {
        let mut read = Vec::new();
        let reading = stream.read_to_end(&mut read);
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the server neither answered nor closed")
            .ok();
        Answer::of(&read)
    }

    /// What was counted of requests, without times.
    async fn counted(&self) -> Vec<String> {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {OPERATOR}\r\n\r\n"
        );
        let answer = self.answer(request.as_bytes()).await;
        let mut lines: Vec<String> = answer
            .body
            .lines()
            .filter(|line| {
                [
                    "openclaw_http_requests_total{",
                    "openclaw_http_request_duration_seconds_count{",
                    "openclaw_requests_refused",
                    "openclaw_rate_limited",
                ]
                .iter()
                .any(|name| line.starts_with(name))
            })
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }
}

impl Answer {
    fn of(read: &[u8]) -> Self {
        let text = String::from_utf8_lossy(read);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        // What is said before the answer, where the client asked whether it may send its body.
        let (before, head, body) = match body.split_once("\r\n\r\n") {
            Some((real, body)) if head.starts_with("HTTP/1.1 100") => (head, real, body),
            Some(_) | None => ("", head, body),
        };
        let mut lines = head.split("\r\n");
        let status = format!("{before}{}", lines.next().unwrap_or_default());
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let value = if OF_ITS_OWN.contains(&name) { "…" } else { value };
            headers.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Self {
            status,
            headers,
            body: without_ids(body),
        }
    }

    fn code(&self) -> u16 {
        let code = self.status.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or(0)
    }
}

/// A body without the ids of its answer: of JSON, of every event of a stream, as they stand in their chunks.
fn without_ids(body: &str) -> String {
    let lines = body.lines().map(|line| {
        let (before, json) = match line.strip_prefix("data: ") {
            Some(json) => ("data: ", json),
            None => ("", line),
        };
        let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else {
            return line.to_owned();
        };
        for name in ["id", "correlationId"] {
            if let Some(id) = fields.get_mut(name) {
                *id = Value::from("…");
            }
        }
        format!("{before}{}", Value::Object(fields))
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct Both {
    edge: Server,
    router: Server,
}

impl Both {
    async fn start() -> Self {
        Self {
            edge: Server::start(|built| Edge::new(Arc::clone(&built.app))).await,
            router: Server::start(|built| router(Arc::clone(&built.app))).await,
        }
    }

    /// Asks both; their answer is the same and has this status, 0 for none.
    async fn ask(&self, what: &str, request: impl AsRef<[u8]>, status: u16) -> Answer {
        let (edge, router) = tokio::join!(
            self.edge.answer(request.as_ref()),
            self.router.answer(request.as_ref())
        );
        assert_eq!(edge, router, "{what}");
        assert_eq!(edge.code(), status, "{what}: {edge:?}");
        edge
    }

    async fn count_the_same(&self) -> Vec<String> {
        let counted = self.edge.counted().await;
        assert_eq!(counted, self.router.counted().await);
        counted
    }

    fn servers(&self) -> [&Server; 2] {
        [&self.edge, &self.router]
    }
}

/// A request with a body, and with headers of its own, a line each.
fn request(line: &str, headers: &str, body: &str) -> String {
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}")
}

const POST: &str = "POST /v1/chat/completions";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_is_the_route_or_only_looks_like_it() {
    let both = Both::start().await;
    for (target, status) in [
        ("/v1/chat/completions", 200),
        ("/v1/chat/completions?", 200),
        ("/v1/chat/completions?a=b&stream=true", 200),
        ("/v1/chat/completions#fragment", 200),
        ("http://elsewhere/v1/chat/completions", 200),
        ("/v1/chat/completions/", 404),
        ("//v1/chat/completions", 404),
        ("/v1//chat/completions", 404),
        ("/v1/./chat/completions", 404),
        ("/v1/chat/completions;a=b", 404),
        ("/v1/chat/completion%73", 404),
        ("/v1/chat%2Fcompletions", 404),
        ("/v1/chat/completions%00", 404),
        ("/V1/chat/completions", 404),
        ("/v1/chat/completionsx", 404),
        ("/v1/chat", 404),
        ("/v1/chat/completions/%ff", 404),
        ("*", 404),
    ] {
        let call = request(&format!("POST {target}"), &bearer(OPERATOR), HELLO);
        both.ask(target, call, status).await;
    }
    both.count_the_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_method_is_refused_with_the_one_that_is_allowed() {
    let both = Both::start().await;
    let preflight = "origin: https://elsewhere\naccess-control-request-method: POST";
    for method in [
        "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "post",
    ] {
        let line = format!("{method} /v1/chat/completions");
        for (headers, body) in [
            (bearer(OPERATOR).as_str(), HELLO),
            ("", ""),
            ("x-api-key: wrong", "{"),
            (preflight, ""),
        ] {
            let answer = both.ask(&line, request(&line, headers, body), 405).await;
            assert_eq!(answer.headers["allow"], ["POST"], "{line}");
            assert_eq!(answer.body.is_empty(), method == "HEAD", "{line}");
        }
    }
    both.ask("a tunnel", request("CONNECT x:443", "", ""), 404).await;
    both.count_the_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_and_by_whom_is_answered_the_same() {
    let both = Both::start().await;
    let key = bearer(OPERATOR);
    let with = |header: &str| format!("{header}\n{key}");
    let unknown = HELLO.replace("auto", "nobody");
    let full = "x".repeat(64 << 10);
    let over = format!("{full}x");
    for (what, headers, body, status) in [
        ("no key", String::new(), HELLO, 401),
        ("a wrong key", bearer("wrong"), HELLO, 401),
        (
            "another scheme",
            format!("authorization: Basic {OPERATOR}"),
            HELLO,
            401,
        ),
        ("no text for a key", bearer("\u{fc}"), HELLO, 401),
        (
            "the key's other name",
            format!("x-api-key: {OPERATOR}"),
            HELLO,
            200,
        ),
        (
            "an id of the caller's own",
            with("x-request-id: mine"),
            HELLO,
            200,
        ),
        (
            "another kind of body",
            with("content-type: text/plain"),
            HELLO,
            200,
        ),
        ("a stream", key.clone(), STREAMED, 200),
        ("no body", key.clone(), "", 400),
        ("no JSON", key.clone(), "{", 400),
        ("no messages", with("accept-language: ru"), "{}", 400),
        ("an unknown model", key.clone(), &unknown, 404),
        ("the same in Russian", with("accept-language: ru"), &unknown, 404),
        ("a body at the limit", key.clone(), &full, 400),
        ("a body over the limit", key.clone(), &over, 413),
    ] {
        let answer = both.ask(what, request(POST, &headers, body), status).await;
        assert!(answer.headers.contains_key("x-request-id"), "{what}: {answer:?}");
    }
    both.count_the_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_call_is_written_it_is_read_the_same() {
    let both = Both::start().await;
    let head = format!("host: localhost\r\nconnection: close\r\n{}\r\n", bearer(OPERATOR));
    let length = format!("content-length: {}\r\n", HELLO.len());
    let (one, two) = HELLO.split_at(20);
    let chunked = "transfer-encoding: chunked\r\n";
    let chunks = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    let size = (64 << 10) + 1;
    let long = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
    for (what, version, head, body, status) in [
        ("chunks", "1.1", format!("{head}{chunked}"), chunks.as_str(), 200),
        ("a long chunk", "1.1", format!("{head}{chunked}"), &long, 413),
        ("no chunk", "1.1", format!("{head}{chunked}"), "zz\r\n", 400),
        (
            "two lengths",
            "1.1",
            format!("{head}content-length: 3\r\n{chunked}"),
            &chunks,
            200,
        ),
        ("no length", "1.1", head.clone(), HELLO, 400),
        (
            "may I",
            "1.1",
            format!("{head}expect: 100-continue\r\n{length}"),
            HELLO,
            100,
        ),
        ("an old client", "1.0", format!("{head}{length}"), HELLO, 200),
        (
            "no host",
            "1.1",
            format!("{}{length}", head.replace("host: localhost\r\n", "")),
            HELLO,
            200,
        ),
    ] {
        let call = format!("{POST} HTTP/{version}\r\n{head}\r\n{body}");
        both.ask(what, call, status).await;
    }
    both.count_the_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_limit_and_a_server_that_has_stopped_refuse_the_same() {
    let both = Both::start().await;
    for (number, status) in [200, 200, 200, 429, 429].into_iter().enumerate() {
        let answer = both
            .ask(
                "a key with a limit",
                request(POST, &bearer(LIMITED), HELLO),
                status,
            )
            .await;
        let left = 2_usize.saturating_sub(number).to_string();
        assert_eq!(
            answer.headers["x-ratelimit-remaining-requests"],
            [left],
            "{answer:?}"
        );
    }
    for server in both.servers() {
        server.built.app.draining.store(true, Ordering::Release);
    }
    both.ask("while it stops", request(POST, &bearer(OPERATOR), HELLO), 200)
        .await;
    for server in both.servers() {
        server.built.gateway.shut_down(Duration::ZERO).await;
    }
    for body in [HELLO, STREAMED] {
        both.ask("after the end", request(POST, &bearer(OPERATOR), body), 503)
            .await;
    }
    let counted = both.count_the_same().await;
    for status in ["200", "429", "503"] {
        let series = format!("http_requests_total{{route=\"chat_completions\",status=\"{status}\"}}");
        assert!(
            counted.iter().any(|line| line.contains(&series)),
            "{series} in {counted:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_ends_the_same() {
    let both = Both::start().await;
    let begun = format!(
        "{POST} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\ncontent-length: 100\r\n\r\n{{",
        bearer(OPERATOR)
    );
    let mut answers = Vec::new();
    for server in both.servers() {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let waits = async {
            while server.clock.clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waits)
            .await
            .expect("nobody waits for the body");
        server.clock.clock.advance(server.built.app.limits.body_time);
        answers.push(server.read(stream).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].code(), 408);
    both.count_the_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_breaks_ends_its_connection_and_no_other() {
    let both = Both::start().await;
    let call = request(POST, &bearer(OPERATOR), HELLO);
    for (broken, status) in [(false, 200), (true, 0), (false, 200)] {
        for server in both.servers() {
            server.clock.is_broken.store(broken, Ordering::Relaxed);
        }
        both.ask("a call", &call, status).await;
    }
    both.count_the_same().await;
}
