//! `cargo xtask fuzz`: builds the fuzz targets of `xtask/fuzz` and runs each for a while, two at a time.
//!
//! The toolchain is the house's own, a stable one: coverage is all the fuzzer needs of the compiler, and without `unsafe`
//! there is little a sanitizer could find. What the fuzzer learns stays below the target directory and is where the next
//! run begins; what everybody begins with is in `xtask/fuzz/seeds`.

use crate::toolbox;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What to fuzz.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each target runs, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    secs: u64,
    /// Targets that run at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// The targets; all of them when none is named.
    targets: Vec<String>,
}

/// Where things are.
struct Places {
    sources: PathBuf,
    /// Built programs, corpora, findings, logs.
    target: PathBuf,
    programs: PathBuf,
}

/// What became of one target.
struct Outcome {
    target: String,
    /// Inputs tried, and the fuzzer's count of features they reached.
    executed: u64,
    features: u64,
    failure: Option<String>,
}

/// Builds and runs.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if toolbox::on_path("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is not installed: run `cargo xtask setup`");
    }
    let places = Places::find(root)?;
    let known = targets(&places.sources)?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target {unknown}; there are: {}", known.join(" "));
    }
    let chosen = if options.targets.is_empty() {
        known
    } else {
        options.targets.clone()
    };
    build(root, &places, &chosen)?;

    let waiting = Mutex::new(chosen.into_iter().collect::<VecDeque<_>>());
    let outcomes = Mutex::new(Vec::new());
    let next = || lock(&waiting).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = fuzz(&places, &target, options.secs).unwrap_or_else(|error| Outcome {
                        target,
                        executed: 0,
                        features: 0,
                        failure: Some(format!("{error:#}")),
                    });
                    println!("{}", outcome.line());
                    lock(&outcomes).push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| Some((&outcome.target, outcome.failure.as_ref()?)))
        .collect();
    for (target, failure) in &failed {
        eprintln!("\n=== {target} ===\n{failure}");
    }
    if !failed.is_empty() {
        bail!("targets with findings: {}", failed.len());
    }
    println!("fuzzed: {} targets, {} s each", outcomes.len(), options.secs);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is guarded is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Places ===

impl Places {
    fn find(root: &Path) -> Result<Self> {
        let target = toolbox::target(root)?.join("fuzz");
        let version = toolbox::output(Command::new("rustc").arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc does not say its host")?;
        Ok(Self {
            sources: root.join("xtask/fuzz"),
            programs: target.join(host).join("release"),
            target,
        })
    }
}

/// The targets, as the manifest names them.
fn targets(sources: &Path) -> Result<Vec<String>> {
    let manifest = sources.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let table: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    let programs = table.get("bin").and_then(toml::Value::as_array);
    let names = programs
        .into_iter()
        .flatten()
        .filter_map(|program| program.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

fn build(root: &Path, places: &Places, chosen: &[String]) -> Result<()> {
    let mut command = toolbox::cargo();
    command
        .args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir"])
        .arg(&places.sources)
        .arg("--target-dir")
        .arg(&places.target)
        .current_dir(root);
    // One of several is built alone; else all are, in one go.
    if let [only] = chosen {
        command.arg(only);
    }
    toolbox::run(&mut command)
}

fn fuzz(places: &Places, target: &str, secs: u64) -> Result<Outcome> {
    let seeds = places.sources.join("seeds").join(target);
    if !seeds.is_dir() {
        bail!("{}: a target needs something to begin with", seeds.display());
    }
    let corpus = places.target.join("corpus").join(target);
    let findings = places.target.join("findings");
    for directory in [&corpus, &findings] {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let output = Command::new(places.programs.join(target))
        .args([&corpus, &seeds])
        .arg(format!("-max_total_time={secs}"))
        .arg(format!(
            "-dict={}",
            places.sources.join("dictionary.txt").display()
        ))
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .args([
            "-timeout=20",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=1",
        ])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{target} cannot be run"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let (executed, features) = figures(&log);
    let failure = if !output.status.success() {
        Some(format!("{}\n{}", output.status, tail(&log, 40)))
    } else if executed == 0 {
        Some(format!("nothing was tried\n{}", tail(&log, 40)))
    } else {
        None
    };
    Ok(Outcome {
        target: target.to_owned(),
        executed,
        features,
        failure,
    })
}

/// Inputs tried and features reached, from what the fuzzer says at its end.
fn figures(log: &str) -> (u64, u64) {
    let after = |line: &str, mark: &str| line.split_once(mark)?.1.split_whitespace().next()?.parse().ok();
    let executed = log
        .lines()
        .find_map(|line| after(line, "stat::number_of_executed_units:"));
    let features = log.lines().rev().find_map(|line| after(line, " ft: "));
    (executed.unwrap_or(0), features.unwrap_or(0))
}

fn tail(text: &str, lines: usize) -> String {
    let skipped = text.lines().count().saturating_sub(lines);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

// === impl Outcome ===

impl Outcome {
    fn line(&self) -> String {
        format!(
            "{:<20} {:>10} inputs {:>7} features  {}",
            self.target,
            self.executed,
            self.features,
            if self.failure.is_some() { "FAILED" } else { "ok" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_source_and_seeds() {
        let sources = crate::root().join("xtask/fuzz");
        let targets = targets(&sources).unwrap();
        assert!(targets.len() >= 15, "{targets:?}");
        for target in targets {
            assert!(
                sources.join(format!("targets/{target}.rs")).is_file(),
                "{target} has no source"
            );
            let seeds = std::fs::read_dir(sources.join("seeds").join(&target));
            assert!(
                seeds.is_ok_and(|seeds| seeds.count() > 0),
                "{target} has no seeds"
            );
        }
    }

    #[test]
    fn the_fuzzers_figures_are_read() {
        let log = "INFO: seed corpus\n#16\tINITED cov: 11 ft: 12 corp: 1/1b\n#99\tDONE   cov: 30 ft: 45 corp: 2/9b\n\
                   stat::number_of_executed_units: 99\nstat::average_exec_per_sec: 9\n";
        assert_eq!(figures(log), (99, 45));
        assert_eq!(figures("it ended"), (0, 0));
    }
}
