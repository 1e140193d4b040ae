//! `openclaw models`: which models there are, which one a request would get and why, and whether they answer.

use crate::cli::ServerArgs;
use crate::client::{Admin, escaped, printable};
use crate::failure::Failure;
use crate::print;
use crate::table::aligned;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// How long one model's test may take.
const TEST_PATIENCE: Duration = Duration::from_secs(100);

/// What `--needs` takes.
const CAPABILITIES: [&str; 6] = [
    "chat",
    "code",
    "vision",
    "tool_use",
    "streaming",
    "function_calling",
];

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models, with provider, price, circuit and how quick they are to begin
    List {
        /// Also the providers' limits and what is left of them
        #[arg(long)]
        limits: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Say which model a request would get, with every model's score or what stands against it
    Explain {
        /// For this tenant: its id, or a part of it
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// What the request needs; several with commas
        #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', value_parser = CAPABILITIES)]
        needs: Vec<String>,
        /// How long the request is, in tokens
        #[arg(long, value_name = "TOKENS")]
        input: Option<u64>,
        #[command(flatten)]
        output: Output,
    },
    /// Ask one model, or all that are listed, one small question; the provider charges for it
    Test {
        /// The model, as `openclaw models list` shows it; all without it
        id: Option<String>,
        #[command(flatten)]
        output: Output,
    },
}

/// Whom to ask and how to print.
#[derive(Clone, Debug, Args)]
pub(crate) struct Output {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Carries out a command; the exit code.
pub(crate) fn run(command: &ModelsCommand) -> anyhow::Result<u8> {
    match command {
        ModelsCommand::List { limits, output } => {
            let models = Admin::find(&output.server)?.call(Method::GET, "models", None)?;
            if output.json {
                return print(&format!("{models:#}\n"));
            }
            let mut text = listed(&models);
            if *limits {
                text.push('\n');
                text.push_str(&limited(&models));
            }
            print(&text)
        }
        ModelsCommand::Explain {
            tenant,
            needs,
            input,
            output,
        } => {
            let mut path = format!("models/explain?needs={}", escaped(&needs.join(",")));
            if let Some(tenant) = tenant {
                let _ = write!(path, "&tenant={}", escaped(tenant));
            }
            if let Some(tokens) = input {
                let _ = write!(path, "&inputTokens={tokens}");
            }
            let answer = Admin::find(&output.server)?.call(Method::GET, &path, None)?;
            if output.json {
                return print(&format!("{answer:#}\n"));
            }
            print(&explained(&answer))
        }
        ModelsCommand::Test { id, output } => test(id.as_deref(), output),
    }
}

/// Exit 1 when one does not answer.
fn test(id: Option<&str>, output: &Output) -> anyhow::Result<u8> {
    let admin = Admin::find(&output.server)?;
    let names = match id {
        Some(id) => vec![id.to_owned()],
        None => {
            let models = admin.call(Method::GET, "models", None)?;
            all_names(&models)
        }
    };
    if names.is_empty() {
        let what = "no model is listed; name one";
        return Err(Failure::failed(what, "openclaw models test MODEL").into());
    }
    let mut answers = Vec::new();
    for name in &names {
        if !output.json && names.len() > 1 {
            writeln!(std::io::stderr().lock(), "asking {}", printable(name)).ok();
        }
        let body = json!({ "model": name });
        let answer = admin.call_within(Method::POST, "models/test", Some(&body), TEST_PATIENCE)?;
        if !output.json {
            print(&tested(&answer))?;
        }
        answers.push(answer);
    }
    if output.json {
        print(&format!("{:#}\n", json!({ "schema": 1, "tests": answers })))?;
    }
    Ok(u8::from(answers.iter().any(|answer| answer["ok"] != true)))
}

fn all_names(models: &Value) -> Vec<String> {
    rows(&models["providers"])
        .flat_map(|provider| {
            rows(&provider["models"]).map(|model| format!("{}/{}", raw(&provider["id"]), raw(&model["id"])))
        })
        .collect()
}

fn listed(models: &Value) -> String {
    let mut cells = vec![
        [
            "model",
            "provider",
            "context",
            "output",
            "in/1k",
            "out/1k",
            "tier",
            "circuit",
            "health",
            "first token",
        ]
        .map(str::to_owned),
    ];
    let mut open_ended = Vec::new();
    for provider in rows(&models["providers"]) {
        for model in rows(&provider["models"]) {
            let first = model["firstTokenMs"].as_u64();
            cells.push([
                text(&model["id"]),
                text(&provider["id"]),
                text(&model["contextWindow"]),
                text(&model["maxOutputTokens"]),
                price(&model["costPer1kInput"]),
                price(&model["costPer1kOutput"]),
                text(&model["requiredTier"]),
                if model["asked"] == true {
                    text(&model["circuit"])
                } else {
                    "not asked".to_owned()
                },
                model["health"]
                    .as_f64()
                    .map_or_else(|| "-".to_owned(), |health| format!("{health:.2}")),
                first.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms")),
            ]);
        }
        if provider["anyModel"] == true {
            open_ended.push(text(&provider["id"]));
        }
    }
    let mut out = if cells.len() == 1 {
        "no model is listed\n".to_owned()
    } else {
        aligned(&cells)
    };
    if !open_ended.is_empty() {
        let _ = writeln!(out, "any other model may be named too: {}", open_ended.join(", "));
    }
    if models["primaryModel"].is_string() {
        let fallbacks: Vec<String> = rows(&models["fallbacks"]).map(text).collect();
        let then = if fallbacks.is_empty() {
            String::new()
        } else {
            format!(", then {}", fallbacks.join(", "))
        };
        let _ = writeln!(
            out,
            "requests that name none ask {}{then}",
            text(&models["primaryModel"])
        );
    }
    out
}

fn limited(models: &Value) -> String {
    let mut cells = vec![
        [
            "provider",
            "requests/min",
            "left",
            "tokens/min",
            "left",
            "at once",
            "left",
            "in flight",
        ]
        .map(str::to_owned),
    ];
    for provider in rows(&models["providers"]) {
        let (limits, left) = (&provider["limits"], &provider["remaining"]);
        let of = |value: &Value| match value {
            Value::Null => "no limit".to_owned(),
            value => text(value),
        };
        let rest = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            value => text(value),
        };
        cells.push([
            text(&provider["id"]),
            of(&limits["requestsPerMinute"]),
            rest(&left["requests"]),
            of(&limits["tokensPerMinute"]),
            rest(&left["tokens"]),
            of(&limits["concurrentRequests"]),
            rest(&left["concurrent"]),
            rest(&left["inFlight"]),
        ]);
    }
    aligned(&cells)
}

fn explained(answer: &Value) -> String {
    let needs: Vec<String> = rows(&answer["needs"]).map(text).collect();
    let whose = match answer["tenant"].as_str() {
        Some(tenant) => format!("{}, ", printable(tenant)),
        None => String::new(),
    };
    let mut out = format!(
        "{whose}tier {} · needs {} · {} tokens in, {} out\n",
        text(&answer["tier"]),
        needs.join(", "),
        text(&answer["inputTokens"]),
        text(&answer["outputTokens"]),
    );
    let chain: Vec<String> = rows(&answer["chain"]).map(text).collect();
    match (answer["refused"].as_str(), answer["by"].as_str()) {
        (Some(refused), _) => {
            let _ = writeln!(out, "  refused: {}", printable(refused));
        }
        (None, Some("chain")) => {
            let _ = writeln!(
                out,
                "  asks {} (the chain of ai-fabric.fallback)",
                chain.join(", then ")
            );
        }
        (None, Some("found")) => {
            let _ = writeln!(
                out,
                "  asks {} (the first model of the provider that was found)",
                chain.join(", then ")
            );
        }
        (None, _) => {
            let _ = writeln!(out, "  asks {} (by score)", chain.join(", then "));
        }
    }
    for candidate in rows(&answer["candidates"]) {
        let name = format!("{} ({})", text(&candidate["model"]), text(&candidate["provider"]));
        let verdict = &candidate["verdict"];
        let line = if verdict["verdict"] == "scored" {
            let number = |name: &str| verdict[name].as_f64().unwrap_or(0.0);
            format!(
                "  {name}: score {:.2} = {} capabilities × 10 − cost {:.4} × 100; priority {}, health {:.2}",
                number("score"),
                text(&verdict["capabilities"]),
                number("cost"),
                text(&verdict["priority"]),
                number("health"),
            )
        } else {
            let reasons: Vec<String> = rows(&verdict["reasons"]).map(text).collect();
            format!("✗ {name}: {}", reasons.join("; "))
        };
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn tested(answer: &Value) -> String {
    let name = format!("{} ({})", text(&answer["model"]), text(&answer["provider"]));
    let millis = |value: &Value| {
        value
            .as_u64()
            .map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"))
    };
    if answer["ok"] == true {
        let usage = &answer["usage"];
        let counted = if usage["reported"] == true {
            ""
        } else {
            " (not reported)"
        };
        return format!(
            "ok    {name}: first token {}, whole {} · {} tokens in, {} out{counted}, cost {} · {:?}\n",
            millis(&answer["firstTokenMs"]),
            millis(&answer["durationMs"]),
            text(&usage["inputTokens"]),
            text(&usage["outputTokens"]),
            text(&answer["cost"]),
            raw(&answer["text"]),
        );
    }
    format!(
        "FAIL  {name}: {} after {}: {}\n      next  {}\n",
        text(&answer["code"]),
        millis(&answer["durationMs"]),
        text(&answer["detail"]),
        text(&answer["next"]),
    )
}

fn price(value: &Value) -> String {
    match value.as_f64() {
        Some(0.0) => "free".to_owned(),
        Some(price) => format!("{price}"),
        None => "-".to_owned(),
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn raw(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A value as it may be shown.
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

    #[test]
    fn an_explanation_names_the_choice_and_what_stands_against_the_others() {
        let answer = json!({
            "tier": "free", "needs": ["chat", "vision"], "inputTokens": 10, "outputTokens": 20, "by": "score",
            "chain": ["big"], "refused": null,
            "candidates": [
                { "model": "big", "provider": "p", "verdict": { "verdict": "scored", "score": 29.5, "cost": 0.005,
                  "capabilities": 3, "priority": 1, "health": 1.0 } },
                { "model": "small", "provider": "p", "verdict": { "verdict": "ruled_out", "reasons": ["lacks vision"] } },
            ],
        });
        let text = explained(&answer);
        assert!(text.contains("asks big (by score)"), "{text}");
        for (by, words) in [
            ("chain", "asks big (the chain of ai-fabric.fallback)"),
            (
                "found",
                "asks big (the first model of the provider that was found)",
            ),
        ] {
            let mut answer = answer.clone();
            answer["by"] = by.into();
            assert!(explained(&answer).contains(words), "{by}");
        }
        assert!(
            text.contains("score 29.50 = 3 capabilities × 10 − cost 0.0050 × 100"),
            "{text}"
        );
        assert!(text.contains("✗ small (p): lacks vision"), "{text}");
    }

    #[test]
    fn a_failed_test_says_what_to_do() {
        let answer = json!({ "ok": false, "model": "m", "provider": "p", "code": "MODEL_UNAUTHORIZED", "durationMs": 7,
            "detail": "the key was refused", "next": "check apiKey of p" });
        let text = tested(&answer);
        assert!(
            text.starts_with("FAIL  m (p): MODEL_UNAUTHORIZED after 7 ms"),
            "{text}"
        );
        assert!(text.contains("next  check apiKey of p"), "{text}");
    }
}
