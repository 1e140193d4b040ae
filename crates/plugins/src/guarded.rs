//! Runs code of others so that its panics and its slowness stay its own.

use futures::FutureExt;
use futures::future::{BoxFuture, Either, poll_fn, select};
use openclaw_core::Clock;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// It panicked, with these words.
    Panicked(String),
    /// It took longer than it may.
    TooSlow,
}

/// Starts the work and waits for it, at most `limit`. A result that comes later than that is too slow as well, even
/// when the thread was blocked and no timer could fire.
pub(crate) async fn guarded<'w, T>(
    clock: &dyn Clock,
    limit: Duration,
    start: impl FnOnce() -> BoxFuture<'w, T> + Send,
) -> Result<T, Interrupted> {
    let started = clock.monotonic();
    let work = catch_unwind(AssertUnwindSafe(start)).map_err(panicked)?;
    let mut work = AssertUnwindSafe(work).catch_unwind();
    // Most hooks answer at once: a timer is only made for those that wait.
    let ended = match poll_fn(|context| Poll::Ready(work.poll_unpin(context))).await {
        Poll::Ready(ended) => ended,
        Poll::Pending => match select(work, clock.sleep_until(started + limit)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), work)) => {
                // What the work does when it is dropped is its own code again.
                return match catch_unwind(AssertUnwindSafe(|| drop(work))) {
                    Ok(()) => Err(Interrupted::TooSlow),
                    Err(payload) => Err(panicked(payload)),
                };
            }
        },
    };
    if clock.monotonic().saturating_since(started) > limit {
        return Err(Interrupted::TooSlow);
    }
    ended.map_err(panicked)
}

fn panicked(payload: Box<dyn Any + Send>) -> Interrupted {
    let words = match payload.downcast::<String>() {
        Ok(words) => *words,
        Err(payload) => payload
            .downcast::<&'static str>()
            .map_or_else(|_| "no words".to_owned(), |words| (*words).to_owned()),
    };
    Interrupted::Panicked(words)
}
