//! Answers of `/v1`, written by hand: a chunk is written for every token a model says, so it is one copy of a prepared
//! beginning, the escaped text and a constant end.

use super::error::ApiError;
use bytes::{BufMut, Bytes, BytesMut};
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use std::fmt::Write as _;

/// What all chunks of an answer say about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// `chatcmpl-…`, the same in every chunk.
    pub(crate) id: &'a str,
    /// Seconds since the Unix epoch.
    pub(crate) created: i64,
    /// The model that answers.
    pub(crate) model: &'a str,
}

/// Writes the events of a streamed answer as server-sent `chat.completion.chunk`s.
///
/// The first chunk carries the role; the last but `[DONE]` carries the finish reason, and then the token counts when
/// they were asked for.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    /// `data: {…"choices":[{"index":0,"delta":`
    head: Vec<u8>,
    /// `data: {…"choices":[]`
    usage_head: Vec<u8>,
    /// What follows `"finish_reason":null}]`.
    tail: &'static [u8],
    include_usage: bool,
    began: bool,
    stopped: Option<StopReason>,
    usage: Option<TokenUsage>,
}

/// Gathers the events of an answer and writes one `chat.completion`.
#[derive(Debug, Default)]
pub(crate) struct CompletionWriter {
    text: String,
    tools: Vec<GatheredCall>,
    stopped: Option<StopReason>,
    usage: TokenUsage,
}

#[derive(Debug)]
struct GatheredCall {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

/// A model as `/v1/models` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelCard {
    /// Its id.
    pub(crate) id: String,
    /// Seconds since the Unix epoch; when it became known here.
    pub(crate) created: i64,
    /// Its provider.
    pub(crate) owned_by: String,
}

// === impl ChunkWriter ===

impl ChunkWriter {
    /// Prepares the parts that all chunks share.
    pub(crate) fn new(identity: Identity<'_>, include_usage: bool) -> Self {
        let mut head = BytesMut::with_capacity(192);
        head.put_slice(b"data: ");
        write_identity(identity, "chat.completion.chunk", &mut head);
        let mut usage_head = head.to_vec();
        usage_head.extend_from_slice(b",\"choices\":[]");
        head.put_slice(b",\"choices\":[{\"index\":0,\"delta\":");
        Self {
            head: head.to_vec(),
            usage_head,
            tail: if include_usage {
                b",\"finish_reason\":null}],\"usage\":null}\n\n"
            } else {
                b",\"finish_reason\":null}]}\n\n"
            },
            include_usage,
            began: false,
            stopped: None,
            usage: None,
        }
    }

    /// Appends what the event means for the client; nothing for what is only remembered until [`Self::finish`].
    pub(crate) fn event(&mut self, event: &ModelEvent, out: &mut BytesMut) {
        match event {
            ModelEvent::TextDelta(text) => self.text(text, out),
            ModelEvent::ToolUseStart { index, id, name } => {
                self.begin(out);
                out.reserve(self.head.len() + id.len() + name.len() + 160);
                out.put_slice(&self.head);
                out.put_slice(b"{\"tool_calls\":[{\"index\":");
                number(u64::from(*index), out);
                out.put_slice(b",\"id\":\"");
                escape(id, out);
                out.put_slice(b"\",\"type\":\"function\",\"function\":{\"name\":\"");
                escape(name, out);
                out.put_slice(b"\",\"arguments\":\"\"}}]}");
                out.put_slice(self.tail);
            }
            ModelEvent::ToolArgumentsDelta { index, delta } => {
                self.begin(out);
                out.reserve(self.head.len() + delta.len() + 112);
                out.put_slice(&self.head);
                out.put_slice(b"{\"tool_calls\":[{\"index\":");
                number(u64::from(*index), out);
                out.put_slice(b",\"function\":{\"arguments\":\"");
                escape(delta, out);
                out.put_slice(b"\"}}]}");
                out.put_slice(self.tail);
            }
            ModelEvent::Usage(usage) => self.usage = Some(*usage),
            ModelEvent::Stop(reason) => self.stopped = Some(*reason),
            ModelEvent::Ping => {}
        }
    }

    /// Appends a chunk of text, with the role's chunk before the first.
    pub(crate) fn text(&mut self, text: &str, out: &mut BytesMut) {
        self.begin(out);
        out.reserve(self.head.len() + text.len() + 64);
        out.put_slice(&self.head);
        out.put_slice(b"{\"content\":\"");
        escape(text, out);
        out.put_slice(b"\"}");
        out.put_slice(self.tail);
    }

    /// Appends the finish reason, the token counts when they were asked for, and `[DONE]`. `usage` is what is settled,
    /// if the caller knows better than the model's own count.
    pub(crate) fn finish(&mut self, usage: Option<TokenUsage>, out: &mut BytesMut) {
        self.begin(out);
        out.put_slice(&self.head);
        out.put_slice(b"{},\"finish_reason\":\"");
        out.put_slice(self.stopped.unwrap_or(StopReason::EndTurn).as_openai().as_bytes());
        out.put_slice(b"\"}]");
        if self.include_usage {
            out.put_slice(b",\"usage\":null}\n\n");
            out.put_slice(&self.usage_head);
            out.put_slice(b",\"usage\":");
            write_usage(usage.or(self.usage).unwrap_or_default(), out);
        }
        out.put_slice(b"}\n\ndata: [DONE]\n\n");
    }

    /// Appends an error object. The stream ends after it, without `[DONE]`.
    pub(crate) fn error(error: &ApiError, out: &mut BytesMut) {
        out.put_slice(b"data: ");
        error.write(out);
        out.put_slice(b"\n\n");
    }

    /// Appends a comment, a sign of life that clients skip.
    pub(crate) fn ping(out: &mut BytesMut) {
        out.put_slice(b": ping\n\n");
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !self.began {
            self.began = true;
            out.put_slice(&self.head);
            out.put_slice(b"{\"role\":\"assistant\",\"content\":\"\"}");
            out.put_slice(self.tail);
        }
    }
}

// === impl CompletionWriter ===

impl CompletionWriter {
    /// Takes one event.
    pub(crate) fn event(&mut self, event: ModelEvent) {
        match event {
            ModelEvent::TextDelta(text) if self.text.is_empty() => self.text = text,
            ModelEvent::TextDelta(text) => self.text.push_str(&text),
            ModelEvent::ToolUseStart { index, id, name } => self.tools.push(GatheredCall {
                index,
                id,
                name,
                arguments: String::new(),
            }),
            ModelEvent::ToolArgumentsDelta { index, delta } => {
                if let Some(call) = self.tools.iter_mut().rfind(|call| call.index == index) {
                    call.arguments.push_str(&delta);
                }
            }
            ModelEvent::Usage(usage) => self.usage = usage,
            ModelEvent::Stop(reason) => self.stopped = Some(reason),
            ModelEvent::Ping => {}
        }
    }

    /// Writes the answer. `usage` is what is settled, if the caller knows better than the model's own count.
    pub(crate) fn finish(&self, identity: Identity<'_>, usage: Option<TokenUsage>) -> Bytes {
        let mut out = BytesMut::with_capacity(self.text.len() + self.text.len() / 16 + 384);
        write_identity(identity, "chat.completion", &mut out);
        out.put_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        if self.text.is_empty() && !self.tools.is_empty() {
            out.put_slice(b"null");
        } else {
            out.put_u8(b'"');
            escape(&self.text, &mut out);
            out.put_u8(b'"');
        }
        out.put_slice(b",\"refusal\":null");
        if !self.tools.is_empty() {
            out.put_slice(b",\"tool_calls\":[");
            for (position, call) in self.tools.iter().enumerate() {
                if position > 0 {
                    out.put_u8(b',');
                }
                out.put_slice(b"{\"id\":\"");
                escape(&call.id, &mut out);
                out.put_slice(b"\",\"type\":\"function\",\"function\":{\"name\":\"");
                escape(&call.name, &mut out);
                out.put_slice(b"\",\"arguments\":\"");
                escape(
                    if call.arguments.is_empty() {
                        "{}"
                    } else {
                        &call.arguments
                    },
                    &mut out,
                );
                out.put_slice(b"\"}}");
            }
            out.put_u8(b']');
        }
        let implied = if self.tools.is_empty() {
            StopReason::EndTurn
        } else {
            StopReason::ToolUse
        };
        out.put_slice(b"},\"logprobs\":null,\"finish_reason\":\"");
        out.put_slice(self.stopped.unwrap_or(implied).as_openai().as_bytes());
        out.put_slice(b"\"}],\"usage\":");
        write_usage(usage.unwrap_or(self.usage), &mut out);
        out.put_u8(b'}');
        out.freeze()
    }
}

// === impl ModelCard ===

impl ModelCard {
    /// The body of `GET /v1/models/{id}`.
    pub(crate) fn to_body(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(128);
        self.write(&mut out);
        out.freeze()
    }

    /// The body of `GET /v1/models`.
    pub(crate) fn list(cards: &[Self]) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + cards.len() * 128);
        out.put_slice(b"{\"object\":\"list\",\"data\":[");
        for (position, card) in cards.iter().enumerate() {
            if position > 0 {
                out.put_u8(b',');
            }
            card.write(&mut out);
        }
        out.put_slice(b"]}");
        out.freeze()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"{\"id\":\"");
        escape(&self.id, out);
        out.put_slice(b"\",\"object\":\"model\",\"created\":");
        // Writing to a buffer that grows cannot fail.
        let _ = write!(out, "{}", self.created);
        out.put_slice(b",\"owned_by\":\"");
        escape(&self.owned_by, out);
        out.put_slice(b"\"}");
    }
}

/// `{"id":…,"object":…,"created":…,"model":…`, without the end.
fn write_identity(identity: Identity<'_>, object: &str, out: &mut BytesMut) {
    out.put_slice(b"{\"id\":\"");
    escape(identity.id, out);
    out.put_slice(b"\",\"object\":\"");
    out.put_slice(object.as_bytes());
    out.put_slice(b"\",\"created\":");
    // Writing to a buffer that grows cannot fail.
    let _ = write!(out, "{}", identity.created);
    out.put_slice(b",\"model\":\"");
    escape(identity.model, out);
    out.put_u8(b'"');
}

fn write_usage(usage: TokenUsage, out: &mut BytesMut) {
    out.put_slice(b"{\"prompt_tokens\":");
    number(usage.input_tokens, out);
    out.put_slice(b",\"completion_tokens\":");
    number(usage.output_tokens, out);
    out.put_slice(b",\"total_tokens\":");
    number(usage.total(), out);
    out.put_u8(b'}');
}

fn number(value: u64, out: &mut BytesMut) {
    // Writing to a buffer that grows cannot fail.
    let _ = write!(out, "{value}");
}

/// Appends the inside of a JSON string. Runs without anything to escape are copied whole.
pub(crate) fn escape(text: &str, out: &mut BytesMut) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    {
        let (plain, tail) = rest.split_at(at);
        out.put_slice(plain);
        let Some((special, after)) = tail.split_first() else {
            return;
        };
        match special {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            control => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |c| c as u8);
                out.put_slice(b"\\u00");
                out.put_u8(digit(control >> 4));
                out.put_u8(digit(control & 0xf));
            }
        }
        rest = after;
    }
    out.put_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const IDENTITY: Identity<'_> = Identity {
        id: "chatcmpl-1",
        created: 1_700_000_000,
        model: "demo",
    };

    /// The data of every event; comments and `[DONE]` as texts.
    fn events(out: &BytesMut) -> Vec<Value> {
        std::str::from_utf8(out)
            .unwrap()
            .split_terminator("\n\n")
            .map(|event| {
                let data = event.strip_prefix("data: ").unwrap_or(event);
                serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))
            })
            .collect()
    }

    fn usage() -> TokenUsage {
        TokenUsage {
            input_tokens: 7,
            output_tokens: 3,
            estimated: false,
        }
    }

    #[test]
    fn a_stream_begins_with_the_role_and_ends_with_reason_usage_and_done() {
        let mut writer = ChunkWriter::new(IDENTITY, true);
        let mut out = BytesMut::new();
        for event in [
            ModelEvent::Ping,
            ModelEvent::TextDelta("Hi \"you\"\n".into()),
            ModelEvent::TextDelta("!".into()),
            ModelEvent::Stop(StopReason::MaxTokens),
            ModelEvent::Usage(usage()),
        ] {
            writer.event(&event, &mut out);
        }
        writer.finish(None, &mut out);
        let chunk = |delta: Value, reason: Value| {
            json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "demo",
                "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }], "usage": null })
        };
        let counts = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "demo", "choices": [],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 } });
        assert_eq!(
            events(&out),
            [
                chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
                chunk(json!({ "content": "Hi \"you\"\n" }), Value::Null),
                chunk(json!({ "content": "!" }), Value::Null),
                chunk(json!({}), json!("length")),
                counts,
                json!("[DONE]"),
            ]
        );
    }

    #[test]
    fn usage_is_only_told_when_asked_for() {
        let mut writer = ChunkWriter::new(IDENTITY, false);
        let mut out = BytesMut::new();
        writer.text("x", &mut out);
        writer.finish(Some(usage()), &mut out);
        let events = events(&out);
        assert_eq!(events.len(), 4);
        assert!(events.iter().all(|event| event.get("usage").is_none()));
        assert_eq!(events[2]["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn an_error_in_a_stream_is_an_event_of_its_own() {
        let mut out = BytesMut::new();
        ChunkWriter::ping(&mut out);
        ChunkWriter::error(
            &ApiError::new("ALL_MODELS_FAILED", "No model answered."),
            &mut out,
        );
        let events = events(&out);
        assert_eq!(events[0], ": ping");
        assert_eq!(events[1]["error"]["code"], "provider_unavailable");
    }

    #[test]
    fn tool_calls_are_written_streamed_and_whole() {
        let calls = [
            ModelEvent::ToolUseStart {
                index: 0,
                id: "c1".into(),
                name: "add".into(),
            },
            ModelEvent::ToolArgumentsDelta {
                index: 0,
                delta: "{\"a\":".into(),
            },
            ModelEvent::ToolUseStart {
                index: 1,
                id: "c2".into(),
                name: "now".into(),
            },
            ModelEvent::ToolArgumentsDelta {
                index: 0,
                delta: "2}".into(),
            },
            ModelEvent::Stop(StopReason::ToolUse),
        ];
        let mut writer = ChunkWriter::new(IDENTITY, false);
        let mut whole = CompletionWriter::default();
        let mut out = BytesMut::new();
        for event in calls {
            writer.event(&event, &mut out);
            whole.event(event);
        }
        let events = events(&out);
        assert_eq!(
            events[1]["choices"][0]["delta"],
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": { "name": "add", "arguments": "" } }] })
        );
        assert_eq!(
            events[4]["choices"][0]["delta"],
            json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "2}" } }] })
        );
        let body: Value = serde_json::from_slice(&whole.finish(IDENTITY, Some(usage()))).unwrap();
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], Value::Null);
        assert_eq!(
            choice["message"]["tool_calls"][0]["function"]["arguments"],
            "{\"a\":2}"
        );
        assert_eq!(choice["message"]["tool_calls"][1]["function"]["arguments"], "{}");
        assert_eq!(body["usage"]["total_tokens"], 10);
    }

    #[test]
    fn models_are_listed() {
        let cards = [
            ModelCard {
                id: "a".into(),
                created: 5,
                owned_by: "main".into(),
            },
            ModelCard {
                id: "b\"".into(),
                created: 6,
                owned_by: "main".into(),
            },
        ];
        let body: Value = serde_json::from_slice(&ModelCard::list(&cards)).unwrap();
        assert_eq!(body["object"], "list");
        assert_eq!(
            body["data"][1],
            json!({ "id": "b\"", "object": "model", "created": 6, "owned_by": "main" })
        );
        assert_eq!(
            serde_json::from_slice::<Value>(&cards[0].to_body()).unwrap(),
            body["data"][0]
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was(text in any::<String>()) {
            let mut out = BytesMut::new();
            out.put_u8(b'"');
            escape(&text, &mut out);
            out.put_u8(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());

            let mut whole = CompletionWriter::default();
            whole.event(ModelEvent::TextDelta(text.clone()));
            let body: Value = serde_json::from_slice(&whole.finish(IDENTITY, None)).unwrap();
            prop_assert_eq!(body["choices"][0]["message"]["content"].as_str(), Some(text.as_str()));
        }
    }
}
