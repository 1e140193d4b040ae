//! Finds the place to cut a text whose beginning fits into a part and whose end does not.
//!
//! One pass over the text up to the limit and one character beyond it. Each pause in the text is remembered as a place
//! to cut, in two rows: *clean* ones, and those inside emphasis, a link or a code span that is open, for as long as it
//! is not known whether it will be closed. If it is closed, its inner pauses are forgotten; if its paragraph ends
//! first, it was no markup, and they were clean.

use super::fence::{Closing, Fence, Opening};
use crate::length::LengthUnit;
use unicode_segmentation::GraphemeCursor;

/// Markup nested deeper than this is taken for text.
const MAX_OPEN: usize = 16;

/// The text of a part to be cut, and how it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'t> {
    /// From the beginning of the part to the end of the whole text.
    pub(super) text: &'t str,
    pub(super) unit: LengthUnit,
    /// The limit.
    pub(super) max: usize,
    /// How much of the limit is used before `text` begins.
    pub(super) before: usize,
    /// Whether code blocks are closed and opened again.
    pub(super) repairs: bool,
}

/// Where to cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// So many bytes belong to the part. At least one character.
    pub(super) end: usize,
    /// The code block that is open there, and for whose closure there is room.
    pub(super) fence: Option<Fence>,
}

/// A place to cut; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: usize,
    /// Which of the code blocks seen is open there; counts from 1, 0 is none.
    block: usize,
}

/// The last places of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    paragraph: Place,
    sentence: Place,
    word: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Paragraph,
    Sentence,
    Word,
}

/// Markup that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// By so many of `*`, `_` or `~`.
    Emphasis(u8, usize),
    /// By `[`.
    Bracket,
    /// The target of a link, in so many parentheses.
    Target(usize),
    /// By so many backticks.
    Code(usize),
}

struct Scan<'t> {
    window: Window<'t>,
    /// The text up to the limit and one character beyond.
    seen: &'t str,
    /// Where the limit is reached.
    end: usize,
    half: usize,
    third: usize,
    quarter: usize,
    at: usize,
    /// Where the first line or the last one seen begins.
    line: usize,
    line_start: bool,
    /// Whether anything but white space was seen.
    content: bool,
    blocks: Vec<Fence>,
    /// The code block that is open, as in [`Place`], where its code begins and how far it may reach.
    block: usize,
    code_from: usize,
    code_until: usize,
    open: Vec<Open>,
    clean: Places,
    doubtful: Places,
    /// The last place where nothing is open, pause or not.
    anywhere: Place,
}

/// Finds the place to cut. `end` is where the window's limit is reached; it lies before the end of the text.
pub(super) fn find_cut(window: &Window<'_>, end: usize, fence: Option<Fence>, line_start: bool) -> Cut {
    let next = window.text.get(end..).and_then(|rest| rest.chars().next());
    let seen_end = end + next.map_or(0, char::len_utf8);
    let mut scan = Scan {
        window: *window,
        seen: window.text.get(..seen_end).unwrap_or(window.text),
        end,
        half: window.at(window.max / 2),
        third: window.at(window.max.saturating_mul(33) / 100),
        quarter: window.at(window.max / 4),
        at: 0,
        line: 0,
        line_start,
        content: false,
        blocks: Vec::new(),
        block: 0,
        code_from: 0,
        code_until: 0,
        open: Vec::new(),
        clean: Places::default(),
        doubtful: Places::default(),
        anywhere: Place::default(),
    };
    if let Some(fence) = fence {
        scan.enter(fence, 0);
    }
    scan.run();
    scan.choose()
}

// === impl Window ===

impl Window<'_> {
    /// Where the part has `length` units, in bytes.
    pub(super) fn at(&self, length: usize) -> usize {
        self.unit.prefix(self.text, length.saturating_sub(self.before))
    }
}

// === impl Scan ===

impl Scan<'_> {
    fn run(&mut self) {
        let bytes = self.seen.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let class = CLASSES[usize::from(*byte)];
            if class == Class::Space {
                self.space();
                continue;
            }
            if class == Class::Decode
                && let Some(character) = self.character(self.at)
            {
                if character.is_whitespace() {
                    self.space();
                    continue;
                }
                self.begin_content();
                self.at += character.len_utf8();
                if matches!(character, '。' | '！' | '？') && self.block == 0 {
                    self.wide_sentence_end();
                }
                self.passed_text();
                continue;
            }
            if self.line_start {
                let before = self.at;
                if self.line_begins() {
                    return;
                }
                if self.at != before {
                    continue;
                }
            }
            self.begin_content();
            if class == Class::Text || class == Class::Decode || self.block > 0 {
                self.at += 1;
                while let Some(byte) = bytes.get(self.at)
                    && CLASSES[usize::from(*byte)] == Class::Text
                {
                    self.at += 1;
                }
                self.passed_text();
            } else {
                self.markup(class, *byte);
            }
        }
    }

    fn begin_content(&mut self) {
        self.line_start = false;
        self.content = true;
    }

    /// White space: a place to cut right before it, if it is the first after something else.
    fn space(&mut self) {
        let from = self.at;
        let mut feeds = 0_usize;
        while let Some(character) = self.character(self.at).filter(|c| c.is_whitespace()) {
            self.at += character.len_utf8();
            if character == '\n' {
                feeds += 1;
                self.line_start = true;
            }
        }
        if feeds == 0 && from <= self.quarter {
            // Too early for any cut; most spaces of a part are not looked at further.
            return;
        }
        let pause = match feeds {
            0 if self.block > 0 => Pause::Word,
            0 if self.is_list_marker(from) => return,
            0 if from > self.third && self.ends_sentence(from) => Pause::Sentence,
            0 => Pause::Word,
            1 => Pause::Sentence,
            _ if self.block > 0 => Pause::Sentence,
            _ => Pause::Paragraph,
        };
        if feeds > 0 {
            // The last line feed may have spaces behind it; they are the next line's indentation.
            let run = self.seen.get(from..self.at).unwrap_or_default();
            self.line = from + run.rfind('\n').map_or(0, |feed| feed + 1);
        }
        self.note(pause, from);
        if feeds > 1 && self.block == 0 {
            self.paragraph_ended(from);
        }
    }

    /// The first character of a line. Returns whether nothing more can be learnt from the text seen.
    fn line_begins(&mut self) -> bool {
        self.line_start = false;
        if !self.window.repairs {
            return false;
        }
        let line = self.seen.get(self.at..).unwrap_or_default();
        if let Some(fence) = self.block.checked_sub(1).and_then(|block| self.blocks.get(block)) {
            match fence.closing(line, false) {
                Closing::No => {}
                Closing::Unfinished => return true,
                Closing::Yes(length) => {
                    self.block = 0;
                    self.at += length;
                    self.content = true;
                    self.line = self.at;
                    self.passed_exactly();
                    // The rest of the line is white space up to its end; `space` takes it from here.
                }
            }
            return false;
        }
        let indent = self.seen.get(self.line..self.at).unwrap_or_default();
        match Fence::opening(indent, line) {
            Opening::No => {}
            Opening::Unfinished => {
                // A line that takes more than a quarter of the limit is not honoured as a fence.
                return self.seen.len() - self.line <= self.window.max / 4;
            }
            Opening::Yes(fence, code) => {
                let first_line = self.at - self.line + code;
                if first_line <= self.window.max / 4 && fence.closure_len() <= self.window.max / 4 {
                    self.paragraph_ended(self.at);
                    self.content = true;
                    self.at += code;
                    self.line = self.at;
                    self.line_start = true;
                    self.enter(fence, self.at);
                }
            }
        }
        false
    }

    fn enter(&mut self, fence: Fence, code_from: usize) {
        let text = self.window.text.get(..self.end).unwrap_or_default();
        self.code_until = self.window.unit.without(text, fence.closure_len());
        self.code_from = code_from;
        self.blocks.push(fence);
        self.block = self.blocks.len();
    }

    fn markup(&mut self, class: Class, byte: u8) {
        let from = self.at;
        let run = match class {
            // A backslash in a code span is itself.
            Class::Escape if matches!(self.open.last(), Some(Open::Code(_))) => 1,
            Class::Emphasis | Class::Backtick => self.run_of(byte),
            Class::Escape => {
                let next = self.seen.as_bytes().get(from + 1);
                1 + usize::from(next.is_some_and(u8::is_ascii_punctuation))
            }
            _ => 1,
        };
        self.at = from + run;
        let was_open = !self.open.is_empty();
        let innermost = self.open.last().copied();
        if class == Class::Colon
            && !matches!(innermost, Some(Open::Code(_) | Open::Target(_)))
            && self.address(from, was_open)
        {
            return;
        }
        match (class, innermost) {
            (Class::Backtick, Some(Open::Code(length))) if length == run => {
                self.open.pop();
            }
            (_, Some(Open::Code(_))) => {}
            (Class::ParenOpen, Some(Open::Target(depth))) => self.reopen(Open::Target(depth + 1)),
            (Class::ParenClose, Some(Open::Target(depth))) => {
                if depth > 1 {
                    self.reopen(Open::Target(depth - 1));
                } else {
                    self.open.pop();
                }
            }
            (_, Some(Open::Target(_))) => {}
            (Class::Backtick, _) => self.push(Open::Code(run)),
            (Class::Emphasis, _) => self.emphasis(byte, run, from),
            (Class::BracketOpen, _) => {
                let next = self.character(self.at);
                if next.is_some_and(|next| !next.is_whitespace()) {
                    self.push(Open::Bracket);
                }
            }
            (Class::BracketClose, _) => self.close_bracket(),
            _ => {}
        }
        if was_open && self.open.is_empty() {
            self.doubtful = Places::default();
        }
        self.passed_exactly();
    }

    fn emphasis(&mut self, byte: u8, mut run: usize, from: usize) {
        let before = self.seen.get(..from).and_then(|text| text.chars().next_back());
        let after = self.character(self.at);
        let word = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
        let solid = |side: Option<char>| side.is_some_and(|c| !c.is_whitespace());
        let inside_word = byte == b'_' && word(before) && word(after);
        if inside_word || (byte == b'~' && run < 2) {
            return;
        }
        if solid(before) {
            while let Some((place, length)) = self.opened_emphasis(byte) {
                if run < length {
                    self.open.truncate(place);
                    self.push(Open::Emphasis(byte, length - run));
                    return;
                }
                self.open.truncate(place);
                run -= length;
                if run == 0 {
                    return;
                }
            }
        }
        if solid(after) {
            self.push(Open::Emphasis(byte, run));
        }
    }

    /// The emphasis of this kind that was opened last, if no link was opened since.
    fn opened_emphasis(&self, byte: u8) -> Option<(usize, usize)> {
        let inner = self.open.iter().enumerate().rev();
        inner
            .take_while(|(_, open)| matches!(open, Open::Emphasis(..)))
            .find_map(|(place, open)| match open {
                Open::Emphasis(kind, length) if *kind == byte => Some((place, *length)),
                _ => None,
            })
    }

    fn close_bracket(&mut self) {
        let Some(place) = self.open.iter().rposition(|open| *open == Open::Bracket) else {
            return;
        };
        self.open.truncate(place);
        if self.seen.as_bytes().get(self.at) == Some(&b'(') {
            self.at += 1;
            self.push(Open::Target(1));
        }
    }

    /// A colon may belong to an address such as `https://…`; then nothing of it is a place to cut. Returns whether it
    /// does.
    fn address(&mut self, colon: usize, was_open: bool) -> bool {
        let bytes = self.seen.as_bytes();
        if bytes.get(colon + 1..colon + 3) != Some(b"//") {
            return false;
        }
        let before = bytes.get(..colon).unwrap_or_default();
        let letters = before
            .iter()
            .rev()
            .take(10)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        if letters == 0 {
            return false;
        }
        let tail = bytes.get(colon..).unwrap_or_default();
        let length = tail
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || b"<>\"`*)]|".contains(byte));
        let start = colon - letters;
        if !was_open && self.anywhere.at > start {
            self.anywhere = Place { at: start, block: 0 };
        }
        self.at = colon + length.unwrap_or(tail.len());
        if length.is_some() {
            self.passed_exactly();
        } else {
            // It goes on beyond the limit: whatever is open, nothing from here on is clean.
            self.push(Open::Target(1));
        }
        true
    }

    fn push(&mut self, open: Open) {
        if self.open.len() < MAX_OPEN {
            self.open.push(open);
        }
    }

    fn reopen(&mut self, open: Open) {
        if let Some(last) = self.open.last_mut() {
            *last = open;
        }
    }

    /// Whatever is open was no markup.
    fn paragraph_ended(&mut self, at: usize) {
        if self.open.is_empty() {
            return;
        }
        self.open.clear();
        let doubtful = std::mem::take(&mut self.doubtful);
        self.clean.paragraph = later(self.clean.paragraph, doubtful.paragraph);
        self.clean.sentence = later(self.clean.sentence, doubtful.sentence);
        self.clean.word = later(self.clean.word, doubtful.word);
        if at <= self.bound() {
            self.anywhere = self.place(at);
        }
    }

    /// How far the part may reach where the scan is now.
    fn bound(&self) -> usize {
        if self.block > 0 { self.code_until } else { self.end }
    }

    fn place(&self, at: usize) -> Place {
        Place {
            at,
            block: self.block,
        }
    }

    /// Remembers a pause before `at`.
    fn note(&mut self, pause: Pause, at: usize) {
        let beyond = match pause {
            Pause::Paragraph => self.half,
            Pause::Sentence => self.third,
            Pause::Word => self.quarter,
        };
        if !self.content || at <= beyond || at > self.bound() || (self.block > 0 && at <= self.code_from) {
            return;
        }
        if !self.ends_grapheme(at) {
            return;
        }
        let place = self.place(at);
        let places = if self.open.is_empty() {
            &mut self.clean
        } else {
            &mut self.doubtful
        };
        match pause {
            Pause::Paragraph => places.paragraph = place,
            Pause::Sentence => places.sentence = place,
            Pause::Word => places.word = place,
        }
    }

    /// Text ended here; it could be cut anywhere.
    fn passed_text(&mut self) {
        let at = self.at.min(self.bound());
        if self.open.is_empty() && (self.block == 0 || at > self.code_from) && at > self.anywhere.at {
            self.anywhere = self.place(at);
        }
    }

    /// Markup ended here; it could be cut behind it.
    fn passed_exactly(&mut self) {
        if self.open.is_empty() && self.at <= self.bound() && self.at > self.anywhere.at {
            self.anywhere = self.place(self.at);
        }
    }

    fn choose(self) -> Cut {
        let clean = [self.clean.paragraph, self.clean.sentence, self.clean.word];
        let doubtful = [
            self.doubtful.paragraph,
            self.doubtful.sentence,
            self.doubtful.word,
        ];
        let anywhere = self.whole_grapheme(self.anywhere);
        let place = clean
            .into_iter()
            .chain([anywhere])
            .chain(doubtful)
            .find(|place| place.at > 0);
        if let Some(place) = place {
            return self.cut(place);
        }
        let last = if self.block > 0 && self.code_until > self.code_from {
            self.place(self.code_until)
        } else {
            Place {
                at: self.end,
                block: 0,
            }
        };
        let whole = self.whole_grapheme(last);
        self.cut(if whole.at > 0 { whole } else { last })
    }

    fn cut(&self, place: Place) -> Cut {
        let fence = place
            .block
            .checked_sub(1)
            .and_then(|block| self.blocks.get(block));
        Cut {
            end: place.at,
            fence: fence.cloned(),
        }
    }

    /// The place, moved back to the end of a grapheme cluster; none when there is none, or nothing before it.
    fn whole_grapheme(&self, place: Place) -> Place {
        let text = self.window.text;
        let mut cursor = GraphemeCursor::new(place.at, text.len(), true);
        let at = match cursor.is_boundary(text, 0) {
            Ok(true) => place.at,
            Ok(false) => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0),
            Err(_) => 0,
        };
        let before = text.get(..at).unwrap_or_default();
        let stays = !before.trim_start().is_empty() && (place.block == 0 || at > self.block_start(place));
        Place {
            at: if stays { at } else { 0 },
            block: place.block,
        }
    }

    /// Where the code of a place's block begins, if it is the block the scan ended in.
    fn block_start(&self, place: Place) -> usize {
        if place.block == self.block {
            self.code_from
        } else {
            0
        }
    }

    fn character(&self, at: usize) -> Option<char> {
        self.seen.get(at..).and_then(|rest| rest.chars().next())
    }

    fn run_of(&self, byte: u8) -> usize {
        let rest = self.seen.as_bytes().get(self.at..).unwrap_or_default();
        rest.iter().take_while(|next| **next == byte).count()
    }

    /// Whether a grapheme cluster ends before the white space at `at`. It does, but for a few characters that join
    /// what follows them; none of them is below U+0600.
    fn ends_grapheme(&self, at: usize) -> bool {
        let before = self.seen.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| c < '\u{600}')
            || GraphemeCursor::new(at, self.seen.len(), true).is_boundary(self.seen, 0) == Ok(true)
    }

    /// Whether the line consists, up to `at`, of the mark of a list item, heading or quotation: nothing to end a part
    /// with.
    fn is_list_marker(&self, at: usize) -> bool {
        let line = self.seen.get(self.line..at).unwrap_or_default();
        // Marks are short; looking at no more keeps the time linear.
        if line.len() > 16 {
            return false;
        }
        let mark = line.trim_start();
        let number = mark.trim_end_matches(['.', ')']);
        mark.bytes().all(|byte| b"-*+#>".contains(&byte))
            || (mark.len() == number.len() + 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn ends_sentence(&self, at: usize) -> bool {
        let text = self.seen.get(..at).unwrap_or_default();
        text.trim_end_matches(['"', '\'', ')', ']', '*', '_', '»', '”', '’'])
            .ends_with(['.', '!', '?', '…'])
    }

    /// A full stop that needs no space behind it was passed.
    fn wide_sentence_end(&mut self) {
        while let Some(closer) = self
            .character(self.at)
            .filter(|c| matches!(c, '」' | '』' | '”' | '’' | '）' | '。' | '！' | '？'))
        {
            self.at += closer.len_utf8();
        }
        let at = self.at;
        let whole = GraphemeCursor::new(at, self.seen.len(), true).is_boundary(self.seen, 0) == Ok(true);
        if at < self.seen.len() && whole {
            self.note(Pause::Sentence, at);
        }
    }
}

fn later(one: Place, other: Place) -> Place {
    if other.at > one.at { other } else { one }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Nothing to see, also inside longer characters.
    Text,
    Space,
    /// The first byte of a character that may be white space or end a sentence.
    Decode,
    Emphasis,
    Backtick,
    BracketOpen,
    BracketClose,
    ParenOpen,
    ParenClose,
    Escape,
    Colon,
}

/// What each byte may be the beginning of.
static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Text; 256];
    let mut space = 0x09;
    while space <= 0x0D {
        classes[space] = Class::Space;
        space += 1;
    }
    classes[b' ' as usize] = Class::Space;
    classes[b'*' as usize] = Class::Emphasis;
    classes[b'_' as usize] = Class::Emphasis;
    classes[b'~' as usize] = Class::Emphasis;
    classes[b'`' as usize] = Class::Backtick;
    classes[b'[' as usize] = Class::BracketOpen;
    classes[b']' as usize] = Class::BracketClose;
    classes[b'(' as usize] = Class::ParenOpen;
    classes[b')' as usize] = Class::ParenClose;
    classes[b'\\' as usize] = Class::Escape;
    classes[b':' as usize] = Class::Colon;
    // U+0085 and U+00A0; U+1680; U+2000 to U+202F, U+205F and typographic signs; U+3000 and 。; ！ and ？.
    classes[0xC2] = Class::Decode;
    classes[0xE1] = Class::Decode;
    classes[0xE2] = Class::Decode;
    classes[0xE3] = Class::Decode;
    classes[0xEF] = Class::Decode;
    classes
}
