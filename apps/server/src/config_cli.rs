//! `openclaw config`: what is configured, whether it can be used, what a field means.

use crate::cli::{ConfigCommand, ServeArgs};
use crate::config::explain;
use crate::config::show::Settings;
use crate::failure::Failure;
use crate::serve::{self, InvalidConfig};
use crate::words::counted;
use crate::{EXIT_CONFIG, print};

/// Carries out a command; the exit code.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Show { from, json: false } => print(&serve::load(from)?.settings.to_table()),
        ConfigCommand::Show { from, json: true } => {
            print(&format!("{:#}\n", serve::load(from)?.settings.to_json()))
        }
        ConfigCommand::Check { from } => check(from),
        ConfigCommand::Explain { field, from } => explained(field, from),
    }
}

/// The faults are what was asked for, so they go to standard output.
fn check(from: &ServeArgs) -> anyhow::Result<u8> {
    match serve::load(from) {
        Ok(loaded) => {
            let file = serve::config_file(from);
            for notice in &loaded.notices {
                print(&format!("{}\n", notice.line("warn", file.as_deref())))?;
            }
            let read = match &file {
                Some(file) => format!("{}: ", file.display()),
                None => "no file; defaults, environment and flags: ".to_owned(),
            };
            print(&match loaded.notices.len() {
                0 => format!("{read}the configuration is valid\n"),
                count => {
                    let warnings = counted(count, "warning", "warnings");
                    format!("{read}the configuration is valid, with {warnings}\n")
                }
            })
        }
        Err(error) => match error.downcast_ref::<InvalidConfig>() {
            Some(invalid) => {
                print(&format!("{invalid}\n"))?;
                Ok(EXIT_CONFIG)
            }
            None => Err(error),
        },
    }
}

/// A field explains itself also where the configuration cannot be used: then without its present value.
fn explained(field: &str, from: &ServeArgs) -> anyhow::Result<u8> {
    let settings = match serve::load(from) {
        Ok(loaded) => loaded.settings,
        Err(error) if error.is::<InvalidConfig>() => Settings::default(),
        Err(error) => return Err(error),
    };
    match explain::explain(&settings, field) {
        Ok(text) => print(&text),
        Err(near) => {
            let next = near.map_or_else(
                || "openclaw config show".to_owned(),
                |near| format!("openclaw config explain {near}"),
            );
            Err(Failure::failed(format!("there is no field or section {field}"), next).into())
        }
    }
}
