//! What was said and what was used.

use crate::error::OpError;
use crate::ops::inbox::{outcome_name, outcome_named};
use crate::rows::{self, change, first};
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{
    AccountUsage, EntryId, HISTORY_KEPT, HistoryMessage, NewHistoryMessage, StoreError, USAGE_KEPT,
    UsageDelta,
};
use openclaw_session::TenantKey;
use rusqlite::{Connection, Row, params};
use std::time::Duration;

/// What [`message`] reads, of `history h`.
const MESSAGE: &str =
    "h.seq, h.generation, h.message, h.tokens, h.model, h.at, h.entry, h.unanswered, h.finish_reason";

/// The newest of `history h` first: by the order in which entries were accepted, whichever ended first. What is older than
/// the note of entries comes last.
const NEWEST: &str = "ORDER BY h.entry DESC, h.seq DESC";

pub(crate) fn remember(
    connection: &Connection,
    tenant: TenantKey,
    entry: EntryId,
    generation: u64,
    said: &[NewHistoryMessage],
    ended_at: Timestamp,
) -> Result<(), OpError> {
    if said.is_empty() {
        return Ok(());
    }
    let last = first(
        connection,
        "UPDATE tenants SET last_seq = last_seq + ?2 WHERE key = ?1 RETURNING last_seq",
        params![tenant.0, rows::limit(said.len())],
        |row| Ok(row.get::<_, i64>(0)?),
    )?;
    change(
        connection,
        "DELETE FROM history WHERE tenant = ?1 AND seq <= ?2",
        params![
            tenant.0,
            last.unwrap_or(0).saturating_sub(rows::limit(HISTORY_KEPT))
        ],
    )?;
    let before = last.unwrap_or(0).saturating_sub(rows::limit(said.len()));
    for (seq, message) in (before.saturating_add(1)..).zip(said) {
        change(
            connection,
            "INSERT INTO history (tenant, seq, generation, message, tokens, model, at, entry, unanswered, \
             finish_reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                tenant.0,
                seq,
                rows::signed(generation),
                rows::to_json(&message.message, "message")?,
                rows::signed(message.tokens),
                message.model.as_ref().map(openclaw_core::ModelId::as_str),
                message.at.unwrap_or(ended_at).as_millis(),
                entry.0,
                message.unanswered.map(outcome_name),
                message.finish_reason
            ],
        )?;
    }
    Ok(())
}

/// The generation of what is said outside a turn: the session there is, or the one to come.
pub(crate) fn present_generation(connection: &Connection, tenant: TenantKey) -> Result<u64, OpError> {
    let present = first(
        connection,
        "SELECT max(generation, forgotten + 1) FROM tenants WHERE key = ?1",
        params![tenant.0],
        |row| rows::unsigned(row, 0),
    )?;
    Ok(present.unwrap_or(1))
}

pub(crate) fn history(
    connection: &Connection,
    tenant: TenantKey,
    max_messages: usize,
    max_tokens: u64,
) -> Result<Vec<HistoryMessage>, OpError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {MESSAGE} FROM history h JOIN tenants t ON t.key = h.tenant \
         WHERE h.tenant = ?1 AND h.generation > t.forgotten AND h.unanswered IS NULL {NEWEST} LIMIT ?2"
    ))?;
    let mut found = statement.query(params![tenant.0, rows::limit(max_messages.max(1))])?;
    let mut newest = Vec::new();
    let mut tokens = 0_u64;
    while let Some(row) = found.next()? {
        let message = message(row)?;
        tokens = tokens.saturating_add(message.tokens);
        if !newest.is_empty() && tokens > max_tokens {
            break;
        }
        newest.push(message);
    }
    newest.reverse();
    Ok(newest)
}

pub(crate) fn said(
    connection: &Connection,
    tenant: TenantKey,
    max_messages: usize,
) -> Result<Vec<HistoryMessage>, OpError> {
    let mut newest = rows::all(
        connection,
        &format!(
            "SELECT {MESSAGE} FROM history h JOIN tenants t ON t.key = h.tenant \
             WHERE h.tenant = ?1 AND h.generation > t.forgotten {NEWEST} LIMIT ?2"
        ),
        params![tenant.0, rows::limit(max_messages)],
        message,
    )?;
    newest.reverse();
    Ok(newest)
}

fn message(row: &Row<'_>) -> Result<HistoryMessage, OpError> {
    let model = rows::optional::<String>(row, 4)?
        .map(|name| name.parse().map_err(|error| OpError::corrupt("message", &error)))
        .transpose()?;
    let unanswered = rows::optional::<String>(row, 7)?
        .map(|name| {
            outcome_named(&name).ok_or(StoreError::Corrupt {
                what: "message",
                reason: format!("{name} is no end of a message"),
            })
        })
        .transpose()?;
    Ok(HistoryMessage {
        seq: row.get(0)?,
        generation: rows::unsigned(row, 1)?,
        message: rows::json(row, 2, "message")?,
        tokens: rows::unsigned(row, 3)?,
        model,
        at: rows::time(row, 5)?,
        entry: rows::optional::<i64>(row, 6)?.map(EntryId),
        unanswered,
        finish_reason: rows::optional(row, 8)?,
    })
}

pub(crate) fn usage(connection: &Connection, account: &str) -> Result<Option<AccountUsage>, OpError> {
    first(
        connection,
        "SELECT account, window_started_at, used, settled FROM usage WHERE account = ?1",
        params![account],
        |row| {
            Ok(AccountUsage {
                account: row.get(0)?,
                window_started_at: rows::time(row, 1)?,
                used: rows::unsigned(row, 2)?,
                settled: rows::unsigned(row, 3)?,
            })
        },
    )
}

/// A newer window replaces the stored one, an older adds nothing. Sums stop at the largest number that can be kept.
pub(crate) fn add_usage(connection: &Connection, delta: &UsageDelta) -> Result<(), OpError> {
    change(
        connection,
        "INSERT INTO usage (account, window_started_at, used, settled) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (account) DO UPDATE SET \
         used = CASE \
            WHEN excluded.window_started_at > window_started_at THEN excluded.used \
            WHEN excluded.window_started_at = window_started_at \
                THEN min(used, 9223372036854775807 - excluded.used) + excluded.used \
            ELSE used END, \
         settled = CASE \
            WHEN excluded.window_started_at > window_started_at THEN excluded.settled \
            WHEN excluded.window_started_at = window_started_at \
                THEN min(settled, 9223372036854775807 - excluded.settled) + excluded.settled \
            ELSE settled END, \
         window_started_at = max(window_started_at, excluded.window_started_at)",
        params![
            delta.account,
            delta.window_started_at.as_millis(),
            rows::signed(delta.tokens),
            rows::signed(delta.settled)
        ],
    )?;
    Ok(())
}

pub(crate) fn reset_usage(connection: &Connection, account: &str, over: Timestamp) -> Result<(), OpError> {
    // A window that is newer replaces what is known, which is all there is to it.
    add_usage(
        connection,
        &UsageDelta {
            account: account.to_owned(),
            window_started_at: over + Duration::from_millis(1),
            tokens: 0,
            settled: 0,
        },
    )
}

/// Forgets what was used in windows that are long over, a bounded number of rows at a time. How many.
pub(crate) fn sweep_usage(connection: &Connection, now: Timestamp, limit: i64) -> Result<usize, OpError> {
    change(
        connection,
        "DELETE FROM usage WHERE account IN \
         (SELECT account FROM usage WHERE window_started_at < ?1 ORDER BY window_started_at LIMIT ?2)",
        params![(now - USAGE_KEPT).as_millis(), limit],
    )
}

/// Charges what a turn that did not end had set aside, into the window it was taken from.
pub(crate) fn charge_interrupted(
    connection: &Connection,
    account: &str,
    tokens: u64,
    window_started_at: Timestamp,
) -> Result<(), OpError> {
    add_usage(
        connection,
        &UsageDelta {
            account: account.to_owned(),
            window_started_at,
            tokens,
            settled: 1,
        },
    )
}
