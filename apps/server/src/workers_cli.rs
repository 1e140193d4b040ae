//! `openclaw workers`: who is at work in the running server, and what can be done about it.

use crate::cli::ServerArgs;
use crate::client::{Admin, printable};
use crate::confirm::Sure;
use crate::failure::Failure;
use crate::print;
use crate::table::{aligned, head};
use crate::texts::Texts;
use clap::{Subcommand, ValueEnum};
use openclaw_concurrency::Preset;
use reqwest::Method;
use serde_json::Value;

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
            let admin = live(server)?;
            let list = admin.call(Method::GET, &path, None)?;
            show(*json, &list, |list| table(list, admin.texts()))
        }
        WorkersCommand::Kill {
            id,
            sure,
            server,
            json,
        } => {
            let admin = live(server)?;
            let texts = admin.texts();
            let list = admin.call(Method::GET, "workers", None)?;
            let worker = rows(&list)
                .iter()
                .find(|row| row["id"] == *id)
                .ok_or_else(|| Failure::failed(texts.workers_unknown(*id), "openclaw workers list"))?;
            if !sure.confirms(&consequence(worker, texts), texts)? {
                return Ok(0);
            }
            let done = admin.call(Method::POST, &format!("workers/{id}/kill"), None)?;
            show(*json, &done, |_| texts.workers_killed(*id))
        }
        WorkersCommand::Recycle { id, server, json } => {
            let admin = live(server)?;
            let done = admin.call(Method::POST, &format!("workers/{id}/recycle"), None)?;
            show(*json, &done, |done| {
                if done["worker"]["request"].is_null() {
                    admin.texts().workers_recycled(*id)
                } else {
                    admin.texts().workers_recycled_later(*id)
                }
            })
        }
        WorkersCommand::Suggest {
            load: Some(load),
            server,
            json,
        } => show(*json, &for_load(*load), |advice| {
            Texts::of(server).workers_for_load(
                *load,
                &text(&advice["preset"]),
                &advice["minWorkers"],
                &advice["maxWorkers"],
                &advice["maxQueueSize"],
            )
        }),
        WorkersCommand::Suggest {
            load: None,
            server,
            json,
        } => {
            let admin = live(server)?;
            let advice = admin.call(Method::GET, "workers/suggest", None)?;
            show(*json, &advice, |advice| suggestion(advice, admin.texts()))
        }
    }
}

/// Workers are a running server's and nobody else's.
fn live(server: &ServerArgs) -> anyhow::Result<Admin> {
    Admin::live(server, Texts::the_workers)
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

fn table(list: &Value, texts: Texts) -> String {
    let mut out = String::new();
    if rows(list).is_empty() {
        out.push_str(&texts.workers_none());
    } else {
        let mut cells = vec![head(&texts.workers_head())];
        cells.extend(rows(list).iter().map(|worker| row(worker, texts)));
        out.push_str(&aligned(&cells));
    }
    if let Some(abandoned) = list["abandoned"].as_u64().filter(|count| *count > 0) {
        out.push_str(&texts.workers_abandoned(abandoned));
    }
    out
}

fn row(worker: &Value, texts: Texts) -> [String; 10] {
    let time = |value: &Value| {
        value
            .as_u64()
            .map_or_else(|| "-".to_owned(), |millis| texts.time(millis))
    };
    let request = &worker["request"];
    let memory = match worker["memoryMb"].as_u64() {
        Some(megabytes) => texts.workers_megabytes(megabytes),
        None => text(&worker["memory"]),
    };
    let heartbeat = match worker["lastHeartbeatMs"].as_u64() {
        Some(silent) => texts.workers_ago(&texts.time(silent)),
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
        text(&request["tenantId"]),
    ]
}

/// What killing a worker means.
fn consequence(worker: &Value, texts: Texts) -> String {
    let request = &worker["request"];
    let what = match request["runningMs"].as_u64() {
        None => texts.workers_kill_idle(),
        Some(running) => texts.workers_kill_request(
            &text(&request["correlationId"]),
            &text(&request["tenantId"]),
            &texts.time(running),
        ),
    };
    texts.workers_kill(&worker["id"], &text(&worker["state"]), &what)
}

fn suggestion(advice: &Value, texts: Texts) -> String {
    let level = advice["backpressureLevel"].as_f64().unwrap_or(0.0);
    let mut out = texts.workers_suggested(
        &texts.workers_counted(advice["suggested"].as_u64().unwrap_or(0)),
        &format!("{level:.2}"),
        &advice["workers"],
        &advice["minWorkers"],
        &advice["maxWorkers"],
    );
    if advice["suggested"] == advice["maxWorkers"] && level >= 0.8 {
        out.push_str(&texts.workers_raise());
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
        let shown = table(&list, Texts::default());
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
        assert_eq!(table(&Value::Null, Texts::default()), "no workers\n");
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
