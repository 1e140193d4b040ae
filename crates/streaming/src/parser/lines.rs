//! JSON Lines and raw text: where the next frame stands.

use super::input::Input;
use crate::error::StreamError;
use std::ops::Range;

/// The next line that is not empty, trimmed. `scanned` remembers how far the unfinished line was searched.
pub(super) fn next_line(
    input: &mut Input,
    scanned: &mut usize,
    ended: bool,
    limit: usize,
) -> Result<Option<Range<usize>>, StreamError> {
    loop {
        let bytes = input.unread();
        let found = memchr::memchr(b'\n', bytes.get(*scanned..).unwrap_or_default());
        let (end, next) = match found {
            Some(offset) => (*scanned + offset, *scanned + offset + 1),
            None => (bytes.len(), bytes.len()),
        };
        let line = bytes.get(..end).unwrap_or_default();
        // The carriage return before a line feed belongs to the line's end, wherever the chunk was cut.
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        if content.len() > limit {
            return Err(StreamError::LineTooLong { limit });
        }
        if found.is_none() && (!ended || line.is_empty()) {
            *scanned = end;
            return Ok(None);
        }
        let leading = line.len() - line.trim_ascii_start().len();
        let length = line.trim_ascii().len();
        let at = input.consume(next);
        *scanned = 0;
        if length > 0 {
            let start = at + leading;
            return Ok(Some(start..start + length));
        }
    }
}

/// The next piece of text: all there is, apart from a character that was cut in two.
pub(super) fn next_text(input: &mut Input, ended: bool) -> Option<Range<usize>> {
    let bytes = input.unread();
    let cut = match bytes.utf8_chunks().last() {
        Some(last) if !ended && is_cut(last.invalid()) => last.invalid().len(),
        Some(_) | None => 0,
    };
    let length = bytes.len() - cut;
    if length == 0 {
        return None;
    }
    let at = input.consume(length);
    Some(at..at + length)
}

/// Whether these bytes, invalid at the end of the text so far, may still become a character.
fn is_cut(invalid: &[u8]) -> bool {
    !invalid.is_empty() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}
