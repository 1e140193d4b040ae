//! Walks over a text, which may still be growing, part by part.

use super::fence::{Closing, Fence};
use super::scan::{self, Window};
use crate::length::MessageLimit;
use std::borrow::Cow;
use unicode_segmentation::GraphemeCursor;

/// Below this limit fences are not repaired: there would be no room for code beside them.
const REPAIR_FROM: usize = 64;

/// Where the next part of a text begins.
///
/// The text may grow between calls, but what was there must stay. The parts that are full are then the same as those
/// of the whole text, however it grew.
#[derive(Clone, Debug)]
pub(crate) struct PartCursor {
    offset: usize,
    /// The code block that was open where the part before was cut.
    fence: Option<Fence>,
    at_line_start: bool,
    /// Whether `offset` is past the white space at the cut.
    placed: bool,
}

/// The next part of a text.
#[derive(Debug)]
pub(crate) enum Next<'t> {
    /// A part that is full. It will not change; the cursor stands behind it.
    Full(Cow<'t, str>),
    /// All that is left; it may grow. The cursor stands before it.
    Rest(Cow<'t, str>),
    /// Nothing is left, or nothing of which it is known that it belongs to a part.
    Nothing,
}

// === impl PartCursor ===

impl Default for PartCursor {
    fn default() -> Self {
        Self {
            offset: 0,
            fence: None,
            at_line_start: true,
            placed: true,
        }
    }
}

impl PartCursor {
    /// The next part. `complete`: the text will not grow any more.
    pub(crate) fn next<'t>(&mut self, text: &'t str, limit: MessageLimit, complete: bool) -> Next<'t> {
        loop {
            if !self.placed && !self.place(text, complete) {
                return Next::Nothing;
            }
            let rest = text.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                return Next::Nothing;
            }
            let Some(max) = limit.effective() else {
                return Next::Rest(Cow::Borrowed(rest));
            };
            let prefix = self.fence.as_ref().map(Fence::reopening).unwrap_or_default();
            let before = limit.unit.measure(&prefix);
            let window = Window {
                text: rest,
                unit: limit.unit,
                max,
                before,
                repairs: max >= REPAIR_FROM,
            };
            let end = window.at(max);
            if end == rest.len() {
                return Next::Rest(with_prefix(prefix, rest));
            }
            let cut = scan::find_cut(&window, end, self.fence.clone(), self.at_line_start);
            self.offset += cut.end;
            self.placed = false;
            let cut_off = rest.get(..cut.end).unwrap_or_default();
            let content = trim_end(cut_off);
            if content.is_empty() {
                self.at_line_start |= cut_off.contains('\n');
                continue;
            }
            self.at_line_start = false;
            // White space that was cut off is looked at again: a line may begin in it.
            self.offset -= cut.end - content.len();
            let part = match &cut.fence {
                Some(fence) => Cow::Owned([prefix.as_str(), content, &fence.closure()].concat()),
                None => with_prefix(prefix, content),
            };
            self.fence = cut.fence.map(Fence::carried);
            return Next::Full(part);
        }
    }

    /// Moves on to where the part begins: past white space, but not past the indentation of its first line, and past
    /// the end of a code block that was closed at the cut already. Returns whether that place is known.
    fn place(&mut self, text: &str, complete: bool) -> bool {
        loop {
            let rest = text.get(self.offset..).unwrap_or_default();
            let begin = rest.trim_start();
            if begin.is_empty() {
                if complete {
                    self.offset = text.len();
                    self.placed = true;
                }
                return complete;
            }
            let space = rest.get(..rest.len() - begin.len()).unwrap_or_default();
            let line = space.rfind('\n').map(|feed| feed + 1);
            let at_line_start = self.at_line_start || line.is_some();
            if let Some(fence) = self.fence.as_ref().filter(|_| at_line_start) {
                match fence.closing(begin, complete) {
                    Closing::No => {}
                    Closing::Unfinished => return false,
                    Closing::Yes(length) => {
                        self.offset += space.len() + length;
                        self.fence = None;
                        self.at_line_start = false;
                        continue;
                    }
                }
            }
            self.offset += line.unwrap_or_else(|| start_of_word(rest, space));
            self.at_line_start = at_line_start;
            self.placed = true;
            return true;
        }
    }
}

/// Where the text after `space` begins: a character that combines with the last space keeps it.
fn start_of_word(rest: &str, space: &str) -> usize {
    let whole = GraphemeCursor::new(space.len(), rest.len(), true).is_boundary(rest, 0);
    match space.chars().next_back() {
        Some(last) if whole == Ok(false) => space.len() - last.len_utf8(),
        Some(_) | None => space.len(),
    }
}

/// Without the white space at the end, but for a space that the character before it is joined with.
fn trim_end(text: &str) -> &str {
    let trimmed = text.trim_end();
    if trimmed.is_empty()
        || GraphemeCursor::new(trimmed.len(), text.len(), true).is_boundary(text, 0) != Ok(false)
    {
        return trimmed;
    }
    let space = text.get(trimmed.len()..).and_then(|rest| rest.chars().next());
    text.get(..trimmed.len() + space.map_or(0, char::len_utf8))
        .unwrap_or(trimmed)
}

fn with_prefix(prefix: String, content: &str) -> Cow<'_, str> {
    if prefix.is_empty() {
        Cow::Borrowed(content)
    } else {
        Cow::Owned(prefix + content)
    }
}
