//! Turns: beginning, ending, giving back.
//!
//! The row of a tenant names the one entry whose turn may write, beside the fence. Every write of a turn asks for both.

use crate::error::OpError;
use crate::ops::{inbox, ledger, memory, outbox};
use crate::rows::{self, SESSION, change, first};
use openclaw_core::{TenantId, Timestamp};
use openclaw_gateway::ledger::Spent;
use openclaw_gateway::ports::{
    BeginError, BeginTurn, CommitTurn, EntryId, Fence, OutboxPart, ShownPart, StoreError, TurnGrant,
};
use openclaw_session::{TenantKey, TenantSession, enter_session, leave_session};
use rusqlite::{Connection, params};
use std::time::Duration;

/// What a turn is begun from.
struct Candidate {
    tenant: TenantKey,
    id: TenantId,
    attempts: u32,
    suspended: bool,
    generation: u64,
    fence: u64,
    session: Option<TenantSession>,
}

/// The turn that holds a fence.
struct Holder {
    tenant: TenantKey,
    generation: u64,
}

pub(crate) fn begin(connection: &Connection, epoch: i64, begin: &BeginTurn) -> Result<TurnGrant, OpError> {
    let candidate = candidate(connection, begin.entry)?.ok_or(BeginError::Closed)?;
    if candidate.suspended {
        return Err(BeginError::Suspended.into());
    }
    if candidate.attempts >= begin.max_attempts {
        return Err(BeginError::TooManyAttempts {
            attempts: candidate.attempts,
        }
        .into());
    }
    interrupt(connection, candidate.tenant)?;
    let attempt = candidate.attempts.saturating_add(1);
    let fence = candidate.fence.saturating_add(1);
    let entered = enter_session(
        &candidate.id,
        candidate.session.as_ref(),
        candidate.generation,
        begin.now,
        begin.session_ttl,
    );
    let generation = rows::signed(entered.session.generation);
    change(
        connection,
        "UPDATE inbox SET attempts = ?2 WHERE id = ?1",
        params![begin.entry.0, attempt],
    )?;
    change(
        connection,
        "UPDATE tenants SET generation = ?2, fence = ?3, running_entry = ?4, running_generation = ?2 \
         WHERE key = ?1",
        params![candidate.tenant.0, generation, rows::signed(fence), begin.entry.0],
    )?;
    put_session(connection, candidate.tenant, &entered.session)?;
    if let Some(reservation) = &begin.reservation {
        change(
            connection,
            "INSERT INTO reservations (tenant, epoch, account, tokens, input_estimate, begun_at, window_started_at, \
             shared_account, shared_window_started_at, if_lost) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                candidate.tenant.0,
                epoch,
                reservation.account,
                rows::signed(reservation.tokens),
                rows::signed(reservation.input_estimate),
                begin.now.as_millis(),
                reservation.window_started_at.as_millis(),
                reservation.shared.as_ref().map(|(account, _)| account),
                reservation.shared.as_ref().map(|(_, window)| window.as_millis()),
                rows::to_json(&reservation.if_lost, "reservation")?
            ],
        )?;
    }
    Ok(TurnGrant {
        fence: Fence(fence),
        attempt,
        session: entered.session,
        opened: entered.opened,
        ended: entered.ended,
    })
}

fn candidate(connection: &Connection, entry: EntryId) -> Result<Option<Candidate>, OpError> {
    first(
        connection,
        &format!(
            "SELECT t.key, t.platform, t.user, t.chat, i.attempts, t.suspended, t.generation, t.fence, {SESSION} \
             FROM inbox i JOIN tenants t ON t.key = i.tenant LEFT JOIN sessions s ON s.tenant = t.key \
             WHERE i.id = ?1 AND i.closed_at IS NULL"
        ),
        params![entry.0],
        |row| {
            let id = rows::tenant_id(row, 1)?;
            Ok(Candidate {
                tenant: TenantKey(row.get(0)?),
                attempts: u32::try_from(row.get::<_, i64>(4)?).unwrap_or(u32::MAX),
                suspended: row.get(5)?,
                generation: rows::unsigned(row, 6)?,
                fence: rows::unsigned(row, 7)?,
                session: rows::session(row, 8, &id)?,
                id,
            })
        },
    )
}

fn holder(connection: &Connection, entry: EntryId, fence: Fence) -> Result<Holder, OpError> {
    first(
        connection,
        "SELECT t.key, t.running_generation FROM inbox i JOIN tenants t ON t.key = i.tenant \
         WHERE i.id = ?1 AND t.running_entry = ?1 AND t.fence = ?2",
        params![entry.0, rows::signed(fence.0)],
        |row| {
            Ok(Holder {
                tenant: TenantKey(row.get(0)?),
                generation: rows::unsigned(row, 1)?,
            })
        },
    )?
    .ok_or(OpError::Store(StoreError::Stale))
}

pub(crate) fn record_send(
    connection: &Connection,
    entry: EntryId,
    fence: Fence,
    part: ShownPart,
) -> Result<(), OpError> {
    holder(connection, entry, fence)?;
    let shown = first(
        connection,
        "SELECT shown FROM inbox WHERE id = ?1",
        params![entry.0],
        |row| rows::json::<Vec<ShownPart>>(row, 0, "inbox entry"),
    )?;
    let mut shown = shown.unwrap_or_default();
    shown.retain(|known| known.part != part.part);
    shown.push(part);
    shown.sort_by_key(|known| known.part);
    change(
        connection,
        "UPDATE inbox SET shown = ?2 WHERE id = ?1",
        params![entry.0, rows::to_json(&shown, "inbox entry")?],
    )?;
    Ok(())
}

pub(crate) fn commit(connection: &Connection, commit: CommitTurn) -> Result<Vec<OutboxPart>, OpError> {
    let holder = holder(connection, commit.entry, commit.fence)?;
    let ended = inbox::end(connection, commit.entry, commit.now, commit.outcome)?
        .ok_or(OpError::Store(StoreError::Stale))?;
    stop_running(connection, holder.tenant)?;
    change(
        connection,
        "DELETE FROM reservations WHERE tenant = ?1",
        params![holder.tenant.0],
    )?;
    if let Some(session) = session(connection, holder.tenant)? {
        let left = leave_session(&session, commit.now, commit.session_ttl);
        put_session(connection, holder.tenant, &left)?;
    }
    memory::remember(
        connection,
        holder.tenant,
        commit.entry,
        holder.generation,
        &commit.history,
        commit.now,
    )?;
    for delta in &commit.usage {
        memory::add_usage(connection, delta)?;
    }
    for spent in &commit.spent {
        ledger::add(connection, spent)?;
    }
    outbox::add(connection, commit.entry, &ended, commit.outbox, commit.now)
}

pub(crate) fn release(connection: &Connection, entry: EntryId, fence: Fence) -> Result<(), OpError> {
    let holder = holder(connection, entry, fence)?;
    stop_running(connection, holder.tenant)?;
    change(
        connection,
        "DELETE FROM reservations WHERE tenant = ?1",
        params![holder.tenant.0],
    )?;
    change(
        connection,
        "UPDATE inbox SET attempts = max(attempts - 1, 0) WHERE id = ?1",
        params![entry.0],
    )?;
    rest(connection, holder.tenant)
}

/// Takes the right to write from the tenant's running turn and charges what it had set aside, as a crash would; the ledger
/// is told of it. Whether there was a reservation.
pub(crate) fn interrupt(connection: &Connection, tenant: TenantKey) -> Result<bool, OpError> {
    stop_running(connection, tenant)?;
    let reservation = first(
        connection,
        "DELETE FROM reservations WHERE tenant = ?1 RETURNING account, input_estimate, begun_at, \
         window_started_at, shared_account, shared_window_started_at, if_lost",
        params![tenant.0],
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                rows::unsigned(row, 1)?,
                rows::time(row, 2)?,
                rows::optional::<i64>(row, 3)?.map(Timestamp::from_millis),
                rows::optional::<String>(row, 4)?.zip(rows::optional::<i64>(row, 5)?),
                rows::optional_json::<Spent>(row, 6, "reservation")?,
            ))
        },
    )?;
    match reservation {
        Some((account, estimate, begun_at, window, shared, if_lost)) => {
            // Before windows were written down it was the one that is open.
            let window = match window {
                Some(window) => window,
                None => {
                    memory::usage(connection, &account)?.map_or(begun_at, |usage| usage.window_started_at)
                }
            };
            memory::charge_interrupted(connection, &account, estimate, window)?;
            if let Some((account, window)) = shared {
                memory::charge_interrupted(connection, &account, estimate, Timestamp::from_millis(window))?;
            }
            if let Some(spent) = if_lost {
                ledger::add(connection, &spent)?;
            }
            Ok(true)
        }
        None => Ok(false),
    }
}

fn stop_running(connection: &Connection, tenant: TenantKey) -> Result<(), OpError> {
    change(
        connection,
        "UPDATE tenants SET running_entry = NULL, running_generation = NULL \
         WHERE key = ?1 AND running_entry IS NOT NULL",
        params![tenant.0],
    )?;
    Ok(())
}

/// Lets the session be between turns, its life not prolonged.
pub(crate) fn rest(connection: &Connection, tenant: TenantKey) -> Result<(), OpError> {
    if let Some(session) = session(connection, tenant)? {
        let rested = leave_session(&session, session.last_activity_at, Duration::ZERO);
        put_session(connection, tenant, &rested)?;
    }
    Ok(())
}

pub(crate) fn session(connection: &Connection, tenant: TenantKey) -> Result<Option<TenantSession>, OpError> {
    first(
        connection,
        &format!(
            "SELECT t.platform, t.user, t.chat, {SESSION} \
             FROM sessions s JOIN tenants t ON t.key = s.tenant WHERE s.tenant = ?1"
        ),
        params![tenant.0],
        |row| rows::session(row, 3, &rows::tenant_id(row, 0)?),
    )
    .map(Option::flatten)
}

pub(crate) fn put_session(
    connection: &Connection,
    tenant: TenantKey,
    session: &TenantSession,
) -> Result<(), OpError> {
    change(
        connection,
        "INSERT INTO sessions (tenant, generation, state, created_at, last_activity_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant) DO UPDATE SET \
         generation = excluded.generation, state = excluded.state, created_at = excluded.created_at, \
         last_activity_at = excluded.last_activity_at, expires_at = excluded.expires_at",
        params![
            tenant.0,
            rows::signed(session.generation),
            session.state.as_str(),
            session.created_at.as_millis(),
            session.last_activity_at.as_millis(),
            session.expires_at.as_millis()
        ],
    )?;
    Ok(())
}

pub(crate) fn remove_session(connection: &Connection, tenant: TenantKey) -> Result<(), OpError> {
    change(
        connection,
        "DELETE FROM sessions WHERE tenant = ?1",
        params![tenant.0],
    )?;
    Ok(())
}

/// What is done once when a store is opened: every turn of an earlier process is interrupted. How many turns ran, how
/// many reservations were settled.
pub(crate) fn recover(connection: &Connection, epoch: i64) -> Result<(u64, u64), OpError> {
    let running = rows::all(
        connection,
        "SELECT key FROM tenants INDEXED BY tenants_running WHERE running_entry IS NOT NULL",
        [],
        |row| Ok(TenantKey(row.get(0)?)),
    )?;
    let mut settled = 0;
    for tenant in &running {
        settled += u64::from(interrupt(connection, *tenant)?);
        rest(connection, *tenant)?;
    }
    let dead = rows::all(
        connection,
        "SELECT tenant FROM reservations WHERE epoch <> ?1",
        params![epoch],
        |row| Ok(TenantKey(row.get(0)?)),
    )?;
    for tenant in dead {
        settled += u64::from(interrupt(connection, tenant)?);
    }
    Ok((running.len() as u64, settled))
}

pub(crate) fn start_over(
    connection: &Connection,
    tenant: TenantKey,
    _now: Timestamp,
) -> Result<Option<TenantSession>, OpError> {
    let known = change(
        connection,
        "UPDATE tenants SET forgotten = generation WHERE key = ?1",
        params![tenant.0],
    )?;
    if known == 0 {
        return Err(StoreError::NotFound { what: "tenant" }.into());
    }
    let session = session(connection, tenant)?;
    if session.is_some() {
        remove_session(connection, tenant)?;
    }
    Ok(session.map(|session| openclaw_session::end_session(&session)))
}
