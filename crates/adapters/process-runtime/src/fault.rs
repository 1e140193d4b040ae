//! What a child may do that ends it, in words for the log.

use crate::frame::FrameError;
use openclaw_concurrency::WorkerExit;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a child is ended, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the program could not be started: {0}")]
    NotStarted(#[source] io::Error),
    #[error("it {status}")]
    Exited {
        status: Status,
        /// The most memory it was ever seen with was above the pool's limit.
        over_limit: bool,
    },
    #[error("it {0} in the middle of a line")]
    MidLine(Status),
    #[error("it closed its standard output and lived on")]
    ClosedOutput,
    #[error("it closed its standard input and lived on")]
    ClosedInput,
    #[error("its pipe failed: {0}")]
    Pipe(#[source] io::Error),
    #[error("it wrote a line longer than {limit} bytes")]
    LineTooLong { limit: usize },
    #[error("it wrote a line that is not of the protocol: {}", .0.reason())]
    Garbage(FrameError),
    #[error("it wrote more than {per_second} bytes a second")]
    Flood { per_second: u64 },
    #[error("its answer is longer than {limit} bytes")]
    AnswerTooLong { limit: usize },
    #[error("it called more than {limit} tools in one answer")]
    TooManyTools { limit: u32 },
    #[error("it used {used_mb} MB, more than the hard limit of {limit_mb} MB")]
    OutOfMemory { used_mb: u64, limit_mb: u64 },
    #[error("it went on with a cancelled answer for {} ms", .0.as_millis())]
    Unsettled(Duration),
    #[error("the handler panicked: {0}")]
    HandlerPanicked(String),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl Fault {
    /// Whether the child ended by itself and found nothing wrong.
    pub(crate) fn is_plain_exit(&self) -> bool {
        matches!(
            self,
            Self::Exited {
                status: Status::Code(0),
                over_limit: false
            }
        )
    }

    /// What the pool is told.
    pub(crate) fn into_exit(self) -> WorkerExit {
        match self {
            Self::OutOfMemory { .. } | Self::Exited { over_limit: true, .. } => WorkerExit::OutOfMemory,
            other => WorkerExit::Crashed {
                reason: other.to_string(),
            },
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}
