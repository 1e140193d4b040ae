//! Ids that callers choose, made fit for a tenant id.

use openclaw_core::ChatId;
use openclaw_core::id::MAX_PART_BYTES;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The chat part for a text a caller sent, such as the `user` field. Percent-encoded outside `A-Z a-z 0-9 . _ @ -`, and
/// replaced by its SHA-256 when too long or empty, so that different texts give different chats.
pub fn caller_chat(text: &str) -> ChatId {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    if encoded.is_empty() || encoded.len() > MAX_PART_BYTES {
        encoded.clear();
        encoded.push_str("sha256-");
        for byte in Sha256::digest(text.as_bytes()) {
            let _ = write!(encoded, "{byte:02x}");
        }
    }
    ChatId::parse(encoded).expect("plain characters, not empty, within the bound")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_ids_stay_and_others_are_encoded() {
        assert_eq!(caller_chat("a.b_c@d-1").as_str(), "a.b_c@d-1");
        assert_eq!(caller_chat("a:b").as_str(), "a%3Ab");
        assert!(caller_chat("").as_str().starts_with("sha256-"));
        assert!(caller_chat(&"x".repeat(129)).as_str().starts_with("sha256-"));
    }

    proptest! {
        #[test]
        fn different_texts_give_different_chats(one in "\\PC{0,200}", other in "\\PC{0,200}") {
            prop_assert_eq!(caller_chat(&one) == caller_chat(&other), one == other);
        }
    }
}
