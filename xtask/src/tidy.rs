//! House rules about manifests and sources. Each rule looks at the [`Tree`] and says what is wrong, with the place.

use crate::tree::Tree;
use toml::{Table, Value};

/// Files every checkout has.
const REQUIRED: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "deny.toml",
];

/// Macros that mark something unfinished. Written in two parts, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
    concat!("db", "g!"),
];

/// Paths that exist on one machine only.
const LOCAL_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("/ro", "ot/"),
];

/// Everything that breaks a rule, as `place: what`.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for path in REQUIRED.iter().filter(|path| !tree.has(path)) {
        faults.push(format!("{path}: missing"));
    }
    for (path, text) in tree.ending("Cargo.toml") {
        if path != "Cargo.toml" {
            manifest(tree, path, text, &mut faults);
        }
    }
    for (path, text) in tree.ending(".rs") {
        source(path, text, &mut faults);
    }
    for (path, text) in tree.texts() {
        local_paths(path, text, &mut faults);
    }
    faults
}

fn manifest(tree: &Tree, path: &str, text: &str, faults: &mut Vec<String>) {
    let manifest = match text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => {
            faults.push(format!("{path}: not TOML: {}", error.message()));
            return;
        }
    };
    // A workspace of its own (fuzz targets, plugin guests) has no part in ours and cannot inherit from it.
    if manifest.contains_key("workspace") {
        return;
    }
    let directory = path.strip_suffix("/Cargo.toml").unwrap_or_default();
    let last = directory.rsplit('/').next().unwrap_or_default();
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str);
    let expected = if directory == "xtask" {
        "xtask".to_owned()
    } else {
        format!("openclaw-{last}")
    };
    if name != Some(expected.as_str()) {
        faults.push(format!("{path}: the package must be called {expected}"));
    }
    let inherits = |table: Option<&Value>| {
        table
            .and_then(|table| table.get("workspace"))
            .and_then(Value::as_bool)
            == Some(true)
    };
    if !inherits(manifest.get("lints")) {
        faults.push(format!("{path}: no `[lints] workspace = true`"));
    }
    for (table, dependencies) in dependency_tables(&manifest) {
        for (dependency, value) in dependencies {
            if !inherits(Some(value)) {
                faults.push(format!(
                    "{path}: {table}.{dependency} must come from [workspace.dependencies]"
                ));
            }
        }
    }
    if directory.starts_with("crates/") && !tree.has(&format!("{directory}/README.md")) {
        faults.push(format!("{directory}/README.md: missing"));
    }
}

fn dependency_tables(manifest: &Table) -> Vec<(String, &Table)> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let places = targets
        .filter_map(|(target, table)| Some((format!("target.{target}."), table.as_table()?)))
        .chain([(String::new(), manifest)]);
    let mut found = Vec::new();
    for (prefix, place) in places {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if let Some(table) = place.get(kind).and_then(Value::as_table) {
                found.push((format!("{prefix}{kind}"), table));
            }
        }
    }
    found
}

fn source(path: &str, text: &str, faults: &mut Vec<String>) {
    if !text
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with("//!"))
    {
        faults.push(format!("{path}: must begin with `//!` and say what it is for"));
    }
    let is_root = ["/src/lib.rs", "/src/main.rs"]
        .iter()
        .any(|end| path.ends_with(end));
    if is_root && !text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
        faults.push(format!("{path}: no `#![forbid(unsafe_code)]`"));
    }
    for (number, line) in numbered(text) {
        for mark in UNFINISHED.iter().filter(|mark| has_word(line, mark)) {
            faults.push(format!("{path}:{number}: `{mark}` is not finished work"));
        }
    }
    if is_inside(path) && !is_home_of_ports(path) {
        for (number, name) in async_traits(text) {
            faults.push(format!("{path}:{number}: the port `{name}` must be in ports.rs"));
        }
    }
}

/// Whether a source file belongs to the kernel, a domain crate or the gateway.
fn is_inside(path: &str) -> bool {
    path.starts_with("crates/") && !path.starts_with("crates/adapters/") && path.contains("/src/")
}

/// Ports live in `ports.rs`; a contract suite asks its caller for what it tests through a trait of its own.
fn is_home_of_ports(path: &str) -> bool {
    ["/ports.rs", "/contract.rs"]
        .iter()
        .any(|end| path.ends_with(end))
        || path.contains("/contract/")
}

/// Public traits with asynchronous methods, with their lines.
///
/// What the outside implements waits for something, or else the domain would have done it itself: a public trait
/// under `#[async_trait]`, or with a method that is `async` or returns a boxed future, is a port. Traits without one
/// (an event, an error with a code) are words of the domain and live where they are talked about.
fn async_traits(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut attributed = false;
    // The trait whose body is being read.
    let mut open: Option<(usize, &str)> = None;
    for (number, line) in numbered(text) {
        let trimmed = line.trim();
        if let Some((start, name)) = open {
            let asynchronous = trimmed.starts_with("async fn ") || trimmed.contains("-> BoxFuture");
            if asynchronous {
                found.push((start, name));
            }
            if asynchronous || line.starts_with('}') {
                open = None;
            }
            continue;
        }
        if trimmed.starts_with("#[async_trait") {
            attributed = true;
        } else if let Some(rest) = line.strip_prefix("pub trait ") {
            let name = rest
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .next();
            let name = name.unwrap_or_default();
            if attributed {
                found.push((number, name));
            } else if !trimmed.ends_with('}') {
                open = Some((number, name));
            }
            attributed = false;
        } else if !trimmed.is_empty() && !trimmed.starts_with("#[") && !trimmed.starts_with("//") {
            attributed = false;
        }
    }
    found
}

fn local_paths(path: &str, text: &str, faults: &mut Vec<String>) {
    for (number, line) in numbered(text) {
        for local in LOCAL_PATHS.iter().filter(|local| has_word(line, local)) {
            faults.push(format!("{path}:{number}: `{local}` is a place on one machine"));
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// Whether `text` stands in `line` and is not the end of a longer word or path.
fn has_word(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || "_-./}".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"openclaw-session\"\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\ntokio = { workspace = true, features = [\"sync\"] }\n";

    /// The faults of a tidy repository with these files beside its own or in their place.
    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let tidy = [
            ("ARCHITECTURE.md", ""),
            ("CONTRIBUTING.md", ""),
            ("README.md", ""),
            ("CHANGELOG.md", ""),
            ("LICENSE-APACHE", ""),
            ("LICENSE-MIT", ""),
            ("deny.toml", ""),
            ("crates/session/Cargo.toml", MANIFEST),
            ("crates/session/README.md", ""),
            (
                "crates/session/src/lib.rs",
                "//! Sessions.\n#![forbid(unsafe_code)]\n",
            ),
        ];
        let kept = tidy
            .iter()
            .filter(|(path, _)| files.iter().all(|(other, _)| other != path));
        let all: Vec<_> = kept.copied().chain(files.iter().copied()).collect();
        faults(&Tree::of(&all))
    }

    #[track_caller]
    fn refused(path: &str, text: &str, fault: &str) {
        assert_eq!(check(&[(path, text)]), [fault]);
    }

    #[test]
    fn a_tidy_repository_has_no_faults() {
        assert_eq!(check(&[]), [""; 0]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let others = REQUIRED
            .iter()
            .filter(|path| **path != "LICENSE-APACHE")
            .map(|path| (*path, ""));
        let tree = Tree::of(&others.collect::<Vec<_>>());
        assert_eq!(faults(&tree), ["LICENSE-APACHE: missing"]);
    }

    #[test]
    fn a_manifest_inherits_its_lints_and_dependencies_and_is_called_like_its_directory() {
        let path = "crates/session/Cargo.toml";
        refused(
            path,
            &MANIFEST.replace("workspace = true\n[dep", "[dep"),
            "crates/session/Cargo.toml: no `[lints] workspace = true`",
        );
        refused(
            path,
            &MANIFEST.replace("openclaw-session", "session"),
            "crates/session/Cargo.toml: the package must be called openclaw-session",
        );
        refused(
            path,
            &format!("{MANIFEST}rand = \"0.9\"\n"),
            "crates/session/Cargo.toml: dependencies.rand must come from [workspace.dependencies]",
        );
        refused(
            path,
            &format!("{MANIFEST}[target.'cfg(unix)'.dev-dependencies]\nnix = {{ version = \"1\" }}\n"),
            "crates/session/Cargo.toml: target.cfg(unix).dev-dependencies.nix must come from [workspace.dependencies]",
        );
    }

    #[test]
    fn a_workspace_of_its_own_is_left_alone() {
        assert_eq!(
            check(&[("fuzz/Cargo.toml", "[package]\nname = \"fuzz\"\n[workspace]\n")]),
            [""; 0]
        );
    }

    #[test]
    fn a_source_file_begins_with_what_it_is_for() {
        let fault = "crates/session/src/a.rs: must begin with `//!` and say what it is for";
        refused("crates/session/src/a.rs", "use std::fmt;\n//! late\n", fault);
        refused("crates/session/src/a.rs", "", fault);
    }

    #[test]
    fn a_crate_root_forbids_unsafe_code() {
        refused(
            "crates/session/src/lib.rs",
            "//! Sessions.\n",
            "crates/session/src/lib.rs: no `#![forbid(unsafe_code)]`",
        );
    }

    #[test]
    fn a_port_lives_in_ports_rs() {
        let attributed =
            "//! x\n#[async_trait]\n#[expect(dead_code, reason = \"x\")]\npub trait Store: Send {\n}\n";
        let native = "//! x\npub trait Store {\n    fn name(&self);\n    async fn get(&self);\n}\n";
        let boxed = "//! x\npub trait Store {\n    fn get(&self) -> BoxFuture<'_, ()>;\n}\n";
        for (text, line) in [(attributed, 4), (native, 2), (boxed, 2)] {
            let fault = format!("crates/session/src/store.rs:{line}: the port `Store` must be in ports.rs");
            refused("crates/session/src/store.rs", text, &fault);
            assert_eq!(check(&[("crates/session/src/ports.rs", text)]), [""; 0]);
            assert_eq!(check(&[("crates/session/src/contract.rs", text)]), [""; 0]);
            assert_eq!(check(&[("crates/adapters/memory/src/store.rs", text)]), [""; 0]);
        }
    }

    #[test]
    fn a_trait_that_waits_for_nothing_and_an_implementation_are_no_ports() {
        let text = "//! x\npub trait Event: Send {\n    fn name(&self);\n}\nimpl S {\n    async fn f(&self) {}\n}\n#[async_trait]\nimpl Store for S {\n}\npub trait Marker {}\nimpl T {\n    async fn f() {}\n}\n";
        assert_eq!(check(&[("crates/session/src/event.rs", text)]), [""; 0]);
    }

    #[test]
    fn unfinished_work_and_local_paths_are_found_with_their_line() {
        let unfinished = format!("//! x\n\nfn f() {{ {}() }}\n", UNFINISHED[0]);
        refused(
            "crates/session/src/a.rs",
            &unfinished,
            &format!(
                "crates/session/src/a.rs:3: `{}` is not finished work",
                UNFINISHED[0]
            ),
        );
        let local = format!("see `{}main`", LOCAL_PATHS[0]);
        refused(
            "docs/a.md",
            &local,
            &format!("docs/a.md:1: `{}` is a place on one machine", LOCAL_PATHS[0]),
        );
        let longer = format!("a{}b net{}", LOCAL_PATHS[0], &LOCAL_PATHS[0][1..]);
        assert_eq!(check(&[("docs/a.md", &longer)]), [""; 0]);
    }
}
