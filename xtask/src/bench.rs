//! `cargo xtask bench`: the server, a bare relay and the mock provider itself, measured in one run.
//!
//! Wall times drift on a shared machine, so what is compared is taken side by side: every measurement is made on all
//! targets before the next one begins, and costs are processor time per request. Where `taskset` exists and there are
//! two processors, mock and load generator share the first and the target has the second.

mod building;
mod figures;
mod functions;
mod instructions;
mod messages;
mod probes;
mod process;
mod report;
mod run;
mod scale;

use crate::toolbox;
use anyhow::{Result, bail};
use clap::Args;
use std::path::Path;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A second per measurement with unoptimised programs: shows that it runs, not how fast; writes nothing.
    #[arg(long)]
    smoke: bool,
    /// Leave the server out: what the harness itself can do.
    #[arg(long)]
    no_server: bool,
    /// Leave the benchmarks of single functions out.
    #[arg(long)]
    no_functions: bool,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// How often measurements are repeated; the figure is the median round.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A million sessions beside ten and a hundred thousand: a quarter of an hour more.
    #[arg(long)]
    long: bool,
    /// Measures too what it costs to build, in a target directory of its own: minutes of both processors.
    #[arg(long)]
    build: bool,
    /// The profile programs are built with; `fast` builds sooner and runs a little slower.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds, measures, prints the tables and writes docs/benchmarks.md.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the figures come from /proc: measure on Linux");
    }
    let profile = if options.smoke { "dev" } else { &options.profile };
    let mut build = toolbox::cargo();
    build
        .current_dir(root)
        .args(["build", "--profile", profile, "--package=openclaw-bench"]);
    if !options.no_server {
        build.arg("--package=openclaw-server");
    }
    toolbox::run(&mut build)?;
    // The one profile whose directory has another name.
    let place = if profile == "dev" { "debug" } else { profile };
    let programs = toolbox::target(root)?.join(place);
    let plan = run::Plan {
        secs: if options.smoke { 0.5 } else { options.secs },
        warm: if options.smoke { 0.1 } else { 1.0 },
        rounds: if options.smoke { 1 } else { options.rounds.max(1) },
        server: !options.no_server,
        smoke: options.smoke,
        sizes: match (options.smoke, options.long) {
            (true, _) => scale::Sizes::SMOKE,
            (false, true) => scale::Sizes::LONG,
            (false, false) => scale::Sizes::USUAL,
        },
    };
    let measured = run::measure(&programs, &plan)?;
    let table = report::table(&measured);
    println!("{table}");
    if options.smoke {
        if !options.no_functions {
            functions::try_all(root)?;
        }
        println!("it runs; docs/benchmarks.md is unchanged");
        return Ok(());
    }
    let functions = if options.no_functions {
        "Not measured in this run.\n".to_owned()
    } else {
        let figures = functions::measure_all(root, profile)?;
        let counts = instructions::measure_all(root, profile)?;
        functions::table(&figures, counts.as_ref())
    };
    println!("{functions}");
    let building = if options.build {
        building::table(&building::measure(root, plan.rounds)?)
    } else {
        "Not measured in this run.\n".to_owned()
    };
    println!("{building}");
    if options.no_server {
        println!("docs/benchmarks.md is unchanged: the server was not measured");
        return Ok(());
    }
    let path = root.join("docs/benchmarks.md");
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut command = format!("cargo xtask bench --secs {} --rounds {}", plan.secs, plan.rounds);
    if profile != "release" {
        command += &format!(" --profile {profile}");
    }
    if options.long {
        command += " --long";
    }
    if options.build {
        command += " --build";
    }
    if options.no_functions {
        command += " --no-functions";
    }
    std::fs::write(&path, report::page(root, &command, &table, &functions, &building))?;
    println!("written: docs/benchmarks.md");
    Ok(())
}
