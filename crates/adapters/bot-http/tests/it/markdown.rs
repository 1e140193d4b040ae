//! Markdown as text and entities: examples, and what holds for any text.

use openclaw_bot_http::{EntityKind, Rendered, render_markdown, render_unfinished};
use proptest::prelude::*;

/// `kind@offset+length` for each entity, after the text.
fn describe(rendered: &Rendered) -> (String, Vec<String>) {
    let entities = rendered.entities.iter().map(|entity| {
        let kind = match &entity.kind {
            EntityKind::Bold => "bold".to_owned(),
            EntityKind::Italic => "italic".to_owned(),
            EntityKind::Strikethrough => "strike".to_owned(),
            EntityKind::Code => "code".to_owned(),
            EntityKind::Pre { language } => format!("pre:{}", language.as_deref().unwrap_or("")),
            EntityKind::Blockquote => "quote".to_owned(),
            EntityKind::TextLink { url } => format!("link:{url}"),
        };
        format!("{kind}@{}+{}", entity.offset, entity.length)
    });
    (rendered.text.clone(), entities.collect())
}

#[track_caller]
fn check(source: &str, text: &str, entities: &[&str]) {
    let (actual, found) = describe(&render_markdown(source));
    assert_eq!(actual, text, "text of {source:?}");
    assert_eq!(found, entities, "entities of {source:?}");
}

#[test]
fn inline_markup() {
    check("plain text", "plain text", &[]);
    check(
        "**b** _i_ ~~s~~ `c`",
        "b i s c",
        &["bold@0+1", "italic@2+1", "strike@4+1", "code@6+1"],
    );
    check("***both***", "both", &["italic@0+4", "bold@0+4"]);
    check("😀 **b**", "😀 b", &["bold@3+1"]);
    check("a &lt; b &amp; c \\* d", "a < b & c * d", &[]);
    check(
        "2 * 3 * 4 and snake_case_name",
        "2 * 3 * 4 and snake_case_name",
        &[],
    );
    check("line one\nline two", "line one\nline two", &[]);
    check("**never closed", "**never closed", &[]);
    check("<b>not html</b> & <think>", "<b>not html</b> & <think>", &[]);
}

#[test]
fn links_lead_to_the_web_only() {
    check("[docs](https://a.b/c)", "docs", &["link:https://a.b/c@0+4"]);
    check("<https://a.b>", "https://a.b", &[]);
    check("[x](tg://user?id=1)", "x (tg://user?id=1)", &[]);
    check("[x](javascript:alert(1))", "x (javascript:alert(1))", &[]);
    check("[readme](docs/a.md)", "readme (docs/a.md)", &[]);
    check(
        "![alt](https://a.b/i.png)",
        "alt",
        &["link:https://a.b/i.png@0+3"],
    );
    check("**[x](http://y)**", "x", &["bold@0+1", "link:http://y@0+1"]);
}

#[test]
fn blocks() {
    check("# Title\n\ntext", "Title\n\ntext", &["bold@0+5"]);
    check("# Title\ntext", "Title\ntext", &["bold@0+5"]);
    check("one\n\n\n\ntwo", "one\n\ntwo", &[]);
    check(
        "before\n\n```rust\nfn a() {}\n\n  b\n```\nafter",
        "before\n\nfn a() {}\n\n  b\nafter",
        &["pre:rust@8+14"],
    );
    check("```\nx\n```", "x", &["pre:@0+1"]);
    check(
        "> quoted\n> more\n\nafter",
        "quoted\nmore\n\nafter",
        &["quote@0+11"],
    );
    check("a\n\n---\n\nb", "a\n\n———\n\nb", &[]);
    check(
        "| a | b |\n|---|---|\n| 1 | 2 |\n\nafter",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\nafter",
        &["pre:@0+29"],
    );
}

#[test]
fn lists() {
    check("- a\n- b", "• a\n• b", &[]);
    check("3. a\n4. b", "3. a\n4. b", &[]);
    check("- a\n  - b\n    - c\n- d", "• a\n  • b\n    • c\n• d", &[]);
    check(
        "intro:\n\n* **a**: x\n* b",
        "intro:\n\n• a: x\n• b",
        &["bold@10+1"],
    );
    check("- [ ] open\n- [x] done", "• [ ] open\n• [x] done", &[]);
    check("- a\n\n- b", "• a\n\n• b", &[]);
    check("1. a\n\n   more\n2. b", "1. a\n\nmore\n2. b", &[]);
    check("- a\n\nafter", "• a\n\nafter", &[]);
}

#[test]
fn what_would_be_empty_stays_as_it_is() {
    check("[](https://a.b)", "https://a.b", &[]);
    check("", "", &[]);
    check("[a]: https://b.c", "[a]: https://b.c", &[]);
}

/// What is shown of a text that goes on.
#[track_caller]
fn check_unfinished(source: &str, text: &str, entities: &[&str]) {
    let (actual, found) = describe(&render_unfinished(source));
    assert_eq!(actual, text, "text of {source:?}");
    assert_eq!(found, entities, "entities of {source:?}");
}

#[test]
fn what_is_open_at_the_end_of_a_draft_is_shown_as_if_it_were_closed() {
    check_unfinished("so **bo", "so bo", &["bold@3+2"]);
    check_unfinished("so **bold*", "so bold", &["bold@3+4"]);
    check_unfinished("so **bold** and", "so bold and", &["bold@3+4"]);
    check_unfinished("**all *of it", "all of it", &["bold@0+9", "italic@4+5"]);
    check_unfinished("run `cargo te", "run cargo te", &["code@4+8"]);
    check_unfinished("run `a[i] * b", "run a[i] * b", &["code@4+8"]);
    check_unfinished("~~gone", "gone", &["strike@0+4"]);
    check_unfinished("- a\n- **b", "• a\n• b", &["bold@6+1"]);
    check_unfinished("**a\n\nb *c", "**a\n\nb c", &["italic@7+1"]);
    check_unfinished("```rust\nfn main() {", "fn main() {", &["pre:rust@0+11"]);
    check_unfinished("```rust\nfn main() {}\n``", "fn main() {}", &["pre:rust@0+12"]);
    check_unfinished("```\nlet a = b[**c", "let a = b[**c", &["pre:@0+13"]);
    check_unfinished("so:\n```ru", "so:", &[]);
}

#[test]
fn what_says_nothing_yet_is_left_out_of_a_draft() {
    check_unfinished("so **", "so", &[]);
    check_unfinished("# ", "# ", &[]);
    check_unfinished("text\n-", "text", &[]);
    check_unfinished("text\n---", "text", &[]);
    check_unfinished("text\n1.", "text", &[]);
    check_unfinished("text\n## Head", "text\nHead", &["bold@5+4"]);
    check_unfinished("see [the do", "see the do", &[]);
    check_unfinished("see [the docs]", "see the docs", &[]);
    check_unfinished("see [the docs](https://a.b/c", "see the docs", &[]);
    check_unfinished(
        "see [the docs](https://a.b/c)",
        "see the docs",
        &["link:https://a.b/c@4+8"],
    );
    check_unfinished("see ![a pict", "see a pict", &[]);
}

#[test]
fn a_mark_that_may_be_none_stays_in_a_draft() {
    check_unfinished("2 * 3", "2 * 3", &[]);
    check_unfinished("2*3", "2*3", &[]);
    check_unfinished("a snake_case", "a snake_case", &[]);
    check_unfinished("about ~5 minutes", "about ~5 minutes", &[]);
    check_unfinished("a < b", "a < b", &[]);
    check_unfinished("\\*not this", "*not this", &[]);
    check_unfinished("plain text", "plain text", &[]);
}

fn markdownish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zа-я ]{1,8}",
        2 => Just("😀".to_owned()),
        6 => prop::sample::select(vec![
            "**", "*", "_", "~~", "`", "```", "```rust\n", "\n", "\n\n", "\n- ", "\n1. ", "\n> ", "# ", "[", "](",
            ")", "https://a.b", "![", "|", "\n|---|\n", "    ", "\t", "\\", "&amp;", "<b>", "<!--", "---", "\r\n", "\0",
            "\u{200d}", "e\u{301}", "- [x] ", "[a]: http://b\n", "\n===\n",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn holds(source: &str) -> Result<(), TestCaseError> {
    for render in [render_markdown, render_unfinished] {
        promises(source, render(source))?;
    }
    Ok(())
}

fn promises(source: &str, rendered: Rendered) -> Result<(), TestCaseError> {
    let Rendered { text, entities } = rendered;
    let units = |text: &str| text.encode_utf16().count();
    prop_assert!(
        units(&text) <= units(source),
        "{:?} became longer: {:?}",
        source,
        text
    );
    prop_assert_eq!(text.trim().is_empty(), source.trim().is_empty());
    let mut borders = vec![0];
    for character in text.chars() {
        borders.push(borders.last().unwrap() + character.len_utf16());
    }
    for entity in &entities {
        prop_assert!(entity.length > 0);
        prop_assert!(
            borders.binary_search(&entity.offset).is_ok(),
            "{:?} in {:?}",
            entity,
            text
        );
        prop_assert!(
            borders.binary_search(&(entity.offset + entity.length)).is_ok(),
            "{:?} in {:?}",
            entity,
            text
        );
    }
    for pair in entities.windows(2) {
        prop_assert!(
            (pair[0].offset, usize::MAX - pair[0].length) <= (pair[1].offset, usize::MAX - pair[1].length)
        );
    }
    for (index, outer) in entities.iter().enumerate() {
        for inner in &entities[index + 1..] {
            let outer_end = outer.offset + outer.length;
            prop_assert!(
                inner.offset >= outer_end || inner.offset + inner.length <= outer_end,
                "{:?} and {:?} overlap in {:?}",
                outer,
                inner,
                text
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn rendering_any_markdown_keeps_the_promises(source in markdownish()) {
        holds(&source)?;
    }

    #[test]
    fn rendering_any_text_keeps_the_promises(source in "\\PC{0,60}") {
        holds(&source)?;
    }
}
