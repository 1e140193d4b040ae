//! The body of an answer as what the model says: one JSON object per line, the last one `done`.

use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_http_client::{BodyDecoder, Step};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: u32 = 128;

/// Decodes one answer.
#[derive(Debug)]
pub(crate) struct AnswerDecoder {
    parser: StreamParser,
    answer: Answer,
    /// Said, once the events before it are.
    failed: Option<ModelError>,
    /// The body is at its end.
    ended: bool,
}

#[derive(Debug)]
struct Answer {
    /// What the last line said; a few events.
    events: VecDeque<ModelEvent>,
    /// What ids of tool calls begin with.
    id_prefix: String,
    calls: u32,
    done: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

// === impl AnswerDecoder ===

impl AnswerDecoder {
    /// `id_prefix` must be another for each answer: ids are made of it.
    pub(crate) fn new(id_prefix: String) -> Self {
        Self {
            parser: StreamParser::new(StreamFormat::JsonLines, ParserLimits::default()),
            answer: Answer {
                events: VecDeque::new(),
                id_prefix,
                calls: 0,
                done: false,
            },
            failed: None,
            ended: false,
        }
    }
}

impl BodyDecoder for AnswerDecoder {
    type Item = ModelEvent;
    type Error = ModelError;

    fn push(&mut self, bytes: Bytes) {
        self.parser.push(bytes);
    }

    fn finish(&mut self) {
        self.parser.finish(LastEvent::Keep);
        self.ended = true;
    }

    fn step(&mut self) -> Step<ModelEvent, ModelError> {
        loop {
            if let Some(event) = self.answer.events.pop_front() {
                return Step::Item(event);
            }
            if let Some(error) = self.failed.take() {
                return Step::Failed(error);
            }
            if self.answer.done {
                return Step::Done;
            }
            let line = match self.parser.next_frame() {
                Ok(Some(Frame::JsonLine(line))) => line,
                Ok(Some(Frame::Sse(_) | Frame::Text(_))) => continue,
                Ok(None) if !self.ended => return Step::More,
                Ok(None) => return Step::Failed(ModelError::Cut),
                Err(error) => {
                    let message = error.to_string();
                    return Step::Failed(ModelError::Malformed { message });
                }
            };
            if let Err(error) = self.answer.take(line) {
                // Half a line at the end of the body was cut, not malformed.
                let cut = self.ended && matches!(error, ModelError::Malformed { .. });
                self.failed = Some(if cut { ModelError::Cut } else { error });
            }
        }
    }

    fn sign_of_life(&self) -> Option<ModelEvent> {
        Some(ModelEvent::Ping)
    }
}

// === impl Answer ===

impl Answer {
    fn take(&mut self, line: &str) -> Result<(), ModelError> {
        let line: Line = serde_json::from_str(line).map_err(|error| ModelError::Malformed {
            // The error itself would show the value.
            message: format!(
                "a line of the stream is not what it should be, at byte {}",
                error.column()
            ),
        })?;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            let message = error.as_str().unwrap_or("the provider failed");
            return Err(ModelError::InStream {
                message: ModelError::text(message),
            });
        }
        if let Some(message) = line.message {
            // What the model thinks comes in a field of its own, which is not read.
            if let Some(text) = message.content.filter(|text| !text.is_empty()) {
                self.events.push_back(ModelEvent::TextDelta(text));
            }
            for call in message.tool_calls.unwrap_or_default() {
                self.call(call)?;
            }
        }
        if line.done {
            self.done = true;
            // The count of the request can be missing; half a usage is none.
            if let (Some(input_tokens), Some(output_tokens)) = (line.prompt_eval_count, line.eval_count) {
                self.events.push_back(ModelEvent::Usage(TokenUsage {
                    input_tokens,
                    output_tokens,
                    estimated: false,
                }));
            }
            let reason = match line.done_reason.as_deref() {
                Some("length") => StopReason::MaxTokens,
                // It says `stop` after tool calls, too.
                _ if self.calls > 0 => StopReason::ToolUse,
                _ => StopReason::EndTurn,
            };
            self.events.push_back(ModelEvent::Stop(reason));
        }
        Ok(())
    }

    /// Calls come whole, their arguments as an object.
    fn call(&mut self, call: ToolCall) -> Result<(), ModelError> {
        let index = self.calls;
        if index >= MAX_TOOL_CALLS {
            return Err(ModelError::Malformed {
                message: format!("more than {MAX_TOOL_CALLS} tool calls"),
            });
        }
        self.calls = index.saturating_add(1);
        let id = call
            .id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("{}_{index}", self.id_prefix));
        self.events.push_back(ModelEvent::ToolUseStart {
            index,
            id,
            name: call.function.name,
        });
        let delta = match call.function.arguments {
            Value::Null => return Ok(()),
            Value::String(text) => text,
            arguments => arguments.to_string(),
        };
        if !delta.is_empty() {
            self.events
                .push_back(ModelEvent::ToolArgumentsDelta { index, delta });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Thinking, text and two calls, in the documented shapes.
    const RECORDED: &str = concat!(
        "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"При\"},\"done\":false}\r\n",
        "\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"вет 🙂\"},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Omsk\"}}},{\"id\":\"own\",\"function\":{\"name\":\"time\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":5,\"prompt_eval_count\":11,\"eval_count\":7}\n",
    );

    fn decode(chunks: &[&[u8]]) -> Vec<Result<ModelEvent, ModelError>> {
        let mut decoder = AnswerDecoder::new("call_x".into());
        let mut chunks = chunks.iter();
        let mut said = Vec::new();
        loop {
            match decoder.step() {
                Step::Item(event) => said.push(Ok(event)),
                Step::Failed(error) => {
                    said.push(Err(error));
                    return said;
                }
                Step::Done => return said,
                Step::More => match chunks.next() {
                    Some(chunk) => decoder.push(Bytes::copy_from_slice(chunk)),
                    None => decoder.finish(),
                },
            }
        }
    }

    fn text(text: &str) -> Result<ModelEvent, ModelError> {
        Ok(ModelEvent::TextDelta(text.into()))
    }

    fn stop(reason: StopReason) -> Result<ModelEvent, ModelError> {
        Ok(ModelEvent::Stop(reason))
    }

    fn call(index: u32, id: &str, name: &str, delta: &str) -> [Result<ModelEvent, ModelError>; 2] {
        let (id, name, delta) = (id.to_owned(), name.to_owned(), delta.to_owned());
        [
            Ok(ModelEvent::ToolUseStart { index, id, name }),
            Ok(ModelEvent::ToolArgumentsDelta { index, delta }),
        ]
    }

    #[test]
    fn text_and_whole_calls_are_read_and_thoughts_are_not_shown() {
        let [first, its] = call(0, "call_x_0", "weather", "{\"city\":\"Omsk\"}");
        let [second, theirs] = call(1, "own", "time", "{}");
        let usage = TokenUsage {
            input_tokens: 11,
            output_tokens: 7,
            estimated: false,
        };
        let expected = [
            text("При"),
            text("вет 🙂"),
            first,
            its,
            second,
            theirs,
            Ok(ModelEvent::Usage(usage)),
            stop(StopReason::ToolUse),
        ];
        assert_eq!(decode(&[RECORDED.as_bytes()]), expected);
    }

    #[test]
    fn a_missing_count_is_no_usage_and_a_full_length_is_told() {
        let line = br#"{"message":{"content":"x"},"done":true,"done_reason":"length","eval_count":3}"#;
        assert_eq!(decode(&[line]), [text("x"), stop(StopReason::MaxTokens)]);
    }

    #[test]
    fn an_error_line_ends_the_answer_with_its_words() {
        let lines = b"{\"message\":{\"content\":\"x\"},\"done\":false}\n{\"error\":\"out of\\nmemory\"}\n";
        let message = "out of memory".to_owned();
        assert_eq!(
            decode(&[lines]),
            [text("x"), Err(ModelError::InStream { message })]
        );
    }

    #[test]
    fn an_end_without_done_is_a_cut_within_a_line_too() {
        let end = RECORDED.rfind("{\"model\"").unwrap();
        for cut in [end, end + 20] {
            let said = decode(&[&RECORDED.as_bytes()[..cut]]);
            assert_eq!(said.last(), Some(&Err(ModelError::Cut)));
            assert_eq!(said.len(), 7);
        }
        let said = decode(&[b"{\"done\":\"hush\"}\n{}\n"]);
        let [Err(error @ ModelError::Malformed { .. })] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(!error.to_string().contains("hush"));
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_events_are_the_same(cuts in prop::collection::vec(0..RECORDED.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, RECORDED.len()]);
            cuts.sort_unstable();
            let bytes = RECORDED.as_bytes();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&chunks), decode(&[bytes]));
        }

        #[test]
        fn no_body_is_too_strange(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&[&body]).len() < 1_000);
        }
    }
}
