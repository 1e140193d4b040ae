//! The body of an answer as what the model says.
//!
//! Events are told apart by the `type` of their data; unknown ones are passed over, as the protocol wants it. Blocks
//! come one after another; those that are neither text nor a tool call (thinking, tools of the provider's own) are
//! passed over, too.

use crate::refusal::{self, WireError};
use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, Secret, StopReason, TokenUsage};
use openclaw_http_client::{AnswerDecoder, AnswerFormat, Progress, unreadable};
use openclaw_streaming::StreamFormat;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: usize = 128;

/// What is known of one answer so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    key: Option<Secret>,
    calls: Vec<Call>,
    /// Tokens of the request, those read from and written to the cache included.
    input_tokens: u64,
    reason: Option<StopReason>,
    begun: bool,
}

#[derive(Debug)]
struct Call {
    /// Position of its block.
    block: u64,
    /// Whole arguments that came with its beginning; said at its end, unless pieces of them came.
    whole: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Payload {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: MessageChange,
        #[serde(default)]
        usage: Option<WireUsage>,
    },
    MessageStop,
    Error {
        error: WireError,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct MessageChange {
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the protocol's names")]
enum Delta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    OtherDelta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// A decoder for one answer. The key is blotted out, should the provider repeat it.
pub(crate) fn decoder(key: Option<Secret>) -> AnswerDecoder<Answer> {
    AnswerDecoder::new(Answer {
        key,
        ..Answer::default()
    })
}

// === impl Answer ===

impl AnswerFormat for Answer {
    const FRAMING: StreamFormat = StreamFormat::Sse;

    fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
        let payload =
            serde_json::from_str(payload).map_err(|error| unreadable("an event of the stream", &error))?;
        match payload {
            Payload::MessageStart { message } => {
                self.begun = true;
                self.count_input(&message.usage.unwrap_or_default());
            }
            Payload::ContentBlockStart { index, content_block } => match content_block {
                Block::Text { text } => say(text, events),
                Block::ToolUse { id, name, input } => events.push_back(self.call(index, id, name, &input)?),
                Block::Unknown => {}
            },
            Payload::ContentBlockDelta { index, delta } => match delta {
                Delta::TextDelta { text } => say(text, events),
                Delta::InputJsonDelta { partial_json } => events.extend(self.arguments(index, partial_json)),
                Delta::OtherDelta => {}
            },
            Payload::ContentBlockStop { index } => {
                if let Some(whole) = self.find(index).and_then(|(_, call)| call.whole.take()) {
                    events.extend(self.arguments(index, whole));
                }
            }
            Payload::MessageDelta { delta, usage } => {
                if let Some(usage) = usage {
                    self.count_input(&usage);
                    // Cumulative: the last one is the whole.
                    if let Some(output_tokens) = usage.output_tokens {
                        events.push_back(ModelEvent::Usage(TokenUsage {
                            input_tokens: self.input_tokens,
                            output_tokens,
                            estimated: false,
                        }));
                    }
                }
                if let Some(reason) = delta.stop_reason {
                    self.reason = Some(stop_reason(&reason));
                }
            }
            Payload::MessageStop => {
                let reason = self.reason.unwrap_or(StopReason::EndTurn);
                events.push_back(ModelEvent::Stop(reason));
                return Ok(Progress::Over);
            }
            Payload::Error { error } => {
                return Err(refusal::in_stream(&error, self.begun, self.key.as_ref()));
            }
            Payload::Unknown => {}
        }
        Ok(Progress::More)
    }

    fn end(&mut self, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        // Whoever has said why it stopped was not cut off, end mark or not.
        let reason = self.reason.ok_or(ModelError::Cut)?;
        events.push_back(ModelEvent::Stop(reason));
        Ok(())
    }
}

impl Answer {
    fn count_input(&mut self, usage: &WireUsage) {
        if let Some(fresh) = usage.input_tokens {
            // What the cache gave and took is not part of the count.
            self.input_tokens = fresh
                .saturating_add(usage.cache_creation_input_tokens.unwrap_or(0))
                .saturating_add(usage.cache_read_input_tokens.unwrap_or(0));
        }
    }

    /// A call begins.
    fn call(
        &mut self,
        block: u64,
        id: String,
        name: String,
        input: &Value,
    ) -> Result<ModelEvent, ModelError> {
        let index = self.calls.len();
        if index >= MAX_TOOL_CALLS {
            return Err(ModelError::Malformed {
                message: format!("more than {MAX_TOOL_CALLS} tool calls"),
            });
        }
        let whole = input
            .as_object()
            .filter(|input| !input.is_empty())
            .map(|_| input.to_string());
        self.calls.push(Call { block, whole });
        Ok(ModelEvent::ToolUseStart {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            id,
            name,
        })
    }

    /// A piece of a call's arguments. One for a block that is no call of ours belongs to a tool of the provider's own.
    fn arguments(&mut self, block: u64, delta: String) -> Option<ModelEvent> {
        if delta.is_empty() {
            return None;
        }
        let (index, call) = self.find(block)?;
        call.whole = None;
        Some(ModelEvent::ToolArgumentsDelta { index, delta })
    }

    fn find(&mut self, block: u64) -> Option<(u32, &mut Call)> {
        let index = self.calls.iter().rposition(|call| call.block == block)?;
        let call = self.calls.get_mut(index)?;
        Some((u32::try_from(index).unwrap_or(u32::MAX), call))
    }
}

fn say(text: String, events: &mut VecDeque<ModelEvent>) {
    if !text.is_empty() {
        events.push_back(ModelEvent::TextDelta(text));
    }
}

fn stop_reason(reason: &str) -> StopReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::ContentFilter,
        // `end_turn`, `stop_sequence`, and whatever else its end is called.
        _ => StopReason::EndTurn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, thinking, a call in pieces and one without arguments, in the documented shapes.
    const RECORDED: &str = concat!(
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":1,\"output_tokens\":1}}}\r\n\r\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"При\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"вет 🙂\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"weather\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"city\\\":\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"Omsk\\\"}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"time\",\"input\":{}}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":7}}\n\n",
        "event: brand_new\ndata: {\"type\":\"brand_new\",\"x\":1}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    openclaw_http_client::answer_decoder_suite! {
        decoder: || decoder(None),
        recorded: RECORDED,
        payload: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"слово 🙂\"}}\n\n",
        framed: |body| vec![b"data: ".as_slice(), body, b"\n\n"],
    }

    fn decode(chunks: &[&[u8]]) -> Vec<Result<ModelEvent, ModelError>> {
        openclaw_http_client::testing::decode(decoder(None), chunks)
    }

    fn text(text: &str) -> Result<ModelEvent, ModelError> {
        Ok(ModelEvent::TextDelta(text.into()))
    }

    fn usage(input_tokens: u64, output_tokens: u64) -> Result<ModelEvent, ModelError> {
        Ok(ModelEvent::Usage(TokenUsage {
            input_tokens,
            output_tokens,
            estimated: false,
        }))
    }

    fn start(index: u32, id: &str, name: &str) -> Result<ModelEvent, ModelError> {
        let (id, name) = (id.to_owned(), name.to_owned());
        Ok(ModelEvent::ToolUseStart { index, id, name })
    }

    fn piece(index: u32, delta: &str) -> Result<ModelEvent, ModelError> {
        let delta = delta.to_owned();
        Ok(ModelEvent::ToolArgumentsDelta { index, delta })
    }

    #[test]
    fn text_calls_and_cumulative_usage_are_read_and_thoughts_are_not_shown() {
        assert_eq!(
            decode(&[RECORDED.as_bytes()]),
            [
                text("При"),
                text("вет 🙂"),
                start(0, "toolu_1", "weather"),
                piece(0, "{\"city\":"),
                piece(0, "\"Omsk\"}"),
                start(1, "toolu_2", "time"),
                usage(16, 7),
                usage(16, 9),
                Ok(ModelEvent::Stop(StopReason::ToolUse)),
            ]
        );
    }

    #[test]
    fn a_cut_before_the_reason_to_stop_is_a_cut_and_the_placeholder_is_no_usage() {
        let half = RECORDED.find("event: content_block_start").unwrap();
        let said = decode(&[&RECORDED.as_bytes()[..half]]);
        assert_eq!(said, [Err(ModelError::Cut)]);
        // In the middle of an event, too.
        let said = decode(&[&RECORDED.as_bytes()[..half + 60]]);
        assert_eq!(said, [Err(ModelError::Cut)]);
        // The mark alone is missing: the model had said everything.
        let end = RECORDED.find("event: message_stop").unwrap();
        let said = decode(&[&RECORDED.as_bytes()[..end]]);
        assert_eq!(said.last(), Some(&Ok(ModelEvent::Stop(StopReason::ToolUse))));
    }

    #[test]
    fn arguments_that_come_whole_are_said_once() {
        let stream = concat!(
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{\"x\":1}}}\n\n",
            "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "data: {\"type\":\"message_stop\"}\n\n",
        );
        let stop = Ok(ModelEvent::Stop(StopReason::EndTurn));
        assert_eq!(
            decode(&[stream.as_bytes()]),
            [start(0, "a", "f"), piece(0, "{\"x\":1}"), stop]
        );
    }

    #[test]
    fn every_reason_to_stop_has_its_meaning() {
        for (reason, meaning) in [
            ("end_turn", StopReason::EndTurn),
            ("stop_sequence", StopReason::EndTurn),
            ("max_tokens", StopReason::MaxTokens),
            ("tool_use", StopReason::ToolUse),
            ("refusal", StopReason::ContentFilter),
        ] {
            assert_eq!(stop_reason(reason), meaning, "{reason}");
        }
    }

    #[test]
    fn what_is_no_event_is_malformed_without_being_shown() {
        let said = decode(&[b"data: {\"type\":\"content_block_delta\",\"index\":\"hush\"}\n\ndata: {}\n\n"]);
        let [Err(error @ ModelError::Malformed { .. })] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
