//! Opening the database in the data directory.

use openclaw_core::Clock;
use openclaw_sqlite::{OpenError, SqliteOptions, SqliteStore};
use std::path::Path;
use std::time::Duration;

/// A command that works without a server has the store for a moment; whoever comes then waits for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Opens the store. Where another process has it, waits a moment for its end: that may be a command, which is no reason
/// for a server not to start.
///
/// # Errors
///
/// Those of [`SqliteStore::open`].
pub(super) async fn open(data_dir: &Path, clock: &dyn Clock) -> Result<SqliteStore, OpenError> {
    let deadline = clock.monotonic() + PATIENCE;
    loop {
        match SqliteStore::open(data_dir, SqliteOptions::default(), clock.now()) {
            Err(OpenError::InUse { .. }) if clock.monotonic() < deadline => clock.sleep(PAUSE).await,
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;
    use openclaw_gateway::ports::TurnStore as _;

    #[tokio::test]
    async fn a_command_that_has_the_store_is_waited_for_and_a_server_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let other = SqliteStore::open(dir.path(), SqliteOptions::default(), clock.now()).unwrap();
        let refused = tokio::spawn({
            let (dir, clock) = (dir.path().to_owned(), clock.clone());
            async move { open(&dir, &*clock).await.err() }
        });
        while !refused.is_finished() {
            clock.advance(PAUSE);
            tokio::task::yield_now().await;
        }
        assert!(matches!(refused.await.unwrap(), Some(OpenError::InUse { .. })));
        let opened = tokio::spawn({
            let (dir, clock) = (dir.path().to_owned(), clock.clone());
            async move { open(&dir, &*clock).await.is_ok() }
        });
        tokio::task::yield_now().await;
        other.shut_down().await;
        drop(other);
        while !opened.is_finished() {
            clock.advance(PAUSE);
            tokio::task::yield_now().await;
        }
        assert!(opened.await.unwrap());
    }
}
