//! Skeleton.
#![forbid(unsafe_code)]

mod dispatcher;
pub mod error;
pub mod event;
mod guarded;
pub mod hook;
pub mod instance;
mod lifecycle;
pub mod limits;
pub mod manifest;
pub mod permission;
pub mod ports;
mod registry;
mod sandbox;
pub mod schema;
pub mod state;
mod table;

pub use dispatcher::{HookDispatcher, PinnedHooks};
pub use error::{HookError, PermissionError, PluginError, SandboxError, TransitionError};
pub use event::{
    HookExecuted, HookExecution, PluginActivated, PluginDisabled, PluginFailed, PluginInstalled,
    PluginRegistered,
};
pub use hook::{
    Cancel, CancelReason, HookContext, HookData, HookName, HookOutcome, HookResult, SessionEndReason,
};
pub use instance::{Configuration, PluginInstance, PluginPackage, PluginSetup};
pub use lifecycle::PluginLifecycle;
pub use limits::HookLimits;
pub use manifest::{HookBinding, PluginManifest};
pub use permission::{PermissionGuard, PluginGrants, PluginPermission};
pub use ports::{HookHandler, PluginSandbox, RustPlugin};
pub use registry::{MAX_PLUGINS, PluginRegistry};
pub use sandbox::{InProcess, NoSandbox};
pub use state::{PluginState, can_transition, transition_plugin, valid_transitions};
