//! Tasks that must not stay dead: one that panics is said so in the log and started again.
//!
//! Whether such a task runs now is part of readiness. A task that goes on by itself after an error never gets here; what
//! does is a fault of the program.

use openclaw_core::Clock;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait before a start. A task that has run for longer than this begins with the shortest again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What is told of a panic's own words.
const TOLD_CHARS: usize = 200;

/// Whether a task runs, for those who are asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// Held for a copy only.
    state: Arc<Mutex<TaskState>>,
}

/// The life of a task that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskState {
    pub(crate) phase: Phase,
    /// How often it died.
    pub(crate) deaths: u64,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not been started yet.
    #[default]
    Starting,
    /// It runs, or has done all there was to do.
    Up,
    /// It died and waits to be started again.
    Down,
}

// === impl Watch ===

impl Watch {
    /// How it is now.
    pub(crate) fn now(&self) -> TaskState {
        *self.state.lock()
    }

    fn enters(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.phase = phase;
        if phase == Phase::Down {
            state.deaths = state.deaths.saturating_add(1);
        }
    }
}

// === impl Phase ===

impl Phase {
    /// As the API has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Runs what `start` makes until it ends by itself. When it panics that is logged, and after a wait, which doubles, it is
/// made anew. Ends early when `closing` is cancelled while it waits; dropping the future ends the task.
pub(crate) async fn keep<F, T>(
    name: &'static str,
    watch: Watch,
    clock: Arc<dyn Clock>,
    closing: CancellationToken,
    mut start: F,
) where
    F: FnMut() -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut wait = FIRST_WAIT;
    loop {
        let began = clock.monotonic();
        watch.enters(Phase::Up);
        let panicked = match AbortOnDropHandle::new(tokio::spawn(start())).await {
            Ok(()) => return,
            // The runtime ends.
            Err(error) if !error.is_panic() => return,
            Err(error) => error,
        };
        watch.enters(Phase::Down);
        if clock.monotonic().saturating_since(began) > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        tracing::error!(
            task = name,
            deaths = watch.now().deaths,
            startsAgainInMs = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            error = words(panicked),
            "a task has died of a fault of the program and is started again"
        );
        tokio::select! {
            () = clock.sleep(wait) => {}
            () = closing.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What the panic said, as far as it is text.
fn words(panicked: JoinError) -> String {
    let Ok(payload) = panicked.try_into_panic() else {
        return String::new();
    };
    let text = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload
            .downcast_ref::<&'static str>()
            .map_or_else(String::new, |text| (*text).to_owned()),
    };
    text.chars().take(TOLD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Kept {
        clock: Arc<ManualClock>,
        watch: Watch,
        starts: Arc<AtomicU64>,
        closing: CancellationToken,
        keeping: tokio::task::JoinHandle<()>,
    }

    /// A task that panics the first `deaths` times and then runs until it is told to stop.
    fn kept(deaths: u64) -> Kept {
        let clock = ManualClock::new();
        let (watch, starts, closing) = (Watch::default(), Arc::default(), CancellationToken::new());
        assert_eq!(watch.now().phase, Phase::Starting);
        let (counted, stop): (Arc<AtomicU64>, _) = (Arc::clone(&starts), closing.clone());
        let keeping = tokio::spawn(keep(
            "test",
            watch.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            closing.clone(),
            move || {
                let number = counted.fetch_add(1, Ordering::AcqRel);
                let stop = stop.clone();
                async move {
                    assert!(number >= deaths, "death {number}");
                    stop.cancelled().await;
                }
            },
        ));
        Kept {
            clock,
            watch,
            starts,
            closing,
            keeping,
        }
    }

    impl Kept {
        async fn until(&self, is_so: impl Fn(&Self) -> bool) {
            let waiting = async {
                while !is_so(self) {
                    tokio::task::yield_now().await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(60), waiting).await;
            assert!(seen.is_ok(), "{:?}", self.watch.now());
        }
    }

    #[tokio::test]
    async fn a_task_that_dies_is_down_until_it_is_started_again_after_a_wait_that_doubles() {
        let kept = kept(2);
        for (deaths, wait) in [(1, FIRST_WAIT), (2, FIRST_WAIT * 2)] {
            kept.until(|kept| kept.clock.sleepers() == 1).await;
            let down = TaskState {
                phase: Phase::Down,
                deaths,
            };
            assert_eq!(kept.watch.now(), down);
            kept.clock.advance(wait - Duration::from_millis(1));
            tokio::task::yield_now().await;
            assert_eq!(kept.watch.now(), down);
            kept.clock.advance(Duration::from_millis(1));
            kept.until(|kept| kept.starts.load(Ordering::Acquire) == deaths + 1)
                .await;
        }
        kept.until(|kept| kept.watch.now().phase == Phase::Up).await;
        kept.closing.cancel();
        kept.keeping.await.unwrap();
        assert_eq!(kept.starts.load(Ordering::Acquire), 3);
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_dead_task() {
        let kept = kept(u64::MAX);
        kept.until(|kept| kept.watch.now().phase == Phase::Down).await;
        kept.closing.cancel();
        kept.keeping.await.unwrap();
    }
}
