//! What can go wrong with a provider's bytes.

use openclaw_core::{CodedError, Language};
use std::borrow::Cow;

/// Why a stream cannot be read on. The parser that returned one returns it again at every further call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A line did not end within the limit.
    #[error("a line of the stream is longer than {limit} bytes")]
    LineTooLong {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The lines of one server-sent event together are longer than the limit.
    #[error("an event of the stream is longer than {limit} bytes")]
    EventTooLong {
        /// How many bytes are allowed.
        limit: usize,
    },
}

// === impl StreamError ===

impl CodedError for StreamError {
    fn code(&self) -> &'static str {
        match self {
            Self::LineTooLong { .. } => "STREAM_LINE_TOO_LONG",
            Self::EventTooLong { .. } => "STREAM_EVENT_TOO_LONG",
        }
    }

    /// Another call, or another provider, may well answer with a stream that can be read.
    fn recoverable(&self) -> bool {
        true
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "The model's answer could not be read. Please try again.",
            Language::Ru => "Не удалось прочитать ответ модели. Попробуйте ещё раз.",
        })
    }
}
