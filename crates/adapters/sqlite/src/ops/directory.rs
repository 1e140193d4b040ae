//! Tenants.

use crate::error::OpError;
use crate::ops::{ledger, turn};
use crate::rows::{self, TENANT, all, change, first};
use openclaw_core::{BotId, Platform, TenantId, UserId};
use openclaw_gateway::ports::{StoreError, StoredTenant};
use openclaw_session::{TenantKey, UserTenant, suspend_session};
use rusqlite::{Connection, params};

pub(crate) fn find(
    connection: &Connection,
    bot: &BotId,
    tenant: &TenantId,
) -> Result<Option<StoredTenant>, OpError> {
    first(
        connection,
        &format!(
            "SELECT {TENANT} FROM tenants t WHERE bot = ?1 AND platform = ?2 AND user = ?3 AND chat = ?4"
        ),
        params![
            bot.as_str(),
            tenant.platform().as_str(),
            tenant.user().as_str(),
            tenant.chat().as_str()
        ],
        rows::stored_tenant,
    )
}

fn by_key(connection: &Connection, key: TenantKey) -> Result<Option<StoredTenant>, OpError> {
    first(
        connection,
        &format!("SELECT {TENANT} FROM tenants t WHERE t.key = ?1"),
        params![key.0],
        rows::stored_tenant,
    )
}

/// Writes a tenant whose address is free.
pub(crate) fn insert(
    connection: &Connection,
    bot: &BotId,
    tenant: UserTenant,
) -> Result<StoredTenant, OpError> {
    change(
        connection,
        "INSERT INTO tenants (bot, platform, user, chat, tier, created_at, last_active_at, suspended, \
         workspace_path) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            bot.as_str(),
            tenant.platform().as_str(),
            tenant.tenant_id.user().as_str(),
            tenant.tenant_id.chat().as_str(),
            tenant.tier.as_str(),
            tenant.created_at.as_millis(),
            tenant.last_active_at.as_millis(),
            tenant.suspended,
            tenant.workspace_path
        ],
    )?;
    Ok(StoredTenant {
        key: TenantKey(connection.last_insert_rowid()),
        bot: bot.clone(),
        tenant,
        version: 1,
    })
}

pub(crate) fn create(
    connection: &Connection,
    bot: &BotId,
    tenant: UserTenant,
) -> Result<StoredTenant, OpError> {
    match find(connection, bot, &tenant.tenant_id)? {
        Some(known) => Ok(known),
        None => insert(connection, bot, tenant),
    }
}

pub(crate) fn update(
    connection: &Connection,
    key: TenantKey,
    version: u64,
    tenant: UserTenant,
) -> Result<Option<StoredTenant>, OpError> {
    let stored = by_key(connection, key)?.ok_or(StoreError::NotFound { what: "tenant" })?;
    if stored.version != version {
        return Ok(None);
    }
    let taken = find(connection, &stored.bot, &tenant.tenant_id)?.is_some_and(|other| other.key != key);
    if taken {
        return Err(StoreError::Unavailable {
            reason: "another tenant has this address".into(),
        }
        .into());
    }
    let tenant = UserTenant {
        last_active_at: stored.tenant.last_active_at.max(tenant.last_active_at),
        ..tenant
    };
    let version = version.saturating_add(1);
    change(
        connection,
        "UPDATE tenants SET platform = ?2, user = ?3, chat = ?4, tier = ?5, created_at = ?6, \
         last_active_at = ?7, suspended = ?8, workspace_path = ?9, version = ?10 WHERE key = ?1",
        params![
            key.0,
            tenant.platform().as_str(),
            tenant.tenant_id.user().as_str(),
            tenant.tenant_id.chat().as_str(),
            tenant.tier.as_str(),
            tenant.created_at.as_millis(),
            tenant.last_active_at.as_millis(),
            tenant.suspended,
            tenant.workspace_path,
            rows::signed(version)
        ],
    )?;
    if tenant.suspended
        && let Some(session) = turn::session(connection, key)?
    {
        turn::put_session(connection, key, &suspend_session(&session))?;
    }
    Ok(Some(StoredTenant {
        key,
        bot: stored.bot,
        tenant,
        version,
    }))
}

pub(crate) fn list(
    connection: &Connection,
    of: Option<(Platform, UserId)>,
    after: Option<TenantKey>,
    limit: usize,
) -> Result<Vec<StoredTenant>, OpError> {
    let (after, limit) = (after.map_or(0, |key| key.0), rows::limit(limit));
    match of {
        Some((platform, user)) => all(
            connection,
            &format!(
                "SELECT {TENANT} FROM tenants t WHERE t.platform = ?1 AND t.user = ?2 AND t.key > ?3 \
                 ORDER BY t.key LIMIT ?4"
            ),
            params![platform.as_str(), user.as_str(), after, limit],
            rows::stored_tenant,
        ),
        None => all(
            connection,
            &format!("SELECT {TENANT} FROM tenants t WHERE t.key > ?1 ORDER BY t.key LIMIT ?2"),
            params![after, limit],
            rows::stored_tenant,
        ),
    }
}

/// Sessions, history, inbox and outbox go with the row; what a running turn has set aside is charged.
pub(crate) fn delete(connection: &Connection, key: TenantKey) -> Result<bool, OpError> {
    turn::interrupt(connection, key)?;
    let id = first(
        connection,
        "SELECT platform, user, chat FROM tenants WHERE key = ?1",
        params![key.0],
        |row| rows::tenant_id(row, 0),
    )?;
    if let Some(id) = id {
        ledger::forget(connection, &id)?;
    }
    let removed = change(connection, "DELETE FROM tenants WHERE key = ?1", params![key.0])?;
    Ok(removed > 0)
}
