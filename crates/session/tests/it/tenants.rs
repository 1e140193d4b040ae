//! The life of a tenant.

use openclaw_core::{AccessTier, Platform, Timestamp};
use openclaw_session::{
    UserTenant, change_tenant_tier, create_user_tenant, reinstate_tenant, suspend_tenant, touch_tenant,
};
use proptest::prelude::*;

fn tenant() -> UserTenant {
    let id = "telegram:42:-100500.7".parse().expect("a tenant");
    create_user_tenant(id, AccessTier::Free, Timestamp::from_millis(5))
}

#[test]
fn a_tenant_begins_active_with_a_workspace_of_its_own() {
    let expected = UserTenant {
        tenant_id: "telegram:42:-100500.7".parse().expect("a tenant"),
        tier: AccessTier::Free,
        created_at: Timestamp::from_millis(5),
        last_active_at: Timestamp::from_millis(5),
        suspended: false,
        workspace_path: "/workspaces/telegram:42:-100500.7".into(),
    };
    assert_eq!(tenant(), expected);
    assert_eq!(tenant().platform(), Platform::Telegram);
}

#[test]
fn suspending_and_reinstating_are_inverse_and_change_nothing_else() {
    let suspended = suspend_tenant(&tenant());
    assert!(suspended.suspended);
    assert_eq!(suspend_tenant(&suspended), suspended);
    assert_eq!(reinstate_tenant(&suspended), tenant());
    assert_eq!(reinstate_tenant(&tenant()), tenant());
}

#[test]
fn a_change_of_tier_changes_nothing_else() {
    for tier in AccessTier::ALL {
        let changed = change_tenant_tier(&tenant(), tier);
        assert_eq!(changed.tier, tier);
        assert_eq!(change_tenant_tier(&changed, AccessTier::Free), tenant());
    }
}

proptest! {
    #[test]
    fn activity_never_goes_back(times in proptest::collection::vec(any::<i64>(), 0..8)) {
        let last = times.iter().copied().chain([5]).max().map(Timestamp::from_millis);
        let touched = times
            .iter()
            .fold(tenant(), |tenant, time| touch_tenant(&tenant, Timestamp::from_millis(*time)));
        prop_assert_eq!(Some(touched.last_active_at), last);
        prop_assert_eq!(touched.created_at, tenant().created_at);
    }
}
