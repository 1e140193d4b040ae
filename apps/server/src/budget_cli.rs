//! `openclaw budget`: what tenants have used, why one is refused, starting a budget over, and where tokens went.

use crate::client::{escaped, printable};
use crate::confirm::Sure;
use crate::desk::{Desk, Needs};
use crate::models_cli::Output;
use crate::print;
use crate::table::{aligned, head, short_tenant};
use crate::texts::{Texts, grouped as group};
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
        /// How far back, from midnight UTC of its first day: 7d, 24h, 4w
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
            let desk = desk(output)?;
            let budget = desk.call(Method::GET, &format!("budgets/{}", escaped(tenant)), None)?;
            said(&budget, output, |budget| shown(budget, desk.texts()))
        }
        BudgetCommand::Explain { tenant, output } => {
            let desk = desk(output)?;
            let path = format!("budgets/{}/explain", escaped(tenant));
            let budget = desk.call(Method::GET, &path, None)?;
            said(&budget, output, |budget| explained(budget, desk.texts()))
        }
        BudgetCommand::Reset { tenant, sure, output } => {
            let desk = desk(output)?;
            let texts = desk.texts();
            let path = format!("budgets/{}", escaped(tenant));
            let budget = desk.call(Method::GET, &path, None)?;
            let name = printable(budget["tenant"].as_str().unwrap_or(tenant));
            let used = grouped(&budget["used"]);
            let what = match budget["limit"].as_u64() {
                Some(limit) => texts.budget_consequence(&name, &used, &group(limit)),
                None => texts.budget_consequence_unlimited(&name, &used),
            };
            if !sure.confirms(&what, texts)? {
                return Ok(0);
            }
            let account = escaped(budget["tenant"].as_str().unwrap_or(tenant));
            let done = desk.call(Method::POST, &format!("budgets/{account}/reset"), None)?;
            said(&done, output, |done| {
                texts.budget_reset_done(&name, &grouped(&done["usedBefore"]))
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
                // Writing to a String cannot fail.
                let _ = write!(path, "&tenant={}", escaped(tenant));
            }
            let desk = desk(output)?;
            let report = desk.call(Method::GET, &path, None)?;
            said(&report, output, |report| reported(report, desk.texts()))
        }
    }
}

fn desk(output: &Output) -> anyhow::Result<Desk> {
    Desk::find(&output.server, output.config.as_deref(), Needs::Store)
}

fn said(answer: &Value, output: &Output, words: impl FnOnce(&Value) -> String) -> anyhow::Result<u8> {
    if output.json {
        print(&format!("{answer:#}\n"))
    } else {
        print(&words(answer))
    }
}

/// `tier free · limit 10 000 tokens / 24 h · window began … · resets …`
fn top(budget: &Value, texts: Texts) -> String {
    let window = match (budget["windowStartedAt"].as_str(), budget["resetsAt"].as_str()) {
        (Some(began), Some(resets)) => texts.budget_window(&printable(began), &printable(resets)),
        _ => texts.budget_no_window(),
    };
    let tokens = match budget["limit"].as_u64() {
        Some(number) => texts.budget_limit(&group(number)),
        None => texts.budget_unlimited(),
    };
    texts.budget_head(&text(&budget["tenant"]), &text(&budget["tier"]), &tokens, &window)
}

fn shown(budget: &Value, texts: Texts) -> String {
    let numbers = texts.budget_shown(
        &grouped(&budget["used"]),
        &grouped(&budget["reserved"]),
        &limit(&budget["remaining"], texts),
    );
    format!("{}{numbers}", top(budget, texts))
}

fn explained(budget: &Value, texts: Texts) -> String {
    let mut out = top(budget, texts);
    out.push_str(&texts.budget_settled(
        &grouped(&budget["used"]),
        &texts.budget_turns(budget["settled"].as_u64().unwrap_or(0)),
    ));
    let running = match budget["reservedSince"].as_str() {
        Some(since) => texts.budget_under_way(&text(&budget["outstanding"]), &printable(since)),
        None => String::new(),
    };
    out.push_str(&texts.budget_reserved(&grouped(&budget["reserved"]), &running));
    out.push_str(&texts.budget_remaining(&limit(&budget["remaining"], texts), &verdict(budget, texts)));
    let pool = &budget["freeTotal"];
    if pool.is_object() {
        out.push_str(&texts.budget_free(&grouped(&pool["used"]), &limit(&pool["limit"], texts)));
    }
    for row in budget["spentOn"].as_array().into_iter().flatten() {
        out.push_str(&texts.budget_spent_on(
            &group(tokens(row)),
            &text(&row["key"]),
            &texts.budget_calls(row["calls"].as_u64().unwrap_or(0)),
        ));
    }
    out.push_str(&texts.budget_next(&text(&budget["tenant"])));
    out
}

/// Whether the next turn is let in.
fn verdict(budget: &Value, texts: Texts) -> String {
    match (budget["refused"].as_bool(), budget["refusedBecause"].as_str()) {
        (Some(true), Some(why)) => {
            let resets = budget["resetsAt"]
                .as_str()
                .filter(|_| budget["neverFits"] != true);
            let until = match resets {
                Some(resets) => texts.budget_until(&printable(resets)),
                // The limit itself is below one turn.
                None => texts.budget_until_raised(),
            };
            texts.budget_refused(&text(&budget["leastTurn"]), &printable(why), &until)
        }
        _ => texts.budget_let_in(&grouped(&budget["usualTurn"])),
    }
}

fn reported(report: &Value, texts: Texts) -> String {
    let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let since = text(&report["since"]);
    if rows.is_empty() {
        return texts.budget_nothing(&since);
    }
    let total: u64 = rows.iter().map(tokens).fold(0, u64::saturating_add);
    let mut cells = vec![head::<7>(&texts.budget_report_head(&text(&report["by"])))];
    for row in rows {
        let share = tokens(row) as f64 * 100.0 / total.max(1) as f64;
        cells.push([
            short_tenant(&text(&row["key"])),
            group(tokens(row)),
            format!("{share:.0} %"),
            grouped(&row["inputTokens"]),
            grouped(&row["outputTokens"]),
            grouped(&row["calls"]),
            text(&row["cost"]),
        ]);
    }
    format!("{}{}", texts.budget_since(&since), aligned(&cells))
}

fn tokens(row: &Value) -> u64 {
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    number("inputTokens").saturating_add(number("outputTokens"))
}

fn limit(value: &Value, texts: Texts) -> String {
    value.as_u64().map_or_else(|| texts.budget_unlimited(), group)
}

fn grouped(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), group)
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
    use openclaw_core::Language;
    use serde_json::json;

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
        let text = explained(&budget, Texts::default());
        for words in [
            "tier free · limit 10 000 tokens / 24 h · window began 2026-11-22T10:05:00Z (first use) · resets",
            "9 120    (17 turns and calls)",
            "640    (1 under way, since 2026-11-23T10:58:02Z)",
            "240    → a turn needs at least 256: refused as TokenBudgetExceededError",
            "main/m (17 calls",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        let russian = explained(&budget, Texts::new(Language::Ru));
        for words in [
            "тир free · лимит 10 000 токенов / 24 ч · окно началось 2026-11-22T10:05:00Z (первый расход)",
            "9 120    (17 ответов и вызовов)",
            "640    (идут: 1, с 2026-11-23T10:58:02Z)",
            "240    → ответу нужно не меньше 256: отказ, TokenBudgetExceededError",
            "main/m (17 вызовов",
        ] {
            assert!(russian.contains(words), "{words} in\n{russian}");
        }
    }

    #[test]
    fn a_limit_below_one_turn_names_no_time_that_would_not_help() {
        let budget = json!({
            "tenant": "api:alice", "tier": "free", "limit": 200, "used": 0, "reserved": 0, "remaining": 200, "settled": 0,
            "reservedSince": null, "windowStartedAt": null, "resetsAt": null, "leastTurn": 256, "refused": true,
            "refusedBecause": "TokenBudgetExceededError: the tenant's own budget", "freeTotal": null, "spentOn": [],
        });
        let text = explained(&budget, Texts::default());
        assert!(text.contains("own budget, until the limit is raised\n"), "{text}");
    }
}
