//! Who is to be asked at each hook: built when a plugin changes, read at every message.

use crate::hook::HookName;
use crate::permission::PermissionGuard;
use crate::ports::HookHandler;
use openclaw_core::{AccessTier, PluginId};
use semver::Version;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One running version of a plugin.
#[derive(Debug)]
pub(crate) struct Activation {
    pub(crate) plugin: PluginId,
    pub(crate) version: Version,
    pub(crate) required_tier: AccessTier,
    pub(crate) guard: PermissionGuard,
    pub(crate) handler: Arc<dyn HookHandler>,
    /// Off once the plugin is disabled, removed or in error. Shared by the versions that replace each other while it
    /// is active, so that a turn that still holds an old one stops running it too.
    pub(crate) enabled: Arc<AtomicBool>,
    failures: AtomicU32,
}

/// The hooks of all active plugins, each list in the order of running. Never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct HookTable {
    lists: [Vec<Bound>; HookName::ALL.len()],
}

#[derive(Clone, Debug)]
pub(crate) struct Bound {
    priority: i32,
    /// The plugin's place in the order of registration.
    sequence: u64,
    pub(crate) activation: Arc<Activation>,
}

// === impl Activation ===

impl Activation {
    pub(crate) fn new(
        plugin: PluginId,
        version: Version,
        required_tier: AccessTier,
        guard: PermissionGuard,
        handler: Arc<dyn HookHandler>,
        enabled: Arc<AtomicBool>,
    ) -> Self {
        Self {
            plugin,
            version,
            required_tier,
            guard,
            handler,
            enabled,
            failures: AtomicU32::new(0),
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    pub(crate) fn note_success(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure and answers how many there have been in a row.
    pub(crate) fn note_failure(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

// === impl HookTable ===

impl HookTable {
    pub(crate) fn add(&mut self, hook: HookName, priority: i32, sequence: u64, activation: &Arc<Activation>) {
        if let Some(list) = self.lists.get_mut(hook.index()) {
            let place =
                list.partition_point(|bound| (bound.priority, bound.sequence) <= (priority, sequence));
            list.insert(
                place,
                Bound {
                    priority,
                    sequence,
                    activation: Arc::clone(activation),
                },
            );
        }
    }

    pub(crate) fn of(&self, hook: HookName) -> &[Bound] {
        self.lists.get(hook.index()).map_or(&[], Vec::as_slice)
    }

    /// One bit per hook that anybody wants.
    pub(crate) fn mask(&self) -> u8 {
        HookName::ALL
            .into_iter()
            .filter(|hook| !self.of(*hook).is_empty())
            .fold(0, |mask, hook| mask | hook.bit())
    }
}
