//! What a plugin says about itself.

use crate::hook::HookName;
use crate::permission::PluginPermission;
use crate::schema;
use openclaw_core::{AccessTier, PluginId, ValidationError, Violation};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// The longest plugin id, in bytes. It is also the name of a directory.
pub const MAX_ID_BYTES: usize = 64;
/// The longest name, author, entry point or host, in characters.
pub const MAX_LINE_CHARS: usize = 256;
/// The longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 4_096;
/// The most hosts a plugin may list.
pub const MAX_HOSTS: usize = 64;
/// The priority of a hook that names none. Lower runs earlier.
pub const DEFAULT_PRIORITY: i32 = 100;

/// A plugin's description of itself, as `plugin.toml` spells it (camelCase).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginManifest {
    /// Its name for machines: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
    pub id: PluginId,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Who wrote it.
    #[serde(default)]
    pub author: String,
    /// The lowest tier whose messages it sees.
    #[serde(default)]
    pub required_tier: AccessTier,
    /// What it wants to be allowed.
    #[serde(default)]
    pub permissions: BTreeSet<PluginPermission>,
    /// The hosts it wants to reach; needs `access_network`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub network_hosts: BTreeSet<String>,
    /// The shape of its configuration, as JSON Schema (see [`schema`] for the keywords understood).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// Where its code is: a file of its directory, or the name of a plugin that is compiled in.
    pub entry_point: String,
    /// Where it looks in.
    #[serde(default)]
    pub hooks: Vec<HookBinding>,
}

/// One place where a plugin looks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookBinding {
    /// The hook.
    pub name: HookName,
    /// Lower runs earlier; equal numbers run in order of registration.
    #[serde(default = "default_priority")]
    pub priority: i32,
}

fn default_priority() -> i32 {
    DEFAULT_PRIORITY
}

// === impl PluginManifest ===

impl PluginManifest {
    /// A manifest with only what must be there; the rest is filled in with struct update or by assignment.
    pub fn new(id: PluginId, version: Version, entry_point: impl Into<String>) -> Self {
        Self {
            name: id.as_str().to_owned(),
            id,
            version,
            description: String::new(),
            author: String::new(),
            required_tier: AccessTier::default(),
            permissions: BTreeSet::new(),
            network_hosts: BTreeSet::new(),
            config_schema: None,
            entry_point: entry_point.into(),
            hooks: Vec::new(),
        }
    }

    /// Adds a hook.
    #[must_use]
    pub fn with_hook(mut self, name: HookName, priority: i32) -> Self {
        self.hooks.push(HookBinding { name, priority });
        self
    }

    /// Adds a permission.
    #[must_use]
    pub fn with_permission(mut self, permission: PluginPermission) -> Self {
        self.permissions.insert(permission);
        self
    }

    /// Checks what the types cannot say. Names every fault, with the field as the file spells it.
    pub fn validate(&self) -> Result<(), ValidationError> {
        let mut faults = Vec::new();
        check_id(self.id.as_str(), &mut faults);
        check_line("name", &self.name, true, &mut faults);
        check_line("author", &self.author, false, &mut faults);
        check_entry_point(&self.entry_point, &mut faults);
        let length = self.description.chars().count();
        if length > MAX_DESCRIPTION_CHARS {
            faults.push(Violation::new(
                "description",
                format_args!("{length} characters long"),
                format!("it may have {MAX_DESCRIPTION_CHARS}"),
            ));
        }
        for (place, binding) in self.hooks.iter().enumerate() {
            if self
                .hooks
                .iter()
                .take(place)
                .any(|earlier| earlier.name == binding.name)
            {
                faults.push(Violation::new(
                    "hooks",
                    binding.name,
                    "each hook may be listed once",
                ));
            }
        }
        self.check_hosts(&mut faults);
        if let Some(schema) = &self.config_schema {
            faults.extend(schema::check_schema(schema));
        }
        ValidationError::check(faults)
    }

    fn check_hosts(&self, faults: &mut Vec<Violation>) {
        let may = self.permissions.contains(&PluginPermission::AccessNetwork);
        if may && self.network_hosts.is_empty() {
            faults.push(Violation::new(
                "networkHosts",
                "empty",
                "access_network needs the hosts listed",
            ));
        }
        if !may && !self.network_hosts.is_empty() {
            faults.push(Violation::new(
                "networkHosts",
                "set",
                "it needs the permission access_network",
            ));
        }
        if self.network_hosts.len() > MAX_HOSTS {
            let rule = format!("{MAX_HOSTS} hosts may be listed");
            faults.push(Violation::new("networkHosts", self.network_hosts.len(), rule));
        }
        for host in &self.network_hosts {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            if host.is_empty() || host.len() > MAX_LINE_CHARS || !host.chars().all(plain) {
                let shown: String = host.chars().take(64).collect();
                let rule = "a host is a name without scheme, port, path or wildcard";
                faults.push(Violation::new("networkHosts", shown, rule));
            }
        }
    }
}

fn check_id(id: &str, faults: &mut Vec<Violation>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let begins = id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if id.len() > MAX_ID_BYTES || !begins || !id.chars().all(plain) || id.ends_with('.') {
        let rule = format!(
            "at most {MAX_ID_BYTES} of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit and not ending in a dot"
        );
        faults.push(Violation::new("id", id, rule));
    }
}

fn check_line(field: &str, line: &str, needed: bool, faults: &mut Vec<Violation>) {
    let length = line.chars().count();
    if needed && line.trim().is_empty() {
        faults.push(Violation::new(field, "empty", "it must say something"));
    } else if length > MAX_LINE_CHARS {
        let rule = format!("it may have {MAX_LINE_CHARS}");
        faults.push(Violation::new(
            field,
            format_args!("{length} characters long"),
            rule,
        ));
    } else if line.chars().any(char::is_control) {
        faults.push(Violation::new(
            field,
            format_args!("{line:?}"),
            "it must be one plain line",
        ));
    }
}

fn check_entry_point(path: &str, faults: &mut Vec<Violation>) {
    check_line("entryPoint", path, true, faults);
    // Part by part, so that `notes..txt` stays a name and `a/../b` does not.
    let leaves = path
        .split(['/', '\\'])
        .any(|part| matches!(part, "" | "." | ".."));
    if !path.is_empty() && (leaves || path.contains(':')) {
        let shown: String = path.chars().take(64).collect();
        faults.push(Violation::new(
            "entryPoint",
            shown,
            "it must stay inside the plugin's directory",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> PluginManifest {
        PluginManifest::new(
            PluginId::parse("redactor").expect("an id"),
            Version::new(1, 0, 0),
            "redactor.wasm",
        )
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut PluginManifest), fields: &[&str]) {
        let mut manifest = manifest();
        change(&mut manifest);
        let found: Vec<String> = match manifest.validate() {
            Ok(()) => Vec::new(),
            Err(error) => error.violations.into_iter().map(|fault| fault.field).collect(),
        };
        assert_eq!(found, fields);
    }

    #[test]
    fn the_documented_manifest_is_read() {
        let read: PluginManifest = serde_json::from_value(json!({
            "id": "redactor", "name": "Redactor", "version": "1.2.0", "description": "Hides card numbers.",
            "author": "Anna", "requiredTier": "standard", "permissions": ["read_messages", "access_network"],
            "networkHosts": ["api.example.org"], "configSchema": {"type": "object"}, "entryPoint": "redactor.wasm",
            "hooks": [{"name": "onMessageReceived", "priority": 10}, {"name": "onBeforeSend"}]
        }))
        .expect("a manifest");
        assert_eq!(read.validate(), Ok(()));
        assert_eq!(read.required_tier, AccessTier::Standard);
        assert_eq!(
            read.hooks.iter().map(|hook| hook.priority).collect::<Vec<_>>(),
            [10, DEFAULT_PRIORITY]
        );
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let json = json!({"id": "x", "name": "x", "version": "1.0.0", "entryPoint": "x", "permission": []});
        let error = serde_json::from_value::<PluginManifest>(json).expect_err("a misspelt field");
        assert!(error.to_string().contains("permission"), "{error}");
    }

    #[test]
    fn an_id_is_fit_to_be_a_directory() {
        check(|_| {}, &[]);
        for id in ["../x", "a/b", ".hidden", "UPPER", "x.", "ж", &"x".repeat(65)] {
            check(
                |manifest| manifest.id = PluginId::parse(id).expect("an id"),
                &["id"],
            );
        }
    }

    #[test]
    fn the_code_stays_in_the_plugins_directory() {
        for path in ["../x.wasm", "/etc/x", "a/../b", "a//b", "C:x", "..\\x", "."] {
            check(|manifest| manifest.entry_point = path.into(), &["entryPoint"]);
        }
        for path in ["x.wasm", "target/x.wasm", "notes..wasm"] {
            check(|manifest| manifest.entry_point = path.into(), &[]);
        }
    }

    #[test]
    fn hosts_and_the_network_permission_need_each_other() {
        let network = PluginPermission::AccessNetwork;
        check(
            |manifest| manifest.permissions = [network].into(),
            &["networkHosts"],
        );
        check(
            |manifest| manifest.network_hosts = ["example.org".into()].into(),
            &["networkHosts"],
        );
        for host in ["*.example.org", "https://example.org", "example.org:80", ""] {
            check(
                |manifest| {
                    manifest.permissions = [network].into();
                    manifest.network_hosts = [host.into()].into();
                },
                &["networkHosts"],
            );
        }
    }

    #[test]
    fn all_faults_are_named_at_once() {
        check(
            |manifest| {
                manifest.name = " ".into();
                manifest.author = "two\nlines".into();
                manifest.description = "x".repeat(MAX_DESCRIPTION_CHARS + 1);
                manifest.hooks = vec![
                    HookBinding {
                        name: HookName::OnBeforeSend,
                        priority: 1
                    };
                    2
                ];
                manifest.config_schema = Some(json!({"type": "objekt"}));
            },
            &["name", "author", "description", "hooks", "configSchema.type"],
        );
    }
}
