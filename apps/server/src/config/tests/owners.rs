//! The table of fields against those who read them: the parts, the guide, the defaults.

use super::*;

#[test]
fn what_an_owner_decided_is_shown_unless_somebody_set_it() {
    let mut settings = from_file("concurrency.maxWorkers = 5").unwrap().settings;
    settings.decided("concurrency.minWorkers", &4);
    settings.decided("concurrency.maxWorkers", &8);
    let value = |path: &str| {
        settings
            .entries()
            .iter()
            .find(|entry| entry.path == path)
            .unwrap()
            .value(Texts::default())
            .to_owned()
    };
    assert_eq!(
        (value("concurrency.minWorkers"), value("concurrency.maxWorkers")),
        ("4".into(), "5".into())
    );
}

/// A value that the field takes.
fn example(field: &Field) -> String {
    match (field.default, field.kind) {
        (Initial::Value(text) | Initial::Owned(text), _) => text.to_owned(),
        (_, Kind::Integer(min, _)) => min.to_string(),
        (_, Kind::Number(min, _)) => min.to_string(),
        (_, Kind::Choice(choices)) => format!("{:?}", choices[0]),
        (_, Kind::Texts | Kind::Addresses) => "[]".to_owned(),
        (_, Kind::Flag) => "true".to_owned(),
        (_, Kind::Secret) => "{ env = \"SECRET\" }".to_owned(),
        (_, Kind::Url) => "\"https://example.net\"".to_owned(),
        (_, Kind::Text | Kind::Socket | Kind::Size | Kind::Levels) => "\"x\"".to_owned(),
    }
}

#[test]
fn every_field_of_the_table_is_one_the_server_reads_with_the_default_it_documents() {
    for field in FIELDS {
        let mut tree = tree::Tree::default();
        for required in ["ai-fabric.providers[0].id", "ai-fabric.providers[0].models[0].id"] {
            tree.set_text(required, "x", &Origin::Flag("--set"));
        }
        tree.set_text("ai-fabric.providers[0].kind", "demo", &Origin::Flag("--set"));
        let path = field.path.replace("[]", "[0]").replace('*', "x-name");
        let text = example(field);
        let plain = match field.kind {
            Kind::Secret | Kind::Texts | Kind::Addresses => text.clone(),
            _ => text.trim_matches('"').to_owned(),
        };
        tree.set_text(&path, &plain, &Origin::Flag("--set"));
        assert!(tree.faults.is_empty(), "{}: {:?}", field.path, tree.faults);
        tree.defaults();
        let table = toml::Value::Table(tree.table);
        assert!(
            Sections::deserialize(table).is_ok(),
            "{} is in the table, not in the sections",
            field.path
        );
    }
}

/// What the owner of a field takes when nobody says, in the table's spelling.
fn decided_by_the_owners() -> Vec<(String, String)> {
    use openclaw_ai_fabric::{
        CircuitConfig, FallbackChain, ModelDefinition, RouterConfig, TokenBudgetConfig,
    };
    use openclaw_core::{ModelId, Platform, ProviderId};
    use openclaw_streaming::StreamConfig;
    let millis = |time: Duration| time.as_millis().to_string();
    let mut owned: Vec<(String, String)> = wire::pool_values(&from_file("").unwrap().sections)
        .into_iter()
        .map(|(path, value)| (path.to_owned(), value))
        .collect();
    let mut add = |path: &str, value: String| owned.push((path.to_owned(), value));
    add("concurrency.preset", "\"custom\"".to_owned());
    let stream = |config: StreamConfig| {
        [
            ("flushTokenThreshold", config.flush_token_threshold.to_string()),
            ("flushTimeoutMs", millis(config.flush_timeout)),
            (
                "maxMessageLength",
                config.max_message_length.unwrap_or(0).to_string(),
            ),
            (
                "typingIndicatorIntervalMs",
                config
                    .typing_indicator_interval
                    .map_or_else(|| "0".to_owned(), millis),
            ),
        ]
    };
    for (field, value) in stream(StreamConfig::default()) {
        add(&format!("streaming.{field}"), value);
    }
    for platform in Platform::ALL {
        for (field, value) in stream(StreamConfig::for_platform(platform)) {
            add(&format!("streaming.{platform}.{field}"), value);
        }
        let limit = openclaw_messenger::RateLimits::default().of(platform);
        let rps = (1.0 / limit.interval().as_secs_f64()).round();
        add(&format!("messenger.rateLimits.{platform}.rps"), rps.to_string());
        add(
            &format!("messenger.rateLimits.{platform}.burstSize"),
            limit.burst().to_string(),
        );
    }
    let budget = TokenBudgetConfig::default();
    let limit = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    add("ai-fabric.budgets.free", limit(budget.limits.free));
    add("ai-fabric.budgets.standard", limit(budget.limits.standard));
    add("ai-fabric.budgets.premium", limit(budget.limits.premium));
    add("ai-fabric.budgets.admin", limit(budget.limits.admin));
    add("ai-fabric.budgets.freeTotal", limit(budget.free_total));
    let router = RouterConfig::default();
    add("ai-fabric.idleTimeoutMs", millis(router.idle_timeout));
    add("ai-fabric.limitWaitMs", millis(router.limit_wait));
    add(
        "ai-fabric.fallback.retriesPerMinute",
        router.retries_per_minute.to_string(),
    );
    add(
        "ai-fabric.fallback.retryPercent",
        router.retry_percent.to_string(),
    );
    add(
        "ai-fabric.circuit.benchMs",
        millis(CircuitConfig::default().bench_for),
    );
    let program = openclaw_command::CommandConfig::new("p".parse().unwrap(), "x");
    let of_provider = |field: &str| format!("ai-fabric.providers[].{field}");
    add(&of_provider("args"), format!("{:?}", program.arguments));
    let output = match program.output {
        openclaw_command::OutputFormat::Text => "text",
        openclaw_command::OutputFormat::JsonLines => "jsonLines",
    };
    add(&of_provider("output"), format!("\"{output}\""));
    let mebibytes = program.max_output_bytes >> 20;
    add(&of_provider("maxOutputBytes"), format!("\"{mebibytes}MiB\""));
    let scope = openclaw_gigachat::Scope::default().as_str();
    add(&of_provider("scope"), format!("\"{scope}\""));
    add(
        "ai-fabric.budgetScope",
        serde_json::to_string(&budget.scope).unwrap(),
    );
    add(
        "ai-fabric.firstTokenTimeoutMs",
        millis(RouterConfig::default().first_token_timeout),
    );
    let model = ModelId::parse("m").unwrap();
    let chain = FallbackChain::new(model.clone());
    add("ai-fabric.fallback.fallbacks", format!("{:?}", chain.fallbacks));
    add("ai-fabric.fallback.maxRetries", chain.max_retries.to_string());
    add("ai-fabric.fallback.retryDelayMs", millis(chain.retry_delay));
    let circuit = CircuitConfig::default();
    add(
        "ai-fabric.circuit.failures",
        circuit.failure_threshold.to_string(),
    );
    add("ai-fabric.circuit.openMs", millis(circuit.open_for));
    add(
        "ai-fabric.providers[].wordDelayMs",
        millis(openclaw_demo::WORD_DELAY),
    );
    let unlisted = ModelDefinition::unlisted(model, ProviderId::parse("p").unwrap());
    let of_model = |field: &str| format!("ai-fabric.providers[].models[].{field}");
    add(&of_model("aliases"), format!("{:?}", unlisted.aliases));
    add(&of_model("contextWindow"), unlisted.context_window.to_string());
    add(
        &of_model("maxOutputTokens"),
        unlisted.max_output_tokens.to_string(),
    );
    add(
        &of_model("costPer1kInput"),
        format!("{:?}", unlisted.cost_per_1k_input),
    );
    add(
        &of_model("costPer1kOutput"),
        format!("{:?}", unlisted.cost_per_1k_output),
    );
    add(
        &of_model("capabilities"),
        serde_json::to_string(&unlisted.capabilities).unwrap(),
    );
    add(
        &of_model("requiredTier"),
        serde_json::to_string(&unlisted.required_tier).unwrap(),
    );
    let gateway = openclaw_gateway::GatewayConfig::default();
    add("session.ttlMs", millis(gateway.session_ttl));
    add("session.maxHistoryTokens", gateway.max_history_tokens.to_string());
    add(
        "session.defaultTier",
        serde_json::to_string(&gateway.default_tier).unwrap(),
    );
    add("session.maxReplyTokens", gateway.max_reply_tokens.to_string());
    add("session.cleanupIntervalMs", millis(gateway.cleanup_interval));
    let policy = if gateway.forget_with_session {
        "forget"
    } else {
        "keep"
    };
    add("session.historyPolicy", format!("\"{policy}\""));
    let hooks = openclaw_plugins::HookLimits::default();
    add("plugins.hookTimeoutMs", millis(hooks.time));
    add("plugins.failuresToError", hooks.failures_in_a_row.to_string());
    add("inbox.maxOpen", gateway.max_open_entries.to_string());
    add("inbox.admissionDeadlineMs", millis(gateway.admission_deadline));
    add("inbox.replayMaxAgeMs", millis(gateway.replay_max_age));
    add("inbox.maxAttempts", gateway.max_attempts.to_string());
    owned
}

#[test]
fn the_documented_defaults_are_those_of_the_parts_that_own_them() {
    // A provider is built with its priority; no part has one of its own.
    const WITHOUT_OWNER: &[&str] = &["ai-fabric.providers[].priority"];
    let plain = |text: &str| text.replace('_', "").replace(", ", ",");
    let decided = decided_by_the_owners();
    for (path, value) in &decided {
        let field = schema::find(path).unwrap_or_else(|| panic!("{path} is not in the table"));
        let (Initial::Owned(text) | Initial::Value(text)) = field.default else {
            panic!("{path} documents no default")
        };
        let text = if matches!(field.kind, Kind::Texts | Kind::Choice(_)) {
            text.replace(", ", ",")
        } else {
            plain(text)
        };
        assert_eq!(text, value.replace(", ", ","), "{path}");
    }
    for field in FIELDS
        .iter()
        .filter(|field| matches!(field.default, Initial::Owned(_)))
    {
        let known = decided.iter().any(|(path, _)| path == field.path) || WITHOUT_OWNER.contains(&field.path);
        assert!(known, "{}: no part was asked for its default", field.path);
    }
}

/// What the guide says after the meaning of a field that takes one of a few words.
fn choices_in(language: Language, field: &Field) -> String {
    let Kind::Choice(choices) = field.kind else {
        return String::new();
    };
    let words = Texts::new(language).one_of(["One of", "Одно из"]);
    format!(" {words} `{}`.", choices.join("`, `"))
}

/// The guide's tables say of every field what the table says, each in its language: the table's words are the only ones.
#[test]
fn the_guide_names_every_field_with_its_default() {
    for language in Language::ALL {
        let texts = Texts::new(language);
        let page = format!(
            "{}/../../docs/guide/{}/configuration.md",
            env!("CARGO_MANIFEST_DIR"),
            language.as_str()
        );
        let text = std::fs::read_to_string(&page).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        for field in FIELDS {
            let start = format!("| `{}` | ", field.path);
            let row = rows.iter().find_map(|row| row.strip_prefix(&start));
            let row = row.unwrap_or_else(|| panic!("{page} has no row {start}"));
            let (default, meaning) = row.split_once(" | ").unwrap();
            let documented = match field.default {
                Initial::Value(value) | Initial::Owned(value) => format!("`{value}`"),
                Initial::Unset(words) => texts.one_of(words).to_owned(),
                Initial::Required => texts.explain_required().trim_matches(['(', ')']).to_owned(),
            };
            assert_eq!(default, documented, "{page}: {}", field.path);
            let values = choices_in(language, field);
            let documented = format!("{}{values} |", texts.one_of(field.doc));
            assert_eq!(meaning, documented, "{page}: {}", field.path);
        }
        assert_eq!(rows.len(), FIELDS.len(), "{page} names a field that is not there");
    }
}

#[test]
fn every_field_is_explained_in_both_languages() {
    let is_cyrillic = |c: char| matches!(c, '\u{0400}'..='\u{04FF}');
    for field in FIELDS {
        let words = match field.default {
            Initial::Unset(words) => vec![field.doc, words],
            Initial::Value(_) | Initial::Owned(_) | Initial::Required => vec![field.doc],
        };
        for [en, ru] in words {
            assert!(
                !en.is_empty() && !en.contains(is_cyrillic),
                "{}: {en}",
                field.path
            );
            assert!(ru.contains(is_cyrillic), "{}: {ru}", field.path);
            assert_eq!(en.ends_with('.'), ru.ends_with('.'), "{}: {ru}", field.path);
        }
    }
}

#[test]
fn every_choice_of_the_table_is_one_that_the_parts_take() {
    for field in FIELDS {
        let Kind::Choice(choices) = field.kind else {
            continue;
        };
        if field.path.contains(['[', '*']) {
            continue;
        }
        for choice in choices {
            let flag = format!("{}={choice}", field.path);
            // Workers that are processes need a program.
            let loaded = load(
                None,
                &FixedEnvironment::default(),
                &sets([flag.as_str(), "concurrency.command=sh"]),
            );
            assert!(loaded.is_ok(), "{flag}: {:?}", loaded.err());
        }
    }
}
