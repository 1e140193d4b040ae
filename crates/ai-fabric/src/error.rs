//! What can go wrong between a request and a model's answer.

use crate::fallback::{Attempt, AttemptOutcome};
use crate::model::ModelCapability;
use openclaw_core::{CodedError, Language, ModelId, ProviderId, Timestamp};
use std::borrow::Cow;
use std::time::Duration;

/// The longest text of a provider that is kept in an error, in characters.
const MAX_MESSAGE_CHARS: usize = 300;
/// So many models of a chain are named in a log line.
const SHOWN_MODELS: usize = 8;

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

impl std::fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FirstToken => "the first token",
            Self::Idle => "the next piece of the answer",
            Self::Whole => "the whole answer",
        })
    }
}

impl ModelError {
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

/// A request is past a provider's limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("provider {provider}: {limit} used up, try again in {retry_after_ms} ms")]
pub struct RateLimitExceededError {
    /// Whose limit.
    pub provider: ProviderId,
    /// When there will be room, in milliseconds. For [`RateLimitKind::Concurrency`] a guess: it depends on others.
    pub retry_after_ms: u64,
    /// Which limit.
    pub limit: RateLimitKind,
}

/// One of a provider's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKind {
    /// Requests per minute.
    Requests(u64),
    /// Tokens per minute.
    Tokens(u64),
    /// Requests at once.
    Concurrency(u64),
    /// The provider itself said that nothing is left.
    Provider,
}

/// A budget has not enough tokens left for a turn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "token budget exceeded: {used} of {limit} used, {requested} requested, {least} at least, resets at {resets_at}"
)]
pub struct TokenBudgetExceededError {
    /// Tokens per window.
    pub limit: u64,
    /// Tokens used or reserved.
    pub used: u64,
    /// Tokens the turn asked for.
    pub requested: u64,
    /// The fewest it would have done with: the request and a short answer.
    pub least: u64,
    /// When the window ends.
    pub resets_at: Timestamp,
}

/// Why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// Not enough is left.
    #[error(transparent)]
    Exceeded(#[from] TokenBudgetExceededError),
    /// The account is not in memory; prime it from the store and ask again.
    #[error("budget account not loaded")]
    NotLoaded,
}

/// Every model of the chain was tried or skipped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("all models failed: {}", list(.attempts))]
pub struct AllModelsFailedError {
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
}

/// How a routed answer ended that was not completed. Nothing follows it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RouteError {
    /// Every model of the chain was tried or skipped.
    #[error(transparent)]
    AllModelsFailed(#[from] AllModelsFailedError),
    /// The answer broke off after its first token, and the reader cannot replace what was shown.
    #[error("model {model}: {error}")]
    Interrupted {
        /// Whose answer.
        model: ModelId,
        /// Why.
        error: ModelError,
    },
}

/// Why a provider was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// As many providers as the registry holds.
    #[error("{limit} providers are registered, more are not allowed")]
    Full {
        /// How many.
        limit: usize,
    },
    /// A model names another provider than the one that offers it.
    #[error("model {model} belongs to {provider}")]
    ForeignModel {
        /// The model.
        model: ModelId,
        /// Whose it says it is.
        provider: ProviderId,
    },
    /// A provider offers one name twice.
    #[error("model {model} is offered twice")]
    DuplicateModel {
        /// The model.
        model: ModelId,
    },
}

/// Why no model was selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The model that was asked for does not exist.
    #[error("unknown model {model}")]
    UnknownModel {
        /// As it was asked for.
        model: ModelId,
    },
    /// The model that was asked for cannot serve the request.
    #[error("model {model} cannot serve the request: {reason}")]
    Unsuitable {
        /// The model.
        model: ModelId,
        /// What stands against it.
        reason: String,
    },
    /// No model can serve the request.
    #[error("no model can serve the request")]
    NoneSuitable,
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

// === impl RateLimitExceededError ===

impl RateLimitExceededError {
    /// When there will be room.
    pub const fn wait(&self) -> Duration {
        Duration::from_millis(self.retry_after_ms)
    }
}

impl CodedError for RateLimitExceededError {
    fn code(&self) -> &'static str {
        "RATE_LIMIT_EXCEEDED"
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.wait())
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        ModelError::RateLimited { retry_after: None }.user_message(language)
    }
}

// === impl RateLimitKind ===

impl RateLimitKind {
    /// The limit's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests(_) => "requestsPerMinute",
            Self::Tokens(_) => "tokensPerMinute",
            Self::Concurrency(_) => "concurrentRequests",
            Self::Provider => "provider",
        }
    }
}

impl std::fmt::Display for RateLimitKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requests(limit) | Self::Tokens(limit) | Self::Concurrency(limit) => {
                write!(f, "{} ({limit})", self.as_str())
            }
            Self::Provider => f.write_str("the provider's own quota"),
        }
    }
}

// === impl TokenBudgetExceededError ===

impl TokenBudgetExceededError {
    /// Whether the turn needs more than the whole budget has, so that no new window helps.
    pub const fn never_fits(&self) -> bool {
        self.least > self.limit
    }
}

impl CodedError for TokenBudgetExceededError {
    fn code(&self) -> &'static str {
        if self.never_fits() {
            "TOKEN_BUDGET_TOO_SMALL"
        } else {
            "TOKEN_BUDGET_EXCEEDED"
        }
    }

    fn recoverable(&self) -> bool {
        !self.never_fits()
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        let (at, limit, least) = (self.resets_at, self.limit, self.least);
        Cow::Owned(match language {
            Language::En if self.never_fits() => {
                format!(
                    "Your token budget of {limit} is too small for this message, which needs at least {least}."
                )
            }
            Language::Ru if self.never_fits() => {
                format!("Бюджет токенов ({limit}) слишком мал для этого сообщения: нужно не меньше {least}.")
            }
            Language::En => format!("Your token budget is used up. It resets at {at}."),
            Language::Ru => format!("Бюджет токенов исчерпан. Он обновится {at}."),
        })
    }
}

// === impl ReserveError ===

impl CodedError for ReserveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exceeded(error) => error.code(),
            Self::NotLoaded => "BUDGET_NOT_LOADED",
        }
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Exceeded(error) => error.user_message(language),
            Self::NotLoaded => try_later(language),
        }
    }
}

// === impl AllModelsFailedError ===

impl AllModelsFailedError {
    /// What decides the words and whether to try again: the last failure of a call that was made, else the last
    /// reason for not making one.
    pub fn decisive(&self) -> Option<&ModelError> {
        let errors = || self.attempts.iter().rev().filter_map(Attempt::error);
        errors()
            .find(|error| !matches!(error, ModelError::CircuitOpen { .. } | ModelError::RetryBudget))
            .or_else(|| errors().next())
    }

    /// How many of the attempts were no calls.
    pub(crate) fn skipped(&self) -> u32 {
        let skipped = |attempt: &&Attempt| matches!(attempt.outcome, AttemptOutcome::Skipped(_));
        u32::try_from(self.attempts.iter().filter(skipped).count()).unwrap_or(u32::MAX)
    }

    /// Each model with the last thing that stood against it, for a log: without the providers' own words.
    pub(crate) fn reasons(&self) -> String {
        let mut models: Vec<(&ModelId, &ModelError)> = Vec::new();
        for attempt in &self.attempts {
            let Some(error) = attempt.error() else { continue };
            let full = models.len() >= SHOWN_MODELS;
            match models.iter_mut().find(|(model, _)| *model == &attempt.model) {
                Some(known) => known.1 = error,
                None if full => {}
                None => models.push((&attempt.model, error)),
            }
        }
        let said = models
            .iter()
            .map(|(model, error)| format!("{model}: {}", error.cause()));
        said.collect::<Vec<_>>().join("; ")
    }
}

impl CodedError for AllModelsFailedError {
    fn code(&self) -> &'static str {
        "ALL_MODELS_FAILED"
    }

    fn recoverable(&self) -> bool {
        self.attempts
            .iter()
            .filter_map(Attempt::error)
            .any(CodedError::recoverable)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.attempts
            .iter()
            .filter_map(Attempt::error)
            .filter_map(CodedError::retry_after)
            .min()
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        self.decisive()
            .map_or_else(|| try_later(language), |error| error.user_message(language))
    }
}

// === impl RouteError ===

impl CodedError for RouteError {
    fn code(&self) -> &'static str {
        match self {
            Self::AllModelsFailed(error) => error.code(),
            Self::Interrupted { .. } => "MODEL_INTERRUPTED",
        }
    }

    fn recoverable(&self) -> bool {
        match self {
            Self::AllModelsFailed(error) => error.recoverable(),
            Self::Interrupted { error, .. } => error.recoverable(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AllModelsFailed(error) => error.retry_after(),
            Self::Interrupted { error, .. } => error.retry_after(),
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::AllModelsFailed(error) => error.user_message(language),
            Self::Interrupted { error, .. } => error.user_message(language),
        }
    }
}

// === impl RegistryError ===

impl CodedError for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "REGISTRY_FULL",
            Self::ForeignModel { .. } => "FOREIGN_MODEL",
            Self::DuplicateModel { .. } => "DUPLICATE_MODEL",
        }
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "The provider cannot be added like this.",
            Language::Ru => "Такого провайдера нельзя добавить.",
        })
    }
}

// === impl SelectionError ===

impl CodedError for SelectionError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownModel { .. } => "MODEL_UNKNOWN",
            Self::Unsuitable { .. } => "MODEL_UNSUITABLE",
            Self::NoneSuitable => "NO_SUITABLE_MODEL",
        }
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self, language) {
            (Self::UnknownModel { .. }, Language::En) => "There is no such model.",
            (Self::UnknownModel { .. }, Language::Ru) => "Такой модели нет.",
            (Self::Unsuitable { .. } | Self::NoneSuitable, Language::En) => {
                "No model can answer this request."
            }
            (Self::Unsuitable { .. } | Self::NoneSuitable, Language::Ru) => {
                "Ни одна модель не может ответить на этот запрос."
            }
        })
    }
}

fn try_later(language: Language) -> Cow<'static, str> {
    Cow::Borrowed(match language {
        Language::En => "The model could not answer. Please try again later.",
        Language::Ru => "Модель не смогла ответить. Попробуйте позже.",
    })
}

fn list(attempts: &[Attempt]) -> String {
    attempts
        .iter()
        .filter_map(|attempt| attempt.error().map(|error| format!("{}: {error}", attempt.model)))
        .collect::<Vec<_>>()
        .join("; ")
}
