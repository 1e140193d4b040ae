//! `openclaw status`: one screen of the running server.

use crate::cli::StatusArgs;
use crate::client::{Admin, printable};
use crate::print;
use crate::words::counted;
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Asks the server and prints what it says.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<u8> {
    let status = Admin::find(&args.server)?.call(Method::GET, "status", None)?;
    if args.json {
        print(&format!("{status:#}\n"))
    } else {
        print(&screen(&status))
    }
}

/// The screen. What a server of another version does not say is shown as `-`.
fn screen(status: &Value) -> String {
    let mut out = String::new();
    let ready = match (&status["ready"], &status["pool"]["paused"]) {
        (Value::Bool(true), Value::Bool(true)) => "ready, PAUSED (openclaw queue resume)".to_owned(),
        (Value::Bool(true), _) => "ready".to_owned(),
        _ => format!("NOT READY: {}", texts(&status["notReady"]).join("; ")),
    };
    let up = span(Duration::from_millis(status["uptimeMs"].as_u64().unwrap_or(0)));
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "openclaw {} · up {up} · {} · {ready}",
        text(&status["version"]),
        text(&status["storage"])
    );
    for (name, value) in [
        ("path", path(status)),
        ("workers", workers(status)),
        ("queue", queue(status)),
        ("pressure", pressure(status)),
        ("latency", latency(&status["concurrency"])),
        ("outbox", outbox(&status["outbox"])),
        ("models", models(&status["models"])),
        ("platforms", platforms(&status["platforms"])),
    ] {
        for (number, line) in value.lines().enumerate() {
            let name = if number == 0 { name } else { "" };
            let _ = writeln!(out, "  {name:<10} {line}");
        }
    }
    out
}

fn path(status: &Value) -> String {
    let inbox = &status["inbox"];
    let oldest = match inbox["oldestWaitingMs"].as_u64() {
        Some(age) => format!("oldest waiting message {}", seconds(age)),
        None => "no message waits".to_owned(),
    };
    format!(
        "{oldest} · without an answer yet {} (waiting for the pool {})",
        number(&inbox["open"]),
        number(&inbox["waiting"])
    )
}

fn workers(status: &Value) -> String {
    let (now, pool) = (&status["concurrency"], &status["pool"]);
    let mut line = format!(
        "active {}  idle {}  stuck {}      min {}  max {}",
        number(&now["activeWorkers"]),
        number(&now["idleWorkers"]),
        number(&now["stuckWorkers"]),
        number(&pool["minWorkers"]),
        number(&pool["maxWorkers"])
    );
    if pool["abandoned"].as_u64().is_some_and(|count| count > 0) {
        line.push_str(&format!("      ABANDONED {}", number(&pool["abandoned"])));
    }
    if pool["runtime"] == "process" {
        line.push_str(&format!("\nprocesses of {}", texts(&pool["command"]).join(" ")));
        line.push_str(&failures(&pool["failures"]));
    }
    line
}

/// Whether the workers' program works, in lines of their own.
fn failures(failures: &Value) -> String {
    let last = &failures["last"];
    if last.is_null() {
        return String::new();
    }
    let in_a_row = failures["inARow"].as_u64().unwrap_or(0);
    let mut lines = if in_a_row > 0 {
        let times = counted(in_a_row, "failure", "failures in a row");
        format!(
            "\nFAILING since {}, {times}: {}",
            minute(&failures["since"]),
            text(&last["reason"])
        )
    } else {
        let times = many(&failures["total"], "process has failed", "processes have failed");
        format!(
            "\n{times} since the start, the last {}: {}",
            minute(&last["at"]),
            text(&last["reason"])
        )
    };
    if let Some(line) = last["lastLine"].as_str() {
        lines.push_str(&format!("\nits last line: {}", printable(line)));
    }
    lines
}

fn queue(status: &Value) -> String {
    format!(
        "{} / {}      refused since the start: {}",
        number(&status["concurrency"]["queueDepth"]),
        number(&status["pool"]["maxQueueSize"]),
        number(&status["refusals"])
    )
}

/// The level with the numbers it is made of, so that one sees why.
fn pressure(status: &Value) -> String {
    let (now, pool) = (&status["concurrency"], &status["pool"]);
    let level = now["backpressureLevel"].as_f64().unwrap_or(0.0);
    let active = now["activeWorkers"].as_u64().unwrap_or(0);
    let workers = active.saturating_add(now["idleWorkers"].as_u64().unwrap_or(0));
    let threshold = pool["backpressureThreshold"].as_f64().unwrap_or(0.0);
    let over = if level >= threshold { "  REFUSING NOW" } else { "" };
    format!(
        "backpressureLevel {level:.2} = 0.7 × {}/{} + 0.3 × {active}/{workers}      refuses at {threshold}{over}",
        number(&now["queueDepth"]),
        number(&pool["maxQueueSize"])
    )
}

fn latency(now: &Value) -> String {
    let per_minute = format!(
        "{}/min · {} done, {} failed",
        many(&now["throughputPerMinute"], "request", "requests"),
        number(&now["totalProcessed"]),
        number(&now["totalErrors"])
    );
    if now["p99LatencyMs"].as_f64().is_none_or(|latency| latency <= 0.0) {
        return format!("nothing measured in the last minutes · {per_minute}");
    }
    let time = |name: &str| seconds(whole(now[name].as_f64().unwrap_or(0.0)));
    format!(
        "avg {}  p95 {}  p99 {} · {per_minute}",
        time("avgLatencyMs"),
        time("p95LatencyMs"),
        time("p99LatencyMs")
    )
}

fn outbox(outbox: &Value) -> String {
    format!(
        "waiting {} · delivered {}, put off {}, given up {}",
        number(&outbox["pending"]),
        number(&outbox["delivered"]),
        number(&outbox["retried"]),
        number(&outbox["failed"])
    )
}

/// How many models are named before the rest is only counted.
const SHOWN_MODELS: usize = 8;

fn models(models: &Value) -> String {
    let rows = models.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "none".to_owned();
    }
    let mut lines: Vec<String> = rows.iter().take(SHOWN_MODELS).map(model).collect();
    if let Some(more) = rows.len().checked_sub(SHOWN_MODELS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more: openclaw status --json"));
    }
    lines.join("\n")
}

fn model(row: &Value) -> String {
    let demo = if row["demo"] == true {
        " · built in; set OPENAI_API_KEY for a real one"
    } else {
        ""
    };
    format!(
        "{} at {}: {}{demo}",
        text(&row["model"]),
        text(&row["provider"]),
        model_state(row)
    )
}

fn model_state(row: &Value) -> String {
    let last = &row["last"];
    let failures = many(&row["failures"], "failure", "failures in a row");
    let failing = row["failures"].as_u64().is_some_and(|count| count > 0);
    let why = match last["ok"].as_bool() {
        Some(false) => format!(": {}, since {}", text(&last["reason"]), minute(&last["since"])),
        Some(true) | None => "; the log says why".to_owned(),
    };
    match (row["state"].as_str(), row["firstTokenMs"].as_u64()) {
        (Some("open"), _) => format!("left alone after {failures}{why}"),
        (Some("half_open"), _) => "being tried again".to_owned(),
        _ if failing => format!("FAILING, {failures}{why}"),
        // Of a test the circuit knows nothing.
        _ if last["ok"] == false => format!("FAILING{why}"),
        (_, Some(time)) => format!("ok (first token {})", seconds(time)),
        _ if last["by"] == "test" => format!("ok, tested {}", minute(&last["at"])),
        _ if row["asked"] == true => "ok".to_owned(),
        _ => "not asked yet".to_owned(),
    }
}

/// `2026-11-23T10:05:00Z` as `2026-11-23 10:05 UTC`.
fn minute(at: &Value) -> String {
    let at = text(at);
    match (at.get(..10), at.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => at,
    }
}

fn platforms(platforms: &Value) -> String {
    let telegram = &platforms["telegram"];
    let intake = text(&telegram["intake"]);
    let trouble = telegram["trouble"].as_str().map(printable);
    let telegram = match (telegram["on"].as_bool(), telegram["username"].as_str()) {
        (Some(true), Some(name)) => {
            let failing = trouble.map_or_else(String::new, |why| format!(" FAILING: {why}"));
            format!("telegram @{} ({intake}){failing}", printable(name))
        }
        (Some(true), None) => {
            let why = trouble.map_or_else(String::new, |why| format!(": {why}"));
            format!("telegram NOT CONNECTED YET ({intake}){why}")
        }
        _ => "telegram off".to_owned(),
    };
    let on = |on: &Value| if on == true { "on" } else { "off" };
    format!(
        "{telegram} · web {} · api {}",
        on(&platforms["web"]["on"]),
        many(&platforms["api"]["keys"], "valid key", "valid keys")
    )
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

/// Text of the server's; a `-` when there is none.
fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or("-"))
}

/// A count with the word for what is counted.
fn many(value: &Value, one: &str, many: &str) -> String {
    match value.as_u64() {
        Some(number) => counted(number, one, many),
        None => format!("- {many}"),
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

/// Milliseconds as people read them.
pub(crate) fn seconds(millis: u64) -> String {
    if millis < 1_000 {
        format!("{millis} ms")
    } else {
        format!("{:.1} s", millis as f64 / 1_000.0)
    }
}

/// `6 d 02:14`, `02:14:09` below a day.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_pressure_shows_the_numbers_it_is_made_of() {
        let status = json!({
            "concurrency": { "backpressureLevel": 0.26875, "queueDepth": 2, "activeWorkers": 3, "idleWorkers": 1 },
            "pool": { "maxQueueSize": 32, "backpressureThreshold": 0.7 },
        });
        assert_eq!(
            pressure(&status),
            "backpressureLevel 0.27 = 0.7 × 2/32 + 0.3 × 3/4      refuses at 0.7"
        );
    }

    #[test]
    fn a_failing_model_and_a_bot_that_is_not_connected_stand_out() {
        let row = json!({ "model": "m", "provider": "p", "state": "open", "failures": 5 });
        assert_eq!(
            model(&row),
            "m at p: left alone after 5 failures in a row; the log says why"
        );
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "asked": true, "failures": 1 });
        assert_eq!(model(&row), "m at p: FAILING, 1 failure; the log says why");
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "asked": false, "failures": 0 });
        assert_eq!(model(&row), "m at p: not asked yet");
        let refused = json!({
            "ok": false, "since": "2026-11-23T10:05:00Z", "reason": "refused the key (status 401)", "by": "test",
        });
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "failures": 0, "last": refused });
        assert_eq!(
            model(&row),
            "m at p: FAILING: refused the key (status 401), since 2026-11-23 10:05 UTC"
        );
        let tested = json!({ "ok": true, "at": "2026-11-23T10:05:00Z", "by": "test" });
        let row = json!({ "model": "m", "provider": "p", "state": "closed", "failures": 0, "last": tested });
        assert_eq!(model(&row), "m at p: ok, tested 2026-11-23 10:05 UTC");
        let shown =
            platforms(&json!({ "telegram": { "on": true, "intake": "polling" }, "web": { "on": true } }));
        assert_eq!(
            shown,
            "telegram NOT CONNECTED YET (polling) · web on · api - valid keys"
        );
        let shown = |telegram: Value| platforms(&json!({ "telegram": telegram, "api": { "keys": 1 } }));
        assert_eq!(
            shown(
                json!({ "on": true, "intake": "polling", "trouble": "http://x: the connection is refused" })
            ),
            "telegram NOT CONNECTED YET (polling): http://x: the connection is refused · web off · api 1 valid key"
        );
        assert_eq!(
            shown(
                json!({ "on": true, "intake": "polling", "username": "b", "trouble": "http://x: \u{1b}lost" })
            ),
            "telegram @b (polling) FAILING: http://x: lost · web off · api 1 valid key"
        );
    }

    #[test]
    fn workers_that_fail_stand_out_and_those_that_work_again_are_remembered() {
        let shown = |in_a_row: u64, last_line: Option<&str>| {
            workers(
                &json!({ "pool": { "runtime": "process", "command": ["w"], "failures": {
                "total": 3, "inARow": in_a_row, "since": "2026-11-23T10:05:00Z",
                "last": { "at": "2026-11-23T10:06:00Z", "reason": "it exited with status 1", "lastLine": last_line },
            } } }),
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
            assert!(screen(&nothing).starts_with("openclaw - · up 00:00:00"));
        }
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(
            span(Duration::from_secs(6 * 86_400 + 2 * 3_600 + 14 * 60)),
            "6 d 02:14"
        );
        assert_eq!(span(Duration::from_secs(3_661)), "01:01:01");
        assert_eq!(
            (seconds(999), seconds(4_123)),
            ("999 ms".to_owned(), "4.1 s".to_owned())
        );
    }
}
