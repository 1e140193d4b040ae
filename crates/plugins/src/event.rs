//! What this context tells the others. No texts, no configuration, no words of a plugin.

use crate::hook::HookName;
use crate::permission::PluginPermission;
use crate::state::PluginState;
use openclaw_core::{Event, PluginId};
use semver::Version;
use serde::Serialize;

/// A manifest was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRegistered {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
}

/// Configuration and permissions were accepted, or a new version was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginInstalled {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
    /// What it may do now.
    pub permissions: Vec<PluginPermission>,
}

/// Its hooks run from now on, or those of a new version took over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginActivated {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
}

/// Nothing of it runs any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginDisabled {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
}

/// A hook call failed and was skipped, or the plugin went to `error`, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFailed {
    /// The plugin.
    pub plugin: PluginId,
    /// Its version.
    pub version: Version,
    /// Where it stands now.
    pub state: PluginState,
    /// The hook, when one failed.
    pub hook: Option<HookName>,
    /// What kind of failure; the whole message is the instance's `errorMessage`.
    pub kind: &'static str,
    /// How many hook calls in a row have failed, this one included.
    pub failures_in_a_row: u32,
}

/// A hook was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookExecuted {
    /// The plugin.
    pub plugin: PluginId,
    /// The hook.
    pub hook: HookName,
    /// How long the call took, in microseconds.
    pub duration_micros: u64,
    /// What came of it.
    pub outcome: HookExecution,
    /// Changes that the plugin asked for and may not make, by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<&'static str>,
}

/// What came of one hook call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookExecution {
    /// It changed nothing.
    Unchanged,
    /// It changed the context.
    Changed,
    /// It stopped the chain.
    Cancelled,
    /// It failed and was skipped; a `plugin.error` says how.
    Failed,
    /// The plugin was disabled during the call; its answer was not used.
    Discarded,
}

impl Event for PluginRegistered {
    const NAME: &'static str = "plugin.registered";
}
impl Event for PluginInstalled {
    const NAME: &'static str = "plugin.installed";
}
impl Event for PluginActivated {
    const NAME: &'static str = "plugin.activated";
}
impl Event for PluginDisabled {
    const NAME: &'static str = "plugin.disabled";
}
impl Event for PluginFailed {
    const NAME: &'static str = "plugin.error";
}
impl Event for HookExecuted {
    const NAME: &'static str = "hook.executed";
}
