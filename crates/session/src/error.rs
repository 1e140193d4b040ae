//! What can be refused here, and the words for it.

use crate::session::InvalidStateTransition;
use openclaw_core::{CodedError, Language, TenantId};
use std::borrow::Cow;

/// The tenant is suspended: no model and no plugin is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenant {tenant} is suspended")]
pub struct TenantSuspended {
    /// Whose message was refused.
    pub tenant: TenantId,
}

/// A path that must not be followed. Names the rule, never a path of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// A NUL inside the path.
    #[error("the path contains NUL")]
    Nul,
    /// A component that leads upwards.
    #[error("the path contains `..`")]
    Upwards,
    /// Not below the tenant's own root.
    #[error("the path is outside the workspace")]
    Outside,
    /// Longer than any path we follow.
    #[error("the path is {bytes} bytes long, {limit} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// A tool the tenant's policy does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tool `{tool}` is not allowed")]
pub struct ToolAccessDeniedError {
    /// The tool, cut to 64 characters.
    pub tool: String,
}

impl CodedError for TenantSuspended {
    fn code(&self) -> &'static str {
        "TENANT_SUSPENDED"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "Your access is suspended. Please contact the operator.",
            Language::Ru => "Ваш доступ приостановлен. Обратитесь к администратору.",
        })
    }
}

impl CodedError for InvalidStateTransition {
    fn code(&self) -> &'static str {
        "INVALID_STATE_TRANSITION"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "This conversation has ended. Write again to begin a new one.",
            Language::Ru => "Этот разговор завершён. Напишите ещё раз, чтобы начать новый.",
        })
    }
}

impl CodedError for SecurityError {
    fn code(&self) -> &'static str {
        match self {
            Self::Nul => "PATH_NUL",
            Self::Upwards => "PATH_UPWARDS",
            Self::Outside => "PATH_OUTSIDE",
            Self::TooLong { .. } => "PATH_TOO_LONG",
        }
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "This path is not allowed.",
            Language::Ru => "Такой путь недопустим.",
        })
    }
}

impl CodedError for ToolAccessDeniedError {
    fn code(&self) -> &'static str {
        "TOOL_ACCESS_DENIED"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "This tool is not available to you.",
            Language::Ru => "Этот инструмент вам недоступен.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionState;
    use std::collections::BTreeSet;

    #[test]
    fn every_error_has_a_code_of_its_own_and_words_in_both_languages() {
        let errors: [Box<dyn CodedError>; 7] = [
            Box::new(TenantSuspended {
                tenant: "web:1:2".parse().expect("a tenant"),
            }),
            Box::new(InvalidStateTransition {
                from: SessionState::Expired,
                to: SessionState::Active,
            }),
            Box::new(SecurityError::Nul),
            Box::new(SecurityError::Upwards),
            Box::new(SecurityError::Outside),
            Box::new(SecurityError::TooLong { bytes: 2, limit: 1 }),
            Box::new(ToolAccessDeniedError { tool: "Bash".into() }),
        ];
        let codes: BTreeSet<_> = errors.iter().map(|error| error.code()).collect();
        assert_eq!(codes.len(), errors.len());
        for error in errors {
            let [en, ru] = Language::ALL.map(|language| error.user_message(language));
            assert_eq!(Language::of_text(&en), Some(Language::En), "{en}");
            assert_eq!(Language::of_text(&ru), Some(Language::Ru), "{ru}");
        }
    }
}
