//! Commands that answer from the data directory and the configuration when no server runs.

use crate::cli::{check, run, run_with};
use crate::setup::{LONG, api_world, metrics};
use openclaw_testkit::{Answer, MockProvider, ServerProcess};
use serde_json::{Value, json};

/// A server whose user alice has used 1 000 tokens of her budget.
async fn spent() -> (MockProvider, ServerProcess) {
    let (provider, server, client) = api_world(|setup| setup).await;
    let made = run(
        server.data_dir(),
        &["keys", "create", "--user", "alice", "--tier", "free"],
    )
    .await;
    check(&made, 0, &["for user alice, tier free"]);
    provider.script(Answer::text("x").with_usage(100, 900));
    let body =
        json!({ "model": "auto", "max_tokens": 1_000, "messages": [{ "role": "user", "content": "hi" }] });
    let answered = client
        .with_bearer(made.out.trim())
        .unwrap()
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answered.status, 200, "{}", answered.text());
    (provider, server)
}

#[tokio::test]
async fn budgets_are_read_and_started_over_on_the_data_directory() {
    let (_provider, mut server) = spent().await;
    let live = run(server.data_dir(), &["budget", "show", "api:alice", "--json"]).await;
    server.terminate(LONG).await.unwrap();
    let dir = server.data_dir().to_owned();
    let dir = dir.as_path();

    let shown = run(dir, &["budget", "show", "alice"]).await;
    check(
        &shown,
        0,
        &[
            "no server runs; working on",
            "api:alice · tier free · limit 10 000 tokens",
            "used 1 000 · reserved 0 · remaining 9 000",
        ],
    );
    assert!(!shown.out.contains("no server runs"), "that is no data");
    let offline = run(dir, &["budget", "show", "api:alice", "--json"]).await;
    let (live, offline): (Value, Value) = (
        serde_json::from_str(&live.out).unwrap(),
        serde_json::from_str(&offline.out).unwrap(),
    );
    for field in ["used", "limit", "windowStartedAt", "resetsAt", "tier", "account"] {
        assert_eq!(live[field], offline[field], "{field}");
    }
    check(
        &run(dir, &["budget", "explain", "api:alice"]).await,
        0,
        &["openai/", "(1 call, since", "it is let in"],
    );
    check(
        &run(dir, &["budget", "report", "--by", "tenant"]).await,
        0,
        &["api:alice", "1 000", "100 %"],
    );
    check(
        &run(dir, &["budget", "show", "nobody"]).await,
        1,
        &["there is no tenant", "next  openclaw budget report"],
    );

    // Nobody can be asked here, so that nothing is done without --yes.
    check(&run(dir, &["budget", "reset", "api:alice"]).await, 2, &["--yes"]);
    check(
        &run(dir, &["budget", "reset", "api:alice", "--dry-run"]).await,
        0,
        &["1 000 of 10 000 tokens are used", "nothing was done"],
    );
    check(
        &run(dir, &["budget", "reset", "api:alice", "--yes"]).await,
        0,
        &[
            "no server runs; working on",
            "1 000 tokens were used, none are now",
        ],
    );
    check(&run(dir, &["budget", "show", "api:alice"]).await, 0, &["used 0"]);
    // The server that is started next knows it, and what was spent is not forgotten with it.
    server.start_again().await.unwrap();
    let after = run(dir, &["budget", "show", "api:alice"]).await;
    check(&after, 0, &["used 0"]);
    assert!(!after.err.contains("no server runs"), "{}", after.err);
    check(
        &run(dir, &["budget", "report", "--by", "tenant"]).await,
        0,
        &["1 000"],
    );
}

#[tokio::test]
async fn a_store_that_a_server_has_is_never_opened_beside_it() {
    let (_provider, server) = spent().await;
    let dir = server.data_dir();
    // The command finds no server; the store's lock tells that there is one.
    std::fs::remove_file(dir.join("server.addr")).unwrap();
    for arguments in [
        &["budget", "show", "api:alice"][..],
        &["budget", "reset", "api:alice", "--yes"],
        &["budget", "report"],
        &["models", "explain", "--tenant", "alice"],
    ] {
        check(
            &run(dir, arguments).await,
            69,
            &["another process has the store in", "next  wait until it is ready"],
        );
    }
    // The server was not disturbed, and nothing was started over.
    std::fs::write(dir.join("server.addr"), server.address().to_string()).unwrap();
    check(
        &run(dir, &["budget", "show", "api:alice"]).await,
        0,
        &["used 1 000"],
    );
    assert_eq!(metrics(&server).await["totalErrors"], 0);
}

#[tokio::test]
async fn models_are_listed_explained_and_tested_from_the_configuration_without_a_store() {
    let nowhere = tempfile::tempdir().unwrap();
    let dir = nowhere.path();
    // Nobody listens where an Ollama would.
    let quiet = [("OPENCLAW__AI_FABRIC__LOCAL_OLLAMA", "")];
    let listed = run_with(dir, &["models", "list"], &quiet).await;
    check(
        &listed,
        0,
        &[
            "without a configuration file",
            "demo",
            "not asked",
            "requests that name none ask demo",
        ],
    );
    check(
        &run_with(dir, &["models", "test"], &quiet).await,
        0,
        &["ok    demo (demo): first token"],
    );
    check(
        &run_with(dir, &["models", "explain", "--tenant", "alice"], &quiet).await,
        69,
        &["there is no database in", "no server runs on"],
    );

    let provider = MockProvider::start().await.unwrap();
    let file = dir.join("other.toml");
    std::fs::write(
        &file,
        format!(
            "[[ai-fabric.providers]]\nid = \"mock\"\nkind = \"openai\"\nbaseUrl = \"{}\"\napiKey = {{ env = \"MOCK_KEY\" }}\n\
             [[ai-fabric.providers.models]]\nid = \"mock-echo\"\n[[ai-fabric.providers.models]]\nid = \"mock-f401\"\n",
            provider.base_url()
        ),
    )
    .unwrap();
    let key = [("MOCK_KEY", "key")];
    let config = file.to_str().unwrap();
    let listed = run_with(dir, &["models", "list", "--config", config], &key).await;
    check(
        &listed,
        0,
        &["working from the configuration", "other.toml", "mock-f401"],
    );
    check(
        &run_with(dir, &["models", "explain", "--config", config], &key).await,
        0,
        &["tier free · needs chat", "asks mock-echo"],
    );
    let tested = run_with(dir, &["models", "test", "--config", config], &key).await;
    check(
        &tested,
        1,
        &[
            "ok    mock-echo (mock)",
            "FAIL  mock-f401 (mock): MODEL_UNAUTHORIZED",
        ],
    );
    assert_eq!(provider.stats().requests, 2, "each was really asked, once");
    check(
        &run_with(dir, &["models", "test", "other", "--config", config], &key).await,
        1,
        &[
            "no provider serves a model named other",
            "next  openclaw models list",
        ],
    );
    // A key that is not set is told, not guessed.
    check(
        &run(dir, &["models", "list", "--config", config]).await,
        78,
        &["MOCK_KEY"],
    );
    let left: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["other.toml"], "a question leaves nothing behind");
}

#[tokio::test]
async fn workers_that_are_programs_are_not_started_by_a_question() {
    let nowhere = tempfile::tempdir().unwrap();
    let dir = nowhere.path();
    std::fs::write(
        dir.join("openclaw.toml"),
        format!(
            "[concurrency]\nruntime = \"process\"\ncommand = [\"touch\", \"{}\"]\n",
            dir.join("started").display()
        ),
    )
    .unwrap();
    // A program that was started might not get to leave its mark every time.
    for _ in 0..5 {
        check(
            &run_with(dir, &["models", "list"], &[("PATH", "/usr/bin:/bin")]).await,
            0,
            &["openclaw.toml", "worker"],
        );
        assert!(!dir.join("started").exists());
    }
}

#[tokio::test]
async fn what_only_a_running_server_has_is_said_to_be_so() {
    let nowhere = tempfile::tempdir().unwrap();
    for arguments in [
        &["workers", "list"][..],
        &["workers", "kill", "1", "--yes"],
        &["workers", "suggest"],
        &["queue", "show"],
        &["queue", "pause"],
        &["queue", "drop", "turn_1", "--yes"],
    ] {
        let ran = run(nowhere.path(), arguments).await;
        check(
            &ran,
            69,
            &[
                "only while a server runs",
                "no server runs on",
                "next  openclaw serve",
            ],
        );
    }
    let memory = [("OPENCLAW__STORAGE__KIND", "memory")];
    check(
        &run_with(nowhere.path(), &["budget", "report"], &memory).await,
        69,
        &["storage.kind is memory", "next  openclaw serve"],
    );
    check(
        &run(nowhere.path(), &["budget", "report"]).await,
        69,
        &["there is no database in"],
    );
}
