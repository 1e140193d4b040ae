//! Time and chance that a test moves by hand. Real implementations of the ports, not mocks.

use crate::ports::{Clock, Random};
use crate::time::{Monotonic, Timestamp};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ClockState>,
}

#[derive(Debug)]
struct ClockState {
    wall: Timestamp,
    monotonic: Monotonic,
    sleepers: Vec<(Monotonic, oneshot::Sender<()>)>,
}

/// A generator that gives the same numbers for the same seed (SplitMix64). Not fit for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<u64>,
}

// === impl ManualClock ===

impl ManualClock {
    /// Starts at 2026-01-01T00:00:00Z on the wall, at the origin on the monotonic clock.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(ClockState {
                wall: Timestamp::from_millis(1_767_225_600_000),
                monotonic: Monotonic::ZERO,
                sleepers: Vec::new(),
            }),
        })
    }

    /// Moves both clocks and wakes whoever waited for the time passed.
    pub fn advance(&self, duration: Duration) {
        let due = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.wall = state.wall + duration;
            state.monotonic = state.monotonic + duration;
            let now = state.monotonic;
            let (due, waiting) = state
                .sleepers
                .drain(..)
                .partition::<Vec<_>, _>(|(deadline, _)| *deadline <= now);
            state.sleepers = waiting;
            due
        };
        for (_, sleeper) in due {
            // A sleeper that was dropped no longer cares.
            sleeper.send(()).ok();
        }
    }

    /// Sets the wall clock alone, as an operator or a time server would.
    pub fn set_wall(&self, wall: Timestamp) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wall = wall;
    }

    /// When the earliest live wait ends; `None` when nobody waits.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
        state.sleepers.iter().map(|(deadline, _)| *deadline).min()
    }

    /// How many live waits there are, so that a test knows when everything has come to rest.
    pub fn sleepers(&self) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
        state.sleepers.len()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wall
    }

    fn monotonic(&self) -> Monotonic {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .monotonic
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if deadline <= state.monotonic {
            return Box::pin(std::future::ready(()));
        }
        let (sleeper, woken) = oneshot::channel();
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
        state.sleepers.push((deadline, sleeper));
        Box::pin(async move {
            // The sender is only dropped with the clock; then nothing will ever move again.
            woken.await.ok();
        })
    }
}

// === impl SeededRandom ===

impl SeededRandom {
    /// Starts from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_secs(2));
        let later = clock.sleep(Duration::from_secs(3));
        let due = |seconds| Some(Monotonic::from_origin(Duration::from_secs(seconds)));
        assert_eq!(clock.next_deadline(), due(2));
        clock.advance(Duration::from_millis(1_999));
        assert!((&mut sleep).now_or_never().is_none());
        assert_eq!((clock.sleepers(), clock.next_deadline()), (2, due(2)));
        drop(later);
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1));
        assert!(sleep.now_or_never().is_some());
        assert_eq!((clock.sleepers(), clock.next_deadline()), (0, None));
    }

    #[test]
    fn setting_the_wall_moves_no_duration() {
        let clock = ManualClock::new();
        let before = clock.monotonic();
        clock.set_wall(Timestamp::from_millis(0));
        assert_eq!(clock.monotonic(), before);
        assert_eq!(clock.now(), Timestamp::from_millis(0));
    }
}
