//! `cargo xtask test`: all tests with nothing but the Rust toolchain, and a list of what was left out for want of more.

use crate::toolbox::{self, Toolbox};
use anyhow::{Result, bail};
use clap::Args;
use std::path::Path;
use std::process::Command;

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fail if anything had to be left out.
    #[arg(long)]
    all: bool,
    /// Only this package; may be given several times.
    #[arg(long, short)]
    package: Vec<String>,
    /// Handed on to the test runner.
    #[arg(last = true)]
    runner: Vec<String>,
}

/// Runs the tests, then the examples in the documentation.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let toolbox = Toolbox::find(root)?;
    let missing: Vec<_> = toolbox
        .variables()
        .into_iter()
        .filter(|(_, place, _)| place.is_none())
        .collect();
    if options.all && !missing.is_empty() {
        for (variable, _, what) in &missing {
            eprintln!("missing: {what} ({variable})");
        }
        bail!("nothing may be left out with --all: run `cargo xtask setup` first");
    }

    let scope: Vec<_> = match options.package.as_slice() {
        [] => vec!["--workspace".to_owned()],
        packages => packages
            .iter()
            .map(|package| format!("--package={package}"))
            .collect(),
    };
    let nextest = toolbox::on_path("cargo-nextest").is_some();
    let mut tests = toolbox::cargo();
    if nextest {
        tests.args(["nextest", "run", "--no-tests=pass"]);
    } else {
        tests.args(["test", "--lib", "--bins", "--tests"]);
    }
    tests.args(&scope).args(&options.runner);
    hand_down(&mut tests, root, &toolbox, options.all);
    toolbox::run(&mut tests)?;

    let mut examples = toolbox::cargo();
    examples.args(["test", "--doc"]).args(&scope);
    hand_down(&mut examples, root, &toolbox, options.all);
    toolbox::run(&mut examples)?;

    if missing.is_empty() {
        println!("passed; nothing was left out");
    } else {
        println!("passed; left out, because it is not installed (`cargo xtask setup` installs it):");
        for (_, _, what) in missing {
            println!("  - {what}");
        }
    }
    Ok(())
}

fn hand_down(command: &mut Command, root: &Path, toolbox: &Toolbox, all: bool) {
    command.current_dir(root);
    for (variable, place, _) in toolbox.variables() {
        match place {
            Some(place) => command.env(variable, place),
            None => command.env_remove(variable),
        };
    }
    if all {
        command.env("OPENCLAW_TEST_ALL", "1");
    } else {
        command.env_remove("OPENCLAW_TEST_ALL");
    }
}
