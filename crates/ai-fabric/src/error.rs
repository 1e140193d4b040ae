//! What can go wrong between a request and a model's answer: of one call in `model`, of a limit in `limit`, of the choice
//! and the chain here.

mod limit;
mod model;

use crate::fallback::{Attempt, AttemptOutcome};
use openclaw_core::{CodedError, Language, ModelId, ProviderId};
use std::borrow::Cow;
use std::time::Duration;

pub use limit::{RateLimitExceededError, RateLimitKind, ReserveError, TokenBudgetExceededError};
pub use model::{ModelError, TimeoutPhase};

/// So many models of a chain are named in a log line.
const SHOWN_MODELS: usize = 8;

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
