//! Where a value comes from: file, environment, flags, defaults.

use super::*;

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
fn a_variable_that_does_nothing_is_a_notice_and_a_row_and_its_value_is_shown_nowhere() {
    let loaded = from_env([("WORKSPACE_ROOT_FILE", "/run/files")]).unwrap();
    let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "environment WORKSPACE_ROOT_FILE: off: nothing in this version works with files, so this variable is not used",
        ]
    );
    assert_eq!(
        origin(&loaded, "WORKSPACE_ROOT"),
        (
            "(off: nothing in this version works with files)".to_owned(),
            "environment WORKSPACE_ROOT_FILE".to_owned()
        )
    );
}
