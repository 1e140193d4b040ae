//! What may go wrong: a refusal at the door, a request that did not end well, a lock that was not got.

use crate::lifecycle::{WorkerId, WorkerState};
use openclaw_core::{CodedError, Language};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The pool takes nothing now. Nothing was stored; the caller keeps its request.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the pool refuses new requests ({reason}) at level {level:.4}")]
pub struct BackpressureError {
    /// The level at the moment of the decision, 0 to 1.
    pub level: f64,
    /// When trying again is worthwhile.
    pub retry_after: Duration,
    /// Why.
    pub reason: RefusalReason,
}

/// Why the pool takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The level is at the threshold or above, or the queue is full.
    Overloaded,
    /// The pool is shutting down.
    ShuttingDown,
}

/// The queue holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full: {size} of {limit}")]
pub struct QueueFullError {
    /// How many entries wait.
    pub size: usize,
    /// How many may.
    pub limit: usize,
}

/// Why a submission was not taken.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The level is too high or the pool is shutting down.
    #[error(transparent)]
    Backpressure(#[from] BackpressureError),
    /// The level is below the threshold, yet no place is free: many entries wait for the keys of running ones.
    #[error(transparent)]
    QueueFull(#[from] QueueFullError),
}

/// A submission that was not taken, given back whole.
#[derive(thiserror::Error)]
#[error("the submission was refused")]
pub struct SubmitError<S> {
    /// Why.
    #[source]
    pub refusal: Refusal,
    /// What was submitted.
    pub submission: S,
}

/// A request was not answered by its worker within the limit; the worker was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} did not finish within {} ms", limit.as_millis())]
pub struct WorkerTimeoutError {
    /// The worker.
    pub worker: WorkerId,
    /// The limit of one request.
    pub limit: Duration,
}

/// The worker stopped giving signs of life and was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} gave no sign of life for {} ms", silent_for.as_millis())]
pub struct WorkerStuckError {
    /// The worker.
    pub worker: WorkerId,
    /// The time since its last heartbeat.
    pub silent_for: Duration,
}

/// The worker ended because it used more memory than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} used more than {limit_mb} MB")]
pub struct WorkerOutOfMemoryError {
    /// The worker.
    pub worker: WorkerId,
    /// The limit of one worker in megabytes.
    pub limit_mb: u64,
}

/// How a request that was taken can end without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It ran longer than one request may.
    #[error(transparent)]
    Timeout(WorkerTimeoutError),
    /// Its worker fell silent.
    #[error(transparent)]
    Stuck(WorkerStuckError),
    /// Its worker ran out of memory.
    #[error(transparent)]
    OutOfMemory(WorkerOutOfMemoryError),
    /// Its worker panicked or exited.
    #[error("worker {worker} crashed: {reason}")]
    Crashed {
        /// The worker.
        worker: WorkerId,
        /// What is known of the cause, for the log.
        reason: String,
    },
    /// Its worker was killed by an operator.
    #[error("worker {worker} was killed")]
    Killed {
        /// The worker.
        worker: WorkerId,
    },
    /// Its deadline passed while it waited; it never reached a worker.
    #[error("the deadline passed after {} ms in the queue", waited.as_millis())]
    Expired {
        /// The time since it was accepted.
        waited: Duration,
    },
    /// It was cancelled before it reached a worker.
    #[error("the request was cancelled")]
    Cancelled,
    /// An operator took it out of the queue before it reached a worker.
    #[error("an operator dropped the request from the queue")]
    Dropped,
    /// The pool shut down before it ended.
    #[error("the pool shut down before the request ended")]
    ShuttingDown,
}

/// A move the life of a worker does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker cannot go from {from} to {to}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: WorkerState,
    /// The state it was to take.
    pub to: WorkerState,
}

/// Why a worker could not be moved to another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    /// There is no such worker, or no longer.
    #[error("there is no worker {worker}")]
    UnknownWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// The move is not in the table.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
}

/// The runtime could not start a worker.
#[derive(Debug, thiserror::Error)]
#[error("a worker could not be started")]
pub struct SpawnError {
    /// What the runtime says.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Why a session's lock was not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// Somebody else held it all the time.
    #[error("the session stayed locked for {} ms", waited.as_millis())]
    Timeout {
        /// How long the caller waited.
        waited: Duration,
    },
    /// As many wait as may.
    #[error("{limit} callers wait for the session already")]
    TooManyWaiters {
        /// How many may wait for one session.
        limit: usize,
    },
    /// The store that keeps the locks does not answer.
    #[error("the lock store is not available")]
    Unavailable,
}

// === impl BackpressureError ===

impl CodedError for BackpressureError {
    fn code(&self) -> &'static str {
        match self.reason {
            RefusalReason::Overloaded => "BACKPRESSURE",
            RefusalReason::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self.reason, language) {
            (RefusalReason::Overloaded, Language::En) => {
                "Too many requests right now. Please try again shortly."
            }
            (RefusalReason::Overloaded, Language::Ru) => {
                "Сейчас слишком много запросов. Попробуйте чуть позже."
            }
            (RefusalReason::ShuttingDown, Language::En) => {
                "The server is restarting. Please try again shortly."
            }
            (RefusalReason::ShuttingDown, Language::Ru) => "Сервер перезапускается. Попробуйте чуть позже.",
        })
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RefusalReason {
    /// The name used in events and errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

// === impl QueueFullError ===

impl CodedError for QueueFullError {
    fn code(&self) -> &'static str {
        "QUEUE_FULL"
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "Too many requests are waiting. Please try again shortly.",
            Language::Ru => "Слишком много запросов в очереди. Попробуйте чуть позже.",
        })
    }
}

// === impl Refusal ===

impl CodedError for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Backpressure(error) => error.code(),
            Self::QueueFull(error) => error.code(),
        }
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Backpressure(error) => error.retry_after(),
            Self::QueueFull(error) => error.retry_after(),
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Backpressure(error) => error.user_message(language),
            Self::QueueFull(error) => error.user_message(language),
        }
    }
}

// === impl SubmitError ===

impl<S> fmt::Debug for SubmitError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

// === impl RequestError ===

impl CodedError for RequestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "WORKER_TIMEOUT",
            Self::Stuck(_) => "WORKER_STUCK",
            Self::OutOfMemory(_) => "WORKER_OUT_OF_MEMORY",
            Self::Crashed { .. } => "WORKER_CRASHED",
            Self::Killed { .. } => "WORKER_KILLED",
            Self::Expired { .. } => "REQUEST_EXPIRED",
            Self::Cancelled => "REQUEST_CANCELLED",
            Self::Dropped => "REQUEST_DROPPED",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    fn recoverable(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::Dropped)
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self, language) {
            (Self::Timeout(_), Language::En) => "The answer took too long and was stopped. Please try again.",
            (Self::Timeout(_), Language::Ru) => {
                "Ответ готовился слишком долго и был остановлен. Попробуйте ещё раз."
            }
            (
                Self::Stuck(_) | Self::OutOfMemory(_) | Self::Crashed { .. } | Self::Killed { .. },
                Language::En,
            ) => "Something went wrong while your request was being answered. Please try again.",
            (
                Self::Stuck(_) | Self::OutOfMemory(_) | Self::Crashed { .. } | Self::Killed { .. },
                Language::Ru,
            ) => "Во время подготовки ответа что-то пошло не так. Попробуйте ещё раз.",
            (Self::Expired { .. }, Language::En) => {
                "Your request waited too long and was not started. Please try again."
            }
            (Self::Expired { .. }, Language::Ru) => {
                "Запрос слишком долго ждал очереди и не был начат. Попробуйте ещё раз."
            }
            (Self::Cancelled, Language::En) => "Stopped.",
            (Self::Cancelled, Language::Ru) => "Остановлено.",
            (Self::Dropped, Language::En) => {
                "The operator of this service took your message out of the queue, so it will not be answered. You can \
                 send it again later."
            }
            (Self::Dropped, Language::Ru) => {
                "Администратор сервиса снял ваше сообщение с очереди, поэтому ответа на него не будет. Вы можете \
                 отправить его ещё раз позже."
            }
            (Self::ShuttingDown, Language::En) => "The server is restarting. Please try again shortly.",
            (Self::ShuttingDown, Language::Ru) => "Сервер перезапускается. Попробуйте чуть позже.",
        })
    }
}

// === impl SpawnError ===

impl SpawnError {
    /// Wraps what the runtime says.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

// === impl AcquireError ===

impl CodedError for AcquireError {
    fn code(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "SESSION_BUSY",
            Self::TooManyWaiters { .. } => "SESSION_QUEUE_FULL",
            Self::Unavailable => "LOCK_UNAVAILABLE",
        }
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self, language) {
            (Self::Timeout { .. } | Self::TooManyWaiters { .. }, Language::En) => {
                "Your previous request is still being worked on. Please wait a moment."
            }
            (Self::Timeout { .. } | Self::TooManyWaiters { .. }, Language::Ru) => {
                "Предыдущий запрос ещё обрабатывается. Подождите немного."
            }
            (Self::Unavailable, Language::En) => {
                "The service is not available right now. Please try again shortly."
            }
            (Self::Unavailable, Language::Ru) => "Сервис сейчас недоступен. Попробуйте чуть позже.",
        })
    }
}
