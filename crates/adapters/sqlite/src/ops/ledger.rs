//! What calls of models have cost.

use crate::error::OpError;
use crate::rows::{self, all, change};
use openclaw_core::{TenantId, Timestamp};
use openclaw_gateway::ledger::{
    FORGOTTEN_PAYER, LEDGER_DAYS, Spent, SpentBy, SpentQuery, SpentRow, SpentSums, day_of,
};
use rusqlite::{Connection, params};

/// Adds a row to the one of the same day, payer, tier and model. Sums stop at the largest number that can be kept.
pub(crate) fn add(connection: &Connection, spent: &Spent) -> Result<(), OpError> {
    change(
        connection,
        "INSERT INTO ledger (day, payer, tier, provider, model, calls, estimated_calls, input_tokens, output_tokens, \
         cost_micros) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (day, payer, tier, provider, model) DO UPDATE SET \
         calls = min(calls, 9223372036854775807 - excluded.calls) + excluded.calls, \
         estimated_calls = min(estimated_calls, 9223372036854775807 - excluded.estimated_calls) \
            + excluded.estimated_calls, \
         input_tokens = min(input_tokens, 9223372036854775807 - excluded.input_tokens) + excluded.input_tokens, \
         output_tokens = min(output_tokens, 9223372036854775807 - excluded.output_tokens) + excluded.output_tokens, \
         cost_micros = min(cost_micros, 9223372036854775807 - excluded.cost_micros) + excluded.cost_micros",
        params![
            spent.day,
            spent.payer,
            spent.tier.as_str(),
            spent.provider.as_str(),
            spent.model.as_str(),
            rows::signed(spent.sums.calls),
            rows::signed(spent.sums.estimated_calls),
            rows::signed(spent.sums.input_tokens),
            rows::signed(spent.sums.output_tokens),
            rows::signed(spent.sums.cost_micros),
        ],
    )?;
    Ok(())
}

/// Sums by what is asked, the most tokens first. `total` adds as floating point, so that no sum of sums overflows.
pub(crate) fn spent(connection: &Connection, query: &SpentQuery) -> Result<Vec<SpentRow>, OpError> {
    let key = match query.by {
        SpentBy::Tenant => "payer",
        SpentBy::Tier => "tier",
        SpentBy::Model => "provider || '/' || model",
        SpentBy::Day => "CAST(day AS TEXT)",
    };
    let sum = |column: &str| format!("CAST(min(total({column}), 9.2e18) AS INTEGER)");
    let sql = format!(
        "SELECT {key} AS name, {}, {}, {}, {}, {} FROM ledger WHERE day >= ?1 AND (?2 IS NULL OR payer = ?2) \
         GROUP BY name ORDER BY total(input_tokens) + total(output_tokens) DESC, name LIMIT ?3",
        sum("calls"),
        sum("estimated_calls"),
        sum("input_tokens"),
        sum("output_tokens"),
        sum("cost_micros"),
    );
    all(
        connection,
        &sql,
        params![query.since_day, query.payer, rows::limit(query.limit)],
        |row| {
            Ok(SpentRow {
                key: row.get(0)?,
                sums: SpentSums {
                    calls: rows::unsigned(row, 1)?,
                    estimated_calls: rows::unsigned(row, 2)?,
                    input_tokens: rows::unsigned(row, 3)?,
                    output_tokens: rows::unsigned(row, 4)?,
                    cost_micros: rows::unsigned(row, 5)?,
                },
            })
        },
    )
}

/// Keeps a deleted tenant's sums without its name.
pub(crate) fn forget(connection: &Connection, tenant: &TenantId) -> Result<(), OpError> {
    let own = all(
        connection,
        "DELETE FROM ledger WHERE payer = ?1 \
         RETURNING day, tier, provider, model, calls, estimated_calls, input_tokens, output_tokens, cost_micros",
        params![tenant.to_string()],
        |row| {
            Ok(Spent {
                day: row.get(0)?,
                payer: FORGOTTEN_PAYER.to_owned(),
                tier: rows::text(row, 1, "ledger")?,
                provider: rows::text(row, 2, "ledger")?,
                model: rows::text(row, 3, "ledger")?,
                sums: SpentSums {
                    calls: rows::unsigned(row, 4)?,
                    estimated_calls: rows::unsigned(row, 5)?,
                    input_tokens: rows::unsigned(row, 6)?,
                    output_tokens: rows::unsigned(row, 7)?,
                    cost_micros: rows::unsigned(row, 8)?,
                },
            })
        },
    )?;
    own.iter().try_for_each(|spent| add(connection, spent))
}

/// Removes days that are too old, a bounded number of rows at a time. How many.
pub(crate) fn sweep(connection: &Connection, now: Timestamp, limit: i64) -> Result<usize, OpError> {
    change(
        connection,
        "DELETE FROM ledger WHERE (day, payer, tier, provider, model) IN \
         (SELECT day, payer, tier, provider, model FROM ledger WHERE day < ?1 ORDER BY day LIMIT ?2)",
        params![day_of(now).saturating_sub(LEDGER_DAYS), limit],
    )
}
