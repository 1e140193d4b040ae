//! Faults are told in the language of whoever reads them.

use super::*;
use std::path::Path;

/// What is told of a configuration, in one language.
fn told(file: &str, environment: &FixedEnvironment, flags: &[Override], language: Language) -> String {
    let texts = Texts::new(language);
    match load(Some(file), environment, flags) {
        Ok(loaded) => loaded.notices.iter().fold(String::new(), |mut out, notice| {
            out.push_str(&notice.line("!", Some(Path::new("f")), texts));
            out.push('\n');
            out
        }),
        Err(error) => error.report(Some(Path::new("f")), texts),
    }
}

/// Words that a Russian report may hold: names, values and what is written in quotation marks.
fn english_words(line: &str) -> Vec<String> {
    // Of a fault the field's path, then what is told of it.
    let told = line.split("  ").last().unwrap_or_default();
    let mut plain = String::new();
    for (number, part) in told.split(['"', '`', '\'']).enumerate() {
        if number % 2 == 0 {
            plain.push_str(part);
        }
    }
    plain
        .split(|c: char| c.is_whitespace() || ",;:()".contains(c))
        .filter(|word| word.chars().filter(char::is_ascii_lowercase).count() > 1)
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Every kind of fault that a file, a variable or a flag can have, in Russian and without an English sentence.
#[test]
fn every_fault_is_told_in_russian_too() {
    // Words of the configuration itself.
    const NAMES: &[&str] = &[
        "true",
        "false",
        "http",
        "https",
        "custom",
        "small",
        "medium",
        "large",
        "xlarge",
        "memory",
        "sqlite",
        "env",
        "file",
        "kind",
        "openai",
        "anthropic",
        "gigachat",
        "ollama",
        "command",
        "demo",
        "preset",
        "folder",
        "yandex",
        "process",
        "task",
        "chat",
        "code",
        "vision",
        "streaming",
        "polling",
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
        "concurrency",
        "headers",
        "program",
        "storage",
        "vllm",
        "openclaw",
        "nonsense",
        "session",
        "prot",
        "telegram",
        "model",
        "gold",
    ];
    let environment = FixedEnvironment {
        files: [
            ("/empty".to_owned(), " \n".to_owned()),
            ("/pem".to_owned(), "no certificate".to_owned()),
        ]
        .into(),
        machine: MachineFacts {
            cores: Some(2),
            memory_mb: Some(1_024),
        },
        ..FixedEnvironment::of([
            ("WEAK", "short"),
            ("SPACED", "with white space in it"),
            ("LINE", "a\u{1}b"),
            ("BOT", "hunter2"),
            ("BOT2", "1:x"),
            ("BOT3", "x:x"),
            ("BOT4", "1:ж"),
            ("SAME", "the-same-0123456789"),
        ])
    };
    let provider = |text: &str| format!("[[ai-fabric.providers]]\nid = 'a'\n{text}");
    let files = [
        "[server\n".to_owned(),
        "a".repeat(MAX_FILE_BYTES + 1),
        "[server]\nlisten = 'nowhere'\nprot = 1\npublicUrl = 1\nbodyLimit = -1\ntrustedProxies = ['x']\n".to_owned(),
        "[server]\nlisten = '0.0.0.0:1'\nlocale = 1979-05-27\n".to_owned(),
        "[server]\nadminToken = 'hunter2'\napiKey = { env = 'WEAK' }\n".to_owned(),
        "[server]\nadminToken = { env = 'SAME' }\napiKey = { env = 'SAME' }\n".to_owned(),
        "[storage]\nkind = 'sqlit'\nstoreTexts = 'yes'\ntextRetentionDays = 99999999999999999999\n".to_owned(),
        "storage = 1\n".to_owned(),
        "[concurrency]\nmaxWorkers = 0\nmax_workers = 1\nbackpressureThreshold = 2\ncommand = 'x'\n".to_owned(),
        "[concurrency]\nmax_workers = 1\nmaxQueueSize = 900\n".to_owned(),
        "[concurrency]\nminWorkers = 5\nstuckThresholdMs = 5_000\nbackpressureThreshold = 0\n".to_owned(),
        "[concurrency]\nmaxWorkers = 1_000_000\nmaxQueueSize = 20_000_000\n".to_owned(),
        "[concurrency]\npreset = 'large'\nmaxWorkers = 3\n".to_owned(),
        "[concurrency]\nruntime = 'process'\n".to_owned(),
        "[concurrency]\nruntime = 'process'\ncommand = ['/nowhere/worker']\ndirectory = '/nowhere'\n".to_owned(),
        "[concurrency]\nruntime = 'process'\ncommand = ['sh', '/nope/x.py']\n[ai-fabric]\nfirstTokenTimeoutMs = 1\n".to_owned(),
        "[concurrency]\nruntime = 'process'\ncommand = ['sh', 'nope/x.py']\ndirectory = '/'\n".to_owned(),
        "[concurrency]\ncommand = ['sh']\n".to_owned(),
        "[streaming]\nflushTimeoutMs = 900_000\nmaxMessageLength = 5\ntypingIndicatorIntervalMs = 1\n".to_owned(),
        "[messenger.rateLimits.api]\nburstSize = 2_000_000\n".to_owned(),
        "[messenger.telegram]\ntoken = { env = 'BOT' }\nsecret = { env = 'SPACED' }\n".to_owned(),
        "[messenger.telegram]\ntoken = { env = 'BOT2' }\n[messenger.web]\napiKey = { file = '/nope' }\n".to_owned(),
        "[messenger.telegram]\ntoken = { env = 'BOT3' }\n[messenger.web]\napiKey = { file = '/empty' }\n".to_owned(),
        "[messenger.telegram]\ntoken = { env = 'BOT4' }\n[messenger.web]\napiKey = { env = 'NOT_SET' }\n".to_owned(),
        "[logging]\nlevel = 'loud'\n".to_owned(),
        "[logging]\nlevel = 'a b=info'\n".to_owned(),
        format!("[logging]\nlevel = '{}'\n", "a=info,".repeat(65)),
        "ai-fabric.providers = 1\n".to_owned(),
        "ai-fabric.providers = [1, {}]\n".to_owned(),
        "[ai-fabric.fallback]\nprimaryModel = 'gone'\n[[ai-fabric.providers]]\nid='a'\nkind='demo'\n".to_owned(),
        provider("[[ai-fabric.providers]]\nid = 'a'\nkind = 'opnai'\n"),
        provider("kind = 'openai'\nanyModel = true\n"),
        provider("kind = 'openai'\nmodels = [{}, {id='m'}, {id='m'}, {id=''}, {id=\"a\\u0001\"}]\n"),
        provider(&format!("kind = 'openai'\nmodels = [{{id='{}'}}]\n", "m".repeat(300))),
        provider("kind = 'openai'\nmodels = [{id='m',capabilities=['chatt'],contextWindow=5,maxOutputTokens=9}]\n"),
        provider("kind = 'demo'\nheaders = { Authorization = 'x', 'a b' = 'x' }\nprogram = 'x'\n"),
        provider("kind = 'gigachat'\nanyModel = true\nrootCertificate = '/pem'\n"),
        provider("kind = 'openai'\nanyModel = true\nrootCertificate = '/nope'\nfolder = 'x'\n"),
        provider("kind = 'command'\n"),
        provider("kind = 'command'\nprogram = '/nowhere/agent'\ndirectory = '/nowhere'\nargs = ['/nope/x']\n"),
        provider("kind = 'openai'\npreset = 'yandex'\nanyModel = true\n"),
        provider("kind = 'openai'\npreset = 'yandex'\nfolder = 'a b'\nanyModel = true\napiKey = { env = 'SPACED' }\n"),
        provider("kind = 'openai'\npreset = 'vllm'\nfolder = 'x'\nanyModel = true\nsecretHeaders = { x = { env = 'LINE' } }\n"),
    ];
    let flags = sets([
        "nonsense",
        "session=5",
        "ai-fabric.providers.x=5",
        "ai-fabric.providers=[",
        "ai-fabric.providers[7].id=x",
        "server.apiKey=x",
        "session.ttl=5",
        "messenger.telegram.webhook=1",
    ]);
    let variables = [
        FixedEnvironment::of([
            ("OPENCLAW__SESSION__TTL", "5"),
            ("OPENCLAW_LOG", "x"),
            ("PORT", "many"),
        ]),
        FixedEnvironment::of([("WEB_API_KEY", "x"), ("WEB_API_KEY_FILE", "/y")]),
        FixedEnvironment::of([
            ("YANDEX_API_KEY", "x"),
            ("MAX_BOT_TOKEN", "x"),
            ("OPENCLAW_LOG", "x"),
        ]),
        FixedEnvironment::of([("OPENAI_BASE_URL", "nowhere"), ("OPENAI_API_KEY_FILE", "/nope")]),
        FixedEnvironment::of([("ANTHROPIC_API_KEY", "a b")]),
        FixedEnvironment::of([
            ("GIGACHAT_CREDENTIALS", "x"),
            ("GIGACHAT_SCOPE", "x"),
            ("GIGACHAT_CA_BUNDLE_FILE", "/nope"),
        ]),
        FixedEnvironment::of([
            ("TELEGRAM_BOT_TOKEN", BOT_TOKEN),
            ("OPENCLAW__SERVER__PUBLIC_URL", "http://bot.example.org"),
        ]),
    ];
    let mut cases: Vec<(String, FixedEnvironment, Vec<Override>)> = files
        .into_iter()
        .map(|file| (file, environment.clone(), Vec::new()))
        .collect();
    cases.extend(flags.map(|flag| (String::new(), FixedEnvironment::default(), vec![flag])));
    cases.extend(variables.map(|variables| (String::new(), variables, Vec::new())));
    let mut wrong = Vec::new();
    for (file, environment, flags) in cases {
        let [en, ru] = Language::ALL.map(|language| told(&file, &environment, &flags, language));
        let shown: String = file.chars().take(200).collect();
        assert!(!en.is_empty(), "nothing is told of\n{shown}{flags:?}");
        assert_eq!(en.lines().count(), ru.lines().count(), "{en}\n{ru}");
        assert!(!ru.contains("hunter2"), "{ru}");
        for line in ru.lines() {
            let is_russian = line.chars().any(|c| matches!(c, '\u{0400}'..='\u{04FF}'));
            let english: Vec<String> = english_words(line)
                .into_iter()
                .filter(|word| !NAMES.contains(&word.as_str()))
                .collect();
            if !is_russian || !english.is_empty() {
                wrong.push(format!("{english:?} in {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_language_of_faults_is_the_configured_one_where_it_can_be_read() {
    let language = |file: &str, vars: &[(&str, &str)]| {
        let environment = FixedEnvironment {
            vars: vars
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..FixedEnvironment::default()
        };
        load(Some(file), &environment, &[]).unwrap_err().language
    };
    let broken = "[server]\nlocale = 'ru'\nlisten = 'nowhere'\n";
    assert_eq!(language(broken, &[]), Language::Ru);
    assert_eq!(
        language(broken, &[("OPENCLAW__SERVER__LOCALE", "en")]),
        Language::En
    );
    let terminal = [("LANG", "ru_RU.UTF-8")];
    assert_eq!(language("[server]\nlocale = 'rus'\n", &terminal), Language::Ru);
    assert_eq!(language("[server\nlocale = 'en'\n", &terminal), Language::Ru);
}

#[test]
fn a_rule_that_names_its_field_does_so_once_in_both_languages() {
    let told = |language| {
        told(
            "concurrency.minWorkers = 5\n",
            &FixedEnvironment::default(),
            &[],
            language,
        )
    };
    assert_eq!(
        told(Language::En),
        "f:1:26  error  concurrency.minWorkers is 5; it must be at most concurrency.maxWorkers, which is 4\n"
    );
    assert_eq!(
        told(Language::Ru),
        "f:1:26  ошибка  concurrency.minWorkers — 5; должно быть не больше concurrency.maxWorkers, а там 4\n"
    );
}

#[test]
fn a_field_a_section_and_a_variable_explain_themselves_in_russian() {
    let settings = from_env([("LOG_LEVEL", "debug")]).unwrap().settings;
    let texts = Texts::new(Language::Ru);
    let explain = |name: &str| explain::explain(&settings, name, texts).unwrap();
    assert_eq!(
        explain("logging.level"),
        "logging.level\n  trace, debug, info, warn, error или fatal; также по модулям: info,concurrency=debug.\n\n  \
         тип          уровень (trace, debug, info, warn, error, fatal), также по модулям: info,concurrency=debug\n  \
         по умолчанию \"info\"\n  значение     \"debug\" (окружение LOG_LEVEL)\n  \
         окружение    OPENCLAW__LOGGING__LEVEL, LOG_LEVEL\n  \
         изменение    действует сразу после openclaw config reload\n"
    );
    let section = explain("messenger.telegram");
    assert!(section.contains("(Telegram выключен)"), "{section}");
    assert!(section.ends_with("\nподробнее о каждом: openclaw config explain messenger.telegram.token\n"));
    assert!(
        explain("WORKSPACE_ROOT").contains("Не используется: в этой версии ничто не работает с файлами.")
    );
    let variable = provider_variables::explain(&FixedEnvironment::default(), "OPENAI_MODEL", texts).unwrap();
    assert!(variable.contains("\n  задана       нет\n"), "{variable}");
    // The table is in one language too, and what programs read is English.
    let table = settings.to_table(texts);
    assert!(
        table.contains("окружение LOG_LEVEL") && table.contains("по умолчанию"),
        "{table}"
    );
    assert!(!table.contains("(none)"), "{table}");
    assert!(settings.to_json().to_string().is_ascii());
}
