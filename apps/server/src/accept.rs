//! The listener: our own accept loop over hyper, because `axum::serve` bounds nothing.
//!
//! A request's head must arrive in time (an idle kept-alive connection is closed after the same time), a client that
//! does not read its answer is dropped, connections are counted in total and per address, and when descriptors run
//! out the loop waits instead of spinning. A stop is bounded whatever clients do: idle connections are closed at once,
//! requests under way and open streams may end within the grace, the rest is cut.
//!
//! HTTP/1.1 only; TLS and HTTP/2 are a proxy's work. What a path does is not known here.

mod io;
mod limits;

pub(crate) use limits::{ConnectionCounts, descriptor_bound};

use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use io::Guarded;
use limits::{Limits, Place};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

/// The bounds of the listener.
#[derive(Clone, Debug)]
pub(crate) struct AcceptConfig {
    /// How long a request's head may take to arrive, and how long a connection may lie idle.
    pub(crate) header_timeout: Duration,
    /// How long a client may take none of an answer that waits for it.
    pub(crate) write_timeout: Duration,
    /// Connections, all addresses together.
    pub(crate) max_connections: usize,
    /// Connections of one address; an IPv6 address stands for its /64.
    pub(crate) max_connections_per_address: usize,
    /// Addresses that are not counted, beside loopback: trusted proxies.
    pub(crate) exempt: Vec<IpAddr>,
    /// How long requests under way may go on after the stop was asked for.
    pub(crate) grace: Duration,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Connections that were open when the grace was over, and were cut.
    pub(crate) cut: usize,
}

/// The longest head of a request. It also bounds what is buffered of a body that nobody reads.
const MAX_BUFFER_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// Connections the system holds for us until they are accepted; it may hold fewer (`net.core.somaxconn`). One that finds
/// no place is not refused but silently dropped, and its client tries again a whole second later: with the 128 of the
/// standard library a burst of a few hundred clients loses that second.
const BACKLOG: u32 = 4_096;
const FIRST_BACK_OFF: Duration = Duration::from_millis(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

impl Default for AcceptConfig {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            max_connections: 16_384,
            max_connections_per_address: 256,
            exempt: Vec::new(),
            grace: Duration::from_secs(25),
        }
    }
}

/// Listens on an address. Call it inside a tokio runtime.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // As the standard library does: an address can be listened on again right after the last server ended.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Who answers requests. Asked once per request, as a copy.
pub(crate) trait Answers:
    Service<http::Request<hyper::body::Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<http::Request<hyper::body::Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Serves until `drain` is cancelled and the connections have ended, at the latest when the grace is over or `kill`
/// is cancelled. The peer's address is in each request's extensions as [`ConnectInfo`].
pub(crate) async fn serve(
    listener: TcpListener,
    answers: impl Answers,
    config: AcceptConfig,
    counts: Arc<ConnectionCounts>,
    drain: CancellationToken,
    kill: CancellationToken,
) -> Stopped {
    let limits = Arc::new(Limits::new(&config, counts));
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(MAX_BUFFER_BYTES)
        .max_headers(MAX_HEADERS)
        .half_close(false);

    let mut back_off = FIRST_BACK_OFF;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            () = kill.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = FIRST_BACK_OFF;
                // A refused connection is closed at once: there is no answer worth a descriptor.
                if let Some(place) = limits.take(peer.ip()) {
                    tasks.spawn(connection(
                        Socket {
                            stream,
                            peer,
                            place,
                            write_timeout: config.write_timeout,
                        },
                        answers.clone(),
                        builder.clone(),
                        drain.clone(),
                        cut.clone(),
                    ));
                }
            }
            // The client went away between its connection and our call.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                tracing::error!(
                    err = &error as &dyn std::error::Error,
                    "connections cannot be accepted"
                );
                tokio::select! {
                    () = drain.cancelled() => break,
                    () = kill.cancelled() => break,
                    () = tokio::time::sleep(back_off) => back_off = (back_off * 2).min(LONGEST_BACK_OFF),
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    tokio::select! {
        biased;
        () = tasks.wait() => return Stopped::default(),
        () = kill.cancelled() => {}
        () = tokio::time::sleep(config.grace) => {}
    }
    let left = tasks.len();
    cut.cancel();
    tasks.wait().await;
    Stopped { cut: left }
}

struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    /// Given back when the connection ends, however it ends.
    place: Place,
    write_timeout: Duration,
}

async fn connection(
    socket: Socket,
    answers: impl Answers,
    builder: http1::Builder,
    drain: CancellationToken,
    cut: CancellationToken,
) {
    let Socket {
        stream,
        peer,
        place,
        write_timeout,
    } = socket;
    let _place = place;
    if stream.set_nodelay(true).is_err() {
        // The client is gone already.
        return;
    }
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        answers.clone().oneshot(request)
    });
    let mut connection = pin!(builder.serve_connection(Guarded::new(stream, write_timeout), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = cut.cancelled() => None,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = cut.cancelled() => None,
            }
        }
    };
    if let Some(Err(error)) = ended {
        // Clients break connections every day; it is theirs to know why.
        tracing::debug!(%peer, err = &error as &dyn std::error::Error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests;
