//! A program's output as what the model says.

use crate::config::OutputFormat;
use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: u32 = 128;

/// Decodes one answer. Knows nothing of how the program ends.
#[derive(Debug)]
pub(crate) struct Decoder {
    parser: StreamParser,
    /// What the last frame said; a few events.
    events: VecDeque<ModelEvent>,
    /// What ids of tool calls begin with.
    id_prefix: String,
    calls: u32,
    reason: Option<StopReason>,
    left_bytes: u64,
    max_bytes: u64,
    too_long: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Text {
        text: String,
    },
    ToolUse {
        #[serde(default)]
        id: Option<String>,
        name: String,
        #[serde(default)]
        arguments: Value,
    },
    #[serde(rename_all = "camelCase")]
    Usage {
        #[serde(default)]
        input_tokens: Option<u64>,
        #[serde(default)]
        output_tokens: Option<u64>,
    },
    Stop {
        #[serde(default)]
        reason: Option<String>,
    },
    Error {
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Unknown,
}

// === impl Decoder ===

impl Decoder {
    /// `id_prefix` must be another for each answer: ids are made of it.
    pub(crate) fn new(output: OutputFormat, max_bytes: u64, id_prefix: String) -> Self {
        let format = match output {
            OutputFormat::Text => StreamFormat::Text,
            OutputFormat::JsonLines => StreamFormat::JsonLines,
        };
        Self {
            parser: StreamParser::new(format, ParserLimits::default()),
            events: VecDeque::new(),
            id_prefix,
            calls: 0,
            reason: None,
            left_bytes: max_bytes,
            max_bytes,
            too_long: false,
        }
    }

    /// Takes output. What is within the bound counts; what is beyond makes the answer fail after it.
    pub(crate) fn push(&mut self, mut bytes: Bytes) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > self.left_bytes {
            self.too_long = true;
            bytes.truncate(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
        }
        self.left_bytes = self.left_bytes.saturating_sub(length);
        self.parser.push(bytes);
    }

    /// The output is at its end.
    pub(crate) fn finish(&mut self) {
        self.parser.finish(LastEvent::Keep);
    }

    /// What is said next; `None` when more output is needed.
    ///
    /// # Errors
    ///
    /// When the output is not what it should be, too long, or says that the program failed. Nothing follows.
    pub(crate) fn next(&mut self) -> Result<Option<ModelEvent>, ModelError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let frame = self.parser.next_frame().map_err(|error| ModelError::Malformed {
                message: error.to_string(),
            })?;
            match frame {
                Some(Frame::Text(text)) => return Ok(Some(ModelEvent::TextDelta(text.to_owned()))),
                Some(Frame::JsonLine(line)) => {
                    let line = read(line)?;
                    self.take(line)?;
                }
                Some(Frame::Sse(_)) => {}
                None if self.too_long => {
                    return Err(ModelError::Malformed {
                        message: format!("more than {} bytes of output", self.max_bytes),
                    });
                }
                None => return Ok(None),
            }
        }
    }

    /// Why the model stopped, now that the program has ended well.
    pub(crate) fn stop_reason(&self) -> StopReason {
        let said = self.reason.unwrap_or(StopReason::EndTurn);
        if said == StopReason::EndTurn && self.calls > 0 {
            StopReason::ToolUse
        } else {
            said
        }
    }

    fn take(&mut self, line: Line) -> Result<(), ModelError> {
        match line {
            Line::Text { text } if text.is_empty() => {}
            Line::Text { text } => self.events.push_back(ModelEvent::TextDelta(text)),
            Line::ToolUse { id, name, arguments } => {
                let index = self.calls;
                if index >= MAX_TOOL_CALLS {
                    return Err(ModelError::Malformed {
                        message: format!("more than {MAX_TOOL_CALLS} tool calls"),
                    });
                }
                self.calls = index.saturating_add(1);
                let id = id
                    .filter(|id| !id.is_empty())
                    .unwrap_or_else(|| format!("{}_{index}", self.id_prefix));
                self.events
                    .push_back(ModelEvent::ToolUseStart { index, id, name });
                let delta = match arguments {
                    Value::Null => String::new(),
                    Value::String(text) => text,
                    arguments => arguments.to_string(),
                };
                if !delta.is_empty() {
                    self.events
                        .push_back(ModelEvent::ToolArgumentsDelta { index, delta });
                }
            }
            Line::Usage {
                input_tokens: Some(input_tokens),
                output_tokens: Some(output_tokens),
            } => self.events.push_back(ModelEvent::Usage(TokenUsage {
                input_tokens,
                output_tokens,
                estimated: false,
            })),
            Line::Stop { reason } => {
                self.reason = Some(match reason.as_deref() {
                    Some("max_tokens" | "length") => StopReason::MaxTokens,
                    Some("tool_use" | "tool_calls") => StopReason::ToolUse,
                    Some("content_filter" | "refusal") => StopReason::ContentFilter,
                    _ => StopReason::EndTurn,
                });
            }
            Line::Error { message } => {
                return Err(ModelError::InStream {
                    message: ModelError::text(if message.is_empty() {
                        "the program failed"
                    } else {
                        &message
                    }),
                });
            }
            // Half a usage is none.
            Line::Usage { .. } | Line::Unknown => {}
        }
        Ok(())
    }
}

fn read(line: &str) -> Result<Line, ModelError> {
    let malformed = |error: serde_json::Error| ModelError::Malformed {
        // The error itself would show the value.
        message: format!(
            "a line of output is not what it should be, at byte {}",
            error.column()
        ),
    };
    let value: Value = serde_json::from_str(line).map_err(malformed)?;
    match value {
        Value::String(text) => Ok(Line::Text { text }),
        Value::Object(mut object) if !object.contains_key("type") => Ok(match object.remove("text") {
            Some(Value::String(text)) => Line::Text { text },
            _ => Line::Unknown,
        }),
        value => serde_json::from_value(value).map_err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORDED: &str = concat!(
        "{\"type\":\"started\"}\n",
        "{\"type\":\"text\",\"text\":\"При\"}\r\n\n",
        "{\"text\":\"вет\"}\n\" 🙂\"\n",
        "{\"type\":\"tool_use\",\"name\":\"weather\",\"arguments\":{\"city\":\"Omsk\"}}\n",
        "{\"type\":\"usage\",\"inputTokens\":3,\"outputTokens\":4}\n",
        "{\"type\":\"stop\",\"reason\":\"tool_use\"}",
    );

    fn decode(output: OutputFormat, chunks: &[&[u8]]) -> Result<Vec<ModelEvent>, ModelError> {
        let mut decoder = Decoder::new(output, 1_000, "call_x".into());
        let mut said = Vec::new();
        for chunk in chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = decoder.next()? {
                said.push(event);
            }
        }
        decoder.finish();
        while let Some(event) = decoder.next()? {
            said.push(event);
        }
        said.push(ModelEvent::Stop(decoder.stop_reason()));
        Ok(said)
    }

    #[test]
    fn every_kind_of_line_has_its_meaning() {
        let text = |text: &str| ModelEvent::TextDelta(text.into());
        let usage = TokenUsage {
            input_tokens: 3,
            output_tokens: 4,
            estimated: false,
        };
        let start = ModelEvent::ToolUseStart {
            index: 0,
            id: "call_x_0".into(),
            name: "weather".into(),
        };
        let arguments = ModelEvent::ToolArgumentsDelta {
            index: 0,
            delta: "{\"city\":\"Omsk\"}".into(),
        };
        assert_eq!(
            decode(OutputFormat::JsonLines, &[RECORDED.as_bytes()]).unwrap(),
            [
                text("При"),
                text("вет"),
                text(" 🙂"),
                start,
                arguments,
                ModelEvent::Usage(usage),
                ModelEvent::Stop(StopReason::ToolUse),
            ]
        );
    }

    #[test]
    fn an_error_line_and_a_broken_line_end_the_answer() {
        let failed = decode(
            OutputFormat::JsonLines,
            &[b"{\"type\":\"error\",\"message\":\"no\\nluck\"}"],
        );
        let message = "no luck".to_owned();
        assert_eq!(failed, Err(ModelError::InStream { message }));
        for broken in [
            "{\"type\":\"text\",\"text\":7, \"hush\":",
            "{\"type\":\"text\",\"text\":[\"hush\"]}",
            "7",
        ] {
            let error = decode(OutputFormat::JsonLines, &[broken.as_bytes()]).unwrap_err();
            assert!(matches!(error, ModelError::Malformed { .. }), "{broken}: {error}");
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn output_up_to_the_bound_is_taken_and_not_a_byte_more() {
        let full = [b'x'; 1_000];
        assert!(decode(OutputFormat::Text, &[&full]).is_ok());
        let error = decode(OutputFormat::Text, &[&full, b"y"]).unwrap_err();
        assert!(error.to_string().contains("1000 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn however_the_output_is_cut_the_events_are_the_same(cuts in prop::collection::vec(0..RECORDED.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, RECORDED.len()]);
            cuts.sort_unstable();
            let bytes = RECORDED.as_bytes();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let whole = decode(OutputFormat::JsonLines, &[bytes]);
            prop_assert_eq!(decode(OutputFormat::JsonLines, &chunks), whole);
            // Text comes in other pieces and is the same when they are joined.
            let joined = |events: Vec<ModelEvent>| -> String {
                events.iter().filter_map(|event| match event {
                    ModelEvent::TextDelta(text) => Some(text.as_str()),
                    _ => None,
                }).collect()
            };
            prop_assert_eq!(joined(decode(OutputFormat::Text, &chunks).unwrap()), RECORDED);
        }
    }
}
