//! `openclaw config`: what is configured, whether it can be used, what a field means.

use crate::cli::{ConfigCommand, ServeArgs};
use crate::client::{Admin, printable};
use crate::config::environment::ProcessEnvironment;
use crate::config::explain::{self, Meant};
use crate::config::provider_variables;
use crate::config::show::{self, Settings};
use crate::failure::Failure;
use crate::serve::{self, InvalidConfig};
use crate::texts::Texts;
use crate::{EXIT_CONFIG, print};
use reqwest::Method;
use serde_json::Value;

/// Carries out a command; the exit code.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Show { from, json: false } => {
            let loaded = serve::load(from)?;
            print(&loaded.settings.to_table(Texts::new(loaded.language)))
        }
        ConfigCommand::Show { from, json: true } => {
            print(&format!("{:#}\n", serve::load(from)?.settings.to_json()))
        }
        ConfigCommand::Check { from } => check(from),
        ConfigCommand::Explain { field, from } => explained(field, from),
        ConfigCommand::Reload { server, json } => {
            let admin = Admin::find(server)?;
            let done = admin.call(Method::POST, "config/reload", None)?;
            print(&if *json {
                format!("{done:#}\n")
            } else {
                reloaded(&done, admin.texts())
            })
        }
    }
}

/// What the running server took over, and what it did not.
fn reloaded(done: &Value, texts: Texts) -> String {
    let changes = |name: &str| done[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |change: &Value| {
        let path = printable(change["path"].as_str().unwrap_or_default());
        let value = |name: &str| match change[name].as_str() {
            Some(value) => show::in_language(&path, &printable(value), texts),
            None => texts.config_unset(),
        };
        format!("  {path}  {} → {}\n", value("from"), value("to"))
    };
    let mut out = String::new();
    let (applied, waiting) = (changes("applied"), changes("needsRestart"));
    if applied.is_empty() && waiting.is_empty() {
        out.push_str(&texts.config_unchanged());
    }
    if !applied.is_empty() {
        out.push_str(&texts.config_applied());
        out.extend(applied.iter().map(line));
    }
    if !waiting.is_empty() {
        out.push_str(&texts.config_waiting());
        out.extend(waiting.iter().map(line));
    }
    let providers: Vec<String> = changes("providers")
        .iter()
        .filter_map(|id| id.as_str().map(printable))
        .collect();
    if !providers.is_empty() {
        out.push_str(&texts.config_anew(&providers.join(", ")));
    }
    out
}

/// The faults are what was asked for, so they go to standard output.
fn check(from: &ServeArgs) -> anyhow::Result<u8> {
    match serve::load(from) {
        Ok(loaded) => {
            let texts = Texts::new(loaded.language);
            let file = serve::config_file(from);
            let severity = texts.fault_warning();
            for notice in &loaded.notices {
                print(&format!("{}\n", notice.line(&severity, file.as_deref(), texts)))?;
            }
            let read = match &file {
                Some(file) => format!("{}: ", file.display()),
                None => texts.config_no_file(),
            };
            let verdict = match u64::try_from(loaded.notices.len()).unwrap_or(u64::MAX) {
                0 => texts.config_valid(),
                count => texts.config_valid_with(&texts.config_warnings(count)),
            };
            print(&format!("{read}{verdict}"))
        }
        Err(error) => match error.downcast_ref::<InvalidConfig>() {
            Some(invalid) => {
                let texts = Texts::new(invalid.language());
                let said = texts.next_lines(&invalid.report(texts));
                print(&format!("{said}\n"))?;
                Ok(EXIT_CONFIG)
            }
            None => Err(error),
        },
    }
}

/// A field explains itself also where the configuration cannot be used: then without its present value.
fn explained(field: &str, from: &ServeArgs) -> anyhow::Result<u8> {
    let (settings, texts) = match serve::load(from) {
        Ok(loaded) => (loaded.settings, Texts::new(loaded.language)),
        Err(error) => match error.downcast_ref::<InvalidConfig>() {
            Some(invalid) => (Settings::default(), Texts::new(invalid.language())),
            None => return Err(error),
        },
    };
    if let Some(text) = provider_variables::explain(&ProcessEnvironment, field, texts) {
        return print(&text);
    }
    match explain::explain(&settings, field, texts) {
        Ok(text) => print(&text),
        Err(meant) => {
            let nothing = texts.config_no_field(field);
            let (what, next) = match meant {
                Meant::Nothing => (nothing, "openclaw config show".to_owned()),
                Meant::One(near) => (nothing, format!("openclaw config explain {near}")),
                Meant::Several(paths) => (
                    texts.config_several(field, &paths.join("\n  ")),
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
