//! Budgets through the binary: reserved and given back, stored, explained, started over.

use super::{admin, run};
use crate::setup::{LONG, api_world};
use openclaw_testkit::{Answer, HttpClient, MockProvider, Reply, ServerProcess, ServerSetup};
use serde_json::{Value, json};
use std::time::Duration;

/// Wide enough for a rush, and a failure is told at once.
fn wide(setup: ServerSetup) -> ServerSetup {
    setup
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "64")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "256")
        .env("OPENCLAW__AI_FABRIC__FALLBACK__MAX_RETRIES", "0")
        .env("OPENCLAW__AI_FABRIC__CIRCUIT__FAILURES", "1000")
}

/// A client with a key of the free tier, for this user.
async fn free_client(server: &ServerProcess, user: &str) -> HttpClient {
    let made = admin(server)
        .post("/admin/api/v1/keys")
        .json(&json!({ "user": user, "tier": "free", "unlimited": true }))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json().unwrap()["key"].as_str().unwrap().to_owned();
    server.http().unwrap().with_bearer(&key).unwrap()
}

async fn call(client: &HttpClient, max_tokens: u64, caller: &str) -> Reply {
    let body = json!({ "model": "auto", "max_tokens": max_tokens, "user": caller,
        "messages": [{ "role": "user", "content": "hi" }] });
    client
        .post("/v1/chat/completions")
        .json(&body)
        .within(LONG)
        .send()
        .await
        .unwrap()
}

async fn budget(server: &ServerProcess, tenant: &str) -> Value {
    let reply = admin(server)
        .get(&format!("/admin/api/v1/budgets/{tenant}"))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().unwrap()
}

/// Sixty-four callers at once, each of whom may cost 1 000 tokens; `answer` is what the provider does with all of them.
async fn rush(provider: &MockProvider, client: &HttpClient, answer: fn() -> Answer) -> Vec<u16> {
    provider.answer_with(move |_| Some(answer()));
    let asked = provider.stats().requests;
    let hold = provider.hold();
    let callers: Vec<_> = (0..64)
        .map(|number| {
            let client = client.clone();
            // Another `user` of the same key buys no budget of its own.
            tokio::spawn(async move { call(&client, 980, &format!("user-{number}")).await })
        })
        .collect();
    let waiting = async {
        while callers.iter().filter(|caller| caller.is_finished()).count() < 54 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .expect("those for whom there is no budget are refused at once");
    provider.wait_for_requests(asked + 10, LONG).await.unwrap();
    drop(hold);
    let mut statuses = Vec::new();
    for caller in callers {
        statuses.push(caller.await.unwrap().status.as_u16());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_calls_of_a_thousand_tokens_ten_are_admitted_and_failures_give_all_back() {
    let (provider, server, _) = api_world(wide).await;
    let client = free_client(&server, "alice").await;
    let count = |statuses: &[u16], status: u16| statuses.iter().filter(|one| **one == status).count();

    let failed = rush(&provider, &client, || Answer::fault(500)).await;
    assert_eq!((count(&failed, 502), count(&failed, 429)), (10, 54), "{failed:?}");
    let after = budget(&server, "api:alice").await;
    assert_eq!(after["reserved"], 0, "{after}");
    assert_eq!(after["remaining"], 10_000, "{after}");
    assert_eq!(after["outstanding"], 0, "{after}");

    let answered = rush(&provider, &client, || Answer::text("x").with_usage(10, 990)).await;
    assert_eq!(
        (count(&answered, 200), count(&answered, 429)),
        (10, 54),
        "{answered:?}"
    );
    let after = budget(&server, "api:alice").await;
    assert_eq!(after["used"], 10_000, "{after}");
    assert_eq!(after["remaining"], 0, "{after}");
    assert_eq!(after["settled"], 10, "{after}");
}

#[tokio::test]
async fn a_crash_in_mid_call_leaks_no_reservation_and_a_restart_forgets_nothing() {
    let (provider, mut server, _) = api_world(wide).await;
    let client = free_client(&server, "alice").await;
    provider.script(Answer::text("x").with_usage(100, 900));
    assert_eq!(call(&client, 1_000, "a").await.status, 200);
    let before = stored(&server, 1_000).await;

    // A call and a chat's turn are under way when the process vanishes.
    let hold = provider.hold();
    let asked = provider.stats().requests;
    let abandoned = {
        let client = client.clone();
        tokio::spawn(async move {
            let body = json!({ "model": "auto", "max_tokens": 2_000, "messages": [{ "role": "user", "content": "hi" }] });
            client.post("/v1/chat/completions").json(&body).send().await.ok();
        })
    };
    provider.wait_for_requests(asked + 1, LONG).await.unwrap();
    let opened = client
        .post("/api/v1/chats")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    let chat = opened.json().unwrap()["chatId"].as_str().unwrap().to_owned();
    let posted = client
        .post(&format!("/api/v1/chats/{chat}/messages"))
        .json(&json!({ "text": "hello" }))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status, 202, "{}", posted.text());
    provider.wait_for_requests(asked + 2, LONG).await.unwrap();
    let during = budget(&server, "api:alice").await;
    assert_eq!(during["outstanding"], 2, "{during}");
    assert!(during["reserved"].as_u64().unwrap() > 4_000, "{during}");
    server.kill().await.unwrap();
    abandoned.await.unwrap();
    provider.answer_with(|_| Some(Answer::text("back").with_usage(50, 50)));
    drop(hold);
    server.start_again().await.unwrap();

    // The turn is run again and answered; of the crash only its estimated input is charged, to the window it was of.
    let after = settled(&server, "api:alice").await;
    assert_eq!(after["reserved"], 0, "{after}");
    assert_eq!(after["windowStartedAt"], before["windowStartedAt"], "{after}");
    let used = after["used"].as_u64().unwrap();
    assert!((1_100..1_200).contains(&used), "{after}");
    assert_eq!(after["remaining"], 10_000 - used, "{after}");
    // The report says what all of it was for.
    let spent = reported(&server, used).await;
    assert_eq!(
        (&spent["calls"], &spent["estimatedCalls"]),
        (&json!(3), &json!(1)),
        "{spent}"
    );
}

/// Waits until the ledger has as many tokens, all of one model.
async fn reported(server: &ServerProcess, used: u64) -> Value {
    let mut last = Value::Null;
    let waiting = async {
        loop {
            let client = admin(server);
            let report = client.get("/admin/api/v1/budgets?by=model").send().await.unwrap();
            last = report.json().unwrap()["rows"][0].take();
            let tokens = |name: &str| last[name].as_u64().unwrap_or(0);
            if tokens("inputTokens") + tokens("outputTokens") == used {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(LONG, waiting).await.is_err() {
        panic!("{used} tokens are used, and the ledger has {last}");
    }
    last
}

/// Waits until usage of calls, which is stored shortly after, is in the store.
async fn stored(server: &ServerProcess, used: u64) -> Value {
    let waiting = async {
        loop {
            // A report stores what is not stored yet.
            let report = admin(server)
                .get("/admin/api/v1/budgets?by=model")
                .send()
                .await
                .unwrap();
            let budget = budget(server, "api:alice").await;
            if report.json().unwrap()["rows"][0]["calls"].is_u64() && budget["used"] == used {
                return budget;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap()
}

/// Waits until the chat's turn has ended.
async fn settled(server: &ServerProcess, tenant: &str) -> Value {
    let waiting = async {
        loop {
            let budget = budget(server, tenant).await;
            if budget["outstanding"] == 0 && budget["used"].as_u64().is_some_and(|used| used >= 1_100) {
                return budget;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap()
}

#[tokio::test]
async fn the_free_tier_as_a_whole_has_a_ceiling() {
    let (provider, server, operator) =
        api_world(|setup| wide(setup).env("OPENCLAW__AI_FABRIC__BUDGETS__FREE_TOTAL", "3000")).await;
    let (alice, bob) = (
        free_client(&server, "alice").await,
        free_client(&server, "bob").await,
    );
    provider.answer_with(|_| Some(Answer::text("x").with_usage(900, 600)));
    assert_eq!(call(&alice, 1_000, "a").await.status, 200);
    assert_eq!(call(&bob, 1_000, "b").await.status, 200);
    // Both have budget of their own left, and the tier has not.
    let refused = call(&alice, 1_000, "a").await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(
        call(&operator, 1_000, "o").await.status,
        200,
        "other tiers are not concerned"
    );
    let (code, text) = run(&server, &["budget", "explain", "bob"]).await;
    assert_eq!(code, 0, "{text}");
    for words in [
        "refused as TokenBudgetExceededError: ai-fabric.budgets.freeTotal",
        "of 3 000",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
}

#[tokio::test]
async fn a_budget_is_shown_explained_reported_and_started_over() {
    let (provider, server, _) = api_world(wide).await;
    let (alice, bob) = (
        free_client(&server, "alice").await,
        free_client(&server, "bob").await,
    );
    provider.answer_with(|_| Some(Answer::text("x").with_usage(4_000, 900)));
    for client in [&alice, &alice, &bob] {
        assert_eq!(call(client, 1_000, "a").await.status, 200);
    }
    let (code, text) = run(&server, &["budget", "show", "alice"]).await;
    assert_eq!(code, 0, "{text}");
    for words in [
        "api:alice · tier free · limit 10 000 tokens / 24 h · window began ",
        "used 9 800 · reserved 0 · remaining 200",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let (_, text) = run(&server, &["budget", "explain", "api:alice"]).await;
    for words in [
        "settled          9 800    (2 turns and calls)",
        "remaining          200    → a turn needs at least 256: refused as TokenBudgetExceededError",
        "9 800    openai/mock-echo (2 calls",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let (_, text) = run(&server, &["budget", "report", "--by", "tenant"]).await;
    for words in ["tenant", "api:alice  9 800   67 %", "api:bob    4 900   33 %"] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let (_, text) = run(
        &server,
        &["budget", "report", "--by", "model", "--since", "1d", "--json"],
    )
    .await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["rows"][0]["key"], "openai/mock-echo");
    assert_eq!(report["rows"][0]["calls"], 3);
    assert_eq!(report["rows"][0]["inputTokens"], 12_000);
    // Warned of 80 % and of 100 %, once each: the third call was refused.
    let refused = call(&alice, 1_000, "a").await;
    assert_eq!(refused.status, 429);
    assert_eq!(call(&alice, 1_000, "a").await.status, 429);
    for percent in ["80", "100"] {
        let line = format!("openclaw_token_budget_warnings_total{{percent=\"{percent}\"}} 1");
        told(&server, &line).await;
    }

    // Nobody is there to be asked, so nothing is done without --yes.
    let (code, text) = run(&server, &["budget", "reset", "alice"]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("9 800 of"), "{text}");
    assert!(text.contains("--yes"), "{text}");
    let (code, text) = run(&server, &["budget", "reset", "alice", "--dry-run"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    assert_eq!(budget(&server, "api:alice").await["used"], 9_800);
    let (code, text) = run(&server, &["budget", "reset", "alice", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("api:alice starts over: 9 800 tokens were used"),
        "{text}"
    );
    assert!(server.log().contains("budget.reset"), "{}", server.log());
    let after = budget(&server, "api:alice").await;
    assert_eq!(after["used"], 0, "{after}");
    assert_eq!(call(&alice, 1_000, "a").await.status, 200);
    assert_eq!(budget(&server, "api:bob").await["used"], 4_900, "nobody else's");

    // A part that fits several names nobody; one that fits none says so.
    let (code, text) = run(&server, &["budget", "show", "api:"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("fits several tenants: ") && text.contains("api:bob"),
        "{text}"
    );
    let (code, text) = run(&server, &["budget", "show", "nobody"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("there is no tenant"), "{text}");
}

/// Waits until Prometheus is told so: events are counted a moment after they happen.
async fn told(server: &ServerProcess, line: &str) {
    let metrics = server.http().unwrap();
    let waiting = async {
        loop {
            let text = metrics.get("/metrics").send().await.unwrap().text();
            if text.lines().any(|one| one == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .unwrap_or_else(|_| panic!("{line} is not told"));
}

#[tokio::test]
async fn new_tenants_of_anonymous_visitors_are_capped_by_address_and_keys_are_not() {
    let (_provider, server, operator) = api_world(wide).await;
    let nobody = server.http().unwrap();
    let mut opened = 0;
    let refused = loop {
        let reply = nobody
            .post("/api/v1/chats")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        if reply.status != 201 {
            break reply;
        }
        opened += 1;
        // One more may come while this takes its time: a place comes back every two seconds.
        assert!(opened < 60, "nothing stops them");
    };
    assert!(opened >= 30, "{opened}");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    for _ in 0..5 {
        let reply = operator
            .post("/api/v1/chats")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
}
