//! What a plugin may see, change and reach.
//!
//! A plugin gets what its manifest asks for and the operator granted, nothing else. Every place where the platform
//! acts for a plugin asks its [`PermissionGuard`].

use crate::error::PermissionError;
use crate::hook::{HookContext, HookData, HookName};
use crate::manifest::PluginManifest;
use openclaw_core::TenantId;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// One thing a plugin may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginPermission {
    /// See texts: of messages, of tool arguments and of tool outputs. Also needed for changing them.
    ReadMessages,
    /// Change texts that are about to be sent.
    SendMessages,
    /// Read files of the tenant at hand.
    ReadFiles,
    /// Write files of the tenant at hand.
    WriteFiles,
    /// Call tools, and change the arguments and outputs of the model's calls.
    ExecuteTools,
    /// Reach the hosts that its manifest lists.
    AccessNetwork,
}

/// What the operator allows a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginGrants {
    /// The permissions.
    pub permissions: BTreeSet<PluginPermission>,
    /// The hosts, for [`PluginPermission::AccessNetwork`].
    pub network_hosts: BTreeSet<String>,
}

/// Answers whether a plugin may do something. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PermissionGuard {
    grants: Arc<PluginGrants>,
}

// === impl PluginPermission ===

impl PluginPermission {
    /// All permissions.
    pub const ALL: [Self; 6] = [
        Self::ReadMessages,
        Self::SendMessages,
        Self::ReadFiles,
        Self::WriteFiles,
        Self::ExecuteTools,
        Self::AccessNetwork,
    ];

    /// The name in manifests and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadMessages => "read_messages",
            Self::SendMessages => "send_messages",
            Self::ReadFiles => "read_files",
            Self::WriteFiles => "write_files",
            Self::ExecuteTools => "execute_tools",
            Self::AccessNetwork => "access_network",
        }
    }
}

impl fmt::Display for PluginPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl PluginGrants ===

impl PluginGrants {
    /// All that `manifest` asks for.
    pub fn all_of(manifest: &PluginManifest) -> Self {
        Self {
            permissions: manifest.permissions.clone(),
            network_hosts: manifest.network_hosts.clone(),
        }
    }

    /// What `manifest` asks for and this does not give, one sentence each.
    pub(crate) fn missing(&self, manifest: &PluginManifest) -> Vec<String> {
        let permissions = manifest
            .permissions
            .difference(&self.permissions)
            .map(|permission| format!("permission `{permission}` is asked for and not granted"));
        let hosts = manifest
            .network_hosts
            .iter()
            .filter(|host| !lists(&self.network_hosts, host))
            .map(|host| format!("host `{host}` is asked for and not granted"));
        permissions.chain(hosts).collect()
    }
}

/// Host names are the same in any case and with or without the root's dot.
fn lists(hosts: &BTreeSet<String>, host: &str) -> bool {
    let bare = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let wanted = bare(host);
    !wanted.is_empty() && hosts.iter().any(|listed| bare(listed) == wanted)
}

// === impl PermissionGuard ===

impl PermissionGuard {
    /// Allows what `manifest` asks for and `grants` gives: never more than either.
    pub fn new(manifest: &PluginManifest, grants: &PluginGrants) -> Self {
        Self {
            grants: Arc::new(PluginGrants {
                permissions: &manifest.permissions & &grants.permissions,
                network_hosts: manifest
                    .network_hosts
                    .iter()
                    .filter(|host| lists(&grants.network_hosts, host))
                    .cloned()
                    .collect(),
            }),
        }
    }

    /// Whether the permission is there.
    pub fn allows(&self, permission: PluginPermission) -> bool {
        self.grants.permissions.contains(&permission)
    }

    /// Refuses when the permission is missing.
    pub fn check(&self, permission: PluginPermission) -> Result<(), PermissionError> {
        if self.allows(permission) {
            Ok(())
        } else {
            Err(PermissionError::Missing { permission })
        }
    }

    /// Refuses reading or writing files unless they belong to the tenant at hand and the permission is there.
    pub fn check_files(
        &self,
        at_hand: &TenantId,
        owner: &TenantId,
        writing: bool,
    ) -> Result<(), PermissionError> {
        self.check(if writing {
            PluginPermission::WriteFiles
        } else {
            PluginPermission::ReadFiles
        })?;
        if at_hand == owner {
            Ok(())
        } else {
            Err(PermissionError::OtherTenant)
        }
    }

    /// Refuses a host (a name without port) that is not listed, or all of them without `access_network`.
    pub fn check_host(&self, host: &str) -> Result<(), PermissionError> {
        self.check(PluginPermission::AccessNetwork)?;
        if lists(&self.grants.network_hosts, host) {
            Ok(())
        } else {
            Err(PermissionError::Host {
                host: host.chars().take(128).collect(),
            })
        }
    }

    /// What the plugin may see of `context`: without `read_messages` texts and outputs are empty, arguments null.
    pub fn view<'c>(&self, context: &'c HookContext) -> Cow<'c, HookContext> {
        if self.allows(PluginPermission::ReadMessages) {
            Cow::Borrowed(context)
        } else {
            Cow::Owned(context.withheld())
        }
    }

    /// Whether the plugin may change anything of `hook`.
    ///
    /// Whoever cannot read a text cannot sensibly rewrite it, so `read_messages` is always needed; what goes out also
    /// needs `send_messages`, what goes to and from tools also `execute_tools`.
    pub fn may_change(&self, hook: HookName) -> bool {
        self.allows(PluginPermission::ReadMessages)
            && match hook {
                HookName::OnMessageReceived => true,
                HookName::OnBeforeSend => self.allows(PluginPermission::SendMessages),
                HookName::OnToolInvoked | HookName::OnToolCompleted => {
                    self.allows(PluginPermission::ExecuteTools)
                }
                HookName::OnAfterSend | HookName::OnSessionStart | HookName::OnSessionEnd => false,
            }
    }

    /// The changes that the plugin may make to `hook`, and the names of the fields it may not change.
    pub(crate) fn admit(&self, hook: HookName, data: HookData) -> (HookData, Vec<&'static str>) {
        let may = self.may_change(hook);
        let mut ignored = Vec::new();
        let mut keep = |belongs: bool, field: &'static str, given: bool| {
            let kept = given && belongs && may;
            if given && !kept {
                ignored.push(field);
            }
            kept
        };
        let is_text = matches!(hook, HookName::OnMessageReceived | HookName::OnBeforeSend);
        let text = keep(is_text, "text", data.text.is_some());
        let arguments = keep(
            hook == HookName::OnToolInvoked,
            "arguments",
            data.arguments.is_some(),
        );
        let output = keep(hook == HookName::OnToolCompleted, "output", data.output.is_some());
        let admitted = HookData {
            text: data.text.filter(|_| text),
            arguments: data.arguments.filter(|_| arguments),
            output: data.output.filter(|_| output),
        };
        (admitted, ignored)
    }
}
