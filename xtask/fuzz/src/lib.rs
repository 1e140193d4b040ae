//! What fuzz targets have in common: an input that says how the rest of it is cut, and decoders read to their end.
//!
//! A target asserts what the code promises, not only that it does not panic. The promise most of them share: however the
//! same bytes are cut into pieces, the same is understood.

#![forbid(unsafe_code)]

use bytes::Bytes;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use openclaw_http_client::{BodyDecoder, Step};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamError, StreamFormat, StreamParser};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes and the sizes they are cut into.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    sizes: &'a [u8],
    /// All of the bytes.
    pub bytes: &'a [u8],
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It is complete.
    Complete,
    /// It failed.
    Failed(ModelError),
    /// It wants more although there is none.
    Hungry,
}

/// A frame that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedFrame {
    /// Type, data, id, reconnection time.
    Sse(Option<String>, String, Option<String>, Option<Duration>),
    /// A line.
    Line(String),
    /// Text; neighbouring pieces are joined.
    Text(String),
}

/// What a parser made of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The frames.
    pub frames: Vec<OwnedFrame>,
    /// Why there are no more.
    pub error: Option<StreamError>,
    /// Invalid sequences replaced; not told after an error, where it depends on what was read ahead.
    pub replaced: Option<u64>,
}

// === impl Cut ===

impl<'a> Cut<'a> {
    /// The first byte says how many sizes follow, of which the bytes after them are cut in turn.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Self {
        let (count, rest) = data.split_first().map_or((0, data), |(count, rest)| {
            (usize::from(count % 8).min(rest.len()), rest)
        });
        let (sizes, bytes) = rest.split_at(count);
        Self { sizes, bytes }
    }

    /// The pieces, none of them empty. Without sizes they are single bytes.
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let mut sizes = self.sizes.iter().cycle();
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let size = sizes.next().map_or(1, |size| usize::from(*size).max(1));
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// The bytes in one piece.
    pub fn whole(self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.bytes).filter(|bytes| !bytes.is_empty())
    }
}

/// Reads an answer to its end, as the connection would: a piece, all that it makes, the next piece.
pub fn read_answer<'a>(
    mut decoder: impl BodyDecoder<Item = ModelEvent, Error = ModelError>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<ModelEvent>, End) {
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        if let Some(end) = drain(&mut decoder, &mut events) {
            return (events, end);
        }
    }
    decoder.finish();
    let end = drain(&mut decoder, &mut events).unwrap_or(End::Hungry);
    (events, end)
}

fn drain(
    decoder: &mut impl BodyDecoder<Item = ModelEvent, Error = ModelError>,
    events: &mut Vec<ModelEvent>,
) -> Option<End> {
    loop {
        match decoder.step() {
            Step::Item(event) => events.push(event),
            Step::More => return None,
            Step::Done => return Some(End::Complete),
            Step::Failed(error) => return Some(End::Failed(error)),
        }
    }
}

/// Asserts what every decoder of answers promises, for one input.
pub fn check_answer<D: BodyDecoder<Item = ModelEvent, Error = ModelError>>(
    data: &[u8],
    decoder: impl Fn() -> D,
) {
    let cut = Cut::read(data);
    let whole = read_answer(decoder(), cut.whole());
    let pieces = read_answer(decoder(), cut.pieces());
    assert_eq!(pieces, whole, "the pieces say something else than the whole");
    let (events, end) = whole;
    assert_ne!(end, End::Hungry, "an answer at its end is complete or it failed");
    let stops = events
        .iter()
        .filter(|event| matches!(event, ModelEvent::Stop(_)))
        .count();
    assert!(stops <= 1, "a model stops once: {events:?}");
    assert!(
        end != End::Complete || stops == 1,
        "complete, and the model has not said that it stopped: {events:?}"
    );
    let mut begun = 0;
    for event in &events {
        match event {
            ModelEvent::ToolUseStart { index, .. } => {
                assert_eq!(*index, begun, "calls are numbered in order");
                begun += 1;
            }
            ModelEvent::ToolArgumentsDelta { index, .. } => {
                assert!(
                    *index < begun,
                    "arguments of a call that has not begun: {events:?}"
                );
            }
            ModelEvent::TextDelta(text) => assert!(!text.is_empty(), "a piece of no text"),
            ModelEvent::Usage(_) | ModelEvent::Stop(_) | ModelEvent::Ping => {}
        }
    }
}

/// Parses a stream, piece by piece, to its end.
pub fn parse<'a>(
    format: StreamFormat,
    limits: ParserLimits,
    last: LastEvent,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Parsed {
    let mut parser = StreamParser::new(format, limits);
    let mut frames = Vec::new();
    let mut take = |parser: &mut StreamParser| -> Result<(), StreamError> {
        while let Some(frame) = parser.next_frame()? {
            match (owned(frame), frames.last_mut()) {
                (OwnedFrame::Text(text), Some(OwnedFrame::Text(before))) => before.push_str(&text),
                (frame, _) => frames.push(frame),
            }
        }
        Ok(())
    };
    let mut result = Ok(());
    for (index, piece) in pieces.enumerate() {
        if index % 2 == 0 {
            parser.push(Bytes::copy_from_slice(piece));
        } else {
            parser.push_slice(piece);
        }
        result = result.and_then(|()| take(&mut parser));
    }
    parser.finish(last);
    result = result.and_then(|()| take(&mut parser));
    Parsed {
        replaced: result.is_ok().then(|| parser.replaced_sequences()),
        error: result.err(),
        frames,
    }
}

fn owned(frame: Frame<'_>) -> OwnedFrame {
    let own = |text: Option<&str>| text.map(str::to_owned);
    match frame {
        Frame::Sse(event) => OwnedFrame::Sse(
            own(event.event),
            event.data.to_owned(),
            own(event.id),
            event.retry,
        ),
        Frame::JsonLine(line) => OwnedFrame::Line(line.to_owned()),
        Frame::Text(text) => OwnedFrame::Text(text.to_owned()),
    }
}

/// Asserts that the pieces of a stream are parsed to what the whole is, in a format and in the one found, with limits
/// that matter and without; what the whole is without limits.
#[must_use]
pub fn check_stream(cut: Cut<'_>, format: StreamFormat, last: LastEvent) -> Vec<OwnedFrame> {
    let tight = ParserLimits {
        max_line_bytes: 24,
        max_event_bytes: 60,
    };
    for limits in [tight, ParserLimits::default()] {
        for format in [StreamFormat::Auto, format] {
            let whole = parse(format, limits, last, cut.whole());
            let pieces = parse(format, limits, last, cut.pieces());
            assert_eq!(pieces, whole, "{format:?} within {limits:?}");
        }
    }
    let parsed = parse(format, ParserLimits::default(), last, cut.whole());
    assert_eq!(parsed.error, None, "a short stream is within the limits");
    parsed.frames
}

/// Bytes as a text, the way a stream's are understood: invalid sequences replaced, a byte order mark left out.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.strip_prefix('\u{FEFF}').unwrap_or(&text).to_owned()
}

/// Pieces as something that is read: each read gets at most one.
#[derive(Debug)]
pub struct Pipe<I>(I);

impl<'a, I: Iterator<Item = &'a [u8]> + Unpin> Pipe<I> {
    /// From pieces, none of them larger than what is read at once.
    pub fn new(pieces: I) -> Self {
        Self(pieces)
    }
}

impl<'a, I: Iterator<Item = &'a [u8]> + Unpin> AsyncRead for Pipe<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.next() {
            buffer.put_slice(piece);
        }
        Poll::Ready(Ok(()))
    }
}
