//! What happens to sessions, tenants and workspaces. Identifiers and numbers, never texts.

use openclaw_core::{AccessTier, Event, SessionId, TenantId, Timestamp};
use serde::Serialize;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $wire:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)+
            }

            impl Event for $name {
                const NAME: &'static str = $wire;
            }
        )+

        /// The names of all events of this context, in the order they are documented.
        pub const EVENT_NAMES: &[&str] = &[$($wire),+];
    };
}

events! {
    /// A session was opened.
    SessionCreated = "session.created" {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        tenant_id: TenantId,
        /// Which of the tenant's sessions, from 1.
        generation: u64,
        /// When it ends unless something happens.
        expires_at: Timestamp,
    }

    /// A session left `idle`: something was said in it.
    SessionActivated = "session.activated" {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        tenant_id: TenantId,
        /// Which of the tenant's sessions, from 1.
        generation: u64,
    }

    /// A session ended because its time had passed, or because the person started over.
    SessionExpired = "session.expired" {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        tenant_id: TenantId,
        /// Which of the tenant's sessions, from 1.
        generation: u64,
        /// When something last happened in it.
        last_activity_at: Timestamp,
    }

    /// A session ended because its tenant was suspended.
    SessionSuspended = "session.suspended" {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        tenant_id: TenantId,
    }

    /// Somebody wrote for the first time, or an operator made a tenant.
    TenantCreated = "tenant.created" {
        /// Who.
        tenant_id: TenantId,
        /// What they were granted.
        tier: AccessTier,
    }

    /// A tenant was granted another tier.
    TenantTierChanged = "tenant.tier_changed" {
        /// Who.
        tenant_id: TenantId,
        /// The tier before.
        old: AccessTier,
        /// The tier now.
        new: AccessTier,
    }

    /// A tenant was suspended.
    TenantSuspended = "tenant.suspended" {
        /// Who.
        tenant_id: TenantId,
    }

    /// A suspended tenant is active again.
    TenantReinstated = "tenant.reinstated" {
        /// Who.
        tenant_id: TenantId,
    }

    /// A tenant was deleted with all that belonged to it.
    TenantDeleted = "tenant.deleted" {
        /// Who it was.
        tenant_id: TenantId,
        /// What was removed: `sessions`, `history`, `workspace`, `budget`, `trainingData`.
        removed: Vec<&'static str>,
    }

    /// A workspace was made.
    WorkspaceProvisioned = "workspace.provisioned" {
        /// Whose.
        tenant_id: TenantId,
        /// Its logical path.
        path: String,
    }

    /// A workspace was emptied or removed.
    WorkspaceCleaned = "workspace.cleaned" {
        /// Whose.
        tenant_id: TenantId,
        /// Its logical path.
        path: String,
    }

    /// A tool policy was put in force for a turn.
    ToolPolicyApplied = "tool_policy.applied" {
        /// For whom.
        tenant_id: TenantId,
        /// The tier it was made for.
        tier: AccessTier,
        /// How many tools it names; `None` is all.
        tools: Option<usize>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_specification() {
        assert_eq!(
            EVENT_NAMES,
            [
                "session.created",
                "session.activated",
                "session.expired",
                "session.suspended",
                "tenant.created",
                "tenant.tier_changed",
                "tenant.suspended",
                "tenant.reinstated",
                "tenant.deleted",
                "workspace.provisioned",
                "workspace.cleaned",
                "tool_policy.applied",
            ]
        );
    }

    #[test]
    fn payloads_are_written_in_camel_case() {
        let event = TenantTierChanged {
            tenant_id: "web:1:2".parse().expect("a tenant"),
            old: AccessTier::Free,
            new: AccessTier::Premium,
        };
        let json = serde_json::to_value(event).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"tenantId": "web:1:2", "old": "free", "new": "premium"})
        );
    }
}
