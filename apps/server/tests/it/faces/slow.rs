//! Callers that send slowly, with deadlines that are short so that a missing one is seen by our own, longer, patience.

use crate::setup::{SECRET, world};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Shorter than the deadline a head has where nobody sets one, so that it shows whether the configured one counts.
const BELOW_THE_DEFAULT: Duration = Duration::from_secs(8);
/// The same of a body.
const BELOW_THE_DEFAULT_OF_A_BODY: Duration = Duration::from_secs(25);

/// Everything the server says before it closes.
async fn all(stream: &mut TcpStream, patience: Duration) -> String {
    let mut said = Vec::new();
    tokio::time::timeout(patience, stream.read_to_end(&mut said))
        .await
        .expect("the server neither answers nor closes")
        .ok();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn an_update_whose_body_stops_coming_is_answered_408_and_counted() {
    let world = world(|setup| setup.env("OPENCLAW__SERVER__REQUEST_TIMEOUT_MS", "100")).await;
    let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
    let head = format!(
        "POST /webhook/telegram HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-telegram-bot-api-secret-token: {SECRET}\r\ncontent-length: 1000\r\n\r\n{{\"update_id\":"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = all(&mut stream, BELOW_THE_DEFAULT_OF_A_BODY).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"REQUEST_TIMEOUT\""), "{answer}");
    let metrics = world
        .server
        .http()
        .unwrap()
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text();
    let counted = metrics
        .lines()
        .any(|line| line.contains("\"slow\"") && line.contains("telegram") && line.ends_with(" 1"));
    assert!(counted, "{metrics}");
}

#[tokio::test]
async fn a_head_that_stops_coming_ends_the_connection_after_the_configured_time() {
    let world = world(|setup| setup.env("OPENCLAW__SERVER__HEADER_TIMEOUT_MS", "200")).await;
    let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
    stream
        .write_all(b"POST /webhook/telegram HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-")
        .await
        .unwrap();
    let answer = all(&mut stream, BELOW_THE_DEFAULT).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
