//! What operators ask of models: a list, an explanation, a real question; and what Prometheus is told.

use super::fakes::Fake;
use super::{admin, ask, client, configured, run, said};
use openclaw_testkit::{Answer, HttpClient, MockProvider, Reply, ServerProcess};
use serde_json::{Value, json};

async fn get(client: &HttpClient, path: &str) -> Reply {
    client.get(path).send().await.unwrap()
}

async fn world(directory: &std::path::Path, fake: &Fake, broken: &str) -> ServerProcess {
    let file = format!(
        r#"
[[ai-fabric.providers]]
id = "main"
kind = "openai"
baseUrl = "{base}/v1"
rateLimit = {{ requestsPerMinute = 50, tokensPerMinute = 90_000, concurrentRequests = 4 }}
models = [
  {{ id = "cheap", capabilities = ["chat", "streaming"] }},
  {{ id = "seeing", costPer1kInput = 0.01, costPer1kOutput = 0.02, capabilities = ["chat", "streaming", "vision"] }},
  {{ id = "dear", costPer1kInput = 1.0, capabilities = ["chat", "streaming", "vision"], requiredTier = "premium" }},
]

[[ai-fabric.providers]]
id = "broken"
kind = "openai"
baseUrl = "{broken}"
priority = -1
models = [{{ id = "lost", costPer1kInput = 9.0 }}]
"#,
        base = fake.url("")
    );
    configured(directory, &file, |setup| setup).await
}

#[tokio::test]
async fn models_are_listed_explained_and_really_asked() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let server = world(directory.path(), &fake, "http://127.0.0.1:1/v1").await;
    assert_eq!(said(&ask(&client(&server), "cheap").await), "openai says cheap");

    let (code, text) = run(&server, &["models", "list", "--limits"]).await;
    assert_eq!(code, 0, "{text}");
    for words in ["cheap", "seeing", "premium", "not asked", "requests/min", "90000"] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let (_, listed) = run(&server, &["models", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let main = &listed["providers"][0];
    // 49 by our count; the provider's headers know better.
    assert_eq!(main["remaining"]["requests"], 20);
    assert_eq!(main["models"][0]["asked"], true);
    assert_eq!(main["models"][0]["circuit"], "closed");

    let (code, text) = run(&server, &["models", "explain", "--needs", "vision"]).await;
    assert_eq!(code, 0, "{text}");
    for words in [
        "tier free · needs chat, vision",
        "asks seeing (by score)",
        "score 24.90 = 3 capabilities × 10 − cost 0.0510 × 100",
        "✗ cheap (main): lacks vision",
        "✗ dear (main): is for tier premium and above",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    // A key's user has that key's tier, and a part of a name is enough.
    let (code, _) = run(
        &server,
        &["keys", "create", "--user", "alice", "--tier", "premium"],
    )
    .await;
    assert_eq!(code, 0);
    let (_, text) = run(
        &server,
        &["models", "explain", "--tenant", "alic", "--needs", "vision"],
    )
    .await;
    assert!(text.contains("api:alice, tier premium"), "{text}");
    assert!(text.contains("  dear (main): score"), "{text}");

    let (code, text) = run(&server, &["models", "explain", "--needs", "visoin"]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("a similar value exists: 'vision'"), "{text}");
    let (code, text) = run(&server, &["models", "explain", "--tenant", "nobody"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("openclaw budget report --by tenant"), "{text}");

    let (code, text) = run(&server, &["models", "test", "cheap"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ok    cheap (main): first token "), "{text}");
    assert!(
        text.contains("5 tokens in, 3 out, cost 0.000000 · \"openai says cheap\""),
        "{text}"
    );
    let asked = fake.asked("/chat/completions").pop().unwrap();
    assert_eq!(asked.body["max_tokens"], 64, "it was really asked");
    let (code, text) = run(&server, &["models", "test"]).await;
    assert_eq!(code, 1, "one of them does not answer: {text}");
    for words in [
        "ok    seeing",
        "FAIL  lost (broken): MODEL_CONNECT",
        ": no connection: 127.0.0.1:1: the connection is refused\n",
        "next  check baseUrl",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let (code, text) = run(&server, &["models", "test", "nobody"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no provider serves a model named nobody"), "{text}");
}

#[tokio::test]
async fn a_providers_refusal_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let provider = MockProvider::start().await.unwrap();
    let server = world(directory.path(), &fake, &provider.base_url()).await;
    let admin = admin(&server);
    for (status, code, advice) in [
        (401, "MODEL_UNAUTHORIZED", "check apiKey of broken"),
        (404, "MODEL_UNKNOWN", "broken has no lost"),
        (500, "MODEL_SERVER_ERROR", "name a fallback"),
    ] {
        provider.script(Answer::fault(status));
        let reply = admin
            .post("/admin/api/v1/models/test")
            .json(&json!({ "model": "lost" }))
            .send()
            .await
            .unwrap();
        let answer = reply.json().unwrap();
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["code"], code, "{answer}");
        assert!(answer["next"].as_str().unwrap().contains(advice), "{answer}");
    }
}

#[tokio::test]
async fn the_admin_api_is_for_the_admin_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let server = world(directory.path(), &fake, "http://127.0.0.1:1/v1").await;
    let (nobody, admin) = (client(&server), admin(&server));
    for path in [
        "/admin/api/v1/models",
        "/admin/api/v1/models/explain",
        "/admin/api/v1/budgets",
        "/admin/api/v1/budgets/x",
        "/admin/api/v1/budgets/x/explain",
    ] {
        assert_eq!(get(&nobody, path).await.status, 401, "{path}");
    }
    for path in ["models/test", "budgets/x/reset", "config/reload"] {
        let reply = nobody
            .post(&format!("/admin/api/v1/{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status, 401, "{path}");
    }
    for (path, status) in [
        ("models/explain?needs=flying", 400),
        ("models/explain?inputTokens=many", 400),
        ("models/explain?tenant=nobody", 404),
        ("budgets?by=colour", 400),
        ("budgets?sinceMs=-1", 400),
        ("budgets/nobody", 404),
        ("budgets/%2e%2e%2fx", 404),
    ] {
        let reply = get(&admin, &format!("/admin/api/v1/{path}")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
    }
    let reply = admin
        .post("/admin/api/v1/models/test")
        .json(&json!({ "model": "" }))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
}

#[tokio::test]
async fn prometheus_is_told_of_calls_limits_circuits_and_fallbacks() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let server = world(directory.path(), &fake, "http://127.0.0.1:1/v1").await;
    let client = client(&server);
    said(&ask(&client, "cheap").await);
    // Five failures in a row open the circuit: two calls of one attempt and two retries each.
    for _ in 0..2 {
        assert_eq!(ask(&client, "lost").await.status, 502);
    }
    let lines = [
        "openclaw_model_calls_total{provider=\"main\"} 1",
        "openclaw_model_answers_total{provider=\"main\"} 1",
        "openclaw_model_tokens_total{provider=\"main\",direction=\"out\"} 3",
        "openclaw_model_failures_total{provider=\"broken\",code=\"MODEL_CONNECT\"} 5",
        "openclaw_circuit_changes_total{provider=\"broken\",to=\"open\"} 1",
        "openclaw_circuit_state{provider=\"broken\",model=\"lost\"} 2",
        "openclaw_circuit_state{provider=\"main\",model=\"cheap\"} 0",
        "openclaw_provider_quota_remaining{provider=\"main\",limit=\"requestsPerMinute\"} 20",
        "openclaw_provider_in_flight{provider=\"main\"} 0",
    ];
    // Events are counted a moment after they happen.
    let metrics = server.http().unwrap();
    let waiting = async {
        loop {
            let text = get(&metrics, "/metrics").await.text();
            if lines.iter().all(|line| text.lines().any(|one| one == *line)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let told = tokio::time::timeout(crate::setup::LONG, waiting).await;
    assert!(told.is_ok(), "{}", get(&metrics, "/metrics").await.text());
}
