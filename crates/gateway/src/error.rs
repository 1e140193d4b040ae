//! Why the gateway did not do as it was asked, in words for the log, for a program and for a person.

use crate::ports::StoreError;
use crate::words;
use openclaw_ai_fabric::{
    AllModelsFailedError, ModelError, RouteError, SelectionError, TimeoutPhase, TokenBudgetExceededError,
};
use openclaw_concurrency::{BackpressureError, RequestError};
use openclaw_core::{CodedError, Language, PluginId, Timestamp};
use openclaw_messenger::RateLimitError;
use std::borrow::Cow;
use std::time::Duration;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The pool takes no more.
    #[error(transparent)]
    Backpressure(#[from] BackpressureError),
    /// The inbox holds as many entries without an end as it may.
    #[error("the inbox is full: {limit} entries wait")]
    InboxFull {
        /// How many it may hold.
        limit: usize,
    },
    /// The caller asks too often.
    #[error(transparent)]
    RateLimited(#[from] RateLimitError),
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The token budget is used up, or too small for the request.
    #[error("{error}")]
    Budget {
        /// By how much, and until when.
        #[source]
        error: TokenBudgetExceededError,
        /// When that was found, so that a person can be told how long to wait.
        now: Timestamp,
    },
    /// The message does not fit the model, or what is left of the budget, with room for an answer.
    #[error("the request needs {needed} tokens, {available} are available")]
    TooLong {
        /// An estimate.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// A plugin cancelled the message.
    #[error("plugin {plugin} cancelled the message")]
    CancelledByPlugin {
        /// Which.
        plugin: PluginId,
        /// Its words for the person.
        text: Option<String>,
    },
    /// No such model, or none that can serve the request.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// No model answered, or the one that did stopped in the middle.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The worker did not finish.
    #[error(transparent)]
    Worker(#[from] RequestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The pool's own code for a request past its time: nobody can tell, and nobody needs to, which clock struck first.
const OUT_OF_TIME: &str = "WORKER_TIMEOUT";

impl Refusal {
    /// The token budget has no room, as of `now`.
    pub fn budget(error: TokenBudgetExceededError, now: Timestamp) -> Self {
        Self::Budget { error, now }
    }
}

impl CodedError for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Backpressure(error) => error.code(),
            Self::InboxFull { .. } => "INBOX_FULL",
            Self::RateLimited(error) => error.code(),
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::Budget { error, .. } => error.code(),
            Self::TooLong { .. } => "MODEL_CONTEXT_TOO_LONG",
            Self::CancelledByPlugin { .. } => "MESSAGE_BLOCKED",
            Self::Selection(error) => error.code(),
            Self::Route(error) if ran_out_of_time(error) => OUT_OF_TIME,
            Self::Route(error) => decisive(error).map_or_else(|| error.code(), CodedError::code),
            Self::Worker(error) => error.code(),
            Self::Store(_) => "STORE_UNAVAILABLE",
        }
    }

    fn recoverable(&self) -> bool {
        match self {
            Self::Backpressure(_) | Self::InboxFull { .. } | Self::RateLimited(_) | Self::Store(_) => true,
            Self::Budget { error, .. } => error.recoverable(),
            Self::Route(error) => decisive(error).is_none(),
            Self::Worker(error) => error.recoverable(),
            Self::TenantSuspended
            | Self::TooLong { .. }
            | Self::CancelledByPlugin { .. }
            | Self::Selection(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Backpressure(error) => error.retry_after(),
            Self::RateLimited(error) => error.retry_after(),
            Self::Budget { error, now } => {
                (!error.never_fits()).then(|| error.resets_at.saturating_since(*now))
            }
            Self::InboxFull { .. } | Self::Store(_) => Some(Duration::from_secs(5)),
            Self::Route(RouteError::AllModelsFailed(error)) => longest_wait(error),
            Self::Worker(error) => error.retry_after(),
            Self::TenantSuspended
            | Self::TooLong { .. }
            | Self::CancelledByPlugin { .. }
            | Self::Selection(_)
            | Self::Route(RouteError::Interrupted { .. }) => None,
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Backpressure(error) => error.user_message(language),
            Self::InboxFull { .. } | Self::Store(_) => Cow::Borrowed(words::too_busy(language)),
            Self::RateLimited(error) => error.user_message(language),
            Self::TenantSuspended => Cow::Borrowed(words::suspended(language)),
            Self::Budget { error, .. } if error.never_fits() => {
                Cow::Owned(words::budget_too_small(language, error.limit, error.least))
            }
            Self::Budget { error, now } if error.left() > 0 => {
                Cow::Owned(words::budget_short(language, error, *now))
            }
            Self::Budget { error, now } => {
                Cow::Owned(words::budget_spent(language, error.limit, error.resets_at, *now))
            }
            Self::TooLong { .. } => Cow::Borrowed(words::too_long(language)),
            Self::CancelledByPlugin { text: Some(text), .. } => Cow::Owned(text.clone()),
            Self::CancelledByPlugin { text: None, .. } => Cow::Borrowed(words::cancelled_by_plugin(language)),
            Self::Selection(SelectionError::UnknownModel { .. }) => {
                Cow::Borrowed(words::unknown_model(language))
            }
            Self::Selection(SelectionError::Unsuitable { .. } | SelectionError::NoneSuitable) => {
                Cow::Borrowed(words::too_long(language))
            }
            Self::Route(error) if ran_out_of_time(error) => Cow::Borrowed(words::timed_out(language)),
            Self::Route(error) => match decisive(error) {
                Some(error) => error.user_message(language),
                None => Cow::Borrowed(words::failed(language)),
            },
            Self::Worker(RequestError::Timeout(_)) => Cow::Borrowed(words::timed_out(language)),
            Self::Worker(error) => error.user_message(language),
        }
    }
}

/// What the models asked for, when all of them asked to wait.
fn longest_wait(error: &AllModelsFailedError) -> Option<Duration> {
    error
        .attempts
        .iter()
        .filter_map(|attempt| attempt.error().and_then(CodedError::retry_after))
        .min()
}

/// Whether there was no time left: the pool ends such a turn at the same moment, and the person must hear the same from
/// whoever is first.
fn ran_out_of_time(error: &RouteError) -> bool {
    let last = match error {
        RouteError::AllModelsFailed(error) => error.attempts.last().and_then(|attempt| attempt.error()),
        RouteError::Interrupted { error, .. } => Some(error),
    };
    matches!(
        last,
        Some(ModelError::Timeout {
            phase: TimeoutPhase::Whole
        })
    )
}

/// What the models found wrong with the request itself: no other model and no later time would have taken it.
fn decisive(error: &RouteError) -> Option<&ModelError> {
    let RouteError::AllModelsFailed(error) = error else {
        return None;
    };
    let last = error.attempts.last().and_then(|attempt| attempt.error())?;
    matches!(
        last,
        ModelError::BadRequest { .. }
            | ModelError::ContextTooLong
            | ModelError::ContentRefused
            | ModelError::UnknownModel
            | ModelError::Unsupported { .. }
    )
    .then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_ai_fabric::{Attempt, AttemptOutcome, Cost};
    use openclaw_core::{ModelId, TokenUsage};

    fn failed(errors: Vec<ModelError>) -> Refusal {
        let attempts = errors.into_iter().map(|error| Attempt {
            model: ModelId::parse("test").unwrap(),
            provider: None,
            outcome: AttemptOutcome::Failed(error),
            usage: TokenUsage::default(),
            cost: Cost::default(),
            duration: Duration::ZERO,
        });
        let attempts = attempts.collect();
        RouteError::from(AllModelsFailedError { attempts }).into()
    }

    fn told(refusal: &Refusal) -> Cow<'static, str> {
        refusal.user_message(Language::En)
    }

    #[test]
    fn a_request_that_no_model_would_take_is_to_blame_itself() {
        let refusal = failed(vec![ModelError::Cut, ModelError::ContextTooLong]);
        assert_eq!(refusal.code(), ModelError::ContextTooLong.code());
        assert_eq!(
            told(&refusal),
            ModelError::ContextTooLong.user_message(Language::En)
        );
        assert!(!refusal.recoverable());
        let refusal = failed(vec![ModelError::ContextTooLong, ModelError::Cut]);
        assert_eq!(
            (refusal.code(), refusal.recoverable()),
            ("ALL_MODELS_FAILED", true)
        );
        assert_eq!(told(&refusal), words::failed(Language::En));
    }

    #[test]
    fn a_request_past_its_time_is_told_the_same_whoever_was_first_to_notice() {
        let phase = TimeoutPhase::Whole;
        let refusal = failed(vec![ModelError::Timeout { phase }]);
        assert_eq!(refusal.code(), OUT_OF_TIME);
        assert_eq!(told(&refusal), words::timed_out(Language::En));
        let phase = TimeoutPhase::Idle;
        assert_eq!(
            failed(vec![ModelError::Timeout { phase }]).code(),
            "ALL_MODELS_FAILED"
        );
    }

    #[test]
    fn who_was_asked_to_wait_waits_for_the_first_of_them() {
        let wait = |seconds| ModelError::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let refusal = failed(vec![wait(30), wait(7), ModelError::Cut]);
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(failed(vec![ModelError::Cut]).retry_after(), None);
    }

    #[test]
    fn a_budget_is_waited_for_where_waiting_helps() {
        let now = Timestamp::from_millis(1_000);
        let error = |least| TokenBudgetExceededError {
            limit: 100,
            used: 90,
            requested: 50,
            least,
            resets_at: now + Duration::from_secs(60),
        };
        let spent = Refusal::budget(error(40), now);
        assert_eq!(spent.retry_after(), Some(Duration::from_secs(60)));
        assert!(spent.recoverable());
        let small = Refusal::budget(error(101), now);
        assert_eq!(small.retry_after(), None);
        assert_eq!(told(&small), words::budget_too_small(Language::En, 100, 101));
        assert!(!Refusal::TenantSuspended.recoverable());
    }
}
