//! The `openclaw` binary: starts things, and nothing else.

#![forbid(unsafe_code)]

mod accept;
mod cli;
mod config;
mod data_dir;
mod http;
mod intake;
mod keys;
mod observer;
mod openai_wire;
mod problem;
mod prometheus;
mod send;
mod serve;
mod telemetry;
mod wire;

use clap::Parser as _;
use cli::{Cli, Command, ConfigCommand};
use std::io::Write as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration is not valid.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = if error.is::<config::fault::ConfigError>() {
                EXIT_CONFIG
            } else {
                1
            };
            // The chain is said outermost first; each part without repeating the next.
            writeln!(std::io::stderr().lock(), "openclaw: {error:#}").ok();
            ExitCode::from(code)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<u8> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Send(args) => send::run(args),
        Command::Config(ConfigCommand::Show { from, json }) => {
            let loaded = serve::load(from)?;
            if *json {
                print(&format!("{:#}\n", loaded.settings.to_json()))
            } else {
                print(&loaded.settings.to_table())
            }
        }
        Command::Config(ConfigCommand::Check { from }) => {
            let loaded = serve::load(from)?;
            for notice in &loaded.notices {
                print(&format!("{notice}\n"))?;
            }
            print("the configuration is valid\n")
        }
        Command::Config(ConfigCommand::Explain { field, from }) => {
            let loaded = serve::load(from)?;
            match loaded.settings.explain(field) {
                Ok(text) => print(&text),
                Err(Some(near)) => {
                    anyhow::bail!("there is no field {field}\n  next  openclaw config explain {near}")
                }
                Err(None) => anyhow::bail!("there is no field {field}\n  next  openclaw config show"),
            }
        }
        Command::Version => print(&format!("openclaw {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn print(text: &str) -> anyhow::Result<u8> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}
