//! What people think of answers.

use super::EntryId;
use openclaw_core::Timestamp;
use std::fmt;
use std::str::FromStr;

/// Whether an answer was of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rating {
    /// It was.
    Up,
    /// It was not.
    Down,
}

/// What a person thinks of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// In one word.
    pub rating: Rating,
    /// In words of their own.
    pub text: Option<String>,
}

/// An opinion of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The entry that was answered.
    pub entry: EntryId,
    /// What is thought of it.
    pub opinion: Opinion,
    /// When that was said.
    pub at: Timestamp,
}

/// A text that is no rating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected up or down")]
pub struct RatingError;

// === impl Rating ===

impl Rating {
    /// Its name, in stores and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rating {
    type Err = RatingError;

    fn from_str(text: &str) -> Result<Self, RatingError> {
        match text {
            "up" => Ok(Self::Up),
            "down" => Ok(Self::Down),
            _ => Err(RatingError),
        }
    }
}
