//! The benchmarks of single functions, which live with their crates and run under criterion.

use crate::toolbox;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How far down criterion puts its results: group, function, parameter.
const DEPTH: usize = 5;

/// Runs each benchmark once, unoptimised, to see that it still runs.
pub(super) fn try_all(root: &Path) -> Result<()> {
    match command(root, "test")? {
        Some(mut command) => toolbox::run(&mut command),
        None => Ok(()),
    }
}

/// Measures all of them and returns nanoseconds by name.
pub(super) fn measure_all(root: &Path) -> Result<BTreeMap<String, f64>> {
    let mut figures = BTreeMap::new();
    if let Some(mut command) = command(root, "bench")? {
        let results = toolbox::target(root)?.join("criterion");
        // Results of benchmarks that are gone would be reported as new ones.
        if results.exists() {
            std::fs::remove_dir_all(&results).with_context(|| results.display().to_string())?;
        }
        toolbox::run(&mut command)?;
        collect(&results, DEPTH, &mut figures)?;
    }
    Ok(figures)
}

/// `cargo VERB` for every benchmark of the workspace; `None` when there is none.
fn command(root: &Path, verb: &str) -> Result<Option<Command>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let mut command = toolbox::cargo();
    command.current_dir(root).args([verb, "--quiet"]);
    let mut any = false;
    for package in metadata.workspace_packages() {
        for target in package.targets.iter().filter(|target| target.is_bench()) {
            command.args([
                "--package",
                package.name.as_str(),
                "--bench",
                target.name.as_str(),
            ]);
            any = true;
        }
    }
    Ok(any.then_some(command))
}

fn collect(directory: &Path, depth: usize, figures: &mut BTreeMap<String, f64>) -> Result<()> {
    let result = directory.join("new");
    if result.join("estimates.json").is_file() {
        let read = |name: &str| -> Result<Value> {
            let path = result.join(name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(serde_json::from_str(&text)?)
        };
        let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
        if let (Some(name), Some(median)) = (
            benchmark["full_id"].as_str(),
            estimates["median"]["point_estimate"].as_f64(),
        ) {
            figures.insert(name.to_owned(), median);
        }
        return Ok(());
    }
    if depth == 0 || !directory.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory)? {
        collect(&entry?.path(), depth - 1, figures)?;
    }
    Ok(())
}

/// The figures as a Markdown table, in units a person reads.
pub(super) fn table(figures: &BTreeMap<String, f64>) -> String {
    let mut table = String::from("| function | median |\n| --- | ---: |\n");
    for (name, &nanos) in figures {
        table += &format!("| {} | {} |\n", name.replace('|', "\\|"), time(nanos));
    }
    table
}

fn time(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match units.iter().find(|(size, _)| nanos >= *size) {
        Some((size, unit)) => format!("{:.2} {unit}", nanos / size),
        None => format!("{nanos:.1} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_below_their_groups_and_shown_in_readable_units() {
        let place = tempfile::tempdir().unwrap();
        for (path, name, nanos) in [("a", "a", 12.34), ("group/b/10", "group/b/10", 1_234_567.0)] {
            let result = place.path().join(path).join("new");
            std::fs::create_dir_all(&result).unwrap();
            std::fs::write(
                result.join("benchmark.json"),
                format!("{{\"full_id\":\"{name}\"}}"),
            )
            .unwrap();
            let estimates = format!("{{\"median\":{{\"point_estimate\":{nanos}}}}}");
            std::fs::write(result.join("estimates.json"), estimates).unwrap();
        }
        let mut figures = BTreeMap::new();
        collect(place.path(), DEPTH, &mut figures).unwrap();
        assert_eq!(
            table(&figures),
            "| function | median |\n| --- | ---: |\n| a | 12.3 ns |\n| group/b/10 | 1.23 ms |\n"
        );
        collect(&place.path().join("none"), DEPTH, &mut figures).unwrap();
    }
}
