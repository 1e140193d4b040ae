//! The line between a browser and the server, which a test can cut.

use anyhow::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Where connections lead; `None` while the line is cut.
type Target = Option<SocketAddr>;

/// A port that leads to the server while the line is whole.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    target: Arc<watch::Sender<Target>>,
    task: JoinHandle<()>,
}

impl Line {
    /// A line to this server.
    pub(crate) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let target = Arc::new(watch::Sender::new(Some(server)));
        let task = tokio::spawn(accept(listener, Arc::clone(&target)));
        Ok(Self {
            address,
            target,
            task,
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Breaks every connection; new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.target.send_replace(None);
    }

    /// Lets new connections through, to this server.
    pub(crate) fn mend(&self, server: SocketAddr) {
        self.target.send_replace(Some(server));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<watch::Sender<Target>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                connections.spawn(carry(socket, target.subscribe()));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Carries bytes both ways until either side ends or the line is cut.
async fn carry(mut here: TcpStream, mut target: watch::Receiver<Target>) {
    let Some(server) = *target.borrow_and_update() else {
        return;
    };
    let Ok(mut there) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ended = copy_bidirectional(&mut here, &mut there) => {}
        _cut = target.changed() => {}
    }
}
