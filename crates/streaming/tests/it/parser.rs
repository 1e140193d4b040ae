//! The parser: one stream in, the same frames out, however it was cut.

use bytes::Bytes;
use openclaw_core::{CodedError, Language};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamError, StreamFormat, StreamParser};
use proptest::prelude::*;
use std::time::Duration;

/// A frame that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Sse(Option<String>, String, Option<String>, Option<Duration>),
    Line(String),
    Text(String),
}

fn owned(frame: Frame<'_>) -> Owned {
    let own = |text: Option<&str>| text.map(str::to_owned);
    match frame {
        Frame::Sse(event) => Owned::Sse(
            own(event.event),
            event.data.to_owned(),
            own(event.id),
            event.retry,
        ),
        Frame::JsonLine(line) => Owned::Line(line.to_owned()),
        Frame::Text(text) => Owned::Text(text.to_owned()),
    }
}

fn data(text: &str) -> Owned {
    Owned::Sse(None, text.to_owned(), None, None)
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) frames: Vec<Owned>,
    pub(crate) error: Option<StreamError>,
    pub(crate) replaced: u64,
}

/// Reads chunks to the end. Pieces of raw text are joined.
pub(crate) fn read<'a>(
    mut parser: StreamParser,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    last: LastEvent,
) -> Read {
    let mut frames = Vec::new();
    let mut drain = |parser: &mut StreamParser| -> Result<(), StreamError> {
        while let Some(frame) = parser.next_frame()? {
            match (owned(frame), frames.last_mut()) {
                (Owned::Text(text), Some(Owned::Text(before))) => before.push_str(&text),
                (frame, _) => frames.push(frame),
            }
        }
        Ok(())
    };
    let mut result = Ok(());
    for (index, chunk) in chunks.into_iter().enumerate() {
        if index % 2 == 0 {
            parser.push(Bytes::copy_from_slice(chunk));
        } else {
            parser.push_slice(chunk);
        }
        result = result.and_then(|()| drain(&mut parser));
    }
    parser.finish(last);
    result = result.and_then(|()| drain(&mut parser));
    Read {
        error: result.err(),
        replaced: parser.replaced_sequences(),
        frames,
    }
}

fn parser(format: StreamFormat) -> StreamParser {
    StreamParser::new(format, ParserLimits::default())
}

#[track_caller]
fn check(format: StreamFormat, stream: &[u8], expected: &[Owned]) {
    let whole = read(parser(format), [stream], LastEvent::Drop);
    assert_eq!(whole.frames, expected);
    assert_eq!(whole.error, None);
    let bytewise = read(parser(format), stream.chunks(1), LastEvent::Drop);
    assert_eq!(bytewise, whole);
}

#[test]
fn lines_may_end_in_any_way() {
    for stream in [
        "data: a\n\ndata: b\n\n",
        "data: a\r\rdata: b\r\r",
        "data: a\r\n\r\ndata: b\r\n\r\n",
    ] {
        check(StreamFormat::Sse, stream.as_bytes(), &[data("a"), data("b")]);
    }
    check(
        StreamFormat::Sse,
        b"data: a\r\n\rdata: b\n\r\n",
        &[data("a"), data("b")],
    );
}

#[test]
fn several_data_lines_are_joined_by_line_feeds() {
    check(
        StreamFormat::Sse,
        b"data: one\ndata:two\ndata\ndata:  four\n\n",
        &[data("one\ntwo\n\n four")],
    );
}

#[test]
fn a_block_without_data_is_no_event_and_empty_data_is_one() {
    check(
        StreamFormat::Sse,
        b"event: ping\n\n\n\ndata\n\ndata:\n\n",
        &[data(""), data("")],
    );
}

#[test]
fn comments_and_unknown_fields_are_ignored() {
    check(
        StreamFormat::Sse,
        b": keep-alive\n\n:\nfoo: bar\ndata: a\n: within\nDATA: b\n data: c\n\n",
        &[data("a")],
    );
}

#[test]
fn a_type_belongs_to_its_event_and_an_id_to_all_that_follow() {
    let event = |kind: Option<&str>, text: &str, id: Option<&str>, retry: Option<u64>| {
        Owned::Sse(
            kind.map(str::to_owned),
            text.to_owned(),
            id.map(str::to_owned),
            retry.map(Duration::from_millis),
        )
    };
    check(
        StreamFormat::Sse,
        b"event: start\nid: 7\nretry: 1500\ndata: a\n\ndata: b\n\nid: with\0nul\nretry: 1s\ndata: c\n\nid\ndata: d\n\nevent:\ndata: e\n\n",
        &[
            event(Some("start"), "a", Some("7"), Some(1_500)),
            event(None, "b", Some("7"), None),
            event(None, "c", Some("7"), None),
            event(None, "d", None, None),
            event(None, "e", None, None),
        ],
    );
}

#[test]
fn id_and_retry_without_data_take_effect() {
    let mut parser = parser(StreamFormat::Sse);
    parser.push_slice(b"id: 9\nretry: 10\n\n");
    assert_eq!(parser.next_frame(), Ok(None));
    assert_eq!(parser.last_event_id(), Some("9"));
    assert_eq!(parser.retry(), Some(Duration::from_millis(10)));
}

#[test]
fn a_byte_order_mark_is_skipped_once() {
    check(
        StreamFormat::Sse,
        b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n",
        &[data("a")],
    );
    check(
        StreamFormat::Auto,
        b"\xEF\xBB\xBF{}\n",
        &[Owned::Line("{}".to_owned())],
    );
    check(
        StreamFormat::Text,
        b"\xEF\xBB\xBFhi",
        &[Owned::Text("hi".to_owned())],
    );
}

#[test]
fn the_last_event_is_dropped_or_kept_as_asked() {
    for stream in [&b"data: a\n\ndata: b"[..], b"data: a\n\ndata: b\n"] {
        let dropped = read(parser(StreamFormat::Sse), [stream], LastEvent::Drop);
        assert_eq!(dropped.frames, [data("a")]);
        let kept = read(parser(StreamFormat::Sse), [stream], LastEvent::Keep);
        assert_eq!(kept.frames, [data("a"), data("b")]);
    }
}

#[test]
fn a_last_json_line_without_its_end_is_not_lost() {
    check(
        StreamFormat::JsonLines,
        b"\n {\"a\":1} \r\n\n\n[2]",
        &[Owned::Line("{\"a\":1}".to_owned()), Owned::Line("[2]".to_owned())],
    );
}

#[test]
fn invalid_bytes_are_replaced_and_counted() {
    let read_all = |format, stream: &[u8]| {
        let whole = read(parser(format), [stream], LastEvent::Keep);
        assert_eq!(read(parser(format), stream.chunks(1), LastEvent::Keep), whole);
        whole
    };
    let sse = read_all(StreamFormat::Sse, b"event: \xFF\ndata: a\xE2\x82\ndata: \x80\n\n");
    assert_eq!(
        sse.frames,
        [Owned::Sse(
            Some("\u{FFFD}".to_owned()),
            "a\u{FFFD}\n\u{FFFD}".to_owned(),
            None,
            None
        )]
    );
    assert_eq!(sse.replaced, 3);
    let text = read_all(StreamFormat::Text, b"a\xF0\x9Fb\xE2\x82");
    assert_eq!(text.frames, [Owned::Text("a\u{FFFD}b\u{FFFD}".to_owned())]);
    assert_eq!(text.replaced, 2);
    let lines = read_all(StreamFormat::JsonLines, b"\"\xC3\"\n");
    assert_eq!(lines.frames, [Owned::Line("\"\u{FFFD}\"".to_owned())]);
}

#[test]
fn the_format_is_seen_from_the_first_bytes_that_decide_it() {
    let cases: [(&[u8], StreamFormat); 15] = [
        (b"data: x", StreamFormat::Sse),
        (b"data\n", StreamFormat::Sse),
        (b"event:x", StreamFormat::Sse),
        (b"id: 1", StreamFormat::Sse),
        (b"retry: 1", StreamFormat::Sse),
        (b"\r\n: hi", StreamFormat::Sse),
        (b"{", StreamFormat::JsonLines),
        (b" \n\t{", StreamFormat::JsonLines),
        (b"[ {", StreamFormat::JsonLines),
        (b"[Note]", StreamFormat::Text),
        (b" data: x", StreamFormat::Text),
        (b"database", StreamFormat::Text),
        (b"i", StreamFormat::Text),
        (b"evening", StreamFormat::Text),
        (&[b' '; 600], StreamFormat::Text),
    ];
    for (stream, expected) in cases {
        for step in [1, stream.len()] {
            let mut parser = parser(StreamFormat::Auto);
            for chunk in stream.chunks(step) {
                parser.push_slice(chunk);
                while parser.next_frame().unwrap().is_some() {}
            }
            parser.finish(LastEvent::Drop);
            while parser.next_frame().unwrap().is_some() {}
            assert_eq!(
                parser.format(),
                expected,
                "{:?} in steps of {step}",
                String::from_utf8_lossy(stream)
            );
        }
    }
}

#[test]
fn one_byte_decides_nothing_that_two_formats_share() {
    let mut parser = parser(StreamFormat::Auto);
    parser.push_slice(b"dat");
    assert_eq!(parser.next_frame(), Ok(None));
    assert_eq!(parser.format(), StreamFormat::Auto);
    parser.push_slice(b"e");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::Text("date"))));
}

#[test]
fn a_line_longer_than_the_limit_is_an_error_and_stays_one() {
    let limits = ParserLimits {
        max_line_bytes: 10,
        max_event_bytes: 25,
    };
    for format in [StreamFormat::Sse, StreamFormat::JsonLines] {
        let mut parser = StreamParser::new(format, limits);
        parser.push_slice(b"data: 7890\n\n");
        assert!(parser.next_frame().unwrap().is_some());
        parser.push_slice(b"data: 78901");
        let error = StreamError::LineTooLong { limit: 10 };
        while let Ok(Some(_)) = parser.next_frame() {}
        assert_eq!(parser.next_frame(), Err(error.clone()));
        parser.push_slice(b"\n\ndata: a\n\n");
        assert_eq!(parser.next_frame(), Err(error.clone()));
        assert_eq!(error.code(), "STREAM_LINE_TOO_LONG");
    }
    let many = read(
        StreamParser::new(StreamFormat::Sse, limits),
        [&b"data: 1\ndata: 2\ndata: 3\ndata: 4\n\n"[..]],
        LastEvent::Keep,
    );
    assert_eq!(many.error, Some(StreamError::EventTooLong { limit: 25 }));
    let comments = read(
        StreamParser::new(StreamFormat::Sse, limits),
        [&b": ping\n".repeat(100)[..]],
        LastEvent::Keep,
    );
    assert_eq!(comments.error, None);
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let mut parser = parser(StreamFormat::Text);
    parser.push_slice(b"a");
    parser.finish(LastEvent::Drop);
    parser.push_slice(b"b");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::Text("a"))));
    assert_eq!(parser.next_frame(), Ok(None));
}

#[test]
fn the_end_of_an_openai_stream_is_known() {
    let mut parser = parser(StreamFormat::Auto);
    parser.push_slice(b"data: [DONE]\n\n");
    assert!(matches!(parser.next_frame(), Ok(Some(Frame::Sse(event))) if event.is_done()));
}

/// Pieces that streams are made of, valid or not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "data: ",
            "data:",
            "data",
            "event: ",
            "event",
            "id: ",
            "id",
            "retry: ",
            "12",
            ": ",
            ":",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\r\r",
            "{\"a\": \"б\"}",
            "[1]",
            "привет",
            "🦀",
            "e\u{301}",
            " ",
            "\0",
            "\u{FEFF}",
            "[DONE]",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..5),
    ]
}

fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

#[test]
fn an_error_of_a_stream_may_pass_and_is_said_in_the_readers_language() {
    for error in [
        StreamError::LineTooLong { limit: 1 },
        StreamError::EventTooLong { limit: 1 },
    ] {
        assert!(error.recoverable());
        assert_eq!(
            error.user_message(Language::En),
            "The model's answer could not be read. Please try again."
        );
        assert_eq!(
            error.user_message(Language::Ru),
            "Не удалось прочитать ответ модели. Попробуйте ещё раз."
        );
    }
}

#[test]
fn only_the_line_that_says_done_is_the_end_of_an_openai_stream() {
    let mut parser = StreamParser::new(StreamFormat::Sse, ParserLimits::default());
    parser.push_slice(b"data: [DONE] \n\ndata: {}\n\n");
    for done in [true, false] {
        match parser.next_frame() {
            Ok(Some(Frame::Sse(event))) => assert_eq!(event.is_done(), done, "{}", event.data),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn of_raw_text_only_a_character_cut_in_two_is_waited_for() {
    let mut parser = StreamParser::new(StreamFormat::Text, ParserLimits::default());
    parser.push_slice(b"a\xFF");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::Text("a\u{FFFD}"))));
    parser.push_slice(b"b\xD0");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::Text("b"))));
    assert_eq!(parser.next_frame(), Ok(None));
    parser.push_slice(b"\xB6");
    assert_eq!(parser.next_frame(), Ok(Some(Frame::Text("ж"))));
}

proptest! {
    /// However the same bytes are cut into chunks, the events are the same, errors and counts included.
    #[test]
    fn cutting_changes_nothing(
        pieces in prop::collection::vec(piece(), 0..40),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        format in prop::sample::select(vec![StreamFormat::Auto, StreamFormat::Sse, StreamFormat::JsonLines, StreamFormat::Text]),
        last in prop::sample::select(vec![LastEvent::Drop, LastEvent::Keep]),
        max_line_bytes in prop::sample::select(vec![12, 40, 1_000]),
    ) {
        let stream = pieces.concat();
        let limits = ParserLimits { max_line_bytes, max_event_bytes: 60 };
        let whole = read(StreamParser::new(format, limits), [&stream[..]], last);
        let parts = read(StreamParser::new(format, limits), cut(&stream, &places), last);
        let bytewise = read(StreamParser::new(format, limits), stream.chunks(1), last);
        prop_assert_eq!(&parts.frames, &whole.frames);
        prop_assert_eq!(&parts.error, &whole.error);
        prop_assert_eq!(&bytewise.frames, &whole.frames);
        prop_assert_eq!(&bytewise.error, &whole.error);
        if whole.error.is_none() {
            prop_assert_eq!(parts.replaced, whole.replaced);
            prop_assert_eq!(bytewise.replaced, whole.replaced);
        }
    }

    /// A raw text is what a lossy decoder makes of the bytes.
    #[test]
    fn raw_text_is_decoded_as_a_whole(pieces in prop::collection::vec(piece(), 0..20)) {
        let stream = pieces.concat();
        let expected = String::from_utf8_lossy(&stream);
        let expected = expected.strip_prefix('\u{FEFF}').unwrap_or(&expected);
        let frames = read(parser(StreamFormat::Text), stream.chunks(3), LastEvent::Drop).frames;
        let text = match frames.as_slice() {
            [] => "",
            [Owned::Text(text)] => text,
            _ => panic!("{frames:?}"),
        };
        prop_assert_eq!(text, expected);
    }

    /// What was written as events is read as the same events.
    #[test]
    fn written_events_are_read_again(texts in prop::collection::vec("[^\r\0]{0,40}", 0..8)) {
        let mut stream = String::new();
        for text in &texts {
            for line in text.split('\n') {
                stream.push_str(&format!("data: {line}\n"));
            }
            stream.push('\n');
        }
        let frames = read(parser(StreamFormat::Sse), stream.as_bytes().chunks(7), LastEvent::Drop).frames;
        prop_assert_eq!(frames, texts.iter().map(|text| data(text)).collect::<Vec<_>>());
    }
}
