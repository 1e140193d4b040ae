//! `openclaw config`: what is configured, whether it can be used, what a field means.

use crate::cli::{ConfigCommand, ServeArgs};
use crate::client::{Admin, printable};
use crate::config::explain::{self, Meant};
use crate::config::show::Settings;
use crate::failure::Failure;
use crate::serve::{self, InvalidConfig};
use crate::words::counted;
use crate::{EXIT_CONFIG, print};
use reqwest::Method;
use serde_json::Value;

/// Carries out a command; the exit code.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Show { from, json: false } => print(&serve::load(from)?.settings.to_table()),
        ConfigCommand::Show { from, json: true } => {
            print(&format!("{:#}\n", serve::load(from)?.settings.to_json()))
        }
        ConfigCommand::Check { from } => check(from),
        ConfigCommand::Explain { field, from } => explained(field, from),
        ConfigCommand::Reload { server, json } => {
            let done = Admin::find(server)?.call(Method::POST, "config/reload", None)?;
            print(&if *json {
                format!("{done:#}\n")
            } else {
                reloaded(&done)
            })
        }
    }
}

/// What the running server took over, and what it did not.
fn reloaded(done: &Value) -> String {
    let changes = |name: &str| done[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |change: &Value| {
        let text = |name: &str| printable(change[name].as_str().unwrap_or("(unset)"));
        format!("  {}  {} → {}\n", text("path"), text("from"), text("to"))
    };
    let mut out = String::new();
    let (applied, waiting) = (changes("applied"), changes("needsRestart"));
    if applied.is_empty() && waiting.is_empty() {
        out.push_str("nothing has changed\n");
    }
    if !applied.is_empty() {
        out.push_str("applied\n");
        out.extend(applied.iter().map(line));
    }
    if !waiting.is_empty() {
        out.push_str("needs a restart, as it was until then\n");
        out.extend(waiting.iter().map(line));
    }
    let providers: Vec<String> = changes("providers")
        .iter()
        .filter_map(|id| id.as_str().map(printable))
        .collect();
    if !providers.is_empty() {
        out.push_str(&format!("connected anew: {}\n", providers.join(", ")));
    }
    out
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
        Err(meant) => {
            let nothing = format!("there is no field or section {field}");
            let (what, next) = match meant {
                Meant::Nothing => (nothing, "openclaw config show".to_owned()),
                Meant::One(near) => (nothing, format!("openclaw config explain {near}")),
                Meant::Several(paths) => (
                    format!("several fields are named {field}:\n  {}", paths.join("\n  ")),
                    format!(
                        "openclaw config explain {}",
                        paths.first().copied().unwrap_or_default()
                    ),
                ),
            };
            Err(Failure::failed(what, next).into())
        }
    }
}
