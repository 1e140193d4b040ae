//! The body of an answer as what the model says.
//!
//! A function call comes whole, one per answer, and its state may come in another chunk; so it is said when the model
//! has stopped.

use crate::request::call_id;
use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelEvent, StopReason, TokenUsage};
use openclaw_http_client::{BodyDecoder, Step};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Decodes one answer.
#[derive(Debug)]
pub(crate) struct AnswerDecoder {
    parser: StreamParser,
    answer: Answer,
    /// Said, once the events before it are.
    failed: Option<ModelError>,
    /// The body is at its end.
    ended: bool,
    /// The stream's own end mark was seen.
    done: bool,
}

#[derive(Debug)]
struct Answer {
    /// What the last chunk said; a few events.
    events: VecDeque<ModelEvent>,
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

// === impl AnswerDecoder ===

impl AnswerDecoder {
    /// `stateless_id` must be another for each answer.
    pub(crate) fn new(stateless_id: String) -> Self {
        Self {
            parser: StreamParser::new(StreamFormat::Sse, ParserLimits::default()),
            answer: Answer {
                events: VecDeque::new(),
                stateless_id,
                call: None,
                state: None,
                stopped: false,
            },
            failed: None,
            ended: false,
            done: false,
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
            if self.done {
                return Step::Done;
            }
            let data = match self.parser.next_frame() {
                Ok(Some(Frame::Sse(event))) => event.data,
                Ok(Some(Frame::JsonLine(_) | Frame::Text(_))) => continue,
                Ok(None) if !self.ended => return Step::More,
                // Whoever has said why it stopped was not cut off, end mark or not.
                Ok(None) if self.answer.stopped => return Step::Done,
                Ok(None) => return Step::Failed(ModelError::Cut),
                Err(error) => {
                    let message = error.to_string();
                    return Step::Failed(ModelError::Malformed { message });
                }
            };
            if data.trim_ascii() == "[DONE]" {
                self.done = true;
                self.answer.stop(StopReason::EndTurn);
            } else if !data.is_empty()
                && let Err(error) = self.answer.take(data)
            {
                // Half a chunk at the end of the body was cut, not malformed.
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
    fn take(&mut self, data: &str) -> Result<(), ModelError> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| ModelError::Malformed {
            // The error itself would show the value.
            message: format!(
                "a chunk of the stream is not what it should be, at byte {}",
                error.column()
            ),
        })?;
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
                self.delta(delta);
            }
            reason = choice.finish_reason.or(reason);
        }
        if let Some(WireUsage {
            prompt_tokens: Some(input_tokens),
            completion_tokens: Some(output_tokens),
        }) = chunk.usage
        {
            self.events.push_back(ModelEvent::Usage(TokenUsage {
                input_tokens,
                output_tokens,
                estimated: false,
            }));
        }
        match reason.as_deref() {
            None => {}
            Some("error") => return Err(in_stream("")),
            Some("length") => self.stop(StopReason::MaxTokens),
            Some("function_call") => self.stop(StopReason::ToolUse),
            // The content was refused.
            Some("blacklist") => self.stop(StopReason::ContentFilter),
            Some(_) => self.stop(StopReason::EndTurn),
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta) {
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.events.push_back(ModelEvent::TextDelta(text));
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

    fn stop(&mut self, said: StopReason) {
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
            self.events
                .push_back(ModelEvent::ToolUseStart { index: 0, id, name });
            self.events
                .push_back(ModelEvent::ToolArgumentsDelta { index: 0, delta });
            if reason == StopReason::EndTurn {
                reason = StopReason::ToolUse;
            }
        }
        self.events.push_back(ModelEvent::Stop(reason));
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
    use proptest::prelude::*;

    /// Text and a call, in the documented shapes.
    const RECORDED: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"При\",\"role\":\"assistant\"},\"index\":0}],\"created\":1,\"model\":\"GigaChat\",\"object\":\"chat.completion\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"вет 🙂\"},\"index\":0}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\",\"functions_state_id\":\"77d3\",\"function_call\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Omsk\"}}},\"index\":0}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"index\":0,\"finish_reason\":\"function_call\"}],\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":9,\"total_tokens\":27,\"precached_prompt_tokens\":4}}\n\n",
        "data: [DONE]\n\n",
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
            let said = decode(&[b"data: ", &body, b"\n\n"]);
            prop_assert!(said.len() < 1_000);
        }
    }
}
