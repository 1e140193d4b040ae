//! `openclaw workers`: who is at work in the running server, and what can be done about it.

use crate::cli::ServerArgs;
use crate::client::{Admin, printable};
use crate::confirm::Sure;
use crate::failure::Failure;
use crate::print;
use crate::status::seconds;
use crate::table::{aligned, short_tenant};
use clap::{Subcommand, ValueEnum};
use openclaw_concurrency::Preset;
use reqwest::Method;
use serde_json::Value;

pub(crate) const EXAMPLES: &str = "\
Examples:
  openclaw workers list --state stuck
  openclaw workers kill 7
  openclaw workers suggest --load 60rps";

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// List the workers, what they do and for whom
    List {
        /// Only those of this state
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a worker at once; its request ends with an error
    Kill {
        /// The worker's number, as `openclaw workers list` shows it
        id: u64,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a worker go after its request and have a new one take its place
    Recycle {
        /// The worker's number, as `openclaw workers list` shows it
        id: u64,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how many workers the load asks for
    Suggest {
        /// For this many requests a second, such as 60rps, instead of the present load; asks no server
        #[arg(long, value_name = "LOAD", value_parser = parse_load)]
        load: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Idle,
    Busy,
    Draining,
    Stuck,
    Dead,
}

/// Carries out a command; the exit code.
pub(crate) fn run(command: &WorkersCommand) -> anyhow::Result<u8> {
    match command {
        WorkersCommand::List { state, server, json } => {
            let path = match state {
                Some(state) => format!("workers?state={}", state.name()),
                None => "workers".to_owned(),
            };
            let list = Admin::find(server)?.call(Method::GET, &path, None)?;
            show(*json, &list, table)
        }
        WorkersCommand::Kill {
            id,
            sure,
            server,
            json,
        } => {
            let admin = Admin::find(server)?;
            let list = admin.call(Method::GET, "workers", None)?;
            let worker = rows(&list).iter().find(|row| row["id"] == *id).ok_or_else(|| {
                Failure::failed(format!("there is no worker {id}"), "openclaw workers list")
            })?;
            if !sure.confirms(&consequence(worker))? {
                return Ok(0);
            }
            let done = admin.call(Method::POST, &format!("workers/{id}/kill"), None)?;
            show(*json, &done, |_| {
                format!(
                    "worker {id} is killed; a new one starts when there is work or the pool is too small\n"
                )
            })
        }
        WorkersCommand::Recycle { id, server, json } => {
            let admin = Admin::find(server)?;
            let done = admin.call(Method::POST, &format!("workers/{id}/recycle"), None)?;
            show(*json, &done, |done| {
                if done["worker"]["request"].is_null() {
                    format!("worker {id} is let go\n")
                } else {
                    format!("worker {id} is let go when its request has ended\n")
                }
            })
        }
        WorkersCommand::Suggest {
            load: Some(load),
            json,
            ..
        } => show(*json, &for_load(*load), |advice| {
            format!(
                "for {load} requests a second: preset {} — minWorkers {}, maxWorkers {}, maxQueueSize {}\n",
                text(&advice["preset"]),
                advice["minWorkers"],
                advice["maxWorkers"],
                advice["maxQueueSize"],
            )
        }),
        WorkersCommand::Suggest {
            load: None,
            server,
            json,
        } => {
            let advice = Admin::find(server)?.call(Method::GET, "workers/suggest", None)?;
            show(*json, &advice, suggestion)
        }
    }
}

// === impl State ===

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Stuck => "stuck",
            Self::Dead => "dead",
        }
    }
}

fn show(json: bool, answer: &Value, words: impl FnOnce(&Value) -> String) -> anyhow::Result<u8> {
    if json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&words(answer))
    }
}

fn rows(list: &Value) -> &[Value] {
    list["workers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn table(list: &Value) -> String {
    let mut out = String::new();
    if rows(list).is_empty() {
        out.push_str("no workers\n");
    } else {
        let mut cells = vec![
            [
                "id",
                "state",
                "for",
                "age",
                "served",
                "memory",
                "heartbeat",
                "request",
                "running",
                "tenant",
            ]
            .map(str::to_owned),
        ];
        cells.extend(rows(list).iter().map(row));
        out.push_str(&aligned(&cells));
    }
    if let Some(abandoned) = list["abandoned"].as_u64().filter(|count| *count > 0) {
        out.push_str(&format!(
            "abandoned: {abandoned} were killed and are not gone; the log says which\n"
        ));
    }
    out
}

fn row(worker: &Value) -> [String; 10] {
    let time = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), seconds);
    let request = &worker["request"];
    let memory = match worker["memoryMb"].as_u64() {
        Some(megabytes) => format!("{megabytes} MB"),
        None => text(&worker["memory"]),
    };
    let heartbeat = match worker["lastHeartbeatMs"].as_u64() {
        Some(silent) => format!("{} ago", seconds(silent)),
        None => "-".to_owned(),
    };
    [
        worker["id"].to_string(),
        text(&worker["state"]),
        time(&worker["sinceMs"]),
        time(&worker["ageMs"]),
        worker["requests"].to_string(),
        memory,
        heartbeat,
        text(&request["correlationId"]),
        time(&request["runningMs"]),
        short_tenant(&text(&request["tenantId"])),
    ]
}

/// What killing a worker means.
fn consequence(worker: &Value) -> String {
    let request = &worker["request"];
    let what = match request["runningMs"].as_u64() {
        None => "it has no request".to_owned(),
        Some(running) => format!(
            "its request {} of {}, running for {}, ends with an error, and whoever asked is told",
            text(&request["correlationId"]),
            text(&request["tenantId"]),
            seconds(running)
        ),
    };
    format!(
        "worker {} ({}) is killed: {what}",
        worker["id"],
        text(&worker["state"])
    )
}

fn suggestion(advice: &Value) -> String {
    let level = advice["backpressureLevel"].as_f64().unwrap_or(0.0);
    let mut out = format!(
        "{} for the present load (backpressureLevel {level:.2}); there are {}, and there may be {} to {}\n",
        match advice["suggested"].as_u64() {
            Some(1) => "1 worker".to_owned(),
            _ => format!("{} workers", advice["suggested"]),
        },
        advice["workers"],
        advice["minWorkers"],
        advice["maxWorkers"]
    );
    if advice["suggested"] == advice["maxWorkers"] && level >= 0.8 {
        out.push_str("  next  raise concurrency.maxWorkers\n");
    }
    out
}

/// The manual's table.
fn for_load(load: u64) -> Value {
    let preset = match load {
        0..10 => Preset::Small,
        10..50 => Preset::Medium,
        50..=200 => Preset::Large,
        _ => Preset::XLarge,
    };
    let sizes = preset.config();
    serde_json::json!({
        "schema": 1,
        "preset": preset,
        "minWorkers": sizes.min_workers,
        "maxWorkers": sizes.max_workers,
        "maxQueueSize": sizes.max_queue_size,
    })
}

fn parse_load(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("rps").unwrap_or(text).trim();
    number
        .parse()
        .map_err(|_| "expected requests a second, such as 60rps".to_owned())
}

fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_shows_a_request_a_shared_memory_and_what_is_abandoned() {
        let list = json!({ "abandoned": 1, "workers": [
            { "id": 1, "state": "idle", "sinceMs": 10, "ageMs": 2_000, "requests": 5, "memory": "shared",
              "memoryMb": null, "lastHeartbeatMs": null, "request": null },
            { "id": 2, "state": "busy", "sinceMs": 10, "ageMs": 10, "requests": 0, "memory": "resident",
              "memoryMb": 12, "lastHeartbeatMs": 3, "request":
              { "correlationId": "0199", "tenantId": "api:a:\u{1b}[2J", "runningMs": 10 } },
        ]});
        let shown = table(&list);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1],
            [
                "1", "idle", "10", "ms", "2.0", "s", "5", "shared", "-", "-", "-", "-"
            ]
        );
        assert!(
            shown.contains("12 MB") && shown.contains("0199") && shown.contains("3 ms ago"),
            "{shown}"
        );
        assert!(
            shown.contains("abandoned: 1") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert_eq!(table(&Value::Null), "no workers\n");
    }

    #[test]
    fn a_load_is_answered_by_the_manuals_table() {
        for (load, preset) in [
            ("9rps", "small"),
            ("10", "medium"),
            ("50rps", "large"),
            ("201 rps", "xlarge"),
        ] {
            assert_eq!(for_load(parse_load(load).unwrap())["preset"], preset, "{load}");
        }
        assert!(parse_load("many").is_err());
    }
}
