//! The listener from outside: real sockets on a port of its own. The limits are short so that a broken one is seen by
//! the client's own, much longer, patience.

use super::*;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    counts: Arc<ConnectionCounts>,
    drain: CancellationToken,
    kill: CancellationToken,
    done: JoinHandle<Stopped>,
}

impl Running {
    async fn start(config: AcceptConfig) -> Self {
        let endless = || async {
            let first = futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"data: x\n\n"))]);
            Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
        };
        let flood = || async {
            let block = Bytes::from(vec![b'x'; 64 << 10]);
            Body::from_stream(futures::stream::repeat(Ok::<_, Infallible>(block)))
        };
        let router = Router::new()
            .route(
                "/peer",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
            )
            .route("/endless", get(endless))
            .route("/flood", get(flood));
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (counts, drain, kill) = (Arc::default(), CancellationToken::new(), CancellationToken::new());
        let done = tokio::spawn(serve(
            listener,
            router,
            config,
            Arc::clone(&counts),
            drain.clone(),
            kill.clone(),
        ));
        Self {
            address,
            counts,
            drain,
            kill,
            done,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stopped(self) -> Stopped {
        tokio::time::timeout(PATIENCE, self.done).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_burst_of_connections_is_taken_before_anybody_accepts() {
    let system = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    let held: u32 = system.and_then(|text| text.trim().parse().ok()).unwrap_or(128);
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let burst = (0..held.min(512)).map(|_| TcpStream::connect(address));
    // A connection too many would not come to an end at all, since nobody accepts.
    let connected = tokio::time::timeout(PATIENCE, futures::future::try_join_all(burst)).await;
    assert!(connected.is_ok_and(|connected| connected.is_ok()));
}

/// Reads until the text is there; `None` when the connection ended first.
async fn read_until(stream: &mut TcpStream, text: &str) -> Option<String> {
    let mut read = Vec::new();
    tokio::time::timeout(PATIENCE, async {
        loop {
            let mut buffer = [0_u8; 4096];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => read.extend_from_slice(&buffer[..count]),
            }
            let so_far = String::from_utf8_lossy(&read).into_owned();
            if so_far.contains(text) {
                return Some(so_far);
            }
        }
    })
    .await
    .expect("the server neither answered nor closed")
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_request_knows_its_peer_and_a_connection_is_kept() {
    let running = Running::start(AcceptConfig::default()).await;
    let mut client = running.connect().await;
    let own = client.local_addr().unwrap().to_string();
    for _ in 0..2 {
        ask(&mut client, "/peer").await;
        assert!(
            read_until(&mut client, &own)
                .await
                .unwrap()
                .starts_with("HTTP/1.1 200")
        );
    }
    assert_eq!(running.counts.open(), 1);
    running.drain.cancel();
    assert_eq!(running.stopped().await, Stopped { cut: 0 });
}

#[tokio::test]
async fn a_head_that_drips_is_closed() {
    let running = Running::start(AcceptConfig {
        header_timeout: Duration::from_millis(50),
        ..AcceptConfig::default()
    })
    .await;
    let mut silent = running.connect().await;
    let mut dripping = running.connect().await;
    dripping.write_all(b"GET /peer HTTP/1.1\r\nhost:").await.unwrap();
    assert_eq!(read_until(&mut silent, "HTTP/1.1 200").await, None);
    assert_eq!(read_until(&mut dripping, "HTTP/1.1 200").await, None);
    running.drain.cancel();
    running.stopped().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let running = Running::start(AcceptConfig {
        write_timeout: Duration::from_millis(50),
        ..AcceptConfig::default()
    })
    .await;
    let mut client = running.connect().await;
    ask(&mut client, "/flood").await;
    assert!(read_until(&mut client, "HTTP/1.1 200").await.is_some());
    let counts = Arc::clone(&running.counts);
    let dropped = async {
        while counts.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped)
        .await
        .expect("it was never dropped");
    running.kill.cancel();
    running.stopped().await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_counted() {
    let running = Running::start(AcceptConfig {
        max_connections: 1,
        ..AcceptConfig::default()
    })
    .await;
    let mut first = running.connect().await;
    ask(&mut first, "/peer").await;
    assert!(read_until(&mut first, "127.0.0.1").await.is_some());
    let mut second = running.connect().await;
    // The server may close before the request is written.
    let _ = second.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(read_until(&mut second, "HTTP/1.1").await, None);
    assert_eq!(running.counts.refused_total(), 1);
    running.drain.cancel();
    running.stopped().await;
}

#[tokio::test]
async fn a_stop_closes_idle_connections_at_once_and_cuts_streams_when_the_grace_is_over() {
    let running = Running::start(AcceptConfig {
        grace: Duration::from_millis(50),
        ..AcceptConfig::default()
    })
    .await;
    let mut idle = running.connect().await;
    ask(&mut idle, "/peer").await;
    assert!(read_until(&mut idle, "127.0.0.1").await.is_some());
    let mut streaming = running.connect().await;
    ask(&mut streaming, "/endless").await;
    assert!(read_until(&mut streaming, "data: x").await.is_some());
    let address = running.address;
    running.drain.cancel();
    assert_eq!(running.stopped().await, Stopped { cut: 1 });
    assert_eq!(read_until(&mut idle, "HTTP/1.1").await, None);
    assert_eq!(read_until(&mut streaming, "0\r\n\r\n").await, None);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_second_stop_does_not_wait_for_the_grace() {
    let running = Running::start(AcceptConfig {
        grace: PATIENCE * 10,
        ..AcceptConfig::default()
    })
    .await;
    let mut streaming = running.connect().await;
    ask(&mut streaming, "/endless").await;
    assert!(read_until(&mut streaming, "data: x").await.is_some());
    running.drain.cancel();
    running.kill.cancel();
    assert_eq!(running.stopped().await, Stopped { cut: 1 });
}
