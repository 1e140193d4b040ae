//! The payloads of a stream as what the model says.

use crate::chunk::Decoder;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::{AnswerDecoder, AnswerFormat, Progress};
use openclaw_streaming::StreamFormat;
use std::collections::VecDeque;

/// Chat completions as server-sent events, with `[DONE]` for their end.
#[derive(Debug, Default)]
pub(crate) struct Completions(Decoder);

/// A decoder for one answer.
pub(crate) fn decoder() -> AnswerDecoder<Completions> {
    AnswerDecoder::new(Completions::default())
}

impl AnswerFormat for Completions {
    const FRAMING: StreamFormat = StreamFormat::Sse;

    fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
        if payload.trim_ascii() == "[DONE]" {
            self.0.done(events);
            return Ok(Progress::Over);
        }
        self.0.decode(payload, events)?;
        Ok(Progress::More)
    }

    fn end(&mut self, _events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        // Whoever has said why it stopped was not cut off, end mark or not.
        if self.0.stopped() {
            Ok(())
        } else {
            Err(ModelError::Cut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::{StopReason, TokenUsage};
    use openclaw_http_client::testing::decode;

    /// Keep-alives, text, two calls that interleave and usage in a chunk of its own, in the documented shapes.
    const RECORDED: &str = concat!(
        ": keep-alive\r\n\r\n",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"При\"}}]}\n\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"вет 🙂\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"time\",\"arguments\":\"{}\"}},{\"index\":0,\"function\":{\"arguments\":\"{\\\"city\\\":\\\"Omsk\\\"}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":4,\"total_tokens\":9}}\n\n",
        "data: [DONE]\n\n",
    );

    openclaw_http_client::answer_decoder_suite! {
        decoder: decoder,
        recorded: RECORDED,
        payload: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"слово 🙂\"}}]}\n\n",
        framed: |body| vec![b"data: ".as_slice(), body, b"\n\n"],
    }

    fn read(chunks: &[&[u8]]) -> Vec<Result<ModelEvent, ModelError>> {
        decode(decoder(), chunks)
    }

    #[test]
    fn text_calls_that_interleave_and_usage_are_read_in_their_order() {
        let text = |text: &str| ModelEvent::TextDelta(text.into());
        let start = |index, id: &str, name: &str| ModelEvent::ToolUseStart {
            index,
            id: id.into(),
            name: name.into(),
        };
        let piece = |index, delta: &str| ModelEvent::ToolArgumentsDelta {
            index,
            delta: delta.into(),
        };
        let expected = [
            text("При"),
            text("вет 🙂"),
            start(0, "a", "weather"),
            start(1, "b", "time"),
            piece(1, "{}"),
            piece(0, "{\"city\":\"Omsk\"}"),
            ModelEvent::Stop(StopReason::ToolUse),
            ModelEvent::Usage(TokenUsage {
                input_tokens: 5,
                output_tokens: 4,
                estimated: false,
            }),
        ];
        assert_eq!(read(&[RECORDED.as_bytes()]), expected.map(Ok));
    }
}
