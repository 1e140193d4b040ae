//! Refusals a person can understand, and bad input that is answered and not obeyed.

use crate::cli::{check, run};
use crate::setup::{LONG, SECRET, api_world, without_limits, world};
use openclaw_testkit::{Answer, Reply, ServerProcess};
use serde_json::{Value, json};

#[tokio::test]
async fn a_spent_free_budget_is_refused_in_the_senders_language_with_the_time_it_resets() {
    let world = world(without_limits).await;
    // One answer that costs 9 900 of the 10 000 tokens of the free tier.
    world
        .provider
        .script(Answer::text("готово").with_usage(4_900, 5_000));
    assert_eq!(world.say_in("ru", 1, "сделай").await, 200);
    world.hears(1, "готово").await;
    assert_eq!(world.say_in("ru", 1, "ещё").await, 200);
    let refused = |state: &openclaw_testkit::fake_telegram::State| {
        state.chat(1).texts().iter().any(|text| {
            text.starts_with("Из вашего дневного лимита в 10\u{202f}000 токенов осталось 100, а этому сообщению нужно не меньше ")
                && text.contains(". Обновится через ")
                && text.contains("UTC")
        })
    };
    if world.telegram.wait_for(refused, LONG).await.is_err() {
        panic!("{:?}\n{}", world.telegram.chat(1).texts(), world.server.log());
    }
    assert_eq!(world.provider.stats().requests, 1, "no model was asked");
    // Somebody else has a budget of their own.
    assert_eq!(world.say(2, "hello").await, 200);
    world.hears(2, "echo: hello").await;
}

#[tokio::test]
async fn spent_tokens_are_remembered_over_a_restart() {
    let mut world = world(without_limits).await;
    world
        .provider
        .script(Answer::text("done").with_usage(4_900, 5_000));
    assert_eq!(world.say(1, "do it").await, 200);
    world.hears(1, "done").await;
    // It is shown as it is written; what it has cost is stored with its end.
    let stored = async {
        loop {
            let status = run(world.server.data_dir(), &["status", "--json"]).await;
            let status: Value = serde_json::from_str(&status.out).unwrap();
            if status["inbox"]["open"] == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, stored).await.expect("it ends");
    world.server.kill().await.unwrap();
    world.server.start_again().await.unwrap();
    world
        .telegram
        .set_webhook(&world.server.url("/webhook/telegram"), Some(SECRET));
    assert_eq!(world.say(1, "more").await, 200);
    let refused = |state: &openclaw_testkit::fake_telegram::State| {
        state.chat(1).texts().iter().any(|text| {
            text.starts_with(
                "Of your daily limit of 10\u{202f}000 tokens, 100 are left, and this message needs at least ",
            )
        })
    };
    if world.telegram.wait_for(refused, LONG).await.is_err() {
        panic!("{:?}\n{}", world.telegram.chat(1).texts(), world.server.log());
    }
}

#[tokio::test]
async fn a_model_is_as_old_each_time_it_is_asked_for() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let list = client.get("/v1/models").send().await.unwrap().json().unwrap();
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["created"], 0, "{model}");
    }
    let auto = client
        .get("/v1/models/auto")
        .send()
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(auto["created"], 0, "{auto}");
}

#[tokio::test]
async fn bad_bodies_on_v1_get_openais_errors() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let cases: [(&str, u16); 8] = [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("{\"model\":\"auto\"}", 400),
        ("{\"model\":\"auto\",\"messages\":[]}", 400),
        ("{\"model\":\"auto\",\"messages\":\"hi\"}", 400),
        (
            "{\"model\":7,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            400,
        ),
        (
            "{\"model\":\"auto\",\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}",
            400,
        ),
    ];
    for (body, status) in cases {
        let reply = client
            .post("/v1/chat/completions")
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        let error = reply.json().unwrap();
        assert!(
            error["error"]["message"].is_string() && error["error"]["type"].is_string(),
            "{body}: {error}"
        );
        assert!(reply.header("x-request-id").is_some());
    }
    let large = "x".repeat(2 << 20);
    let reply = client
        .post("/v1/chat/completions")
        .body(large)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json().unwrap()["error"]["code"], "too_large");
    for path in ["/v1/unknown", "/v1", "/nope", "/admin/api/v1/nope"] {
        let reply = client.get(path).send().await.unwrap();
        assert_eq!(reply.status, 404, "{path}");
        let body = reply.json().unwrap();
        assert!(
            body["error"]["code"] == "not_found" || body["code"] == "NOT_FOUND",
            "{path}: {body}"
        );
    }
    let reply = server.http().unwrap().get("/v1/models").send().await.unwrap();
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json().unwrap()["error"]["code"], "invalid_api_key");
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "alive?" }] });
    let reply = client
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "the server goes on");
    assert_eq!(provider.stats().requests, 1);
    assert_quiet(&server.log());
}

#[tokio::test]
async fn an_authentic_webhook_that_cannot_be_understood_is_acknowledged() {
    let world = world(|setup| setup).await;
    let headers = [(openclaw_testkit::fake_telegram::SECRET_HEADER, SECRET.to_owned())];
    let large = format!("{{\"update_id\":1,\"message\":\"{}\"}}", "x".repeat(2 << 20));
    let bodies: [&str; 9] = [
        "",
        "{",
        "[]",
        "null",
        "{\"update_id\":\"x\"}",
        "{\"update_id\":99,\"message\":{\"text\":5}}",
        "{\"update_id\":100,\"poll\":{}}",
        "{\"update_id\":101,\"message\":{\"message_id\":1,\"date\":0,\"chat\":{\"id\":1,\"type\":\"private\"},\"from\":{\"id\":1,\"is_bot\":false,\"first_name\":\"\\ud800\"},\"text\":\"\\ud800\"}}",
        &large,
    ];
    for body in bodies {
        let status = world
            .telegram
            .post_webhook(body.as_bytes().to_vec(), &headers)
            .await
            .unwrap();
        assert_eq!(status, 200, "{}", body.get(..80).unwrap_or(body));
    }
    assert_eq!(world.say(3, "alive?").await, 200);
    world.hears(3, "echo: alive?").await;
    assert_quiet(&world.server.log());
}

/// Nothing above `warn` was logged.
#[track_caller]
fn assert_quiet(log: &str) {
    for line in log.lines() {
        let level = serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|line| line["level"].as_u64());
        assert!(level.is_none_or(|level| level <= 40), "{line}");
    }
}

/// What a budget below one turn tells a caller of `/v1`.
async fn refused_on_v1(server: &ServerProcess, language: &str) -> Reply {
    let key = run(
        server.data_dir(),
        &["keys", "create", "--tier", "free", "--user", "alice", "--json"],
    )
    .await;
    let key: Value = serde_json::from_str(&key.out).unwrap();
    let client = server
        .http()
        .unwrap()
        .with_bearer(key["key"].as_str().unwrap())
        .unwrap();
    client
        .post("/v1/chat/completions")
        .header("accept-language", language)
        .json(&json!({ "model": "auto", "messages": [{ "role": "user", "content": "hello" }] }))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_budget_below_one_turn_says_so_and_promises_no_time() {
    let world = world(|setup| without_limits(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__FREE", "200")).await;
    let hears = async |user: i64, limit: &str, never: &str| {
        let said = |state: &openclaw_testkit::fake_telegram::State| {
            let texts = state.chat(user).texts();
            texts
                .iter()
                .any(|text| text.contains(limit) && !text.contains("UTC") && text.contains(never))
        };
        if world.telegram.wait_for(said, LONG).await.is_err() {
            panic!("{:?}", world.telegram.chat(user).texts());
        }
    };
    assert_eq!(world.say_in("ru", 1, "сделай").await, 200);
    hears(1, "ваш дневной лимит — 200 токенов", "Ждать бесполезно").await;
    assert_eq!(world.say(2, "do it").await, 200);
    hears(2, "your daily limit is 200 tokens", "Waiting does not help").await;

    let reply = refused_on_v1(&world.server, "en").await;
    let body = reply.json().unwrap();
    assert_eq!(
        (reply.status.as_u16(), &body["error"]["code"]),
        (429, &json!("insufficient_quota"))
    );
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("your daily limit is 200 tokens"), "{message}");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert_eq!(
        (reply.header("retry-after"), reply.header("retry-after-ms")),
        (None, None)
    );
    let explained = run(world.server.data_dir(), &["budget", "explain", "api:alice"]).await;
    check(
        &explained,
        0,
        &["the tier's whole limit is less than that, until the limit is raised"],
    );
    assert_eq!(world.provider.stats().requests, 0, "no model was asked");
}

#[tokio::test]
async fn the_end_of_a_turn_without_budget_has_the_numbers_and_a_time_only_where_there_is_one() {
    for (limit, code) in [
        ("200", "TOKEN_BUDGET_TOO_SMALL"),
        ("1000", "TOKEN_BUDGET_EXCEEDED"),
    ] {
        let (provider, _server, client) =
            api_world(|setup| setup.env("OPENCLAW__AI_FABRIC__BUDGETS__ADMIN", limit)).await;
        provider.answer_with(|_| Some(Answer::text("x").with_usage(500, 400)));
        let opened = client.post("/api/v1/chats").send().await.unwrap().json().unwrap();
        let chat = opened["chatId"].as_str().unwrap();
        let mut events = client
            .get(&format!("/api/v1/chats/{chat}/events?lastEventId=0"))
            .within(LONG)
            .stream()
            .await
            .unwrap();
        let failed = loop {
            let post = client.post(&format!("/api/v1/chats/{chat}/messages"));
            let posted = post.json(&json!({ "text": "hello" })).send().await.unwrap();
            assert_eq!(posted.status, 202, "{}", posted.text());
            let mut end = events.next_event().await.unwrap().unwrap();
            while !["turn.finished", "turn.failed"].contains(&end.event.as_str()) {
                end = events.next_event().await.unwrap().unwrap();
            }
            if end.event == "turn.failed" {
                break serde_json::from_str::<Value>(&end.data).unwrap();
            }
        };
        let problem = &failed["problem"];
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["limit"].to_string(), limit);
        let [used, requested, needed] = ["used", "requested", "needed"]
            .map(|name| problem[name].as_u64().unwrap_or_else(|| panic!("{problem}")));
        let waiting_helps = code == "TOKEN_BUDGET_EXCEEDED";
        assert_eq!(used > 0, waiting_helps, "{problem}");
        assert!(requested >= needed && needed > 200, "{problem}");
        assert_eq!(problem["recoverable"], waiting_helps);
        assert_eq!(problem["resetsAt"].is_string(), waiting_helps, "{problem}");
        assert_eq!(problem["retryAfterMs"].is_number(), waiting_helps, "{problem}");
    }
}
