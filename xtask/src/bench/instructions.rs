//! Instructions per operation, counted by valgrind: what does not drift with the machine's load.
//!
//! The benchmarks that can be counted name their cases and do one so often in a function called `counted`; only what
//! runs in it is counted.

use crate::toolbox;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages and their benchmarks that know `count --list` and `count NAME TIMES`.
const COUNTABLE: [(&str, &str); 1] = [("openclaw-concurrency", "hot_path")];
/// Often enough that what happens now and then has its share.
const TIMES: u64 = 2_000;

/// Instructions by the benchmark's name; `None` where valgrind is not installed. Peers are left out: they are there for
/// their times.
pub(super) fn measure_all(root: &Path, profile: &str) -> Result<Option<BTreeMap<String, f64>>> {
    let Some(valgrind) = toolbox::on_path("valgrind") else {
        return Ok(None);
    };
    let mut counts = BTreeMap::new();
    for (package, bench) in COUNTABLE {
        let program = build(root, package, bench, profile)?;
        let names = toolbox::output(Command::new(&program).args(["count", "--list"]))?;
        for name in names.lines().filter(|name| !name.contains("_peer_")) {
            let mut command = Command::new(&valgrind);
            command
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .args(["--collect-atstart=no", "--toggle-collect=*counted*"])
                .arg(&program)
                .args(["count", name, &TIMES.to_string()]);
            let run = command.output().context("valgrind cannot be run")?;
            let report = String::from_utf8_lossy(&run.stderr);
            if !run.status.success() {
                bail!("{name} under valgrind: {}\n{report}", run.status);
            }
            let count = collected(&report).with_context(|| format!("{name}: valgrind counted nothing"))?;
            counts.insert(name.to_owned(), count / TIMES as f64);
        }
    }
    Ok(Some(counts))
}

fn build(root: &Path, package: &str, bench: &str, profile: &str) -> Result<PathBuf> {
    let mut command = toolbox::cargo();
    command
        .current_dir(root)
        .args(["bench", "--quiet", "--no-run", "--message-format=json"])
        .args(["--package", package, "--bench", bench]);
    if profile != "release" {
        command.args(["--profile", profile]);
    }
    let messages = toolbox::output(&mut command)?;
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == bench)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    built.with_context(|| format!("cargo did not say where the benchmark {bench} is"))
}

/// The number after `Collected :`.
fn collected(report: &str) -> Option<f64> {
    let (_, rest) = report.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_valgrind_says_at_the_end() {
        let report = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(report), Some(1_234_567.0));
        assert_eq!(collected("==7== killed"), None);
    }
}
