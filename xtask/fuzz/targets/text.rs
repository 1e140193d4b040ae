//! Raw text: joined, the pieces are what a lossy decoder makes of all bytes at once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{Cut, OwnedFrame, check_stream, text_of};
use openclaw_streaming::{LastEvent, StreamFormat};

fuzz_target!(|data: &[u8]| {
    let cut = Cut::read(data);
    let frames = check_stream(cut, StreamFormat::Text, LastEvent::Keep);
    let text = text_of(cut.bytes);
    let expected: Vec<OwnedFrame> = (!text.is_empty())
        .then_some(OwnedFrame::Text(text))
        .into_iter()
        .collect();
    assert_eq!(frames, expected);
});
