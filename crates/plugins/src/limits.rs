//! How much a plugin may take.

use std::time::Duration;

/// The bounds of one hook call and of a plugin's patience with failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookLimits {
    /// How long one call may take. Default 1 s.
    pub time: Duration,
    /// How much memory a plugin may have, in bytes; enforced by the sandbox. Default 64 MiB.
    pub memory_bytes: u64,
    /// How long a changed text, output or set of arguments may be, in bytes. Default 1 MiB.
    pub answer_bytes: usize,
    /// After how many failures in a row a plugin goes to `error`. Default 5; 0 is taken as 1.
    pub failures_in_a_row: u32,
    /// How long starting the code may take. Default 10 s.
    pub start_time: Duration,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(1),
            memory_bytes: 64 * 1024 * 1024,
            answer_bytes: 1024 * 1024,
            failures_in_a_row: 5,
            start_time: Duration::from_secs(10),
        }
    }
}
