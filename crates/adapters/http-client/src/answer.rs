//! A model's answer as it streams in: what the decoders of all wire formats share.
//!
//! A format says what one payload means ([`AnswerFormat`]); here is everything around it — frames, events that wait to be
//! said, the end of the body, and how the four ends of a stream are told apart: complete, cut, failed, malformed.

use crate::body::{BodyDecoder, Step};
use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use std::collections::VecDeque;
use std::fmt;

/// What the payloads of one wire format mean. One value per answer; implemented by the adapters.
pub trait AnswerFormat {
    /// How payloads are told apart: an event's data, or a line.
    const FRAMING: StreamFormat;

    /// Takes one payload, which is not empty, and adds what it says to `events`.
    ///
    /// # Errors
    ///
    /// When the payload says that the answer has failed, or is not what it should be. What was added before is said
    /// first; nothing is said after it.
    fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError>;

    /// The body has ended without the format's own end. Where the answer is complete all the same, adds what is still to
    /// be said of it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Cut`] where it is not.
    fn end(&mut self, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError>;
}

/// Whether more of an answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is.
    More,
    /// This was the format's own end.
    Over,
}

/// Decodes one answer.
///
/// Holds what its parser holds (a line or an event within the parser's limits) and the events of one payload.
#[derive(Debug)]
pub struct AnswerDecoder<F> {
    parser: StreamParser,
    format: F,
    /// What the last payload said; a few events.
    events: VecDeque<ModelEvent>,
    /// Said, once the events before it are.
    failed: Option<ModelError>,
    /// The first byte that is no white space, which tells a web page from an answer.
    first: Option<u8>,
    /// Some payload was what the format says.
    understood: bool,
    /// No more bytes will come.
    ended: bool,
    /// The answer is over.
    over: bool,
}

// === impl AnswerDecoder ===

impl<F: AnswerFormat> AnswerDecoder<F> {
    /// A decoder for one answer in this format.
    pub fn new(format: F) -> Self {
        Self {
            parser: StreamParser::new(F::FRAMING, ParserLimits::default()),
            format,
            events: VecDeque::new(),
            failed: None,
            first: None,
            understood: false,
            ended: false,
            over: false,
        }
    }

    /// Whether what came is nothing of this format, so that there is no answer that could have been cut: a web page, or
    /// a JSON document in place of a stream of events.
    fn is_foreign(&self) -> bool {
        let opens_otherwise = match self.first {
            Some(b'<') => true,
            Some(b'{' | b'[') => matches!(F::FRAMING, StreamFormat::Sse),
            Some(_) | None => false,
        };
        !self.understood && opens_otherwise
    }

    /// An answer that broke off, or none at all.
    fn cut(&self) -> ModelError {
        if self.is_foreign() {
            ModelError::Malformed {
                message: "what came is not what its kind speaks, but a page or a document".to_owned(),
            }
        } else {
            ModelError::Cut
        }
    }

    /// Bytes its buffers hold, filled or not: what an answer costs however long it is.
    pub fn held_bytes(&self) -> usize {
        let events = self.events.capacity() * size_of::<ModelEvent>();
        self.parser.held_bytes().saturating_add(events)
    }
}

impl<F: AnswerFormat> BodyDecoder for AnswerDecoder<F> {
    type Item = ModelEvent;
    type Error = ModelError;

    fn push(&mut self, bytes: Bytes) {
        if self.first.is_none() {
            self.first = bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace());
        }
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
            if self.over {
                return Step::Done;
            }
            let payload = match self.parser.next_frame() {
                Ok(Some(Frame::Sse(event))) => event.data,
                Ok(Some(Frame::JsonLine(text) | Frame::Text(text))) => text,
                Ok(None) if !self.ended => return Step::More,
                Ok(None) => {
                    self.over = true;
                    self.failed = match self.format.end(&mut self.events) {
                        Err(ModelError::Cut) => Some(self.cut()),
                        ended => ended.err(),
                    };
                    continue;
                }
                Err(error) => {
                    let message = error.to_string();
                    return Step::Failed(ModelError::Malformed { message });
                }
            };
            if payload.is_empty() {
                continue;
            }
            match self.format.take(payload, &mut self.events) {
                Ok(Progress::More) => self.understood = true,
                Ok(Progress::Over) => self.over = true,
                // Half a payload at the end of the body was cut, not malformed.
                Err(ModelError::Malformed { .. }) if self.ended => self.failed = Some(self.cut()),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn sign_of_life(&self) -> Option<ModelEvent> {
        Some(ModelEvent::Ping)
    }
}

/// What cannot be read, such as `a chunk of the stream`. The error itself would show the value, so only its place is
/// told.
pub fn unreadable(what: impl fmt::Display, error: &serde_json::Error) -> ModelError {
    ModelError::Malformed {
        message: format!("{what} is not what it should be, at byte {}", error.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_places, decode};
    use openclaw_core::StopReason;
    use proptest::prelude::*;

    /// Lines: `.` ends the answer, `,` says that it is complete, `!` fails it, `?` is malformed, all else is text.
    #[derive(Debug, Default)]
    struct Marks {
        complete: bool,
    }

    impl AnswerFormat for Marks {
        const FRAMING: StreamFormat = StreamFormat::JsonLines;

        fn take(&mut self, payload: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
            match payload {
                "." => {
                    events.push_back(ModelEvent::Stop(StopReason::EndTurn));
                    return Ok(Progress::Over);
                }
                "," => self.complete = true,
                "!" => {
                    events.push_back(text("last words"));
                    return Err(ModelError::InStream { message: "no".into() });
                }
                "?" => {
                    let message = "what?".into();
                    return Err(ModelError::Malformed { message });
                }
                words => events.push_back(text(words)),
            }
            Ok(Progress::More)
        }

        fn end(&mut self, events: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
            if !self.complete {
                return Err(ModelError::Cut);
            }
            events.push_back(ModelEvent::Stop(StopReason::EndTurn));
            Ok(())
        }
    }

    fn text(words: &str) -> ModelEvent {
        ModelEvent::TextDelta(words.into())
    }

    fn read(body: &str) -> Vec<Result<ModelEvent, ModelError>> {
        decode(AnswerDecoder::new(Marks::default()), &[body.as_bytes()])
    }

    const STOP: Result<ModelEvent, ModelError> = Ok(ModelEvent::Stop(StopReason::EndTurn));

    #[test]
    fn a_page_in_place_of_an_answer_is_not_what_its_kind_speaks_and_nothing_was_cut() {
        #[derive(Debug)]
        struct Events;
        impl AnswerFormat for Events {
            const FRAMING: StreamFormat = StreamFormat::Sse;
            fn take(&mut self, _: &str, _: &mut VecDeque<ModelEvent>) -> Result<Progress, ModelError> {
                Ok(Progress::More)
            }
            fn end(&mut self, _: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
                Err(ModelError::Cut)
            }
        }
        let end = |body: &str| {
            let mut said = decode(AnswerDecoder::new(Events), &[body.as_bytes()]);
            said.pop().unwrap().unwrap_err()
        };
        for page in [
            "<!doctype html>\n<p>hi</p>\n",
            "\n <html>",
            "{\"choices\":[]}\n",
            "[]",
        ] {
            assert!(matches!(end(page), ModelError::Malformed { .. }), "{page}");
        }
        for cut in ["", "data: a\n\n", ": ping\n\n", "data: <p>\n\n<"] {
            assert_eq!(end(cut), ModelError::Cut, "{cut}");
        }
        // Half a line of a format of lines is an answer that was cut.
        assert_eq!(read("?"), [Err(ModelError::Cut)]);
    }

    #[test]
    fn an_answer_ends_at_its_own_mark_and_nothing_after_it_is_read() {
        assert_eq!(read("a\n.\nb\n!\n"), [Ok(text("a")), STOP]);
    }

    #[test]
    fn a_body_that_ends_is_complete_only_where_the_format_says_so() {
        assert_eq!(read("a\n"), [Ok(text("a")), Err(ModelError::Cut)]);
        assert_eq!(read(""), [Err(ModelError::Cut)]);
        assert_eq!(read("a\n,\n"), [Ok(text("a")), STOP]);
    }

    #[test]
    fn what_was_said_before_a_failure_is_said_first_and_nothing_after_it() {
        let failed = Err(ModelError::InStream { message: "no".into() });
        assert_eq!(read("a\n!\nb\n"), [Ok(text("a")), Ok(text("last words")), failed]);
    }

    #[test]
    fn what_cannot_be_read_is_malformed_within_the_body_and_cut_at_its_end() {
        let message = "what?".into();
        assert_eq!(read("?\nb\n"), [Err(ModelError::Malformed { message })]);
        assert_eq!(read("a\n?"), [Ok(text("a")), Err(ModelError::Cut)]);
    }

    #[test]
    fn a_line_beyond_the_limit_ends_the_answer() {
        let said = read(&"x".repeat(2 << 20));
        assert!(
            matches!(said.as_slice(), [Err(ModelError::Malformed { .. })]),
            "{said:?}"
        );
    }

    #[test]
    fn the_place_of_what_cannot_be_read_is_told_and_not_its_value() {
        let error = serde_json::from_str::<u64>("\"hush\"").unwrap_err();
        let shown = unreadable("a line", &error).to_string();
        assert_eq!(
            shown,
            "malformed answer: a line is not what it should be, at byte 6"
        );
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_events_are_the_same(
            body in "([a-zё]{0,3}[\r,.!?]?\n?){0,12}",
            places in prop::collection::vec(0_usize..40, 0..12),
        ) {
            let chunks = at_places(body.as_bytes(), &places);
            prop_assert_eq!(decode(AnswerDecoder::new(Marks::default()), &chunks), read(&body));
        }
    }
}
