//! Why a chat did not do as it was asked.

use crate::error::Refusal;
use crate::ports::StoreError;
use openclaw_core::{CodedError, Language};
use std::borrow::Cow;
use std::time::Duration;

/// Why a chat did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// There is none, or it is somebody else's, which nobody is told.
    #[error("there is no such chat")]
    NoSuchChat,
    /// No answer that can be read in the chat is of that turn.
    #[error("there is no such answer in the chat")]
    NoSuchAnswer,
    /// The idempotency key came with another text before.
    #[error("the idempotency key was used with another message")]
    Mismatch,
    /// The gateway refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

// === impl ChatError ===

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl CodedError for ChatError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchChat | Self::NoSuchAnswer => "NOT_FOUND",
            Self::Mismatch => "IDEMPOTENCY_MISMATCH",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    fn recoverable(&self) -> bool {
        match self {
            Self::NoSuchChat | Self::NoSuchAnswer | Self::Mismatch => false,
            Self::Refused(refusal) => refusal.recoverable(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoSuchChat | Self::NoSuchAnswer | Self::Mismatch => None,
            Self::Refused(refusal) => refusal.retry_after(),
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match (self, language) {
            (Self::NoSuchChat, Language::En) => "There is no such chat.".into(),
            (Self::NoSuchChat, Language::Ru) => "Такого чата нет.".into(),
            (Self::NoSuchAnswer, Language::En) => "There is no such answer in this chat.".into(),
            (Self::NoSuchAnswer, Language::Ru) => "Такого ответа в этом чате нет.".into(),
            (Self::Mismatch, Language::En) => "This Idempotency-Key was used with another message.".into(),
            (Self::Mismatch, Language::Ru) => {
                "Этот Idempotency-Key уже использован с другим сообщением.".into()
            }
            (Self::Refused(refusal), language) => refusal.user_message(language),
        }
    }
}
