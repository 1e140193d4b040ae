//! JSON as messengers' clients make it: strings may hold half of a surrogate pair.

use openclaw_messenger::ParseError;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Reads JSON, repaired where its strings are broken.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ParseError> {
    serde_json::from_slice(body)
        .or_else(|_| serde_json::from_slice(&repair(body)))
        .map_err(|error| malformed(&error))
}

/// An update that is none. Line, column and category say where; the message itself may quote the body.
pub fn malformed(error: &serde_json::Error) -> ParseError {
    ParseError::Malformed {
        reason: format!(
            "{:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        ),
    }
}

/// Makes a body readable: replaces escaped halves of surrogate pairs and invalid UTF-8 by U+FFFD. Borrows when there
/// is nothing to replace. The structure stays as it is.
pub fn repair(body: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(body);
    let bytes = text.as_bytes();
    let mut repaired: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        if *byte != b'\\' {
            at += 1;
            continue;
        }
        match unicode_escape(bytes, at) {
            Some(0xD800..=0xDBFF) if matches!(unicode_escape(bytes, at + 6), Some(0xDC00..=0xDFFF)) => {
                at += 12
            }
            Some(0xD800..=0xDFFF) => {
                let out = repaired.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
                out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
                out.extend_from_slice(b"\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // The escaped character cannot start an escape of its own.
            None => at += 2,
        }
    }
    match (repaired, text) {
        (Some(mut out), text) => {
            out.extend_from_slice(text.as_bytes().get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
        (None, Cow::Borrowed(_)) => Cow::Borrowed(body),
        (None, Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    }
}

/// The value of a `\uXXXX` at this place.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at.checked_add(6)?)?;
    let digits = escape.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let repaired = repair(body.as_bytes());
        assert_eq!(serde_json::from_slice::<String>(&repaired).unwrap(), expected);
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_pairs_kept() {
        check(r#""a\ud83db""#, "a\u{fffd}b");
        check(r#""\ude00""#, "\u{fffd}");
        check(r#""\ud83d\ude00""#, "😀");
        check(r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀");
        check(r#""\\ud83d""#, "\\ud83d");
        check(r#""\ud83d\n""#, "\u{fffd}\n");
    }

    #[test]
    fn a_clean_body_is_borrowed() {
        assert!(matches!(repair(br#"{"a":"\u0041\"\\"}"#), Cow::Borrowed(_)));
        assert_eq!(repair(b"\"\xff\"").as_ref(), "\"\u{fffd}\"".as_bytes());
    }

    proptest! {
        #[test]
        fn any_string_of_utf_16_units_becomes_readable(units in prop::collection::vec(any::<u16>(), 0..40)) {
            let body: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let body = format!("\"{body}\"");
            let repaired = repair(body.as_bytes());
            let text = serde_json::from_slice::<String>(&repaired).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            repair(&bytes);
        }
    }
}
