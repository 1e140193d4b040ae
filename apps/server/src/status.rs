//! `openclaw status`: one screen of the running server.

use crate::cli::StatusArgs;
use crate::client::{Admin, printable};
use crate::print;
use crate::table::head;
use crate::texts::Texts;
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Asks the server and prints what it says.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<u8> {
    let admin = Admin::find(&args.server)?;
    let status = admin.call(Method::GET, "status", None)?;
    if args.json {
        print(&format!("{status:#}\n"))
    } else {
        print(&screen(&status, admin.texts()))
    }
}

/// The screen. What a server of another version does not say is shown as `-`.
fn screen(status: &Value, texts: Texts) -> String {
    let mut out = String::new();
    let ready = match (&status["ready"], &status["pool"]["paused"]) {
        (Value::Bool(true), Value::Bool(true)) => texts.status_ready_paused(),
        (Value::Bool(true), _) => texts.status_ready(),
        _ => texts.status_not_ready(&list(&status["notReady"]).join("; ")),
    };
    let up = texts.span(Duration::from_millis(status["uptimeMs"].as_u64().unwrap_or(0)));
    out.push_str(&texts.status_top(&text(&status["version"]), &up, &text(&status["storage"]), &ready));
    let names: [String; 8] = head(&texts.status_names());
    let values = [
        path(status, texts),
        workers(status, texts),
        queue(status, texts),
        pressure(status, texts),
        latency(&status["concurrency"], texts),
        outbox(&status["outbox"], texts),
        models(&status["models"], texts),
        platforms(&status["platforms"], texts),
    ];
    for (name, value) in names.iter().zip(values) {
        for (number, line) in value.lines().enumerate() {
            let name = if number == 0 { name.as_str() } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:<10} {line}");
        }
    }
    out
}

fn path(status: &Value, texts: Texts) -> String {
    let inbox = &status["inbox"];
    let oldest = match inbox["oldestWaitingMs"].as_u64() {
        Some(age) => texts.status_oldest(&texts.time(age)),
        None => texts.status_none_waits(),
    };
    texts.status_path(&oldest, &number(&inbox["open"]), &number(&inbox["waiting"]))
}

fn workers(status: &Value, texts: Texts) -> String {
    let (now, pool) = (&status["concurrency"], &status["pool"]);
    let mut line = texts.status_workers(
        &number(&now["activeWorkers"]),
        &number(&now["idleWorkers"]),
        &number(&now["stuckWorkers"]),
        &number(&pool["minWorkers"]),
        &number(&pool["maxWorkers"]),
    );
    if pool["abandoned"].as_u64().is_some_and(|count| count > 0) {
        line.push_str(&texts.status_abandoned(&number(&pool["abandoned"])));
    }
    if pool["runtime"] == "process" {
        line.push_str(&texts.status_processes(&list(&pool["command"]).join(" ")));
        line.push_str(&failures(&pool["failures"], texts));
    }
    line
}

/// Whether the workers' program works, in lines of their own.
fn failures(failures: &Value, texts: Texts) -> String {
    let last = &failures["last"];
    if last.is_null() {
        return String::new();
    }
    let in_a_row = failures["inARow"].as_u64().unwrap_or(0);
    let mut lines = if in_a_row > 0 {
        texts.status_failing_since(
            &minute(&failures["since"]),
            &texts.status_failures(in_a_row),
            &text(&last["reason"]),
        )
    } else {
        let times = many(&failures["total"], |number| texts.status_failed_processes(number));
        texts.status_failed_before(&times, &minute(&last["at"]), &text(&last["reason"]))
    };
    if let Some(line) = last["lastLine"].as_str() {
        lines.push_str(&texts.status_last_line(&printable(line)));
    }
    lines
}

fn queue(status: &Value, texts: Texts) -> String {
    texts.status_queue(
        &number(&status["concurrency"]["queueDepth"]),
        &number(&status["pool"]["maxQueueSize"]),
        &number(&status["refusals"]),
    )
}

/// The level with the numbers it is made of, so that one sees why.
fn pressure(status: &Value, texts: Texts) -> String {
    let (now, pool) = (&status["concurrency"], &status["pool"]);
    let level = now["backpressureLevel"].as_f64().unwrap_or(0.0);
    let active = now["activeWorkers"].as_u64().unwrap_or(0);
    let workers = active.saturating_add(now["idleWorkers"].as_u64().unwrap_or(0));
    let threshold = pool["backpressureThreshold"].as_f64().unwrap_or(0.0);
    let over = if level >= threshold {
        texts.status_refusing()
    } else {
        String::new()
    };
    let formula = format!(
        "{level:.2} = 0.7 × {}/{} + 0.3 × {active}/{workers}",
        number(&now["queueDepth"]),
        number(&pool["maxQueueSize"])
    );
    texts.status_pressure(&formula, threshold, &over)
}

fn latency(now: &Value, texts: Texts) -> String {
    let per_minute = texts.status_per_minute(
        &many(&now["throughputPerMinute"], |number| {
            texts.status_requests(number)
        }),
        &number(&now["totalProcessed"]),
        &number(&now["totalErrors"]),
    );
    if now["p99LatencyMs"].as_f64().is_none_or(|latency| latency <= 0.0) {
        return texts.status_not_measured(&per_minute);
    }
    let time = |name: &str| texts.time(whole(now[name].as_f64().unwrap_or(0.0)));
    texts.status_latency(
        &time("avgLatencyMs"),
        &time("p95LatencyMs"),
        &time("p99LatencyMs"),
        &per_minute,
    )
}

fn outbox(outbox: &Value, texts: Texts) -> String {
    texts.status_outbox(
        &number(&outbox["pending"]),
        &number(&outbox["delivered"]),
        &number(&outbox["retried"]),
        &number(&outbox["failed"]),
    )
}

/// How many models are named before the rest is only counted.
const SHOWN_MODELS: usize = 8;

fn models(models: &Value, texts: Texts) -> String {
    let rows = models.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return texts.status_no_models();
    }
    let mut lines: Vec<String> = rows
        .iter()
        .take(SHOWN_MODELS)
        .map(|row| model(row, texts))
        .collect();
    if let Some(more) = rows.len().checked_sub(SHOWN_MODELS).filter(|more| *more > 0) {
        lines.push(texts.status_more_models(more));
    }
    lines.join("\n")
}

fn model(row: &Value, texts: Texts) -> String {
    let demo = if row["demo"] == true {
        texts.status_demo()
    } else {
        String::new()
    };
    texts.status_model(
        &text(&row["model"]),
        &text(&row["provider"]),
        &model_state(row, texts),
        &demo,
    )
}

fn model_state(row: &Value, texts: Texts) -> String {
    let last = &row["last"];
    let failures = many(&row["failures"], |number| texts.status_failures(number));
    let failing = row["failures"].as_u64().is_some_and(|count| count > 0);
    let why = match last["ok"].as_bool() {
        Some(false) => {
            texts.status_because(&texts.no_answer(&text(&last["reason"])), &minute(&last["since"]))
        }
        Some(true) | None => texts.status_in_the_log(),
    };
    match (row["state"].as_str(), row["firstTokenMs"].as_u64()) {
        (Some("open"), _) => left_alone(row, &failures, &why, texts),
        (Some("half_open"), _) => texts.status_tried_again(),
        _ if failing => texts.status_failing(&failures, &why),
        // Of a test the circuit knows nothing.
        _ if last["ok"] == false => texts.status_failing_test(&why),
        (_, Some(time)) => texts.status_ok_first(&texts.time(time)),
        _ if last["by"] == "test" => texts.status_ok_tested(&minute(&last["at"])),
        _ if row["asked"] == true => texts.status_ok(),
        _ => texts.status_not_asked(),
    }
}

/// A model that is not asked for a while: what opened its circuit, whatever its last call did, and until when.
fn left_alone(row: &Value, failures: &str, why: &str, texts: Texts) -> String {
    let alone = &row["leftAlone"];
    let last = &row["last"];
    let reason = match alone["reason"].as_str() {
        Some(reason) if last["ok"] != false || last["reason"] != reason => {
            texts.status_because_of(&texts.no_answer(&printable(reason)))
        }
        Some(_) | None => why.to_owned(),
    };
    let remaining = alone["remainingMs"].as_u64().map_or_else(String::new, |millis| {
        texts.status_tried_in(millis.div_ceil(1_000))
    });
    format!("{}{remaining}", texts.status_left_alone(failures, &reason))
}

/// `2026-11-23T10:05:00Z` as `2026-11-23 10:05 UTC`.
fn minute(at: &Value) -> String {
    let at = text(at);
    match (at.get(..10), at.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => at,
    }
}

fn platforms(platforms: &Value, texts: Texts) -> String {
    let mut bots = bot("telegram", &platforms["telegram"], texts);
    // A server of an earlier version says nothing of it.
    if platforms["max"].is_object() {
        bots = format!("{bots} · {}", bot("max", &platforms["max"], texts));
    }
    let web = if platforms["web"]["on"] == true {
        texts.status_on()
    } else {
        texts.status_off()
    };
    let keys = many(&platforms["api"]["keys"], |number| texts.status_keys(number));
    format!("{bots} · web {web} · api {keys}{}", texts.status_own_key())
}

fn bot(platform: &str, bot: &Value, texts: Texts) -> String {
    let intake = text(&bot["intake"]);
    let trouble = bot["trouble"]
        .as_str()
        .map(|why| texts.no_answer(&printable(why)));
    match (bot["on"].as_bool(), bot["username"].as_str()) {
        (Some(true), Some(name)) => {
            let failing = trouble.map_or_else(String::new, |why| texts.status_trouble(&why));
            format!("{platform} @{} ({intake}){failing}", printable(name))
        }
        (Some(true), None) => {
            let why = trouble.map_or_else(String::new, |why| format!(": {why}"));
            texts.status_bot_not_yet(platform, &intake, &why)
        }
        _ => texts.status_bot_off(platform),
    }
}

fn list(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

/// Text of the server's; a `-` when there is none.
fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or("-"))
}

/// A count with the word for what is counted; `-` where the server does not say how many.
fn many(value: &Value, counted: impl Fn(u64) -> String) -> String {
    match value.as_u64() {
        Some(number) => counted(number),
        None => counted(0).replacen('0', "-", 1),
    }
}

fn number(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn whole(millis: f64) -> u64 {
    // Saturates, and NaN is 0.
    millis.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Language;
    use serde_json::json;

    #[test]
    fn the_pressure_shows_the_numbers_it_is_made_of() {
        let status = json!({
            "concurrency": { "backpressureLevel": 0.26875, "queueDepth": 2, "activeWorkers": 3, "idleWorkers": 1 },
            "pool": { "maxQueueSize": 32, "backpressureThreshold": 0.7 },
        });
        assert_eq!(
            pressure(&status, Texts::default()),
            "backpressureLevel 0.27 = 0.7 × 2/32 + 0.3 × 3/4      refuses at 0.7"
        );
    }

    #[test]
    fn a_failing_model_and_a_bot_that_is_not_connected_stand_out() {
        let row = json!({ "model": "m", "provider": "p", "state": "open", "failures": 5 });
        assert_eq!(
            model(&row, Texts::default()),
            "m at p: left alone after 5 failures in a row; the log says why"
        );
        let row = json!({
            "model": "m", "provider": "p", "state": "open", "failures": 1,
            "last": { "ok": true, "at": "2026-11-23T10:05:00Z", "by": "turn" },
            "leftAlone": { "reason": "refused the key (status 401)", "remainingMs": 41_200 },
        });
        assert_eq!(
            model(&row, Texts::default()),
            "m at p: left alone after 1 failure: refused the key (status 401); tried again in 42 s"
        );
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "asked": true, "failures": 1 });
        assert_eq!(
            model(&row, Texts::default()),
            "m at p: FAILING, 1 failure; the log says why"
        );
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "asked": false, "failures": 0 });
        assert_eq!(model(&row, Texts::default()), "m at p: not asked yet");
        let refused = json!({
            "ok": false, "since": "2026-11-23T10:05:00Z", "reason": "refused the key (status 401)", "by": "test",
        });
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "failures": 0, "last": refused });
        assert_eq!(
            model(&row, Texts::default()),
            "m at p: FAILING: refused the key (status 401), since 2026-11-23 10:05 UTC"
        );
        let tested = json!({ "ok": true, "at": "2026-11-23T10:05:00Z", "by": "test" });
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "failures": 0, "last": tested });
        assert_eq!(
            model(&row, Texts::default()),
            "m at p: ok, tested 2026-11-23 10:05 UTC"
        );
        let shown = platforms(
            &json!({ "telegram": { "on": true, "intake": "polling" }, "web": { "on": true } }),
            Texts::default(),
        );
        assert_eq!(
            shown,
            "telegram NOT CONNECTED YET (polling) · web on · api - valid keys beside the operator's own"
        );
        let shown = |telegram: Value| {
            platforms(
                &json!({ "telegram": telegram, "api": { "keys": 1 } }),
                Texts::default(),
            )
        };
        assert_eq!(
            shown(
                json!({ "on": true, "intake": "polling", "trouble": "http://x: the connection is refused" })
            ),
            "telegram NOT CONNECTED YET (polling): http://x: the connection is refused · web off · api 1 valid key beside the operator's own"
        );
        assert_eq!(
            shown(
                json!({ "on": true, "intake": "polling", "username": "b", "trouble": "http://x: \u{1b}lost" })
            ),
            "telegram @b (polling) FAILING: http://x: lost · web off · api 1 valid key beside the operator's own"
        );
    }

    #[test]
    fn max_has_its_place_beside_telegram_and_none_where_the_server_knows_no_max() {
        let shown = |max: Value| platforms(&json!({ "max": max }), Texts::default());
        for (max, expected) in [
            (json!({ "on": false }), "telegram off · max off · web"),
            (
                json!({ "on": true, "intake": "webhook", "username": "b" }),
                "telegram off · max @b (webhook) · web",
            ),
            (
                json!({ "on": true, "intake": "polling", "trouble": "x: refused" }),
                "telegram off · max NOT CONNECTED YET (polling): x: refused · web",
            ),
            (Value::Null, "telegram off · web"),
        ] {
            let shown = shown(max);
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn workers_that_fail_stand_out_and_those_that_work_again_are_remembered() {
        let shown = |in_a_row: u64, last_line: Option<&str>| {
            workers(
                &json!({ "pool": { "runtime": "process", "command": ["w"], "failures": {
                "total": 3, "inARow": in_a_row, "since": "2026-11-23T10:05:00Z",
                "last": { "at": "2026-11-23T10:06:00Z", "reason": "it exited with status 1", "lastLine": last_line },
            } } }),
                Texts::default(),
            )
        };
        let failing = shown(2, Some("No module named \u{1b}[1mx"));
        assert!(
            failing.ends_with(
                "\nFAILING since 2026-11-23 10:05 UTC, 2 failures in a row: it exited with status 1\
                 \nits last line: No module named [1mx"
            ),
            "{failing}"
        );
        let working = shown(0, None);
        assert!(
            working.ends_with(
                "\n3 processes have failed since the start, the last 2026-11-23 10:06 UTC: it exited with status 1"
            ),
            "{working}"
        );
    }

    #[test]
    fn an_answer_without_anything_in_it_still_makes_a_screen() {
        for nothing in [Value::Null, json!({}), json!({ "models": 1, "concurrency": [] })] {
            assert!(screen(&nothing, Texts::default()).starts_with("openclaw - · up 00:00:00"));
        }
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(
            Texts::default().span(Duration::from_secs(6 * 86_400 + 2 * 3_600 + 14 * 60)),
            "6 d 02:14"
        );
        assert_eq!(Texts::default().span(Duration::from_secs(3_661)), "01:01:01");
    }

    #[test]
    fn the_screen_is_in_russian_for_those_who_read_it() {
        let status = json!({
            "version": "1", "uptimeMs": 200_000_000, "storage": "sqlite", "ready": false, "notReady": ["store: full"],
            "inbox": { "open": 2, "waiting": 1, "oldestWaitingMs": 1_500 },
            "platforms": { "telegram": { "on": true, "intake": "polling" }, "web": { "on": false }, "api": { "keys": 3 } },
            "models": [{ "model": "m", "provider": "p", "state": "open", "failures": 5 }],
        });
        let shown = screen(&status, Texts::new(Language::Ru));
        for words in [
            "openclaw 1 · работает 2 д 07:33 · sqlite · НЕ ГОТОВ: store: full",
            "  путь       дольше всех сообщение ждёт 1.5 с · пока без ответа 2",
            "m у p: оставлена в покое, 5 сбоев подряд",
            "telegram ЕЩЁ НЕ ПОДКЛЮЧЁН (polling) · web выключен · api 3 действующих ключа",
        ] {
            assert!(shown.contains(words), "{words} in\n{shown}");
        }
    }
}
