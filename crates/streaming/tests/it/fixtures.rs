//! Streams in the shapes of each provider's format, cut at every byte.

use crate::parser::{Owned, Read, read};
use openclaw_streaming::{LastEvent, ParserLimits, StreamFormat, StreamParser};

/// OpenAI chat completions: unnamed events, usage in a chunk of its own, a terminal marker.
pub(crate) const OPENAI: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795327380,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795327380,"model":"m","choices":[{"index":0,"delta":{"content":"Привет, 🌍"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795327380,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795327380,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9}}

data: [DONE]

"#;

/// The same from a router that sends comments to keep the connection alive and leaves out the last blank line.
pub(crate) const OPENAI_COMPATIBLE: &str = ": PROCESSING\n\n: PROCESSING\n\ndata:{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\ndata:[DONE]";

/// Anthropic messages: named events, pings, no marker.
pub(crate) const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","role":"assistant","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Доброе утро"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}}

event: message_stop
data: {"type":"message_stop"}

"#;

/// Ollama: JSON Lines, the last one with counts.
pub(crate) const OLLAMA: &str = r#"{"model":"m","created_at":"2026-11-22T10:00:00Z","message":{"role":"assistant","content":"Доб"},"done":false}
{"model":"m","created_at":"2026-11-22T10:00:01Z","message":{"role":"assistant","content":"рый день"},"done":false}
{"model":"m","created_at":"2026-11-22T10:00:02Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":5}"#;

/// YandexGPT: JSON Lines, each with the whole text so far.
pub(crate) const YANDEX: &str = "{\"result\":{\"alternatives\":[{\"message\":{\"role\":\"assistant\",\"text\":\"Да\"},\"status\":\"ALTERNATIVE_STATUS_PARTIAL\"}]}}\n{\"result\":{\"alternatives\":[{\"message\":{\"role\":\"assistant\",\"text\":\"Да, конечно\"},\"status\":\"ALTERNATIVE_STATUS_FINAL\"}]}}\n";

fn parser() -> StreamParser {
    StreamParser::new(StreamFormat::Auto, ParserLimits::default())
}

/// The same frames for every place at which the stream may be cut in two, and byte by byte.
#[track_caller]
fn at_every_cut(stream: &str) -> Read {
    let bytes = stream.as_bytes();
    let whole = read(parser(), [bytes], LastEvent::Keep);
    for place in 0..=bytes.len() {
        let (before, after) = bytes.split_at(place);
        assert_eq!(
            read(parser(), [before, after], LastEvent::Keep),
            whole,
            "cut at {place}"
        );
    }
    assert_eq!(read(parser(), bytes.chunks(1), LastEvent::Keep), whole);
    assert_eq!(whole.error, None);
    assert_eq!(whole.replaced, 0);
    whole
}

fn events(read: &Read) -> Vec<(Option<&str>, &str)> {
    read.frames
        .iter()
        .map(|frame| match frame {
            Owned::Sse(kind, data, _, _) => (kind.as_deref(), data.as_str()),
            Owned::Line(_) | Owned::Text(_) => panic!("{frame:?} is no event"),
        })
        .collect()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("valid JSON")
}

#[test]
fn an_openai_stream_is_five_events_the_last_of_them_the_marker() {
    let read = at_every_cut(OPENAI);
    let events = events(&read);
    assert_eq!(events.len(), 5);
    assert_eq!(json(events[1].1)["choices"][0]["delta"]["content"], "Привет, 🌍");
    assert_eq!(json(events[3].1)["usage"]["total_tokens"], 9);
    assert_eq!(events[4], (None, "[DONE]"));
}

#[test]
fn keep_alives_are_skipped_and_an_unfinished_marker_is_kept_when_asked() {
    let read = at_every_cut(OPENAI_COMPATIBLE);
    let events = events(&read);
    assert_eq!(events.len(), 2);
    assert_eq!(json(events[0].1)["choices"][0]["delta"]["content"], "Hi");
    assert_eq!(events[1], (None, "[DONE]"));
}

#[test]
fn an_anthropic_stream_is_seven_named_events() {
    let read = at_every_cut(ANTHROPIC);
    let events = events(&read);
    assert_eq!(events.len(), 7);
    for (kind, data) in &events {
        assert_eq!(json(data)["type"].as_str(), *kind);
    }
    assert_eq!(json(events[3].1)["delta"]["text"], "Доброе утро");
}

#[test]
fn ollama_and_yandex_streams_are_lines_the_last_of_them_without_its_end() {
    for (stream, count) in [(OLLAMA, 3), (YANDEX, 2)] {
        let read = at_every_cut(stream);
        assert_eq!(read.frames.len(), count);
        for (frame, line) in read.frames.iter().zip(stream.lines()) {
            assert_eq!(*frame, Owned::Line(line.to_owned()));
            json(line);
        }
    }
}
