//! The line between a browser and the server: a test can cut it, also in the middle of an event, and read what went over it.

use super::tape::{Listening, Tape};
use anyhow::Result;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Where connections lead; `None` while the line is cut.
type Target = Option<SocketAddr>;
/// Where to cut, given all that has come in answer on a connection; told once.
type Cut = Box<dyn FnMut(&[u8]) -> Option<usize> + Send>;

/// A port that leads to the server while the line is whole.
#[derive(Debug)]
pub(super) struct Line {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    target: watch::Sender<Target>,
    /// Every connection there was, oldest first.
    tapes: Mutex<Vec<Arc<Mutex<Tape>>>>,
    /// How many pieces of questions went over the line.
    asked: AtomicUsize,
    /// The rule for the next cut.
    cut: Mutex<Option<(Cut, AfterCut)>>,
    /// How many cuts were made by a rule.
    cuts: watch::Sender<usize>,
}

/// What becomes of the line once a rule has cut it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterCut {
    /// New connections are let through.
    Open,
    /// They are not until [`Line::mend`].
    Closed,
}

// === impl Line ===

impl Line {
    /// A line to this server.
    pub(super) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            target: watch::Sender::new(Some(server)),
            tapes: Mutex::default(),
            asked: AtomicUsize::new(0),
            cut: Mutex::default(),
            cuts: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self { address, inner, task })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Breaks every connection; new ones are closed at once.
    pub(super) fn cut(&self) {
        self.inner.target.send_replace(None);
    }

    /// Lets new connections through, to this server.
    pub(super) fn mend(&self, server: SocketAddr) {
        self.inner.target.send_replace(Some(server));
    }

    /// Breaks the next connection on which `place` finds where; it is asked at every arrival and given all the bytes of
    /// the answers so far, and what stands before the place it names still arrives.
    pub(super) fn cut_at(&self, after: AfterCut, place: impl FnMut(&[u8]) -> Option<usize> + Send + 'static) {
        *self.inner.cut.lock() = Some((Box::new(place), after));
    }

    /// Waits until so many cuts were made by [`Self::cut_at`].
    pub(super) async fn was_cut(&self, times: usize) -> Result<()> {
        let mut cuts = self.inner.cuts.subscribe();
        tokio::time::timeout(crate::setup::LONG, cuts.wait_for(|cuts| *cuts >= times)).await??;
        Ok(())
    }

    /// The cookie the server gave out.
    pub(super) fn cookie(&self) -> Option<String> {
        let tapes = self.inner.tapes.lock();
        tapes.iter().find_map(|tape| tape.lock().cookie())
    }

    /// Every time the page listened to a chat, oldest first.
    pub(super) fn listened(&self) -> Vec<Listening> {
        let tapes = self.inner.tapes.lock();
        let mut listened: Vec<(usize, Listening)> = tapes
            .iter()
            .filter_map(|tape| {
                let tape = tape.lock();
                Some((tape.asked_as, tape.listened()?))
            })
            .collect();
        listened.sort_by_key(|(asked_as, _)| *asked_as);
        listened.into_iter().map(|(_, one)| one).collect()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                connections.spawn(carry(socket, Arc::clone(&inner)));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Carries bytes both ways until either side ends or the line is cut.
async fn carry(here: TcpStream, inner: Arc<Inner>) {
    let mut target = inner.target.subscribe();
    let Some(server) = *target.borrow_and_update() else {
        return;
    };
    let Ok(there) = TcpStream::connect(server).await else {
        return;
    };
    let tape = Arc::new(Mutex::new(Tape::default()));
    inner.tapes.lock().push(Arc::clone(&tape));
    let (from_here, to_here) = here.into_split();
    let (from_there, to_there) = there.into_split();
    tokio::select! {
        () = asks(from_here, to_there, &tape, &inner) => {}
        () = answers(from_there, to_here, &tape, &inner) => {}
        _cut = target.changed() => {}
    }
}

async fn asks(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tape: &Mutex<Tape>,
    inner: &Inner,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let piece = piece.get(..length).unwrap_or_default();
        {
            let mut tape = tape.lock();
            tape.asked.extend_from_slice(piece);
            tape.asked_as = inner.asked.fetch_add(1, Ordering::Relaxed);
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tape: &Mutex<Tape>,
    inner: &Inner,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let mut piece = piece.get(..length).unwrap_or_default();
        let cut = {
            let mut tape = tape.lock();
            let before = tape.answered.len();
            tape.answered.extend_from_slice(piece);
            let place = inner.place_of_cut(&tape);
            if let Some((place, _)) = place {
                tape.answered.truncate(place.max(before));
                piece = piece.get(..place.saturating_sub(before)).unwrap_or_default();
            }
            place
        };
        if to.write_all(piece).await.is_err() {
            return;
        }
        if let Some((_, after)) = cut {
            // What was written is read before the end is seen.
            let _ended = to.shutdown().await;
            if after == AfterCut::Closed {
                inner.target.send_replace(None);
            }
            inner.cuts.send_modify(|cuts| *cuts += 1);
            return;
        }
    }
}

impl Inner {
    fn place_of_cut(&self, tape: &Tape) -> Option<(usize, AfterCut)> {
        let mut rule = self.cut.lock();
        let (place, after) = rule.as_mut()?;
        let found = place(&tape.answered)?;
        let after = *after;
        *rule = None;
        Some((found, after))
    }
}
