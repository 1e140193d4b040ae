//! The ids that turns have in public.
//!
//! Inside, a turn is called by its number, and one counter counts the messages of all tenants: whoever saw two numbers
//! could tell how much is written to the server in between. To the outside a turn is called by a keyed digest of its
//! number, which is the same after a restart and tells nothing. Operators see the numbers.

use hmac::{Hmac, KeyInit, Mac};
use openclaw_core::Secret;
use sha2::Sha256;
use std::fmt::Write as _;

/// What is digested begins so, so that a digest made for something else is none of a turn's.
const CONTEXT: &str = "openclaw turn id 1\n";
/// 96 bits: no two turns of a server share one.
const ID_BYTES: usize = 12;

/// Makes public ids.
#[derive(Clone, Debug)]
pub(crate) struct TurnIds {
    key: Secret,
}

// === impl TurnIds ===

impl TurnIds {
    /// `key` is the server's own and kept over restarts.
    pub(crate) fn new(key: Secret) -> Self {
        Self { key }
    }

    /// For what else of this server is named to the outside.
    pub(super) fn key(&self) -> Secret {
        self.key.clone()
    }

    /// The public id of a turn.
    pub(super) fn public(&self, turn: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
            .expect("a key of any length will do");
        mac.update(CONTEXT.as_bytes());
        mac.update(turn.as_bytes());
        let digest = mac.finalize().into_bytes();
        digest
            .iter()
            .take(ID_BYTES)
            .fold("turn_".to_owned(), |mut id, byte| {
                // Writing to a String cannot fail.
                let _ = write!(id, "{byte:02x}");
                id
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_id_is_the_servers_own_stays_and_does_not_count() {
        let public = |key: &str, turn: &str| TurnIds::new(Secret::new(key)).public(turn);
        let first = public("key", "turn_1");
        assert_eq!(first, public("key", "turn_1"), "the same after a restart");
        assert_eq!(first.len(), "turn_".len() + 2 * ID_BYTES);
        assert_ne!(first, public("key", "turn_2"));
        assert_ne!(first, public("another key", "turn_1"), "nobody else can make it");
    }
}
