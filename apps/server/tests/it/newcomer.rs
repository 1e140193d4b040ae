//! The first ten minutes: what somebody does who has never seen the program, and every stumble on the way.

use crate::BINARY;
use crate::cli::{Ran, check, run, run_with, says};
use crate::setup::{LONG, api_world};
use openclaw_testkit::browser::Browser;
use openclaw_testkit::optional::Optional;
use openclaw_testkit::sdk::Sdk;
use openclaw_testkit::{ServerProcess, ServerSetup};
use serde_json::{Value, json};
use std::path::Path;

/// Waits until a command on the server's data directory prints these words.
async fn prints(server: &ServerProcess, arguments: &[&str], words: &str) -> Ran {
    let shown = tokio::time::timeout(LONG, async {
        loop {
            let ran = run(server.data_dir(), arguments).await;
            if ran.out.contains(words) {
                return ran;
            }
        }
    });
    shown
        .await
        .unwrap_or_else(|_| panic!("never prints {words:?}\n{}", server.log()))
}

/// An address of this machine on which nobody listens.
async fn nobody() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

// === models ===

#[tokio::test]
async fn the_demo_answers_for_no_model_but_its_own() {
    let server = ServerSetup::new(BINARY)
        .arg("--storage")
        .arg("memory")
        .start()
        .await
        .unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let ask = |model: &str, stream: bool| {
        let body =
            json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "hi" }] });
        client.post("/v1/chat/completions").json(&body).send()
    };
    for stream in [false, true] {
        let refused = ask("gpt-4o", stream).await.unwrap();
        assert_eq!(refused.status, 404);
        assert_eq!(
            refused.json().unwrap()["error"],
            json!({
                "message": "there is no model \"gpt-4o\"; there are: demo, auto",
                "type": "invalid_request_error", "param": "model", "code": "model_not_found",
            })
        );
        for model in ["demo", "auto"] {
            assert_eq!(ask(model, stream).await.unwrap().status, 200, "{model}");
        }
    }
    let listed = client.get("/v1/models/gpt-4o").send().await.unwrap();
    assert_eq!(listed.status, 404);
    assert!(
        listed.text().contains("there are: demo, auto"),
        "{}",
        listed.text()
    );
    let sent = run(server.data_dir(), &["send", "--model", "gpt-4o", "hi"]).await;
    check(
        &sent,
        1,
        &[
            "there is no model \"gpt-4o\"; there are: demo, auto",
            "\n  next  openclaw status",
        ],
    );
}

#[tokio::test]
async fn a_provider_found_in_the_environment_is_asked_for_any_model() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let body = json!({ "model": "mock-echo-2", "messages": [{ "role": "user", "content": "hi" }] });
    client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(provider.stats().requests, 1, "the name was passed on");
}

#[tokio::test]
async fn a_field_that_the_native_api_does_not_know_is_refused_by_name() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
    let path = format!("/api/v1/chats/{}/messages", opened["chatId"].as_str().unwrap());
    let post = |body: Value, language: &'static str| {
        client
            .post(&path)
            .header("accept-language", language)
            .json(&body)
            .send()
    };
    let refused = post(json!({ "text": "hi", "model": "gpt-4o" }), "en")
        .await
        .unwrap();
    let problem = refused.json().unwrap();
    assert_eq!(
        (refused.status.as_u16(), &problem["code"]),
        (400, &json!("VALIDATION"))
    );
    assert_eq!(problem["detail"], "`model` is not a field of this request.");
    assert_eq!(problem["errors"][0]["field"], "model");
    let empty = post(json!({ "text": "" }), "ru").await.unwrap().json().unwrap();
    assert_eq!(empty["detail"], "`text` не может быть пустым.");
    let page = client
        .get("/api/v1/chats?limit=0")
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        page["errors"],
        json!([{ "field": "limit", "rule": "must be a whole number from 1 to 100", "value": "0" }])
    );
    assert_eq!(provider.stats().requests, 0);
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_a_page_about_it() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let problem = client
        .get("/api/v1/chats?limit=x")
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    let path = problem["type"].as_str().unwrap();
    let page = client
        .get(path)
        .header("accept-language", "ru")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("<h1>Запрос составлен неверно</h1>"),
        "{}",
        page.text()
    );
    assert_eq!(
        client.get("/problems/none-such").send().await.unwrap().status,
        404
    );
}

#[tokio::test]
async fn every_wrong_field_of_a_new_key_is_named() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let body = json!({ "tier": "gold", "user": "a:b", "expiresInMs": "90d", "unlimited": 1, "expires": 1 });
    let reply = server
        .http()
        .unwrap()
        .post("/admin/api/v1/keys")
        .bearer(&server.admin_token().unwrap())
        .json(&body)
        .send()
        .await
        .unwrap();
    let problem = reply.json().unwrap();
    let fields: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(reply.status, 400);
    assert_eq!(
        fields,
        ["expires", "user", "tier", "expiresInMs", "unlimited"],
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("`tier` must be one of free, standard, premium, admin"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_408_on_every_surface() {
    let (_provider, server, _) =
        api_world(|setup| setup.env("OPENCLAW__SERVER__REQUEST_TIMEOUT_MS", "50")).await;
    let (key, admin) = (server.api_key().unwrap(), server.admin_token().unwrap());
    for (path, credential, code) in [
        ("/v1/chat/completions", &key, "request_timeout"),
        ("/api/v1/chats", &key, "REQUEST_TIMEOUT"),
        ("/admin/api/v1/keys", &admin, "REQUEST_TIMEOUT"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\ncontent-type: application/json\r\n\
             content-length: 50\r\n\r\n{{"
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        let reading = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer);
        tokio::time::timeout(LONG, reading).await.unwrap().unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains(code),
            "{path}: {answer}"
        );
    }
}

// === the start ===

#[tokio::test]
async fn the_banner_names_the_file_that_was_read_or_says_that_there_is_none() {
    let without = ServerSetup::new(BINARY).start().await.unwrap();
    let place = without.data_dir().join("openclaw.toml");
    says(
        &without,
        &format!("config:      no file; {} would be read", place.display()),
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    std::fs::write(&file, "[server]\nlocale = \"ru\"\n").unwrap();
    let with = ServerSetup::new(BINARY)
        .arg("--config")
        .arg(&file)
        .start()
        .await
        .unwrap();
    says(&with, &format!("настройки:   {}", file.display())).await;
}

#[tokio::test]
async fn a_configuration_file_that_is_not_there_ends_with_78() {
    let dir = tempfile::tempdir().unwrap();
    for command in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let arguments: Vec<&str> = command
            .iter()
            .copied()
            .chain(["--config", "missing.toml"])
            .collect();
        let ran = run(dir.path(), &arguments).await;
        check(
            &ran,
            78,
            &[
                "missing.toml cannot be read",
                "\n  next  mend the path, or leave --config out",
            ],
        );
    }
}

#[tokio::test]
async fn a_fault_of_listen_is_told_as_one_of_listen() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run(dir.path(), &["config", "check", "--listen", "0.0.0.0:3000"]).await;
    check(
        &ran,
        78,
        &["--listen  error  server.listen: 0.0.0.0:3000 can be reached by others"],
    );
    let typed = run(dir.path(), &["serve", "--listen", "3000"]).await;
    check(
        &typed,
        2,
        &[
            "--listen",
            "expected an address with a port, such as 127.0.0.1:3000",
        ],
    );
    assert!(!ran.out.contains("--set"), "{}", ran.out);
}

#[tokio::test]
async fn the_hint_of_a_taken_port_can_be_typed_as_it_stands() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let dir = tempfile::Builder::new().prefix("a data dir").tempdir().unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, format!("[server]\nlisten = \"{}\"\n", server.address())).unwrap();
    let hint = |ran: &Ran| {
        let (_, next) = ran
            .err
            .split_once("\n  next  ")
            .unwrap_or_else(|| panic!("{}", ran.err));
        next.trim().to_owned()
    };
    let (data, config) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    let ran = run(dir.path(), &["serve", "--data-dir", data, "--config", config]).await;
    check(&ran, 1, &["cannot be listened on"]);
    let said = hint(&ran);
    assert!(said.starts_with("PORT="), "{said}");
    assert!(
        said.ends_with(&format!(
            " openclaw serve --config '{config}' --data-dir '{data}'"
        )),
        "{said}"
    );

    // Where a flag says where to listen, PORT would not count.
    let taken = server.address().to_string();
    let ran = run(dir.path(), &["serve", "--storage", "memory", "--listen", &taken]).await;
    let said = hint(&ran);
    let port = said
        .strip_prefix("openclaw serve --storage memory --listen 127.0.0.1:")
        .unwrap_or_else(|| panic!("{said}"));
    assert_ne!(port.parse::<u16>().unwrap(), server.address().port());
}

// === Telegram ===

#[tokio::test]
async fn a_token_that_cannot_be_one_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for command in [&["serve"][..], &["config", "check"]] {
        let ran = run_with(dir.path(), command, &[("TELEGRAM_BOT_TOKEN", "123456:ABC…")]).await;
        check(
            &ran,
            78,
            &[
                "environment TELEGRAM_BOT_TOKEN  error  messenger.telegram.token: ",
                "is not a bot's token: after the colon",
            ],
        );
        assert!(
            !format!("{}{}", ran.out, ran.err).contains("123456"),
            "{}",
            ran.err
        );
    }
}

#[tokio::test]
async fn the_readmes_placeholder_of_a_provider_key_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_with(dir.path(), &["serve"], &[("OPENAI_API_KEY", "sk-…")]).await;
    check(
        &ran,
        78,
        &[
            "environment OPENAI_API_KEY  error  the key has",
            "next  mend OPENAI_API_KEY, or unset it",
        ],
    );
}

#[tokio::test]
async fn a_bot_api_that_cannot_be_reached_is_named_with_the_reason() {
    let token = "700700:nobody-must-read-0123456789abcdefgh";
    let address = format!("http://{}", nobody().await);
    let server = ServerSetup::new(BINARY)
        .env("TELEGRAM_BOT_TOKEN", token)
        .env("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", &*address)
        .start()
        .await
        .unwrap();
    let reason = "the platform cannot be reached: the connection is refused";
    says(&server, reason).await;
    says(&server, &address).await;
    let screen = format!("telegram NOT CONNECTED YET (polling): {address}: {reason}");
    prints(&server, &["status"], &screen).await;
    assert!(!server.log().contains("nobody-must-read"), "{}", server.log());
}

// === keys ===

#[tokio::test]
async fn a_key_is_taken_back_by_its_beginning_and_a_second_time_it_says_so() {
    let (_provider, mut server, _) = api_world(|setup| setup).await;
    let dir = server.data_dir().to_owned();
    let made = async || -> String { run(&dir, &["keys", "create"]).await.out.trim().to_owned() };
    let (first, second) = (made().await, made().await);
    let beginning = first.strip_prefix("oc_live_").unwrap().get(..6).unwrap();
    check(
        &run(&dir, &["keys", "revoke", beginning]).await,
        0,
        &[&first[..16], "is taken back"],
    );
    check(
        &run(&dir, &["keys", "revoke", &first]).await,
        0,
        &["was taken back already, at 20"],
    );
    check(
        &run(&dir, &["keys", "revoke", "oc_live_"]).await,
        1,
        &["too short", "\n  next  openclaw keys list"],
    );
    check(
        &run(&dir, &["keys", "revoke", "zzzzzzzzz"]).await,
        1,
        &["there is no key zzzzzzzzz"],
    );

    let again = server
        .http()
        .unwrap()
        .delete(&format!("/admin/api/v1/keys/{}", &first[..16]))
        .bearer(&server.admin_token().unwrap())
        .send()
        .await
        .unwrap();
    let problem = again.json().unwrap();
    assert_eq!(again.status, 404);
    assert!(
        problem["revokedAt"]
            .as_str()
            .is_some_and(|at| at.starts_with("20")),
        "{problem}"
    );

    server.terminate(LONG).await.unwrap();
    check(
        &run(&dir, &["keys", "revoke", &second[..13]]).await,
        0,
        &["is taken back"],
    );
    check(
        &run(&dir, &["keys", "revoke", &second[..13]]).await,
        0,
        &["was taken back already"],
    );
}

// === questions ===

#[tokio::test]
async fn a_section_explains_itself_and_a_misspelt_one_finds_its_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let explain = async |name: &str| run(dir.path(), &["config", "explain", name]).await;
    check(
        &explain("concurrency").await,
        0,
        &["  maxWorkers ", "Upper bound of the pool."],
    );
    check(
        &explain("ai-fabric.providers[0]").await,
        0,
        &["  kind ", "  models[].id "],
    );
    check(
        &explain("TELEGRAM_BOT_TOKEN").await,
        0,
        &["messenger.telegram.token\n"],
    );
    check(
        &explain("OPENAI_API_KEY_FILE").await,
        0,
        &["OPENAI_API_KEY\n", "set          no"],
    );
    check(
        &explain("concurency").await,
        1,
        &["there is no field or section concurency\n  next  openclaw config explain concurrency\n"],
    );
}

// === language ===

#[tokio::test]
async fn the_servers_language_is_for_people_of_whom_nobody_knows_it() {
    let world = crate::setup::world(|setup| setup.env("OPENCLAW__SERVER__LOCALE", "ru")).await;
    // Telegram tells a language of most people, not of all.
    let tell = async |user: i64, text: &str, language: Option<&str>| {
        let mut update = world.telegram.private_text(user, text);
        match language {
            Some(language) => update["message"]["from"]["language_code"] = language.into(),
            None => drop(
                update["message"]["from"]
                    .as_object_mut()
                    .unwrap()
                    .remove("language_code"),
            ),
        }
        assert_eq!(world.telegram.deliver_update(&update).await.unwrap(), 200);
    };
    const RUSSIAN: &str = "Здравствуйте! Напишите сообщение, и я отвечу. /help покажет, что ещё я умею.";
    const ENGLISH: &str = "Hello! Send me a message and I will answer. /help shows what else I can do.";
    tell(1, "/start", None).await;
    world.hears(1, RUSSIAN).await;
    tell(2, "/start", Some("de")).await;
    world.hears(2, RUSSIAN).await;
    tell(3, "/start", Some("en")).await;
    world.hears(3, ENGLISH).await;

    let client = world
        .server
        .http()
        .unwrap()
        .with_bearer(&world.server.api_key().unwrap())
        .unwrap();
    let refusal = async |language: Option<&str>| {
        let mut request = client.get("/api/v1/chats/none/messages");
        if let Some(language) = language {
            request = request.header("accept-language", language);
        }
        request.send().await.unwrap().json().unwrap()["detail"].clone()
    };
    assert_eq!(refusal(None).await, "Такого чата нет.");
    assert_eq!(refusal(Some("de")).await, "Такого чата нет.");
    assert_eq!(refusal(Some("en")).await, "There is no such chat.");
    let page = client.get("/chat").send().await.unwrap().text();
    assert!(page.contains("<html lang=\"ru\">"), "{page}");
}

#[tokio::test]
async fn the_chat_page_answers_on_a_fresh_server_and_speaks_its_language_to_who_speaks_neither() {
    let Some(chromium) = Optional::Chromium.find() else {
        return;
    };
    let server = ServerSetup::new(BINARY)
        .env("LANG", "ru_RU.UTF-8")
        .start()
        .await
        .unwrap();
    let browser = Browser::launch(&chromium).await.unwrap();
    let placeholder = "document.querySelector('#text').placeholder";
    for (reads, expected) in [
        ("de", "Напишите сообщение"),
        ("de,en", "Write a message"),
        ("ru", "Напишите сообщение"),
    ] {
        let page = browser.visitor().await.unwrap();
        page.speaks(reads).await.unwrap();
        page.open(&server.url("/chat")).await.unwrap();
        assert_eq!(page.text(placeholder).await.unwrap(), expected, "{reads}");
    }
    let page = browser.visitor().await.unwrap();
    page.open(&server.url("/chat")).await.unwrap();
    page.eval("document.querySelector('#text').focus()")
        .await
        .unwrap();
    page.type_text("привет").await.unwrap();
    page.press("Enter").await.unwrap();
    page.wait_for("document.querySelector('.answer .body')?.innerText.includes('Я демонстрационная модель')")
        .await
        .unwrap();
}

// === the README ===

/// The first block of a language in the README, as it is printed.
fn snippet(page: &str, language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let start = format!("```{language}\n");
    let (_, rest) = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("{page} has no {language}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs a snippet against a server with no provider, as a newcomer has it; only address and key are filled in.
async fn run_snippet(sdk: Sdk, language: &str) {
    let server = ServerSetup::new(BINARY)
        .arg("--storage")
        .arg("memory")
        .start()
        .await
        .unwrap();
    let made = run(server.data_dir(), &["keys", "create"]).await;
    let mut pages = vec!["README.md", "README.ru.md"];
    if language == "python" {
        pages.extend(["docs/guide/en/api.md", "docs/guide/ru/api.md"]);
    }
    for page in pages {
        let printed = snippet(page, language);
        let filled = printed
            .replace("http://127.0.0.1:3000", &server.url(""))
            .replace(
                "~/.local/share/openclaw",
                &server.data_dir().display().to_string(),
            )
            .replace("oc_live_…", made.out.trim());
        assert_ne!(printed, filled, "{page}: address and key stand in the snippet");
        let said = sdk.run(&filled).await.unwrap();
        assert!(
            said.contains("I am the demo model") || said.contains("Я демонстрационная модель"),
            "{page}: {said}"
        );
    }
}

#[tokio::test]
async fn the_readmes_lines_for_python_work_as_they_are_printed() {
    let Some(sdk) = Sdk::python() else {
        return;
    };
    run_snippet(sdk, "python").await;
}

#[tokio::test]
async fn the_readmes_lines_for_javascript_work_as_they_are_printed() {
    let Some(sdk) = Sdk::java_script() else {
        return;
    };
    run_snippet(sdk, "js").await;
}
