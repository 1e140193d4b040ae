//! From a provider's bytes to frames, however the bytes were cut on their way.
//!
//! A frame borrows from the chunk it came in; only what was cut between chunks, joined from several lines or not
//! valid UTF-8 is copied. What a frame *means* is decided by the provider's adapter.

mod detect;
mod input;
mod lines;
mod sse;

use crate::error::StreamError;
use bytes::Bytes;
use input::Input;
use std::time::Duration;

/// How a provider writes its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFormat {
    /// To be seen from the first bytes that decide it.
    #[default]
    Auto,
    /// Server-sent events, as the HTML standard has them.
    Sse,
    /// One JSON value per line. Empty lines are skipped.
    JsonLines,
    /// Text as it stands.
    Text,
}

/// What is done with a last server-sent event that no blank line follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastEvent {
    /// It is incomplete, as the HTML standard has it.
    Drop,
    /// It counts: some providers leave the last blank line out.
    Keep,
}

/// How much a parser may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserLimits {
    /// The longest line, without its end. A longer one is [`StreamError::LineTooLong`].
    pub max_line_bytes: usize,
    /// The longest server-sent event, all its lines together; never less than one line. A longer one is
    /// [`StreamError::EventTooLong`].
    pub max_event_bytes: usize,
}

/// Reads one stream. Never shared between streams, and of no use after an error.
///
/// Push a chunk, take frames until there is none, push the next; [`StreamParser::finish`] at the end, and once more
/// take frames until there is none. What is held is bounded by the limits and the chunks that were pushed and not
/// yet taken.
///
/// The events are the same however the bytes are cut into chunks. (Pieces of raw text differ, joined they are equal.)
#[derive(Clone, Debug)]
pub struct StreamParser {
    format: StreamFormat,
    limits: ParserLimits,
    input: Input,
    at_start: bool,
    ended: Option<LastEvent>,
    failed: Option<StreamError>,
    sse: sse::SseState,
    /// How far the unfinished JSON line was searched for its end.
    scanned: usize,
    scratch: String,
    replaced: u64,
}

/// One frame of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A server-sent event.
    Sse(SseEvent<'a>),
    /// A line, trimmed and not empty. Whether it is JSON is for the reader to find out.
    JsonLine(&'a str),
    /// A piece of text, not empty.
    Text(&'a str),
}

/// A server-sent event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Its type; `None` stands for `message`.
    pub event: Option<&'a str>,
    /// Its `data` lines, joined by line feeds. May be empty.
    pub data: &'a str,
    /// The last event id seen in the stream so far, this event included.
    pub id: Option<&'a str>,
    /// The reconnection time set with this event.
    pub retry: Option<Duration>,
}

// === impl ParserLimits ===

impl Default for ParserLimits {
    fn default() -> Self {
        Self {
            max_line_bytes: 1024 * 1024,
            max_event_bytes: 4 * 1024 * 1024,
        }
    }
}

// === impl StreamParser ===

impl StreamParser {
    /// A parser for one stream.
    pub fn new(format: StreamFormat, limits: ParserLimits) -> Self {
        Self {
            format,
            limits,
            input: Input::default(),
            at_start: true,
            ended: None,
            failed: None,
            sse: sse::SseState::default(),
            scanned: 0,
            scratch: String::new(),
            replaced: 0,
        }
    }

    /// Takes a chunk without copying it. After [`StreamParser::finish`] it is ignored.
    pub fn push(&mut self, chunk: Bytes) {
        if self.is_open() {
            self.input.push(chunk);
        }
    }

    /// Takes a copy of a chunk. After [`StreamParser::finish`] it is ignored.
    pub fn push_slice(&mut self, chunk: &[u8]) {
        if self.is_open() {
            self.input.push_slice(chunk);
        }
    }

    /// No more bytes will come. A last line without its end still counts, apart from a server-sent event's when it is
    /// to be dropped.
    pub fn finish(&mut self, last: LastEvent) {
        self.ended.get_or_insert(last);
    }

    /// The next frame; `None` when more bytes are needed or, after [`StreamParser::finish`], when there are no more.
    ///
    /// # Errors
    ///
    /// A [`StreamError`], once all frames before it were taken, and the same at every further call.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.at_start && !self.begin() {
            return Ok(None);
        }
        if self.format == StreamFormat::Auto {
            match detect::detect(self.input.unread(), self.ended.is_some()) {
                Some(format) => self.format = format,
                None => return Ok(None),
            }
        }
        match self.format {
            StreamFormat::Auto => Ok(None),
            StreamFormat::Sse => self.next_event(),
            StreamFormat::JsonLines => self.next_json_line(),
            StreamFormat::Text => Ok(self.next_text()),
        }
    }

    /// The format: the one asked for, or the one found; [`StreamFormat::Auto`] while nothing decides it.
    pub fn format(&self) -> StreamFormat {
        self.format
    }

    /// How many invalid byte sequences were replaced with U+FFFD so far.
    pub fn replaced_sequences(&self) -> u64 {
        self.replaced
    }

    /// Bytes its buffers hold, filled or not, beside a chunk pushed by [`StreamParser::push`] that is still being read.
    /// Bounded by the limits, however long the stream is.
    pub fn held_bytes(&self) -> usize {
        let own = self.input.capacity().saturating_add(self.scratch.capacity());
        own.saturating_add(self.sse.capacity())
    }

    /// The last event id of the stream, as of the last blank line.
    pub fn last_event_id(&self) -> Option<&str> {
        self.sse.last_id()
    }

    /// The reconnection time the stream last asked for.
    pub fn retry(&self) -> Option<Duration> {
        self.sse.retry()
    }

    fn is_open(&self) -> bool {
        self.ended.is_none() && self.failed.is_none()
    }

    /// Skips a byte order mark. Returns whether it is known that none is being cut in two.
    fn begin(&mut self) -> bool {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let bytes = self.input.unread();
        if bytes.starts_with(MARK) {
            self.input.consume(MARK.len());
        } else if self.ended.is_none() && MARK.starts_with(bytes) {
            return false;
        }
        self.at_start = false;
        true
    }

    fn next_event(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        match self
            .sse
            .advance(&mut self.input, self.ended, self.limits, &mut self.replaced)
        {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(Frame::Sse(self.sse.event(
                &self.input,
                &mut self.scratch,
                &mut self.replaced,
            )))),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn next_json_line(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        match lines::next_line(
            &mut self.input,
            &mut self.scanned,
            self.ended.is_some(),
            self.limits.max_line_bytes,
        ) {
            Ok(None) => Ok(None),
            Ok(Some(range)) => Ok(Some(Frame::JsonLine(input::text_of(
                self.input.slice(&range),
                &mut self.scratch,
                &mut self.replaced,
            )))),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn next_text(&mut self) -> Option<Frame<'_>> {
        let range = lines::next_text(&mut self.input, self.ended.is_some())?;
        Some(Frame::Text(input::text_of(
            self.input.slice(&range),
            &mut self.scratch,
            &mut self.replaced,
        )))
    }
}

// === impl SseEvent ===

impl SseEvent<'_> {
    /// Whether this is the line that ends an OpenAI stream.
    pub fn is_done(&self) -> bool {
        self.data.trim_ascii() == "[DONE]"
    }
}
