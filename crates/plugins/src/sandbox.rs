//! Two ways to run code that need nothing from outside: not at all, and compiled in.

use crate::error::SandboxError;
use crate::instance::PluginPackage;
use crate::permission::PermissionGuard;
use crate::ports::{HookHandler, PluginSandbox, RustPlugin};
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Refuses to run any code.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSandbox;

/// Runs plugins that are written in Rust and compiled in.
///
/// Their code is trusted: it is shown only what its permissions allow, but nothing keeps it from reaching past them,
/// no memory limit holds and a call that blocks its thread is only noticed afterwards.
#[derive(Clone, Debug)]
pub struct InProcess {
    /// By entry point.
    plugins: BTreeMap<String, Arc<dyn RustPlugin>>,
    otherwise: Arc<dyn PluginSandbox>,
}

// === impl NoSandbox ===

#[async_trait]
impl PluginSandbox for NoSandbox {
    async fn instantiate(
        &self,
        _package: &PluginPackage,
        _configuration: &Value,
        _guard: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError> {
        Err(SandboxError::Disabled)
    }
}

// === impl InProcess ===

impl InProcess {
    /// Knows no plugin and refuses all code.
    pub fn new() -> Self {
        Self {
            plugins: BTreeMap::new(),
            otherwise: Arc::new(NoSandbox),
        }
    }

    /// Adds a plugin, found by its manifest's `entryPoint`; a later one of the same entry point replaces it.
    #[must_use]
    pub fn with(mut self, plugin: impl RustPlugin + 'static) -> Self {
        self.plugins
            .insert(plugin.manifest().entry_point, Arc::new(plugin));
        self
    }

    /// Hands packages that bring code of their own, or whose entry point is not compiled in, to another sandbox.
    #[must_use]
    pub fn otherwise(mut self, sandbox: Arc<dyn PluginSandbox>) -> Self {
        self.otherwise = sandbox;
        self
    }

    /// What is compiled in, ready to be registered; ordered by entry point.
    pub fn packages(&self) -> Vec<PluginPackage> {
        self.plugins
            .values()
            .map(|plugin| PluginPackage::compiled_in(plugin.manifest()))
            .collect()
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl PluginSandbox for InProcess {
    async fn instantiate(
        &self,
        package: &PluginPackage,
        configuration: &Value,
        guard: &PermissionGuard,
    ) -> Result<Arc<dyn HookHandler>, SandboxError> {
        let entry_point = &package.manifest.entry_point;
        match self.plugins.get(entry_point) {
            Some(plugin) if package.code.is_empty() => plugin.start(configuration, guard),
            None if package.code.is_empty() => Err(SandboxError::UnknownEntryPoint {
                entry_point: entry_point.clone(),
            }),
            _ => self.otherwise.instantiate(package, configuration, guard).await,
        }
    }
}
