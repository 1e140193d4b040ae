//! Workers that are processes, on the path of real messages: the program answers in the place of the models.

mod hostile;

use crate::BINARY;
use crate::setup::{LONG, SECRET, World, api_world, metrics, without_limits, world};
use openclaw_testkit::{Reply, ServerProcess, ServerSetup, SseEvent};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A program that does what its question says.
const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/process_workers/worker.py");
/// The sample of the guide.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/worker.py");

/// The system's own interpreter where there is one: wrappers of version managers start slowly. `None` after a line that
/// says what is left out.
#[expect(
    clippy::print_stderr,
    reason = "the person running the tests must see what was left out"
)]
fn python() -> Option<&'static str> {
    let found = ["/usr/bin/python3", "python3"].into_iter().find(|name| {
        std::process::Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("left out: python3 is not installed");
    }
    found
}

/// Has this program answer.
fn answered_by(setup: ServerSetup, python: &str, program: &str, directory: &Path) -> ServerSetup {
    let command = json!([python, program]).to_string();
    setup
        .env("OPENCLAW__CONCURRENCY__RUNTIME", "process")
        .env("OPENCLAW__CONCURRENCY__COMMAND", command)
        .env("OPENCLAW__CONCURRENCY__DIRECTORY", directory.to_str().unwrap())
}

/// A server with a Telegram bot whose workers run the test's program in a directory of their own.
async fn worker_world(change: impl FnOnce(ServerSetup) -> ServerSetup) -> Option<(World, TempDir)> {
    let python = python()?;
    let directory = tempfile::tempdir().unwrap();
    let world = world(|setup| {
        let setup = answered_by(without_limits(setup), python, WORKER, directory.path());
        change(setup.env("OPENCLAW__STREAMING__FLUSH_TIMEOUT_MS", "50"))
    })
    .await;
    Some((world, directory))
}

/// A stateless call under the operator's key.
async fn complete(server: &ServerProcess, text: &str) -> Reply {
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": text }] });
    client
        .post("/v1/chat/completions")
        .json(&body)
        .within(LONG)
        .send()
        .await
        .unwrap()
}

fn said(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json().unwrap();
    body["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Posts a message to a new chat of the native API; its events up to the end of the turn.
async fn native(server: &ServerProcess, text: &str) -> Vec<SseEvent> {
    let client = server
        .http()
        .unwrap()
        .with_bearer(&server.api_key().unwrap())
        .unwrap();
    let opened = client
        .post("/api/v1/chats")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    let chat = opened.json().unwrap()["chatId"].as_str().unwrap().to_owned();
    let mut events = client
        .get(&format!("/api/v1/chats/{chat}/events"))
        .within(LONG)
        .stream()
        .await
        .unwrap();
    let posted = client
        .post(&format!("/api/v1/chats/{chat}/messages"))
        .json(&json!({ "text": text }))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status, 202, "{}", posted.text());
    let mut seen = Vec::new();
    loop {
        let event = events
            .next_event()
            .await
            .unwrap()
            .expect("the turn ends before the stream");
        let ended = matches!(event.event.as_str(), "turn.finished" | "turn.failed");
        seen.push(event);
        if ended {
            return seen;
        }
    }
}

fn data(event: &SseEvent) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

async fn admin(server: &ServerProcess, path: &str) -> Value {
    let reply = server
        .http()
        .unwrap()
        .get(&format!("/admin/api/v1/{path}"))
        .bearer(&server.admin_token().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().unwrap()
}

#[tokio::test]
async fn the_sample_worker_answers_in_telegram_on_the_native_api_and_on_v1() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let world = world(|setup| answered_by(without_limits(setup), python, SAMPLE, directory.path())).await;
    assert_eq!(world.say(1, "one two three").await, 200);
    world.hears(1, "one two three").await;
    assert_eq!(world.say(1, "and four").await, 200);
    world.hears(1, "and four").await;

    let events = native(&world.server, "word by word it comes").await;
    let shown: String = events
        .iter()
        .filter(|event| event.event == "text.delta")
        .map(|event| data(event)["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown.trim_end(), "word by word it comes", "{events:?}");
    assert_eq!(events.last().unwrap().event, "turn.finished");

    let reply = complete(&world.server, "five six").await;
    assert_eq!(said(&reply).trim_end(), "five six");
    let body = reply.json().unwrap();
    assert_eq!(body["model"], "worker");
    // The sample counts its words: this is what it says it cost.
    assert_eq!(body["usage"]["prompt_tokens"], 2, "{body}");
    assert_eq!(world.provider.stats().requests, 0, "no model was asked");
}

#[tokio::test]
async fn an_answer_grows_in_the_chat_as_the_worker_writes_it() {
    let Some((world, _directory)) = worker_world(|setup| setup).await else {
        return;
    };
    let text: Vec<String> = (0..60).map(|number| format!("word{number}")).collect();
    assert_eq!(world.say(1, "slow 60").await, 200);
    world.hears(1, &text.join(" ")).await;
    let chat = world.telegram.chat(1);
    assert_eq!(chat.texts().len(), 1);
    let history = &chat.last().unwrap().history;
    assert!(history.len() >= 2, "shown while it was written: {history:?}");

    let events = native(&world.server, "slow 30").await;
    let deltas = events.iter().filter(|event| event.event == "text.delta").count();
    assert!(deltas >= 2, "{events:?}");
}

#[tokio::test]
async fn a_worker_is_given_the_conversation_and_of_the_environment_only_what_it_may_see() {
    let Some((world, _directory)) = worker_world(|setup| {
        setup
            .env("WORKER_KEY", "for the worker")
            .env("OPENCLAW__CONCURRENCY__ENV", "WORKER_KEY")
    })
    .await
    else {
        return;
    };
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "worker: hello").await;
    assert_eq!(world.say(1, "count").await, 200);
    world.hears(1, "3").await;
    for (name, value) in [
        ("WORKER_KEY", "for the worker"),
        ("OPENAI_API_KEY", "nothing"),
        ("TELEGRAM_BOT_TOKEN", "nothing"),
        ("WEBHOOK_SECRET", "nothing"),
    ] {
        assert_eq!(
            said(&complete(&world.server, &format!("env {name}")).await),
            value,
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_an_answer_costs_is_the_workers_word_and_an_estimate_without_it() {
    let Some((world, _directory)) = worker_world(|setup| setup).await else {
        return;
    };
    let usage = |reply: Reply| reply.json().unwrap()["usage"].clone();
    let told = usage(complete(&world.server, "hello").await);
    assert_eq!(
        (&told["prompt_tokens"], &told["completion_tokens"]),
        (&json!(11), &json!(7))
    );
    let guessed = usage(complete(&world.server, "silent about its cost, in some more words").await);
    assert!(guessed["prompt_tokens"].as_u64().unwrap() > 3, "{guessed}");
    assert!(guessed["completion_tokens"].as_u64().unwrap() > 3, "{guessed}");

    // A chat's budget is charged the same.
    assert_eq!(world.say(1, "hello").await, 200);
    world.hears(1, "worker: hello").await;
    assert_eq!(world.say(1, "/usage").await, 200);
    let charged = |state: &openclaw_testkit::fake_telegram::State| {
        state
            .chat(1)
            .texts()
            .iter()
            .any(|text| text.starts_with("Used 18 of 10"))
    };
    if world.telegram.wait_for(charged, LONG).await.is_err() {
        panic!("{:?}\n{}", world.telegram.chat(1).texts(), world.server.log());
    }
}

#[tokio::test]
async fn a_worker_that_cannot_answer_says_so_and_lives_on() {
    let Some((world, _directory)) =
        worker_world(|setup| setup.env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")).await
    else {
        return;
    };
    for _ in 0..6 {
        let refused = complete(&world.server, "refuse").await;
        assert_eq!(refused.status, 502, "{}", refused.text());
        assert!(!refused.text().contains("inner words"), "{}", refused.text());
    }
    assert_eq!(complete(&world.server, "full").await.status, 400);
    // As often as that a model would have been left alone for a while; a request of one person must not do it to all.
    assert_eq!(world.say(1, "good").await, 200);
    world.hears(1, "worker: good").await;
    assert_eq!(world.say(1, "refuse").await, 200);
    world
        .hears(
            1,
            "Sorry, the answer could not be produced. Please try again in a minute.",
        )
        .await;
    let workers = admin(&world.server, "workers").await;
    assert_eq!(workers["workers"][0]["id"], 1, "it was never replaced: {workers}");
    assert!(
        world.server.log().contains("the inner words of it"),
        "{}",
        world.server.log()
    );
    assert!(
        world.server.log().contains("the full words of it"),
        "{}",
        world.server.log()
    );
}

#[tokio::test]
async fn a_refusal_that_may_be_mended_is_asked_again() {
    let Some((world, _directory)) =
        worker_world(|setup| setup.env("OPENCLAW__AI_FABRIC__FALLBACK__RETRY_DELAY_MS", "10")).await
    else {
        return;
    };
    assert_eq!(
        said(&complete(&world.server, "busy").await),
        "answered the second time"
    );
}

#[tokio::test]
async fn a_worker_that_beats_may_think_longer_than_a_model_may() {
    let Some((world, _directory)) = worker_world(|setup| {
        setup
            .env("OPENCLAW__AI_FABRIC__FIRST_TOKEN_TIMEOUT_MS", "2000")
            .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
    })
    .await
    else {
        return;
    };
    assert_eq!(world.say(1, "think").await, 200);
    world.hears(1, "thought").await;
}

#[tokio::test]
async fn stop_ends_the_answer_and_the_worker_serves_the_next() {
    let Some((world, _directory)) = worker_world(|setup| setup).await else {
        return;
    };
    assert_eq!(world.say(1, "slow 10000").await, 200);
    world
        .telegram
        .wait_for(|state| !state.chat(1).texts().is_empty(), LONG)
        .await
        .unwrap();
    assert_eq!(world.say(1, "/stop").await, 200);
    world.hears(1, "Stopped.").await;
    assert_eq!(world.say(1, "good").await, 200);
    world.hears(1, "worker: good").await;
}

#[tokio::test]
async fn tools_are_not_promised_to_a_caller_since_the_worker_is_not_told_of_them() {
    let Some((world, _directory)) = worker_world(|setup| setup).await else {
        return;
    };
    let client = world
        .server
        .http()
        .unwrap()
        .with_bearer(&world.server.api_key().unwrap())
        .unwrap();
    let body = json!({
        "model": "worker", "messages": [{ "role": "user", "content": "hi" }],
        "tools": [{ "type": "function", "function": { "name": "t", "parameters": { "type": "object" } } }],
    });
    let reply = client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
    let refused = reply.json().unwrap();
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["param"]),
        (&json!("unsupported_parameter"), &json!("tools")),
        "{refused}"
    );
    assert!(reply.text().contains("not told of tools"), "{}", reply.text());
    let russian = client
        .post("/v1/chat/completions")
        .header("accept-language", "ru")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(
        russian.text().contains("об инструментах не сообщают"),
        "{}",
        russian.text()
    );
    let models = client.get("/v1/models").send().await.unwrap().text();
    assert!(
        models.contains("\"worker\"") && !models.contains("mock-echo"),
        "{models}"
    );
}

#[tokio::test]
async fn a_test_of_the_model_that_workers_stand_for_is_no_failure_and_holds_nothing_against_them() {
    let Some((world, _directory)) = worker_world(|setup| setup).await else {
        return;
    };
    let server = &world.server;
    let ran = |arguments| crate::cli::run(server.data_dir(), arguments);
    let tested = ran(&["models", "test"]).await;
    crate::cli::check(
        &tested,
        0,
        &["worker (worker): answered by workers", "openclaw send"],
    );
    crate::cli::check(&ran(&["status"]).await, 0, &["worker at worker: not asked yet"]);
    said(&complete(server, "hi").await);
    crate::cli::check(
        &ran(&["models", "test", "worker", "--json"]).await,
        0,
        &["\"workers\""],
    );
    crate::cli::check(&ran(&["status"]).await, 0, &["worker at worker: ok"]);
}

#[tokio::test]
async fn the_banner_the_status_and_the_check_name_the_program() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (_provider, server, _client) =
        api_world(|setup| answered_by(setup, python, SAMPLE, directory.path())).await;
    let status = admin(&server, "status").await;
    assert_eq!(status["pool"]["runtime"], "process");
    assert_eq!(status["pool"]["command"], json!([python, SAMPLE]));
    let banner = format!("processes, 1 to 4, each runs: {python} {SAMPLE}");
    let said = tokio::time::timeout(LONG, async {
        while !server.log().contains(&banner) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(said.await.is_ok(), "{banner} in\n{}", server.log());

    // A program that is not there is found before anything is started.
    let setup = ServerSetup::new(BINARY)
        .env("OPENCLAW__CONCURRENCY__RUNTIME", "process")
        .env("OPENCLAW__CONCURRENCY__COMMAND", "/nowhere/worker");
    let (ended, log) = setup.run_to_end().await.unwrap();
    assert_eq!(ended.code(), Some(78), "{log}");
    assert!(
        log.contains("concurrency.command: /nowhere/worker; it must be a program that exists"),
        "{log}"
    );
}

#[tokio::test]
async fn worker_processes_end_with_the_server_and_what_waits_is_answered_after_a_restart() {
    let Some((mut world, directory)) =
        worker_world(|setup| setup.env("OPENCLAW__SERVER__SHUTDOWN_GRACE_MS", "300")).await
    else {
        return;
    };
    assert_eq!(world.say(1, "deaf").await, 200);
    let pids = hostile::noted(directory.path(), 1).await;
    assert_eq!(metrics(&world.server).await["activeWorkers"], 1);
    let status = world.server.terminate(LONG).await.unwrap();
    assert!(status.success(), "{status}");
    hostile::gone(&pids).await;
    world.server.start_again().await.unwrap();
    world
        .telegram
        .set_webhook(&world.server.url("/webhook/telegram"), Some(SECRET));
    // The message had no end, so its turn is run again.
    hostile::noted(directory.path(), 2).await;
}
