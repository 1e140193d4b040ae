//! Logs: pino-shaped JSON lines, or readable ones on a terminal; levels by module, changeable while running.
//!
//! Values are written as they are given: what is secret is kept from logs by its type (`Secret` does not print), and
//! texts of people are logged at `trace` only. Lines go to standard error, so that a command's output stays clean.

mod filter;
mod line;

pub(crate) use filter::{LogFilter, LogFilterError};

use crate::config::sections::LogFormat;
use line::{LineLayer, Style};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

/// Takes whole lines, each with its line end. Called from any thread.
pub(crate) type Sink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Changes the levels while the program runs.
#[derive(Clone, Debug)]
pub(crate) struct LogHandle {
    reload: reload::Handle<Targets, Registry>,
}

/// Logging could not be started or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// Something else took the place of the process's logger.
    #[error("a logger is already installed")]
    Installed(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// The logger is gone.
    #[error("the levels could not be changed")]
    Gone(#[source] reload::Error),
}

/// Starts logging to standard error for the whole process.
pub(crate) fn init(format: LogFormat, filter: &LogFilter) -> Result<LogHandle, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if !terminal => Style::Json,
        LogFormat::Auto | LogFormat::Pretty => Style::Pretty {
            color: terminal && std::env::var_os("NO_COLOR").is_none(),
        },
    };
    let sink: Sink = Arc::new(|line| {
        // There is nowhere to report that standard error is gone.
        let _ = std::io::stderr().lock().write_all(line);
    });
    let (subscriber, handle) = subscriber(style, filter, sink);
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Installed)?;
    Ok(handle)
}

/// The logger itself, writing anywhere.
fn subscriber(
    style: Style,
    filter: &LogFilter,
    sink: Sink,
) -> (
    impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    LogHandle,
) {
    let (levels, reload) = reload::Layer::new(filter.to_targets());
    let subscriber = Registry::default().with(levels).with(LineLayer::new(style, sink));
    (subscriber, LogHandle { reload })
}

// === impl LogHandle ===

impl LogHandle {
    /// Replaces the levels, for all threads at once.
    pub(crate) fn set(&self, filter: &LogFilter) -> Result<(), TelemetryError> {
        self.reload
            .reload(filter.to_targets())
            .map_err(TelemetryError::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use serde_json::Value;

    /// What `log` writes at these levels.
    fn lines(style: Style, levels: &str, log: impl FnOnce(&LogHandle)) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink: Sink = {
            let written = Arc::clone(&written);
            Arc::new(move |line: &[u8]| written.lock().push(String::from_utf8(line.to_vec()).unwrap()))
        };
        let (subscriber, handle) = subscriber(style, &LogFilter::parse(levels).unwrap(), sink);
        tracing::subscriber::with_default(subscriber, || log(&handle));
        std::mem::take(&mut *written.lock())
    }

    fn json(levels: &str, log: impl FnOnce(&LogHandle)) -> Vec<Value> {
        lines(Style::Json, levels, log)
            .iter()
            .map(|line| {
                assert!(
                    line.ends_with('\n') && line.matches('\n').count() == 1,
                    "{line:?}"
                );
                serde_json::from_str(line).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_line_has_pinos_shape() {
        let lines = json("trace", |_| {
            tracing::warn!(target: "openclaw_concurrency::pool", queue_depth = 19, level = 0.71, ok = true, "refusing \"new\" requests");
        });
        let line = &lines[0];
        assert_eq!(
            (line["level"].as_u64(), line["severity"].as_str()),
            (Some(40), Some("WARN"))
        );
        assert_eq!(line["name"], "concurrency");
        assert_eq!(line["module"], "openclaw_concurrency::pool");
        assert_eq!(line["msg"], "refusing \"new\" requests");
        assert_eq!(line["queueDepth"], 19);
        assert_eq!(line["levelValue"], 0.71);
        assert_eq!(line["ok"], true);
        assert_eq!(line["pid"], u64::from(std::process::id()));
        assert!(line["time"].as_u64().unwrap() > 1_600_000_000_000);
        assert!(line["hostname"].is_string());
    }

    #[test]
    fn levels_have_the_manuals_numbers_and_fatal_is_an_error_marked_so() {
        let lines = json("trace", |_| {
            tracing::trace!(target: "openclaw", "a");
            tracing::debug!(target: "openclaw", "b");
            tracing::info!(target: "openclaw", "c");
            tracing::warn!(target: "openclaw", "d");
            tracing::error!(target: "openclaw", "e");
            tracing::error!(target: "openclaw", fatal = true, "f");
        });
        let levels: Vec<_> = lines.iter().filter_map(|line| line["level"].as_u64()).collect();
        assert_eq!(levels, [10, 20, 30, 40, 50, 60]);
        assert_eq!(lines[5]["severity"], "FATAL");
    }

    #[test]
    fn what_a_span_knows_is_on_every_line_inside_it_and_the_line_wins() {
        let lines = json("info", |_| {
            let turn = tracing::info_span!(target: "openclaw", "turn", correlation_id = "c-1", tenant_id = tracing::field::Empty, attempt = 1);
            let _inside = turn.enter();
            turn.record("tenant_id", "api:me:default");
            tracing::info!(target: "openclaw", attempt = 2, "inner");
        });
        assert_eq!(lines[0]["correlationId"], "c-1");
        assert_eq!(lines[0]["tenantId"], "api:me:default");
        assert_eq!(lines[0]["attempt"], 2);
    }

    #[test]
    fn an_error_is_written_with_its_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot store")]
        struct Outer(#[source] std::fmt::Error);
        let lines = json("info", |_| {
            let error = Outer(std::fmt::Error);
            tracing::error!(target: "openclaw", err = &error as &dyn std::error::Error, "failed");
        });
        assert_eq!(lines[0]["err"]["message"], "cannot store");
        assert_eq!(
            lines[0]["err"]["stack"],
            format!("cannot store: {}", std::fmt::Error)
        );
    }

    #[test]
    fn levels_are_by_module_and_can_change() {
        let say = |text: &str| {
            tracing::debug!(target: "openclaw_concurrency::pool", "{text} concurrency");
            tracing::debug!(target: "openclaw_session", "{text} session");
            tracing::debug!(target: "openclaw::http", "{text} http");
            tracing::info!(target: "hyper::proto", "{text} foreign");
        };
        let lines = json("info,concurrency=debug", |handle| {
            say("before");
            handle
                .set(&LogFilter::parse("warn,http=debug,hyper=info").unwrap())
                .unwrap();
            say("after");
        });
        let texts: Vec<_> = lines.iter().filter_map(|line| line["msg"].as_str()).collect();
        assert_eq!(texts, ["before concurrency", "after http", "after foreign"]);
    }

    #[test]
    fn a_readable_line_cannot_be_forged() {
        let lines = lines(Style::Pretty { color: false }, "info", |_| {
            tracing::info!(target: "openclaw_messenger", chat = "a\u{1b}[2J\nb", "hello\nFATAL forged");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].matches('\n').count(), 1, "{:?}", lines[0]);
        assert!(!lines[0].contains('\u{1b}'));
        assert!(lines[0].contains("INFO") && lines[0].contains("messenger") && lines[0].contains("chat="));
    }
}
