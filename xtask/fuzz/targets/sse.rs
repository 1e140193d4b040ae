//! Server-sent events: the same however cut, and the same as the standard's own words, followed naively.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{Cut, OwnedFrame, check_stream, text_of};
use openclaw_streaming::{LastEvent, StreamFormat};
use std::time::Duration;

fuzz_target!(|data: &[u8]| {
    let cut = Cut::read(data);
    for last in [LastEvent::Drop, LastEvent::Keep] {
        let frames = check_stream(cut, StreamFormat::Sse, last);
        assert_eq!(frames, interpret(&text_of(cut.bytes), last));
    }
});

/// The event stream of the HTML standard, over the whole text at once.
fn interpret(text: &str, last: LastEvent) -> Vec<OwnedFrame> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    match last {
        // What no line end follows is not a line.
        LastEvent::Drop => {
            lines.pop();
        }
        LastEvent::Keep => lines.push(""),
    }
    let mut frames = Vec::new();
    let (mut kind, mut data, mut id) = (None, None::<String>, None);
    let mut retry = None;
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.take() {
                frames.push(OwnedFrame::Sse(kind, data, id.clone(), retry));
            }
            (kind, retry) = (None, None);
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = Some(value.to_owned()).filter(|kind| !kind.is_empty()),
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => id = Some(value.to_owned()).filter(|id| !id.is_empty()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                // Too large for any wait is as good as the largest.
                retry = Some(Duration::from_millis(value.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    frames
}
