//! What runs a plugin's code: the ports of this crate.
//!
//! [`PluginSandbox`] is implemented by [`NoSandbox`](crate::NoSandbox) and [`InProcess`](crate::InProcess) here and by
//! an adapter that runs WebAssembly. [`HookHandler`] is what a sandbox gives back; [`RustPlugin`] is implemented by
//! plugins that are compiled in.

use crate::error::{HookError, SandboxError};
use crate::hook::{HookContext, HookResult};
use crate::instance::PluginPackage;
use crate::manifest::PluginManifest;
use crate::permission::PermissionGuard;
use async_trait::async_trait;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Starts a plugin's code.
#[async_trait]
pub trait PluginSandbox: Send + Sync + fmt::Debug {
    /// Starts the code of `package` with its configuration, which has passed the plugin's schema.
    ///
    /// The code is given no authority beyond `guard`, which the handler keeps. Called again for the same plugin while
    /// an older handler still runs: the two share nothing. The caller gives up after its own limit by dropping the
    /// future, which leaves nothing behind; so does an error.
    async fn instantiate(
        &self,
        package: &PluginPackage,
        configuration: &Value,
        guard: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError>;
}

/// A plugin's running code.
#[async_trait]
pub trait HookHandler: Send + Sync + fmt::Debug {
    /// Looks at what happened and answers. The hook is `context.hook()`.
    ///
    /// `context` is what the plugin may see: without `read_messages` it holds no text. Called by several tasks at
    /// once. Dropped without notice when it takes too long; a call that blocks its thread cannot be interrupted, so
    /// long work must await. A panic is caught; only `drop` must not panic.
    async fn call(&self, context: &HookContext) -> Result<HookResult, HookError>;
}

/// A plugin written in Rust and compiled in.
pub trait RustPlugin: Send + Sync + fmt::Debug {
    /// What it is and wants. Its `entryPoint` is the name it is found by.
    fn manifest(&self) -> PluginManifest;

    /// Starts it with a configuration that has passed its schema. May be called any number of times; each handler
    /// stands alone. A refusal ([`SandboxError::Invalid`]) says what is wrong, for the operator.
    fn start(
        &self,
        configuration: &Value,
        guard: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError>;
}
