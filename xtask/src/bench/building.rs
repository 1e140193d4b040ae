//! What it costs to build: the first development build of the server, and a check after a change in a domain crate.
//!
//! Both are done in a copy of the checked-out files with a target directory of its own, so that nothing is found ready
//! and nothing of the checkout is changed. Sources of dependencies are fetched before and the network is not used
//! after, so that only compiling is counted.

use crate::toolbox;
use anyhow::{Context, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The crate that is changed: one that every layer above it is compiled again for.
const CHANGED: &str = "crates/session/src/lib.rs";
/// The server as it is installed by default.
const PACKAGE: &str = "--package=openclaw-server";
/// Processor seconds that the first build may take.
const FIRST_BUILD: f64 = 240.0;
/// Seconds that a check after a change may take.
const CHECK: f64 = 5.0;

/// What was measured, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Building {
    /// Processor time of the first build.
    pub(super) first_cpu: f64,
    /// How long one waited for it.
    pub(super) first_wall: f64,
    /// How long one waits for a check after a change, once for each change.
    pub(super) checks: Vec<f64>,
}

/// A copy of the checkout that goes when it is dropped.
struct Copy(PathBuf);

/// Builds once from nothing and checks after so many changes.
pub(super) fn measure(root: &Path, changes: usize) -> Result<Building> {
    let copy = Copy::make(root)?;
    toolbox::run(copy.cargo().args(["fetch", "--locked"]))?;
    let (cpu, began) = (children()?, Instant::now());
    toolbox::run(copy.cargo().args(["build", "--offline", "--locked", PACKAGE]))?;
    let first_wall = began.elapsed().as_secs_f64();
    let first_cpu = children()?.saturating_sub(cpu).as_secs_f64();

    let check = || toolbox::run(copy.cargo().args(["check", "--offline", "--locked", PACKAGE]));
    // Whoever changes a crate has checked it before.
    check()?;
    let mut checks = Vec::new();
    for change in 0..changes.max(1) {
        copy.change(change)?;
        let began = Instant::now();
        check()?;
        checks.push(began.elapsed().as_secs_f64());
    }
    Ok(Building {
        first_cpu,
        first_wall,
        checks,
    })
}

/// The figures as a Markdown table.
pub(super) fn table(building: &Building) -> String {
    let mut checks = building.checks.clone();
    checks.sort_by(f64::total_cmp);
    let check = checks.get(checks.len() / 2).copied().unwrap_or_default();
    let yes_no = |kept: bool| if kept { "yes" } else { "no" };
    format!(
        "| what | seconds | bar | met |\n| --- | ---: | --- | --- |\n\
         | first development build of the server, processor time | {:.0} | ≤ {FIRST_BUILD} | {} |\n\
         | the same, waited for | {:.0} |  |  |\n\
         | `cargo check` of the server after a change in `crates/session` | {check:.1} | ≤ {CHECK} | {} |\n",
        building.first_cpu,
        yes_no(building.first_cpu <= FIRST_BUILD),
        building.first_wall,
        yes_no(check <= CHECK),
    )
}

// === impl Copy ===

impl Copy {
    /// Copies what git knows of, as it lies there now.
    fn make(root: &Path) -> Result<Self> {
        let place = toolbox::target(root)?.join(format!("bench-build-{}", std::process::id()));
        let copy = Self(place);
        let listed = toolbox::output(Command::new("git").current_dir(root).arg("ls-files"))?;
        for name in listed.lines() {
            let (from, to) = (root.join(name), copy.0.join(name));
            // Deleted and not yet committed.
            if !from.is_file() {
                continue;
            }
            if let Some(directory) = to.parent() {
                std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
            }
            std::fs::copy(&from, &to).with_context(|| name.to_owned())?;
        }
        Ok(copy)
    }

    fn cargo(&self) -> Command {
        let mut command = toolbox::cargo();
        command
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"));
        command
    }

    /// Adds a function that others may call, so that those who depend on the crate must be looked at again.
    fn change(&self, number: usize) -> Result<()> {
        let path = self.0.join(CHANGED);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        writeln!(
            file,
            "\n/// Added to see what a change costs.\npub const fn change_{number}() -> usize {{\n    {number}\n}}"
        )?;
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It lies in the target directory: what is left is cleaned with it.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Processor time of all programs that this one has waited for, and of those they waited for.
fn children() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    waited_for(&text).with_context(|| format!("/proc has another shape: {text}"))
}

fn waited_for(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold anything; the fields are counted after it.
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Linux reports hundredths of a second to every program, whatever the kernel counts in.
    Some(Duration::from_millis((ticks(13)? + ticks(14)?) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_read_from_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 11 12 250 50 20 0 1 0 99";
        assert_eq!(waited_for(stat), Some(Duration::from_secs(3)));
        assert_eq!(waited_for("7 (a) S 1"), None);
    }

    #[test]
    fn the_middle_check_is_the_figure() {
        let table = table(&Building {
            first_cpu: 240.4,
            first_wall: 130.0,
            checks: vec![9.0, 4.0, 4.96],
        });
        assert!(table.contains("| 240 | ≤ 240 | no |"), "{table}");
        assert!(
            table.ends_with("`crates/session` | 5.0 | ≤ 5 | yes |\n"),
            "{table}"
        );
    }
}
