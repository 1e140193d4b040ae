//! `cargo xtask mutants`: changes the code in small ways and sees whether a test notices. Installs nothing.
//!
//! What survives is either a test to write or a change no test can tell from the original; the latter are listed, with
//! the reason, in the crate's `MUTANTS.md`. Hours for a whole crate; `--file` and `--shard` take a part.

use crate::toolbox;
use anyhow::{Result, bail};
use clap::Args;
use std::path::Path;

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The package whose code is changed and whose tests are run.
    #[arg(long, short, default_value = "openclaw-concurrency")]
    package: String,
    /// Only this file, from the root of the repository; may be given several times.
    #[arg(long, short)]
    file: Vec<String>,
    /// Only this part of all, as `2/8`.
    #[arg(long)]
    shard: Option<String>,
    /// Only list the changes.
    #[arg(long)]
    list: bool,
}

/// Runs cargo-mutants with the settings the figures in `MUTANTS.md` were taken with.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if toolbox::on_path("cargo-mutants").is_none() {
        bail!("cargo-mutants is not installed: cargo install --locked cargo-mutants");
    }
    let mut mutants = toolbox::cargo();
    mutants.args(arguments(options)).current_dir(root);
    // Each change is one build and one run: fewer random cases, no debug information, and a directory of its own.
    mutants
        .env("PROPTEST_CASES", "32")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "1")
        .env_remove("CARGO_TARGET_DIR");
    toolbox::run(&mut mutants)
}

fn arguments(options: &Options) -> Vec<String> {
    // Its results hold copies of the sources and the paths of this machine: where no check of the sources looks.
    let fixed = [
        "mutants",
        "--jobs",
        "1",
        "--timeout",
        "300",
        "--no-shuffle",
        "--output",
        "target",
    ];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
    arguments.extend(["--package".to_owned(), options.package.clone()]);
    for file in &options.file {
        arguments.extend(["--file".to_owned(), file.clone()]);
    }
    if let Some(shard) = &options.shard {
        arguments.extend(["--shard".to_owned(), shard.clone()]);
    }
    if options.list {
        arguments.push("--list".to_owned());
    }
    // Benchmarks and examples in the documentation prove nothing that tests do not.
    arguments.extend(["--lib", "--tests"].map(|target| format!("--cargo-test-arg={target}")));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_handed_on() {
        let options = Options {
            package: "openclaw-concurrency".to_owned(),
            file: vec!["crates/concurrency/src/work.rs".to_owned()],
            shard: Some("2/8".to_owned()),
            list: true,
        };
        let arguments = arguments(&options).join(" ");
        assert!(arguments.contains("--output target"), "{arguments}");
        assert!(
            arguments.contains(
                "--package openclaw-concurrency --file crates/concurrency/src/work.rs --shard 2/8 --list"
            ),
            "{arguments}"
        );
    }
}
