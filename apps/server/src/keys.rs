//! Who calls: API keys and the admin token, compared by their digests.

mod issue;

pub(crate) use issue::{ID_CHARS, KeyWish, describe_all, describe_issued, issue};

use openclaw_core::{AccessTier, Platform, Secret, Timestamp, UserId};
use openclaw_gateway::ports::{ApiKeyRecord, KeyStore, StoreError};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;

/// The user of the operator's own key.
const OPERATOR: &str = "operator";
/// The user of `WEB_API_KEY`.
const WEB_EMBEDDER: &str = "embedder";

/// All keys that are valid, by digest. A look-up compares digests, so its time tells nothing about a key.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: RwLock<Known>,
    /// Counts the readings of the store: of two at once the one that began later is right.
    readings: AtomicU64,
    admin: [u8; 32],
    /// Where the environment's and the data directory's keys end and the stored ones begin.
    fixed: Vec<ApiKeyRecord>,
}

/// The valid keys, and which reading of the store they are from.
#[derive(Debug, Default)]
struct Known {
    reading: u64,
    by_digest: HashMap<[u8; 32], Arc<ApiKeyRecord>>,
}

/// The digest a key is known by.
pub(crate) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

pub(crate) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fixed_key(key: &Secret, user: &str, platform: Platform, now: Timestamp) -> Option<ApiKeyRecord> {
    Some(ApiKeyRecord {
        id: user.to_owned(),
        hash: hex(&digest(key.expose())),
        user: UserId::parse(user).ok()?,
        platform,
        tier: AccessTier::Admin,
        limited: false,
        created_at: now,
        expires_at: None,
        revoked_at: None,
    })
}

// === impl KeyRing ===

impl KeyRing {
    /// The operator's key and token, and the key of the web platform where one is configured.
    pub(crate) fn new(admin: &Secret, operator: &Secret, web: Option<&Secret>, now: Timestamp) -> Self {
        let operator = fixed_key(operator, OPERATOR, Platform::Api, now);
        let web = web
            .and_then(|key| fixed_key(key, WEB_EMBEDDER, Platform::Web, now))
            .map(|key| ApiKeyRecord {
                tier: AccessTier::Standard,
                limited: true,
                ..key
            });
        let ring = Self {
            keys: RwLock::default(),
            readings: AtomicU64::new(0),
            admin: digest(admin.expose()),
            fixed: operator.into_iter().chain(web).collect(),
        };
        ring.replace(0, &[]);
        ring
    }

    /// Reads the stored keys again. When it returns, every change that was stored before the call counts.
    pub(crate) async fn reload(&self, store: &dyn KeyStore) -> Result<(), StoreError> {
        let reading = self.readings.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.replace(reading, &store.keys().await?);
        Ok(())
    }

    /// Takes what a reading found, unless a later one was faster: it has seen all that this one has, and more.
    fn replace(&self, reading: u64, stored: &[ApiKeyRecord]) {
        let valid = stored.iter().filter(|key| key.revoked_at.is_none());
        let by_digest = valid
            .chain(&self.fixed)
            .filter_map(|key| Some((parse_hex(&key.hash)?, Arc::new(key.clone()))));
        let by_digest = by_digest.collect();
        let mut known = self.keys.write();
        if known.reading <= reading {
            *known = Known { reading, by_digest };
        }
    }

    /// How many of the keys that were made are valid: those that the list of keys shows, without the operator's own.
    pub(crate) fn count(&self, now: Timestamp) -> usize {
        let known = self.keys.read();
        let made = known
            .by_digest
            .values()
            .filter(|key| self.fixed.iter().all(|fixed| fixed.hash != key.hash));
        made.filter(|key| key.expires_at.is_none_or(|end| now < end))
            .count()
    }

    /// Everybody who has a valid key, with the highest tier that one grants.
    pub(crate) fn users(&self, now: Timestamp) -> Vec<(Platform, UserId, AccessTier)> {
        let known = self.keys.read();
        let mut users: BTreeMap<(&str, UserId), (Platform, AccessTier)> = BTreeMap::new();
        for key in known.by_digest.values() {
            if key.expires_at.is_none_or(|end| now < end) {
                let (_, tier) = users
                    .entry((key.platform.as_str(), key.user.clone()))
                    .or_insert((key.platform, key.tier));
                if key.tier.is_at_least(*tier) {
                    *tier = key.tier;
                }
            }
        }
        users
            .into_iter()
            .map(|((_, user), (platform, tier))| (platform, user, tier))
            .collect()
    }

    /// Whose key this is, if it is valid now.
    pub(crate) fn find(&self, key: &str, now: Timestamp) -> Option<Arc<ApiKeyRecord>> {
        let record = self.keys.read().by_digest.get(&digest(key)).cloned()?;
        record.expires_at.is_none_or(|end| now < end).then_some(record)
    }

    /// Whether this is the admin token.
    pub(crate) fn is_admin(&self, token: &str) -> bool {
        digest(token).ct_eq(&self.admin).into()
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> KeyRing {
        let key = Secret::new("oc_live_operator-key");
        KeyRing::new(
            &Secret::new("admin-token-123456"),
            &key,
            None,
            Timestamp::from_millis(0),
        )
    }

    #[test]
    fn the_operators_key_is_known_and_others_are_not() {
        let ring = ring();
        let now = Timestamp::from_millis(1);
        let found = ring
            .find("oc_live_operator-key", now)
            .expect("the operator's key");
        assert_eq!((found.tier, found.limited), (AccessTier::Admin, false));
        assert!(ring.find("oc_live_operator-ke", now).is_none());
        assert!(ring.is_admin("admin-token-123456"));
        assert!(
            !ring.is_admin("oc_live_operator-key"),
            "a key is not the admin token"
        );
    }

    #[test]
    fn an_expired_or_revoked_key_is_not_valid() {
        let ring = ring();
        let stored = |id: &str, expires_at, revoked_at| ApiKeyRecord {
            id: id.to_owned(),
            hash: hex(&digest(id)),
            user: UserId::parse("u").unwrap(),
            platform: Platform::Api,
            tier: AccessTier::Free,
            limited: true,
            created_at: Timestamp::from_millis(0),
            expires_at,
            revoked_at,
        };
        let at = |millis| Some(Timestamp::from_millis(millis));
        ring.replace(1, &[stored("short", at(10), None), stored("gone", None, at(5))]);
        assert!(ring.find("short", Timestamp::from_millis(9)).is_some());
        assert!(ring.find("short", Timestamp::from_millis(10)).is_none());
        assert!(ring.find("gone", Timestamp::from_millis(1)).is_none());
    }
    #[test]
    fn a_reading_that_was_overtaken_changes_nothing() {
        let ring = ring();
        let stored = |revoked_at| ApiKeyRecord {
            id: "k".to_owned(),
            hash: hex(&digest("k")),
            user: UserId::parse("u").unwrap(),
            platform: Platform::Api,
            tier: AccessTier::Free,
            limited: true,
            created_at: Timestamp::from_millis(0),
            expires_at: None,
            revoked_at,
        };
        let now = Timestamp::from_millis(9);
        ring.replace(1, &[stored(None)]);
        assert_eq!((ring.find("k", now).is_some(), ring.count(now)), (true, 1));
        ring.replace(3, &[stored(Some(now))]);
        ring.replace(2, &[stored(None)]);
        assert_eq!((ring.find("k", now).is_none(), ring.count(now)), (true, 0));
    }
}
