//! Who is talking, what they may do, what was said.
//!
//! Values are immutable: an operation returns a new value or an error. Stores are ports.

#![forbid(unsafe_code)]

pub mod session;
pub mod tenant;
pub mod turns;

pub use session::{InvalidStateTransition, SessionState, TenantSession, extend_session, transition_session};
pub use tenant::{
    TenantKey, UserTenant, change_tenant_tier, create_user_tenant, reinstate_tenant, suspend_tenant,
    touch_tenant,
};
pub use turns::{EnteredSession, end_session, enter_session, leave_session, suspend_session};
