//! The body of an answer as what the model says: one JSON object per line, the last one `done`.

use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_http_client::{AnswerDecoder, AnswerFormat, Progress, unreadable};
use openclaw_streaming::StreamFormat;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Tool calls of one answer; more is a model gone wild.
const MAX_TOOL_CALLS: u32 = 128;

/// What is known of one answer so far.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What ids of tool calls begin with.
    id_prefix: String,
    calls: u32,
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

/// A decoder for one answer. `id_prefix` must be another for each: ids are made of it.
pub(crate) fn decoder(id_prefix: String) -> AnswerDecoder<Answer> {
    AnswerDecoder::new(Answer { id_prefix, calls: 0 })
}

// === impl Answer ===

impl AnswerFormat for Answer {
    const FRAMING: StreamFormat = StreamFormat::JsonLines;

    fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
        let line: Line =
            serde_json::from_str(payload).map_err(|error| unreadable("a line of the stream", &error))?;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            let message = error.as_str().unwrap_or("the provider failed");
            return Err(ModelError::InStream {
                message: ModelError::text(message),
            });
        }
        if let Some(message) = line.message {
            // What the model thinks comes in a field of its own, which is not read.
            if let Some(text) = message.content.filter(|text| !text.is_empty()) {
                events.push_back(ModelEvent::TextDelta(text));
            }
            for call in message.tool_calls.unwrap_or_default() {
                self.call(call, events)?;
            }
        }
        if !line.done {
            return Ok(Progress::More);
        }
        // The count of the request can be missing; half a usage is none.
        if let (Some(input_tokens), Some(output_tokens)) = (line.prompt_eval_count, line.eval_count) {
            events.push_back(ModelEvent::Usage(TokenUsage {
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
        events.push_back(ModelEvent::Stop(reason));
        Ok(Progress::Over)
    }

    fn end(&mut self, _events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        Err(ModelError::Cut)
    }
}

impl Answer {
    /// Calls come whole, their arguments as an object.
    fn call(&mut self, call: ToolCall, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
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
        events.push_back(ModelEvent::ToolUseStart {
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
            events.push_back(ModelEvent::ToolArgumentsDelta { index, delta });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thinking, text and two calls, in the documented shapes.
    const RECORDED: &str = concat!(
        "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"При\"},\"done\":false}\r\n",
        "\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"вет 🙂\"},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Omsk\"}}},{\"id\":\"own\",\"function\":{\"name\":\"time\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":5,\"prompt_eval_count\":11,\"eval_count\":7}\n",
    );

    openclaw_http_client::answer_decoder_suite! {
        decoder: || decoder("call_x".into()),
        recorded: RECORDED,
        payload: "{\"message\":{\"role\":\"assistant\",\"content\":\"слово 🙂\"},\"done\":false}\n",
        framed: |body| vec![body],
    }

    fn decode(chunks: &[&[u8]]) -> Vec<Result<ModelEvent, ModelError>> {
        openclaw_http_client::testing::decode(decoder("call_x".into()), chunks)
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
}
