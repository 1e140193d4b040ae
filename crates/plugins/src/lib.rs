//! Extends the flow of a message without touching the server.
//!
//! The crate decides which plugins there are, where each of them stands, what it may see and change, in which order
//! hooks run and what happens to one that fails. It is separate because all of that holds whatever runs the code:
//! WebAssembly, Rust that is compiled in, or nothing.
//!
//! ```
//! use openclaw_core::testing::ManualClock;
//! use openclaw_core::{AccessTier, Clock, EventContext, InProcessEventBus, Language, PluginId};
//! use openclaw_plugins::{
//!     HookContext, HookDispatcher, HookError, HookHandler, HookName, HookResult, PluginManifest, PluginPackage,
//!     PluginPermission, PluginRegistry, PluginSetup,
//! };
//! use std::sync::Arc;
//!
//! /// Hides the word "secret".
//! #[derive(Debug)]
//! struct Redactor;
//!
//! #[async_trait::async_trait]
//! impl HookHandler for Redactor {
//!     async fn call(&self, context: &HookContext) -> Result<HookResult, HookError> {
//!         Ok(HookResult::text(context.text().unwrap_or_default().replace("secret", "******")))
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let clock: Arc<dyn Clock> = ManualClock::new();
//! let events = EventContext::new(InProcessEventBus::new(), Arc::clone(&clock), "plugins");
//! let registry = PluginRegistry::new(Arc::clone(&clock), events.clone());
//! let hooks = HookDispatcher::new(Arc::clone(&registry), clock, events);
//!
//! let plugin = PluginId::parse("redactor")?;
//! let manifest = PluginManifest::new(plugin.clone(), "1.0.0".parse()?, "redactor")
//!     .with_permission(PluginPermission::ReadMessages)
//!     .with_hook(HookName::OnMessageReceived, 10);
//! let setup = PluginSetup::granting_all(&manifest);
//! registry.register(PluginPackage::compiled_in(manifest))?;
//! registry.install(&plugin, setup)?;
//! registry.activate(&plugin, Arc::new(Redactor))?;
//!
//! let mut context = HookContext::OnMessageReceived {
//!     tenant: "telegram:42:42".parse()?,
//!     text: "my secret".into(),
//!     language: Language::En,
//!     attachments: 0,
//! };
//! let stopped = hooks.dispatch(HookName::OnMessageReceived, &mut context, AccessTier::Free, None).await;
//! assert_eq!(context.text(), Some("my ******"));
//! assert!(stopped.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Reading order: [`manifest`] and [`schema`] (what a plugin says about itself), [`state`], [`permission`], [`hook`] (what
//! it is shown and may answer), [`instance`], [`PluginRegistry`] (all plugins, changed while messages pass),
//! [`PluginLifecycle`] (starts code, updates, rolls back), [`HookDispatcher`] and [`PinnedHooks`] (run hooks),
//! [`NoSandbox`] and [`InProcess`]; [`ports`], [`event`], [`error`], [`limits`].
//!
//! Invariants:
//!
//! - A state is entered only from one that the table allows, in one step with the change of the hooks that run.
//! - No hook begins of a plugin that is not active, for a tenant below its `requiredTier`, or against the order of
//!   priority and registration.
//! - A plugin may do what its manifest asks for and the operator granted. Without `read_messages` it is shown no words
//!   and its changes are ignored; changing what goes out also needs `send_messages`, changing what goes to and from
//!   tools also `execute_tools`. Cancelling needs no permission.
//! - A plugin that fails, panics, is too slow or answers too much changes nothing.
//! - Events hold no texts, no configuration and no words of a plugin.
//! - With no active plugin for a hook, dispatching costs one atomic load.
//!
//! What it does not do: run WebAssembly, watch a directory, read `plugin.toml` or remember plugins over a restart. Those
//! are adapters and the server; a [`PluginManifest`] is read with serde from whatever they bring.

#![forbid(unsafe_code)]

mod dispatcher;
pub mod error;
pub mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
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
pub use hook::{Cancel, CancelReason, HookContext, HookData, HookName, HookResult, SessionEndReason};
pub use instance::{Configuration, PluginInstance, PluginPackage, PluginSetup};
pub use lifecycle::PluginLifecycle;
pub use limits::HookLimits;
pub use manifest::{HookBinding, PluginManifest};
pub use permission::{PermissionGuard, PluginGrants, PluginPermission};
pub use ports::{HookHandler, PluginSandbox, RustPlugin};
pub use registry::{MAX_PLUGINS, PluginRegistry};
pub use sandbox::{InProcess, NoSandbox};
pub use state::{PluginState, can_transition, transition_plugin, valid_transitions};
