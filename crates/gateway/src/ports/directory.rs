//! Tenants and API keys as stored.

use openclaw_core::{AccessTier, BotId, Platform, Timestamp, UserId};
use openclaw_session::{TenantKey, UserTenant};
use serde::{Deserialize, Serialize};

/// A stored tenant with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTenant {
    /// What stores know it by.
    pub key: TenantKey,
    /// Which of our bots it talks to.
    pub bot: BotId,
    /// The tenant.
    pub tenant: UserTenant,
    /// Grows with every change.
    pub version: u64,
}

/// An API key as stored: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyRecord {
    /// A short public name for it, the first characters of the key.
    pub id: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    /// Whose it is.
    pub user: UserId,
    /// The platform its tenants belong to: `api`, or `web` for a key of the web platform.
    pub platform: Platform,
    /// What it grants.
    pub tier: AccessTier,
    /// Whether calls under it are limited to `messenger.rateLimits`.
    pub limited: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}
