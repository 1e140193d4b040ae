//! A plugin as the platform holds it: what was delivered, how it was set up, where it stands.

use crate::manifest::PluginManifest;
use crate::permission::PluginGrants;
use crate::schema;
use crate::state::PluginState;
use openclaw_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The longest message kept in [`PluginInstance::error_message`], in characters; the rest is cut.
pub const MAX_ERROR_CHARS: usize = 2_000;

/// What was delivered: a manifest and the code it describes. Cheap to clone.
#[derive(Clone)]
pub struct PluginPackage {
    /// What it says about itself.
    pub manifest: Arc<PluginManifest>,
    /// The content of the entry point; empty for plugins that are compiled in.
    pub code: Arc<[u8]>,
}

/// How the operator sets a plugin up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginSetup {
    /// Its configuration; must fit the manifest's `configSchema`.
    pub configuration: Configuration,
    /// What it is allowed.
    pub grants: PluginGrants,
}

/// A plugin's configuration. `Debug` shows nothing of it, because it may hold secrets; serialised it is the value.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Configuration(Arc<Value>);

/// A plugin and where it stands. A copy made at one moment; ask the registry again for a newer one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginInstance {
    /// What it says about itself.
    pub manifest: Arc<PluginManifest>,
    /// Where it stands.
    pub state: PluginState,
    /// How it is set up. Serialised for the operator's export only; never published.
    pub setup: PluginSetup,
    /// Why it is, or was until it was mended, in `error`. For the operator: may quote the plugin's own words.
    pub error_message: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was last installed.
    pub installed_at: Option<Timestamp>,
    /// When it was last activated.
    pub activated_at: Option<Timestamp>,
    /// When it was last disabled.
    pub disabled_at: Option<Timestamp>,
    /// When it last went to `error`.
    pub failed_at: Option<Timestamp>,
}

// === impl PluginPackage ===

impl PluginPackage {
    /// A manifest and the content of its entry point.
    pub fn new(manifest: PluginManifest, code: impl Into<Arc<[u8]>>) -> Self {
        Self {
            manifest: Arc::new(manifest),
            code: code.into(),
        }
    }

    /// A manifest whose code is compiled in.
    pub fn compiled_in(manifest: PluginManifest) -> Self {
        Self::new(manifest, [])
    }
}

impl fmt::Debug for PluginPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginPackage")
            .field("plugin", &self.manifest.id)
            .field("version", &self.manifest.version)
            .field("code_bytes", &self.code.len())
            .finish()
    }
}

// === impl PluginSetup ===

impl PluginSetup {
    /// No configuration, and everything granted that `manifest` asks for.
    pub fn granting_all(manifest: &PluginManifest) -> Self {
        Self {
            configuration: Configuration::default(),
            grants: PluginGrants::all_of(manifest),
        }
    }

    /// What keeps `manifest` from running with this, one fault per line; each names its field or permission.
    pub(crate) fn check(&self, manifest: &PluginManifest) -> Result<(), String> {
        let mut faults =
            schema::check_configuration(manifest.config_schema.as_ref(), self.configuration.value());
        faults.extend(self.grants.missing(manifest));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(cut(&faults.join("\n")))
        }
    }
}

// === impl Configuration ===

impl Configuration {
    /// Takes a value.
    pub fn new(value: Value) -> Self {
        Self(Arc::new(value))
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Configuration(…)")
    }
}

// === impl PluginInstance ===

impl PluginInstance {
    pub(crate) fn new(manifest: Arc<PluginManifest>, now: Timestamp) -> Self {
        Self {
            manifest,
            state: PluginState::Registered,
            setup: PluginSetup::default(),
            error_message: None,
            registered_at: now,
            installed_at: None,
            activated_at: None,
            disabled_at: None,
            failed_at: None,
        }
    }

    /// Moves to a state that the table allows and notes when.
    pub(crate) fn enter(
        &mut self,
        to: PluginState,
        now: Timestamp,
    ) -> Result<(), crate::error::TransitionError> {
        self.state = crate::state::transition_plugin(self.state, to)?;
        match to {
            PluginState::Registered => self.registered_at = now,
            PluginState::Installed => self.installed_at = Some(now),
            PluginState::Active => {
                self.activated_at = Some(now);
                self.error_message = None;
            }
            PluginState::Disabled => self.disabled_at = Some(now),
            PluginState::Error => self.failed_at = Some(now),
        }
        Ok(())
    }
}

/// At most [`MAX_ERROR_CHARS`] of a message.
pub(crate) fn cut(message: &str) -> String {
    message.chars().take(MAX_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn debug_shows_no_configuration() {
        let setup = PluginSetup {
            configuration: Configuration::new(json!({"apiKey": "sk-secret"})),
            ..PluginSetup::default()
        };
        assert!(!format!("{setup:?}").contains("sk-secret"));
        assert_eq!(
            serde_json::to_value(&setup).expect("json")["configuration"]["apiKey"],
            "sk-secret"
        );
    }
}
