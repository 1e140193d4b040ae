//! Breaks a text that is too long for one message.
//!
//! A cut is looked for at a paragraph beyond 50 % of the limit, else at the end of a sentence or line beyond 33 %, else
//! at a word beyond 25 %, else anywhere. Where a cut falls depends on the text up to the limit and one character
//! beyond it, on nothing that follows: the parts of a growing text that are full are the parts of the finished one.

mod cursor;
mod fence;
mod scan;

use crate::length::MessageLimit;
use std::borrow::Cow;

pub(crate) use cursor::{Next, PartCursor};

/// Breaks `text` into parts within the limit.
///
/// - A text within the limit is one part, untouched; an empty text has no parts.
/// - No part is empty, blank or over the limit. A limit too small for any character counts as one that is not.
/// - Joined, the parts are the text, apart from white space at the cuts and repaired code fences: a cut inside a
///   fenced code block closes the fence and opens it again, with its language, in the next part. The indentation of a
///   line that begins a part is kept. Limits below 64 units, and fences whose first line takes more than a quarter of
///   the limit, are cut without such repair.
/// - A cut is not made inside a grapheme cluster, a link, an address, a code span or emphasis, unless one of them is
///   longer than a whole part. (It never falls inside a character.)
///
/// The time is linear in the length of the text.
///
/// ```
/// use openclaw_streaming::{LengthUnit, MessageLimit, split_message};
///
/// let limit = MessageLimit::new(30, LengthUnit::Utf16);
/// let parts = split_message("The first paragraph.\n\nThe second paragraph.", limit);
/// assert_eq!(parts, ["The first paragraph.", "The second paragraph."]);
/// ```
pub fn split_message(text: &str, limit: MessageLimit) -> Vec<Cow<'_, str>> {
    if limit.allows(text) {
        return if text.is_empty() {
            Vec::new()
        } else {
            vec![Cow::Borrowed(text)]
        };
    }
    let mut parts = Vec::new();
    let mut cursor = PartCursor::default();
    loop {
        match cursor.next(text, limit, true) {
            Next::Full(part) => parts.push(part),
            Next::Rest(part) => {
                parts.push(part);
                return parts;
            }
            Next::Nothing => return parts,
        }
    }
}
