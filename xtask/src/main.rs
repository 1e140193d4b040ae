//! House tools: `cargo xtask check | test | fuzz | setup | page | bench | mutants`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks to its user"
)]

mod bench;
mod check;
mod documents;
mod fuzz;
mod layers;
mod mutants;
mod page;
mod setup;
mod suite;
mod tidy;
mod toolbox;
mod tree;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// House tools of OpenClaw Platform.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check layers, manifests, sources, documents and the chat page; compiles nothing.
    Check,
    /// Run all tests, doc examples included; lists what had to be left out.
    Test(suite::Options),
    /// Fuzz every parser for a while.
    Fuzz(fuzz::Options),
    /// Install what tests, checks and the chat page need (Debian, Ubuntu).
    Setup,
    /// Make the chat page's script and style as they are served out of their sources.
    Page,
    /// Measure the server against a bare relay and write docs/benchmarks.md.
    Bench(bench::Options),
    /// Change the code in small ways and see whether a test notices.
    Mutants(mutants::Options),
}

/// The root of the repository: the parent of this crate's directory.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: where the tool was when a check failed is of no use to the reader.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let root = root();
    match command {
        Command::Check => {
            let faults = check::faults(&root)?;
            for fault in &faults {
                eprintln!("{fault}");
            }
            if !faults.is_empty() {
                bail!("rules broken: {}", faults.len());
            }
            println!("checked: layers, manifests, sources, documents, chat page");
            Ok(())
        }
        Command::Test(options) => suite::run(&root, &options),
        Command::Fuzz(options) => fuzz::run(&root, &options),
        Command::Setup => setup::run(&root),
        Command::Page => page::run(&root),
        Command::Bench(options) => bench::run(&root, &options),
        Command::Mutants(options) => mutants::run(&root, &options),
    }
}
