//! A tenant: one person in one chat, what they have been granted and when they were last seen.

use openclaw_core::{AccessTier, Platform, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// What stores know a tenant by. It outlives the tenant's address: a chat that moves keeps its key and its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantKey(pub i64);

/// A tenant. `created → active ⇄ suspended → deleted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTenant {
    /// `{platform}:{userId}:{chatId}`.
    pub tenant_id: TenantId,
    /// What has been granted.
    pub tier: AccessTier,
    /// First contact.
    pub created_at: Timestamp,
    /// Last message.
    pub last_active_at: Timestamp,
    /// A suspended tenant reaches no model and no plugin.
    pub suspended: bool,
    /// The logical path of the workspace, `/workspaces/{tenantId}`.
    pub workspace_path: String,
}

// === impl UserTenant ===

impl UserTenant {
    /// The platform part of the id.
    pub fn platform(&self) -> Platform {
        self.tenant_id.platform()
    }
}

/// A tenant at first contact: active, of the given tier (`free` unless configured otherwise).
pub fn create_user_tenant(tenant_id: TenantId, tier: AccessTier, now: Timestamp) -> UserTenant {
    let workspace_path = format!("/workspaces/{tenant_id}");
    UserTenant {
        tenant_id,
        tier,
        created_at: now,
        last_active_at: now,
        suspended: false,
        workspace_path,
    }
}

/// The tenant as seen just now; time does not go back.
pub fn touch_tenant(tenant: &UserTenant, now: Timestamp) -> UserTenant {
    UserTenant {
        last_active_at: tenant.last_active_at.max(now),
        ..tenant.clone()
    }
}

/// The tenant with another tier.
pub fn change_tenant_tier(tenant: &UserTenant, tier: AccessTier) -> UserTenant {
    UserTenant {
        tier,
        ..tenant.clone()
    }
}

/// The tenant, suspended. Suspending twice changes nothing.
pub fn suspend_tenant(tenant: &UserTenant) -> UserTenant {
    UserTenant {
        suspended: true,
        ..tenant.clone()
    }
}

/// The tenant, active again.
pub fn reinstate_tenant(tenant: &UserTenant) -> UserTenant {
    UserTenant {
        suspended: false,
        ..tenant.clone()
    }
}
