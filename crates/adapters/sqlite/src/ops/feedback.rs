//! What people think of answers.

use crate::error::OpError;
use crate::rows::{self, all, change};
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{EntryId, Feedback, Opinion, Rating};
use openclaw_session::TenantKey;
use rusqlite::{Connection, params};
use std::ops::RangeInclusive;

pub(crate) fn rate(connection: &Connection, tenant: TenantKey, feedback: &Feedback) -> Result<bool, OpError> {
    let kept = change(
        connection,
        "INSERT INTO feedback (tenant, entry, rating, text, at) \
         SELECT key, ?2, ?3, ?4, ?5 FROM tenants WHERE key = ?1 \
         ON CONFLICT (tenant, entry) DO UPDATE SET \
         rating = excluded.rating, text = excluded.text, at = excluded.at",
        params![
            tenant.0,
            feedback.entry.0,
            feedback.opinion.rating.as_str(),
            feedback.opinion.text,
            feedback.at.as_millis()
        ],
    )?;
    Ok(kept > 0)
}

pub(crate) fn list(
    connection: &Connection,
    tenant: TenantKey,
    entries: &RangeInclusive<EntryId>,
) -> Result<Vec<Feedback>, OpError> {
    all(
        connection,
        "SELECT entry, rating, text, at FROM feedback WHERE tenant = ?1 AND entry BETWEEN ?2 AND ?3 ORDER BY entry",
        params![tenant.0, entries.start().0, entries.end().0],
        |row| {
            Ok(Feedback {
                entry: EntryId(row.get(0)?),
                opinion: Opinion {
                    rating: rows::text::<Rating>(row, 1, "feedback")?,
                    text: row.get(2)?,
                },
                at: rows::time(row, 3)?,
            })
        },
    )
}

/// Forgets what was said before this time, so many rows at most; how many.
pub(crate) fn sweep(connection: &Connection, before: Timestamp, limit: i64) -> Result<usize, OpError> {
    change(
        connection,
        "DELETE FROM feedback WHERE (tenant, entry) IN \
         (SELECT tenant, entry FROM feedback WHERE at < ?1 ORDER BY at LIMIT ?2)",
        params![before.as_millis(), limit],
    )
}
