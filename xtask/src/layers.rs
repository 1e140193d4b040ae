//! Which crate may depend on which.
//!
//! The layer follows from the manifest's directory, so a new crate cannot forget to declare one; a directory without
//! a layer is a fault. Normal and build dependencies are judged, optional and target-specific ones included;
//! development dependencies are not, because a test may use what its crate must not.

use cargo_metadata::{Dependency, DependencyKind, Metadata};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What the kernel may take from the registry. A new name takes a decision record.
const KERNEL_CRATES: &[&str] = &["futures", "serde", "serde_json", "thiserror", "uuid", "zeroize"];

/// What a domain crate may take beside the kernel's list. A new name takes a decision record.
const DOMAIN_CRATES: &[&str] = &[
    "async-trait",
    "bytes",
    "hashbrown",
    "hdrhistogram",
    "memchr",
    "parking_lot",
    "pulldown-cmark",
    "semver",
    "tokio",
    "tracing",
    "unicode-segmentation",
];

/// The parts of tokio that know no clock, no network and no threads.
const DOMAIN_TOKIO_FEATURES: &[&str] = &["sync"];

/// A ring of the hexagon, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Kernel,
    Domain,
    Gateway,
    /// What several adapters speak through. It knows what the kernel and the domain decide and implements no port, so it
    /// hides no second way inside.
    Transport,
    Adapter,
    App,
    Tool,
}

// === impl Layer ===

impl Layer {
    /// The layer of a crate whose manifest lies in this directory of the workspace.
    fn of(directory: &Path) -> Option<Self> {
        let parts: Vec<_> = directory.iter().filter_map(|part| part.to_str()).collect();
        match parts.as_slice() {
            ["crates", "core"] => Some(Self::Kernel),
            ["crates", "gateway"] => Some(Self::Gateway),
            ["crates", "adapters"] => None,
            ["crates", "adapters", "http-client" | "bot-http"] => Some(Self::Transport),
            ["crates", _] => Some(Self::Domain),
            ["crates", "adapters", _] => Some(Self::Adapter),
            ["apps", _] => Some(Self::App),
            ["xtask"] | ["xtask", _] => Some(Self::Tool),
            _ => None,
        }
    }

    fn may_depend_on(self, other: Self) -> bool {
        match self {
            Self::Kernel => false,
            Self::Domain => other == Self::Kernel,
            Self::Gateway | Self::Transport => other <= Self::Domain,
            Self::Adapter => other <= Self::Transport,
            Self::App => other <= Self::Adapter,
            // The tools stand beside the product and know it through its ports alone; they may share among themselves.
            Self::Tool => other == Self::Tool,
        }
    }

    fn may_take(self, name: &str) -> bool {
        match self {
            Self::Kernel => KERNEL_CRATES.contains(&name),
            Self::Domain => KERNEL_CRATES.contains(&name) || DOMAIN_CRATES.contains(&name),
            Self::Gateway | Self::Transport | Self::Adapter | Self::App | Self::Tool => true,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Domain => "domain",
            Self::Gateway => "gateway",
            Self::Transport => "transport",
            Self::Adapter => "adapter",
            Self::App => "app",
            Self::Tool => "tool",
        })
    }
}

/// Every dependency that points the wrong way, as a sentence each.
pub(crate) fn faults(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    let mut layers = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let directory = package
            .manifest_path
            .parent()
            .map_or(Path::new(""), |path| path.as_std_path());
        let directory = directory
            .strip_prefix(metadata.workspace_root.as_std_path())
            .unwrap_or(directory);
        match Layer::of(directory) {
            Some(layer) => {
                layers.insert(package.name.to_string(), layer);
            }
            None => faults.push(format!(
                "{}: no layer for the directory {}",
                package.name,
                directory.display()
            )),
        }
    }
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(&layer) = layers.get(name) else { continue };
        let judged = package
            .dependencies
            .iter()
            .filter(|dependency| match dependency.kind {
                DependencyKind::Normal | DependencyKind::Build => true,
                DependencyKind::Development | DependencyKind::Unknown => false,
            });
        for dependency in judged {
            faults.extend(fault_of(name, layer, dependency, &layers));
        }
    }
    faults
}

fn fault_of(
    name: &str,
    layer: Layer,
    dependency: &Dependency,
    layers: &BTreeMap<String, Layer>,
) -> Option<String> {
    let other = dependency.name.as_str();
    if dependency.path.is_some() {
        return match layers.get(other) {
            Some(&theirs) if layer.may_depend_on(theirs) => None,
            Some(theirs) => Some(format!("{name} ({layer}) must not depend on {other} ({theirs})")),
            None => Some(format!(
                "{name} ({layer}) must not depend on {other}, which has no layer"
            )),
        };
    }
    if !layer.may_take(other) {
        return Some(format!(
            "{name} ({layer}) must not depend on {other} (registry): it is not on the {layer} list"
        ));
    }
    if layer == Layer::Domain && other == "tokio" {
        let refused: Vec<_> = dependency
            .features
            .iter()
            .map(String::as_str)
            .filter(|feature| !DOMAIN_TOKIO_FEATURES.contains(feature))
            .collect();
        if !refused.is_empty() {
            return Some(format!(
                "{name} ({layer}) must not depend on tokio (registry) with {}: only {} is on the {layer} list",
                refused.join(", "),
                DOMAIN_TOKIO_FEATURES.join(", ")
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A dependency on a crate of the workspace, by its directory.
    fn ours(directory: &str) -> Value {
        let mut dependency = foreign(&package_name(directory));
        dependency["source"] = Value::Null;
        dependency["path"] = json!(format!("/w/{directory}"));
        dependency
    }

    fn foreign(name: &str) -> Value {
        json!({
            "name": name, "source": "registry+https://example.org/index", "req": "^1", "kind": null,
            "rename": null, "optional": false, "uses_default_features": false, "features": [],
            "target": null, "registry": null,
        })
    }

    fn with(mut dependency: Value, field: &str, value: Value) -> Value {
        dependency[field] = value;
        dependency
    }

    fn package_name(directory: &str) -> String {
        format!("openclaw-{}", directory.rsplit('/').next().unwrap())
    }

    /// The faults of a workspace with these crates and one crate of every layer beside them.
    fn check(crates: &[(&str, Vec<Value>)]) -> Vec<String> {
        let others = [
            "crates/core",
            "crates/session",
            "crates/gateway",
            "crates/adapters/memory",
            "crates/adapters/http-client",
            "apps/server",
            "xtask/testkit",
        ];
        let others = others
            .iter()
            .filter(|other| crates.iter().all(|(directory, _)| directory != *other));
        let all = others
            .map(|other| (*other, Vec::new()))
            .chain(crates.iter().cloned());
        let packages: Vec<_> = all
            .map(|(directory, dependencies)| {
                json!({
                    "name": package_name(directory), "version": "0.1.0",
                    "id": format!("path+file:///w/{directory}#0.1.0"),
                    "license": null, "license_file": null, "description": null, "source": null,
                    "dependencies": dependencies, "targets": [], "features": {},
                    "manifest_path": format!("/w/{directory}/Cargo.toml"), "metadata": null, "publish": null,
                    "authors": [], "categories": [], "keywords": [], "readme": null, "repository": null,
                    "homepage": null, "documentation": null, "edition": "2024", "links": null,
                    "default_run": null, "rust_version": null,
                })
            })
            .collect();
        let members: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        let metadata = json!({
            "packages": packages, "workspace_members": members, "workspace_default_members": [],
            "resolve": null, "target_directory": "/w/target", "version": 1, "workspace_root": "/w", "metadata": null,
        });
        faults(&serde_json::from_value(metadata).unwrap())
    }

    #[test]
    fn every_allowed_edge_is_allowed() {
        let faults = check(&[
            ("crates/core", vec![foreign("serde"), foreign("zeroize")]),
            (
                "crates/session",
                vec![ours("crates/core"), foreign("tracing"), foreign("serde")],
            ),
            (
                "crates/gateway",
                vec![ours("crates/core"), ours("crates/session"), foreign("rand")],
            ),
            (
                "crates/adapters/memory",
                vec![
                    ours("crates/core"),
                    ours("crates/session"),
                    ours("crates/gateway"),
                    ours("crates/adapters/http-client"),
                    foreign("rusqlite"),
                ],
            ),
            (
                "apps/server",
                vec![
                    ours("crates/core"),
                    ours("crates/gateway"),
                    ours("crates/adapters/memory"),
                    foreign("axum"),
                ],
            ),
            ("xtask/bench", vec![ours("xtask/testkit"), foreign("hyper")]),
        ]);
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn every_forbidden_edge_names_both_crates_and_their_layers() {
        let edges = [
            ("crates/core", "kernel", "crates/session", "domain"),
            ("crates/streaming", "domain", "crates/session", "domain"),
            ("crates/session", "domain", "crates/gateway", "gateway"),
            ("crates/session", "domain", "crates/adapters/memory", "adapter"),
            ("crates/gateway", "gateway", "crates/adapters/memory", "adapter"),
            (
                "crates/gateway",
                "gateway",
                "crates/adapters/http-client",
                "transport",
            ),
            (
                "crates/adapters/http-client",
                "transport",
                "crates/gateway",
                "gateway",
            ),
            (
                "crates/adapters/sqlite",
                "adapter",
                "crates/adapters/memory",
                "adapter",
            ),
            ("crates/adapters/sqlite", "adapter", "apps/server", "app"),
            ("apps/other", "app", "apps/server", "app"),
            ("apps/server", "app", "xtask/testkit", "tool"),
            ("xtask/bench", "tool", "crates/core", "kernel"),
        ];
        for (from, layer, to, other) in edges {
            let (name, dependency) = (package_name(from), package_name(to));
            let words = format!("{name} ({layer}) must not depend on {dependency} ({other})");
            assert_eq!(check(&[(from, vec![ours(to)])]), [words]);
        }
    }

    #[test]
    fn a_foreign_crate_off_the_list_is_refused_inside_the_hexagon_only() {
        let faults = check(&[
            ("crates/core", vec![foreign("tracing")]),
            ("crates/session", vec![foreign("reqwest")]),
            ("crates/adapters/http-client", vec![foreign("reqwest")]),
        ]);
        assert_eq!(
            faults,
            [
                "openclaw-core (kernel) must not depend on tracing (registry): it is not on the kernel list",
                "openclaw-session (domain) must not depend on reqwest (registry): it is not on the domain list",
            ]
        );
    }

    #[test]
    fn a_domain_crate_gets_of_tokio_only_what_knows_no_clock() {
        let sync = with(foreign("tokio"), "features", json!(["sync"]));
        let time = with(foreign("tokio"), "features", json!(["sync", "time", "net"]));
        assert_eq!(check(&[("crates/session", vec![sync])]), [""; 0]);
        assert_eq!(
            check(&[("crates/session", vec![time])]),
            [
                "openclaw-session (domain) must not depend on tokio (registry) with time, net: only sync is on the domain list"
            ]
        );
    }

    #[test]
    fn optional_target_specific_and_build_dependencies_are_judged_and_development_ones_are_not() {
        let memory = || ours("crates/adapters/memory");
        let judged = [
            with(memory(), "optional", json!(true)),
            with(memory(), "target", json!("cfg(windows)")),
            with(memory(), "kind", json!("build")),
        ];
        for dependency in judged {
            assert_eq!(check(&[("crates/session", vec![dependency])]).len(), 1);
        }
        assert_eq!(
            check(&[("crates/session", vec![with(memory(), "kind", json!("dev"))])]),
            [""; 0]
        );
    }

    #[test]
    fn a_directory_without_a_layer_and_a_crate_from_outside_are_refused() {
        assert_eq!(
            check(&[("plugins/echo", Vec::new())]),
            ["openclaw-echo: no layer for the directory plugins/echo"]
        );
        assert_eq!(check(&[("crates/session/inner", Vec::new())]).len(), 1);
        let outside = with(foreign("elsewhere"), "path", json!("/elsewhere"));
        assert_eq!(
            check(&[("apps/server", vec![outside])]),
            ["openclaw-server (app) must not depend on elsewhere, which has no layer"]
        );
    }
}
