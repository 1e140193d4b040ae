//! One `data:` payload of the stream, decoded into what the model says.
//!
//! Decoded into typed, mostly borrowed shapes: fields we have no use for are skipped, not stored. Tolerant of what
//! compatible servers really send: `choices` null or missing, usage in any chunk, tool calls without an index, whole
//! arguments as an object.

use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_http_client::unreadable;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::fmt;

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: usize = 128;

/// Decodes the payloads of one stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    calls: Vec<KnownCall>,
    stopped: bool,
    /// Whether the answer comes in one piece.
    whole: bool,
}

#[derive(Debug)]
struct KnownCall {
    /// The index the provider gives it, if it gives one.
    wire: Option<u64>,
    id: String,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    /// In place of `delta` where the answer comes in one piece.
    #[serde(borrow, default)]
    message: Option<Delta<'a>>,
    #[serde(default)]
    finish_reason: Option<Finish>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

enum Finish {
    Stop(StopReason),
    Error,
}

// === impl Decoder ===

impl Decoder {
    /// Decodes an answer that came in one piece.
    pub(crate) fn decode_whole(data: &str) -> Result<VecDeque<ModelEvent>, ModelError> {
        let (mut decoder, mut events) = (Self::default(), VecDeque::new());
        decoder.whole = true;
        decoder.decode(data, &mut events)?;
        if events.is_empty() {
            return Err(ModelError::Malformed {
                message: "there is no answer in the answer".into(),
            });
        }
        decoder.done(&mut events);
        Ok(events)
    }

    /// Whether the model has said why it stopped.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The stream's own end mark. A server that gave no reason has said everything.
    pub(crate) fn done(&mut self, events: &mut VecDeque<ModelEvent>) {
        if !self.stopped {
            self.stopped = true;
            events.push_back(ModelEvent::Stop(self.reason(StopReason::EndTurn)));
        }
    }

    /// Decodes one payload. Events found before an error are kept.
    pub(crate) fn decode(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let chunk: Chunk<'_> =
            serde_json::from_str(data).map_err(|error| unreadable("a chunk of the stream", &error))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(in_stream(&error));
        }
        let mut finish = None;
        for choice in chunk.choices.unwrap_or_default() {
            // Only one answer was asked for; another is nobody's.
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            let said = if self.whole { choice.message } else { choice.delta };
            if let Some(delta) = said {
                self.delta(delta, events)?;
            }
            finish = choice.finish_reason.or(finish);
        }
        if let Some(WireUsage {
            prompt_tokens: Some(input_tokens),
            completion_tokens: Some(output_tokens),
        }) = chunk.usage
        {
            events.push_back(ModelEvent::Usage(TokenUsage {
                input_tokens,
                output_tokens,
                estimated: false,
            }));
        }
        match finish {
            Some(Finish::Error) => Err(ModelError::InStream {
                message: "the provider ended its answer with an error".into(),
            }),
            Some(Finish::Stop(reason)) if !self.stopped => {
                self.stopped = true;
                events.push_back(ModelEvent::Stop(self.reason(reason)));
                Ok(())
            }
            Some(Finish::Stop(_)) | None => Ok(()),
        }
    }

    /// Some servers say `stop` after tool calls.
    fn reason(&self, said: StopReason) -> StopReason {
        if said == StopReason::EndTurn && !self.calls.is_empty() {
            StopReason::ToolUse
        } else {
            said
        }
    }

    fn delta(&mut self, delta: Delta<'_>, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        // The words of a refusal are what the person is to read.
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            if !text.is_empty() {
                events.push_back(ModelEvent::TextDelta(text));
            }
        }
        for call in delta.tool_calls.unwrap_or_default() {
            self.tool_call(call, events)?;
        }
        Ok(())
    }

    fn tool_call(&mut self, call: ToolCall<'_>, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let id = call.id.filter(|id| !id.is_empty());
        let (name, arguments) = call
            .function
            .map_or((None, None), |function| (function.name, function.arguments));
        let name = name.filter(|name| !name.is_empty());
        let known = self.position(call.index, id.as_deref(), name.is_some());
        let position = match known {
            Some(position) => position,
            None => {
                let position = self.calls.len();
                if position >= MAX_TOOL_CALLS {
                    return Err(ModelError::Malformed {
                        message: format!("more than {MAX_TOOL_CALLS} tool calls"),
                    });
                }
                let Some(name) = name else {
                    return Err(ModelError::Malformed {
                        message: "a tool call without a name".into(),
                    });
                };
                let id = id.unwrap_or_else(|| format!("call_{position}"));
                self.calls.push(KnownCall {
                    wire: call.index,
                    id: id.clone(),
                });
                events.push_back(ModelEvent::ToolUseStart {
                    index: index(position),
                    id,
                    name,
                });
                position
            }
        };
        if let Some(delta) = arguments.and_then(argument_text) {
            events.push_back(ModelEvent::ToolArgumentsDelta {
                index: index(position),
                delta,
            });
        }
        Ok(())
    }

    /// Which call a fragment belongs to; `None` when it begins one. Calls are told apart by their index; where a server
    /// sends none, or the same for all, by their id.
    fn position(&self, wire: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        let by_id = || id.and_then(|id| self.calls.iter().rposition(|call| call.id == id));
        match wire {
            Some(_) => {
                let position = self.calls.iter().rposition(|call| call.wire == wire)?;
                let other =
                    named && id.is_some_and(|id| self.calls.get(position).is_some_and(|call| call.id != id));
                if other { by_id() } else { Some(position) }
            }
            None => match (id, named) {
                (Some(_), _) => by_id(),
                (None, true) => None,
                (None, false) => self.calls.len().checked_sub(1),
            },
        }
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Arguments come as pieces of a string; a few servers send them whole, as an object.
fn argument_text(raw: &RawValue) -> Option<String> {
    let text = match raw.get() {
        "null" => return None,
        string if string.starts_with('"') => serde_json::from_str(string).ok()?,
        object => object.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// An error that came after the answer had begun well.
fn in_stream(error: &Value) -> ModelError {
    let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default();
    let message = match error {
        Value::String(message) => message,
        _ => text("message"),
    };
    ModelError::InStream {
        message: ModelError::text(if message.is_empty() { text("type") } else { message }),
    }
}

impl<'de> Deserialize<'de> for Finish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FinishVisitor;

        impl Visitor<'_> for FinishVisitor {
            type Value = Finish;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reason to stop")
            }

            fn visit_str<E: Error>(self, reason: &str) -> Result<Finish, E> {
                Ok(match reason {
                    "length" | "max_tokens" => Finish::Stop(StopReason::MaxTokens),
                    "tool_calls" | "function_call" => Finish::Stop(StopReason::ToolUse),
                    "content_filter" | "blacklist" => Finish::Stop(StopReason::ContentFilter),
                    "error" => Finish::Error,
                    // `stop`, and whatever else a server calls its end.
                    _ => Finish::Stop(StopReason::EndTurn),
                })
            }
        }

        deserializer.deserialize_str(FinishVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(payloads: &[&str]) -> Result<Vec<ModelEvent>, ModelError> {
        let (mut decoder, mut events) = (Decoder::default(), VecDeque::new());
        for payload in payloads {
            decoder.decode(payload, &mut events)?;
        }
        decoder.done(&mut events);
        Ok(events.into())
    }

    fn start(index: u32, id: &str, name: &str) -> ModelEvent {
        ModelEvent::ToolUseStart {
            index,
            id: id.into(),
            name: name.into(),
        }
    }

    fn arguments(index: u32, delta: &str) -> ModelEvent {
        ModelEvent::ToolArgumentsDelta {
            index,
            delta: delta.into(),
        }
    }

    #[track_caller]
    fn check(payloads: &[&str], expected: &[ModelEvent]) {
        assert_eq!(all(payloads).unwrap(), expected);
    }

    #[test]
    fn text_stop_and_usage() {
        let usage = TokenUsage {
            input_tokens: 3,
            output_tokens: 2,
            estimated: false,
        };
        check(
            &[
                r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"Hi \"\u00e9"},"finish_reason":null}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
                r#"{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            ],
            &[
                ModelEvent::TextDelta("Hi \"é".into()),
                ModelEvent::Stop(StopReason::MaxTokens),
                ModelEvent::Usage(usage),
            ],
        );
    }

    #[test]
    fn half_a_usage_is_none() {
        check(
            &[
                r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":null,"completion_tokens":2}}"#,
            ],
            &[
                ModelEvent::TextDelta("a".into()),
                ModelEvent::Stop(StopReason::EndTurn),
            ],
        );
    }

    #[test]
    fn parallel_tool_calls_interleave_by_index() {
        check(
            &[
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"","function":{"arguments":"}"}}]},"finish_reason":"stop"}]}"#,
            ],
            &[
                start(0, "a", "f"),
                start(1, "b", "g"),
                arguments(1, "{"),
                arguments(0, "{\"x\":1}"),
                arguments(1, "}"),
                ModelEvent::Stop(StopReason::ToolUse),
            ],
        );
    }

    #[test]
    fn calls_without_index_or_with_the_same_one_are_told_apart_by_id() {
        check(
            &[
                r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}},{"id":"b","function":{"name":"g","arguments":null}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"h"}},{"index":0,"id":"d","function":{"name":"h"}}]}}]}"#,
            ],
            &[
                start(0, "a", "f"),
                arguments(0, "{\"x\":1}"),
                start(1, "b", "g"),
                start(2, "c", "h"),
                start(3, "d", "h"),
                ModelEvent::Stop(StopReason::ToolUse),
            ],
        );
    }

    #[test]
    fn an_error_in_the_stream_is_one() {
        let in_stream = |message: &str| {
            Err(ModelError::InStream {
                message: message.into(),
            })
        };
        assert_eq!(
            all(&[r#"{"error":{"message":"boom","type":"server_error"}}"#]),
            in_stream("boom")
        );
        assert_eq!(all(&[r#"{"error":"flat"}"#]), in_stream("flat"));
        assert!(matches!(all(&["{oops"]), Err(ModelError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in "\\PC{0,60}", json in r#"\{"choices":\[\{"delta":\{"(content|tool_calls|refusal)":(null|1|"x"|\[\]|\[\{\}\]|\[\{"index":[0-9]{1,20}\}\])\}\}\]\}"#) {
            let (mut decoder, mut events) = (Decoder::default(), VecDeque::new());
            decoder.decode(&payload, &mut events).ok();
            decoder.decode(&json, &mut events).ok();
            decoder.done(&mut events);
            prop_assert!(decoder.stopped());
        }
    }
}
