//! The three wire formats the mock speaks, written out as their providers send them.

use bytes::Bytes;
use serde_json::{Value, json};

/// Whose format an answer has; the request's path decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    OpenAi,
    Anthropic,
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
}

/// A text as a JSON string, quotes included.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Head {
    fn stop_reason(&self) -> &'static str {
        match (self.wire, self.finish_reason) {
            (Wire::Anthropic, "length") => "max_tokens",
            (Wire::Anthropic, "content_filter") => "refusal",
            (Wire::Anthropic, _) => "end_turn",
            (Wire::OpenAi | Wire::Ollama, reason) => reason,
        }
    }

    pub(super) fn stream_type(&self) -> &'static str {
        match self.wire {
            Wire::OpenAi | Wire::Anthropic => "text/event-stream",
            Wire::Ollama => "application/x-ndjson",
        }
    }

    /// What comes before the first piece.
    pub(super) fn prologue(&self) -> Option<Bytes> {
        let Self {
            model, prompt_tokens, ..
        } = self;
        match self.wire {
            Wire::OpenAi | Wire::Ollama => None,
            Wire::Anthropic => Some(Bytes::from(format!(
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{{\"input_tokens\":{prompt_tokens},\"output_tokens\":1}}}}}}\n\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: ping\ndata: {{\"type\":\"ping\"}}\n\n"
            ))),
        }
    }

    /// One piece; `text` is a JSON string, quotes included.
    pub(super) fn piece(&self, text: &str, first: bool) -> Bytes {
        let model = &self.model;
        Bytes::from(match self.wire {
            Wire::OpenAi => format!(
                "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{model},\"system_fingerprint\":\"fp_mock\",\"choices\":[{{\"index\":0,\"delta\":{{{}\"content\":{text}}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n",
                if first { "\"role\":\"assistant\"," } else { "" }
            ),
            Wire::Anthropic => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n"
            ),
            Wire::Ollama => format!(
                "{{\"model\":{model},\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":{text}}},\"done\":false}}\n"
            ),
        })
    }

    /// What comes after the last piece of a complete answer.
    pub(super) fn epilogue(&self, completion_tokens: u64) -> Bytes {
        let Self {
            model, prompt_tokens, ..
        } = self;
        let stop = self.stop_reason();
        Bytes::from(match self.wire {
            Wire::OpenAi => {
                let mut end = format!(
                    "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{model},\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{stop}\"}}]}}\n\n"
                );
                if self.usage_wanted {
                    end += &format!(
                        "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{model},\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion_tokens},\"total_tokens\":{}}}}}\n\n",
                        prompt_tokens.saturating_add(completion_tokens)
                    );
                }
                end + "data: [DONE]\n\n"
            }
            Wire::Anthropic => format!(
                "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop}\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":{completion_tokens}}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
            ),
            Wire::Ollama => format!(
                "{{\"model\":{model},\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"\"}},\"done\":true,\"done_reason\":\"{stop}\",\"total_duration\":1,\"load_duration\":1,\"prompt_eval_count\":{prompt_tokens},\"prompt_eval_duration\":1,\"eval_count\":{completion_tokens},\"eval_duration\":1}}\n"
            ),
        })
    }

    /// A whole answer in one body.
    pub(super) fn whole(&self, text: &str, completion_tokens: u64) -> String {
        let Self {
            model, prompt_tokens, ..
        } = self;
        let (stop, text) = (self.stop_reason(), quoted(text));
        match self.wire {
            Wire::OpenAi => format!(
                "{{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":{model},\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{text},\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"{stop}\"}}],\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion_tokens},\"total_tokens\":{}}},\"system_fingerprint\":\"fp_mock\"}}",
                prompt_tokens.saturating_add(completion_tokens)
            ),
            Wire::Anthropic => format!(
                "{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"stop_reason\":\"{stop}\",\"stop_sequence\":null,\"usage\":{{\"input_tokens\":{prompt_tokens},\"output_tokens\":{completion_tokens}}}}}"
            ),
            Wire::Ollama => format!(
                "{{\"model\":{model},\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":{text}}},\"done\":true,\"done_reason\":\"{stop}\",\"prompt_eval_count\":{prompt_tokens},\"eval_count\":{completion_tokens}}}"
            ),
        }
    }

    /// An error in the middle of a stream.
    pub(super) fn error_event(&self) -> Bytes {
        Bytes::from_static(match self.wire {
            Wire::OpenAi => b"data: {\"error\":{\"message\":\"mock mid-stream failure\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
            Wire::Anthropic => b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            Wire::Ollama => b"{\"error\":\"mock mid-stream failure\"}\n",
        })
    }
}

/// The body of a refusal with this status.
pub(super) fn refusal(wire: Wire, status: u16) -> String {
    let (kind, anthropic_kind) = match status {
        400 => ("invalid_request_error", "invalid_request_error"),
        401 => ("authentication_error", "authentication_error"),
        429 => ("requests", "rate_limit_error"),
        529 => ("server_error", "overloaded_error"),
        _ => ("server_error", "api_error"),
    };
    let message = format!("mock fault {status}");
    let code = if status == 429 {
        Value::from("rate_limit_exceeded")
    } else {
        Value::Null
    };
    match wire {
        Wire::OpenAi => {
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
        }
        Wire::Anthropic => json!({"type": "error", "error": {"type": anthropic_kind, "message": message}, "request_id": "req_mock"}).to_string(),
        Wire::Ollama => json!({"error": message}).to_string(),
    }
}
