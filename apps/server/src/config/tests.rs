//! The configuration from outside: layers, origins, faults.

use super::environment::FixedEnvironment;
use super::fault::{ConfigError, Origin};
use super::*;
use crate::config::schema::{FIELDS, Field, Initial, Kind};
use crate::config::sections::RuntimeKind;
use crate::machine::MachineFacts;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// A file that sets something everywhere.
const SAMPLE: &str = r#"
configVersion = 1
[server]
listen = "127.0.0.1:8080"
bodyLimit = "2MiB"
trustedProxies = ["10.0.0.1"]
[storage]
kind = "memory"
[concurrency]
preset = "large"
maxWorkers = 12
backpressureThreshold = 1
[streaming]
flushTokenThreshold = 40
[streaming.web]
flushTimeoutMs = 100
[messenger.rateLimits]
telegram = { rps = 25, burstSize = 5 }
[messenger.telegram]
token = { env = "BOT" }
mode = "polling"
[ai-fabric.budgets]
free = 5_000
admin = -1
[ai-fabric.fallback]
primaryModel = "small"
fallbacks = ["big"]
[[ai-fabric.providers]]
id = "main"
kind = "openai"
baseUrl = "https://llm.example.net/v1/"
apiKey = { file = "/run/key" }
headers = { x-title = "openclaw" }
rateLimit = { requestsPerMinute = 600 }
[[ai-fabric.providers.models]]
id = "small"
contextWindow = 128_000
costPer1kInput = 0.00015
capabilities = ["chat", "streaming"]
[[ai-fabric.providers.models]]
id = "big"
[[ai-fabric.providers]]
id = "demo"
kind = "demo"
[session]
defaultTier = "standard"
[logging]
level = "info,concurrency=debug"
[logging.levels]
ai-fabric = "trace"
"#;

/// Has the form of a bot's token and is none.
const BOT_TOKEN: &str = "1:AAFx_0123456789abcdefghijklmnopqrst";

fn sample_environment() -> FixedEnvironment {
    let mut environment = FixedEnvironment::of([("BOT", BOT_TOKEN)]);
    environment.files.insert("/run/key".into(), "sk-secret\n".into());
    environment
}

fn from_env<const N: usize>(vars: [(&str, &str); N]) -> Result<Loaded, ConfigError> {
    load(None, &FixedEnvironment::of(vars), &[])
}

/// Arguments of `--set`.
fn sets<S: Into<String>, const N: usize>(settings: [S; N]) -> [Override; N] {
    settings.map(|setting| Override {
        flag: "--set",
        setting: setting.into(),
    })
}

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    load(Some(text), &FixedEnvironment::default(), &[])
}

/// The faults, one a line.
#[track_caller]
fn faults(result: Result<Loaded, ConfigError>) -> Vec<String> {
    result
        .unwrap_err()
        .faults
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn origin(loaded: &Loaded, path: &str) -> (String, String) {
    let entry = loaded
        .settings
        .entries()
        .iter()
        .find(|entry| entry.path == path)
        .unwrap();
    (entry.value.clone(), entry.origin.to_string())
}

#[test]
fn nothing_given_is_a_working_configuration_with_the_promised_defaults() {
    let loaded = from_env([]).unwrap();
    let sections = &loaded.sections;
    assert_eq!(sections.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(sections.server.max_connections_per_address, 256);
    assert_eq!(sections.server.shutdown_grace, Duration::from_secs(25));
    assert_eq!(sections.server.body_limit.0, 1 << 20);
    assert_eq!(sections.inbox.max_open, 100_000);
    assert_eq!(sections.inbox.admission_deadline, Duration::from_secs(120));
    assert_eq!(sections.inbox.replay_max_age, Duration::from_secs(3_600));
    assert_eq!(sections.session.max_reply_tokens, 2_048);
    assert_eq!(sections.messenger.telegram.base_url, "https://api.telegram.org");
    assert_eq!(sections.server.public_url, None);
    assert_eq!(sections.concurrency, sections::ConcurrencySection::default());
    assert!(loaded.secrets.telegram_token.is_none());
}

#[test]
fn a_file_is_read_whole() {
    let loaded = load(Some(SAMPLE), &sample_environment(), &[]).unwrap();
    let sections = &loaded.sections;
    assert_eq!(sections.server.listen.port(), 8080);
    assert_eq!(sections.server.body_limit.0, 2 << 20);
    assert_eq!(sections.concurrency.max_workers, Some(12));
    assert_eq!(sections.concurrency.min_workers, None, "the preset decides");
    assert_eq!(sections.concurrency.backpressure_threshold, Some(1.0));
    assert_eq!(sections.streaming.web.flush_timeout_ms, Some(100));
    assert_eq!(sections.messenger.rate_limits.telegram.rps, Some(25.0));
    assert_eq!(sections.ai_fabric.budgets.admin, Some(-1));
    let provider = &sections.ai_fabric.providers[0];
    assert_eq!(provider.base_url.as_deref(), Some("https://llm.example.net/v1"));
    assert_eq!(provider.headers["x-title"], "openclaw");
    assert_eq!(provider.models[0].cost_per1k_input, Some(0.000_15));
    assert_eq!(provider.models[1].id, "big");
    assert_eq!(
        sections.logging.directives(),
        "info,concurrency=debug,ai-fabric=trace"
    );
    assert_eq!(loaded.secrets.telegram_token.unwrap().expose(), BOT_TOKEN);
    assert_eq!(
        loaded.secrets.providers["main"]
            .api_key
            .as_ref()
            .unwrap()
            .expose(),
        "sk-secret"
    );
    assert!(loaded.notices.is_empty());
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults_and_each_value_knows_why() {
    let file = "[concurrency]\nminWorkers = 2\nmaxWorkers = 5\nmaxQueueSize = 50\n";
    let environment = FixedEnvironment::of([
        ("OPENCLAW__CONCURRENCY__MAX_WORKERS", "64"),
        ("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "640"),
        ("OPENCLAW__CONCURRENCY__PRESET", "large"),
    ]);
    let loaded = load(
        Some(file),
        &environment,
        &sets(["concurrency.maxQueueSize=6_400"]),
    )
    .unwrap();
    let pool = &loaded.sections.concurrency;
    assert_eq!(
        (
            pool.min_workers,
            pool.max_workers,
            pool.max_queue_size,
            pool.preset.as_deref()
        ),
        (Some(2), Some(64), Some(6_400), Some("large"))
    );
    let expected = [
        ("concurrency.minWorkers", "2", "file 2:14"),
        (
            "concurrency.maxWorkers",
            "64",
            "environment OPENCLAW__CONCURRENCY__MAX_WORKERS",
        ),
        ("concurrency.maxQueueSize", "6400", "--set"),
        ("concurrency.workerTimeoutMs", "120000", "default"),
    ];
    for (path, value, from) in expected {
        assert_eq!(origin(&loaded, path), (value.into(), from.into()), "{path}");
    }
}

#[test]
fn the_names_that_people_know_work() {
    let mut environment = FixedEnvironment::of([
        ("PORT", "8123"),
        ("LOG_LEVEL", "debug,session=trace"),
        ("OPENCLAW_DATA_DIR", "/srv/d"),
        ("OPENCLAW_ADMIN_TOKEN", "admin-token-0123456789"),
        ("OPENCLAW_API_KEY_FILE", "/run/api"),
        ("TELEGRAM_BOT_TOKEN", BOT_TOKEN),
        ("WEBHOOK_SECRET", "hook_secret"),
        ("WEB_API_KEY", "web-key-0123456789"),
        ("OPENAI_API_KEY", "sk-1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/"),
        ("OPENAI_MODEL", "mock"),
        ("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", "http://127.0.0.1:8"),
        ("OPENCLAW__MESSENGER__TELEGRAM__MODE", "webhook"),
        ("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE", "edit"),
        ("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__RPS", "1000"),
        ("OPENCLAW__MESSENGER__RATE_LIMITS__TELEGRAM__BURST_SIZE", "2000"),
        ("OPENCLAW__SESSION__DEFAULT_TIER", "standard"),
    ]);
    environment
        .files
        .insert("/run/api".into(), "api-key-0123456789\n".into());
    let loaded = load(None, &environment, &[]).unwrap();
    let (sections, secrets) = (&loaded.sections, &loaded.secrets);
    assert_eq!(sections.server.listen.to_string(), "127.0.0.1:8123");
    assert_eq!(sections.logging.level, "debug,session=trace");
    assert_eq!(sections.storage.data_dir.as_deref(), Some("/srv/d".as_ref()));
    assert_eq!(
        secrets.admin_token.as_ref().unwrap().expose(),
        "admin-token-0123456789"
    );
    assert_eq!(secrets.api_key.as_ref().unwrap().expose(), "api-key-0123456789");
    assert_eq!(secrets.telegram_token.as_ref().unwrap().expose(), BOT_TOKEN);
    assert_eq!(secrets.telegram_secret.as_ref().unwrap().expose(), "hook_secret");
    assert_eq!(
        secrets.web_api_key.as_ref().unwrap().expose(),
        "web-key-0123456789"
    );
    let FoundProvider::Known(found) = &loaded.found else {
        panic!("{:?}", loaded.found)
    };
    assert_eq!(found.secrets.api_key.as_ref().unwrap().expose(), "sk-1");
    assert_eq!(found.section.base_url.as_deref(), Some("http://127.0.0.1:9/v1"));
    assert_eq!(found.section.models[0].id, "mock");
    let telegram = &sections.messenger.telegram;
    assert_eq!(telegram.base_url, "http://127.0.0.1:8");
    assert_eq!(telegram.mode, sections::IntakeMode::Webhook);
    assert_eq!(telegram.stream_mode, sections::StreamMode::Edit);
    let limit = &sections.messenger.rate_limits.telegram;
    assert_eq!((limit.rps, limit.burst_size), (Some(1_000.0), Some(2_000)));
    assert_eq!(sections.session.default_tier.as_deref(), Some("standard"));
}

#[test]
fn no_secret_is_shown() {
    let loaded = from_env([
        ("OPENCLAW_ADMIN_TOKEN", "hunter2-hunter2-hunter2"),
        (
            "OPENCLAW__MESSENGER__TELEGRAM__TOKEN",
            "7:hunter2-hunter2-hunter2-hunter2-hun",
        ),
        ("OPENAI_API_KEY", "hunter2-key"),
    ])
    .unwrap();
    assert_eq!(
        origin(&loaded, "messenger.telegram.token").0,
        "{ env = \"OPENCLAW__MESSENGER__TELEGRAM__TOKEN\" }"
    );
    assert_eq!(
        loaded.secrets.telegram_token.as_ref().unwrap().expose(),
        "7:hunter2-hunter2-hunter2-hunter2-hun"
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!loaded.settings.to_table().contains("hunter2"));
    assert!(!loaded.settings.to_json().to_string().contains("hunter2"));

    let literal = from_file("[messenger.telegram]\ntoken = \"hunter2\"\n");
    let told = faults(literal).join("\n");
    assert!(
        told.contains("file 2:9: messenger.telegram.token: a secret does not belong in the configuration"),
        "{told}"
    );
    assert!(!told.contains("hunter2"));
    let flag = load(
        None,
        &FixedEnvironment::default(),
        &sets(["server.apiKey=\"hunter2\""]),
    );
    assert!(!faults(flag).join("\n").contains("hunter2"));
}

#[test]
fn all_faults_are_found_at_once_each_with_its_place() {
    let text = "[server]\nlisten = \"nowhere\"\nmaxConection = 5\n[concurrency]\nmaxWorkers = 0\n\
                minWorkers = \"two\"\npreset = \"lage\"\n[telegram]\ntoken = 1\n[storage]\nkind = \"sqlit\"\n\
                [[ai-fabric.providers]]\nkind = \"openai\"\n";
    let environment = FixedEnvironment::of([
        ("OPENCLAW__CONCURRENCY__MAX_WORKER", "4"),
        ("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "many"),
        ("PORT", "70000"),
    ]);
    let found = faults(load(
        Some(text),
        &environment,
        &sets(["session.ttl=5", "nonsense"]),
    ));
    let expected = [
        "file 2:10: server.listen: \"nowhere\"; expected an address with a port, such as 127.0.0.1:3000",
        "file 3:1: server.maxConection: there is no such key; did you mean `maxConnections`?",
        "file 5:14: concurrency.maxWorkers: 0; expected a whole number from 1 to 1000000000",
        "file 6:14: concurrency.minWorkers: \"two\"; expected a whole number from 0 to 1000000000",
        "file 7:10: concurrency.preset: \"lage\"; expected one of custom, small, medium, large, xlarge; did you mean large?",
        "file 11:8: storage.kind: \"sqlit\"; expected one of memory, sqlite; did you mean sqlite?",
        "environment OPENCLAW__CONCURRENCY__MAX_WORKER: this variable names no field; did you mean OPENCLAW__CONCURRENCY__MAX_WORKERS?",
        "environment OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE: concurrency.maxQueueSize: \"many\"; expected a whole number from 1 to 1000000000",
        "environment PORT: server.listen: \"70000\"; expected a port, 0 to 65535",
        "--set: session.ttl: there is no such field; did you mean `ttlMs`?",
        "--set: nonsense: expected section.field=value",
    ];
    for fault in expected {
        assert!(
            found.iter().any(|other| other == fault),
            "missing: {fault}\nin: {found:#?}"
        );
    }
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("ai-fabric.providers[0].id: it is missing")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|fault| fault.starts_with("file 8:") && fault.contains("telegram: there is no such key"))
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let found = faults(from_file("[server]\nlisten = \n[storage]\nkind = 'memory\n"));
    assert!(
        found.iter().any(|fault| fault.starts_with("file 2:")),
        "{found:#?}"
    );
    assert!(
        found.iter().any(|fault| fault.starts_with("file 4:")),
        "{found:#?}"
    );
}

#[test]
fn snake_case_is_understood_with_a_hint_but_not_twice() {
    let loaded = from_file("[concurrency]\nmax_workers = 6\n[aiFabric.budgets]\nfree = 1\n").unwrap();
    assert_eq!(loaded.sections.concurrency.max_workers, Some(6));
    assert_eq!(loaded.sections.ai_fabric.budgets.free, Some(1));
    let notices: Vec<_> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "file 2:1: concurrency.maxWorkers: `max_workers` is understood; its name is `maxWorkers`",
            "file 3:2: ai-fabric: `aiFabric` is understood; its name is `ai-fabric`",
        ]
    );
    let twice = faults(from_file("[concurrency]\nmax_workers = 6\nmaxWorkers = 7\n"));
    assert_eq!(
        twice,
        ["file 3:1: concurrency.maxWorkers: it is written twice, in two spellings"]
    );
}

#[test]
fn others_are_let_in_only_with_keys_of_the_operators() {
    let open = [("OPENCLAW__SERVER__LISTEN", "0.0.0.0:3000")];
    let found = faults(from_env(open));
    assert_eq!(
        found,
        [
            "environment OPENCLAW__SERVER__LISTEN: server.listen: 0.0.0.0:3000 can be reached by others, so the keys made \
          at first start do not count; set OPENCLAW_ADMIN_TOKEN and OPENCLAW_API_KEY (16 or more visible characters \
          each), or listen on 127.0.0.1"
        ]
    );
    let one = faults(from_env([open[0], ("OPENCLAW_ADMIN_TOKEN", "admin-0123456789")]));
    assert!(one[0].contains("set OPENCLAW_API_KEY (16"), "{one:?}");
    from_env([
        open[0],
        ("OPENCLAW_ADMIN_TOKEN", "admin-0123456789"),
        ("OPENCLAW_API_KEY", "apikey-0123456789"),
    ])
    .unwrap();
    let weak = faults(from_env([("OPENCLAW_API_KEY", "fifteen-chars-x")]));
    assert!(weak[0].contains("is too weak"), "{weak:?}");
    let same = faults(from_env([
        ("OPENCLAW_ADMIN_TOKEN", "the-same-0123456789"),
        ("OPENCLAW_API_KEY", "the-same-0123456789"),
    ]));
    assert!(same[0].contains("the same as the admin token"), "{same:?}");
}

#[test]
fn rules_that_join_fields_are_checked() {
    let check = |text: &str, expected: &str| {
        let found = faults(from_file(text));
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{expected} in {found:#?}"
        );
    };
    check(
        "concurrency.minWorkers = 5",
        "minWorkers is 5; it must be at most concurrency.maxWorkers, which is 4",
    );
    check(
        "concurrency.stuckThresholdMs = 5_000",
        "heartbeatIntervalMs is 5000; it must be less than",
    );
    check("concurrency.backpressureThreshold = 0", "above 0 and at most 1");
    check(
        "[[ai-fabric.providers]]\nid='a'\nkind='openai'\n",
        "it has no models",
    );
    check(
        "[[ai-fabric.providers]]\nid='a'\nkind='demo'\n[[ai-fabric.providers]]\nid='a'\nkind='demo'\n",
        "file 5:4: ai-fabric.providers[1].id: \"a\" names two providers",
    );
    check(
        "[[ai-fabric.providers]]\nid='a'\nkind='demo'\nheaders={Authorization='x'}\n",
        "Authorization carries a secret",
    );
    check(
        "[[ai-fabric.providers]]\nid='a'\nkind='demo'\nmodels=[{id='m',capabilities=['chatt']}]\n",
        "\"chatt\"; expected some of chat",
    );
    check(
        "[ai-fabric.fallback]\nprimaryModel='m'\nfallbacks=['a/m','x']\n[[ai-fabric.providers]]\nid='a'\nkind='demo'\nmodels=[{id='m'}]\n",
        "file 3:11: ai-fabric.fallback.fallbacks: \"x\" is a model that no provider lists",
    );
    check(
        "messenger.telegram.secret = { env = 'NOT_SET' }",
        "the variable NOT_SET is not set",
    );
    let webhook = from_env([
        ("TELEGRAM_BOT_TOKEN", BOT_TOKEN),
        ("OPENCLAW__SERVER__PUBLIC_URL", "https://bot.example"),
    ]);
    assert!(faults(webhook)[0].contains("set WEBHOOK_SECRET"));
    from_env([("TELEGRAM_BOT_TOKEN", BOT_TOKEN)]).unwrap();
    let both = from_env([("WEB_API_KEY", "x"), ("WEB_API_KEY_FILE", "/y")]);
    assert!(faults(both)[0].contains("keep one"));
    from_file("concurrency.preset = 'large'\nconcurrency.minWorkers = 6\n").unwrap();
}

#[test]
fn a_list_can_be_given_by_the_environment_whole_or_piece_by_piece() {
    let whole = from_env([(
        "OPENCLAW__AI_FABRIC__PROVIDERS",
        "[{id='a',kind='demo'},{id='b',kind='demo',anyModel=true}]",
    )]);
    let loaded = whole.unwrap();
    assert_eq!(loaded.sections.ai_fabric.providers.len(), 2);
    assert!(loaded.sections.ai_fabric.providers[1].any_model);

    let pieces = from_env([
        ("OPENCLAW__AI_FABRIC__PROVIDERS__0__ID", "a"),
        ("OPENCLAW__AI_FABRIC__PROVIDERS__0__KIND", "openai"),
        ("OPENCLAW__AI_FABRIC__PROVIDERS__0__API_KEY", "sk-9"),
        ("OPENCLAW__AI_FABRIC__PROVIDERS__0__MODELS__0__ID", "m"),
        ("OPENCLAW__LOGGING__LEVELS__AI_FABRIC", "debug"),
        ("OPENCLAW__SERVER__TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2"),
    ]);
    let loaded = pieces.unwrap();
    let provider = &loaded.sections.ai_fabric.providers[0];
    assert_eq!((provider.id.as_str(), provider.models[0].id.as_str()), ("a", "m"));
    assert_eq!(
        loaded.secrets.providers["a"].api_key.as_ref().unwrap().expose(),
        "sk-9"
    );
    assert_eq!(loaded.sections.logging.levels["ai-fabric"], "debug");
    assert_eq!(
        loaded.sections.server.trusted_proxies,
        ["10.0.0.1", "10.0.0.2"].map(|address| address.parse::<std::net::IpAddr>().unwrap())
    );

    let missing = faults(from_env([("OPENCLAW__AI_FABRIC__PROVIDERS__0__ID", "a")]));
    assert!(
        missing[0].contains("ai-fabric.providers[0].kind: it is missing"),
        "{missing:?}"
    );
    let gap = faults(from_env([("OPENCLAW__AI_FABRIC__PROVIDERS__7__ID", "a")]));
    assert!(gap[0].contains("no such place"), "{gap:?}");
}

#[test]
fn a_port_replaces_the_files_port_but_not_a_flags() {
    let environment = FixedEnvironment::of([("PORT", "4000")]);
    let file = Some("[server]\nlisten = '[::1]:9000'\n");
    assert_eq!(
        load(file, &environment, &[])
            .unwrap()
            .sections
            .server
            .listen
            .to_string(),
        "[::1]:4000"
    );
    let flag = sets(["server.listen=127.0.0.1:5000"]);
    assert_eq!(
        load(file, &environment, &flag)
            .unwrap()
            .sections
            .server
            .listen
            .port(),
        5000
    );
}

#[test]
fn a_field_explains_itself() {
    let settings = from_env([("LOG_LEVEL", "debug")]).unwrap().settings;
    let text = explain::explain(&settings, "logging.level").unwrap();
    for part in [
        "OPENCLAW__LOGGING__LEVEL, LOG_LEVEL",
        "\"debug\" (environment LOG_LEVEL)",
        "\"info\"",
        "at once after openclaw config reload",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        explain::explain(&settings, "logging.levl"),
        Err(explain::Meant::One("logging.level"))
    );
}

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
            .value
            .clone()
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

/// The guide's tables, in both languages, say of every field what the table says.
#[test]
fn the_guide_names_every_field_with_its_default() {
    for language in ["en", "ru"] {
        let page = format!(
            "{}/../../docs/guide/{language}/configuration.md",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&page).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        for field in FIELDS {
            let start = format!("| `{}` | ", field.path);
            let row = rows.iter().find_map(|row| row.strip_prefix(&start));
            let row = row.unwrap_or_else(|| panic!("{page} has no row {start}"));
            let (default, meaning) = row.split_once(" | ").unwrap();
            match (field.default, language) {
                (Initial::Value(value) | Initial::Owned(value), _) => {
                    assert_eq!(default, format!("`{value}`"), "{page}: {}", field.path);
                }
                (Initial::Unset(words), "en") => assert_eq!(default, words, "{page}: {}", field.path),
                (Initial::Unset(_) | Initial::Required, _) => {}
            }
            let meaning = meaning.trim_end_matches(" |");
            if language == "en" {
                assert_eq!(meaning, field.doc, "{page}: {}", field.path);
            }
        }
        assert_eq!(rows.len(), FIELDS.len(), "{page} names a field that is not there");
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

#[test]
fn what_the_parts_would_refuse_is_told_with_all_other_faults() {
    let found = faults(from_file(
        "[streaming]\nflushTimeoutMs = 900_000\n[streaming.web]\nmaxMessageLength = 5\n[concurrency]\npreset = 'large'\n\
         maxWorkers = 3\nmaxQueueSize = 20_000_000\n[logging]\nlevle = 1\n[messenger.rateLimits.api]\nburstSize = 2_000_000\n",
    ));
    for expected in [
        "file 10:1: logging.levle: there is no such key; did you mean `level`?",
        "file 2:18: streaming.flushTimeoutMs: 900000; it must be from 1 to 600000",
        "file 4:20: streaming.web.maxMessageLength: 5; it must be 0 (unlimited) or at least 64",
        "file 7:14: concurrency.maxWorkers: concurrency.minWorkers is 4; it must be at most maxWorkers",
        "file 8:16: concurrency.maxQueueSize: 20000000; it must be between 1 and 10000000",
        "file 12:13: messenger.rateLimits.api.burstSize: 2000000; it must be between 1 and 1000000",
    ] {
        assert!(
            found.iter().any(|fault| fault == expected),
            "missing: {expected}\nin: {found:#?}"
        );
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn worker_processes_need_a_program_that_is_there() {
    let found = faults(from_file("[concurrency]\nruntime = 'process'\n"));
    assert_eq!(
        found,
        [
            "default: concurrency.command: nothing; it must name a program, because concurrency.runtime is process"
        ]
    );
    let found = faults(from_file(
        "[concurrency]\nruntime = 'process'\ncommand = ['/nowhere/worker', 'x']\ndirectory = '/nowhere'\n",
    ));
    assert_eq!(
        found,
        [
            "file 3:11: concurrency.command: /nowhere/worker; it must be a program that exists and may be run",
            "file 4:13: concurrency.directory: /nowhere; it must be a directory that exists",
        ]
    );
    let loaded =
        from_file("[concurrency]\nruntime = 'process'\ncommand = ['sh', '-c', 'x']\nenv = ['KEY']\n")
            .unwrap();
    let section = loaded.sections.concurrency;
    assert_eq!(section.runtime, RuntimeKind::Process);
    assert_eq!(section.command.unwrap(), ["sh", "-c", "x"]);
    assert_eq!(section.env.unwrap(), ["KEY"]);
}

#[test]
fn what_a_machine_cannot_carry_and_what_has_no_effect_is_advised_upon() {
    let environment = FixedEnvironment {
        machine: MachineFacts {
            cores: Some(2),
            memory_mb: Some(2_048),
        },
        ..FixedEnvironment::default()
    };
    let notices = |text: &str| -> Vec<String> {
        let loaded = load(Some(text), &environment, &[]).unwrap();
        loaded.notices.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        notices("[concurrency]\nruntime = 'process'\ncommand = ['sh']\nmaxWorkers = 4\n"),
        [
            "default: concurrency.memoryLimitMb: 512; 4 workers may use 2048 MB together, more than 80 % of the machine's \
             2048 MB",
            "file 4:14: concurrency.maxWorkers: 4; one worker per core is advised; the machine has 2",
        ]
    );
    assert_eq!(
        notices("[concurrency]\ncommand = ['sh']\nmaxQueueSize = 65\n"),
        [
            "file 3:16: concurrency.maxQueueSize: 65; 4 to 16 times maxWorkers is advised",
            "file 2:11: concurrency.command: has no effect: concurrency.runtime is task",
        ]
    );
    let idle = notices(
        "[concurrency]\nruntime = 'process'\ncommand = ['sh']\nmaxWorkers = 1\nmaxQueueSize = 8\n[[ai-fabric.providers]]\nid = \
         'a'\nkind = 'demo'\n",
    );
    assert!(
        idle.len() == 1 && idle[0].contains("ai-fabric.providers: has no effect"),
        "{idle:#?}"
    );
    assert!(notices("").is_empty(), "the defaults are wise everywhere");
}

#[test]
fn what_only_follows_from_a_value_that_cannot_be_read_is_not_told() {
    let found = faults(from_file("[concurrency]\nminWorkers = 6\nmaxWorkers = 'many'\n"));
    assert_eq!(found.len(), 1, "{found:#?}");
    let open =
        "[server]\nlisten = '0.0.0.0:1'\nadminToken = 'in-the-file-itself'\napiKey = { env = 'KEY' }\n";
    let environment = FixedEnvironment::of([("KEY", "apikey-0123456789")]);
    let found = faults(load(Some(open), &environment, &[]));
    assert!(
        found.len() == 1 && found[0].contains("server.adminToken"),
        "{found:#?}"
    );
    let broken = faults(from_file("[server]\nlisten = '0.0.0.0:1'\nadminToken = \n"));
    assert!(
        broken.iter().all(|fault| !fault.contains("can be reached")),
        "{broken:#?}"
    );
}

#[test]
fn a_fault_of_one_section_hides_none_of_another() {
    let text = "[concurrency]\nminWorkers = 6\nmaxWorkers = 4\n\
                [[ai-fabric.providers]]\nid = 'a'\nkind = 'opnai'\nmodels = [{id='m'},{name='x'},{id='m'}]\n\
                [[ai-fabric.providers]]\nkind = 'openai'\n\
                [[ai-fabric.providers]]\nid = 'c'\nkind = 'openai'\n\
                [messenger.telegram]\nsecret = 'in-the-file'\n[server]\nadminToken = { env = 'WEAK' }\n";
    let found = faults(load(Some(text), &FixedEnvironment::of([("WEAK", "short")]), &[]));
    for expected in [
        "file 2:14: concurrency.minWorkers is 6; it must be at most concurrency.maxWorkers, which is 4",
        "file 6:8: ai-fabric.providers[0].kind: \"opnai\"; expected one of",
        "file 7:20: ai-fabric.providers[0].models[1].id: it is missing",
        "file 7:35: ai-fabric.providers[0].models[2].id: \"m\" is listed twice",
        "file 8:1: ai-fabric.providers[1].id: it is missing",
        "ai-fabric.providers[1]: it has no models",
        "ai-fabric.providers[2]: it has no models",
        "file 14:10: messenger.telegram.secret: a secret does not belong in the configuration",
        "file 16:14: server.adminToken: the secret in { env = \"WEAK\" } is too weak",
    ] {
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "missing: {expected}\nin: {found:#?}"
        );
    }
    assert_eq!(found.len(), 9, "nothing is told twice: {found:#?}");
    let strange = faults(from_file(
        "[ai-fabric]\nproviders = [1, { id = 'b' }]\nbudgetScope = 'x'\n",
    ));
    assert!(
        strange
            .iter()
            .any(|fault| fault.contains("providers[1].kind: it is missing")),
        "{strange:#?}"
    );
    assert!(
        strange.iter().any(|fault| fault.contains("budgetScope")),
        "{strange:#?}"
    );
}

#[test]
fn a_misspelt_name_of_a_field_that_must_be_given_is_one_fault() {
    let found = faults(from_file("[[ai-fabric.providers]]\nid = 'a'\nkindd = 'demo'\n"));
    assert_eq!(
        found,
        ["file 3:1: ai-fabric.providers[0].kindd: there is no such key; did you mean `kind`?"]
    );
}

#[test]
fn a_fault_of_a_flag_is_told_under_the_flags_name() {
    let open = [Override {
        flag: "--listen",
        setting: "server.listen=0.0.0.0:3000".to_owned(),
    }];
    let found = faults(load(None, &FixedEnvironment::default(), &open));
    assert!(
        found[0].starts_with("--listen: server.listen: 0.0.0.0:3000 can be reached"),
        "{found:?}"
    );
}

#[test]
fn a_text_that_is_no_bots_token_is_a_fault_that_does_not_show_it() {
    for (token, why) in [
        ("123456:ABC…", "a character that no token has"),
        ("123456:ABC", "it has 3 characters"),
        ("hunter2", "it has no colon"),
    ] {
        let found = faults(from_env([("TELEGRAM_BOT_TOKEN", token)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("{ env = \"TELEGRAM_BOT_TOKEN\" } is not a bot's token")
                && found[0].contains(why),
            "{found:?}"
        );
        assert!(!found[0].contains(token), "{found:?}");
    }
}

#[test]
fn what_the_environment_says_of_a_provider_is_checked_where_it_counts() {
    let vars = [
        ("OPENAI_API_KEY", "sk-…"),
        ("OPENAI_BASE_URL", "user:hush@127.0.0.1:11434/v1"),
        ("OPENAI_MODEL", "a\u{7}b"),
    ];
    let found = faults(from_env(vars));
    let begins = [
        "environment OPENAI_API_KEY: the key has",
        "environment OPENAI_BASE_URL: expected an http",
        "environment OPENAI_MODEL: ",
    ];
    for begin in begins {
        assert!(
            found.iter().any(|fault| fault.starts_with(begin)),
            "{begin} in {found:#?}"
        );
    }
    assert!(found.len() == 3 && !found.concat().contains("hush"), "{found:#?}");
    let file = "[[ai-fabric.providers]]\nid = 'a'\nkind = 'demo'\n";
    load(Some(file), &FixedEnvironment::of(vars), &[]).unwrap();
}

#[test]
fn a_variable_that_looks_like_ours_and_is_not_read_is_told() {
    let loaded = from_env([
        ("OPENCLAW_ADMINTOKEN", "x"),
        ("OPENCLAW_CONCURRENCY__MAX_WORKERS", "8"),
        ("OPENCLAW_OF_SOMEBODY_ELSE", "1"),
        ("OPENCLAW_DATA_DIR", "/d"),
        ("OPENCLAW_API_KEY", "api-key-0123456789"),
        ("OPENCLAWED", "1"),
    ])
    .unwrap();
    let notices: Vec<_> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "environment OPENCLAW_ADMINTOKEN: this variable is not read; did you mean OPENCLAW_ADMIN_TOKEN?",
            "environment OPENCLAW_CONCURRENCY__MAX_WORKERS: this variable is not read; did you mean \
             OPENCLAW__CONCURRENCY__MAX_WORKERS?",
            "environment OPENCLAW_OF_SOMEBODY_ELSE: this variable is not read",
        ]
    );
}

#[test]
fn no_two_fields_share_a_name_in_the_environment() {
    let names: BTreeSet<String> = FIELDS.iter().map(Field::env_name).collect();
    assert_eq!(names.len(), FIELDS.len());
    assert!(names.contains("OPENCLAW__MESSENGER__TELEGRAM__STREAM_MODE"));
    assert!(names.contains("OPENCLAW__AI_FABRIC__PROVIDERS__N__BASE_URL"));
    for (_, path) in schema::SHORT_NAMES {
        assert!(schema::find(path).is_some(), "{path}");
    }
}

#[test]
fn every_fault_of_a_provider_is_found_where_it_stands() {
    let mut environment = FixedEnvironment::of([("KEY", "k")]);
    environment
        .files
        .insert("/ca.pem".into(), "no certificate".into());
    let text = r#"
[[ai-fabric.providers]]
id = "nameless"
anyModel = true
[[ai-fabric.providers]]
id = "giga"
kind = "gigachat"
scope = "GIGACHAT_API_XXL"
rootCertificate = "/absent.pem"
anyModel = true
[[ai-fabric.providers]]
id = "claude"
kind = "anthropic"
preset = "openai"
contextTokens = 5
rootCertificate = "/ca.pem"
[[ai-fabric.providers]]
id = "yandex"
preset = "yandex"
anyModel = true
[[ai-fabric.providers]]
id = "deep"
preset = "deepseek"
folder = "f"
anyModel = true
[[ai-fabric.providers]]
id = "agent"
kind = "command"
apiKey = { env = "KEY" }
[[ai-fabric.providers]]
id = "compatible"
kind = "openai"
secretHeaders = { "bad header" = { env = "KEY" }, x-token = { env = "ABSENT" } }
models = [{ id = "m", aliases = ["m"] }]
[ai-fabric.fallback]
primaryModel = "m"
fallbacks = ["nobody's"]
"#;
    let found = faults(load(Some(text), &environment, &[]));
    for expected in [
        "providers[0].kind: it is missing; one of openai, anthropic",
        "providers[1].scope: \"GIGACHAT_API_XXL\"; expected one of",
        "providers[1].apiKey: it is missing; GigaChat needs",
        "providers[1].rootCertificate: the file /absent.pem cannot be read",
        "providers[2].preset: it is for kind openai; this one is anthropic",
        "providers[2].contextTokens: it is for kind ollama; this one is anthropic",
        "providers[2]: it has no models",
        "providers[2].rootCertificate: the file /ca.pem holds no certificate in PEM",
        "providers[3].folder: it is missing; the models of yandex belong to a folder",
        "providers[3].apiKey: it is missing; yandex answers nobody without a key",
        "providers[4].folder: preset deepseek has no folders",
        "providers[5].program: it is missing",
        "providers[5].apiKey: it is for kind openai, anthropic, gigachat, ollama; this one is command",
        "providers[6].secretHeaders: \"bad header\" is not a header's name",
        "providers[6].secretHeaders.x-token: the variable ABSENT is not set",
        "providers[6].models[0].aliases: \"m\" is listed twice",
    ] {
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "missing: {expected}\nin: {found:#?}"
        );
    }
    // Somebody serves any model here, so the chain has no fault; where nobody does, it has.
    assert!(found.iter().all(|fault| !fault.contains("no provider lists")));
    let closed = "[[ai-fabric.providers]]\nid='p'\nkind='openai'\nmodels=[{id='m',aliases=['n']}]\n\
                  [ai-fabric.fallback]\nprimaryModel='n'\nfallbacks=['p/m','q/m']\n";
    let found = faults(from_file(closed));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("\"q/m\" is a model that no provider lists"),
        "{found:#?}"
    );
}

#[test]
fn what_a_preset_fills_in_is_shown_and_what_is_set_beside_it_is_stronger() {
    let environment = FixedEnvironment::of([("KEY", "k")]);
    let text = "[[ai-fabric.providers]]\nid='p'\npreset='mistral'\napiKey={env='KEY'}\nstreamUsage=true\nanyModel=true\n";
    let loaded = load(Some(text), &environment, &[]).unwrap();
    let value = |path: &str| origin(&loaded, &format!("ai-fabric.providers[0].{path}"));
    assert_eq!(value("baseUrl").0, "\"https://api.mistral.ai/v1\"");
    assert_eq!(value("kind").0, "\"openai\"");
    assert_eq!(value("streamUsage"), ("true".into(), "file 5:13".into()));
    // Only who names a model gets an answer here, and that is said.
    assert!(
        loaded
            .notices
            .iter()
            .any(|notice| notice.message.contains("only callers who name a model"))
    );
}

#[test]
fn the_first_provider_of_the_environment_is_taken() {
    let all = [
        ("ANTHROPIC_API_KEY", "k1"),
        ("OPENAI_API_KEY", "k2"),
        ("GIGACHAT_CREDENTIALS", "k3"),
        ("YANDEX_API_KEY", "k4"),
        ("YANDEX_FOLDER_ID", "f"),
        ("OLLAMA_HOST", "box"),
    ];
    let found = |skip: usize| {
        let mut environment = FixedEnvironment::default();
        for (name, value) in all.iter().skip(skip) {
            environment.vars.insert((*name).into(), (*value).into());
        }
        match load(None, &environment, &[]).unwrap().found {
            FoundProvider::Known(found) => found.by.to_owned(),
            FoundProvider::Ollama { base_url, .. } => base_url,
            FoundProvider::Nothing => String::new(),
        }
    };
    let order: Vec<String> = [0, 1, 2, 3, 5, 6].into_iter().map(found).collect();
    assert_eq!(
        order,
        [
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "GIGACHAT_CREDENTIALS",
            "YANDEX_API_KEY",
            "http://box:11434",
            ""
        ]
    );
    // A configured provider is stronger than all of them, and their faults are nobody's then.
    let environment = FixedEnvironment::of([("ANTHROPIC_API_KEY_FILE", "/absent")]);
    let demo = "[[ai-fabric.providers]]\nid='d'\nkind='demo'\n";
    let loaded = load(Some(demo), &environment, &[]).unwrap();
    assert!(matches!(loaded.found, FoundProvider::Nothing));
    let alone = faults(load(None, &environment, &[]));
    assert!(alone[0].contains("/absent cannot be read"), "{alone:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_damage_of_a_file_panics(at in 0..SAMPLE.len(), byte in any::<u8>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8_lossy(&bytes);
        match load(Some(&text), &sample_environment(), &[]) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.faults.is_empty()),
        }
    }

    #[test]
    fn no_variable_and_no_flag_panics(name in "(SERVER|AI_FABRIC|X)?(__[A-Z_0-9]{0,12}){0,4}", value in "\\PC{0,24}", path in "[a-zA-Z.\\[\\]0-9=-]{0,40}") {
        let environment = FixedEnvironment::of([(format!("OPENCLAW__{name}").as_str(), value.as_str())]);
        let _ = load(None, &environment, &sets([path, format!("server.listen={value}"), format!("ai-fabric.providers={value}")]));
    }
}

#[test]
fn a_file_that_is_not_toml_is_told_by_its_mistake_alone() {
    let told = faults(from_file(
        "[server\nlisten = \"127.0.0.1:1\"\n[strange]\nmaxWorkers = \"two\"\n",
    ));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("file 1:8: "), "{told:?}");
}

#[test]
fn a_variable_that_does_nothing_is_a_notice_and_a_row_and_its_value_is_shown_nowhere() {
    let loaded = from_env([
        ("WORKSPACE_ROOT", "/srv/files"),
        ("MAX_BOT_TOKEN_FILE", "/run/max"),
    ])
    .unwrap();
    let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "environment MAX_BOT_TOKEN_FILE: off: this version does not connect to MAX, so this variable is not used",
            "environment WORKSPACE_ROOT: off: nothing in this version works with files, so this variable is not used",
        ]
    );
    assert_eq!(
        origin(&loaded, "MAX_BOT_TOKEN"),
        (
            "(off: this version does not connect to MAX)".to_owned(),
            "environment MAX_BOT_TOKEN_FILE".to_owned()
        )
    );
}
