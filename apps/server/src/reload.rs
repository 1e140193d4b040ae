//! A running server reads its configuration again: on `SIGHUP`, by `openclaw config reload`, by the admin API.
//!
//! All or nothing: a configuration that is not valid changes nothing, and that is said loudly. What cannot change while
//! the server runs is named; it stays as it is until a restart, and every further reload names it again.

use crate::cli::ServeArgs;
use crate::config::schema::applies_at_once;
use crate::failure::Failure;
use crate::observer::Observer;
use crate::prometheus::Counters;
use crate::serve::{self, InvalidConfig};
use crate::telemetry::{LogFilter, LogHandle};
use crate::texts::Texts;
use crate::wire::Fabric;
use openclaw_gateway::Gateway;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Reads the configuration of this server again.
#[derive(Debug)]
pub(crate) struct Reloader {
    args: ServeArgs,
    log: LogHandle,
    observer: Observer,
    fabric: Arc<Fabric>,
    gateway: Gateway,
    counters: Arc<Counters>,
    /// What counts now, by path. Held for a whole reload: there is one at a time.
    running: Mutex<BTreeMap<String, String>>,
}

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reloaded {
    /// What counts from now on.
    pub(crate) applied: Vec<Change>,
    /// What needs a restart and is as it was.
    pub(crate) needs_restart: Vec<Change>,
    /// Providers whose adapters were built anew: other settings, another key or certificate.
    pub(crate) providers: Vec<String>,
}

/// A field whose value is another than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) path: String,
    /// `None`: it was not there.
    pub(crate) from: Option<String>,
    /// `None`: it is not there any more.
    pub(crate) to: Option<String>,
}

// === impl Reloader ===

impl Reloader {
    /// `values` is what counts at the start.
    pub(crate) fn new(
        args: ServeArgs,
        log: LogHandle,
        observer: Observer,
        fabric: Arc<Fabric>,
        gateway: Gateway,
        counters: Arc<Counters>,
        values: BTreeMap<String, String>,
    ) -> Self {
        Self {
            args,
            log,
            observer,
            fabric,
            gateway,
            counters,
            running: Mutex::new(values),
        }
    }

    /// Reads the configuration and takes over what can change. The error is [`InvalidConfig`] when it is not valid;
    /// whatever the error, nothing has changed. Not to be dropped before it is ready: callers run it in a task.
    pub(crate) async fn reload(&self) -> anyhow::Result<Reloaded> {
        let mut running = self.running.lock().await;
        let loaded = serve::load(&self.args)?;
        let filter = LogFilter::parse(&loaded.sections.logging.directives())?;
        for notice in &loaded.notices {
            tracing::warn!("{notice}");
        }
        let providers = self.fabric.apply(&loaded, &self.gateway).await?;
        self.log.set(&filter)?;
        self.observer.follow_level();
        let new = values(&loaded.settings);
        let (applied, needs_restart): (Vec<Change>, Vec<Change>) = differences(&running, &new)
            .into_iter()
            .partition(|change| applies_at_once(&change.path));
        for change in &applied {
            let Change { path, to, .. } = change;
            match to {
                Some(value) => running.insert(path.clone(), value.clone()),
                None => running.remove(path),
            };
        }
        Ok(Reloaded {
            applied,
            needs_restart,
            providers,
        })
    }

    /// Reloads and says in the log what came of it.
    pub(crate) async fn reload_and_log(&self, by: &'static str) -> anyhow::Result<Reloaded> {
        let outcome = self.reload().await;
        let label = if outcome.is_ok() { "applied" } else { "refused" };
        self.counters.config_reloads.bump([label]);
        match &outcome {
            Ok(reloaded) => {
                tracing::info!(
                    by,
                    applied = %Changes(&reloaded.applied),
                    needsRestart = %Changes(&reloaded.needs_restart),
                    providers = reloaded.providers.join(" "),
                    "the log levels were read again; so were models and budgets"
                );
                if !reloaded.needs_restart.is_empty() {
                    tracing::warn!(fields = %Changes(&reloaded.needs_restart), "these fields need a restart and are as they were");
                }
            }
            Err(error) => {
                tracing::error!(
                    by,
                    error = why(error, Texts::default()),
                    "the configuration was not taken over; everything stays as it was"
                );
            }
        }
        outcome
    }
}

/// Whether a reload failed because of what the configuration says.
pub(crate) fn is_invalid(error: &anyhow::Error) -> bool {
    error.is::<InvalidConfig>()
}

/// Why a reload changed nothing. What to do next is for whoever asked for it to say, once.
pub(crate) fn why(error: &anyhow::Error, texts: Texts) -> String {
    if let Some(invalid) = error.downcast_ref::<InvalidConfig>() {
        invalid.faults(texts)
    } else if let Some(failure) = error.downcast_ref::<Failure>() {
        failure.what().to_owned()
    } else {
        format!("{error:#}")
    }
}

/// Every value of a configuration by its path.
pub(crate) fn values(settings: &crate::config::show::Settings) -> BTreeMap<String, String> {
    settings
        .values()
        .map(|(path, value)| (path.to_owned(), value.to_owned()))
        .collect()
}

/// What differs, in the order of the paths.
fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let gone = old.iter().filter(|(path, _)| !new.contains_key(*path));
    let mut changes: Vec<Change> = gone
        .map(|(path, value)| Change {
            path: path.clone(),
            from: Some(value.clone()),
            to: None,
        })
        .collect();
    changes.extend(
        new.iter()
            .filter(|(path, value)| old.get(*path) != Some(value))
            .map(|(path, value)| Change {
                path: path.clone(),
                from: old.get(path).cloned(),
                to: Some(value.clone()),
            }),
    );
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

struct Changes<'a>(&'a [Change]);

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&str> = self.0.iter().map(|change| change.path.as_str()).collect();
        f.write_str(&paths.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_changed_and_taken_away_is_found() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
                .collect()
        };
        let found = differences(
            &map(&[("a", "1"), ("b", "2"), ("c", "3")]),
            &map(&[("a", "1"), ("b", "9"), ("d", "4")]),
        );
        let shown: Vec<_> = found
            .iter()
            .map(|change| (change.path.as_str(), change.from.as_deref(), change.to.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("b", Some("2"), Some("9")),
                ("c", Some("3"), None),
                ("d", None, Some("4"))
            ]
        );
    }
}
