//! Brings plugins up and down: starts their code and tells the registry what came of it.

use crate::error::{PluginError, SandboxError};
use crate::guarded::{Interrupted, guarded};
use crate::instance::{PluginPackage, PluginSetup};
use crate::limits::HookLimits;
use crate::ports::{HookHandler, PluginSandbox};
use crate::registry::{PluginRegistry, Ticket};
use openclaw_core::{Clock, PluginId};
use std::sync::Arc;

/// The operator's hand on the plugins.
///
/// Code is started outside every lock and takes effect only if nobody changed the plugin meanwhile
/// ([`PluginError::Changed`] otherwise). A dropped future leaves the plugin as it was.
#[derive(Clone, Debug)]
pub struct PluginLifecycle {
    registry: Arc<PluginRegistry>,
    sandbox: Arc<dyn PluginSandbox>,
    clock: Arc<dyn Clock>,
    limits: HookLimits,
}

// === impl PluginLifecycle ===

impl PluginLifecycle {
    /// Starts code in `sandbox`, with the default limits.
    pub fn new(
        registry: Arc<PluginRegistry>,
        sandbox: Arc<dyn PluginSandbox>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            registry,
            sandbox,
            clock,
            limits: HookLimits::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: HookLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The plugins and their states.
    pub fn registry(&self) -> &Arc<PluginRegistry> {
        &self.registry
    }

    /// Takes in a plugin; see [`PluginRegistry::register`].
    pub fn register(&self, package: PluginPackage) -> Result<(), PluginError> {
        self.registry.register(package)
    }

    /// Accepts its configuration and permissions; see [`PluginRegistry::install`].
    pub fn install(&self, plugin: &PluginId, setup: PluginSetup) -> Result<(), PluginError> {
        self.registry.install(plugin, setup)
    }

    /// Replaces them while it is not active; see [`PluginRegistry::configure`].
    pub fn configure(&self, plugin: &PluginId, setup: PluginSetup) -> Result<(), PluginError> {
        self.registry.configure(plugin, setup)
    }

    /// Starts the code of an installed or disabled plugin and lets its hooks run. Code that does not start puts the
    /// plugin into `error`.
    pub async fn activate(&self, plugin: &PluginId) -> Result<(), PluginError> {
        let ticket = self.registry.activation_ticket(plugin)?;
        match self.start(&ticket).await {
            Ok(handler) => self.registry.use_activation(&ticket, handler),
            Err(source) => {
                self.registry.start_failed(&ticket, &source)?;
                Err(start_error(plugin, source))
            }
        }
    }

    /// Stops its hooks; see [`PluginRegistry::disable`].
    pub fn disable(&self, plugin: &PluginId) -> Result<(), PluginError> {
        self.registry.disable(plugin)
    }

    /// Forgets it; see [`PluginRegistry::unregister`].
    pub fn unregister(&self, plugin: &PluginId) -> Result<(), PluginError> {
        self.registry.unregister(plugin)
    }

    /// Installs a new version beside the running one and lets it take over. Turns that pinned their hooks finish with
    /// the old version, which stays for [`Self::roll_back`]. The plugin's state and place in the order stay.
    ///
    /// Keeps configuration and permissions unless others are given. When the new version is refused or does not
    /// start, the old one goes on and nothing has changed.
    pub async fn update(
        &self,
        package: PluginPackage,
        setup: Option<PluginSetup>,
    ) -> Result<(), PluginError> {
        let ticket = self.registry.update_ticket(package, setup)?;
        self.replace(&ticket).await
    }

    /// Goes back to the version and setup that the last update replaced; a second roll back goes forward again.
    pub async fn roll_back(&self, plugin: &PluginId) -> Result<(), PluginError> {
        let ticket = self.registry.roll_back_ticket(plugin)?;
        self.replace(&ticket).await
    }

    async fn replace(&self, ticket: &Ticket) -> Result<(), PluginError> {
        let handler = if ticket.runs {
            let started = self.start(ticket).await;
            Some(started.map_err(|source| start_error(&ticket.package.manifest.id, source))?)
        } else {
            None
        };
        self.registry.use_update(ticket, handler)
    }

    async fn start(&self, ticket: &Ticket) -> Result<Arc<dyn HookHandler>, SandboxError> {
        let limit = self.limits.start_time;
        let started = guarded(self.clock.as_ref(), limit, || {
            let configuration = ticket.setup.configuration.value();
            self.sandbox
                .instantiate(&ticket.package, configuration, &ticket.guard)
        });
        match started.await {
            Ok(started) => started,
            Err(Interrupted::Panicked(_)) => Err(SandboxError::Panicked),
            Err(Interrupted::TooSlow) => Err(SandboxError::TooSlow { limit }),
        }
    }
}

fn start_error(plugin: &PluginId, source: SandboxError) -> PluginError {
    PluginError::Start {
        plugin: plugin.clone(),
        source,
    }
}
