//! The Markdown of an answer that is still being written.
//!
//! What is open where the text ends is shown as if it were closed there, so that a draft looks like the message that will
//! take its place. Marks at the very end that say nothing yet are left out until more is known. The final message is
//! rendered without any of this.

use crate::markdown::{Rendered, parser, render_markdown, utf16_len};
use pulldown_cmark::{Event, Tag};
use std::borrow::Cow;
use std::ops::Range;

/// How far from the end a link without its end is looked for, in bytes.
const NEAR: usize = 300;
/// Marks that may open or close something when more comes.
const MARKS: [char; 6] = ['*', '_', '~', '`', '\\', '<'];

/// Renders Markdown that goes on. Like [`render_markdown`], never longer than its source.
pub fn render_unfinished(source: &str) -> Rendered {
    let text = without_fence(source);
    if in_code_block(text) {
        return render(source, text);
    }
    let text = without_undecided_line(text);
    let text = text.trim_end().trim_end_matches(MARKS);
    let mut open = open_marks(text);
    let mut text = Cow::Borrowed(text);
    if !open.ends_with('`')
        && let Some(plain) = without_begun_link(&text)
    {
        text = Cow::Owned(plain);
        open = open_marks(&text);
    }
    let shown = render(source, &text);
    if open.is_empty() {
        return shown;
    }
    let closing: String = open.chars().rev().collect();
    let closed = render(source, &format!("{}{closing}", text.trim_end()));
    // Marks that closed nothing would be seen themselves.
    let is_closed = utf16_len(&closed.text) + closing.len() <= utf16_len(&shown.text);
    if is_closed { closed } else { shown }
}

/// Of a text that holds nothing but marks so far the source is shown.
fn render(source: &str, text: &str) -> Rendered {
    render_markdown(if text.trim().is_empty() { source } else { text })
}

fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or_default()
}

/// Without a last line that begins or ends a block of code, or may do so yet.
fn without_fence(text: &str) -> &str {
    let line = last_line(text);
    let bare = line.trim();
    let is_fence = ["```", "~~~"].iter().any(|fence| bare.starts_with(fence))
        || (!bare.is_empty() && (bare.trim_matches('`').is_empty() || bare.trim_matches('~').is_empty()));
    match is_fence {
        true => text.strip_suffix(line).unwrap_or(text),
        false => text,
    }
}

/// Whether the text ends within a block of code.
fn in_code_block(text: &str) -> bool {
    let end = text.trim_end().len();
    parser(text).any(|(event, range)| matches!(event, Event::Start(Tag::CodeBlock(_))) && range.end >= end)
}

/// Without a last line of marks alone: it may become a heading, an item, a rule, or make a heading of the line above.
fn without_undecided_line(text: &str) -> &str {
    let line = last_line(text);
    let is_mark = |c: char| c.is_whitespace() || "-*+_#=~`|:>!\\[]".contains(c);
    let number = line.trim_start_matches(is_mark);
    let digits = number.trim_end_matches(['.', ')']);
    let is_number = digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Of a number with two points nothing will become an item.
    match is_number && number.len() <= digits.len() + 1 {
        true => text.strip_suffix(line).unwrap_or(text),
        false => text,
    }
}

/// The marks of emphasis and code that are open where the text ends, the outermost first.
fn open_marks(text: &str) -> String {
    // Marks that are part of nothing, each run as a whole; those of an earlier block close nothing here.
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (event, range) in parser(text) {
        match event {
            Event::Start(
                Tag::Paragraph
                | Tag::Heading { .. }
                | Tag::Item
                | Tag::TableCell
                | Tag::CodeBlock(_)
                | Tag::HtmlBlock,
            ) => runs.clear(),
            Event::Text(_) => {
                let mark = text.get(range.clone()).unwrap_or_default();
                let first = mark.chars().next().filter(|first| MARKS.contains(first));
                let Some(first) = first.filter(|first| mark.trim_matches(*first).is_empty()) else {
                    continue;
                };
                match runs.last_mut() {
                    Some(run)
                        if run.end == range.start
                            && text.get(run.start..).is_some_and(|run| run.starts_with(first)) =>
                    {
                        run.end = range.end;
                    }
                    Some(_) | None => runs.push(range),
                }
            }
            _ => {}
        }
    }
    let mut open = String::new();
    for run in runs {
        let mark = text.get(run.clone()).unwrap_or_default();
        let before = text
            .get(..run.start)
            .and_then(|before| before.chars().next_back());
        let after = text.get(run.end..).and_then(|after| after.chars().next());
        if opens(mark, before, after) {
            open.push_str(mark);
            // All else is code.
            if mark.starts_with('`') {
                break;
            }
        }
    }
    open
}

/// Whether a run of one mark that closes nothing and was not closed may be closed yet.
fn opens(mark: &str, before: Option<char>, after: Option<char>) -> bool {
    let Some(first) = mark.chars().next() else {
        return false;
    };
    let is_known = match first {
        '`' => true,
        '*' | '_' => mark.len() <= 3,
        // One alone stands for "about".
        '~' => mark.len() == 2,
        _ => false,
    };
    // Within a word it is part of a name, or the sign of a product.
    let in_word = before.is_some_and(char::is_alphanumeric) && (first == '_' || mark.len() == 1);
    is_known && (first == '`' || !in_word) && after.is_some_and(|after| !after.is_whitespace())
}

/// Of a link or image that has only begun, the words it will be shown by. `None` where there is none.
fn without_begun_link(text: &str) -> Option<String> {
    let begun = text.rfind('[')?;
    let rest = text.get(begun + 1..)?;
    if rest.len() > NEAR || rest.contains('\n') {
        return None;
    }
    let label = match rest.split_once(']') {
        None | Some((_, "")) => rest.trim_end_matches(']'),
        Some((label, target)) => {
            let address = target.strip_prefix('(')?;
            if address.contains([')', '(']) || address.contains(char::is_whitespace) {
                return None;
            }
            label
        }
    };
    let before = text.get(..begun)?;
    let before = before.strip_suffix('!').unwrap_or(before);
    // An escaped bracket is no link.
    (!before.ends_with('\\')).then(|| format!("{before}{label}"))
}
