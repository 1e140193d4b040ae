//! The outbox: what is still to be delivered. A part that is delivered or given up is removed with its text.

use crate::error::OpError;
use crate::ops::inbox::Ended;
use crate::rows::{self, PENDING_FROM, all, change, first};
use openclaw_core::AccessTier;
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{Delivery, EntryId, NewOutboxPart, OutboxId, OutboxPart};
use rusqlite::{Connection, params};

pub(crate) fn add(
    connection: &Connection,
    entry: EntryId,
    ended: &Ended,
    parts: Vec<NewOutboxPart>,
    now: Timestamp,
) -> Result<Vec<OutboxPart>, OpError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let address = first(
        connection,
        "SELECT platform, user, chat, bot, tier FROM tenants WHERE key = ?1",
        params![ended.tenant.0],
        |row| {
            Ok((
                rows::tenant_id(row, 0)?,
                rows::text(row, 3, "tenant")?,
                rows::text::<AccessTier>(row, 4, "tenant")?,
            ))
        },
    )?;
    let Some((tenant, bot, tier)) = address else {
        return Ok(Vec::new());
    };
    let mut written = Vec::with_capacity(parts.len());
    for part in parts {
        change(
            connection,
            "INSERT INTO outbox (entry, part, due_at) VALUES (?1, ?2, ?3)",
            params![entry.0, rows::to_json(&part, "outbox part")?, now.as_millis()],
        )?;
        written.push(OutboxPart {
            id: OutboxId(connection.last_insert_rowid()),
            entry,
            tenant: openclaw_core::TenantId::clone(&tenant),
            tier,
            bot: openclaw_core::BotId::clone(&bot),
            correlation_id: ended.correlation_id,
            part,
            attempts: 0,
            ambiguous: 0,
            due_at: now,
        });
    }
    Ok(written)
}

pub(crate) fn record_delivery(
    connection: &Connection,
    part: OutboxId,
    delivery: &Delivery,
) -> Result<(), OpError> {
    match delivery {
        Delivery::Delivered { .. } | Delivery::Failed { .. } => {
            change(connection, "DELETE FROM outbox WHERE id = ?1", params![part.0])?;
        }
        Delivery::Retry { due_at, ambiguous } => {
            change(
                connection,
                "UPDATE outbox SET attempts = attempts + 1, ambiguous = ambiguous + ?2, due_at = ?3 \
                 WHERE id = ?1",
                params![part.0, i64::from(*ambiguous), due_at.as_millis()],
            )?;
        }
    }
    Ok(())
}

pub(crate) fn pending(
    connection: &Connection,
    after: Option<OutboxId>,
    limit: usize,
) -> Result<Vec<OutboxPart>, OpError> {
    all(
        connection,
        &format!("{PENDING_FROM} WHERE o.id > ?1 ORDER BY o.id LIMIT ?2"),
        params![after.map_or(0, |id| id.0), rows::limit(limit)],
        rows::outbox_part,
    )
}
