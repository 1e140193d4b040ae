//! A gate a test opens when its reader has seen what comes before.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Lets one through for each time it is opened. Clones are the same gate.
///
/// What a connection that breaks had still to deliver is lost on some days and arrives on others; a stream that waits
/// here before it breaks has been read by then.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that is closed.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one more through, now or later.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    /// Waits to be let through.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
