//! A child's standard error: its log, bounded in line length and rate.

use crate::meter::Meter;
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

/// Logs what a child writes until it closes the pipe, or a moment after `ended` says that it is gone. A child that
/// writes faster than `per_second` waits in the pipe.
pub(crate) async fn log(
    mut source: impl AsyncRead + Unpin,
    worker: WorkerId,
    per_second: u64,
    clock: Arc<dyn Clock>,
    mut ended: oneshot::Receiver<()>,
) {
    let mut meter = Meter::new(per_second, clock.monotonic());
    let mut line = Vec::new();
    let mut chunk = [0_u8; 1024];
    let mut last_words = None;
    loop {
        let read = tokio::select! {
            biased;
            _ = &mut ended, if last_words.is_none() => {
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
                say(worker, &line);
                line.clear();
            } else if line.len() < MAX_LINE {
                line.push(*byte);
            }
        }
        let bytes = u64::try_from(read.len()).unwrap_or(u64::MAX);
        while !meter.take(bytes, clock.monotonic()) {
            if last_words.is_some() {
                return;
            }
            let pause = clock.sleep(PAUSE);
            tokio::select! {
                () = pause => {}
                _ = &mut ended => last_words = Some(clock.sleep(LAST_WORDS)),
            }
        }
    }
    say(worker, &line);
}

fn say(worker: WorkerId, line: &[u8]) {
    if !line.is_empty() {
        // Control characters must not reach a terminal, nor a newline forge a line of the log.
        let text = String::from_utf8_lossy(line);
        tracing::info!(%worker, line = %text.escape_debug(), "a worker writes");
    }
}

/// Ends with the timer, or never when there is none.
pub(crate) async fn or_never(timer: &mut Option<BoxFuture<'static, ()>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
