//! Which format the first bytes of a stream show.
//!
//! The answer depends on the bytes alone, never on how many of them came at once: as long as two formats are possible
//! there is none.

use super::StreamFormat;

/// White space longer than this before anything else is text.
const LEADING_SPACE: usize = 512;

/// The format, or `None` while more bytes are needed.
pub(super) fn detect(bytes: &[u8], ended: bool) -> Option<StreamFormat> {
    let undecided = ended.then_some(StreamFormat::Text);
    let space = bytes
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    if space > LEADING_SPACE {
        return Some(StreamFormat::Text);
    }
    let (before, rest) = bytes.split_at_checked(space).unwrap_or_default();
    let Some(first) = rest.first() else {
        return undecided;
    };
    match first {
        b'{' => return Some(StreamFormat::JsonLines),
        b'[' => return array(rest).or(undecided),
        _ => {}
    }
    // A line that begins with a space is none of the fields a server-sent event has.
    if before.contains(&b' ') || before.contains(&b'\t') {
        return Some(StreamFormat::Text);
    }
    if *first == b':' {
        return Some(StreamFormat::Sse);
    }
    for name in [&b"data"[..], b"event", b"id", b"retry"] {
        match rest.strip_prefix(name) {
            Some([]) => return undecided,
            Some([b':' | b'\r' | b'\n', ..]) => return Some(StreamFormat::Sse),
            None if name.starts_with(rest) => return undecided,
            Some(_) | None => {}
        }
    }
    Some(StreamFormat::Text)
}

/// `[` begins a JSON array, or a text such as `[Note]`.
fn array(rest: &[u8]) -> Option<StreamFormat> {
    let inside = rest.get(1..)?.iter().take(LEADING_SPACE);
    let next = inside
        .copied()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    match next {
        Some(b'{' | b'[' | b']' | b'"' | b'-' | b'0'..=b'9') => Some(StreamFormat::JsonLines),
        Some(_) => Some(StreamFormat::Text),
        None if rest.len() > LEADING_SPACE => Some(StreamFormat::Text),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_before_anything_else_is_text_when_there_is_more_than_half_a_kilobyte() {
        let space = |count| " ".repeat(count).into_bytes();
        assert_eq!(detect(&space(LEADING_SPACE), false), None);
        assert_eq!(detect(&space(LEADING_SPACE + 1), false), Some(StreamFormat::Text));
        assert_eq!(detect(&space(LEADING_SPACE + 2), false), Some(StreamFormat::Text));
        let line = [space(LEADING_SPACE), b"{".to_vec()].concat();
        assert_eq!(detect(&line, false), Some(StreamFormat::JsonLines));
    }

    #[test]
    fn a_bracket_before_as_much_space_is_text_too() {
        let bracket = |space| [b"[".to_vec(), b" ".repeat(space)].concat();
        assert_eq!(detect(&bracket(LEADING_SPACE - 1), false), None);
        assert_eq!(detect(&bracket(LEADING_SPACE), false), Some(StreamFormat::Text));
        assert_eq!(
            detect(&bracket(LEADING_SPACE + 1), false),
            Some(StreamFormat::Text)
        );
        let array = [bracket(LEADING_SPACE - 1), b"{".to_vec()].concat();
        assert_eq!(detect(&array, false), Some(StreamFormat::JsonLines));
    }
}
