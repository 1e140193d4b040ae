//! A model's Markdown as text and marked ranges of it.
//!
//! Parsed as CommonMark and sent as positions, so that nothing a model writes can be refused for its formatting. Only
//! markup is taken away: the text is never longer than its source, in UTF-16 code units, and so a source that was cut
//! to fit still fits.

use pulldown_cmark::{CodeBlockKind, Event, OffsetIter, Options, Parser, Tag, TagEnd};

/// A text and what its parts mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text without markup.
    pub text: String,
    /// Sorted by offset, longer ones first; any two are apart or one holds the other.
    pub entities: Vec<Entity>,
}

/// A part of a text and what it means. Positions count UTF-16 code units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// What it means.
    pub kind: EntityKind,
    /// Where it begins.
    pub offset: usize,
    /// How long it is; never 0.
    pub length: usize,
}

/// What a part of a text means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityKind {
    /// Strong emphasis, and headings.
    Bold,
    /// Emphasis.
    Italic,
    /// Struck through.
    Strikethrough,
    /// Code within a line.
    Code,
    /// A block of code, or a table.
    Pre {
        /// The language of the code, where it is named.
        language: Option<String>,
    },
    /// A quotation.
    Blockquote,
    /// A link with a text of its own.
    TextLink {
        /// Where it leads; `http` or `https`.
        url: String,
    },
}

/// Renders Markdown. What cannot be rendered within the length of its source comes back as it stands.
pub fn render_markdown(source: &str) -> Rendered {
    let mut writer = Writer::new(source);
    for (event, range) in parser(source) {
        writer.event(event, range.start, range.end);
    }
    let rendered = writer.finish();
    let fits = utf16_len(&rendered.text) <= utf16_len(source);
    if rendered.text.trim().is_empty() || !fits {
        return Rendered {
            text: source.to_owned(),
            entities: Vec::new(),
        };
    }
    rendered
}

/// What the Markdown says, with its places in the source.
pub(crate) fn parser(source: &str) -> OffsetIter<'_> {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    Parser::new_ext(source, options).into_offset_iter()
}

/// What an open tag will become when it ends.
enum Open {
    Entity {
        kind: Option<EntityKind>,
        offset: usize,
    },
    Link {
        url: String,
        offset: usize,
        at_byte: usize,
    },
}

struct Writer<'a> {
    source: &'a str,
    text: String,
    /// The length of `text` in UTF-16 code units.
    units: usize,
    entities: Vec<Entity>,
    open: Vec<Open>,
    /// For each open list the number of its next item; `None` for bullets.
    lists: Vec<Option<u64>>,
    quotes: usize,
    /// Where in the source the last thing written ended: line breaks from here on separate blocks.
    written_to: usize,
    /// Inside a table, whose source is shown as it stands.
    table: bool,
    /// An item's marker was written and nothing after it.
    after_marker: bool,
    in_code_block: bool,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            text: String::with_capacity(source.len()),
            units: 0,
            entities: Vec::new(),
            open: Vec::new(),
            lists: Vec::new(),
            quotes: 0,
            written_to: 0,
            table: false,
            after_marker: false,
            in_code_block: false,
        }
    }

    fn event(&mut self, event: Event<'a>, start: usize, end: usize) {
        if self.table {
            if matches!(event, Event::End(TagEnd::Table)) {
                self.table = false;
                self.block_ends(end);
            }
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag, start, end),
            Event::End(tag) => self.end(tag, end),
            Event::Text(text) => {
                self.push(&text);
                self.written_to = end;
            }
            Event::Code(code) => {
                let offset = self.units;
                self.push(&code);
                self.entity(EntityKind::Code, offset);
                self.written_to = end;
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                self.push(&html);
                self.block_ends(end);
            }
            Event::SoftBreak | Event::HardBreak => {
                self.push("\n");
                self.written_to = end;
            }
            Event::Rule => {
                self.separate(start);
                self.push("———");
                self.block_ends(end);
            }
            Event::TaskListMarker(done) => {
                self.push(if done { "[x] " } else { "[ ] " });
                self.written_to = end;
            }
            // Not switched on; should they come, their source is shown.
            Event::FootnoteReference(_) | Event::InlineMath(_) | Event::DisplayMath(_) => {
                self.push(self.source.get(start..end).unwrap_or_default());
                self.written_to = end;
            }
        }
    }

    fn start(&mut self, tag: Tag<'a>, start: usize, end: usize) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.separate(start),
            Tag::Heading { .. } => {
                self.separate(start);
                self.open(Some(EntityKind::Bold));
            }
            Tag::BlockQuote(_) => {
                self.separate(start);
                self.quotes += 1;
                // Platforms know no quotation within a quotation.
                self.open((self.quotes == 1).then_some(EntityKind::Blockquote));
            }
            Tag::CodeBlock(kind) => {
                self.separate(start);
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info
                        .split([' ', ',', '{', '\t'])
                        .next()
                        .filter(|language| !language.is_empty())
                        .map(str::to_owned),
                    CodeBlockKind::Indented => None,
                };
                self.in_code_block = true;
                self.open(Some(EntityKind::Pre { language }));
            }
            Tag::List(first) => {
                self.separate(start);
                self.lists.push(first);
            }
            Tag::Item => self.item(start),
            Tag::Table(_) => {
                self.separate(start);
                let offset = self.units;
                let source = self.source.get(start..end).unwrap_or_default();
                self.push(source.trim_end());
                self.entity(EntityKind::Pre { language: None }, offset);
                self.table = true;
            }
            Tag::Emphasis => self.open(Some(EntityKind::Italic)),
            Tag::Strong => self.open(Some(EntityKind::Bold)),
            Tag::Strikethrough => self.open(Some(EntityKind::Strikethrough)),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.open.push(Open::Link {
                url: dest_url.into_string(),
                offset: self.units,
                at_byte: self.text.len(),
            }),
            // Never balanced by `end`: parts of tables, which are skipped, and what is not switched on.
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, end: usize) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.close(end),
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.close_trimmed(end);
            }
            TagEnd::CodeBlock => {
                self.in_code_block = false;
                self.close_trimmed(end);
            }
            TagEnd::HtmlBlock => self.trim_newlines(),
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Link | TagEnd::Image => self.close(end),
            _ => {}
        }
    }

    fn item(&mut self, start: usize) {
        self.separate(start);
        for _ in 1..self.lists.len() {
            if !self.after_marker {
                self.push("  ");
            }
        }
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            _ => "• ".to_owned(),
        };
        self.push(&marker);
        self.written_to = start;
        self.after_marker = true;
    }

    /// Puts as many line breaks before a block as stand before it in the source, two at most.
    fn separate(&mut self, start: usize) {
        if self.after_marker || self.text.is_empty() {
            self.written_to = self.written_to.max(start);
            return;
        }
        let gap = self.source.get(self.written_to..start).unwrap_or_default();
        let breaks = gap.bytes().filter(|byte| *byte == b'\n').count();
        let present = self.text.bytes().rev().take_while(|byte| *byte == b'\n').count();
        for _ in present..breaks.min(2) {
            self.push("\n");
        }
        self.written_to = self.written_to.max(start);
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.after_marker = false;
        // Carriage returns only confuse positions; NUL is refused.
        for part in text.split(['\r', '\0']) {
            self.units += utf16_len(part);
            self.text.push_str(part);
        }
    }

    fn open(&mut self, kind: Option<EntityKind>) {
        self.open.push(Open::Entity {
            kind,
            offset: self.units,
        });
    }

    fn close(&mut self, end: usize) {
        match self.open.pop() {
            Some(Open::Entity {
                kind: Some(kind),
                offset,
            }) => self.entity(kind, offset),
            Some(Open::Link { url, offset, at_byte }) => self.close_link(url, offset, at_byte),
            Some(Open::Entity { kind: None, .. }) | None => {}
        }
        self.block_ends(end);
    }

    /// A block's range may hold its line break, which separates it from what follows.
    fn block_ends(&mut self, end: usize) {
        let closed = self.source.get(..end).unwrap_or_default();
        self.written_to = self.written_to.max(closed.trim_end_matches(['\n', '\r']).len());
    }

    /// Closes a block whose last line break belongs to what follows.
    fn close_trimmed(&mut self, end: usize) {
        self.trim_newlines();
        self.close(end);
        let block = self.source.get(..end).unwrap_or_default();
        self.written_to = block.trim_end_matches(['\n', '\r', ' ', '>']).len();
    }

    fn trim_newlines(&mut self) {
        while self.text.ends_with('\n') {
            self.text.pop();
            self.units = self.units.saturating_sub(1);
        }
        let units = self.units;
        for entity in &mut self.entities {
            entity.length = entity.length.min(units.saturating_sub(entity.offset));
        }
    }

    /// Only web addresses become links. Any other target is written beside the text: it would be refused, or would
    /// mention somebody.
    fn close_link(&mut self, url: String, offset: usize, at_byte: usize) {
        let shown = self.text.get(at_byte..).unwrap_or_default();
        let is_web = ["https://", "http://"].iter().any(|scheme| {
            url.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if shown == url || (shown.is_empty() && url.is_empty()) {
            return;
        }
        if shown.trim().is_empty() {
            self.push(&url);
        } else if is_web {
            self.entity(EntityKind::TextLink { url }, offset);
        } else if !url.is_empty() && url.strip_prefix("mailto:") != Some(shown) {
            self.push(" (");
            self.push(&url);
            self.push(")");
        }
    }

    fn entity(&mut self, kind: EntityKind, offset: usize) {
        let length = self.units.saturating_sub(offset);
        if length > 0 {
            self.entities.push(Entity { kind, offset, length });
        }
    }

    fn finish(mut self) -> Rendered {
        let kept = self.text.trim_end();
        self.units = utf16_len(kept);
        self.text.truncate(kept.len());
        let units = self.units;
        let mut entities = self.entities;
        for entity in &mut entities {
            entity.length = entity.length.min(units.saturating_sub(entity.offset));
        }
        entities.retain(|entity| entity.length > 0);
        // What was closed last holds what was closed before it, also where both cover the same.
        entities.reverse();
        entities.sort_by(|a, b| a.offset.cmp(&b.offset).then(b.length.cmp(&a.length)));
        Rendered {
            text: self.text,
            entities,
        }
    }
}

/// The length of a text in UTF-16 code units.
pub fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
