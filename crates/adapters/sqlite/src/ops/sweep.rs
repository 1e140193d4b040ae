//! Forgetting what is old, a bounded number of rows at a time.

use crate::error::OpError;
use crate::ops::{feedback, keys, ledger, memory, turn};
use crate::rows::{self, SESSION, all, change};
use openclaw_core::TenantId;
use openclaw_gateway::ports::{Sweep, Swept};
use openclaw_session::{TenantKey, end_session};
use rusqlite::{Connection, params};

pub(crate) fn sweep(connection: &Connection, sweep: Sweep) -> Result<Swept, OpError> {
    let sweep = Sweep {
        limit: sweep.limit.max(1),
        ..sweep
    };
    let limit = rows::limit(sweep.limit);
    let entries = change(
        connection,
        "DELETE FROM inbox WHERE id IN (SELECT i.id FROM inbox i INDEXED BY inbox_closed \
         WHERE i.closed_at IS NOT NULL AND i.closed_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.entry = i.id) \
         ORDER BY i.closed_at, i.id LIMIT ?2)",
        params![sweep.closed_before.as_millis(), limit],
    )?;
    let history = change(
        connection,
        "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < ?1 ORDER BY at LIMIT ?2)",
        params![sweep.history_before.as_millis(), limit],
    )?;
    let feedback = feedback::sweep(connection, sweep.history_before, limit)?;
    let ledger = ledger::sweep(connection, sweep.now, limit)?;
    let usage = memory::sweep_usage(connection, sweep.now, limit)?;
    let past = all(
        connection,
        &format!(
            "SELECT t.key, t.platform, t.user, t.chat, {SESSION} \
             FROM sessions s JOIN tenants t ON t.key = s.tenant \
             WHERE s.expires_at <= ?1 AND t.running_entry IS NULL ORDER BY s.expires_at, t.key LIMIT ?2"
        ),
        params![sweep.now.as_millis(), limit],
        |row| {
            let session = rows::session(row, 4, &rows::tenant_id(row, 1)?)?;
            Ok((TenantKey(row.get(0)?), session))
        },
    )?;
    let mut sessions = Vec::with_capacity(past.len());
    for (tenant, session) in past {
        turn::remove_session(connection, tenant)?;
        sessions.extend(session.map(|session| end_session(&session)));
    }
    let mut chats = unused_chats(connection, &sweep, limit)?;
    let unused = chats.len();
    chats.extend(silent_chats(connection, &sweep, limit)?);
    let keys = keys::sweep(connection, sweep.now, limit)?;
    Ok(Swept {
        entries: entries as u64,
        history: history as u64,
        more: [
            entries,
            history,
            feedback,
            ledger,
            usage,
            sessions.len(),
            unused,
            chats.len() - unused,
            keys,
        ]
        .into_iter()
        .any(|count| count >= sweep.limit),
        sessions,
        chats,
    })
}

/// Removes chats that were opened and never written in. Every message moves the time of activity.
fn unused_chats(connection: &Connection, sweep: &Sweep, limit: i64) -> Result<Vec<TenantId>, OpError> {
    remove_chats(
        connection,
        "SELECT t.key, t.platform, t.user, t.chat FROM tenants t INDEXED BY tenants_unused \
         WHERE t.generation = 0 AND t.platform IN ('web', 'api') AND t.last_active_at = t.created_at \
         AND t.created_at < ?1 AND t.version = 1 \
         AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.tenant = t.key) ORDER BY t.created_at, t.key LIMIT ?2",
        sweep,
        limit,
    )
}

/// Removes visitors' chats of which nothing is kept any more.
fn silent_chats(connection: &Connection, sweep: &Sweep, limit: i64) -> Result<Vec<TenantId>, OpError> {
    remove_chats(
        connection,
        "SELECT t.key, t.platform, t.user, t.chat FROM tenants t INDEXED BY tenants_silent \
         WHERE t.platform = 'web' AND t.version = 1 AND t.last_active_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.tenant = t.key) \
         AND NOT EXISTS (SELECT 1 FROM history h WHERE h.tenant = t.key) \
         AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.tenant = t.key) \
         ORDER BY t.last_active_at, t.key LIMIT ?2",
        sweep,
        limit,
    )
}

fn remove_chats(
    connection: &Connection,
    which: &str,
    sweep: &Sweep,
    limit: i64,
) -> Result<Vec<TenantId>, OpError> {
    let found = all(
        connection,
        which,
        params![sweep.history_before.as_millis(), limit],
        |row| Ok((row.get::<_, i64>(0)?, rows::tenant_id(row, 1)?)),
    )?;
    found
        .into_iter()
        .map(|(key, chat)| {
            change(connection, "DELETE FROM tenants WHERE key = ?1", params![key])?;
            Ok(chat)
        })
        .collect()
}
