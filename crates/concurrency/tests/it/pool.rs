//! The pool, with the test in the place of the workers.

mod door;
mod requests;
mod shutdown;
mod workers;

use openclaw_concurrency::ConcurrencyConfig;
use std::time::Duration;

fn defaults() -> ConcurrencyConfig {
    ConcurrencyConfig::default()
}

fn one_worker() -> ConcurrencyConfig {
    ConcurrencyConfig {
        max_workers: 1,
        backpressure_threshold: 1.0,
        ..defaults()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
