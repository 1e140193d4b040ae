//! Any bytes on any path get an answer or a closed connection; the server neither falls nor grows nor complains.

use super::{Seeded, assert_quiet};
use crate::setup::{LONG, SECRET, without_limits, world};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATHS: [&str; 14] = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/chat/completions",
    "/v1/models",
    "/v1/models/a/b/c",
    "/v1/%ff%fe/../../etc/passwd",
    "/webhook/telegram",
    "/webhook/max",
    "/admin/api/v1/metrics/concurrency",
    "/api/v1/chats",
    "/chat",
    "/?a=%00&b=%",
];
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "NONSENSE",
];

/// Sends bytes, gives what came back within a moment.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        panic!("nobody listens any more")
    };
    // A server that has seen enough may close while we still write.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answer))
        .await
        .expect("an answer or an end")
        .ok();
    answer
}

fn body(chance: &mut Seeded) -> Vec<u8> {
    match chance.below(9) {
        0 => Vec::new(),
        1 => {
            let length = chance.below(2_000);
            chance.bytes(length)
        }
        2 => b"[".repeat(10_000),
        3 => b"{\"a\":".repeat(10_000),
        4 => br#"{"update_id":7,"message":{"message_id":1,"date":-9223372036854775808,"chat":{"id":1e400,"type":"private"},"text":"\ud800"}}"#.to_vec(),
        5 => br#"{"model":"auto","messages":[{"role":"user","content":[{"type":"text","text":"\udfff\ud800"}]}],"max_tokens":-1}"#.to_vec(),
        6 => br#"{"model":"auto","messages":[{"role":"user","content":"hi"}],"max_tokens":18446744073709551616,"n":99999999,"stop":["",7],"temperature":1e999}"#.to_vec(),
        7 => format!(r#"{{"model":"{}","messages":[{{"role":"user","content":"hi"}}],"stream":"yes"}}"#, "m".repeat(5_000)).into_bytes(),
        _ => {
            let mut valid = br#"{"model":"auto","stream":true,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}"#.to_vec();
            for _ in 0..1 + chance.below(4) {
                let place = usize::try_from(chance.below(valid.len() as u64)).unwrap();
                valid[place] = chance.next().to_le_bytes()[0];
            }
            valid
        }
    }
}

fn request(chance: &mut Seeded, key: &str) -> Vec<u8> {
    let body = body(chance);
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: x\r\n",
        chance.pick(&METHODS),
        chance.pick(&PATHS)
    )
    .into_bytes();
    if chance.below(2) == 0 {
        head.extend_from_slice(format!("authorization: Bearer {key}\r\n").as_bytes());
    }
    if chance.below(2) == 0 {
        head.extend_from_slice(format!("x-telegram-bot-api-secret-token: {SECRET}\r\n").as_bytes());
    }
    let kind = *chance.pick(&[
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=",
        "\u{80}\u{81}",
        "",
    ]);
    head.extend_from_slice(format!("content-type: {kind}\r\n").as_bytes());
    match chance.below(8) {
        0 => {
            let length = chance.below(300_000);
            head.extend_from_slice(b"x-large: ");
            head.extend(std::iter::repeat_n(b'a', usize::try_from(length).unwrap()));
            head.extend_from_slice(b"\r\n");
        }
        1 => {
            let noise = chance.bytes(40);
            head.extend_from_slice(b"x-noise: ");
            head.extend_from_slice(&noise);
            head.extend_from_slice(b"\r\n");
        }
        2 => head.extend_from_slice(b"content-length: 5\r\ncontent-length: 6\r\n"),
        3 => head.extend_from_slice(b"content-length: 99999999999999999999\r\n"),
        4 => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        _ => head.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes()),
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&body);
    if chance.below(20) == 0 {
        let length = chance.below(200);
        return chance.bytes(length);
    }
    head
}

/// Resident memory in bytes.
fn resident(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4_096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_bad_requests_leave_the_server_well() {
    let world = world(without_limits).await;
    let address = world.server.address();
    let key = world.server.api_key().unwrap();
    let pid = world.server.pid().unwrap();
    let attack = |seed: u64, count: u32| {
        let key = key.clone();
        tokio::spawn(async move {
            let mut chance = Seeded(seed);
            for number in 0..count {
                let bytes = request(&mut chance, &key);
                let answer = exchange(address, &bytes).await;
                let status = answer.get(9..12).map(String::from_utf8_lossy);
                assert!(
                    answer.is_empty() || answer.starts_with(b"HTTP/1."),
                    "seed {seed}, request {number}: {status:?}"
                );
                assert!(
                    !matches!(status.as_deref(), Some("500" | "501" | "505")),
                    "seed {seed}, request {number}: {}\n{}",
                    String::from_utf8_lossy(&bytes)
                        .chars()
                        .take(600)
                        .collect::<String>(),
                    String::from_utf8_lossy(&answer)
                );
            }
        })
    };
    attack(1, 300).await.unwrap();
    let before = resident(pid);
    for attacker in [attack(2, 700), attack(3, 700), attack(4, 700), attack(5, 600)] {
        attacker.await.unwrap();
    }
    let grown = resident(pid).saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");
    assert_eq!(world.say(1, "alive?").await, 200);
    world.hears(1, "echo: alive?").await;
    assert_quiet(&world.server.log());
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let world = world(without_limits).await;
    let key = world.server.api_key().unwrap();
    let pid = world.server.pid().unwrap();
    let before = resident(pid);
    for head in [
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\n"),
        format!("POST /webhook/telegram HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-token: {SECRET}\r\ntransfer-encoding: chunked\r\n\r\n"),
        "POST /webhook/telegram HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-token: wrong\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        "POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut chunk = b"10000\r\n".to_vec();
        chunk.extend(std::iter::repeat_n(b'x', 0x10000));
        chunk.extend_from_slice(b"\r\n");
        let mut sent = 0;
        let endless = async {
            while stream.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
                assert!(sent < 64 << 20, "{head} reads on and on");
            }
        };
        tokio::time::timeout(LONG, endless)
            .await
            .unwrap_or_else(|_| panic!("{head}: neither reads nor closes"));
    }
    assert!(resident(pid).saturating_sub(before) < 32 << 20);
    assert_quiet(&world.server.log());
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_in_time() {
    let world = world(|setup| without_limits(setup).env("OPENCLAW__SERVER__REQUEST_TIMEOUT_MS", "400")).await;
    let key = world.server.api_key().unwrap();
    for head in [
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 5000\r\n\r\n"
        ),
        format!(
            "POST /webhook/telegram HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-token: {SECRET}\r\ncontent-length: 5000\r\n\r\n"
        ),
    ] {
        let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let given_up = async {
            loop {
                tokio::select! {
                    read = stream.read(&mut answer) => return read.unwrap_or(0),
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
                stream.write_all(b" ").await.ok();
            }
        };
        // Shorter than the time a body has where nobody sets one.
        let read = tokio::time::timeout(Duration::from_secs(25), given_up)
            .await
            .unwrap_or_else(|_| panic!("a dripping body holds its connection for ever: {head}"));
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_quiet(&world.server.log());
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_one_by_one() {
    let world = world(without_limits).await;
    let mut ahead = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".repeat(49);
    ahead.extend_from_slice(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
    stream.write_all(&ahead).await.unwrap();
    let mut answers = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answers))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count(),
        50
    );
}
