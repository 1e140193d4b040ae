//! The `openclaw` command: starts things, and nothing else. The binary is [`main`]; beside it stand only the fuzz targets.

#![forbid(unsafe_code)]
#![expect(
    clippy::result_large_err,
    reason = "at the edge, an answer is the natural form of an error"
)]

mod accept;
mod again;
mod banner;
mod bots;
mod budget_cli;
mod cli;
mod client;
mod completions;
mod config;
mod config_cli;
mod confirm;
mod data_dir;
mod desk;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health_cli;
mod help;
mod housekeeping;
mod http;
mod intake;
mod keep;
mod keys;
mod keys_cli;
mod machine;
mod model_states;
mod models_cli;
mod observer;
mod openai_wire;
mod problem;
mod prometheus;
mod queue_cli;
mod reload;
mod send;
mod serve;
mod status;
mod table;
mod telemetry;
mod texts;
mod wire;
mod words;
mod workers_cli;

use cli::Command;
use failure::Failure;
use openclaw_core::Language;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::process::ExitCode;
use texts::Texts;

/// The configuration is not valid.
const EXIT_CONFIG: u8 = 78;

/// Does what the command line says; the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let language = help::language(&typed);
    let cli = match help::parse(&typed, language) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &typed, language),
    };
    match run(&cli.command, language) {
        Ok(code) => ExitCode::from(code),
        // Whoever read the output has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain is said outermost first; each part without repeating the next.
            let texts = Texts::new(language);
            let said = match (
                error.downcast_ref::<serve::InvalidConfig>(),
                Failure::about_data(&error, texts),
            ) {
                (Some(invalid), _) => invalid.report(texts),
                (None, Some(failure)) => failure.to_string(),
                (None, None) => format!("{error:#}"),
            };
            let said = texts.next_lines(&again::with_flags(&said, &typed));
            writeln!(std::io::stderr().lock(), "openclaw: {said}").ok();
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Says what was not understood and what to type to learn more, or the help that was asked for.
fn refuse(error: &clap::Error, typed: &[OsString], language: Language) -> ExitCode {
    if error.use_stderr() {
        let mut out = std::io::stderr().lock();
        let said = match language {
            Language::En if has_colours(&out) => help::coloured(error, typed),
            Language::En | Language::Ru => help::said(error, typed, language),
        };
        write!(out, "{said}").ok();
    } else if language == Language::Ru {
        write!(std::io::stdout().lock(), "{}", help::said(error, typed, language)).ok();
    } else {
        // clap knows whether in colours.
        error.print().ok();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether whoever reads this wants colours.
fn has_colours(out: &impl IsTerminal) -> bool {
    let is = |name: &str, wanted: fn(&str) -> bool| {
        std::env::var_os(name).is_some_and(|value| value.to_str().is_some_and(wanted))
    };
    out.is_terminal() && !is("NO_COLOR", |value| !value.is_empty()) && !is("TERM", |value| value == "dumb")
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit_code();
    }
    if error.is::<serve::InvalidConfig>() {
        EXIT_CONFIG
    } else {
        1
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn run(command: &Command, language: Language) -> anyhow::Result<u8> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Status(args) => status::run(args),
        Command::Send(args) => send::run(args),
        Command::Keys(command) => keys_cli::run(command),
        Command::Workers(command) => workers_cli::run(command),
        Command::Queue(command) => queue_cli::run(command),
        Command::Models(command) => models_cli::run(command),
        Command::Budget(command) => budget_cli::run(command),
        Command::Config(command) => config_cli::run(command),
        Command::Completions { shell } => print_bytes(&completions::script(*shell, language)),
        Command::Health(args) => health_cli::run(args),
        Command::Version => print(&format!("openclaw {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn print(text: &str) -> anyhow::Result<u8> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(0)
}
