//! Where the next page of a caller's chats begins.
//!
//! The store tells chats apart by a number that counts those of all tenants: whoever saw two such numbers could tell how
//! many chats are opened on the server in between. To the outside the place is enciphered, for its owner alone: a keyed
//! digest of number and owner, and the number under a mask made of the digest (the synthetic initialisation vector of
//! RFC 5297, with HMAC). So it is the same each time, nobody can make one or use somebody else's, and it holds also when the
//! chat it stands for is erased meanwhile.

use super::turn_ids::TurnIds;
use hmac::{Hmac, KeyInit, Mac};
use openclaw_core::{Platform, Secret, UserId};
use openclaw_session::TenantKey;
use sha2::Sha256;

/// What is digested begins so, so that no digest stands for two things.
const DIGEST: &[u8] = b"openclaw chat cursor 1\n";
const MASK: &[u8] = b"openclaw chat cursor mask 1\n";
const DIGEST_BYTES: usize = 16;
const NUMBER_BYTES: usize = 8;

/// Makes and reads cursors.
#[derive(Clone, Debug)]
pub(crate) struct Cursors {
    key: Secret,
}

// === impl Cursors ===

impl Cursors {
    /// With the key of public ids: the server's own, and kept over restarts.
    pub(super) fn beside(ids: &TurnIds) -> Self {
        Self { key: ids.key() }
    }

    /// The cursor that continues after this chat of this owner.
    pub(super) fn public(&self, platform: Platform, user: &UserId, after: TenantKey) -> String {
        let number = after.0.to_be_bytes();
        let digest = self.digest(platform, user, number);
        let number = self.masked(digest, number);
        let bytes = digest.iter().chain(&number);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The chat a cursor continues after; `None` when it is none of this owner's.
    pub(super) fn after(&self, platform: Platform, user: &UserId, cursor: &str) -> Option<TenantKey> {
        let (pairs, []) = cursor.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let bytes = pairs.iter().map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        let (digest, number) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
        let number = self.masked(*digest, number.try_into().ok()?);
        let mac = self.mac_of(platform, user, number);
        mac.verify_truncated_left(digest).ok()?;
        Some(TenantKey(i64::from_be_bytes(number)))
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes()).expect("a key of any length will do")
    }

    fn mac_of(&self, platform: Platform, user: &UserId, number: [u8; NUMBER_BYTES]) -> Hmac<Sha256> {
        let owner = format!("{}:{user}", platform.as_str());
        let parts: [&[u8]; 3] = [DIGEST, &number, owner.as_bytes()];
        parts
            .into_iter()
            .fold(self.mac(), |mac, part| mac.chain_update(part))
    }

    fn digest(&self, platform: Platform, user: &UserId, number: [u8; NUMBER_BYTES]) -> [u8; DIGEST_BYTES] {
        let digest = self.mac_of(platform, user, number).finalize().into_bytes();
        std::array::from_fn(|place| digest.get(place).copied().unwrap_or_default())
    }

    fn masked(&self, digest: [u8; DIGEST_BYTES], number: [u8; NUMBER_BYTES]) -> [u8; NUMBER_BYTES] {
        let mask = self.mac().chain_update(MASK).chain_update(digest);
        let mask = mask.finalize().into_bytes();
        let mut bytes = number;
        for (byte, mask) in bytes.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursors(key: &str) -> Cursors {
        Cursors {
            key: Secret::new(key),
        }
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn a_cursor_is_its_owners_alone_and_does_not_count() {
        let (own, alice) = (cursors("key"), user("alice"));
        let made = |number| own.public(Platform::Web, &alice, TenantKey(number));
        let cursor = made(7);
        assert_eq!(cursor, made(7), "the same after a restart");
        let read = |cursors: &Cursors, platform, user: &UserId| cursors.after(platform, user, &cursor);
        assert_eq!(read(&own, Platform::Web, &alice), Some(TenantKey(7)));
        assert_eq!(read(&own, Platform::Web, &user("bob")), None);
        assert_eq!(read(&own, Platform::Api, &alice), None);
        assert_eq!(read(&cursors("another"), Platform::Web, &alice), None);
        let same = made(7)
            .bytes()
            .zip(made(8).bytes())
            .filter(|(a, b)| a == b)
            .count();
        assert!(
            same < 2 * (DIGEST_BYTES + NUMBER_BYTES) / 2,
            "neighbours share {same} digits"
        );
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let own = cursors("key");
        let cursor = own.public(Platform::Web, &user("alice"), TenantKey(7));
        let forged = format!(
            "{}{}",
            if cursor.starts_with('0') { '1' } else { '0' },
            &cursor[1..]
        );
        for text in [
            "7",
            "-1",
            "",
            "zz",
            "+1",
            "ж",
            &cursor[2..],
            &format!("{cursor}00"),
            &forged,
        ] {
            assert_eq!(own.after(Platform::Web, &user("alice"), text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_place_comes_back(number in any::<i64>()) {
            let own = cursors("key");
            let cursor = own.public(Platform::Api, &user("u"), TenantKey(number));
            prop_assert_eq!(own.after(Platform::Api, &user("u"), &cursor), Some(TenantKey(number)));
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,60}") {
            prop_assert_eq!(cursors("key").after(Platform::Web, &user("u"), &text), None);
        }
    }
}
