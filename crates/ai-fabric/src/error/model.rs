//! Why one call of one model failed.

use crate::model::ModelCapability;
use openclaw_core::{CodedError, Language};
use std::borrow::Cow;
use std::time::Duration;

/// The longest text of a provider that is kept in an error, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why one call of one model failed.
///
/// `message` is the provider's own text, cut to 300 characters by [`ModelError::text`]; it is for the log and for API
/// callers, never for chats, and never holds keys or addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The provider, or our own limiter in its name, asks to wait.
    #[error("rate limited")]
    RateLimited {
        /// How long, where told.
        retry_after: Option<Duration>,
    },
    /// Quota or money is used up; waiting a little does not help.
    #[error("quota used up: {message}")]
    QuotaExhausted {
        /// The provider's text.
        message: String,
    },
    /// The key is missing, wrong or not allowed to do this.
    #[error("refused the key (status {status})")]
    Unauthorized {
        /// HTTP status.
        status: u16,
    },
    /// No such model.
    #[error("unknown model")]
    UnknownModel,
    /// The model cannot do what the request needs.
    #[error("lacks {capability}")]
    Unsupported {
        /// What it lacks.
        capability: ModelCapability,
    },
    /// The provider does not understand the request.
    #[error("bad request: {message}")]
    BadRequest {
        /// The provider's text.
        message: String,
    },
    /// The conversation is longer than the model can hold.
    #[error("context too long")]
    ContextTooLong,
    /// The provider will not answer this.
    #[error("content refused")]
    ContentRefused,
    /// The provider has too much to do (503, 529).
    #[error("overloaded")]
    Overloaded {
        /// When to come back, where told.
        retry_after: Option<Duration>,
    },
    /// The provider failed.
    #[error("server error (status {status})")]
    Server {
        /// HTTP status.
        status: u16,
        /// When to come back, where told.
        retry_after: Option<Duration>,
    },
    /// Nothing came in time.
    #[error("timed out waiting for {phase}")]
    Timeout {
        /// Waiting for what.
        phase: TimeoutPhase,
    },
    /// No connection.
    #[error("no connection: {message}")]
    Connect {
        /// Which host, and what failed; nothing else of the address.
        message: String,
    },
    /// The answer ended without its terminal marker.
    #[error("the answer was cut off")]
    Cut,
    /// The answer is not what the protocol says.
    #[error("malformed answer: {message}")]
    Malformed {
        /// What is wrong with it.
        message: String,
    },
    /// The provider reported an error inside a stream that had begun well.
    #[error("error inside the stream: {message}")]
    InStream {
        /// The provider's text.
        message: String,
    },
    /// The model says that it cannot answer this, and that asking again does not help. Nothing is held against it.
    #[error("refused: {message}")]
    Refused {
        /// The model's text.
        message: String,
    },
    /// Not called: its circuit is open.
    #[error("circuit open")]
    CircuitOpen {
        /// When it will be probed.
        retry_after: Duration,
    },
    /// Not called again: retries have used up their share of all requests.
    #[error("retry budget used up")]
    RetryBudget,
}

/// Which wait ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// For the first token.
    FirstToken,
    /// For the next piece of an answer that had begun.
    Idle,
    /// For the whole answer.
    Whole,
}

// === impl ModelError ===

impl ModelError {
    /// Cuts a provider's text to what errors carry and makes it one line.
    pub fn text(message: &str) -> String {
        message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_MESSAGE_CHARS)
            .collect()
    }

    /// Whether the same call may succeed when it is made again. What cannot be mended skips the rest of a model's
    /// retries.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Server { .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Cut
            | Self::Malformed { .. }
            | Self::InStream { .. } => true,
            Self::QuotaExhausted { .. }
            | Self::Unauthorized { .. }
            | Self::UnknownModel
            | Self::Unsupported { .. }
            | Self::BadRequest { .. }
            | Self::ContextTooLong
            | Self::ContentRefused
            | Self::Refused { .. }
            | Self::CircuitOpen { .. }
            | Self::RetryBudget => false,
        }
    }

    /// Why it failed, for a log: without the provider's own words, which may repeat what a person wrote.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::QuotaExhausted { .. } => "quota used up".to_owned(),
            Self::BadRequest { .. } => "bad request".to_owned(),
            Self::Malformed { .. } => "malformed answer".to_owned(),
            Self::InStream { .. } => "error inside the stream".to_owned(),
            Self::Refused { .. } => "refused".to_owned(),
            Self::RateLimited { .. }
            | Self::Unauthorized { .. }
            | Self::UnknownModel
            | Self::Unsupported { .. }
            | Self::ContextTooLong
            | Self::ContentRefused
            | Self::Overloaded { .. }
            | Self::Server { .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Cut
            | Self::CircuitOpen { .. }
            | Self::RetryBudget => self.to_string(),
        }
    }
}

impl CodedError for ModelError {
    fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "MODEL_RATE_LIMITED",
            Self::QuotaExhausted { .. } => "MODEL_QUOTA_EXHAUSTED",
            Self::Unauthorized { .. } => "MODEL_UNAUTHORIZED",
            Self::UnknownModel => "MODEL_UNKNOWN",
            Self::Unsupported { .. } => "MODEL_UNSUPPORTED",
            Self::BadRequest { .. } => "MODEL_BAD_REQUEST",
            Self::ContextTooLong => "MODEL_CONTEXT_TOO_LONG",
            Self::ContentRefused => "MODEL_CONTENT_REFUSED",
            Self::Overloaded { .. } => "MODEL_OVERLOADED",
            Self::Server { .. } => "MODEL_SERVER_ERROR",
            Self::Timeout { .. } => "MODEL_TIMEOUT",
            Self::Connect { .. } => "MODEL_CONNECT",
            Self::Cut => "MODEL_CUT",
            Self::Malformed { .. } => "MODEL_MALFORMED",
            Self::InStream { .. } => "MODEL_IN_STREAM",
            Self::Refused { .. } => "MODEL_REFUSED",
            Self::CircuitOpen { .. } => "MODEL_CIRCUIT_OPEN",
            Self::RetryBudget => "MODEL_RETRY_BUDGET",
        }
    }

    fn recoverable(&self) -> bool {
        self.is_retryable() || matches!(self, Self::CircuitOpen { .. } | Self::RetryBudget)
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Server { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            Self::QuotaExhausted { .. }
            | Self::Unauthorized { .. }
            | Self::UnknownModel
            | Self::Unsupported { .. }
            | Self::BadRequest { .. }
            | Self::ContextTooLong
            | Self::ContentRefused
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Cut
            | Self::Malformed { .. }
            | Self::InStream { .. }
            | Self::Refused { .. }
            | Self::RetryBudget => None,
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self, language) {
            (Self::ContextTooLong, Language::En) => {
                "This conversation is too long for the model. Start a new one with /new."
            }
            (Self::ContextTooLong, Language::Ru) => {
                "Разговор слишком длинный для модели. Начните новый командой /new."
            }
            (Self::ContentRefused, Language::En) => "The model refused to answer this.",
            (Self::ContentRefused, Language::Ru) => "Модель отказалась отвечать на это.",
            (Self::Timeout { .. }, Language::En) => "The model took too long to answer. Please try again.",
            (Self::Timeout { .. }, Language::Ru) => "Модель отвечала слишком долго. Попробуйте ещё раз.",
            (Self::RateLimited { .. } | Self::Overloaded { .. }, Language::En) => {
                "The model is busy right now. Please try again in a moment."
            }
            (Self::RateLimited { .. } | Self::Overloaded { .. }, Language::Ru) => {
                "Модель сейчас перегружена. Попробуйте чуть позже."
            }
            (_, Language::En) => "The model could not answer. Please try again later.",
            (_, Language::Ru) => "Модель не смогла ответить. Попробуйте позже.",
        })
    }
}

// === impl TimeoutPhase ===

impl std::fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FirstToken => "the first token",
            Self::Idle => "the next piece of the answer",
            Self::Whole => "the whole answer",
        })
    }
}
