//! The wire formats the mock speaks, written out as their providers send them.

mod anthropic;
mod gigachat;
mod ollama;
mod openai;

use super::answer::UsageForm;
use bytes::Bytes;
use serde_json::Value;

pub(super) use gigachat::token;

/// Whose format an answer has; the request's path decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    OpenAi,
    Anthropic,
    GigaChat,
    Ollama,
}

/// What a format needs to know about the answer it writes.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) wire: Wire,
    /// The model as a JSON string, quotes included.
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) finish_reason: &'static str,
    /// OpenAI reports usage in a stream only when it is asked to.
    pub(super) usage_wanted: bool,
    pub(super) usage_form: UsageForm,
}

/// A piece of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Its place, from 0.
    pub(super) index: u64,
    /// A JSON string, quotes included.
    pub(super) text: &'a str,
}

/// A status and the body that goes with it.
pub(super) type Refusal = (u16, String);

/// A text as a JSON string, quotes included.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Wire {
    /// By the path of a request for a completion.
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if path.ends_with("/api/chat") {
            Some(Self::Ollama)
        } else if !path.ends_with("/chat/completions") {
            None
        } else if path.starts_with("/gigachat/") {
            Some(Self::GigaChat)
        } else {
            Some(Self::OpenAi)
        }
    }

    /// Whether it streams when a request does not say.
    pub(super) fn streams_by_default(self) -> bool {
        self == Self::Ollama
    }

    /// A refusal with this status.
    pub(super) fn refusal(self, status: u16) -> Refusal {
        let body = match self {
            Self::OpenAi => openai::refusal(status),
            Self::Anthropic => anthropic::refusal(status),
            Self::GigaChat => gigachat::refusal(status),
            Self::Ollama => ollama::refusal(status),
        };
        (status, body)
    }

    /// The refusal of a caller whose money is used up.
    pub(super) fn out_of_quota(self) -> Refusal {
        match self {
            Self::OpenAi => openai::out_of_quota(),
            Self::Anthropic => anthropic::out_of_quota(),
            Self::GigaChat => gigachat::out_of_quota(),
            Self::Ollama => ollama::out_of_quota(),
        }
    }
}

impl Head {
    pub(super) fn stream_type(&self) -> &'static str {
        match self.wire {
            Wire::OpenAi | Wire::Anthropic | Wire::GigaChat => "text/event-stream",
            Wire::Ollama => "application/x-ndjson",
        }
    }

    /// What comes before the first piece.
    pub(super) fn prologue(&self) -> Option<Bytes> {
        match self.wire {
            Wire::Anthropic => Some(anthropic::prologue(self).into()),
            Wire::OpenAi | Wire::GigaChat | Wire::Ollama => None,
        }
    }

    pub(super) fn piece(&self, piece: Piece<'_>) -> Bytes {
        Bytes::from(match self.wire {
            Wire::OpenAi => openai::piece(self, piece),
            Wire::Anthropic => anthropic::piece(self, piece),
            Wire::GigaChat => gigachat::piece(self, piece),
            Wire::Ollama => ollama::piece(self, piece),
        })
    }

    /// What comes after the last piece of a complete answer.
    pub(super) fn epilogue(&self, completion_tokens: u64) -> Bytes {
        Bytes::from(match self.wire {
            Wire::OpenAi => openai::epilogue(self, completion_tokens),
            Wire::Anthropic => anthropic::epilogue(self, completion_tokens),
            Wire::GigaChat => gigachat::epilogue(self, completion_tokens),
            Wire::Ollama => ollama::epilogue(self, completion_tokens),
        })
    }

    /// A whole answer in one body.
    pub(super) fn whole(&self, text: &str, completion_tokens: u64) -> String {
        let text = quoted(text);
        match self.wire {
            Wire::OpenAi | Wire::GigaChat => openai::whole(self, &text, completion_tokens),
            Wire::Anthropic => anthropic::whole(self, &text, completion_tokens),
            Wire::Ollama => ollama::whole(self, &text, completion_tokens),
        }
    }

    /// An error in the middle of a stream.
    pub(super) fn error_event(&self) -> Bytes {
        Bytes::from_static(match self.wire {
            Wire::OpenAi => openai::ERROR_EVENT,
            Wire::Anthropic => anthropic::ERROR_EVENT,
            Wire::GigaChat => gigachat::ERROR_EVENT,
            Wire::Ollama => ollama::ERROR_EVENT,
        })
    }

    /// An event that breaks off in the middle.
    pub(super) fn malformed_event(&self) -> Bytes {
        Bytes::from_static(match self.wire {
            Wire::OpenAi | Wire::GigaChat => openai::MALFORMED_EVENT,
            Wire::Anthropic => anthropic::MALFORMED_EVENT,
            Wire::Ollama => ollama::MALFORMED_EVENT,
        })
    }

    /// What a format reports of the tokens: with a piece (`running`), or at the end.
    fn usage(&self, running: bool, write: impl FnOnce() -> String) -> Option<String> {
        match (self.usage_form, running) {
            (UsageForm::Documented, false) | (UsageForm::Running, _) => Some(write()),
            (UsageForm::Null, _) => Some("null".to_owned()),
            (UsageForm::Documented, true) | (UsageForm::Missing, _) => None,
        }
    }
}
