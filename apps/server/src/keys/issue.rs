//! Making API keys: by the admin API and, when no server runs, by the command line.

use super::{digest, hex};
use crate::data_dir::new_api_key;
use openclaw_core::{AccessTier, Platform, Random, Secret, Timestamp, UserId};
use openclaw_gateway::ports::ApiKeyRecord;
use serde_json::{Value, json};
use std::time::Duration;

/// How much of a key is its public name: `oc_live_` and eight characters.
pub(crate) const ID_CHARS: usize = 16;

/// What a key is to be.
#[derive(Clone, Debug)]
pub(crate) struct KeyWish {
    /// Whose it is; somebody new when nobody is named, so that two keys never share conversations by accident.
    pub(crate) user: Option<UserId>,
    /// What it grants.
    pub(crate) tier: AccessTier,
    /// When it ends by itself.
    pub(crate) expires_in: Option<Duration>,
    /// Whether `messenger.rateLimits.api` counts for it.
    pub(crate) limited: bool,
}

/// A key, and what is stored of it. The key itself is told once and kept nowhere.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) key: Secret,
    pub(crate) record: ApiKeyRecord,
}

/// Makes a key. `None` never happens for keys of ours: their characters are those a user may be named by.
pub(crate) fn issue(wish: KeyWish, now: Timestamp, random: &dyn Random) -> Option<Issued> {
    let key = new_api_key(random);
    let id = key.expose().get(..ID_CHARS)?.to_owned();
    let user = match wish.user {
        Some(user) => user,
        None => UserId::parse(format!("key-{}", id.rsplit('_').next()?)).ok()?,
    };
    let record = ApiKeyRecord {
        hash: hex(&digest(key.expose())),
        id,
        user,
        platform: Platform::Api,
        tier: wish.tier,
        limited: wish.limited,
        created_at: now,
        expires_at: wish.expires_in.map(|time| now + time),
        revoked_at: None,
    };
    Some(Issued { key, record })
}

/// What may be told of a key.
pub(crate) fn describe(record: &ApiKeyRecord) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": record.id,
        "user": record.user,
        "tier": record.tier,
        "limited": record.limited,
        "createdAt": record.created_at.to_string(),
        "expiresAt": time(record.expires_at),
        "revokedAt": time(record.revoked_at),
    })
}

/// The same, with the key: for the one answer that tells it.
pub(crate) fn describe_issued(issued: &Issued) -> Value {
    let mut described = describe(&issued.record);
    if let Some(fields) = described.as_object_mut() {
        fields.insert("schema".to_owned(), 1.into());
        fields.insert("key".to_owned(), issued.key.expose().into());
    }
    described
}

/// The list of keys.
pub(crate) fn describe_all(records: &[ApiKeyRecord]) -> Value {
    json!({ "schema": 1, "keys": records.iter().map(describe).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::SeededRandom;

    fn wish() -> KeyWish {
        KeyWish {
            user: None,
            tier: AccessTier::Standard,
            expires_in: Some(Duration::from_secs(60)),
            limited: true,
        }
    }

    #[test]
    fn of_a_key_only_the_digest_and_its_beginning_are_kept() {
        let issued = issue(wish(), Timestamp::from_millis(1_000), &SeededRandom::new(1)).unwrap();
        let key = issued.key.expose();
        assert!(key.starts_with(&issued.record.id) && issued.record.id.len() == ID_CHARS);
        assert_eq!(issued.record.hash, hex(&digest(key)));
        assert!(!describe(&issued.record).to_string().contains(key));
        assert!(!describe(&issued.record).to_string().contains(&issued.record.hash));
        assert_eq!(issued.record.expires_at, Some(Timestamp::from_millis(61_000)));
    }

    #[test]
    fn two_keys_for_nobody_in_particular_have_two_users() {
        let random = SeededRandom::new(2);
        let users: Vec<_> = (0..2)
            .map(|_| {
                issue(wish(), Timestamp::from_millis(0), &random)
                    .unwrap()
                    .record
                    .user
            })
            .collect();
        assert_ne!(users[0], users[1]);
    }
}
