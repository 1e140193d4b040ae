//! A long stream needs no more memory than a short one.
//!
//! Optimised builds read a gigabyte in each format; the others a smaller stream, which is long enough to see growth.

use bytes::Bytes;
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};

const LONG: usize = if cfg!(debug_assertions) { 4 << 20 } else { 1 << 30 };
const SHORT: usize = 1 << 20;
/// About what one read from a socket returns; no multiple of an event's length.
const CHUNK: usize = 8 * 1024 - 1;

const SSE: &str =
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"слово 🙂 word\"}}]}\n\n";
const SSE_OF_LINES: &str = "event: x\r\nid: 7\r\n: note\r\ndata: one\r\ndata: two\r\ndata: three\r\n\r\n";
const LINES: &str = "{\"message\":{\"role\":\"assistant\",\"content\":\"слово 🙂 word\"},\"done\":false}\n";
const TEXT: &str = "слово 🙂 word ";

/// Reads so many bytes of the same piece again and again; the frames seen and the most that was held.
fn read(format: StreamFormat, piece: &str, length: usize) -> (usize, usize) {
    // Enough repetitions that any slice of a chunk's length, at any phase of the piece, lies within.
    let source = Bytes::from(piece.repeat(CHUNK / piece.len() + 2));
    let mut parser = StreamParser::new(format, ParserLimits::default());
    let (mut at, mut read, mut frames, mut most) = (0, 0, 0, 0);
    while read < length {
        let chunk = source.slice(at..at + CHUNK);
        at = (at + CHUNK) % piece.len();
        read += CHUNK;
        parser.push(chunk);
        while let Some(frame) = parser.next_frame().expect("valid frames") {
            if !matches!(frame, Frame::Text("")) {
                frames += 1;
            }
        }
        most = most.max(parser.held_bytes());
    }
    parser.finish(LastEvent::Drop);
    (frames, most)
}

#[track_caller]
fn check(format: StreamFormat, piece: &str) {
    let (_, short) = read(format, piece, SHORT);
    let (frames, long) = read(format, piece, LONG);
    assert!(frames >= LONG / piece.len().max(CHUNK), "{frames} frames");
    assert_eq!(long, short, "the most that was held, in bytes");
    assert!(long <= 2 * CHUNK + 4_096, "{long} bytes were held");
}

#[test]
fn a_long_stream_of_events_is_read_in_the_memory_of_a_short_one() {
    check(StreamFormat::Sse, SSE);
    check(StreamFormat::Sse, SSE_OF_LINES);
}

#[test]
fn a_long_stream_of_lines_is_read_in_the_memory_of_a_short_one() {
    check(StreamFormat::JsonLines, LINES);
}

#[test]
fn a_long_text_is_read_in_the_memory_of_a_short_one() {
    check(StreamFormat::Text, TEXT);
}

#[test]
fn a_line_as_long_as_it_may_be_gives_its_memory_back() {
    let limits = ParserLimits::default();
    let mut parser = StreamParser::new(StreamFormat::JsonLines, limits);
    let line = "x".repeat(limits.max_line_bytes) + "\n";
    for chunk in line.as_bytes().chunks(CHUNK) {
        parser.push_slice(chunk);
        if parser
            .next_frame()
            .expect("a line that is not too long")
            .is_some()
        {
            assert!(parser.held_bytes() >= limits.max_line_bytes);
        }
    }
    parser.push_slice(b"{}\n");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::JsonLine("{}"))));
    assert!(parser.held_bytes() <= 64 * 1024, "{} bytes", parser.held_bytes());
}

#[test]
fn what_an_event_of_several_lines_is_joined_in_is_counted_as_held() {
    let mut parser = StreamParser::new(StreamFormat::Sse, ParserLimits::default());
    let line = format!("data: {}\n", "x".repeat(10_000));
    // Handed over whole, it is read where it stands: only what is joined is the parser's own.
    parser.push(Bytes::from(format!("{line}{line}\n")));
    assert!(matches!(parser.next_frame(), Ok(Some(Frame::Sse(_)))));
    assert!(parser.held_bytes() > 20_000, "{} bytes", parser.held_bytes());
}
