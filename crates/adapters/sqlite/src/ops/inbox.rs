//! The inbox: accepting, ending, listing.

use crate::error::OpError;
use crate::ops::{memory, outbox, turn};
use crate::rows::{self, TENANT, all, change, first};
use openclaw_core::{BotId, CorrelationId, Platform, Timestamp};
use openclaw_gateway::ports::{
    Accepted, CloseEntry, EntryId, NewEntry, OpenEntry, OutboxPart, Outcome, Repeated, StoreDepths,
    StoredTenant, message_digest,
};
use openclaw_session::{TenantKey, create_user_tenant};
use rusqlite::{Connection, Row, params};

/// An entry that has just got its end.
pub(crate) struct Ended {
    pub(crate) tenant: TenantKey,
    pub(crate) correlation_id: CorrelationId,
}

pub(crate) fn accept(connection: &Connection, entries: Vec<NewEntry>) -> Result<Vec<Accepted>, OpError> {
    entries
        .into_iter()
        .map(|entry| accept_one(connection, entry))
        .collect()
}

fn accept_one(connection: &Connection, entry: NewEntry) -> Result<Accepted, OpError> {
    let message = entry.message;
    let digest = message_digest(&message);
    let platform = message.platform.as_str();
    if let Some(after) = entry.repeats_after {
        // What is too old for that gives its key up; the suffix is nobody else's.
        change(
            connection,
            "UPDATE inbox SET update_key = update_key || '#' || id \
             WHERE platform = ?1 AND bot = ?2 AND update_key = ?3 AND accepted_at <= ?4",
            params![
                platform,
                message.bot.as_str(),
                message.update_key,
                after.as_millis()
            ],
        )?;
    }
    let known = first(
        connection,
        "SELECT id, message, digest FROM inbox WHERE platform = ?1 AND bot = ?2 AND update_key = ?3",
        params![platform, message.bot.as_str(), message.update_key],
        |row| {
            Ok(Accepted::Duplicate {
                entry: EntryId(row.get(0)?),
                message: rows::json(row, 1, "inbox entry")?,
                same: is_digest(row, 2, &digest)?,
            })
        },
    )?;
    if let Some(duplicate) = known {
        return Ok(duplicate);
    }
    let (stored, tenant_is_new) = match touch(connection, &message, entry.received_at)? {
        Some(stored) => (stored, false),
        None => {
            let tenant = create_user_tenant(message.tenant_id(), entry.tier_if_new, entry.received_at);
            (super::directory::insert(connection, &message.bot, tenant)?, true)
        }
    };
    change(
        connection,
        "INSERT INTO inbox (platform, bot, update_key, tenant, tenant_is_new, correlation_id, accepted_at, \
         message, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            platform,
            message.bot.as_str(),
            message.update_key,
            stored.key.0,
            tenant_is_new,
            entry.correlation_id.to_string(),
            entry.received_at.as_millis(),
            rows::to_json(&message, "inbox entry")?,
            digest
        ],
    )?;
    Ok(Accepted::New(OpenEntry {
        id: EntryId(connection.last_insert_rowid()),
        key: stored.key,
        tenant: stored.tenant,
        tenant_is_new,
        message,
        correlation_id: entry.correlation_id,
        accepted_at: entry.received_at,
        attempts: 0,
        shown: Vec::new(),
    }))
}

pub(crate) fn repeated(
    connection: &Connection,
    key: (Platform, &BotId, &str),
    digest: [u8; 32],
    since: Timestamp,
) -> Result<Option<Repeated>, OpError> {
    let (platform, bot, update_key) = key;
    first(
        connection,
        "SELECT id, digest FROM inbox \
         WHERE platform = ?1 AND bot = ?2 AND update_key = ?3 AND accepted_at > ?4",
        params![platform.as_str(), bot.as_str(), update_key, since.as_millis()],
        |row| {
            Ok(Repeated {
                entry: EntryId(row.get(0)?),
                same: is_digest(row, 1, &digest)?,
            })
        },
    )
}

fn is_digest(row: &Row<'_>, column: usize, digest: &[u8; 32]) -> Result<bool, OpError> {
    Ok(row
        .get_ref(column)?
        .as_blob()
        .is_ok_and(|stored| stored == digest))
}

/// The tenant who wrote, seen just now; `None` at first contact.
fn touch(
    connection: &Connection,
    message: &openclaw_core::IncomingMessage,
    now: Timestamp,
) -> Result<Option<StoredTenant>, OpError> {
    first(
        connection,
        &format!(
            "UPDATE tenants AS t SET last_active_at = max(last_active_at, ?5) \
             WHERE bot = ?1 AND platform = ?2 AND user = ?3 AND chat = ?4 RETURNING {}",
            TENANT.replace("t.", "")
        ),
        params![
            message.bot.as_str(),
            message.platform.as_str(),
            message.user.as_str(),
            message.chat.as_str(),
            now.as_millis()
        ],
        rows::stored_tenant,
    )
}

/// Gives an open entry its end and forgets what was said in it. `None` when there is no such open entry.
pub(crate) fn end(
    connection: &Connection,
    entry: EntryId,
    now: Timestamp,
    outcome: Outcome,
) -> Result<Option<Ended>, OpError> {
    first(
        connection,
        "UPDATE inbox SET closed_at = ?2, outcome = ?3, shown = '[]', \
         message = json_remove(json_set(message, '$.text', ''), '$.attachments') \
         WHERE id = ?1 AND closed_at IS NULL RETURNING tenant, correlation_id",
        params![entry.0, now.as_millis(), outcome_name(outcome)],
        |row| {
            Ok(Ended {
                tenant: TenantKey(row.get(0)?),
                correlation_id: rows::text(row, 1, "inbox entry")?,
            })
        },
    )
}

pub(crate) fn close(connection: &Connection, close: CloseEntry) -> Result<Option<Vec<OutboxPart>>, OpError> {
    let Some(ended) = end(connection, close.entry, close.now, close.outcome)? else {
        return Ok(None);
    };
    let is_running = first(
        connection,
        "SELECT 1 FROM tenants WHERE key = ?1 AND running_entry = ?2",
        params![ended.tenant.0, close.entry.0],
        |_| Ok(()),
    )?;
    if is_running.is_some() {
        turn::interrupt(connection, ended.tenant)?;
        turn::rest(connection, ended.tenant)?;
    }
    let generation = memory::present_generation(connection, ended.tenant)?;
    memory::remember(
        connection,
        ended.tenant,
        close.entry,
        generation,
        &close.history,
        close.now,
    )?;
    outbox::add(connection, close.entry, &ended, close.outbox, close.now).map(Some)
}

pub(crate) fn open_entries(
    connection: &Connection,
    after: Option<EntryId>,
    limit: usize,
) -> Result<Vec<OpenEntry>, OpError> {
    all(
        connection,
        &format!(
            "{} WHERE i.closed_at IS NULL AND i.id > ?1 ORDER BY i.id LIMIT ?2",
            rows::open_entries_from()
        ),
        params![after.map_or(0, |id| id.0), rows::limit(limit)],
        rows::open_entry,
    )
}

pub(crate) fn open_count(connection: &Connection) -> Result<u64, OpError> {
    let count = first(
        connection,
        "SELECT count(*) FROM inbox WHERE closed_at IS NULL",
        [],
        |row| rows::unsigned(row, 0),
    )?;
    Ok(count.unwrap_or(0))
}

pub(crate) fn depths(connection: &Connection) -> Result<StoreDepths, OpError> {
    let outbox_pending = first(connection, "SELECT count(*) FROM outbox", [], |row| {
        rows::unsigned(row, 0)
    })?;
    let oldest_open_at = first(
        connection,
        "SELECT accepted_at FROM inbox INDEXED BY inbox_open WHERE closed_at IS NULL ORDER BY id LIMIT 1",
        [],
        |row| rows::time(row, 0),
    )?;
    Ok(StoreDepths {
        inbox_open: open_count(connection)?,
        outbox_pending: outbox_pending.unwrap_or(0),
        oldest_open_at,
    })
}

pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "answered",
        Outcome::Command => "command",
        Outcome::Refused => "refused",
        Outcome::Cancelled => "cancelled",
        Outcome::Stopped => "stopped",
        Outcome::Failed => "failed",
        Outcome::Expired => "expired",
        Outcome::DeadLettered => "dead_lettered",
        Outcome::Ignored => "ignored",
    }
}

pub(super) fn outcome_named(name: &str) -> Option<Outcome> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_stored_under_the_names_they_are_shown_by() {
        for outcome in [
            Outcome::Answered,
            Outcome::Command,
            Outcome::Refused,
            Outcome::Cancelled,
            Outcome::Stopped,
            Outcome::Failed,
            Outcome::Expired,
            Outcome::DeadLettered,
            Outcome::Ignored,
        ] {
            let shown = serde_json::to_value(outcome).expect("a name");
            assert_eq!(shown, outcome_name(outcome));
            assert_eq!(outcome_named(outcome_name(outcome)), Some(outcome));
        }
    }
}
