//! The body of an answer as what the model says.
//!
//! A function call comes whole, one per answer, and its state may come in another chunk; so it is said when the model
//! has stopped.

use crate::request::call_id;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_http_client::{AnswerDecoder, AnswerFormat, Progress, unreadable};
use openclaw_streaming::StreamFormat;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// What is known of one answer so far.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The id of a call without a state.
    stateless_id: String,
    call: Option<(String, String)>,
    state: Option<String>,
    stopped: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
    /// Of an error in the provider's own form.
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    function_call: Option<FunctionCall>,
    #[serde(default)]
    functions_state_id: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall {
    name: String,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

/// A decoder for one answer. `stateless_id` must be another for each.
pub(crate) fn decoder(stateless_id: String) -> AnswerDecoder<Answer> {
    AnswerDecoder::new(Answer {
        stateless_id,
        call: None,
        state: None,
        stopped: false,
    })
}

// === impl Answer ===

impl AnswerFormat for Answer {
    const FRAMING: StreamFormat = StreamFormat::Sse;

    fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
        if payload.trim_ascii() == "[DONE]" {
            self.stop(StopReason::EndTurn, events);
            return Ok(Progress::Over);
        }
        let chunk: Chunk =
            serde_json::from_str(payload).map_err(|error| unreadable("a chunk of the stream", &error))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let said = error.get("message").unwrap_or(&error);
            return Err(in_stream(said.as_str().unwrap_or_default()));
        }
        if chunk.choices.is_none() && chunk.status.is_some_and(|status| status >= 400) {
            return Err(in_stream(chunk.message.as_deref().unwrap_or_default()));
        }
        let mut reason = None;
        for choice in chunk.choices.unwrap_or_default() {
            // Only one answer was asked for; another is nobody's.
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, events);
            }
            reason = choice.finish_reason.or(reason);
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
        match reason.as_deref() {
            None => {}
            Some("error") => return Err(in_stream("")),
            Some("length") => self.stop(StopReason::MaxTokens, events),
            Some("function_call") => self.stop(StopReason::ToolUse, events),
            // The content was refused.
            Some("blacklist") => self.stop(StopReason::ContentFilter, events),
            Some(_) => self.stop(StopReason::EndTurn, events),
        }
        Ok(Progress::More)
    }

    fn end(&mut self, _events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        // Whoever has said why it stopped was not cut off, end mark or not.
        if self.stopped {
            Ok(())
        } else {
            Err(ModelError::Cut)
        }
    }
}

impl Answer {
    fn delta(&mut self, delta: Delta, events: &mut VecDeque<ModelEvent>) {
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            events.push_back(ModelEvent::TextDelta(text));
        }
        if let Some(state) = delta.functions_state_id.filter(|state| !state.is_empty()) {
            self.state = Some(state);
        }
        if let Some(FunctionCall { name, arguments }) = delta.function_call {
            let arguments = match arguments {
                Value::Null => "{}".to_owned(),
                Value::String(text) => text,
                arguments => arguments.to_string(),
            };
            self.call = Some((name, arguments));
        }
    }

    fn stop(&mut self, said: StopReason, events: &mut VecDeque<ModelEvent>) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        let mut reason = said;
        if let Some((name, delta)) = self.call.take() {
            let id = match &self.state {
                Some(state) => call_id(state),
                None => self.stateless_id.clone(),
            };
            events.push_back(ModelEvent::ToolUseStart { index: 0, id, name });
            events.push_back(ModelEvent::ToolArgumentsDelta { index: 0, delta });
            if reason == StopReason::EndTurn {
                reason = StopReason::ToolUse;
            }
        }
        events.push_back(ModelEvent::Stop(reason));
    }
}

fn in_stream(said: &str) -> ModelError {
    let said = if said.is_empty() {
        "the provider ended its answer with an error"
    } else {
        said
    };
    ModelError::InStream {
        message: ModelError::text(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and a call, in the documented shapes.
    const RECORDED: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"При\",\"role\":\"assistant\"},\"index\":0}],\"created\":1,\"model\":\"GigaChat\",\"object\":\"chat.completion\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"вет 🙂\"},\"index\":0}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\",\"functions_state_id\":\"77d3\",\"function_call\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Omsk\"}}},\"index\":0}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"index\":0,\"finish_reason\":\"function_call\"}],\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":9,\"total_tokens\":27,\"precached_prompt_tokens\":4}}\n\n",
        "data: [DONE]\n\n",
    );

    openclaw_http_client::answer_decoder_suite! {
        decoder: || decoder("call_x".into()),
        recorded: RECORDED,
        payload: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"слово 🙂\"}}]}\n\n",
        framed: |body| vec![b"data: ".as_slice(), body, b"\n\n"],
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

    #[test]
    fn text_usage_and_a_call_with_its_state_are_read() {
        let usage = TokenUsage {
            input_tokens: 18,
            output_tokens: 9,
            estimated: false,
        };
        let start = ModelEvent::ToolUseStart {
            index: 0,
            id: "gigachat_77d3".into(),
            name: "weather".into(),
        };
        let arguments = ModelEvent::ToolArgumentsDelta {
            index: 0,
            delta: "{\"city\":\"Omsk\"}".into(),
        };
        assert_eq!(
            decode(&[RECORDED.as_bytes()]),
            [
                text("При"),
                text("вет 🙂"),
                Ok(ModelEvent::Usage(usage)),
                Ok(start),
                Ok(arguments),
                stop(StopReason::ToolUse),
            ]
        );
    }

    #[test]
    fn every_end_has_its_meaning() {
        for (reason, meaning) in [
            ("stop", StopReason::EndTurn),
            ("length", StopReason::MaxTokens),
            ("blacklist", StopReason::ContentFilter),
        ] {
            let stream = format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
            );
            assert_eq!(decode(&[stream.as_bytes()]), [text("x"), stop(meaning)]);
        }
        let failed = decode(&[b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n"]);
        assert!(matches!(failed.as_slice(), [Err(ModelError::InStream { .. })]));
    }

    #[test]
    fn an_end_without_a_reason_or_mark_is_a_cut() {
        let end = RECORDED.rfind("data: {").unwrap();
        for cut in [end, end + 30] {
            let said = decode(&[&RECORDED.as_bytes()[..cut]]);
            assert_eq!(said, [text("При"), text("вет 🙂"), Err(ModelError::Cut)]);
        }
    }

    #[test]
    fn an_error_in_the_stream_is_one_in_either_form() {
        let message = "busy".to_owned();
        for stream in [
            "data: {\"status\":500,\"message\":\"busy\"}\n\n",
            "data: {\"error\":{\"message\":\"busy\"}}\n\n",
        ] {
            let expected = ModelError::InStream {
                message: message.clone(),
            };
            assert_eq!(decode(&[stream.as_bytes()]), [Err(expected)]);
        }
    }
}
