//! The splitter on Markdown in many scripts: Latin, Cyrillic, Chinese and Japanese, emoji that are joined of several,
//! Hebrew and Arabic.

use openclaw_streaming::{LengthUnit, MessageLimit, split_message};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::string::string_regex;
use std::ops::Range;
use unicode_segmentation::GraphemeCursor;

/// A piece of a paragraph; what is not a word must not be cut where it fits.
#[derive(Clone, Debug)]
enum Inline {
    Word(String),
    Entity(String),
}

/// A block of Markdown.
#[derive(Clone, Debug)]
enum Block {
    Prose(&'static str, Vec<Inline>),
    Code(Vec<String>),
}

/// The longest entity that is generated, in UTF-16 code units.
const LONGEST_ENTITY: usize = 64;

/// A word of some script. None holds white space, or a character that is part of Markdown.
fn word() -> impl Strategy<Value = String> {
    let emoji = prop::sample::select(vec!["👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇷🇺", "1️⃣", "❤️", "👩🏽‍🚀", "🙂"]);
    let of = |pattern: &str| string_regex(pattern).expect("a pattern").boxed();
    Union::new([
        of("[a-zA-Zéüßñç]{1,12}"),
        of("e\u{301}[a-z]{0,6}o\u{308}"),
        of("[а-яёА-ЯЁ]{1,14}"),
        of("[一-龥]{1,12}[。！]?"),
        of("[ぁ-んァ-ンー]{1,12}"),
        of("[א-ת]{1,10}"),
        of("([ء-ي][\u{64B}-\u{652}]?){1,8}"),
        of("[क-ह]्[क-ह]ि[क-ह]{0,3}"),
        prop::collection::vec(emoji, 1..4)
            .prop_map(|emoji| emoji.concat())
            .boxed(),
    ])
}

fn inline() -> impl Strategy<Value = Inline> {
    prop_oneof![
        8 => word().prop_map(Inline::Word),
        1 => word().prop_map(|word| Inline::Entity(format!("**{word}**"))),
        1 => word().prop_map(|word| Inline::Entity(format!("`{word}`"))),
        1 => word().prop_map(|word| Inline::Entity(format!("[{word}](https://a.example/b_c)"))),
        1 => string_regex("[a-z]{1,8}").expect("a pattern").prop_map(|path| Inline::Entity(format!("https://a.example/{path}"))),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    let opening = prop::sample::select(vec!["", "", "", "## ", "- ", "1. ", "> "]);
    prop_oneof![
        5 => (opening, prop::collection::vec(inline(), 1..30))
            .prop_map(|(opening, inlines)| Block::Prose(opening, inlines)),
        1 => prop::collection::vec(word(), 1..8).prop_map(Block::Code),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    4 * LONGEST_ENTITY..700
}

/// The text, and where the entities of its prose stand.
fn written(blocks: &[Block]) -> (String, Vec<Range<usize>>) {
    let (mut text, mut entities) = (String::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Prose(opening, inlines) => {
                text += opening;
                for inline in inlines {
                    let begin = text.len();
                    match inline {
                        Inline::Word(word) => text += word,
                        Inline::Entity(entity) => {
                            text += entity;
                            entities.push(begin..text.len());
                        }
                    }
                    text.push(' ');
                }
            }
            Block::Code(lines) => text += &format!("```rust\n{}\n```", lines.join("\n")),
        }
        text += "\n\n";
    }
    (text, entities)
}

/// Without white space and without what fences are made of.
fn essence(text: &str) -> String {
    let text = text.replace("```rust", "").replace("```", "");
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn split(text: &str, max: usize) -> Vec<String> {
    let limit = MessageLimit::new(max, LengthUnit::Utf16);
    split_message(text, limit)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_part_is_blank_or_over_the_limit_and_joined_they_are_the_text(
        blocks in prop::collection::vec(block(), 1..12),
        max in limit(),
    ) {
        let (text, _) = written(&blocks);
        let parts = split(&text, max);
        for part in &parts {
            prop_assert!(part.encode_utf16().count() <= max, "{part:?}");
            prop_assert!(!part.trim().is_empty());
        }
        prop_assert_eq!(essence(&parts.concat()), essence(&text));
        if text.encode_utf16().count() <= max {
            prop_assert_eq!(parts, [text]);
        }
    }

    #[test]
    fn no_cut_falls_inside_a_grapheme_a_link_or_other_markup(
        blocks in prop::collection::vec(block(), 1..8),
        max in limit(),
    ) {
        let prose: Vec<_> = blocks
            .into_iter()
            .filter(|block| matches!(block, Block::Prose(..)))
            .collect();
        let (text, entities) = written(&prose);
        let mut end = 0;
        for part in split(&text, max) {
            let begin = end + text[end..].find(&part).unwrap();
            prop_assert!(text[end..begin].trim().is_empty(), "lost {:?}", &text[end..begin]);
            for place in [begin, begin + part.len()] {
                let whole = GraphemeCursor::new(place, text.len(), true).is_boundary(&text, 0);
                prop_assert_eq!(whole, Ok(true), "inside a grapheme at {}", place);
                for entity in &entities {
                    let inside = entity.start < place && place < entity.end;
                    let length = text[entity.clone()].encode_utf16().count();
                    prop_assert!(!inside || length > LONGEST_ENTITY, "inside {:?}", &text[entity.clone()]);
                }
            }
            end = begin + part.len();
        }
        prop_assert!(text[end..].trim().is_empty());
    }

    #[test]
    fn a_fence_that_is_cut_is_closed_and_opened_again_with_its_language(
        blocks in prop::collection::vec(block(), 1..12),
        max in limit(),
    ) {
        let (text, _) = written(&blocks);
        for part in split(&text, max) {
            let fences: Vec<_> = part.lines().filter(|line| line.starts_with("```")).collect();
            prop_assert!(fences.len() % 2 == 0, "open in {:?}", &part);
            for pair in fences.chunks(2) {
                prop_assert_eq!(pair, &["```rust", "```"], "in {:?}", &part);
            }
        }
    }
}
