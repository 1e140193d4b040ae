//! What is wrong is told: all of it, where it stands, and nothing that only follows.

use super::*;

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
        "--set: session.ttl: there is no such key; did you mean `ttlMs`?",
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
    let found = faults(from_file(
        "[[ai-fabric.providers]]\nid = 'a'\nkind = 'command'\nprogram = '/nowhere/agent'\ndirectory = '/nowhere'\n",
    ));
    assert_eq!(
        found,
        [
            "file 5:13: ai-fabric.providers[0].directory: /nowhere; it must be a directory that exists",
            "file 4:11: ai-fabric.providers[0].program: /nowhere/agent; it must be a program that exists and may be run",
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
fn an_argument_that_names_a_file_which_is_not_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("bin")).unwrap();
    std::fs::write(directory.path().join("bin/here.py"), "").unwrap();
    let at = directory.path().display();
    let notices = |text: &str| -> Vec<String> {
        let loaded = from_file(text).unwrap();
        loaded.notices.iter().map(|notice| notice.to_string()).collect()
    };
    let found = notices(&format!(
        "[concurrency]\nruntime = 'process'\ncommand = ['sh', '/nope/worker.py', 'bin/here.py', 'bin/gone.py', '-x/y']\n\
         directory = '{at}'\n"
    ));
    assert_eq!(
        found,
        [
            "file 3:11: concurrency.command: \"/nope/worker.py\" names no file".to_owned(),
            format!("file 3:11: concurrency.command: \"bin/gone.py\" names no file in {at}"),
        ]
    );
    let found = notices(
        "[[ai-fabric.providers]]\nid = 'a'\nkind = 'command'\nprogram = 'sh'\nargs = ['/nope/agent.py', '{model}']\n",
    );
    assert_eq!(
        found,
        ["file 5:8: ai-fabric.providers[0].args: \"/nope/agent.py\" names no file"]
    );
}

#[test]
fn telegram_is_given_an_https_address_or_none() {
    let with_bot = |url: &str, more: &[&str]| {
        let vars = [
            ("TELEGRAM_BOT_TOKEN", "123456:abcdefghijklmnopqrstuvwxyzABCDEFGHI"),
            ("WEBHOOK_SECRET", "secret_1"),
        ];
        let settings: Vec<String> = std::iter::once(format!("server.publicUrl={url}"))
            .chain(more.iter().map(|setting| (*setting).to_owned()))
            .collect();
        let flags: Vec<Override> = settings
            .into_iter()
            .map(|setting| Override {
                flag: "--set",
                setting,
            })
            .collect();
        load(None, &FixedEnvironment::of(vars), &flags)
    };
    for more in [&[] as &[&str], &["messenger.telegram.mode=webhook"]] {
        let found = faults(with_bot("http://bot.example.org", more));
        assert_eq!(
            found,
            [
                "--set: server.publicUrl: http://bot.example.org is not https, and Telegram calls no other; give the https \
                 address, or set messenger.telegram.mode to polling"
            ]
        );
    }
    assert!(with_bot("https://bot.example.org", &[]).is_ok());
    assert!(with_bot("http://bot.example.org", &["messenger.telegram.mode=polling"]).is_ok());
    let own = "messenger.telegram.baseUrl=http://127.0.0.1:8081";
    assert!(
        with_bot("http://bot.example.org", &[own]).is_ok(),
        "a Bot API server of one's own"
    );
}

#[test]
fn max_is_given_an_https_address_without_a_port_and_a_secret_where_people_must_know_it() {
    let with_bot = |settings: &[&str], secret: Option<&str>| {
        let vars = [
            ("MAX_BOT_TOKEN", "f9LHodD0cOL"),
            ("OPENCLAW__MESSENGER__MAX__SECRET", secret.unwrap_or_default()),
        ];
        let flags: Vec<Override> = settings
            .iter()
            .map(|setting| Override {
                flag: "--set",
                setting: (*setting).to_owned(),
            })
            .collect();
        load(None, &FixedEnvironment::of(vars), &flags)
    };
    for url in [
        "http://bot.example.org",
        "https://bot.example.org:8443",
        "https://[::1]:443/x",
    ] {
        let found = faults(with_bot(&[&format!("server.publicUrl={url}")], None));
        assert_eq!(
            found,
            [format!(
                "--set: server.publicUrl: {url} is not an https address without a port, and MAX calls no other; give one, \
                 or set messenger.max.mode to polling"
            )]
        );
    }
    for settings in [
        &["server.publicUrl=https://bot.example.org"] as &[&str],
        &["server.publicUrl=https://[::1]/x:y"],
        &[
            "server.publicUrl=http://bot.example.org",
            "messenger.max.mode=polling",
        ],
        &[
            "server.publicUrl=http://127.0.0.1:3000",
            "messenger.max.baseUrl=http://127.0.0.1:8081",
        ],
        &[],
    ] {
        assert!(with_bot(settings, None).is_ok(), "{settings:?}");
    }
    let by_hand = ["messenger.max.mode=webhook"];
    let found = faults(with_bot(&by_hand, None));
    assert!(
        found.len() == 1
            && found[0].contains("messenger.max.secret: it is not set, and neither is server.publicUrl"),
        "{found:?}"
    );
    assert!(with_bot(&by_hand, Some("hook_secret")).is_ok());
    let found = faults(with_bot(&by_hand, Some("hook")));
    assert!(found[0].contains("5 to 256 of A-Z a-z 0-9 _ -"), "{found:?}");
    let found = faults(with_bot(&["messenger.max.rootCertificate=/nowhere.pem"], None));
    assert!(
        found[0].starts_with("--set: messenger.max.rootCertificate: "),
        "{found:?}"
    );
}

#[test]
fn a_general_value_does_not_change_what_a_platform_has_of_its_own() {
    let loaded = load(
        None,
        &FixedEnvironment::default(),
        &sets(["streaming.flushTokenThreshold=80"]),
    )
    .unwrap();
    for (platform, tokens) in [("telegram", "80"), ("max", "80"), ("web", "20"), ("api", "80")] {
        let path = format!("streaming.{platform}.flushTokenThreshold");
        let shown = loaded.settings.values().find(|(own, _)| *own == path);
        assert_eq!(shown, Some((path.as_str(), tokens)), "what the guide says");
    }
    let both = sets([
        "streaming.flushTokenThreshold=80",
        "streaming.web.flushTokenThreshold=30",
    ]);
    let loaded = load(None, &FixedEnvironment::default(), &both).unwrap();
    let shown = loaded
        .settings
        .values()
        .find(|(path, _)| *path == "streaming.web.flushTokenThreshold");
    assert_eq!(shown.map(|(_, value)| value), Some("30"));
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
fn a_file_that_is_not_toml_is_told_by_its_mistake_alone() {
    let told = faults(from_file(
        "[server\nlisten = \"127.0.0.1:1\"\n[strange]\nmaxWorkers = \"two\"\n",
    ));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("file 1:8: "), "{told:?}");
}
