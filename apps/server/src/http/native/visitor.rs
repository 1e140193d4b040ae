//! Visitors: people without an account, known again by a signed cookie.
//!
//! The cookie holds a random name and a signature of it, nothing else; whoever has it is that visitor. The key of the
//! signature lies in the data directory; without it every visitor is a new one.

use axum::http::{HeaderMap, HeaderValue, header};
use hmac::{Hmac, KeyInit, Mac};
use openclaw_core::{Random, Secret, UserId};
use sha2::Sha256;
use std::fmt::Write as _;

/// The cookie's name.
pub(super) const COOKIE: &str = "openclaw_visitor";
/// A visitor's name begins so: it cannot be taken for the user of a key.
const PREFIX: &str = "visitor-";
/// What is signed begins so, so that a signature made for something else is none of a visitor's.
const CONTEXT: &str = "openclaw visitor cookie 1\n";
/// How long a browser keeps it.
const MAX_AGE_SECONDS: u32 = 365 * 24 * 3_600;
/// 128 bits.
const ID_BYTES: usize = 16;

/// Makes visitors and knows them again.
#[derive(Clone, Debug)]
pub(crate) struct Visitors {
    key: Secret,
    /// The page is reached by https, so that the cookie must not travel otherwise.
    secure: bool,
}

// === impl Visitors ===

impl Visitors {
    pub(crate) fn new(key: Secret, secure: bool) -> Self {
        Self { key, secure }
    }

    /// Somebody new.
    pub(super) fn create(&self, random: &dyn Random) -> UserId {
        let mut bytes = [0_u8; ID_BYTES];
        random.fill(&mut bytes);
        UserId::parse(format!("{PREFIX}{}", hex(&bytes))).expect("plain characters within the bound of an id")
    }

    /// The cookie by which the visitor is known again.
    pub(super) fn cookie(&self, visitor: &UserId) -> HeaderValue {
        let id = visitor.as_str().strip_prefix(PREFIX).unwrap_or_default();
        let signature = hex(&self.mac(id).finalize().into_bytes());
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={id}.{signature}; Path=/; Max-Age={MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::try_from(cookie).expect("plain characters")
    }

    /// Who sent the request, if it carries a cookie of ours. The comparison takes the same time for any signature.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<UserId> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
            .find_map(|value| self.verify(value))
    }

    fn verify(&self, value: &str) -> Option<UserId> {
        let (id, signature) = value.split_once('.')?;
        if id.len() != 2 * ID_BYTES || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        self.mac(id).verify_slice(&parse_hex(signature)?).ok()?;
        UserId::parse(format!("{PREFIX}{id}")).ok()
    }

    fn mac(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
            .expect("a key of any length will do");
        mac.update(CONTEXT.as_bytes());
        mac.update(id.as_bytes());
        mac
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::SeededRandom;
    use proptest::prelude::*;

    fn visitors(key: &str) -> Visitors {
        Visitors::new(Secret::new(key), false)
    }

    /// The header a browser sends for a `Set-Cookie`.
    fn sent(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            HeaderValue::try_from(format!("theme=dark; {pair}")).unwrap(),
        );
        headers
    }

    #[test]
    fn a_visitor_is_known_again_by_the_cookie_and_only_under_the_same_key() {
        let visitors_here = visitors("one key");
        let random = SeededRandom::new(7);
        let visitor = visitors_here.create(&random);
        assert_ne!(visitor, visitors_here.create(&random));
        let headers = sent(&visitors_here.cookie(&visitor));
        assert_eq!(visitors_here.find(&headers), Some(visitor));
        assert_eq!(visitors("another key").find(&headers), None);
        assert_eq!(visitors_here.find(&HeaderMap::new()), None);
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let random = SeededRandom::new(7);
        let open = visitors("k");
        let cookie = open.cookie(&open.create(&random)).to_str().unwrap().to_owned();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "plain http on loopback must work");
        let closed = Visitors::new(Secret::new("k"), true);
        assert!(
            closed
                .cookie(&closed.create(&random))
                .to_str()
                .unwrap()
                .ends_with("; Secure")
        );
    }

    proptest! {
        #[test]
        fn a_changed_cookie_is_nobodys(at in 0_usize..97, with in "[ -~]") {
            let visitors = visitors("one key");
            let visitor = visitors.create(&SeededRandom::new(1));
            let cookie = visitors.cookie(&visitor);
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let value = pair.split_once('=').unwrap().1;
            let changed: String = value.chars().enumerate()
                .map(|(i, c)| if i == at { with.chars().next().unwrap() } else { c })
                .collect();
            // Hex digits of the signature may be written in either case.
            prop_assume!(!changed.eq_ignore_ascii_case(value));
            prop_assert_eq!(visitors.verify(&changed), None);
        }
    }
}
