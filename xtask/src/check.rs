//! `cargo xtask check`: the rules of the house that no compiler knows. Compiles nothing but, the first time, itself; takes about a second.

use crate::tree::Tree;
use crate::{documents, layers, page, tidy};
use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use std::path::Path;

/// Everything in the repository at `root` that breaks a rule, as a sentence each.
pub(crate) fn faults(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let tree = Tree::read(root)?;
    let mut faults = layers::faults(&metadata);
    faults.extend(tidy::faults(&tree));
    faults.extend(documents::faults(&tree));
    faults.extend(page::faults(&tree));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_keeps_the_rules_of_the_house() {
        let faults = faults(&crate::root()).unwrap();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    }
}
