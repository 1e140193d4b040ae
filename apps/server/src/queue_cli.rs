//! `openclaw queue`: what waits in the running server, and what can be done about it.

use crate::cli::ServerArgs;
use crate::client::{Admin, printable};
use crate::confirm::Sure;
use crate::failure::Failure;
use crate::print;
use crate::table::{aligned, head, short_tenant};
use crate::texts::Texts;
use clap::{Subcommand, ValueEnum};
use openclaw_gateway::QueueId;
use reqwest::Method;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Show what waits for a worker, in the inbox and in the pool
    Show {
        /// Count by this
        #[arg(long, value_name = "GROUP")]
        by: Option<By>,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Hand nothing to workers; what comes in is accepted and waits
    Pause {
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Hand work to workers again
    Resume {
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take something out of the queue; whoever asked is told that there will be no answer
    Drop {
        /// What to take out: turn_N or call_N, as `openclaw queue show` shows it
        id: QueueId,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Tenant,
    Tier,
    Priority,
}

/// Carries out a command; the exit code.
pub(crate) fn run(command: &QueueCommand) -> anyhow::Result<u8> {
    match command {
        QueueCommand::Show { by, server, json } => {
            let path = match by {
                None => "queue",
                Some(By::Tenant) => "queue?by=tenant",
                Some(By::Tier) => "queue?by=tier",
                Some(By::Priority) => "queue?by=priority",
            };
            let admin = live(server)?;
            let queue = admin.call(Method::GET, path, None)?;
            show(*json, &queue, |queue| screen(queue, admin.texts()))
        }
        QueueCommand::Pause { server, json } => {
            let admin = live(server)?;
            let done = admin.call(Method::POST, "queue/pause", None)?;
            show(*json, &done, |done| {
                admin
                    .texts()
                    .queue_pause_done(&done["inInbox"], &done["queueDepth"])
            })
        }
        QueueCommand::Resume { server, json } => {
            let admin = live(server)?;
            let done = admin.call(Method::POST, "queue/resume", None)?;
            show(*json, &done, |_| admin.texts().queue_resumed())
        }
        QueueCommand::Drop {
            id,
            sure,
            server,
            json,
        } => {
            let admin = live(server)?;
            let texts = admin.texts();
            let path = format!("queue/{id}");
            let item = admin.call(Method::GET, &path, None)?;
            if !sure.confirms(&consequence(&item, texts), texts)? {
                return Ok(0);
            }
            let done = admin.call(Method::DELETE, &path, None)?;
            if done["action"] != "dropped" {
                return Err(Failure::failed(texts.queue_unclear(), "openclaw version").into());
            }
            show(*json, &done, |_| texts.queue_dropped(&id.to_string()))
        }
    }
}

/// The queue is a running server's and nobody else's.
fn live(server: &ServerArgs) -> anyhow::Result<Admin> {
    Admin::live(server, Texts::the_queue)
}

fn show(json: bool, answer: &Value, words: impl FnOnce(&Value) -> String) -> anyhow::Result<u8> {
    if json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&words(answer))
    }
}

fn screen(queue: &Value, texts: Texts) -> String {
    let time = |value: &Value| {
        value
            .as_u64()
            .map_or_else(|| "-".to_owned(), |millis| texts.time(millis))
    };
    let oldest = match queue["oldestMs"].as_u64() {
        Some(age) => texts.queue_oldest(&texts.time(age)),
        None => String::new(),
    };
    let paused = if queue["paused"] == true {
        texts.queue_paused_mark()
    } else {
        String::new()
    };
    if queue["waiting"].as_u64() == Some(0) {
        return texts.queue_empty(&paused);
    }
    let mut out = texts.queue_top(
        &queue["waiting"],
        &oldest,
        &queue["inInbox"],
        &queue["inPool"],
        &queue["maxQueueSize"],
        &paused,
    );
    let list = |name: &str| queue[name].as_array().map(Vec::as_slice).unwrap_or_default();
    if queue["groups"].is_array() {
        let mut cells = vec![head::<3>(&texts.queue_groups_head())];
        cells.extend(list("groups").iter().map(|row| {
            [
                short_tenant(&text(&row["name"])),
                row["waiting"].to_string(),
                time(&row["oldestMs"]),
            ]
        }));
        out.push_str(&aligned(&cells));
        return out;
    }
    let items = list("items");
    if items.is_empty() {
        return out;
    }
    let mut cells = vec![head::<8>(&texts.queue_head())];
    cells.extend(items.iter().map(|item| {
        let needs = if item["ready"] == true {
            texts.queue_for_worker()
        } else {
            texts.queue_for_conversation()
        };
        [
            text(&item["id"]),
            text(&item["priority"]),
            text(&item["tier"]),
            time(&item["waitedMs"]),
            text(&item["place"]),
            needs,
            short_tenant(&text(&item["tenantId"])),
            text(&item["correlationId"]),
        ]
    }));
    out.push_str(&aligned(&cells));
    let all = queue["waiting"].as_u64().unwrap_or(0);
    let shown = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if let Some(more) = all.checked_sub(shown).filter(|more| *more > 0) {
        out.push_str(&texts.queue_more(more));
    }
    out
}

/// What dropping means.
fn consequence(item: &Value, texts: Texts) -> String {
    let waited = item["waitedMs"].as_u64();
    texts.queue_consequence(
        &text(&item["id"]),
        &text(&item["tenantId"]),
        &text(&item["tier"]),
        &waited.map_or_else(|| "-".to_owned(), |millis| texts.time(millis)),
    )
}

fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_screen_counts_lists_and_says_what_is_left_out() {
        let queue = json!({
            "paused": true, "waiting": 3, "inInbox": 2, "inPool": 1, "maxQueueSize": 32, "oldestMs": 61_000,
            "groups": null,
            "items": [{ "id": "turn_1", "priority": "low", "tier": "free", "waitedMs": 61_000, "place": "inbox",
                        "ready": false, "tenantId": "telegram:1:1", "correlationId": "0199" }],
        });
        let shown = screen(&queue, Texts::default());
        for words in [
            "3 wait, the oldest for 00:01:01 · in the inbox 2 · in the pool 1 / 32 · PAUSED",
            "turn_1  low       free  00:01:01  inbox     its conversation  telegram:1:1  0199",
            "and 2 more",
        ] {
            assert!(shown.contains(words), "{words} in\n{shown}");
        }
        let empty = json!({ "paused": false, "waiting": 0, "groups": [], "items": [] });
        assert_eq!(screen(&empty, Texts::default()), "nothing waits\n");
        let groups = json!({ "waiting": 2, "groups": [{ "name": "free", "waiting": 2, "oldestMs": 5 }] });
        assert!(
            screen(&groups, Texts::default()).contains("free   2        5 ms"),
            "{}",
            screen(&groups, Texts::default())
        );
    }
}
