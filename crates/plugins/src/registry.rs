//! All plugins of this server: which there are, where each stands, whose hooks run.
//!
//! Every change is one step under one lock, checked against the table of states and published; the hooks that
//! messages run are replaced in the same step. May be changed at any time, by any thread, while messages pass.

use crate::error::{HookError, PluginError, SandboxError, TransitionError};
use crate::event::{PluginActivated, PluginDisabled, PluginFailed, PluginInstalled, PluginRegistered};
use crate::hook::HookName;
use crate::instance::{PluginInstance, PluginPackage, PluginSetup, cut};
use crate::permission::PermissionGuard;
use crate::ports::HookHandler;
use crate::state::{PluginState, transition_plugin};
use crate::table::{Activation, HookTable};
use openclaw_core::{Clock, CorrelationId, EventContext, PluginId, Timestamp};
use parking_lot::{Mutex, RwLock};
use semver::Version;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The most plugins that may be registered.
pub const MAX_PLUGINS: usize = 256;

/// All plugins of this server.
#[derive(Debug)]
pub struct PluginRegistry {
    clock: Arc<dyn Clock>,
    events: EventContext,
    /// Guards every plugin's state. Taken before `table`.
    plugins: Mutex<Plugins>,
    /// What messages read. Written only with `plugins` held.
    table: RwLock<Arc<HookTable>>,
    /// `HookTable::mask` of `table`.
    mask: AtomicU8,
}

#[derive(Debug, Default)]
struct Plugins {
    entries: BTreeMap<PluginId, Entry>,
    /// Counts registrations: the order of hooks.
    registrations: u64,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    /// Counts changes, so that one between two steps is noticed.
    revision: u64,
    package: PluginPackage,
    instance: PluginInstance,
    activation: Option<Arc<Activation>>,
    /// What ran before the last update, for going back.
    previous: Option<(PluginPackage, PluginSetup)>,
}

/// What is needed to start a plugin's code, and which state of the registry that was read from.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) package: PluginPackage,
    pub(crate) setup: PluginSetup,
    pub(crate) guard: PermissionGuard,
    /// Whether the code is to run once the ticket is used.
    pub(crate) runs: bool,
    /// The entry's sequence and revision.
    seen: (u64, u64),
}

// === impl PluginRegistry ===

impl PluginRegistry {
    /// An empty registry that publishes on `events`.
    pub fn new(clock: Arc<dyn Clock>, events: EventContext) -> Arc<Self> {
        Arc::new(Self {
            clock,
            events,
            plugins: Mutex::default(),
            table: RwLock::default(),
            mask: AtomicU8::new(0),
        })
    }

    /// Takes in a plugin whose manifest is sound. It is `registered` then.
    pub fn register(&self, package: PluginPackage) -> Result<(), PluginError> {
        package.manifest.validate().map_err(PluginError::Manifest)?;
        let (plugin, version) = names(&package);
        {
            let mut plugins = self.plugins.lock();
            if plugins.entries.contains_key(&plugin) {
                return Err(PluginError::AlreadyRegistered { plugin });
            }
            if plugins.entries.len() >= MAX_PLUGINS {
                return Err(PluginError::TooMany { limit: MAX_PLUGINS });
            }
            plugins.registrations = plugins.registrations.saturating_add(1);
            let sequence = plugins.registrations;
            let instance = PluginInstance::new(Arc::clone(&package.manifest), self.clock.now());
            plugins.entries.insert(
                plugin.clone(),
                Entry {
                    sequence,
                    revision: 0,
                    package,
                    instance,
                    activation: None,
                    previous: None,
                },
            );
        }
        self.events.publish(None, || PluginRegistered { plugin, version });
        Ok(())
    }

    /// Checks configuration and permissions. The plugin is `installed` then; when they are refused it is in `error`
    /// and the message names each field and permission.
    pub fn install(&self, plugin: &PluginId, setup: PluginSetup) -> Result<(), PluginError> {
        let now = self.clock.now();
        let (version, permissions, checked) = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.get(plugin)?;
            entry.may_enter(plugin, PluginState::Installed)?;
            let checked = setup.check(&entry.package.manifest);
            entry.instance.setup = setup;
            let result = match &checked {
                Ok(()) => entry.enter(PluginState::Installed, now),
                Err(message) => entry.fail(message, now),
            };
            result.map_err(|source| state_error(plugin, source))?;
            let manifest = &entry.package.manifest;
            (
                manifest.version.clone(),
                manifest.permissions.iter().copied().collect(),
                checked,
            )
        };
        match checked {
            Ok(()) => {
                self.events.publish(None, || PluginInstalled {
                    plugin: plugin.clone(),
                    version,
                    permissions,
                });
                Ok(())
            }
            Err(message) => Err(self.refused(plugin, version, message)),
        }
    }

    /// Replaces configuration and permissions of a plugin that is not active. What is refused changes nothing; what
    /// is accepted changes no state.
    pub fn configure(&self, plugin: &PluginId, setup: PluginSetup) -> Result<(), PluginError> {
        let mut plugins = self.plugins.lock();
        let entry = plugins.get(plugin)?;
        let from = entry.instance.state;
        if matches!(from, PluginState::Registered | PluginState::Active) {
            let to = PluginState::Installed;
            return Err(state_error(plugin, TransitionError { from, to }));
        }
        setup
            .check(&entry.package.manifest)
            .map_err(|message| PluginError::Refused {
                plugin: plugin.clone(),
                message,
            })?;
        entry.instance.setup = setup;
        entry.touch();
        Ok(())
    }

    /// Lets the hooks of an installed or disabled plugin run, answered by `handler`. A plugin whose configuration or
    /// permissions are not accepted goes to `error` instead.
    ///
    /// [`PluginLifecycle::activate`](crate::PluginLifecycle::activate) starts the plugin's code and then calls this.
    pub fn activate(&self, plugin: &PluginId, handler: Arc<dyn HookHandler>) -> Result<(), PluginError> {
        let ticket = self.activation_ticket(plugin)?;
        self.use_activation(&ticket, handler)
    }

    /// Stops all hooks of an active plugin, or takes the first step out of `error`. Returns when no further hook of
    /// it will begin; the answer of one that is running is not used.
    pub fn disable(&self, plugin: &PluginId) -> Result<(), PluginError> {
        let (version, retired) = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.get(plugin)?;
            entry
                .enter(PluginState::Disabled, self.clock.now())
                .map_err(|source| state_error(plugin, source))?;
            entry.stop();
            let version = entry.package.manifest.version.clone();
            (version, self.rebuild(&plugins))
        };
        drop(retired);
        self.events.publish(None, || PluginDisabled {
            plugin: plugin.clone(),
            version,
        });
        Ok(())
    }

    /// Puts a plugin into `error`, with the reason for the operator. Its hooks stop as with [`Self::disable`].
    pub fn fail(&self, plugin: &PluginId, message: &str) -> Result<(), PluginError> {
        let (version, retired) = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.get(plugin)?;
            entry
                .fail(message, self.clock.now())
                .map_err(|source| state_error(plugin, source))?;
            let version = entry.package.manifest.version.clone();
            (version, self.rebuild(&plugins))
        };
        drop(retired);
        self.publish_error(plugin, version, "reported");
        Ok(())
    }

    /// Forgets a plugin, in whatever state. Its hooks stop as with [`Self::disable`].
    pub fn unregister(&self, plugin: &PluginId) -> Result<(), PluginError> {
        let (version, was_active, retired) = {
            let mut plugins = self.plugins.lock();
            let mut entry = plugins.entries.remove(plugin).ok_or_else(|| not_found(plugin))?;
            let was_active = entry.activation.is_some();
            entry.stop();
            let version = entry.package.manifest.version.clone();
            (version, was_active, self.rebuild(&plugins))
        };
        drop(retired);
        if was_active {
            self.events.publish(None, || PluginDisabled {
                plugin: plugin.clone(),
                version,
            });
        }
        Ok(())
    }

    /// How a plugin stands now.
    pub fn get(&self, plugin: &PluginId) -> Option<PluginInstance> {
        self.plugins
            .lock()
            .entries
            .get(plugin)
            .map(|entry| entry.instance.clone())
    }

    /// All plugins, in order of registration.
    pub fn list(&self) -> Vec<PluginInstance> {
        let mut listed: Vec<_> = self
            .plugins
            .lock()
            .entries
            .values()
            .map(|entry| (entry.sequence, entry.instance.clone()))
            .collect();
        listed.sort_by_key(|(sequence, _)| *sequence);
        listed.into_iter().map(|(_, instance)| instance).collect()
    }

    /// The version that an update replaced and a roll back would bring again.
    pub fn previous_version(&self, plugin: &PluginId) -> Option<Version> {
        let plugins = self.plugins.lock();
        let (package, _) = plugins.entries.get(plugin)?.previous.as_ref()?;
        Some(package.manifest.version.clone())
    }

    /// Whether any active plugin has the hook. One atomic load.
    pub fn has(&self, hook: HookName) -> bool {
        self.mask.load(Ordering::Acquire) & hook.bit() != 0
    }

    pub(crate) fn table(&self) -> Arc<HookTable> {
        Arc::clone(&self.table.read())
    }

    /// Reads what starting a plugin needs. Refuses, with the plugin in `error`, what cannot be started.
    pub(crate) fn activation_ticket(&self, plugin: &PluginId) -> Result<Ticket, PluginError> {
        let (version, message) = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.get(plugin)?;
            entry.may_enter(plugin, PluginState::Active)?;
            let (package, setup) = (entry.package.clone(), entry.instance.setup.clone());
            match setup.check(&package.manifest) {
                Ok(()) => return Ok(Ticket::new(package, setup, true, entry.seen())),
                Err(message) => {
                    let entry = plugins.get(plugin)?;
                    entry
                        .fail(&message, self.clock.now())
                        .map_err(|source| state_error(plugin, source))?;
                    (package.manifest.version.clone(), message)
                }
            }
        };
        Err(self.refused(plugin, version, message))
    }

    /// Lets the hooks run, unless the plugin was changed since the ticket was made.
    pub(crate) fn use_activation(
        &self,
        ticket: &Ticket,
        handler: Arc<dyn HookHandler>,
    ) -> Result<(), PluginError> {
        let (plugin, version) = names(&ticket.package);
        let retired = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.unchanged(&plugin, ticket.seen)?;
            entry
                .enter(PluginState::Active, self.clock.now())
                .map_err(|source| state_error(&plugin, source))?;
            entry.start(ticket, handler, Arc::new(AtomicBool::new(true)));
            self.rebuild(&plugins)
        };
        drop(retired);
        self.events.publish(None, || PluginActivated { plugin, version });
        Ok(())
    }

    /// Puts the plugin into `error` because its code did not start, unless it was changed since.
    pub(crate) fn start_failed(&self, ticket: &Ticket, error: &SandboxError) -> Result<(), PluginError> {
        let (plugin, version) = names(&ticket.package);
        {
            let mut plugins = self.plugins.lock();
            let entry = plugins.unchanged(&plugin, ticket.seen)?;
            entry
                .fail(&error.to_string(), self.clock.now())
                .map_err(|source| state_error(&plugin, source))?;
        }
        self.publish_error(&plugin, version, "start");
        Ok(())
    }

    /// Checks a new version against the plugin as it stands; keeps its setup when none is given.
    pub(crate) fn update_ticket(
        &self,
        package: PluginPackage,
        setup: Option<PluginSetup>,
    ) -> Result<Ticket, PluginError> {
        package.manifest.validate().map_err(PluginError::Manifest)?;
        let (plugin, _) = names(&package);
        let plugins = self.plugins.lock();
        let entry = plugins.entries.get(&plugin).ok_or_else(|| not_found(&plugin))?;
        let setup = setup.unwrap_or_else(|| entry.instance.setup.clone());
        // A plugin that was never installed has no setup yet that could be wrong.
        if entry.instance.state != PluginState::Registered {
            setup
                .check(&package.manifest)
                .map_err(|message| PluginError::Refused { plugin, message })?;
        }
        let runs = entry.instance.state == PluginState::Active;
        Ok(Ticket::new(package, setup, runs, entry.seen()))
    }

    /// What the last update replaced.
    pub(crate) fn roll_back_ticket(&self, plugin: &PluginId) -> Result<Ticket, PluginError> {
        let (package, setup) = {
            let plugins = self.plugins.lock();
            let entry = plugins.entries.get(plugin).ok_or_else(|| not_found(plugin))?;
            entry.previous.clone().ok_or_else(|| PluginError::NoPrevious {
                plugin: plugin.clone(),
            })?
        };
        self.update_ticket(package, Some(setup))
    }

    /// Lets a new version take over and keeps the old one for going back. The state stays.
    pub(crate) fn use_update(
        &self,
        ticket: &Ticket,
        handler: Option<Arc<dyn HookHandler>>,
    ) -> Result<(), PluginError> {
        let (plugin, version) = names(&ticket.package);
        let (installed, running, retired) = {
            let mut plugins = self.plugins.lock();
            let entry = plugins.unchanged(&plugin, ticket.seen)?;
            let old = std::mem::replace(&mut entry.package, ticket.package.clone());
            let old_setup = std::mem::replace(&mut entry.instance.setup, ticket.setup.clone());
            entry.previous = Some((old, old_setup));
            entry.touch();
            entry.instance.manifest = Arc::clone(&ticket.package.manifest);
            let enabled = entry.activation.as_ref().map(|old| Arc::clone(&old.enabled));
            let running = match (enabled, handler) {
                (Some(enabled), Some(handler)) => {
                    entry.start(ticket, handler, enabled);
                    true
                }
                _ => false,
            };
            let installed = entry.instance.state != PluginState::Registered;
            (installed, running, self.rebuild(&plugins))
        };
        drop(retired);
        if installed {
            self.events.publish(None, || PluginInstalled {
                plugin: plugin.clone(),
                version: version.clone(),
                permissions: ticket.package.manifest.permissions.iter().copied().collect(),
            });
        }
        if running {
            self.events.publish(None, || PluginActivated { plugin, version });
        }
        Ok(())
    }

    /// Counts a failed call; at the limit the plugin goes to `error`, if that version of it is still the one.
    pub(crate) fn hook_failed(
        &self,
        activation: &Arc<Activation>,
        hook: HookName,
        error: &HookError,
        limit: u32,
        correlation_id: Option<CorrelationId>,
    ) {
        let in_a_row = activation.note_failure();
        let mut state = PluginState::Active;
        let mut retired = None;
        if in_a_row >= limit.max(1) {
            let mut plugins = self.plugins.lock();
            let current = plugins.entries.get(&activation.plugin).is_some_and(|entry| {
                entry
                    .activation
                    .as_ref()
                    .is_some_and(|current| Arc::ptr_eq(current, activation))
            });
            if current {
                if let Ok(entry) = plugins.get(&activation.plugin) {
                    let message = format!("{hook}: {error} ({in_a_row} failures in a row)");
                    if entry.fail(&message, self.clock.now()).is_ok() {
                        state = PluginState::Error;
                    }
                }
                retired = Some(self.rebuild(&plugins));
            }
        }
        drop(retired);
        self.events.publish(correlation_id, || PluginFailed {
            plugin: activation.plugin.clone(),
            version: activation.version.clone(),
            state,
            hook: Some(hook),
            kind: error.kind(),
            failures_in_a_row: in_a_row,
        });
    }

    /// Puts a new table in place and gives back the old one, which is to be dropped without the lock: the last use
    /// of a plugin's code may end with it, and what that code does then is its own.
    #[must_use]
    fn rebuild(&self, plugins: &Plugins) -> Arc<HookTable> {
        let mut table = HookTable::default();
        for entry in plugins.entries.values() {
            if let Some(activation) = &entry.activation {
                for binding in &entry.package.manifest.hooks {
                    table.add(binding.name, binding.priority, entry.sequence, activation);
                }
            }
        }
        let mask = table.mask();
        let old = std::mem::replace(&mut *self.table.write(), Arc::new(table));
        self.mask.store(mask, Ordering::Release);
        old
    }

    fn refused(&self, plugin: &PluginId, version: Version, message: String) -> PluginError {
        self.publish_error(plugin, version, "refused");
        PluginError::Refused {
            plugin: plugin.clone(),
            message,
        }
    }

    fn publish_error(&self, plugin: &PluginId, version: Version, kind: &'static str) {
        self.events.publish(None, || PluginFailed {
            plugin: plugin.clone(),
            version,
            state: PluginState::Error,
            hook: None,
            kind,
            failures_in_a_row: 0,
        });
    }
}

// === impl Plugins ===

impl Plugins {
    fn get(&mut self, plugin: &PluginId) -> Result<&mut Entry, PluginError> {
        self.entries.get_mut(plugin).ok_or_else(|| not_found(plugin))
    }

    /// The plugin, if it is as it was when the ticket was made.
    fn unchanged(&mut self, plugin: &PluginId, seen: (u64, u64)) -> Result<&mut Entry, PluginError> {
        let entry = self.get(plugin)?;
        if entry.seen() == seen {
            Ok(entry)
        } else {
            Err(PluginError::Changed {
                plugin: plugin.clone(),
            })
        }
    }
}

// === impl Entry ===

impl Entry {
    fn seen(&self) -> (u64, u64) {
        (self.sequence, self.revision)
    }

    fn touch(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }

    fn enter(&mut self, to: PluginState, now: Timestamp) -> Result<(), TransitionError> {
        self.instance.enter(to, now)?;
        self.touch();
        Ok(())
    }

    fn may_enter(&self, plugin: &PluginId, to: PluginState) -> Result<(), PluginError> {
        transition_plugin(self.instance.state, to)
            .map(|_| ())
            .map_err(|source| state_error(plugin, source))
    }

    fn start(&mut self, ticket: &Ticket, handler: Arc<dyn HookHandler>, enabled: Arc<AtomicBool>) {
        let manifest = &ticket.package.manifest;
        self.activation = Some(Arc::new(Activation::new(
            manifest.id.clone(),
            manifest.version.clone(),
            manifest.required_tier,
            ticket.guard.clone(),
            handler,
            enabled,
        )));
    }

    fn stop(&mut self) {
        if let Some(activation) = self.activation.take() {
            activation.enabled.store(false, Ordering::Release);
        }
    }

    fn fail(&mut self, message: &str, now: Timestamp) -> Result<(), TransitionError> {
        self.enter(PluginState::Error, now)?;
        self.instance.error_message = Some(cut(message));
        self.stop();
        Ok(())
    }
}

// === impl Ticket ===

impl Ticket {
    fn new(package: PluginPackage, setup: PluginSetup, runs: bool, seen: (u64, u64)) -> Self {
        let guard = PermissionGuard::new(&package.manifest, &setup.grants);
        Self {
            package,
            setup,
            guard,
            runs,
            seen,
        }
    }
}

fn names(package: &PluginPackage) -> (PluginId, Version) {
    (package.manifest.id.clone(), package.manifest.version.clone())
}

fn not_found(plugin: &PluginId) -> PluginError {
    PluginError::NotFound {
        plugin: plugin.clone(),
    }
}

fn state_error(plugin: &PluginId, source: TransitionError) -> PluginError {
    PluginError::State {
        plugin: plugin.clone(),
        source,
    }
}
