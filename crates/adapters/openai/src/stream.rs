//! The body of an answer as what the model says.

use crate::chunk::Decoder;
use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::{BodyDecoder, Step};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use std::collections::VecDeque;

/// Decodes one answer.
#[derive(Debug)]
pub(crate) struct AnswerDecoder {
    parser: StreamParser,
    decoder: Decoder,
    /// What the last payload said; a few events.
    events: VecDeque<ModelEvent>,
    /// Said, once the events before it are.
    failed: Option<ModelError>,
    /// The body is at its end.
    ended: bool,
    /// The stream's own end mark was seen.
    done: bool,
}

// === impl AnswerDecoder ===

impl Default for AnswerDecoder {
    fn default() -> Self {
        Self {
            parser: StreamParser::new(StreamFormat::Sse, ParserLimits::default()),
            decoder: Decoder::default(),
            events: VecDeque::new(),
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
            if let Some(event) = self.events.pop_front() {
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
                Ok(None) if self.decoder.stopped() => return Step::Done,
                Ok(None) => return Step::Failed(ModelError::Cut),
                Err(error) => {
                    let message = error.to_string();
                    return Step::Failed(ModelError::Malformed { message });
                }
            };
            if data.trim_ascii() == "[DONE]" {
                self.decoder.done(&mut self.events);
                self.done = true;
            } else if !data.is_empty()
                && let Err(error) = self.decoder.decode(data, &mut self.events)
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
