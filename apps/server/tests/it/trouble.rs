//! What an operator sees when something goes wrong: the log, the status and the commands say what, why and what next.

use crate::cli::{check, run, run_with, says, screen_with};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, End, HttpClient, Reply, ServerProcess, ServerSetup};
use serde_json::{Value, json};
use std::time::Duration;

/// `warn`, as the log's lines have it.
const WARN: u64 = 40;

/// No pauses between retries.
fn hasty(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "1")
        .env("OPENCLAW__AI_FABRIC__FALLBACK__RETRY_DELAY_MS", "1")
}

async fn ask(client: &HttpClient, model: &str) -> Reply {
    client
        .post("/v1/chat/completions")
        .json(&json!({
            "model": model, "stream": true,
            "messages": [{ "role": "user", "content": "a person's secret words" }],
        }))
        .within(LONG)
        .send()
        .await
        .unwrap()
}

/// What a person quotes and an operator looks for.
fn id_of(reply: &Reply) -> String {
    reply.header("x-request-id").unwrap().to_owned()
}

/// The lines of the log that hold all these words, once there are so many.
async fn lines(server: &ServerProcess, count: usize, words: &[&str]) -> Vec<Value> {
    let found = async {
        loop {
            let log = server.log();
            let lines: Vec<Value> = log
                .lines()
                .filter(|line| words.iter().all(|word| line.contains(word)))
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let found = tokio::time::timeout(LONG, found).await;
    found.unwrap_or_else(|_| panic!("{count} × {words:?} in\n{}", server.log()))
}

/// The log has a line for each of the calls that failed with this code, and one for the end.
async fn told(server: &ServerProcess, id: &str, code: &str, calls: usize) {
    let end = lines(server, 1, &[id, "all models failed"]).await;
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!(
        (&end[0]["level"], &end[0]["attempts"]),
        (&json!(WARN), &json!(calls)),
        "{end:?}"
    );
    let failed = lines(server, calls, &[id, "a model's call failed"]).await;
    assert_eq!(failed.len(), calls, "{failed:?}");
    for (number, line) in failed.iter().enumerate() {
        let then = if number + 1 < calls { "retry" } else { "end" };
        assert_eq!(
            (&line["level"], &line["provider"], &line["code"], &line["then"]),
            (&json!(WARN), &json!("openai"), &json!(code), &json!(then)),
            "{line}"
        );
    }
    assert!(!server.log().contains("secret words"), "{}", server.log());
}

#[tokio::test]
async fn every_failed_call_of_a_model_is_a_line_of_the_log_that_says_what_follows() {
    let (provider, server, client) = api_world(hasty).await;
    for (model, code, calls) in [
        ("mock-f429", "MODEL_RATE_LIMITED", 2),
        ("mock-f401", "MODEL_UNAUTHORIZED", 1),
        ("mock-f404", "MODEL_UNKNOWN", 1),
        ("mock-f500", "MODEL_SERVER_ERROR", 2),
    ] {
        let reply = ask(&client, model).await;
        assert_ne!(reply.status, 200, "{model}");
        told(&server, &id_of(&reply), code, calls).await;
    }
    provider.answer_with(|_| Some(Answer::text("never").with_end(End::CutAfter(0))));
    let reply = ask(&client, "breaks-off").await;
    told(&server, &id_of(&reply), "MODEL_CUT", 2).await;
}

#[tokio::test]
async fn the_log_says_how_long_a_provider_asked_to_wait() {
    let (provider, server, client) = api_world(hasty).await;
    provider.answer_with(|_| Some(Answer::fault(429).with_header("retry-after", "3600")));
    let reply = ask(&client, "busy").await;
    let line = lines(&server, 1, &[&id_of(&reply), "a model's call failed"]).await;
    assert_eq!(line[0]["retryAfterMs"], 3_600_000, "{line:?}");
}

#[tokio::test]
async fn a_provider_that_nobody_is_at_is_in_the_log() {
    // Taken for as long as the test runs, so that nobody else comes to listen there.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let nobody = taken.local_addr().unwrap();
    let (_provider, server, client) =
        api_world(|setup| hasty(setup).env("OPENAI_BASE_URL", format!("http://{nobody}/v1"))).await;
    let reply = ask(&client, "anything").await;
    told(&server, &id_of(&reply), "MODEL_CONNECT", 2).await;
}

#[tokio::test]
async fn a_test_of_a_model_is_in_the_log_and_on_the_screen() {
    let (provider, server, _client) = api_world(|setup| setup.env("OPENAI_MODEL", "mock-echo")).await;
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &["mock-echo at openai: not asked yet"],
    );
    provider.answer_with(|_| Some(Answer::fault(401)));
    let tested = run(server.data_dir(), &["models", "test", "mock-echo", "--json"]).await;
    assert_eq!(tested.code, 1, "{}", tested.out);
    let tested: Value = serde_json::from_str(&tested.out).unwrap();
    let id = tested["tests"][0]["correlationId"].as_str().unwrap();
    let line = lines(&server, 1, &[id, "does not answer"]).await;
    assert_eq!(
        (&line[0]["level"], &line[0]["model"], &line[0]["reason"]),
        (
            &json!(WARN),
            &json!("mock-echo"),
            &json!("refused the key (status 401)")
        ),
        "{line:?}"
    );
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &["mock-echo at openai: FAILING: refused the key (status 401), since 20"],
    );
    provider.answer_with(|_| Some(Answer::text("OK")));
    check(
        &run(server.data_dir(), &["models", "test", "mock-echo"]).await,
        0,
        &[],
    );
    says(&server, "a model was tested at an operator's word and answers").await;
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &["mock-echo at openai: ok, tested 20"],
    );
}

#[tokio::test]
async fn a_mended_key_is_asked_again_once_a_test_has_seen_it_answer() {
    let (provider, server, _client) = api_world(|setup| hasty(setup).env("OPENAI_MODEL", "mock-echo")).await;
    let send = || run(server.data_dir(), &["send", "--model", "mock-echo", "hello"]);
    provider.answer_with(|_| Some(Answer::fault(401)));
    check(&send().await, 1, &["openclaw models test mock-echo"]);
    let left_alone = "left alone after 1 failure: refused the key (status 401)";
    let status = screen_with(&server, left_alone).await;
    check(&status, 0, &[left_alone, "; tried again in "]);

    provider.answer_with(|_| Some(Answer::text("welcome back")));
    check(&send().await, 1, &["openclaw models test mock-echo"]);
    check(
        &run(server.data_dir(), &["models", "test", "mock-echo"]).await,
        0,
        &[],
    );
    check(&send().await, 0, &["welcome back"]);
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_waited_for_no_longer_than_a_turn_would_and_in_words() {
    let (provider, server, _client) = api_world(|setup| {
        setup
            .env("OPENAI_MODEL", "mock-echo")
            .env("OPENCLAW__AI_FABRIC__FIRST_TOKEN_TIMEOUT_MS", "1000")
    })
    .await;
    provider.answer_with(|_| Some(Answer::text("late").with_first_after(LONG)));
    let tested = run(server.data_dir(), &["models", "test", "mock-echo"]).await;
    check(
        &tested,
        1,
        &[
            "asking mock-echo; it has 1.0 s to begin",
            "timed out waiting for the first token",
        ],
    );
}

#[tokio::test]
async fn a_hint_is_about_the_server_that_was_asked() {
    let (provider, server, _client) = api_world(hasty).await;
    provider.answer_with(|_| Some(Answer::fault(500)));
    let directory = server.data_dir().to_str().unwrap();
    let sent = run(server.data_dir(), &["send", "hello", "--data-dir", directory]).await;
    check(
        &sent,
        1,
        &[&format!("next  openclaw models test --data-dir {directory}\n")],
    );
    let nobody = run_with(server.data_dir(), &["status", "--url", "http://127.0.0.1:1"], &[]).await;
    check(
        &nobody,
        69,
        &["http://127.0.0.1:1 does not answer\n  next  check the address after --url"],
    );
}

#[tokio::test]
async fn send_names_the_id_of_the_log_and_the_command_that_finds_out_more() {
    let (provider, server, _client) = api_world(hasty).await;
    provider.answer_with(|_| Some(Answer::fault(500)));
    let sent = run(server.data_dir(), &["send", "--model", "some-model", "hello"]).await;
    check(&sent, 1, &["\n  next  openclaw models test some-model"]);
    let id = sent
        .err
        .lines()
        .find_map(|line| line.strip_prefix("  id    ")?.split(' ').next())
        .unwrap_or_else(|| panic!("{}", sent.err));
    assert!(!lines(&server, 1, &[id, "all models failed"]).await.is_empty());

    // Also after the answer has begun.
    provider.answer_with(|_| Some(Answer::pieces(["a ", "b ", "c "]).with_end(End::CutAfter(2))));
    let sent = run(server.data_dir(), &["send", "hello"]).await;
    check(&sent, 1, &["\n  id    ", "\n  next  openclaw models test"]);
}

#[tokio::test]
async fn the_end_of_a_failed_turn_carries_the_id_under_which_the_log_has_the_reason() {
    let (provider, server, client) = api_world(hasty).await;
    provider.answer_with(|_| Some(Answer::fault(500)));
    let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
    let chat = opened["chatId"].as_str().unwrap();
    let posted = client
        .post(&format!("/api/v1/chats/{chat}/messages"))
        .json(&json!({ "text": "hello" }))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status, 202, "{}", posted.text());
    let mut events = client
        .get(&format!("/api/v1/chats/{chat}/events?lastEventId=0"))
        .within(LONG)
        .stream()
        .await
        .unwrap();
    let failed = loop {
        let event = events.next_event().await.unwrap().expect("the turn ends");
        if event.event == "turn.failed" {
            break serde_json::from_str::<Value>(&event.data).unwrap();
        }
    };
    let problem = &failed["problem"];
    let id = problem["correlationId"].as_str().unwrap();
    assert_eq!(Some(id), posted.header("x-request-id"));
    assert_eq!(
        problem["detail"],
        "Sorry, the answer could not be produced. Please try again in a minute."
    );
    let end = lines(&server, 1, &[id, "all models failed"]).await;
    assert_eq!(
        end[0]["reasons"], "mock-echo: server error (status 500)",
        "{end:?}"
    );
}

#[tokio::test]
async fn workers_that_end_at_once_are_seen_in_status_and_log() {
    let program = json!(["sh", "-c", "echo no module named x >&2; exit 3"]).to_string();
    let (_provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__CONCURRENCY__RUNTIME", "process")
            .env("OPENCLAW__CONCURRENCY__COMMAND", program)
    })
    .await;
    let line = lines(&server, 1, &["a worker's process has failed"]).await;
    assert_eq!(
        (&line[0]["level"], &line[0]["fault"], &line[0]["lastLine"]),
        (
            &json!(WARN),
            &json!("it exited with status 3"),
            &json!("no module named x")
        ),
        "{line:?}"
    );
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &[
            "FAILING since 20",
            ": it exited with status 3",
            "its last line: no module named x",
            "worker at worker: FAILING: its workers fail, it exited with status 3, since 20",
        ],
    );
    let told = run(server.data_dir(), &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&told.out).unwrap();
    let failures = &status["pool"]["failures"];
    assert!(failures["inARow"].as_u64() >= Some(1), "{failures}");
    assert_eq!(failures["last"]["reason"], "it exited with status 3");
    // Whoever asks meanwhile is told that it failed, and nothing of the program.
    let reply = ask(&client, "auto").await;
    assert!(!reply.text().contains("status 3"), "{}", reply.text());
}

#[tokio::test]
async fn a_reload_of_a_broken_file_says_what_is_wrong_and_one_thing_to_do_next() {
    let (_provider, server, _client) = api_world(|setup| setup).await;
    let config = server.data_dir().join("openclaw.toml");
    std::fs::write(
        &config,
        "[server\nlisten = \"127.0.0.1:1\"\n[concurrency]\nmaxWorkers = 2\n",
    )
    .unwrap();
    let reloaded = run(server.data_dir(), &["config", "reload"]).await;
    let place = format!("{}:1:8", config.display());
    check(
        &reloaded,
        78,
        &[&place, "nothing was started or changed", "mend it"],
    );
    assert_eq!(reloaded.err.matches("next  ").count(), 1, "{}", reloaded.err);
    assert!(!reloaded.err.contains("no such key"), "{}", reloaded.err);
    let line = lines(&server, 1, &["the configuration was not taken over"]).await;
    assert!(!line[0]["error"].as_str().unwrap().contains("next  "), "{line:?}");

    let secret = server.data_dir().join("nowhere.key");
    let named = format!("[server]\nadminToken = {{ file = {secret:?} }}\n");
    std::fs::write(&config, named).unwrap();
    let reloaded = run(server.data_dir(), &["config", "reload"]).await;
    let words = format!("the file {} cannot be read: no such file", secret.display());
    check(&reloaded, 78, &[&words]);
    check(&run(server.data_dir(), &["config", "check"]).await, 78, &[&words]);
}

#[tokio::test]
async fn a_variable_this_version_has_no_use_for_is_said_to_be_off_wherever_one_looks() {
    let setting = ("WORKSPACE_ROOT", "/a-place-of-files");
    let (_provider, server, _client) = api_world(|setup| setup.env(setting.0, setting.1)).await;
    let notice = "off: nothing in this version works with files";
    let line = lines(&server, 1, &["WORKSPACE_ROOT", notice]).await;
    assert_eq!(line[0]["level"], WARN, "{line:?}");
    says(
        &server,
        "off: WORKSPACE_ROOT is set, but nothing in this version works with files",
    )
    .await;
    for command in ["check", "show"] {
        let told = run_with(server.data_dir(), &["config", command], &[setting]).await;
        check(&told, 0, &["WORKSPACE_ROOT", notice]);
        assert!(!told.out.contains(setting.1), "{}", told.out);
    }
    assert!(!server.log().contains(setting.1));
}
