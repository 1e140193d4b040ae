//! Load generator for OpenAI-shaped chat endpoints over plain HTTP/1.1. Prints one line of JSON; times are in ms.
//!
//! `sat` is a closed loop: every connection sends back to back. `rate` is an open one: request *i* is due at
//! start + *i* / rate, and one that starts late because its connection was still busy counts from when it was due, so
//! that a stalled server is not hidden by the client that waits for it.
//!
//! `ttfc` is the time to the first `data:` line with content, `gap` the time between two of them.

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use openclaw_bench::statistics::{Times, rounded};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// No request is waited for longer.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Sat,
    Rate,
}

/// Sends chat requests and prints what they cost.
#[derive(Debug, Parser)]
struct Options {
    /// Where to, e.g. <http://127.0.0.1:9100/v1/chat/completions>.
    #[arg(long)]
    url: String,
    /// Back to back, or at a fixed rate.
    #[arg(long, value_enum, default_value = "sat")]
    mode: Mode,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    conns: usize,
    /// Requests per second in mode `rate`.
    #[arg(long, default_value_t = 20.0)]
    rps: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 10.0)]
    secs: f64,
    /// Seconds before that, not measured.
    #[arg(long, default_value_t = 2.0)]
    warm: f64,
    /// Asks for a stream.
    #[arg(long)]
    stream: bool,
    /// Asks for the usage at the end of the stream.
    #[arg(long)]
    include_usage: bool,
    /// The model.
    #[arg(long, default_value = "mock-c64")]
    model: String,
    /// Length of the question.
    #[arg(long, default_value_t = 400)]
    prompt_bytes: usize,
    /// A header, `name: value`; may be given several times.
    #[arg(long, value_parser = header)]
    header: Vec<(String, String)>,
    /// Drops the connection after so many pieces of a stream; 0 reads to the end.
    #[arg(long, default_value_t = 0)]
    abort_after: usize,
    /// Printed with the result.
    #[arg(long, default_value = "")]
    label: String,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The options, made ready.
#[derive(Debug)]
struct Plan {
    options: Options,
    host: String,
    path: String,
    body: Bytes,
}

/// What one connection has measured.
#[derive(Debug, Default)]
struct Tally {
    latencies: Vec<f64>,
    first_pieces: Vec<f64>,
    gaps: Vec<f64>,
    succeeded: u64,
    failed: u64,
    pieces: u64,
    bytes: u64,
    done_seen: u64,
    usage_seen: u64,
    failures: BTreeMap<String, u64>,
}

/// What one answer showed.
#[derive(Debug, Default)]
struct Seen {
    pieces: usize,
    first: Option<Instant>,
    last: Option<Instant>,
    gaps: Vec<f64>,
    done: bool,
    usage: bool,
    error: bool,
    aborted: bool,
    bytes: u64,
}

/// Why a request failed, and whether its connection can be used again.
#[derive(Debug)]
struct Failure {
    kind: String,
    connection_usable: bool,
}

impl Failure {
    fn broken(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            connection_usable: false,
        }
    }

    fn refused(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            connection_usable: true,
        }
    }
}

// === impl Tally ===

impl Tally {
    fn fail(&mut self, kind: String) {
        self.failed += 1;
        *self.failures.entry(kind).or_default() += 1;
    }

    fn succeed(&mut self, due: Instant, ended: Instant, seen: Seen) {
        self.latencies.push(millis(ended - due));
        self.first_pieces
            .extend(seen.first.map(|first| millis(first - due)));
        self.gaps.extend(seen.gaps);
        self.succeeded += 1;
        self.pieces += seen.pieces as u64;
        self.bytes += seen.bytes;
        self.done_seen += u64::from(seen.done);
        self.usage_seen += u64::from(seen.usage);
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.first_pieces.extend(other.first_pieces);
        self.gaps.extend(other.gaps);
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.pieces += other.pieces;
        self.bytes += other.bytes;
        self.done_seen += other.done_seen;
        self.usage_seen += other.usage_seen;
        for (kind, count) in other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
    }
}

// === impl Seen ===

impl Seen {
    fn line(&mut self, line: &[u8], now: Instant) {
        let holds = |text: &[u8]| line.windows(text.len()).any(|window| window == text);
        if !line.starts_with(b"data:") {
            return;
        }
        if holds(b"[DONE]") {
            self.done = true;
        } else if holds(b"\"content\"") || holds(b"text_delta") {
            self.pieces += 1;
            self.first.get_or_insert(now);
            if let Some(last) = self.last.replace(now) {
                self.gaps.push(millis(now - last));
            }
        }
        self.usage |= holds(b"\"usage\":") && holds(b"\"prompt_tokens\"");
        self.error |= holds(b"\"error\":");
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn connect(host: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let socket = TcpStream::connect(host)
        .await
        .map_err(|error| Failure::broken(format!("connect:{}", error.kind())))?;
    socket
        .set_nodelay(true)
        .map_err(|_error| Failure::broken("nodelay"))?;
    let (sender, connection) = handshake(TokioIo::new(socket))
        .await
        .map_err(|_error| Failure::broken("handshake"))?;
    // How it ends is seen by the request that uses it.
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(plan: &Plan, connection: &mut SendRequest<Full<Bytes>>) -> Result<Seen, Failure> {
    connection
        .ready()
        .await
        .map_err(|_error| Failure::broken("conn_closed"))?;
    let mut request = Request::post(&plan.path)
        .header("host", &plan.host)
        .header("content-type", "application/json");
    for (name, value) in &plan.options.header {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(plan.body.clone()))
        .map_err(|_error| Failure::broken("bad_request"))?;
    let response = connection
        .send_request(request)
        .await
        .map_err(|_error| Failure::broken("send"))?;
    let status = response.status().as_u16();
    let seen = read(plan, response.into_body()).await?;
    if status != 200 {
        return Err(Failure::refused(format!("http_{status}")));
    }
    if seen.error {
        return Err(Failure::refused("inband_error"));
    }
    Ok(seen)
}

async fn read(plan: &Plan, mut body: Incoming) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let mut line = Vec::with_capacity(1024);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_error| Failure::broken("body_cut"))?;
        let Some(data) = frame.data_ref() else { continue };
        seen.bytes += data.len() as u64;
        if !plan.options.stream {
            continue;
        }
        let now = Instant::now();
        for piece in data.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if line.is_empty() => seen.line(end, now),
                Some(end) => {
                    line.extend_from_slice(end);
                    seen.line(&line, now);
                    line.clear();
                }
                None => line.extend_from_slice(piece),
            }
        }
        if plan.options.abort_after > 0 && seen.pieces >= plan.options.abort_after {
            seen.aborted = true;
            break;
        }
    }
    Ok(seen)
}

async fn worker(plan: Arc<Plan>, number: usize, start: Instant) -> Tally {
    let options = &plan.options;
    let mut tally = Tally::default();
    let measured_from = start + Duration::from_secs_f64(options.warm);
    let end = measured_from + Duration::from_secs_f64(options.secs);
    let mut connection = None;
    let mut turn = number as f64;
    loop {
        let due = match options.mode {
            Mode::Sat => Instant::now(),
            Mode::Rate => {
                let due = start + Duration::from_secs_f64(turn / options.rps);
                turn += options.conns as f64;
                if Instant::now() < due {
                    // In time: count from the real send, so that the timer's grain of 1 ms stays out.
                    tokio::time::sleep_until(due.into()).await;
                    Instant::now()
                } else {
                    due
                }
            }
        };
        if due >= end {
            return tally;
        }
        let measured = due >= measured_from;
        let outcome = async {
            let open = match connection.take() {
                Some(open) => open,
                None => connect(&plan.host).await?,
            };
            let open = connection.insert(open);
            match tokio::time::timeout(LIMIT, exchange(&plan, open)).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(Failure::broken("timeout")),
            }
        }
        .await;
        match outcome {
            Ok(seen) => {
                if seen.aborted {
                    connection = None;
                } else if measured {
                    tally.succeed(due, Instant::now(), seen);
                }
            }
            Err(failure) => {
                if measured {
                    tally.fail(failure.kind);
                }
                if !failure.connection_usable {
                    connection = None;
                    // A server that refuses connections is asked again, not hammered.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

fn plan(options: Options) -> Result<Plan> {
    let rest = options
        .url
        .strip_prefix("http://")
        .context("the URL must start with http://")?;
    let (host, path) = rest.split_once('/').context("the URL must have a path")?;
    let mut body = json!({
        "model": options.model,
        "max_tokens": 256,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "word ".repeat(options.prompt_bytes / 5)},
        ],
    });
    if let (true, Some(fields)) = (options.stream, body.as_object_mut()) {
        fields.insert("stream".to_owned(), true.into());
        if options.include_usage {
            fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
    }
    let (host, path, body) = (host.to_owned(), format!("/{path}"), Bytes::from(body.to_string()));
    Ok(Plan {
        options,
        host,
        path,
        body,
    })
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the result is the program's output")]
async fn main() -> Result<()> {
    let plan = Arc::new(plan(Options::parse())?);
    let start = Instant::now() + Duration::from_millis(50);
    let workers: Vec<_> = (0..plan.options.conns)
        .map(|number| tokio::spawn(worker(Arc::clone(&plan), number, start)))
        .collect();
    let mut total = Tally::default();
    for worker in workers {
        total.add(worker.await?);
    }
    let options = &plan.options;
    let wall = (start.elapsed().as_secs_f64() - options.warm).max(0.001);
    let latency = Times::new(total.latencies);
    let first = Times::new(total.first_pieces);
    let gap = Times::new(total.gaps);
    let result = json!({
        "label": options.label,
        "mode": match options.mode { Mode::Sat => "sat", Mode::Rate => "rate" },
        "stream": options.stream, "conns": options.conns,
        "ok": total.succeeded, "err": total.failed, "errors": total.failures,
        "rps": rounded(total.succeeded as f64 / wall, 100.0),
        "mean": latency.mean(), "p50": latency.percentile(0.5), "p90": latency.percentile(0.9),
        "p99": latency.percentile(0.99), "p999": latency.percentile(0.999), "max": latency.percentile(1.0),
        "ttfc_p50": first.percentile(0.5), "ttfc_p99": first.percentile(0.99),
        "gap_p50": gap.percentile(0.5), "gap_p99": gap.percentile(0.99),
        "chunks_per_s": rounded(total.pieces as f64 / wall, 100.0),
        "bytes": total.bytes, "done_seen": total.done_seen, "usage_seen": total.usage_seen,
    });
    println!("{result}");
    Ok(())
}
