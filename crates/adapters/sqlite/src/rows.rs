//! Rows to values and back. A row that cannot be read is `Corrupt`, never a panic and never skipped.

use crate::error::OpError;
use openclaw_core::{AccessTier, BotId, Platform, SessionId, TenantId, Timestamp};
use openclaw_gateway::ports::{EntryId, OpenEntry, OutboxId, OutboxPart, StoredTenant};
use openclaw_session::{SessionState, TenantKey, TenantSession, UserTenant};
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Params, Row};
use serde::de::DeserializeOwned;
use serde_json::from_str;
use std::fmt::Display;
use std::str::FromStr;

/// The columns [`stored_tenant`] reads, of a table called `t`.
pub(crate) const TENANT: &str = "t.key, t.bot, t.platform, t.user, t.chat, t.tier, t.created_at, \
     t.last_active_at, t.suspended, t.workspace_path, t.version";
const TENANT_COLUMNS: usize = 11;

/// The query whose rows [`open_entry`] reads, to be continued with `WHERE`.
pub(crate) fn open_entries_from() -> String {
    format!(
        "SELECT {TENANT}, i.id, i.tenant_is_new, i.message, i.correlation_id, i.accepted_at, i.attempts, i.shown \
         FROM inbox i INDEXED BY inbox_open JOIN tenants t ON t.key = i.tenant"
    )
}

/// The columns [`session`] reads, of a table called `s`.
pub(crate) const SESSION: &str = "s.generation, s.state, s.created_at, s.last_activity_at, s.expires_at";

/// The query whose rows [`outbox_part`] reads, to be continued with `WHERE`.
pub(crate) const PENDING_FROM: &str = "SELECT o.id, o.entry, t.platform, t.user, t.chat, t.bot, \
     i.correlation_id, o.part, o.attempts, o.ambiguous, o.due_at, t.tier \
     FROM outbox o JOIN inbox i ON i.id = o.entry JOIN tenants t ON t.key = i.tenant";

/// The first row of a query, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, OpError>,
) -> Result<Option<T>, OpError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// All rows of a query.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, OpError>,
) -> Result<Vec<T>, OpError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Runs a statement; how many rows it changed.
pub(crate) fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, OpError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

pub(crate) fn stored_tenant(row: &Row<'_>) -> Result<StoredTenant, OpError> {
    let id = tenant_id(row, 2)?;
    Ok(StoredTenant {
        key: TenantKey(row.get(0)?),
        bot: text(row, 1, "tenant")?,
        tenant: UserTenant {
            tenant_id: id,
            tier: text::<AccessTier>(row, 5, "tenant")?,
            created_at: time(row, 6)?,
            last_active_at: time(row, 7)?,
            suspended: row.get(8)?,
            workspace_path: row.get(9)?,
        },
        version: unsigned(row, 10)?,
    })
}

/// The tenant's id in three columns from `at`.
pub(crate) fn tenant_id(row: &Row<'_>, at: usize) -> Result<TenantId, OpError> {
    Ok(TenantId::new(
        text::<Platform>(row, at, "tenant")?,
        text(row, at + 1, "tenant")?,
        text(row, at + 2, "tenant")?,
    ))
}

pub(crate) fn open_entry(row: &Row<'_>) -> Result<OpenEntry, OpError> {
    let stored = stored_tenant(row)?;
    let at = TENANT_COLUMNS;
    Ok(OpenEntry {
        id: EntryId(row.get(at)?),
        key: stored.key,
        tenant: stored.tenant,
        tenant_is_new: row.get(at + 1)?,
        message: json(row, at + 2, "inbox entry")?,
        correlation_id: text(row, at + 3, "inbox entry")?,
        accepted_at: time(row, at + 4)?,
        attempts: count(row, at + 5)?,
        shown: json(row, at + 6, "inbox entry")?,
    })
}

/// The session in five columns from `at`; `None` when they are null.
pub(crate) fn session(row: &Row<'_>, at: usize, tenant: &TenantId) -> Result<Option<TenantSession>, OpError> {
    if row.get_ref(at)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(TenantSession {
        id: SessionId::of(tenant.clone()),
        generation: unsigned(row, at)?,
        state: session_state(&row.get::<_, String>(at + 1)?)?,
        created_at: time(row, at + 2)?,
        last_activity_at: time(row, at + 3)?,
        expires_at: time(row, at + 4)?,
    }))
}

pub(crate) fn outbox_part(row: &Row<'_>) -> Result<OutboxPart, OpError> {
    Ok(OutboxPart {
        id: OutboxId(row.get(0)?),
        entry: EntryId(row.get(1)?),
        tenant: tenant_id(row, 2)?,
        tier: text::<AccessTier>(row, 11, "outbox part")?,
        bot: text::<BotId>(row, 5, "outbox part")?,
        correlation_id: text(row, 6, "outbox part")?,
        part: json(row, 7, "outbox part")?,
        attempts: count(row, 8)?,
        ambiguous: count(row, 9)?,
        due_at: time(row, 10)?,
    })
}

fn session_state(name: &str) -> Result<SessionState, OpError> {
    SessionState::ALL
        .into_iter()
        .find(|state| state.as_str() == name)
        .ok_or_else(|| OpError::corrupt("session", &format_args!("unknown state `{name}`")))
}

/// A column that holds the text of an identifier or name.
pub(crate) fn text<T>(row: &Row<'_>, at: usize, what: &'static str) -> Result<T, OpError>
where
    T: FromStr,
    T::Err: Display,
{
    let value = row.get_ref(at)?;
    value
        .as_str()
        .map_err(|error| OpError::corrupt(what, &error))?
        .parse()
        .map_err(|error| OpError::corrupt(what, &error))
}

/// A column that holds JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize, what: &'static str) -> Result<T, OpError> {
    let value = row.get_ref(at)?;
    let value = value.as_str().map_err(|error| OpError::corrupt(what, &error))?;
    from_str(value).map_err(|error| OpError::corrupt(what, &error))
}

/// The same where it may be null.
pub(crate) fn optional_json<T: DeserializeOwned>(
    row: &Row<'_>,
    at: usize,
    what: &'static str,
) -> Result<Option<T>, OpError> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        _ => json(row, at, what).map(Some),
    }
}

pub(crate) fn time(row: &Row<'_>, at: usize) -> Result<Timestamp, OpError> {
    Ok(Timestamp::from_millis(row.get(at)?))
}

/// A number that was written by [`signed`].
pub(crate) fn unsigned(row: &Row<'_>, at: usize) -> Result<u64, OpError> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

fn count(row: &Row<'_>, at: usize) -> Result<u32, OpError> {
    Ok(u32::try_from(row.get::<_, i64>(at)?).unwrap_or(u32::MAX))
}

/// As the database keeps it; beyond its range the largest it can keep.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit of rows.
pub(crate) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Something as JSON for a column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T, what: &'static str) -> Result<String, OpError> {
    serde_json::to_string(value).map_err(|error| OpError::corrupt(what, &error))
}

/// A column that may be null.
pub(crate) fn optional<T: FromSql>(row: &Row<'_>, at: usize) -> Result<Option<T>, OpError> {
    Ok(row.get(at)?)
}
