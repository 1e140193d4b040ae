//! Limits that a request is past: a provider's, and the budget's.

use super::{ModelError, try_later};
use openclaw_core::{CodedError, Language, ProviderId, Timestamp};
use std::borrow::Cow;
use std::time::Duration;

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

    /// Tokens that are neither used nor reserved.
    pub const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
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
        let (at, limit, least, left) = (self.resets_at, self.limit, self.least, self.left());
        Cow::Owned(match language {
            Language::En if self.never_fits() => {
                format!(
                    "Your token budget of {limit} is too small for this message, which needs at least {least}."
                )
            }
            Language::Ru if self.never_fits() => {
                format!("Бюджет токенов ({limit}) слишком мал для этого сообщения: нужно не меньше {least}.")
            }
            Language::En if left > 0 => format!(
                "Your token budget has {left} left, and this message needs at least {least}. It resets at {at}."
            ),
            Language::Ru if left > 0 => format!(
                "В бюджете токенов осталось {left}, а этому сообщению нужно не меньше {least}. Он обновится {at}."
            ),
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
