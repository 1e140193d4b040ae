//! A model's Markdown in MAX's own.
//!
//! MAX reads another dialect than models write: no lists, tables or escapes, and marks that mean something else
//! (`++underlined++`, `^^highlighted^^`). So the source is read as CommonMark, and only what was found there is marked
//! again, in marks that MAX knows. A text without any goes without a format, and nothing in it is read as one.
//!
//! Marks cost length. The text itself is never longer than its source; marks are added while there is room, code first,
//! since what stands in it would else be read.

use openclaw_bot_http::markdown::utf16_len;
use openclaw_bot_http::{Entity, EntityKind, render_markdown};

/// The longest address of a link.
const MAX_URL: usize = 2_048;
/// Marks that MAX would read where models mean the characters themselves.
const MISREAD: [&str; 5] = ["++", "^^", "~~", "**", "__"];
/// Put between the characters of such a mark: it is not seen, and the mark is none any more.
const APART: char = '\u{200b}';

/// A text as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The text, with marks.
    pub text: String,
    /// Whether there are any.
    pub is_markdown: bool,
}

/// Renders Markdown within `limit` UTF-16 code units, if the text itself is within it.
pub fn render(source: &str, limit: usize) -> Shown {
    let rendered = render_markdown(source);
    let text = rendered.text;
    let mut room = limit.saturating_sub(utf16_len(&text));
    let ranges = Ranges::new(&text, rendered.entities);
    let mut marks: Vec<Mark> = Vec::new();
    // Code first, the rest in its order.
    for is_code in [true, false] {
        for range in ranges.0.iter().filter(|range| range.is_code() == is_code) {
            let Some(mark) = ranges.mark(&text, range) else {
                continue;
            };
            let cost = mark.cost(&text);
            if let Some(left) = room.checked_sub(cost) {
                room = left;
                marks.push(mark);
            }
        }
    }
    if marks.is_empty() {
        return Shown::plain(text);
    }
    // Outer ones before inner ones, as the ranges are.
    marks.sort_by(|a, b| {
        a.start
            .cmp(&b.start)
            .then(b.end.cmp(&a.end))
            .then(a.rank.cmp(&b.rank))
    });
    let apart = misread(&text, &ranges, room);
    Shown {
        text: write(&text, &marks, &apart),
        is_markdown: true,
    }
}

// === impl Shown ===

impl Shown {
    /// A text that is shown as it stands.
    pub fn plain(text: String) -> Self {
        Self {
            text,
            is_markdown: false,
        }
    }
}

/// The marked ranges of a text, by bytes. Any two are apart or one holds the other; outer ones come first.
struct Ranges(Vec<Range>);

struct Range {
    kind: EntityKind,
    start: usize,
    end: usize,
    /// Its place in the order: of two that cover the same, the earlier one is the outer one.
    rank: usize,
}

/// What is written around a range.
struct Mark {
    start: usize,
    end: usize,
    rank: usize,
    open: String,
    close: String,
    /// Written where each line of the range begins.
    line: &'static str,
}

// === impl Ranges ===

impl Ranges {
    fn new(text: &str, entities: Vec<Entity>) -> Self {
        // Positions rise, so one walk over the text finds all beginnings, and a second one all ends.
        let mut borders: Vec<usize> = entities
            .iter()
            .flat_map(|entity| [entity.offset, entity.offset + entity.length])
            .collect();
        borders.sort_unstable();
        borders.dedup();
        let (mut bytes, mut units, mut at) = (Vec::with_capacity(borders.len()), 0, 0);
        for (byte, character) in text.char_indices() {
            while borders.get(at).is_some_and(|border| *border <= units) {
                bytes.push(byte);
                at += 1;
            }
            units += character.len_utf16();
        }
        bytes.resize(borders.len(), text.len());
        let byte_of = |border: usize| {
            let at = borders.binary_search(&border).unwrap_or(borders.len());
            bytes.get(at).copied().unwrap_or(text.len())
        };
        let ranges = entities.into_iter().enumerate().map(|(rank, entity)| Range {
            start: byte_of(entity.offset),
            end: byte_of(entity.offset + entity.length),
            kind: entity.kind,
            rank,
        });
        Self(ranges.collect())
    }

    fn mark(&self, text: &str, range: &Range) -> Option<Mark> {
        let inside = text.get(range.start..range.end)?;
        let before = text.get(..range.start)?.chars().next_back();
        let after = text.get(range.end..)?.chars().next();
        let mut line = "";
        let (open, close) = match &range.kind {
            EntityKind::Bold | EntityKind::Italic | EntityKind::Strikethrough if self.is_repeated(range) => {
                return None;
            }
            EntityKind::Bold => ("**".to_owned(), "**".to_owned()),
            // Within a word underscores mark nothing; beside another mark asterisks would run together.
            EntityKind::Italic => {
                let in_word = [before, after].into_iter().flatten().any(char::is_alphanumeric);
                let mark = if in_word { "*" } else { "_" };
                (mark.to_owned(), mark.to_owned())
            }
            EntityKind::Strikethrough => ("~~".to_owned(), "~~".to_owned()),
            EntityKind::Code => {
                let fence = "`".repeat(longest_run(inside, '`') + 1);
                // A backtick at the border would lengthen the fence.
                let gap = if inside.starts_with('`') || inside.ends_with('`') {
                    " "
                } else {
                    ""
                };
                (format!("{fence}{gap}"), format!("{gap}{fence}"))
            }
            EntityKind::Pre { language } => {
                let fence = "`".repeat(longest_run(inside, '`').max(2) + 1);
                let begin = if before.is_none_or(|c| c == '\n') {
                    ""
                } else {
                    "\n"
                };
                let end = if after.is_none_or(|c| c == '\n') { "" } else { "\n" };
                let name: String = language
                    .iter()
                    .flat_map(|language| language.chars())
                    .filter(|c| !c.is_control() && !c.is_whitespace() && *c != '`')
                    .collect();
                (format!("{begin}{fence}{name}\n"), format!("\n{fence}{end}"))
            }
            // A fence within a quotation would need its mark on every line.
            EntityKind::Blockquote if self.holds_a_block(range) => return None,
            EntityKind::Blockquote => {
                line = "> ";
                (String::new(), String::new())
            }
            EntityKind::TextLink { url } => link(inside, url)?,
        };
        Some(Mark {
            start: range.start,
            end: range.end,
            rank: range.rank,
            open,
            close,
            line,
        })
    }

    /// Whether an outer range means the same: doubled marks would be read as something else.
    fn is_repeated(&self, range: &Range) -> bool {
        self.0.iter().any(|outer| {
            outer.rank < range.rank
                && outer.kind == range.kind
                && outer.start <= range.start
                && range.end <= outer.end
        })
    }

    fn holds_a_block(&self, range: &Range) -> bool {
        self.0.iter().any(|inner| {
            matches!(inner.kind, EntityKind::Pre { .. })
                && range.start <= inner.start
                && inner.end <= range.end
        })
    }

    /// Whether this byte stands in code, where nothing is read.
    fn is_in_code(&self, at: usize) -> bool {
        self.0
            .iter()
            .any(|range| range.is_code() && range.start <= at && at < range.end)
    }
}

// === impl Range ===

impl Range {
    fn is_code(&self) -> bool {
        matches!(self.kind, EntityKind::Code | EntityKind::Pre { .. })
    }
}

// === impl Mark ===

impl Mark {
    fn cost(&self, text: &str) -> usize {
        let inside = text.get(self.start..self.end).unwrap_or_default();
        let lines = inside.matches('\n').count() + 1;
        utf16_len(&self.open) + utf16_len(&self.close) + self.line.len() * lines
    }
}

/// A link's marks; of one whose words or address would end it too early only the address is written.
fn link(inside: &str, url: &str) -> Option<(String, String)> {
    if inside.contains(['[', ']', '\n']) || url.len() > MAX_URL {
        return Some((String::new(), format!(" ({url})")));
    }
    let mut target = String::with_capacity(url.len());
    for character in url.chars() {
        match character {
            '(' => target.push_str("%28"),
            ')' => target.push_str("%29"),
            '<' => target.push_str("%3C"),
            '>' => target.push_str("%3E"),
            space if space.is_whitespace() || space.is_control() => target.push_str("%20"),
            other => target.push(other),
        }
    }
    Some(("[".to_owned(), format!("]({target})")))
}

/// The places within characters that MAX would take for a mark, as long as there is room to part them.
fn misread(text: &str, ranges: &Ranges, mut room: usize) -> Vec<usize> {
    let mut apart = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for mark in MISREAD {
            let found: Vec<usize> = line
                .match_indices(mark)
                .map(|(at, _)| start + at)
                .filter(|at| !ranges.is_in_code(*at))
                .collect();
            // One alone marks nothing.
            if found.len() < 2 {
                continue;
            }
            for at in found {
                let Some(left) = room.checked_sub(1) else {
                    break;
                };
                room = left;
                apart.push(at + 1);
            }
        }
        // An escaped link is none, and must not mention anybody.
        for (at, _) in line.match_indices("](") {
            if let Some(left) = room.checked_sub(1).filter(|_| !ranges.is_in_code(start + at)) {
                room = left;
                apart.push(start + at + 1);
            }
        }
        start += line.len();
    }
    apart.sort_unstable();
    apart.dedup();
    apart
}

fn write(text: &str, marks: &[Mark], apart: &[usize]) -> String {
    let mut out = String::with_capacity(text.len() + marks.len() * 4);
    let mut open: Vec<&Mark> = Vec::new();
    let (mut marks, mut apart) = (marks.iter().peekable(), apart.iter().peekable());
    let mut begins_line = true;
    for (at, character) in text.char_indices() {
        while let Some(mark) = open.pop_if(|mark| mark.end <= at) {
            out.push_str(&mark.close);
        }
        if begins_line {
            open.iter().for_each(|mark| out.push_str(mark.line));
        }
        while let Some(mark) = marks.next_if(|mark| mark.start <= at) {
            out.push_str(mark.line);
            out.push_str(&mark.open);
            open.push(mark);
        }
        if apart.next_if(|place| **place <= at).is_some() {
            out.push(APART);
        }
        out.push(character);
        begins_line = character == '\n';
    }
    while let Some(mark) = open.pop() {
        out.push_str(&mark.close);
    }
    out
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
