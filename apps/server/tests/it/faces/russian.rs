//! What commands say to people who read Russian. What programs read stays English.

use crate::cli::{Ran, check, run, run_with};
use crate::setup::{LONG, api_world};
use openclaw_testkit::Answer;
use serde_json::{Value, json};
use std::path::Path;

const RUSSIAN: [(&str, &str); 1] = [("LANG", "ru_RU.UTF-8")];

async fn speak(dir: &Path, arguments: &[&str]) -> Ran {
    run_with(dir, arguments, &RUSSIAN).await
}

#[tokio::test]
async fn a_running_server_is_looked_after_in_russian() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let dir = server.data_dir();
    provider.script(Answer::text("x").with_usage(100, 900));
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let answered = client.post("/v1/chat/completions").json(&body).send().await;
    assert_eq!(answered.unwrap().status, 200);

    for (arguments, words) in [
        (&["workers", "list"][..], &["состояние", "память", "idle"][..]),
        (&["workers", "suggest"], &["воркер для нынешней нагрузки"]),
        (
            &["workers", "suggest", "--load", "60rps"],
            &["для 60 запросов в секунду: пресет large"],
        ),
        (&["queue", "show"], &["никто не ждёт"]),
        (
            &["queue", "pause"],
            &["на паузе", "дальше  openclaw queue resume"],
        ),
        (&["queue", "resume"], &["пауза снята"]),
        (&["models", "list"], &["модель", "предохранитель"]),
        (&["models", "explain"], &["тир free · нужно: chat", "спрашивает"]),
        (&["models", "test"], &["первый токен"]),
        (&["budget", "report"], &["токены", "доля", "стоимость"]),
        (
            &["keys", "list"],
            &["ключей, кроме операторского, нет", "дальше  openclaw keys create"],
        ),
        (
            &["keys", "create", "--user", "alice"],
            &["для пользователя alice, тир free, бессрочный"],
        ),
        (
            &["budget", "show", "api:alice"],
            &["израсходовано 0 · зарезервировано 0 · осталось 10 000"],
        ),
        (
            &["budget", "reset", "api:alice", "--dry-run"],
            &["начнётся заново", "ничего не сделано"],
        ),
        (&["config", "reload"], &["ничего не изменилось"]),
        (
            &["status"],
            &[
                "работает 00:",
                "  воркеры    заняты",
                "· готов",
                "web включён · api 1 действующий ключ",
            ],
        ),
        (&["health"], &["[+]store ok"]),
        (&["health", "--live"], &["жив"]),
    ] {
        check(&speak(dir, arguments).await, 0, words);
    }
    check(
        &speak(dir, &["workers", "kill", "999", "--yes"]).await,
        1,
        &["openclaw: воркера 999 нет", "  дальше  openclaw workers list"],
    );
    check(
        &speak(dir, &["keys", "revoke", "abc"]).await,
        1,
        &["слишком коротко"],
    );

    // A reload that is refused says why in the language of whoever typed it, and in English to all others.
    let file = dir.join("openclaw.toml");
    std::fs::write(&file, "[concurrency]\nmaxWorkers = 0\n").unwrap();
    let place = file.display();
    check(
        &speak(dir, &["config", "reload"]).await,
        78,
        &[
            "openclaw: конфигурация не годится\n",
            &format!("{place}:2:14  ошибка  concurrency.maxWorkers: 0; ожидается целое число от 1 до "),
            "1 ошибка; ничего не запущено и не изменено\n  дальше  ",
        ],
    );
    let refused = client
        .clone()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap()
        .post("/admin/api/v1/config/reload")
        .send()
        .await
        .unwrap();
    let detail = refused.json().unwrap()["detail"].clone();
    assert!(detail.as_str().unwrap().is_ascii(), "{detail}");
    assert!(
        server.log().contains("expected a whole number") && !server.log().contains("ожидается"),
        "{}",
        server.log()
    );
    std::fs::remove_file(&file).unwrap();

    // What programs read is the same in every language.
    let json = speak(dir, &["workers", "list", "--json"]).await;
    assert!(serde_json::from_str::<Value>(&json.out).unwrap()["workers"].is_array());
    assert!(json.out.is_ascii());
    // And whoever asks in English is answered so.
    check(&run(dir, &["workers", "list"]).await, 0, &["state", "memory"]);
}

#[tokio::test]
async fn without_a_server_and_when_something_is_wrong_it_is_said_in_russian_too() {
    let (_provider, mut server, _) = api_world(|setup| setup).await;
    server.terminate(LONG).await.unwrap();
    let dir = server.data_dir();
    check(
        &speak(dir, &["budget", "report"]).await,
        0,
        &["сервер не запущен; работаю с"],
    );
    check(
        &speak(dir, &["queue", "show"]).await,
        69,
        &["есть только у работающего сервера", "дальше  openclaw serve"],
    );
    let usage = speak(dir, &["budgett"]).await;
    check(
        &usage,
        2,
        &["неизвестная команда 'budgett'", "'budget'", "Использование:"],
    );
    let help = speak(dir, &["budget", "report", "--help"]).await;
    check(
        &help,
        0,
        &[
            "Подсчитать расход",
            "Параметры:",
            "Примеры:",
            "[по умолчанию: tier]",
        ],
    );
    for english in ["Usage", "Options", "Examples", "Print"] {
        assert!(!help.out.contains(english), "{english} in\n{}", help.out);
    }
    // The configuration decides over the terminal.
    let configured = [("LANG", "en_US.UTF-8"), ("OPENCLAW__SERVER__LOCALE", "ru")];
    check(
        &run_with(dir, &["config", "check"], &configured).await,
        0,
        &["конфигурация годится"],
    );
    std::fs::write(dir.join("openclaw.toml"), "[server]\nlocale = \"en\"\n").unwrap();
    check(
        &speak(dir, &["config", "check"]).await,
        0,
        &["the configuration is valid"],
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_and_what_a_field_means_is_said_in_russian() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let file = dir.join("openclaw.toml");
    std::fs::write(&file, "[concurrency]\nminWorkers = 6\nstuckTresholdMs = 1\n").unwrap();
    let place = file.display();
    let words = [
        "конфигурация не годится\n",
        &*format!(
            "{place}:2:14  ошибка  concurrency.minWorkers — 6; должно быть не больше concurrency.maxWorkers, а там 4\n"
        ),
        &*format!(
            "{place}:3:1  ошибка  concurrency.stuckTresholdMs: такого ключа нет; может быть, `stuckThresholdMs`?\n"
        ),
        "2 ошибки; ничего не запущено и не изменено\n  дальше  openclaw config explain concurrency.minWorkers",
    ];
    let checked = speak(dir, &["config", "check"]).await;
    check(&checked, 78, &words);
    check(&speak(dir, &["serve"]).await, 78, &words);
    check(
        &speak(dir, &["config", "explain", "minWorkers"]).await,
        0,
        &[
            "Воркеров держится всегда, даже без работы.",
            "тип          целое число от 0",
            "окружение    OPENCLAW__CONCURRENCY__MIN_WORKERS",
        ],
    );
    // The file's own language counts, although the rest of it is wrong.
    std::fs::write(&file, "[server]\nlocale = \"ru\"\nlisten = \"x\"\n").unwrap();
    check(
        &run(dir, &["config", "check"]).await,
        78,
        &["ошибка  server.listen: \"x\"; ожидается адрес с портом"],
    );
    std::fs::write(&file, "[concurrency]\nmax_workers = 4\n").unwrap();
    check(
        &speak(dir, &["config", "check"]).await,
        0,
        &[
            "предупреждение  concurrency.maxWorkers: `max_workers` читается; правильное имя — `maxWorkers`\n",
            "есть 1 предупреждение",
        ],
    );
    check(
        &speak(dir, &["config", "show"]).await,
        0,
        &["(создаётся при первом запуске", "файл 2:15", "по умолчанию"],
    );
}
