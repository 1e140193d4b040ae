//! A child's standard error: its log, bounded in line length and rate, and its last words when it fails.

use crate::meter::Meter;
use crate::troubles::WorkerTroubles;
use futures::future::BoxFuture;
use openclaw_concurrency::WorkerId;
use openclaw_core::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;

/// The longest line that is logged whole, in bytes.
const MAX_LINE: usize = 2 * 1024;
/// The pause when a child writes faster than it is read.
const PAUSE: Duration = Duration::from_millis(100);
/// How long is read on after the child has ended, if something else holds the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Whose standard error it is, and who is told of the child's failure.
pub(crate) struct Journal {
    pub(crate) worker: WorkerId,
    /// Bytes read in a second. A child that writes faster waits in the pipe.
    pub(crate) per_second: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) troubles: Arc<WorkerTroubles>,
}

/// The child's end: heard once, with the fault if it is one, without when the sender was dropped.
struct End {
    receiver: oneshot::Receiver<String>,
    heard: Option<Option<String>>,
}

/// Logs what a child writes until it closes the pipe, or a moment after `ended` says that it is gone. A fault that comes
/// with its end is told together with the last line.
pub(crate) async fn log(source: impl AsyncRead + Unpin, journal: Journal, ended: oneshot::Receiver<String>) {
    let mut end = End {
        receiver: ended,
        heard: None,
    };
    let last = read(source, &journal, &mut end).await;
    // A child's pipe closes before its end is noticed.
    end.wait().await;
    if let Some(Some(fault)) = end.heard {
        let Journal {
            worker,
            clock,
            troubles,
            ..
        } = journal;
        troubles.failed(worker, clock.now(), &fault, &last);
    }
}

/// Reads to the end; the last line with anything in it.
async fn read(mut source: impl AsyncRead + Unpin, journal: &Journal, end: &mut End) -> Vec<u8> {
    let (worker, clock) = (journal.worker, &journal.clock);
    let mut meter = Meter::new(journal.per_second, clock.monotonic());
    let mut line = Vec::new();
    let mut last = Vec::new();
    let mut chunk = [0_u8; 1024];
    let mut last_words = None;
    loop {
        let read = tokio::select! {
            biased;
            () = end.wait(), if last_words.is_none() => {
                last_words = Some(clock.sleep(LAST_WORDS));
                continue;
            }
            () = or_never(&mut last_words) => break,
            read = source.read(&mut chunk) => match read {
                Ok(0) | Err(_) => break,
                Ok(read) => chunk.get(..read).unwrap_or_default(),
            },
        };
        for byte in read {
            if *byte == b'\n' {
                say(worker, &mut line, &mut last);
            } else if line.len() < MAX_LINE {
                line.push(*byte);
            }
        }
        let bytes = u64::try_from(read.len()).unwrap_or(u64::MAX);
        while !meter.take(bytes, clock.monotonic()) {
            if last_words.is_some() {
                return last;
            }
            let pause = clock.sleep(PAUSE);
            tokio::select! {
                () = pause => {}
                () = end.wait() => last_words = Some(clock.sleep(LAST_WORDS)),
            }
        }
    }
    say(worker, &mut line, &mut last);
    last
}

/// Logs a line and keeps it as the last, if there is anything in it.
fn say(worker: WorkerId, line: &mut Vec<u8>, last: &mut Vec<u8>) {
    if !line.is_empty() {
        // Control characters must not reach a terminal, nor a newline forge a line of the log.
        let text = String::from_utf8_lossy(line);
        tracing::info!(%worker, line = %text.escape_debug(), "a worker writes");
        if !line.trim_ascii().is_empty() {
            std::mem::swap(line, last);
        }
        line.clear();
    }
}

/// Ends with the timer, or never when there is none.
pub(crate) async fn or_never(timer: &mut Option<BoxFuture<'static, ()>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

// === impl End ===

impl End {
    /// At once when it was heard already. Dropping the future loses nothing.
    async fn wait(&mut self) {
        if self.heard.is_none() {
            self.heard = Some((&mut self.receiver).await.ok());
        }
    }
}
