//! Markdown in MAX's dialect: within the limit whatever the source, and nothing of the text is lost.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_bot_http::render_markdown;
use openclaw_max::render;

fuzz_target!(|input: (u8, &str)| {
    let (room, source) = input;
    let units = |text: &str| text.encode_utf16().count();
    let bare = render_markdown(source).text;
    let limit = units(&bare) + usize::from(room);
    let shown = render(source, limit);
    assert!(units(&shown.text) <= limit, "longer than it may be");
    let mut rest = shown.text.chars();
    for character in bare.chars() {
        assert!(rest.any(|other| other == character), "{character:?} is lost");
    }
    if !shown.is_markdown {
        assert_eq!(shown.text, bare);
    }
});
