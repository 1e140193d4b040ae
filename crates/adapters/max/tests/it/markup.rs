//! Markdown in MAX's dialect: examples, and what holds for any text.

use openclaw_max::render;
use proptest::prelude::*;

const LIMIT: usize = 4_000;

#[track_caller]
fn check(source: &str, expected: &str) {
    let shown = render(source, LIMIT);
    assert_eq!(shown.text, expected, "of {source:?}");
    assert!(shown.is_markdown, "{source:?}");
}

#[track_caller]
fn unmarked(source: &str, expected: &str) {
    let shown = render(source, LIMIT);
    assert_eq!((shown.text.as_str(), shown.is_markdown), (expected, false));
}

#[test]
fn inline_marks() {
    check("**b** *i* ~~s~~ `c`", "**b** _i_ ~~s~~ `c`");
    check("__b__ _i_", "**b** _i_");
    check("***both***", "_**both**_");
    check("in*side*word", "in*side*word");
    check("**😀 bold** x", "**😀 bold** x");
    check("`` a`b ``", "``a`b``");
    check("`` `a ``", "`` `a ``");
    check("**a *b* c**", "**a _b_ c**");
    check("# **Title**", "**Title**");
}

#[test]
fn what_has_no_marks_goes_as_it_stands() {
    unmarked("plain *", "plain *");
    unmarked("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name");
    unmarked("C++ and C++20", "C++ and C++20");
    unmarked("- a\n- b", "• a\n• b");
    unmarked("a &lt; b \\* c", "a < b * c");
    unmarked("", "");
}

#[test]
fn blocks() {
    check("# Title\n\ntext", "**Title**\n\ntext");
    check(
        "a\n\n```rust\nfn a() {}\n```\nb",
        "a\n\n```rust\nfn a() {}\n```\nb",
    );
    check("~~~\na ``` b\n~~~", "````\na ``` b\n````");
    check("- ```\n  x\n  ```\n- y", "• \n```\nx\n```\n• y");
    check("> one\n> **two**\n\nafter", "> one\n> **two**\n\nafter");
    check(
        "| a | b |\n|---|---|\n| 1 | 2 |\n\nafter",
        "```\n| a | b |\n|---|---|\n| 1 | 2 |\n```\n\nafter",
    );
}

#[test]
fn links_lead_to_the_web_only() {
    check("[docs](https://a.b/c)", "[docs](https://a.b/c)");
    check("[a](<https://a.b/(c) d>)", "[a](https://a.b/%28c%29%20d)");
    check("[a\\]b](https://a.b)", "a]b (https://a.b)");
    // A target of the platform's own would mention somebody.
    unmarked("[x](max://user/1)", "x (max://user/1)");
    check("**b** \\[x](max://user/1)", "**b** [x]\u{200b}(max://user/1)");
}

#[test]
fn what_only_max_reads_is_parted_beside_other_marks() {
    check("**C++** and C++20", "**C+\u{200b}+** and C+\u{200b}+20");
    check("**one** C++", "**one** C++");
    check("**b** `i++; j++`", "**b** `i++; j++`");
    check("**b** 2^^3 and 4^^5", "**b** 2^\u{200b}^3 and 4^\u{200b}^5");
}

#[test]
fn marks_are_left_out_where_there_is_no_room_and_code_comes_first() {
    let shown = render("# Head `a**b`", 11);
    assert_eq!(shown.text, "Head `a**b`");
    let shown = render("**bold**", 7);
    assert_eq!((shown.text.as_str(), shown.is_markdown), ("bold", false));
}

fn markdownish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zа-я ]{1,8}",
        2 => Just("😀".to_owned()),
        6 => prop::sample::select(vec![
            "**", "*", "_", "~~", "`", "```", "```rust\n", "\n", "\n\n", "\n- ", "\n1. ", "\n> ", "# ", "[", "](",
            ")", "https://a.b", "![", "|", "\n|---|\n", "    ", "\t", "\\", "&amp;", "<b>", "++", "^^", "\r\n", "\0",
            "\u{200d}", "e\u{301}", "- [x] ", "[a]: http://b\n",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

proptest! {
    /// Whatever the source and the limit: a text that fits still fits with its marks, and none of it is lost.
    #[test]
    fn marks_never_go_over_the_limit_and_lose_nothing(source in markdownish(), room in 0_usize..40) {
        let bare = openclaw_bot_http::render_markdown(&source).text;
        let limit = units(&bare) + room;
        let shown = render(&source, limit);
        prop_assert!(units(&shown.text) <= limit, "{:?} became {:?}", source, shown);
        let mut rest = shown.text.chars();
        for character in bare.chars() {
            prop_assert!(rest.any(|other| other == character), "{:?} lost {:?}", shown.text, character);
        }
    }

    #[test]
    fn any_text_is_survived(source in "\\PC{0,60}", limit in 0_usize..80) {
        let _ = render(&source, limit);
    }

    /// What was marked is read as the same by another reader of Markdown.
    #[test]
    fn marked_words_are_read_as_they_were_meant(
        words in prop::collection::vec(("[a-zа-я😀]{1,6}", 0_usize..6), 1..8),
    ) {
        let source: Vec<String> = words.iter().map(|(word, kind)| match kind {
            0 => format!("**{word}**"),
            1 => format!("*{word}*"),
            2 => format!("~~{word}~~"),
            3 => format!("`{word}`"),
            4 => format!("[{word}](https://a.b/{})", word.len()),
            _ => word.clone(),
        }).collect();
        let source = source.join(" ");
        let shown = render(&source, LIMIT);
        let (meant, read) = (
            openclaw_bot_http::render_markdown(&source),
            openclaw_bot_http::render_markdown(&shown.text),
        );
        prop_assert_eq!(meant, read);
    }
}
