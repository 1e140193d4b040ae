//! JSON Lines: the same however cut, and the same as the lines of the whole text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{Cut, OwnedFrame, check_stream};
use openclaw_streaming::{LastEvent, StreamFormat};

fuzz_target!(|data: &[u8]| {
    let cut = Cut::read(data);
    let frames = check_stream(cut, StreamFormat::JsonLines, LastEvent::Keep);
    let bytes = cut.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(cut.bytes);
    let lines: Vec<OwnedFrame> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line.trim_ascii()).into_owned())
        .filter(|line| !line.is_empty())
        .map(OwnedFrame::Line)
        .collect();
    assert_eq!(frames, lines);
});
