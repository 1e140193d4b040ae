//! A registry that changes while the server runs: by signal, by command, all or nothing, and not under a running turn.

use super::fakes::Fake;
use super::{admin, ask, client, configured, logged, logged_times, post, run, said};
use crate::setup::LONG;
use openclaw_testkit::{Answer, MockProvider};
use rustix::process::Signal;
use serde_json::{Value, json};

fn openai(id: &str, base_url: &str, model: &str) -> String {
    format!(
        "[[ai-fabric.providers]]\nid = \"{id}\"\nkind = \"openai\"\nbaseUrl = \"{base_url}\"\nmodels = [{{ id = \"{model}\" }}]\n"
    )
}

#[tokio::test]
async fn a_reload_changes_providers_limits_budgets_and_chain_and_names_what_needs_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openclaw.toml");
    let fake = Fake::start().await;
    let before = openai("one", &fake.url("/one/v1"), "a");
    let server = configured(directory.path(), &before, |setup| setup).await;
    let client = client(&server);
    assert_eq!(said(&ask(&client, "auto").await), "openai says a");

    let after = [
        "[server]\nbodyLimit = \"2MiB\"\n[ai-fabric.budgets]\nadmin = 500\n",
        "[ai-fabric.fallback]\nprimaryModel = \"c\"\nmaxRetries = 0\n",
        &openai("two", &fake.url("/two/v1"), "b"),
        "rateLimit = { requestsPerMinute = 7 }\n",
        &openai("three", &fake.url("/three/v1"), "c"),
    ]
    .concat();
    std::fs::write(&file, &after).unwrap();
    let (code, text) = run(&server, &["config", "reload"]).await;
    assert_eq!(code, 0, "{text}");
    for words in [
        "applied",
        "ai-fabric.fallback.primaryModel",
        "needs a restart",
        "server.bodyLimit  \"1MiB\" → \"2MiB\"",
        "connected anew: two, three",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    // The chain's model is asked now; the old provider is gone; the new limit and budget count.
    assert_eq!(said(&ask(&client, "auto").await), "openai says c");
    assert_eq!(ask(&client, "a").await.status, 404);
    assert_eq!(said(&ask(&client, "b").await), "openai says b");
    let models = admin(&server).get("/admin/api/v1/models").send().await.unwrap();
    let models = models.json().unwrap();
    let two = models["providers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|provider| provider["id"] == "two")
        .unwrap();
    assert_eq!(two["limits"]["requestsPerMinute"], 7);
    assert_eq!(two["remaining"]["requests"], 6, "one was just made");
    let usage = client.get("/api/v1/usage").send().await.unwrap().json().unwrap();
    assert_eq!(usage["limit"], 500, "{usage}");
    // What needs a restart is named again, what was applied is not.
    let (_, again) = run(&server, &["config", "reload", "--json"]).await;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["applied"], json!([]));
    assert_eq!(again["needsRestart"][0]["path"], "server.bodyLimit");
    assert_eq!(again["providers"], json!([]), "adapters are kept");
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_changes_nothing_and_is_said_loudly() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openclaw.toml");
    let fake = Fake::start().await;
    let good = openai("one", &fake.url("/v1"), "a");
    let server = configured(directory.path(), &good, |setup| setup).await;
    std::fs::write(
        &file,
        good.replace("\"openai\"", "\"openay\"") + "[logging]\nlevle = \"debug\"\n",
    )
    .unwrap();
    let (code, text) = run(&server, &["config", "reload"]).await;
    assert_eq!(code, 78, "{text}");
    for words in ["openay", "levle", "nothing was started or changed"] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert_eq!(said(&ask(&client(&server), "a").await), "openai says a");
    server.signal(Signal::HUP).unwrap();
    // Said once for the command already.
    logged_times(
        &server,
        "the configuration was not taken over; everything stays as it was",
        2,
    )
    .await;
    assert_eq!(said(&ask(&client(&server), "auto").await), "openai says a");
    // The mended one is taken by the next signal.
    std::fs::write(&file, openai("one", &fake.url("/v1"), "b")).unwrap();
    server.signal(Signal::HUP).unwrap();
    logged(&server, "so were models and budgets").await;
    assert_eq!(said(&ask(&client(&server), "auto").await), "openai says b");
}

#[tokio::test]
async fn a_running_turn_keeps_the_provider_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openclaw.toml");
    let fake = Fake::start().await;
    let old = MockProvider::start().await.unwrap();
    let before = openai("one", &old.base_url(), "a");
    let server = configured(directory.path(), &before, |setup| setup).await;
    let client = client(&server);
    old.script(Answer::text("from the old one"));
    let hold = old.hold();
    let running = {
        let client = client.clone();
        tokio::spawn(async move {
            let body =
                json!({ "model": "a", "stream": false, "messages": [{ "role": "user", "content": "hi" }] });
            post(&client, &body).await
        })
    };
    old.wait_for_requests(1, LONG).await.unwrap();
    std::fs::write(&file, openai("one", &fake.url("/v1"), "a")).unwrap();
    let (code, text) = run(&server, &["config", "reload"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("connected anew: one"), "{text}");
    assert_eq!(
        said(&ask(&client, "a").await),
        "openai says a",
        "new ones go to the new one"
    );
    drop(hold);
    assert_eq!(said(&running.await.unwrap()), "from the old one");
}
