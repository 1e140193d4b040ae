//! Who is talking, what they may do, what was said.
//!
//! Values are immutable: an operation returns a new value or an error. Nothing here stores, waits or asks for the time;
//! stores call these rules inside their transactions, so that every store keeps the same ones.
//!
//! ```
//! use openclaw_core::{AccessTier, TenantId, Timestamp};
//! use openclaw_session::{
//!     SessionConfig, SessionState, ToolAccessPolicy, create_user_tenant, enter_session, is_tool_allowed,
//!     leave_session, validate_path,
//! };
//!
//! let now = Timestamp::from_millis(0);
//! let id: TenantId = "telegram:1:4".parse()?;
//! let tenant = create_user_tenant(id.clone(), AccessTier::Free, now);
//!
//! // A first message opens a session and a turn runs in it.
//! let ttl = SessionConfig::default().ttl;
//! let entered = enter_session(&id, None, 0, now, ttl);
//! assert_eq!((entered.session.state, entered.session.generation), (SessionState::Processing, 1));
//! assert_eq!(leave_session(&entered.session, now, ttl).state, SessionState::Active);
//!
//! // What the tenant may touch.
//! let policy = ToolAccessPolicy::default_policy(tenant.tier);
//! assert!(is_tool_allowed(&policy, "Read") && !is_tool_allowed(&policy, "Bash"));
//! assert_eq!(validate_path(&tenant.workspace_path, "notes..txt")?, "/workspaces/telegram:1:4/notes..txt");
//! assert!(validate_path(&tenant.workspace_path, "/workspaces/telegram:1:45/x").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: [`tenant`], [`session`] (the state table), [`turns`] (what a turn does to a session), [`history`],
//! [`tool_policy`], [`workspace`], [`config`], [`event`], [`error`].
//!
//! Invariants: an expired or suspended session is never revived; a generation is never used twice; trimming never
//! separates a tool call from its result; a validated path is the root or below it, compared by component.
//!
//! It does not store anything (stores do), open files (the workspace adapter does), count tokens or publish events
//! (the gateway does).

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod event;
pub mod history;
pub mod session;
pub mod tenant;
pub mod tool_policy;
pub mod turns;
pub mod workspace;

pub use config::{HistoryPolicy, RawSessionConfig, SessionConfig};
pub use error::{SecurityError, TenantSuspended, ToolAccessDeniedError};
pub use history::{SizedMessage, trim_history};
pub use session::{InvalidStateTransition, SessionState, TenantSession, extend_session, transition_session};
pub use tenant::{
    TenantKey, UserTenant, change_tenant_tier, create_user_tenant, reinstate_tenant, suspend_tenant,
    touch_tenant,
};
pub use tool_policy::{ToolAccessPolicy, ToolSet, is_tool_allowed};
pub use turns::{EnteredSession, end_session, enter_session, leave_session, suspend_session};
pub use workspace::{validate_path, workspace_root};
