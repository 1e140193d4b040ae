//! Listening with room for a burst of connections.

use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// Connections the system holds until they are accepted. One that finds no place is silently dropped, and its client
/// tries again a whole second later: with the usual 128 a double would answer a server that calls it a thousand times at
/// once in two groups, and a measurement would show its own fault as the server's.
const BACKLOG: u32 = 4_096;

/// Listens on an address. Call it inside a tokio runtime.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_burst_of_connections_is_taken_before_anybody_accepts() {
        let system = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
        let held: u32 = system.and_then(|text| text.trim().parse().ok()).unwrap_or(128);
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let burst = (0..held.min(512)).map(|_| TcpStream::connect(address));
        // A connection too many would not come to an end at all, since nobody accepts.
        let connected = tokio::time::timeout(Duration::from_secs(60), futures::future::try_join_all(burst));
        assert!(connected.await.is_ok_and(|connected| connected.is_ok()));
    }
}
