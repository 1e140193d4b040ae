//! The splitter: parts within the limit that are the text, cut where it hurts least.

use openclaw_streaming::{LengthUnit, MessageLimit, split_message};
use proptest::prelude::*;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

fn utf16(max: usize) -> MessageLimit {
    MessageLimit::new(max, LengthUnit::Utf16)
}

#[track_caller]
fn check(text: &str, max: usize, expected: &[&str]) {
    assert_eq!(split_message(text, utf16(max)), expected);
}

#[test]
fn a_text_within_the_limit_is_one_part_untouched() {
    for text in [" \n```\nopen ", "a\u{301}", "12345678901234567890"] {
        check(text, 20, &[text]);
    }
    check("", 20, &[]);
    let long = "word ".repeat(10_000);
    assert_eq!(split_message(&long, MessageLimit::UNLIMITED), [long.as_str()]);
}

#[test]
fn a_paragraph_beyond_half_goes_before_a_later_sentence() {
    check(
        "Eleven char\n\nShort. One more",
        21,
        &["Eleven char", "Short. One more"],
    );
    // At half or before it, it does not.
    check(
        "Eleven char\n\nShort. One more",
        22,
        &["Eleven char\n\nShort.", "One more"],
    );
}

#[test]
fn a_sentence_beyond_a_third_goes_before_a_later_word() {
    check("Ten chars. And more words", 20, &["Ten chars.", "And more words"]);
    check(
        "Six c. And then more words",
        20,
        &["Six c. And then more", "words"],
    );
    check(
        "Line one 9\nand more words",
        20,
        &["Line one 9", "and more words"],
    );
    check("Он ушёл! И больше слов", 20, &["Он ушёл!", "И больше слов"]);
    check(
        "\"He left.\" And more words",
        20,
        &["\"He left.\"", "And more words"],
    );
}

#[test]
fn a_sentence_of_wide_script_needs_no_space_behind_it() {
    check(
        "今日は晴れです。明日は雨でしょう",
        12,
        &["今日は晴れです。", "明日は雨でしょう"],
    );
}

#[test]
fn a_word_beyond_a_quarter_goes_before_a_hard_cut() {
    check("uvwxyz abcdefghijklmnopq", 20, &["uvwxyz", "abcdefghijklmnopq"]);
    check(
        "vwxyz abcdefghijklmnopqrs",
        20,
        &["vwxyz abcdefghijklmn", "opqrs"],
    );
}

#[test]
fn lengths_are_counted_in_the_unit_of_the_platform() {
    let globes = "🌍🌍🌍🌍";
    check(globes, 4, &["🌍🌍", "🌍🌍"]);
    check(globes, 5, &["🌍🌍", "🌍🌍"]);
    let scalars = MessageLimit::new(3, LengthUnit::Scalars);
    assert_eq!(split_message(globes, scalars), ["🌍🌍🌍", "🌍"]);
    let bytes = MessageLimit::new(11, LengthUnit::Bytes);
    assert_eq!(split_message(globes, bytes), ["🌍🌍", "🌍🌍"]);
}

#[test]
fn graphemes_stay_whole_where_they_fit() {
    let family = "👨‍👩‍👧‍👦";
    check(&family.repeat(2), 12, &[family, family]);
    check("ae\u{301}e\u{301}", 4, &["ae\u{301}", "e\u{301}"]);
    // One that does not fit is cut between its characters rather than for ever.
    check(
        "e\u{301}\u{301}\u{301}\u{301}",
        3,
        &["e\u{301}\u{301}", "\u{301}\u{301}"],
    );
}

#[test]
fn limits_too_small_for_a_character_end_all_the_same() {
    for max in 0..3 {
        check("a🌍b", max, &["a", "🌍", "b"]);
    }
    check("a\n\nb  c", 0, &["a", "b", "c"]);
}

#[test]
fn indentation_survives_a_cut_and_blank_lines_do_not() {
    check(
        "A first line here.\n\n\n    indented text",
        20,
        &["A first line here.", "    indented text"],
    );
    check(
        "A first line here. \n  \n  two more",
        20,
        &["A first line here.", "  two more"],
    );
}

#[test]
fn a_list_marker_does_not_end_a_part() {
    check(
        "12345 abc defg\n10. the item",
        20,
        &["12345 abc defg", "10. the item"],
    );
    check(
        "abcdefghi jkl\n- x yz and more",
        17,
        &["abcdefghi jkl", "- x yz and more"],
    );
}

#[test]
fn white_space_alone_makes_no_part() {
    check(&" \n".repeat(50), 20, &[]);
    check(&format!("{}x", " ".repeat(50)), 20, &["x"]);
    check(&format!("x{}", "\n".repeat(50)), 20, &["x"]);
}

#[test]
fn a_link_or_address_is_not_cut_where_it_fits() {
    let link = "[the guide of it](https://example.org/a_b)";
    check(
        &format!("Some words here and then {link} and"),
        60,
        &["Some words here and then", &format!("{link} and")],
    );
    let address = "https://example.org/a/long/path/of/it";
    check(&format!("abcdefgh:{address}"), 40, &["abcdefgh:", address]);
    // One that fits nowhere is cut.
    check(
        &format!("https://{}", "a".repeat(40)),
        30,
        &[&format!("https://{}", "a".repeat(22)), &"a".repeat(18)],
    );
}

#[test]
fn markup_is_not_cut_where_it_fits() {
    check(
        "Some words and **bold words here** at end",
        30,
        &["Some words and", "**bold words here** at end"],
    );
    check(
        "Some words and `code words here` at end",
        30,
        &["Some words and", "`code words here` at end"],
    );
    check(
        "Some words and *it **bo ld** it* at end",
        30,
        &["Some words and", "*it **bo ld** it* at end"],
    );
}

#[test]
fn a_lone_marker_is_text() {
    check(
        "A 2 * 3 product and snake_case words here",
        30,
        &["A 2 * 3 product and snake_case", "words here"],
    );
    check(
        "A *note of\n\nmany words in it and more words",
        40,
        &["A *note of\n\nmany words in it and more", "words"],
    );
}

#[test]
fn a_cut_code_block_is_closed_and_opened_again_with_its_language() {
    let code = "let x = 1;\n".repeat(12);
    let text = format!("Code:\n```rust\n{code}```\nDone.");
    let parts = split_message(&text, utf16(100));
    assert_eq!(parts.len(), 2);
    assert_eq!(
        parts[0],
        format!("Code:\n```rust\n{}```", "let x = 1;\n".repeat(7))
    );
    assert_eq!(
        parts[1],
        format!("```rust\n{}```\nDone.", "let x = 1;\n".repeat(5))
    );
}

#[test]
fn a_code_block_cut_before_its_end_is_not_opened_again_for_nothing() {
    let text = format!("```\n{}\n```\n{}", "x".repeat(88), "y".repeat(70));
    let parts = split_message(&text, utf16(98));
    assert_eq!(parts, [format!("```\n{}\n```", "x".repeat(88)), "y".repeat(70)]);
}

#[test]
fn code_keeps_its_indentation_across_a_cut() {
    let text = format!("~~~py\n{}    return x\n~~~", "    x = x + 1\n".repeat(8));
    let parts = split_message(&text, utf16(100));
    assert!(parts[1].starts_with("~~~py\n    x = x + 1\n"), "{parts:?}");
    assert!(parts[1].ends_with("    return x\n~~~"), "{parts:?}");
}

#[test]
fn a_fence_in_a_list_is_closed_where_it_is_indented() {
    let text = format!("1. Do:\n   ```sh\n{}   ```", "   ls -la /srv\n".repeat(8));
    let parts = split_message(&text, utf16(100));
    assert!(parts[0].ends_with("   ls -la /srv\n   ```"), "{parts:?}");
    assert!(parts[1].starts_with("```sh\n   ls -la /srv\n"), "{parts:?}");
}

#[test]
fn hostile_text_is_split_in_linear_time() {
    // Each would take minutes if it took quadratic time.
    let sources = [
        "a",
        "*",
        "`",
        "[",
        "e\u{301}",
        "🇷🇺",
        "\u{301}",
        "a `b ``c ```d ",
        ")",
        "x\n```\n",
        "https://",
        " \u{a0}",
        "](",
        "```\n~~~\n",
        "**a",
        "\u{600}",
    ];
    for source in sources {
        let source = source.repeat((1 << 17) / source.len());
        let parts = split_message(&source, utf16(4_096));
        assert!(
            parts.len() <= 4 + 6 * source.len() / 4_096,
            "{} parts",
            parts.len()
        );
        split_message(&source, utf16(source.len() / 2));
    }
}

/// What model answers are made of. The info string and the fence markers contain no letter that is used elsewhere.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\n\n",
        "\r\n",
        ". ",
        "! ",
        "? ",
        "…",
        "。",
        ", ",
        "    ",
        "\t",
        "\n- ",
        "\n1. ",
        "**",
        "*",
        "_",
        "__",
        "[",
        "](",
        ")",
        "`",
        "https://a.b/",
        "🌍",
        "👨‍👩‍👧‍👦",
        "🇷🇺",
        "e\u{301}",
        " \u{301}",
        "क्षि",
        "\u{600}",
        "\n```ξ\n",
        "\n```\n",
        "\n~~~~\n",
        "x```",
        "\\",
        "\u{a0}",
    ]);
    prop_oneof![
        3 => fixed.prop_map(str::to_owned),
        2 => "[a-zа-я]{1,12}".prop_map(|word| word),
        1 => "[a-z]{30,60}".prop_map(|word| word),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..120).prop_map(|pieces| pieces.concat())
}

fn limit() -> impl Strategy<Value = MessageLimit> {
    let unit = prop::sample::select(vec![LengthUnit::Utf16, LengthUnit::Scalars, LengthUnit::Bytes]);
    (prop_oneof![0_usize..20, 20_usize..64, 64_usize..300], unit)
        .prop_map(|(max, unit)| MessageLimit::new(max, unit))
}

/// A text without white space and without what fences are made of.
fn essence(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '`' | '~' | 'ξ'))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No part is blank or over the limit; joined they are the text.
    #[test]
    fn parts_fit_and_are_the_text(text in text(), limit in limit()) {
        let parts = split_message(&text, limit);
        if limit.allows(&text) {
            prop_assert_eq!(parts.concat(), text);
            return Ok(());
        }
        for part in &parts {
            prop_assert!(limit.allows(part), "{part:?} of {limit:?}");
            prop_assert!(!part.trim().is_empty());
        }
        prop_assert_eq!(essence(&parts.concat()), essence(&text));
    }

    /// Without fences the parts are slices of the text, and nothing but white space lies between them; no cut falls
    /// inside a grapheme cluster.
    #[test]
    fn cuts_fall_between_graphemes_and_lose_only_white_space(text in text(), max in 30_usize..200) {
        let text = text.replace(['`', '~'], "x");
        let parts = split_message(&text, utf16(max));
        let mut end = 0;
        for part in &parts {
            let begin = end + text[end..].find(part.as_ref()).unwrap();
            prop_assert!(text[end..begin].trim().is_empty(), "lost {:?}", &text[end..begin]);
            // A space may be kept because a character combines with it; else the cut lost all of it.
            for place in [end, begin] {
                let whole = GraphemeCursor::new(place, text.len(), true).is_boundary(&text, 0);
                prop_assert_eq!(whole, Ok(true), "cut inside a grapheme at {}", place);
            }
            end = begin + part.len();
        }
        prop_assert!(text[end..].trim().is_empty());
    }

    /// Links and code spans that fit are found whole in a part.
    #[test]
    fn links_and_code_spans_that_fit_stay_whole(
        words in prop::collection::vec(prop_oneof![
            4 => "[a-z]{1,9}",
            1 => Just("[see this](https://example.org/x)".to_owned()),
            1 => Just("`some code`".to_owned()),
            1 => Just("https://example.org/page".to_owned()),
            1 => Just("**very bold**".to_owned()),
        ], 1..60),
        max in 40_usize..120,
    ) {
        let text = words.join(" ");
        let parts = split_message(&text, utf16(max));
        for whole in ["[see this](https://example.org/x)", "`some code`", "https://example.org/page", "**very bold**"] {
            let kept: usize = parts.iter().map(|part| part.matches(whole).count()).sum();
            prop_assert_eq!(kept, text.matches(whole).count(), "{} in {:?}", whole, parts);
        }
    }

    /// Every part of a text whose fences are closed has its fences closed, and its code carries its language.
    #[test]
    fn fences_are_closed_in_every_part(
        blocks in prop::collection::vec((prop::bool::ANY, prop::collection::vec("[a-z (){};]{0,40}", 1..8)), 1..8),
        max in 100_usize..250,
    ) {
        let mut text = String::new();
        for (code, lines) in &blocks {
            let lines = lines.join("\n");
            text.push_str(&if *code { format!("```rust\n{lines}\n```\n") } else { format!("{lines}\n\n") });
        }
        for part in split_message(&text, utf16(max)) {
            let fences: Vec<_> = part.lines().filter(|line| line.starts_with("```")).collect();
            for (index, line) in fences.iter().enumerate() {
                prop_assert_eq!(*line, if index % 2 == 0 { "```rust" } else { "```" }, "in {:?}", &part);
            }
            prop_assert!(fences.len() % 2 == 0 || split_message(&text, utf16(max)).len() == 1, "open in {:?}", &part);
        }
    }

    /// A part is not shorter than it has to be: with only short words, it is filled beyond a quarter.
    #[test]
    fn parts_of_plain_words_are_filled_beyond_a_quarter(words in prop::collection::vec("[a-z]{1,8}", 1..200), max in 40_usize..200) {
        let text = words.join(" ");
        let parts = split_message(&text, utf16(max));
        for part in parts.iter().rev().skip(1) {
            prop_assert!(part.graphemes(true).count() * 4 > max);
        }
    }
}
