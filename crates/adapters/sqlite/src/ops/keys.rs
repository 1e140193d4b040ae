//! API keys and what the platform remembers about itself.

use crate::error::OpError;
use crate::rows::{self, all, change, first};
use openclaw_core::{AccessTier, Platform, Timestamp, UserId};
use openclaw_gateway::ports::{ApiKeyRecord, KEYS_KEPT};
use rusqlite::{Connection, params};

pub(crate) fn put(connection: &Connection, key: &ApiKeyRecord) -> Result<(), OpError> {
    change(
        connection,
        "INSERT INTO api_keys (hash, id, user, platform, tier, limited, created_at, expires_at, revoked_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (hash) DO UPDATE SET \
         id = excluded.id, user = excluded.user, platform = excluded.platform, tier = excluded.tier, \
         limited = excluded.limited, created_at = excluded.created_at, expires_at = excluded.expires_at, \
         revoked_at = excluded.revoked_at",
        params![
            key.hash,
            key.id,
            key.user.as_str(),
            key.platform.as_str(),
            key.tier.as_str(),
            key.limited,
            key.created_at.as_millis(),
            key.expires_at.map(Timestamp::as_millis),
            key.revoked_at.map(Timestamp::as_millis)
        ],
    )?;
    Ok(())
}

pub(crate) fn list(connection: &Connection) -> Result<Vec<ApiKeyRecord>, OpError> {
    all(
        connection,
        "SELECT id, hash, user, platform, tier, limited, created_at, expires_at, revoked_at \
         FROM api_keys ORDER BY created_at, rowid",
        [],
        |row| {
            Ok(ApiKeyRecord {
                id: row.get(0)?,
                hash: row.get(1)?,
                user: rows::text::<UserId>(row, 2, "API key")?,
                platform: rows::text::<Platform>(row, 3, "API key")?,
                tier: rows::text::<AccessTier>(row, 4, "API key")?,
                limited: row.get(5)?,
                created_at: rows::time(row, 6)?,
                expires_at: rows::optional(row, 7)?.map(Timestamp::from_millis),
                revoked_at: rows::optional(row, 8)?.map(Timestamp::from_millis),
            })
        },
    )
}

pub(crate) fn revoke(connection: &Connection, id: &str, now: Timestamp) -> Result<bool, OpError> {
    let revoked = change(
        connection,
        "UPDATE api_keys SET revoked_at = ?2 \
         WHERE id = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR ?2 < expires_at)",
        params![id, now.as_millis()],
    )?;
    Ok(revoked > 0)
}

/// Forgets keys that have let nobody in for long.
pub(crate) fn sweep(connection: &Connection, now: Timestamp, limit: i64) -> Result<usize, OpError> {
    change(
        connection,
        "DELETE FROM api_keys WHERE hash IN (SELECT hash FROM api_keys \
         WHERE min(ifnull(revoked_at, expires_at), ifnull(expires_at, revoked_at)) < ?1 LIMIT ?2)",
        params![(now - KEYS_KEPT).as_millis(), limit],
    )
}

pub(crate) fn get_meta(connection: &Connection, key: &str) -> Result<Option<String>, OpError> {
    first(
        connection,
        "SELECT value FROM meta WHERE key = ?1",
        params![key],
        |row| Ok(row.get(0)?),
    )
}

pub(crate) fn put_meta(connection: &Connection, key: &str, value: &str) -> Result<(), OpError> {
    change(
        connection,
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )?;
    Ok(())
}
