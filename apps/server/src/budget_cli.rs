//! `openclaw budget`: what tenants have used, why one is refused, starting a budget over, and where tokens went.

use crate::client::{Admin, escaped, printable};
use crate::confirm::Sure;
use crate::models_cli::Output;
use crate::print;
use crate::table::aligned;
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Show what a tenant has used and has left
    Show {
        /// The tenant: its id, or a part of it that only one has; api:USER for a key's user
        tenant: String,
        #[command(flatten)]
        output: Output,
    },
    /// Say since when, by whom and for what it was used, and whether the next turn is refused
    Explain {
        /// The tenant: its id, or a part of it that only one has; api:USER for a key's user
        tenant: String,
        #[command(flatten)]
        output: Output,
    },
    /// Start a tenant's budget over
    Reset {
        /// The tenant: its id, or a part of it that only one has; api:USER for a key's user
        tenant: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        output: Output,
    },
    /// Add up what was spent
    Report {
        /// By what
        #[arg(long, default_value = "tier", value_name = "BY")]
        by: By,
        /// How far back: 7d, 24h, 4w
        #[arg(long, default_value = "7d", value_name = "TIME", value_parser = crate::cli::parse_span)]
        since: Duration,
        /// Only this tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Tier,
    Tenant,
    Model,
    Day,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tier => "tier",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

/// Carries out a command; the exit code.
pub(crate) fn run(command: &BudgetCommand) -> anyhow::Result<u8> {
    match command {
        BudgetCommand::Show { tenant, output } => {
            let admin = Admin::find(&output.server)?;
            let budget = admin.call(Method::GET, &format!("budgets/{}", escaped(tenant)), None)?;
            said(&budget, output, shown)
        }
        BudgetCommand::Explain { tenant, output } => {
            let admin = Admin::find(&output.server)?;
            let path = format!("budgets/{}/explain", escaped(tenant));
            said(&admin.call(Method::GET, &path, None)?, output, explained)
        }
        BudgetCommand::Reset { tenant, sure, output } => {
            let admin = Admin::find(&output.server)?;
            let path = format!("budgets/{}", escaped(tenant));
            let budget = admin.call(Method::GET, &path, None)?;
            let name = printable(budget["tenant"].as_str().unwrap_or(tenant));
            let what = format!(
                "the budget of {name} starts over: {} of {} tokens are used",
                grouped(&budget["used"]),
                limit(&budget["limit"])
            );
            if !sure.confirms(&what)? {
                return Ok(0);
            }
            let account = escaped(budget["tenant"].as_str().unwrap_or(tenant));
            let done = admin.call(Method::POST, &format!("budgets/{account}/reset"), None)?;
            said(&done, output, |done| {
                format!(
                    "{name} starts over: {} tokens were used, none are now\n",
                    grouped(&done["usedBefore"])
                )
            })
        }
        BudgetCommand::Report {
            by,
            since,
            tenant,
            output,
        } => {
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let mut path = format!("budgets?by={}&sinceMs={millis}", by.as_str());
            if let Some(tenant) = tenant {
                let _ = write!(path, "&tenant={}", escaped(tenant));
            }
            let report = Admin::find(&output.server)?.call(Method::GET, &path, None)?;
            said(&report, output, reported)
        }
    }
}

fn said(answer: &Value, output: &Output, words: impl FnOnce(&Value) -> String) -> anyhow::Result<u8> {
    if output.json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&words(answer))
    }
}

/// `tier free · limit 10 000 tokens / 24 h · window began … · resets …`
fn head(budget: &Value) -> String {
    let window = match (budget["windowStartedAt"].as_str(), budget["resetsAt"].as_str()) {
        (Some(began), Some(resets)) => format!(
            "window began {} (first use) · resets {}",
            printable(began),
            printable(resets)
        ),
        _ => "no window has begun".to_owned(),
    };
    let tokens = match budget["limit"].as_u64() {
        Some(_) => format!("limit {} tokens / 24 h", limit(&budget["limit"])),
        None => "unlimited".to_owned(),
    };
    format!(
        "{} · tier {} · {tokens} · {window}\n",
        text(&budget["tenant"]),
        text(&budget["tier"])
    )
}

fn shown(budget: &Value) -> String {
    let left = match budget["remaining"].as_u64() {
        Some(_) => grouped(&budget["remaining"]),
        None => "unlimited".to_owned(),
    };
    format!(
        "{}  used {} · reserved {} · remaining {left}\n",
        head(budget),
        grouped(&budget["used"]),
        grouped(&budget["reserved"])
    )
}

fn explained(budget: &Value) -> String {
    let mut out = head(budget);
    let column = |value: &Value| format!("{:>12}", grouped(value));
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "  settled   {}    ({})",
        column(&budget["used"]),
        counted(&budget["settled"], "turn or call", "turns and calls")
    );
    let running = match budget["reservedSince"].as_str() {
        Some(since) => format!(
            "    ({} under way, since {})",
            text(&budget["outstanding"]),
            printable(since)
        ),
        None => String::new(),
    };
    let _ = writeln!(out, "  reserved  {}{running}", column(&budget["reserved"]));
    let verdict = match (budget["refused"].as_bool(), budget["refusedBecause"].as_str()) {
        (Some(true), Some(why)) => format!(
            "→ a turn needs at least {}: refused as {}{}",
            text(&budget["leastTurn"]),
            printable(why),
            match budget["resetsAt"]
                .as_str()
                .filter(|_| budget["neverFits"] != true)
            {
                Some(resets) => format!(" until {}", printable(resets)),
                // The limit itself is below one turn.
                None => ", until the limit is raised".to_owned(),
            }
        ),
        _ => format!(
            "→ a turn needs about {}: it is let in",
            grouped(&budget["usualTurn"])
        ),
    };
    let remaining = match budget["remaining"].as_u64() {
        Some(_) => column(&budget["remaining"]),
        None => format!("{:>12}", "unlimited"),
    };
    let _ = writeln!(out, "  remaining {remaining}    {verdict}");
    let pool = &budget["freeTotal"];
    if pool.is_object() {
        let _ = writeln!(
            out,
            "  free tier {}    used by all free accounts together, of {}",
            column(&pool["used"]),
            limit(&pool["limit"])
        );
    }
    for row in budget["spentOn"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  on        {}    {} ({}, since midnight UTC of the first day)",
            format_args!("{:>12}", group(tokens(row))),
            text(&row["key"]),
            counted(&row["calls"], "call", "calls")
        );
    }
    let name = text(&budget["tenant"]);
    let _ = writeln!(
        out,
        "  next   openclaw budget reset {name} · openclaw budget report --tenant {name} --by day"
    );
    out
}

fn reported(report: &Value) -> String {
    let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let since = text(&report["since"]);
    if rows.is_empty() {
        return format!("nothing was spent since {since}\n");
    }
    let total: u64 = rows.iter().map(tokens).fold(0, u64::saturating_add);
    let by = text(&report["by"]);
    let mut cells = vec![[by.as_str(), "tokens", "share", "in", "out", "calls", "cost"].map(str::to_owned)];
    for row in rows {
        let share = tokens(row) as f64 * 100.0 / total.max(1) as f64;
        cells.push([
            text(&row["key"]),
            group(tokens(row)),
            format!("{share:.0} %"),
            grouped(&row["inputTokens"]),
            grouped(&row["outputTokens"]),
            grouped(&row["calls"]),
            text(&row["cost"]),
        ]);
    }
    format!("since {since}\n{}", aligned(&cells))
}

fn tokens(row: &Value) -> u64 {
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    number("inputTokens").saturating_add(number("outputTokens"))
}

fn counted(value: &Value, one: &str, many: &str) -> String {
    let word = if value.as_u64() == Some(1) { one } else { many };
    format!("{} {word}", grouped(value))
}

fn limit(value: &Value) -> String {
    value.as_u64().map_or_else(|| "unlimited".to_owned(), group)
}

fn grouped(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), group)
}

/// `1 204 000`.
fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_grouped_by_threes() {
        assert_eq!(
            [0, 999, 1_000, 1_204_000].map(group),
            ["0", "999", "1 000", "1 204 000"]
        );
    }

    #[test]
    fn an_explanation_tells_the_window_who_holds_what_and_the_verdict() {
        let budget = json!({
            "tenant": "telegram:555:555", "tier": "free", "limit": 10_000, "used": 9_120, "reserved": 640,
            "remaining": 240, "settled": 17, "outstanding": 1, "reservedSince": "2026-11-23T10:58:02Z",
            "windowStartedAt": "2026-11-22T10:05:00Z", "resetsAt": "2026-11-23T10:05:00Z", "leastTurn": 256,
            "usualTurn": 900, "refused": true, "refusedBecause": "TokenBudgetExceededError: the tenant's own budget",
            "freeTotal": null,
            "spentOn": [{ "key": "main/m", "calls": 17, "inputTokens": 9_000, "outputTokens": 120 }],
        });
        let text = explained(&budget);
        for words in [
            "tier free · limit 10 000 tokens / 24 h · window began 2026-11-22T10:05:00Z (first use) · resets",
            "9 120    (17 turns and calls)",
            "640    (1 under way, since 2026-11-23T10:58:02Z)",
            "240    → a turn needs at least 256: refused as TokenBudgetExceededError",
            "main/m (17 calls",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }

    #[test]
    fn a_limit_below_one_turn_names_no_time_that_would_not_help() {
        let budget = json!({
            "tenant": "api:alice", "tier": "free", "limit": 200, "used": 0, "reserved": 0, "remaining": 200, "settled": 0,
            "reservedSince": null, "windowStartedAt": null, "resetsAt": null, "leastTurn": 256, "refused": true,
            "refusedBecause": "TokenBudgetExceededError: the tenant's own budget", "freeTotal": null, "spentOn": [],
        });
        let text = explained(&budget);
        assert!(text.contains("own budget, until the limit is raised\n"), "{text}");
    }
}
