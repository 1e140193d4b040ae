//! Server-sent events, as the HTML standard interprets an event stream.

use super::input::{Input, append_text, text_of};
use super::{LastEvent, ParserLimits, SseEvent};
use crate::error::StreamError;
use std::ops::Range;
use std::time::Duration;

/// The event being read. Offsets count from the first unread byte of the input, which is the first byte of the event
/// as soon as one of its fields has to be remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct SseState {
    /// Where the current line begins.
    line: usize,
    /// How far it was searched for its end.
    scanned: usize,
    /// The line before ended with a carriage return: a line feed here belongs to it.
    skip_line_feed: bool,
    event: Option<Range<usize>>,
    data: Data,
    /// Set by this event, in effect from its blank line on.
    new_id: Option<String>,
    last_id: String,
    new_retry: Option<Duration>,
    retry: Option<Duration>,
    /// The event that was completed, with offsets into the whole input.
    ready: Ready,
    /// Data of several lines, joined.
    joined: String,
    event_scratch: String,
}

#[derive(Clone, Debug, Default)]
enum Data {
    #[default]
    None,
    /// One line, where it stands.
    Line(Range<usize>),
    /// Several lines; they are in `joined`.
    Joined,
}

#[derive(Clone, Debug, Default)]
struct Ready {
    event: Option<Range<usize>>,
    data: Data,
    retry: Option<Duration>,
}

// === impl SseState ===

impl SseState {
    /// Bytes its buffers hold, filled or not.
    pub(super) fn capacity(&self) -> usize {
        [&self.joined, &self.event_scratch, &self.last_id]
            .into_iter()
            .chain(&self.new_id)
            .fold(0, |sum: usize, text| sum.saturating_add(text.capacity()))
    }

    pub(super) fn last_id(&self) -> Option<&str> {
        (!self.last_id.is_empty()).then_some(&self.last_id)
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Reads on to the end of the next event. Returns whether there is one.
    pub(super) fn advance(
        &mut self,
        input: &mut Input,
        ended: Option<LastEvent>,
        limits: ParserLimits,
        replaced: &mut u64,
    ) -> Result<bool, StreamError> {
        loop {
            let bytes = input.unread();
            if self.skip_line_feed
                && let Some(byte) = bytes.get(self.line)
            {
                self.skip_line_feed = false;
                if *byte == b'\n' {
                    self.begin_line(self.line + 1, input);
                    continue;
                }
            }
            let found = memchr::memchr2(
                b'\n',
                b'\r',
                bytes.get(self.scanned.max(self.line)..).unwrap_or_default(),
            );
            let Some(offset) = found else {
                self.check(bytes.len(), limits)?;
                self.scanned = bytes.len();
                return Ok(self.end(input, ended, replaced));
            };
            let end = self.scanned.max(self.line) + offset;
            self.check(end, limits)?;
            self.skip_line_feed = bytes.get(end) == Some(&b'\r');
            if end == self.line {
                if self.dispatch(end + 1, input) {
                    return Ok(true);
                }
            } else {
                self.field(bytes, self.line..end, replaced);
                self.begin_line(end + 1, input);
            }
        }
    }

    /// The event that [`SseState::advance`] found.
    pub(super) fn event<'a>(
        &'a mut self,
        input: &'a Input,
        scratch: &'a mut String,
        replaced: &mut u64,
    ) -> SseEvent<'a> {
        let event = match &self.ready.event {
            Some(range) => text_of(input.slice(range), &mut self.event_scratch, replaced),
            None => "",
        };
        let data = match &self.ready.data {
            Data::None => "",
            Data::Line(range) => text_of(input.slice(range), scratch, replaced),
            Data::Joined => self.joined.as_str(),
        };
        SseEvent {
            event: (!event.is_empty()).then_some(event),
            data,
            id: (!self.last_id.is_empty()).then_some(self.last_id.as_str()),
            retry: self.ready.retry,
        }
    }

    /// Whether the event or its line, read up to `end`, is too long. Where both are, the limit met first is named, so
    /// that the answer does not depend on how much was read at once.
    fn check(&self, end: usize, limits: ParserLimits) -> Result<(), StreamError> {
        let line_end = self.line.saturating_add(limits.max_line_bytes);
        let event_end = limits.max_event_bytes.max(limits.max_line_bytes);
        if end <= line_end.min(event_end) {
            Ok(())
        } else if line_end <= event_end {
            Err(StreamError::LineTooLong {
                limit: limits.max_line_bytes,
            })
        } else {
            Err(StreamError::EventTooLong { limit: event_end })
        }
    }

    /// The bytes ended within a line, or right after one.
    fn end(&mut self, input: &mut Input, ended: Option<LastEvent>, replaced: &mut u64) -> bool {
        match ended {
            None => false,
            Some(LastEvent::Drop) => {
                input.consume(usize::MAX);
                *self = Self {
                    last_id: std::mem::take(&mut self.last_id),
                    retry: self.retry,
                    ..Self::default()
                };
                false
            }
            Some(LastEvent::Keep) => {
                let bytes = input.unread();
                let end = bytes.len();
                if end > self.line {
                    self.field(bytes, self.line..end, replaced);
                }
                self.dispatch(end, input)
            }
        }
    }

    /// The next line begins at `next`.
    fn begin_line(&mut self, next: usize, input: &mut Input) {
        self.line = next;
        self.scanned = next;
        if self.event.is_none() && matches!(self.data, Data::None) {
            // Nothing points into the bytes read so far.
            input.consume(next);
            self.line = 0;
            self.scanned = 0;
        }
    }

    /// A blank line: the event is complete. One without data is none, but its id counts.
    fn dispatch(&mut self, next: usize, input: &mut Input) -> bool {
        let at = input.consume(next);
        let absolute = |range: Range<usize>| range.start + at..range.end + at;
        self.line = 0;
        self.scanned = 0;
        if let Some(id) = self.new_id.take() {
            self.last_id = id;
        }
        self.ready = Ready {
            event: self.event.take().map(absolute),
            data: match std::mem::take(&mut self.data) {
                Data::Line(range) => Data::Line(absolute(range)),
                other @ (Data::None | Data::Joined) => other,
            },
            retry: self.new_retry.take(),
        };
        !matches!(self.ready.data, Data::None)
    }

    fn field(&mut self, bytes: &[u8], line: Range<usize>, replaced: &mut u64) {
        let text = bytes.get(line.clone()).unwrap_or_default();
        let (name, value) = match memchr::memchr(b':', text) {
            Some(colon) => {
                let space = usize::from(text.get(colon + 1) == Some(&b' '));
                (
                    text.get(..colon).unwrap_or_default(),
                    line.start + colon + 1 + space..line.end,
                )
            }
            None => (text, line.end..line.end),
        };
        let content = bytes.get(value.clone()).unwrap_or_default();
        match name {
            b"data" => self.add_data(bytes, value, replaced),
            b"event" => self.event = Some(value),
            b"id" if !content.contains(&0) => {
                let mut id = String::new();
                append_text(content, &mut id, replaced);
                self.new_id = Some(id);
            }
            b"retry" if !content.is_empty() && content.iter().all(u8::is_ascii_digit) => {
                // Digits are UTF-8; a number too large for any wait is as good as the largest.
                let millis = std::str::from_utf8(content)
                    .ok()
                    .map(|digits| digits.parse().unwrap_or(u64::MAX));
                self.new_retry = millis.map(Duration::from_millis);
                self.retry = self.new_retry;
            }
            // Comments (an empty name) and unknown fields.
            _ => {}
        }
    }

    fn add_data(&mut self, bytes: &[u8], value: Range<usize>, replaced: &mut u64) {
        match std::mem::take(&mut self.data) {
            Data::None => {
                self.data = Data::Line(value);
                return;
            }
            Data::Line(first) => {
                self.joined.clear();
                append_text(bytes.get(first).unwrap_or_default(), &mut self.joined, replaced);
            }
            Data::Joined => {}
        }
        self.joined.push('\n');
        append_text(bytes.get(value).unwrap_or_default(), &mut self.joined, replaced);
        self.data = Data::Joined;
    }
}
