//! What goes wrong with workers' processes, for an operator: how many have failed, and what the last one said.
//!
//! A program that ends as soon as it is started answers nobody and is asked nothing, so nothing else would tell of it.

use openclaw_concurrency::WorkerId;
use openclaw_core::Timestamp;
use parking_lot::Mutex;

/// The failures of a runtime's processes. A process fails when it cannot be started, ends by itself or is ended for what
/// it did; not when the pool takes it away, and not when it ends with status 0 after an answer.
#[derive(Debug, Default)]
pub struct WorkerTroubles {
    told: Mutex<WorkerFailures>,
}

/// How many processes have failed, and the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerFailures {
    /// Since the start.
    pub total: u64,
    /// Since a process last ended an answer.
    pub in_a_row: u64,
    /// When the first of those in a row failed.
    pub since: Option<Timestamp>,
    /// The last one, also when others have answered since.
    pub last: Option<WorkerFailure>,
}

/// A process that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFailure {
    /// When.
    pub at: Timestamp,
    /// Whose process it was.
    pub worker: WorkerId,
    /// Why, such as `it exited with status 1`.
    pub reason: String,
    /// The last line it wrote on its standard error, at most 200 characters, without control characters. `None` when it
    /// wrote none.
    pub last_line: Option<String>,
}

/// What is kept of a last line, in characters.
const MAX_LINE_CHARS: usize = 200;

// === impl WorkerTroubles ===

impl WorkerTroubles {
    /// What is known now.
    pub fn now(&self) -> WorkerFailures {
        self.told.lock().clone()
    }

    /// A process failed; `line` is the last it wrote.
    pub(crate) fn failed(&self, worker: WorkerId, at: Timestamp, reason: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let last_line: String = text.trim().escape_debug().take(MAX_LINE_CHARS).collect();
        let last_line = (!last_line.is_empty()).then_some(last_line);
        let in_a_row = {
            let mut told = self.told.lock();
            told.total = told.total.saturating_add(1);
            told.in_a_row = told.in_a_row.saturating_add(1);
            told.since.get_or_insert(at);
            told.last = Some(WorkerFailure {
                at,
                worker,
                reason: reason.to_owned(),
                last_line: last_line.clone(),
            });
            told.in_a_row
        };
        tracing::warn!(
            %worker,
            fault = reason,
            lastLine = last_line,
            inARow = in_a_row,
            "a worker's process has failed"
        );
    }

    /// A process has ended an answer.
    pub(crate) fn answered(&self) {
        let mut told = self.told.lock();
        told.in_a_row = 0;
        told.since = None;
    }
}
