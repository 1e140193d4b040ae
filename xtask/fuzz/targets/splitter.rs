//! The splitter: parts that fit, are not blank, and joined are the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_streaming::{LengthUnit, MessageLimit, split_message};

fuzz_target!(|input: (u8, u8, &str)| {
    let (unit, max, text) = input;
    let unit = [LengthUnit::Utf16, LengthUnit::Scalars, LengthUnit::Bytes][usize::from(unit % 3)];
    let limit = MessageLimit::new(usize::from(max), unit);
    let parts = split_message(text, limit);
    if limit.allows(text) {
        assert_eq!(parts.concat(), text);
        return;
    }
    for part in &parts {
        assert!(limit.allows(part), "{part:?} is longer than {limit:?}");
        assert!(!part.trim().is_empty(), "a blank part");
    }
    // Without fences nothing is added, and nothing but white space is lost at the cuts.
    let plain = text.replace(['`', '~'], "x");
    let parts = split_message(&plain, limit);
    let mut rest = plain.as_str();
    for part in &parts {
        let at = rest.find(part.as_ref()).expect("a part is a slice of the text");
        let (lost, after) = rest.split_at(at);
        assert!(lost.trim().is_empty(), "lost {lost:?}");
        rest = &after[part.len()..];
    }
    assert!(rest.trim().is_empty(), "lost {rest:?} at the end");
});
