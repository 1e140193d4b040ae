//! Attacks on the first path: what goes wrong outside must not become wrong inside.
//!
//! Each part of the file attacks one promise: messages, cancellation, money, bad input, the disk, secrets; a crowd attacks several at once.

mod bad_input;
mod cancellation;
mod crowd;
mod disk;
mod messages;
mod money;
mod secrets;
mod storm;

use crate::setup::{LONG, metrics};
use openclaw_testkit::ServerProcess;

/// Nothing above `warn` was logged.
#[track_caller]
fn assert_quiet(log: &str) {
    for line in log.lines() {
        let level = serde_json::from_str::<serde_json::Value>(line)
            .ok()
            .and_then(|line| line["level"].as_u64());
        assert!(level.is_none_or(|level| level <= 40), "{line}");
        assert!(!line.contains("panicked"), "{line}");
    }
}

/// A number among the eleven metrics.
async fn metric(server: &ServerProcess, name: &str) -> u64 {
    metrics(server).await[name].as_u64().unwrap_or(u64::MAX)
}

/// Looks until it is so; each look is a request to the server, so this does not spin.
async fn comes_to_pass<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let looking = async {
        while !look().await {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(LONG, looking).await.is_err() {
        panic!("it did not come to pass: {what}");
    }
}

/// A small generator: the same seed gives the same attack.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap();
        &from[index]
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
