//! `openclaw models`: which models there are, which one a request would get and why, and whether they answer.

use crate::cli::ServerArgs;
use crate::client::{escaped, printable};
use crate::desk::{Desk, Needs};
use crate::failure::Failure;
use crate::print;
use crate::table::{aligned, head};
use crate::texts::Texts;
use clap::{Args, Subcommand};
use openclaw_core::Language;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
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
    /// The configuration file, for when no server runs; without it, openclaw.toml in the data directory if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Carries out a command; the exit code.
pub(crate) fn run(command: &ModelsCommand) -> anyhow::Result<u8> {
    match command {
        ModelsCommand::List { limits, output } => {
            let desk = output.desk(Needs::Configuration)?;
            let models = desk.call(Method::GET, "models", None)?;
            if output.json {
                return print(&format!("{models:#}\n"));
            }
            let mut text = listed(&models, desk.texts());
            if *limits {
                text.push('\n');
                text.push_str(&limited(&models, desk.texts()));
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
            // A tenant's tier is in the store.
            let desk = output.desk(match tenant {
                Some(_) => Needs::Store,
                None => Needs::Configuration,
            })?;
            let answer = desk.call(Method::GET, &path, None)?;
            if output.json {
                return print(&format!("{answer:#}\n"));
            }
            print(&explained(&answer, desk.texts()))
        }
        ModelsCommand::Test { id, output } => test(id.as_deref(), output),
    }
}

// === impl Output ===

impl Output {
    fn desk(&self, needs: Needs) -> anyhow::Result<Desk> {
        Desk::find(&self.server, self.config.as_deref(), needs)
    }
}

/// Exit 1 when one does not answer.
fn test(id: Option<&str>, output: &Output) -> anyhow::Result<u8> {
    let desk = output.desk(Needs::Configuration)?;
    let texts = desk.texts();
    let models = desk.call(Method::GET, "models", None)?;
    let names = match id {
        Some(id) => vec![id.to_owned()],
        None => all_names(&models),
    };
    let patience = models["testTimeoutMs"]["firstToken"].as_u64();
    if names.is_empty() {
        return Err(Failure::failed(texts.models_none_to_test(), "openclaw models test MODEL").into());
    }
    let mut answers = Vec::new();
    for name in &names {
        if !output.json {
            let waits = patience.map_or_else(String::new, |millis| texts.models_waits(&texts.time(millis)));
            writeln!(
                std::io::stderr().lock(),
                "{}{waits}",
                texts.models_asking(&printable(name))
            )
            .ok();
        }
        let body = json!({ "model": name });
        let answer = desk.call_within(Method::POST, "models/test", Some(&body), TEST_PATIENCE)?;
        if !output.json {
            print(&tested(&answer, texts))?;
        }
        answers.push(answer);
    }
    if output.json {
        print(&format!("{:#}\n", json!({ "schema": 1, "tests": answers })))?;
    }
    // What workers answer is not asked here, and not to be asked is no failure.
    Ok(u8::from(answers.iter().any(|answer| answer["ok"] == false)))
}

fn all_names(models: &Value) -> Vec<String> {
    rows(&models["providers"])
        .flat_map(|provider| {
            rows(&provider["models"]).map(|model| format!("{}/{}", raw(&provider["id"]), raw(&model["id"])))
        })
        .collect()
}

fn listed(models: &Value, texts: Texts) -> String {
    let mut cells = vec![head::<10>(&texts.models_head())];
    let mut open_ended = Vec::new();
    for provider in rows(&models["providers"]) {
        for model in rows(&provider["models"]) {
            let first = model["firstTokenMs"].as_u64();
            cells.push([
                text(&model["id"]),
                text(&provider["id"]),
                text(&model["contextWindow"]),
                text(&model["maxOutputTokens"]),
                price(&model["costPer1kInput"], texts),
                price(&model["costPer1kOutput"], texts),
                text(&model["requiredTier"]),
                if model["asked"] == true {
                    text(&model["circuit"])
                } else {
                    texts.models_not_asked()
                },
                model["health"]
                    .as_f64()
                    .map_or_else(|| "-".to_owned(), |health| format!("{health:.2}")),
                first.map_or_else(|| "-".to_owned(), |millis| texts.time(millis)),
            ]);
        }
        if provider["anyModel"] == true {
            open_ended.push(text(&provider["id"]));
        }
    }
    let mut out = if cells.len() == 1 {
        texts.models_none()
    } else {
        aligned(&cells)
    };
    if !open_ended.is_empty() {
        out.push_str(&texts.models_any(&open_ended.join(", ")));
    }
    if models["primaryModel"].is_string() {
        let fallbacks: Vec<String> = rows(&models["fallbacks"]).map(text).collect();
        let then = if fallbacks.is_empty() {
            String::new()
        } else {
            texts.models_then(&fallbacks.join(", "))
        };
        out.push_str(&texts.models_primary(&text(&models["primaryModel"]), &then));
    }
    out
}

fn limited(models: &Value, texts: Texts) -> String {
    let mut cells = vec![head::<8>(&texts.models_limits_head())];
    for provider in rows(&models["providers"]) {
        let (limits, left) = (&provider["limits"], &provider["remaining"]);
        let of = |value: &Value| match value {
            Value::Null => texts.models_no_limit(),
            value => text(value),
        };
        cells.push([
            text(&provider["id"]),
            of(&limits["requestsPerMinute"]),
            text(&left["requests"]),
            of(&limits["tokensPerMinute"]),
            text(&left["tokens"]),
            of(&limits["concurrentRequests"]),
            text(&left["concurrent"]),
            text(&left["inFlight"]),
        ]);
    }
    aligned(&cells)
}

fn explained(answer: &Value, texts: Texts) -> String {
    let needs: Vec<String> = rows(&answer["needs"]).map(text).collect();
    let whose = match answer["tenant"].as_str() {
        Some(tenant) => format!("{}, ", printable(tenant)),
        None => String::new(),
    };
    let mut out = texts.models_question(
        &whose,
        &text(&answer["tier"]),
        &needs.join(", "),
        &text(&answer["inputTokens"]),
        &text(&answer["outputTokens"]),
    );
    let chain: Vec<String> = rows(&answer["chain"]).map(text).collect();
    let chain = chain.join(&texts.models_joined());
    out.push_str(&match (answer["refused"].as_str(), answer["by"].as_str()) {
        (Some(refused), _) => texts.models_refused(&printable(refused)),
        (None, Some("chain")) => texts.models_asks_chain(&chain),
        (None, Some("found")) => texts.models_asks_found(&chain),
        (None, _) => texts.models_asks_score(&chain),
    });
    for candidate in rows(&answer["candidates"]) {
        let name = format!("{} ({})", text(&candidate["model"]), text(&candidate["provider"]));
        let verdict = &candidate["verdict"];
        if verdict["verdict"] == "scored" {
            let number = |name: &str| verdict[name].as_f64().unwrap_or(0.0);
            out.push_str(&texts.models_scored(
                &name,
                &format!("{:.2}", number("score")),
                &text(&verdict["capabilities"]),
                &format!("{:.4}", number("cost")),
                &text(&verdict["priority"]),
                &format!("{:.2}", number("health")),
            ));
        } else {
            let reasons: Vec<String> = rows(&verdict["reasons"]).map(text).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  ✗ {name}: {}", reasons.join("; "));
        }
    }
    out
}

fn tested(answer: &Value, texts: Texts) -> String {
    let name = format!("{} ({})", text(&answer["model"]), text(&answer["provider"]));
    let millis = |value: &Value| {
        value
            .as_u64()
            .map_or_else(|| "-".to_owned(), |millis| texts.time(millis))
    };
    if answer["ok"] == true {
        let usage = &answer["usage"];
        let reported = if usage["reported"] == true {
            String::new()
        } else {
            texts.models_not_reported()
        };
        return texts.models_ok(
            &name,
            &millis(&answer["firstTokenMs"]),
            &millis(&answer["durationMs"]),
            &texts.models_used(
                &text(&usage["inputTokens"]),
                &text(&usage["outputTokens"]),
                &reported,
            ),
            &text(&answer["cost"]),
            &format!("{:?}", raw(&answer["text"])),
        );
    }
    if answer["answeredBy"] == "workers" {
        return texts.models_by_workers(&name);
    }
    texts.models_failed(
        &name,
        &text(&answer["code"]),
        &millis(&answer["durationMs"]),
        &texts.no_answer(&text(&answer["detail"])),
        &hint(answer, texts),
    )
}

/// What to do about a model that does not answer: the server's words in English, the same in Russian by the code.
fn hint(answer: &Value, texts: Texts) -> String {
    let said = text(&answer["next"]);
    if texts.language() == Language::En {
        return said;
    }
    let (provider, model) = (text(&answer["provider"]), text(&answer["model"]));
    match answer["code"].as_str() {
        Some("MODEL_UNAUTHORIZED") => {
            format!("ключ не принят: проверьте apiKey у {provider}, затем openclaw config reload")
        }
        Some("MODEL_QUOTA_EXHAUSTED") => format!("деньги или квота у {provider} кончились: пополните"),
        Some("MODEL_UNKNOWN") => {
            format!("у {provider} нет {model}: проверьте имя; в Ollama её надо сначала скачать")
        }
        Some("MODEL_CONNECT") => {
            format!(
                "проверьте baseUrl, proxy и rootCertificate у {provider} и то, что он доступен с этой машины"
            )
        }
        Some("MODEL_RATE_LIMITED") => {
            format!("{provider} у своего предела: подождите или задайте в rateLimit то, что он позволяет")
        }
        Some("MODEL_OVERLOADED" | "MODEL_SERVER_ERROR") => {
            format!("у {provider} свои неполадки: подождите и назовите запасную модель в ai-fabric.fallback")
        }
        Some("MODEL_TIMEOUT") => {
            "не ответила вовремя: локальная модель могла ещё загружаться; попробуйте снова".to_owned()
        }
        Some("MODEL_BAD_REQUEST" | "MODEL_UNSUPPORTED") => {
            format!(
                "{provider} не принимает запрос: проверьте его kind, preset, streamUsage и maxTokensField"
            )
        }
        Some("MODEL_CONTENT_REFUSED" | "MODEL_CONTEXT_TOO_LONG") => {
            format!("{model} отказывается от безобидного вопроса: спросите её провайдера")
        }
        Some("MODEL_REFUSED") => {
            format!("{model} говорит, что не может ответить: смотрите журнал её программы")
        }
        Some("MODEL_CUT" | "MODEL_MALFORMED" | "MODEL_IN_STREAM") => {
            format!("{provider} говорит не на том, что сказано в kind: проверьте kind и baseUrl")
        }
        Some(_) | None => said,
    }
}

fn price(value: &Value, texts: Texts) -> String {
    match value.as_f64() {
        Some(0.0) => texts.models_free(),
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
        let text = explained(&answer, Texts::default());
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
            assert!(explained(&answer, Texts::default()).contains(words), "{by}");
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
        let text = tested(&answer, Texts::default());
        assert!(
            text.starts_with("FAIL  m (p): MODEL_UNAUTHORIZED after 7 ms"),
            "{text}"
        );
        assert!(text.contains("next  check apiKey of p"), "{text}");
        let russian = tested(&answer, Texts::new(Language::Ru));
        assert!(
            russian.contains("дальше  ключ не принят: проверьте apiKey у p"),
            "{russian}"
        );
    }
}
