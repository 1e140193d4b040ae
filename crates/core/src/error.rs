//! What the errors of all contexts share: a stable code, whether trying again may help, and words for a person.

use crate::language::Language;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// An error with a name that programs may rely on and words that people may read.
///
/// `Display` is for the log; [`CodedError::user_message`] is for the person and never shows internals.
pub trait CodedError: std::error::Error + Send + Sync {
    /// A stable code in upper snake case, one per variant, such as `BACKPRESSURE`.
    fn code(&self) -> &'static str;

    /// Whether the same request may succeed later.
    fn recoverable(&self) -> bool;

    /// How long to wait before trying again, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// What the person is told.
    fn user_message(&self, language: Language) -> Cow<'static, str>;
}

/// A value was refused: every fault found, not only the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.violations))]
pub struct ValidationError {
    /// What is wrong, field by field.
    pub violations: Vec<Violation>,
}

/// One fault of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as its file or request spells it.
    pub field: String,
    /// The value, as it was given.
    pub value: String,
    /// The rule it breaks.
    pub rule: String,
}

// === impl ValidationError ===

impl ValidationError {
    /// One fault.
    pub fn one(field: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) -> Self {
        Self {
            violations: vec![Violation::new(field, value, rule)],
        }
    }

    /// `Ok` when there are none.
    pub fn check(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Self { violations })
        }
    }
}

impl CodedError for ValidationError {
    fn code(&self) -> &'static str {
        "VALIDATION"
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "The request is not valid.",
            Language::Ru => "Запрос составлен неверно.",
        })
    }
}

// === impl Violation ===

impl Violation {
    /// Names field, value and rule.
    pub fn new(field: impl Into<String>, value: impl fmt::Display, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; {}", self.field, self.value, self.rule)
    }
}

fn list(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(Violation::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
