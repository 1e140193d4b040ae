//! Markdown as Telegram's text and entities, whole or still being written: never longer than its source, entities at
//! characters and well nested.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_telegram::{Rendered, render_markdown, render_unfinished};

fuzz_target!(|source: &str| {
    check(source, &render_markdown(source));
    check(source, &render_unfinished(source));
});

fn check(source: &str, rendered: &Rendered) {
    let units = |text: &str| text.encode_utf16().count();
    assert!(units(&rendered.text) <= units(source), "longer than its source");
    assert_eq!(rendered.text.trim().is_empty(), source.trim().is_empty());
    let mut borders = vec![0];
    let mut at = 0;
    for character in rendered.text.chars() {
        at += character.len_utf16();
        borders.push(at);
    }
    for (index, outer) in rendered.entities.iter().enumerate() {
        let end = outer.offset + outer.length;
        assert!(outer.length > 0);
        assert!(borders.binary_search(&outer.offset).is_ok() && borders.binary_search(&end).is_ok());
        for inner in &rendered.entities[index + 1..] {
            assert!(
                inner.offset >= end || inner.offset + inner.length <= end,
                "{outer:?} and {inner:?} overlap"
            );
        }
    }
}
