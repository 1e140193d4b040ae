//! The commands as people type them: what they print, where to, and with which exit code.

use crate::BINARY;
use crate::setup::{LONG, api_world};
use openclaw_testkit::{ServerProcess, ServerSetup};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command on a data directory, with nothing of the developer's environment.
pub(crate) async fn run_with(data_dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", data_dir)
        .env("OPENCLAW_DATA_DIR", data_dir)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LONG, command.output())
        .await
        .unwrap()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) async fn run(data_dir: &Path, arguments: &[&str]) -> Ran {
    run_with(data_dir, arguments, &[]).await
}

#[track_caller]
pub(crate) fn check(ran: &Ran, code: i32, words: &[&str]) {
    let said = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, code, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in:\n{said}");
    }
}

/// Waits until the server's banner holds these words: it is written a moment after the address is.
pub(crate) async fn says(server: &ServerProcess, words: &str) {
    let said = tokio::time::timeout(LONG, async {
        while !server.log().contains(words) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    });
    assert!(said.await.is_ok(), "{words} in\n{}", server.log());
}

/// The screen, once it shows these words: what is counted is counted a moment after the answer.
pub(crate) async fn screen_with(server: &ServerProcess, words: &str) -> Ran {
    let shown = tokio::time::timeout(LONG, async {
        loop {
            let screen = run(server.data_dir(), &["status"]).await;
            if screen.out.contains(words) {
                return screen;
            }
        }
    });
    shown
        .await
        .unwrap_or_else(|_| panic!("the screen never shows {words:?}"))
}

/// The status of a request under a key.
async fn asks_with(server: &ServerProcess, key: &str) -> u16 {
    let client = server.http().unwrap().with_bearer(key).unwrap();
    client.get("/v1/models").send().await.unwrap().status.as_u16()
}

#[tokio::test]
async fn why_no_answer_came_is_in_the_log_and_on_the_screen() {
    let (_provider, server, client) = api_world(|setup| setup.env("OPENAI_MODEL", "mock-f401")).await;
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &["mock-f401 at openai: not asked yet"],
    );
    let body = json!({ "model": "mock-f401", "messages": [{ "role": "user", "content": "hi" }] });
    let answered = client.post("/v1/chat/completions").json(&body).send().await;
    assert_ne!(answered.unwrap().status, 200);
    says(&server, "a model's call failed").await;
    says(&server, "MODEL_UNAUTHORIZED").await;
    says(&server, "refused the key (status 401)").await;
    screen_with(
        &server,
        "left alone after 1 failure: refused the key (status 401), since 20",
    )
    .await;
}

#[tokio::test]
async fn debug_can_be_switched_on_while_the_server_runs() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let body = json!({ "model": "mock-echo", "messages": [{ "role": "user", "content": "hi" }] });
    let ask = || client.post("/v1/chat/completions").json(&body).send();
    assert_eq!(ask().await.unwrap().status, 200);
    assert!(!server.log().contains("ai-fabric.model.responded"));

    let config = server.data_dir().join("openclaw.toml");
    std::fs::write(config, "[logging]\nlevel = \"debug\"\n").unwrap();
    server.signal(Signal::HUP).unwrap();
    says(&server, "the log levels were read again").await;
    // The line above is written before the events are followed: what is asked next may still be missed, so ask until
    // one is seen.
    let seen = tokio::time::timeout(LONG, async {
        while !server.log().contains("ai-fabric.model.responded") {
            assert_eq!(ask().await.unwrap().status, 200);
        }
    });
    assert!(seen.await.is_ok(), "{}", server.log());
}

#[tokio::test]
async fn status_shows_one_screen_and_the_same_as_json() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let body = json!({ "model": "mock-echo", "messages": [{ "role": "user", "content": "hi" }] });
    let answered = client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answered.status, 200);

    let screen = screen_with(&server, "1 done, 0 failed").await;
    let words = [
        "up 00:",
        "sqlite · ready",
        "backpressureLevel 0.00 = 0.7 × 0/32 + 0.3 × 0/",
        "refuses at 0.7",
        "mock-echo at openai: ok",
        "1 done, 0 failed",
        "telegram off · max off · web on · api 0 valid keys beside the operator's own",
    ];
    check(&screen, 0, &words);
    assert_eq!(screen.err, "");

    let told = run(server.data_dir(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(status["schema"], 1);
    assert_eq!(status["pool"]["maxWorkers"], 4);
    assert_eq!(status["concurrency"]["totalProcessed"], 1);

    let refused = run_with(
        server.data_dir(),
        &["status"],
        &[("OPENCLAW_ADMIN_TOKEN", "not-the-admin-token")],
    )
    .await;
    check(
        &refused,
        77,
        &[
            "does not take the admin token in OPENCLAW_ADMIN_TOKEN",
            "\n  next  ",
        ],
    );
    let anonymous = server
        .http()
        .unwrap()
        .get("/admin/api/v1/status")
        .send()
        .await
        .unwrap();
    assert_eq!(anonymous.status, 401);
}

#[tokio::test]
async fn without_a_server_every_command_says_what_to_start() {
    let nowhere = tempfile::tempdir().unwrap();
    for arguments in [&["status"][..], &["send", "hello"], &["keys", "list"]] {
        let ran = run(nowhere.path(), arguments).await;
        check(&ran, 69, &["no server runs on", "next  openclaw serve"]);
        assert_eq!(ran.out, "", "errors are no data");
    }
    // The address of a server that was killed is still there.
    std::fs::write(nowhere.path().join("server.addr"), "127.0.0.1:1").unwrap();
    std::fs::write(nowhere.path().join("admin.token"), "oc_admin_0123456789").unwrap();
    check(
        &run(nowhere.path(), &["status"]).await,
        69,
        &["does not answer", "next  openclaw serve"],
    );
}

#[tokio::test]
async fn a_key_works_from_the_moment_it_is_made_until_the_moment_it_is_taken_back() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let dir = server.data_dir();
    let made = run(
        dir,
        &[
            "keys",
            "create",
            "--user",
            "alice",
            "--tier",
            "standard",
            "--expires",
            "90d",
        ],
    )
    .await;
    check(&made, 0, &["user alice, tier standard, expires 20"]);
    let key = made.out.trim();
    assert!(
        key.starts_with("oc_live_") && !made.err.contains(key),
        "{}",
        made.err
    );
    assert_eq!(asks_with(&server, key).await, 200);

    let listed = run(dir, &["keys", "list"]).await;
    check(&listed, 0, &["alice", "standard", "yes", &key[..16]]);
    assert!(!listed.out.contains(key), "a list never shows a key");

    check(
        &run(dir, &["keys", "revoke", &key[..16]]).await,
        0,
        &["is taken back"],
    );
    assert_eq!(asks_with(&server, key).await, 401);
    check(
        &run(dir, &["keys", "revoke", &key[..16]]).await,
        0,
        &["was taken back already, at 20"],
    );
    check(
        &run(dir, &["keys", "revoke", "../status"]).await,
        1,
        &["there is no key"],
    );
    assert_eq!(
        asks_with(&server, &server.api_key().unwrap()).await,
        200,
        "the operator's stays"
    );
}

#[tokio::test]
async fn keys_are_limited_unless_made_unlimited() {
    let (_provider, server, _) = api_world(|setup| {
        setup
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__API__RPS", "0.001")
            .env("OPENCLAW__MESSENGER__RATE_LIMITS__API__BURST_SIZE", "1")
    })
    .await;
    let body = json!({ "model": "mock-echo", "messages": [{ "role": "user", "content": "hi" }] });
    for (arguments, second) in [
        (&["keys", "create"][..], 429),
        (&["keys", "create", "--unlimited"], 200),
    ] {
        let made = run(server.data_dir(), arguments).await;
        let client = server.http().unwrap().with_bearer(made.out.trim()).unwrap();
        for expected in [200, second] {
            let reply = client
                .post("/v1/chat/completions")
                .json(&body)
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status, expected, "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn keys_can_be_made_and_taken_back_while_no_server_runs() {
    let (_provider, mut server, _) = api_world(|setup| setup).await;
    server.terminate(LONG).await.unwrap();
    let dir = server.data_dir().to_owned();
    let made = run(&dir, &["keys", "create", "--json"]).await;
    check(&made, 0, &["no server runs; working on"]);
    let told: Value = serde_json::from_str(&made.out).unwrap();
    let (key, id) = (told["key"].as_str().unwrap(), told["id"].as_str().unwrap());
    let gone: Value = serde_json::from_str(&run(&dir, &["keys", "create", "--json"]).await.out).unwrap();
    check(
        &run(&dir, &["keys", "revoke", gone["id"].as_str().unwrap()]).await,
        0,
        &["is taken back"],
    );
    check(&run(&dir, &["keys", "list"]).await, 0, &[id]);

    server.start_again().await.unwrap();
    assert_eq!(asks_with(&server, key).await, 200);
    assert_eq!(asks_with(&server, gone["key"].as_str().unwrap()).await, 401);
}

#[tokio::test]
async fn the_admin_api_refuses_what_is_no_key_and_who_is_no_admin() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let admin = server.admin_token().unwrap();
    for body in [
        json!({ "tier": "gold" }),
        json!({ "user": "" }),
        json!({ "expiresInMs": 0 }),
        json!({ "x": 1 }),
        json!([1]),
    ] {
        let reply = server
            .http()
            .unwrap()
            .post("/admin/api/v1/keys")
            .bearer(&admin)
            .json(&body)
            .send()
            .await
            .unwrap();
        let problem: Value = reply.json().unwrap();
        assert_eq!(
            (reply.status.as_u16(), &problem["code"]),
            (400, &json!("VALIDATION")),
            "{body}"
        );
    }
    // `client` carries an API key, which is no admin token.
    let reply = client
        .post("/admin/api/v1/keys")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 401);
    let stored = run(server.data_dir(), &["keys", "list"]).await;
    check(&stored, 0, &["no keys but the operator's own"]);
}

#[tokio::test]
async fn send_prints_the_answer_to_a_pipe_as_it_is_and_says_what_went_wrong() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let sent = run(
        server.data_dir(),
        &["send", "--model", "mock-echo", "hello there"],
    )
    .await;
    check(&sent, 0, &["hello there"]);
    assert!(
        sent.out.ends_with('\n') && sent.err.is_empty(),
        "{:?} {:?}",
        sent.out,
        sent.err
    );

    let wrong = run_with(
        server.data_dir(),
        &["send", "hello"],
        &[("OPENCLAW_API_KEY", "oc_live_nobodys-key")],
    )
    .await;
    check(
        &wrong,
        77,
        &[
            "does not take the API key in OPENCLAW_API_KEY",
            "openclaw keys create",
        ],
    );
    check(
        &run(server.data_dir(), &["send", " "]).await,
        1,
        &["nothing to send", "\n  next  "],
    );
    let foreign = run(
        server.data_dir(),
        &["send", "hello", "--url", "http://server.invalid"],
    )
    .await;
    check(&foreign, 77, &["another machine", "OPENCLAW_API_KEY"]);
}

#[tokio::test]
async fn a_text_that_is_too_long_to_be_sent_is_refused_with_what_to_do() {
    let (_provider, server, _) = api_world(|setup| setup.env("OPENCLAW__SERVER__BODY_LIMIT", "1KiB")).await;
    check(
        &run(server.data_dir(), &["send", &"word ".repeat(400)]).await,
        1,
        &["more than 1024 bytes\n  next  send less at once"],
    );
}

#[tokio::test]
async fn all_faults_of_a_file_are_told_at_once_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openclaw.toml");
    let text = "[concurrency]\nminWorkers = 6\nstuckTresholdMs = 1\n\n[streaming.web]\nmaxMessageLength = 5\n\n\
                [messenger.telegram]\ntoken = \"123:secret\"\n";
    std::fs::write(&file, text).unwrap();
    let ran = run(dir.path(), &["config", "check"]).await;
    let at = |place: &str| format!("{}:{place}  error  ", file.display());
    let words = [
        &*format!(
            "{}concurrency.minWorkers is 6; it must be at most concurrency.maxWorkers, which is 4",
            at("2:14")
        ),
        &*format!("{}concurrency.stuckTresholdMs", at("3:1")),
        "did you mean `stuckThresholdMs`?",
        &*format!(
            "{}streaming.web.maxMessageLength: 5; it must be 0 (unlimited) or at least 64",
            at("6:20")
        ),
        &*format!("{}messenger.telegram.token", at("9:9")),
        "4 errors; nothing was started or changed\n  next  openclaw config explain concurrency.minWorkers",
    ];
    check(&ran, 78, &words);
    assert!(!ran.out.contains("secret\"") && ran.err.is_empty(), "{}", ran.err);

    let served = run(dir.path(), &["serve"]).await;
    check(&served, 78, &words[1..]);
    let explained = run(dir.path(), &["config", "explain", "concurrency.minWorkers"]).await;
    check(
        &explained,
        0,
        &[
            "Workers kept alive even when idle",
            "OPENCLAW__CONCURRENCY__MIN_WORKERS",
        ],
    );
    std::fs::write(&file, "[concurrency]\npreset = \"large\"\n").unwrap();
    check(
        &run(dir.path(), &["config", "check"]).await,
        0,
        &["the configuration is valid"],
    );
    let shown = run(dir.path(), &["config", "show"]).await;
    let line = shown
        .out
        .lines()
        .find(|line| line.starts_with("concurrency.maxWorkers "))
        .unwrap();
    assert!(line.contains(" 8 "), "a preset's values are shown: {line}");
}

#[tokio::test]
async fn others_are_let_in_only_with_keys_that_the_operator_set() {
    let open = || ServerSetup::new(BINARY).arg("--listen").arg("0.0.0.0:0");
    let (status, log) = open().run_to_end().await.unwrap();
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(
        log.contains("set OPENCLAW_ADMIN_TOKEN and OPENCLAW_API_KEY"),
        "{log}"
    );

    let keys = [
        ("OPENCLAW_ADMIN_TOKEN", "an-admin-token-of-mine"),
        ("OPENCLAW_API_KEY", "an-api-key-of-mine-1"),
    ];
    let one = open().env(keys[0].0, keys[0].1).run_to_end().await.unwrap();
    assert_eq!(one.0.code(), Some(78), "{}", one.1);
    let server = open()
        .env(keys[0].0, keys[0].1)
        .env(keys[1].0, keys[1].1)
        .start()
        .await
        .unwrap();
    says(&server, "others can reach this server on 0.0.0.0:").await;
    assert!(
        server.admin_token().is_err(),
        "no token of ours beside the operator's"
    );
    check(
        &run_with(server.data_dir(), &["status"], &keys).await,
        0,
        &["ready"],
    );
}

#[tokio::test]
async fn the_start_says_what_is_on_and_what_is_off_in_the_terminals_language() {
    let english = ServerSetup::new(BINARY)
        .arg("--storage")
        .arg("memory")
        .start()
        .await
        .unwrap();
    // Another terminal would look for the server elsewhere.
    let there = format!(
        "openclaw keys create --data-dir {}\n",
        english.data_dir().display()
    );
    for words in [
        "off: TELEGRAM_BOT_TOKEN is not set",
        "nothing survives",
        "/chat\n",
        "no provider key found",
        &there,
    ] {
        says(&english, words).await;
    }
    let russian = ServerSetup::new(BINARY)
        .env("LANG", "ru_RU.UTF-8")
        .start()
        .await
        .unwrap();
    for words in [
        "не задан TELEGRAM_BOT_TOKEN",
        "ключ провайдера не найден",
        "(новый)",
        "готов за",
    ] {
        says(&russian, words).await;
    }
}

#[tokio::test]
async fn a_second_server_and_a_taken_port_say_what_to_do() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let (status, log) = ServerSetup::new(BINARY)
        .data_dir(server.data_dir().join("."))
        .arg("--listen")
        .arg("127.0.0.1:0")
        .run_to_end()
        .await
        .unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("in use by another server\n  next  openclaw status")
            && log.contains(", or stop that server with Ctrl-C first"),
        "{log}"
    );
    let taken = server.address();
    let (status, log) = ServerSetup::new(BINARY)
        .arg("--listen")
        .arg(taken.to_string())
        .run_to_end()
        .await
        .unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains(&format!("{taken} cannot be listened on"))
            && log.contains("\n  next  openclaw serve --listen 127.0.0.1:"),
        "{log}"
    );
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_told_with_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let damaged = scratch.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("openclaw.db"), "not a database at all").unwrap();
    for (dir, language, said) in [
        (
            &file,
            "en_US.UTF-8",
            "cannot be made: file exists\n  next  mend that, or name another with --data-dir",
        ),
        (&damaged, "ru_RU.UTF-8", "хранилище не открывается: "),
        (
            &damaged,
            "ru_RU.UTF-8",
            "\n  дальше  верните копию каталога данных",
        ),
    ] {
        let (status, log) = ServerSetup::new(BINARY)
            .arg("--data-dir")
            .arg(dir.to_str().unwrap())
            .env("LANG", language)
            .run_to_end()
            .await
            .unwrap();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(said), "{said} in\n{log}");
    }
}

#[tokio::test]
async fn help_version_completions_and_misspelt_commands() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["-h"]).await;
    check(
        &help,
        0,
        &[
            "serve",
            "status",
            "send",
            "keys",
            "config",
            "completions",
            "Examples:",
            "openclaw send \"hello\"",
        ],
    );
    assert!(help.out.lines().count() <= 40, "one screen");
    check(
        &run(dir.path(), &["version"]).await,
        0,
        &[&format!("openclaw {}", env!("CARGO_PKG_VERSION"))],
    );
    check(
        &run(dir.path(), &["stauts"]).await,
        2,
        &["'status'", "\n  next  openclaw --help\n"],
    );
    for shell in ["bash", "zsh", "fish"] {
        check(
            &run(dir.path(), &["completions", shell]).await,
            0,
            &["openclaw", "completions"],
        );
    }
    check(
        &run(dir.path(), &["config", "explain", "maxWorker"]).await,
        1,
        &["next  openclaw config explain concurrency.maxWorkers"],
    );
}

/// What the guides and the README tell people to type is understood.
#[tokio::test]
async fn every_command_in_the_documents_is_one_the_program_knows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = vec!["README.md".into(), "README.ru.md".into()];
    for language in ["en", "ru"] {
        for page in ["first-steps", "configuration", "operations"] {
            texts.push(format!("docs/guide/{language}/{page}.md"));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for path in texts {
        let text = std::fs::read_to_string(root.join(&path)).unwrap();
        let mut in_code = false;
        for line in text.lines() {
            if line.starts_with("```") {
                in_code = !in_code;
            }
            let Some((_, command)) = line.split_once("openclaw ").filter(|(before, _)| {
                in_code
                    && (before.is_empty()
                        || before.ends_with(' ') && (before.contains('=') || before.contains("| ")))
            }) else {
                continue;
            };
            let words: Vec<&str> = command
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let named: Vec<&str> = words.iter().copied().take_while(plain).take(2).collect();
            let known = match named.as_slice() {
                [group @ ("keys" | "config"), action, ..] => vec![*group, *action],
                [command, ..] => vec![*command],
                [] => continue,
            };
            let flags = words
                .iter()
                .filter(|word| word.starts_with("--"))
                .map(|word| word.split('=').next().unwrap_or(word));
            let help = run(
                dir.path(),
                &known.iter().copied().chain(["--help"]).collect::<Vec<_>>(),
            )
            .await;
            assert_eq!(help.code, 0, "{path}: {line}\n{}", help.err);
            for flag in flags {
                assert!(help.out.contains(flag), "{path}: {line}: there is no {flag}");
            }
            seen.insert(known.join(" "));
        }
    }
    for expected in ["serve", "send", "status", "keys create", "config check"] {
        assert!(
            seen.contains(expected),
            "the documents do not show {expected}: {seen:?}"
        );
    }
}
