//! The operator's hand on workers and queue: by command and by the admin API, on a server with people in it.

use crate::cli::{Ran, check, run, run_with};
use crate::setup::{LONG, World, api_world, without_limits, world};
use openclaw_testkit::{Answer, Content, ServerProcess, ServerSetup};
use serde_json::{Value, json};
use std::time::Duration;

const KILLED: &str = "Something went wrong while your request was being answered. Please try again.";
const DROPPED: &str = "The operator of this service took your message out of the queue, so it will not be answered. You can send it again later.";

/// One worker, so that the second message waits.
fn one_worker(setup: ServerSetup) -> ServerSetup {
    without_limits(setup)
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
        .env("OPENCLAW__CONCURRENCY__BACKPRESSURE_THRESHOLD", "1")
}

async fn openclaw(server: &ServerProcess, arguments: &[&str]) -> Ran {
    run(server.data_dir(), arguments).await
}

async fn json_of(server: &ServerProcess, arguments: &[&str]) -> Value {
    let ran = openclaw(server, arguments).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err, "", "data alone");
    serde_json::from_str(&ran.out).unwrap()
}

/// Asks with a command again and again until its JSON is as wanted.
async fn once(server: &ServerProcess, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let seen = json_of(server, arguments).await;
            if wanted(&seen) {
                return seen;
            }
        }
    };
    tokio::time::timeout(LONG, look).await.expect("it came to pass")
}

/// What waits, once there is so much of it.
async fn queue_of(world: &World, waiting: usize) -> Value {
    once(&world.server, &["queue", "show", "--json"], |queue| {
        queue["waiting"] == waiting
    })
    .await
}

fn id_of(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

async fn log_says(server: &ServerProcess, words: &[&str]) {
    let said = async {
        while !server
            .log()
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(LONG, said).await.is_ok(),
        "{words:?} in\n{}",
        server.log()
    );
}

#[tokio::test]
async fn a_worker_is_seen_at_work_and_killed_after_it_was_said_what_that_means() {
    let world = world(one_worker).await;
    let hold = world.provider.hold();
    assert_eq!(world.say(1, "hello").await, 200);
    let list = once(
        &world.server,
        &["workers", "list", "--state", "busy", "--json"],
        |list| list["workers"][0]["request"]["tenantId"] == "telegram:1:1",
    )
    .await;
    let worker = &list["workers"][0];
    let (id, request) = (
        worker["id"].to_string(),
        worker["request"]["correlationId"].as_str().unwrap(),
    );
    assert_eq!(
        (&worker["state"], &worker["memory"]),
        (&json!("busy"), &json!("shared")),
        "{list}"
    );
    assert_eq!(
        (&list["runtime"], &list["abandoned"]),
        (&json!("task"), &json!(0))
    );
    check(
        &openclaw(&world.server, &["workers", "list"]).await,
        0,
        &["busy", "telegram:1:1", request],
    );
    assert_eq!(
        json_of(&world.server, &["workers", "list", "--state", "stuck", "--json"]).await["workers"],
        json!([])
    );

    // Nobody can be asked here, so nothing is done.
    let unsure = openclaw(&world.server, &["workers", "kill", &id]).await;
    check(&unsure, 2, &[request, "will end with an error", "--yes"]);
    let dry = openclaw(&world.server, &["workers", "kill", &id, "--dry-run"]).await;
    check(&dry, 0, &[request, "nothing was done"]);
    assert_eq!(
        json_of(&world.server, &["workers", "list", "--json"]).await["workers"][0]["state"],
        "busy"
    );

    let killed = openclaw(&world.server, &["workers", "kill", &id, "--yes", "--json"]).await;
    assert_eq!(killed.code, 0, "{}", killed.err);
    let done: Value = serde_json::from_str(&killed.out).unwrap();
    assert_eq!(
        (&done["action"], &done["worker"]["id"].to_string()),
        (&json!("killed"), &id)
    );
    world.hears(1, KILLED).await;
    log_says(
        &world.server,
        &[
            "an operator acted on a worker",
            "killed",
            "admin@127.0.0.1",
            request,
        ],
    )
    .await;
    let again = openclaw(&world.server, &["workers", "kill", &id, "--yes"]).await;
    check(
        &again,
        1,
        &[&format!("there is no worker {id}"), "openclaw workers list"],
    );
    drop(hold);
    assert_eq!(world.say(1, "again").await, 200);
    world.hears(1, "echo: again").await;
}

#[tokio::test]
async fn a_recycled_worker_ends_its_request_first() {
    let world = world(one_worker).await;
    let hold = world.provider.hold();
    assert_eq!(world.say(1, "hello").await, 200);
    let list = once(&world.server, &["workers", "list", "--json"], |list| {
        list["workers"][0]["state"] == "busy"
    })
    .await;
    let id = list["workers"][0]["id"].to_string();
    check(
        &openclaw(&world.server, &["workers", "recycle", &id]).await,
        0,
        &["when its request has ended"],
    );
    check(
        &openclaw(&world.server, &["workers", "recycle", &id]).await,
        1,
        &["is draining already", "openclaw workers list"],
    );
    drop(hold);
    world.hears(1, "echo: hello").await;
    let after = once(&world.server, &["workers", "list", "--json"], |list| {
        list["workers"][0]["state"] == "idle"
    })
    .await;
    assert_ne!(after["workers"][0]["id"].to_string(), id);
    check(
        &openclaw(&world.server, &["workers", "recycle", "99"]).await,
        1,
        &["there is no worker 99"],
    );
}

#[tokio::test]
async fn a_suggestion_follows_the_load_or_the_manuals_table() {
    let (_provider, server, _client) = api_world(|setup| setup).await;
    check(
        &openclaw(&server, &["workers", "suggest"]).await,
        0,
        &["1 worker for the present load", "there may be 1 to 4"],
    );
    let advice = json_of(&server, &["workers", "suggest", "--load", "60rps", "--json"]).await;
    assert_eq!(
        (&advice["preset"], &advice["maxWorkers"]),
        (&json!("large"), &json!(8))
    );
}

#[tokio::test]
async fn a_paused_queue_accepts_and_holds_and_goes_on() {
    let world = world(without_limits).await;
    check(
        &openclaw(&world.server, &["queue", "pause"]).await,
        0,
        &["paused", "openclaw queue resume"],
    );
    for user in 1..=3 {
        assert_eq!(world.say(user, "hello").await, 200);
    }
    let queue = queue_of(&world, 3).await;
    assert_eq!(
        (&queue["paused"], &queue["inInbox"], &queue["inPool"]),
        (&json!(true), &json!(3), &json!(0))
    );
    assert_eq!(world.provider.stats().requests, 0);
    check(&openclaw(&world.server, &["status"]).await, 0, &["PAUSED"]);
    let ready = world.server.http().unwrap().get("/readyz").send().await.unwrap();
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("paused"), "{}", ready.text());
    let metrics = world
        .server
        .http()
        .unwrap()
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text();
    assert!(metrics.contains("openclaw_pool_paused 1"), "{metrics}");

    // A call waits, too: it is accepted and not refused.
    let client = world
        .server
        .http()
        .unwrap()
        .with_bearer(&world.server.api_key().unwrap())
        .unwrap();
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let call = tokio::spawn(
        client
            .post("/v1/chat/completions")
            .json(&body)
            .within(LONG)
            .send(),
    );
    let queue = queue_of(&world, 4).await;
    let first = &queue["items"][0];
    assert_eq!(
        (&first["priority"], &first["place"]),
        (&json!("critical"), &json!("pool")),
        "the operator's key first"
    );
    assert!(id_of(first).starts_with("call_"), "{queue}");
    let shown = openclaw(&world.server, &["queue", "show", "--by", "tier"]).await;
    check(&shown, 0, &["4 wait", "PAUSED", "free", "admin"]);
    let groups = json_of(&world.server, &["queue", "show", "--by", "tenant", "--json"]).await;
    assert_eq!(groups["groups"].as_array().unwrap().len(), 4, "{groups}");

    let resumed = json_of(&world.server, &["queue", "resume", "--json"]).await;
    assert_eq!(resumed["paused"], false);
    for user in 1..=3 {
        world.hears(user, "echo: hello").await;
    }
    assert_eq!(call.await.unwrap().unwrap().status, 200);
    log_says(
        &world.server,
        &["an operator paused the queue", "admin@127.0.0.1"],
    )
    .await;
    log_says(&world.server, &["an operator resumed the queue"]).await;
}

#[tokio::test]
async fn a_pause_is_not_kept_over_a_restart_and_loses_nothing() {
    let mut world = world(without_limits).await;
    check(&openclaw(&world.server, &["queue", "pause"]).await, 0, &[]);
    assert_eq!(world.say(1, "hello").await, 200);
    queue_of(&world, 1).await;
    let status = world.server.terminate(LONG).await.unwrap();
    assert!(status.success(), "{status}");
    world.server.start_again().await.unwrap();
    world.hears(1, "echo: hello").await;
}

#[tokio::test]
async fn who_waits_too_long_behind_a_pause_is_told_the_truth() {
    let world =
        world(|setup| without_limits(setup).env("OPENCLAW__INBOX__ADMISSION_DEADLINE_MS", "300")).await;
    check(&openclaw(&world.server, &["queue", "pause"]).await, 0, &[]);
    assert_eq!(world.say_in("ru", 1, "привет").await, 200);
    world
        .hears(
            1,
            "Администратор сервиса приостановил ответы, и до вашего сообщения очередь не дошла. Пожалуйста, отправьте его ещё раз позже.",
        )
        .await;
    queue_of(&world, 0).await;
}

#[tokio::test]
async fn what_is_dropped_from_inbox_or_pool_ends_with_words_and_the_rest_is_answered() {
    let world = world(one_worker).await;
    let hold = world.provider.hold();
    assert_eq!(world.say(1, "runs").await, 200);
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    // Behind the running turn of the same person, in the inbox; behind the busy worker, in the pool.
    assert_eq!(world.say(1, "behind it").await, 200);
    assert_eq!(world.say(2, "in the pool").await, 200);
    assert_eq!(world.say(3, "also there").await, 200);
    let queue = queue_of(&world, 3).await;
    let item = |tenant: &str| {
        let items = queue["items"].as_array().unwrap();
        items
            .iter()
            .find(|item| item["tenantId"] == tenant)
            .unwrap()
            .clone()
    };
    let (inbox, pool) = (item("telegram:1:1"), item("telegram:2:2"));
    assert_eq!(
        (&inbox["place"], &inbox["ready"]),
        (&json!("inbox"), &json!(false)),
        "{queue}"
    );
    assert_eq!(
        (&pool["place"], &pool["ready"]),
        (&json!("pool"), &json!(true)),
        "{queue}"
    );

    let unsure = openclaw(&world.server, &["queue", "drop", &id_of(&pool)]).await;
    check(&unsure, 2, &["telegram:2:2", "will not be answered", "--yes"]);
    let dry = openclaw(&world.server, &["queue", "drop", &id_of(&pool), "--dry-run"]).await;
    check(&dry, 0, &["nothing was done"]);
    queue_of(&world, 3).await;
    for dropped in [&inbox, &pool] {
        let done = openclaw(&world.server, &["queue", "drop", &id_of(dropped), "--yes"]).await;
        check(&done, 0, &["is dropped"]);
        log_says(
            &world.server,
            &[
                "dropped something",
                dropped["correlationId"].as_str().unwrap(),
                &id_of(dropped),
            ],
        )
        .await;
    }
    world.hears(1, DROPPED).await;
    world.hears(2, DROPPED).await;
    let again = openclaw(&world.server, &["queue", "drop", &id_of(&pool), "--yes"]).await;
    check(&again, 1, &["does not wait", "openclaw queue show"]);
    check(
        &openclaw(&world.server, &["queue", "drop", "12", "--yes"]).await,
        2,
        &["turn_N or call_N"],
    );
    drop(hold);
    world.hears(1, "echo: runs").await;
    world.hears(3, "echo: also there").await;
    assert_eq!(
        world.provider.stats().requests,
        2,
        "what was dropped was not asked"
    );
    assert_eq!(world.telegram.chat(2).texts(), [DROPPED]);
    // Everything has its end: nothing is open.
    once(&world.server, &["status", "--json"], |status| {
        status["inbox"]["open"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_dropped_message_stays_dropped_over_a_crash() {
    let mut world = world(one_worker).await;
    check(&openclaw(&world.server, &["queue", "pause"]).await, 0, &[]);
    assert_eq!(world.say(1, "hello").await, 200);
    let queue = queue_of(&world, 1).await;
    let id = id_of(&queue["items"][0]);
    check(
        &openclaw(&world.server, &["queue", "drop", &id, "--yes"]).await,
        0,
        &[],
    );
    world.hears(1, DROPPED).await;
    // Its delivery is noted a moment after it stands in the chat; a crash in between repeats it.
    once(&world.server, &["status", "--json"], |status| {
        status["outbox"]["pending"] == 0
    })
    .await;
    world.server.kill().await.unwrap();
    world.server.start_again().await.unwrap();
    once(&world.server, &["status", "--json"], |status| {
        status["inbox"]["open"] == 0
    })
    .await;
    assert_eq!(world.telegram.chat(1).texts(), [DROPPED]);
    assert_eq!(world.provider.stats().requests, 0);
}

#[tokio::test]
async fn a_dropped_call_is_told_so_and_not_asked_to_come_again() {
    let world = world(one_worker).await;
    world.provider.answer_with(|_| Some(Answer::new(Content::Echo)));
    let hold = world.provider.hold();
    assert_eq!(world.say(1, "runs").await, 200);
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    let client = world
        .server
        .http()
        .unwrap()
        .with_bearer(&world.server.api_key().unwrap())
        .unwrap();
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    let call = tokio::spawn(
        client
            .post("/v1/chat/completions")
            .json(&body)
            .within(LONG)
            .send(),
    );
    let queue = queue_of(&world, 1).await;
    let id = id_of(&queue["items"][0]);
    check(
        &openclaw(&world.server, &["queue", "drop", &id, "--yes"]).await,
        0,
        &[],
    );
    let told = call.await.unwrap().unwrap();
    assert_eq!(told.status, 403, "{}", told.text());
    assert_eq!(told.json().unwrap()["error"]["code"], "request_dropped");

    // Nor is it taken for a matter of keys by the command.
    let (sent, ()) = tokio::join!(openclaw(&world.server, &["send", "hi"]), async {
        let id = id_of(&queue_of(&world, 1).await["items"][0]);
        check(
            &openclaw(&world.server, &["queue", "drop", &id, "--yes"]).await,
            0,
            &[],
        );
    });
    check(&sent, 1, &[DROPPED, "openclaw queue show"]);
    drop(hold);
    world.hears(1, "echo: runs").await;
}

#[tokio::test]
async fn the_routes_are_the_operators_alone_and_answer_in_their_form() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let admin = server
        .http()
        .unwrap()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    for path in ["workers", "workers/suggest", "queue", "queue/turn_1"] {
        let refused = client.get(&format!("/admin/api/v1/{path}")).send().await.unwrap();
        assert_eq!(refused.status, 401, "{path}: an API key is no admin token");
    }
    for path in [
        "workers/1/kill",
        "workers/1/recycle",
        "queue/pause",
        "queue/resume",
    ] {
        let refused = client
            .post(&format!("/admin/api/v1/{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status, 401, "{path}");
    }
    let refused = client.delete("/admin/api/v1/queue/turn_1").send().await.unwrap();
    assert_eq!(refused.status, 401);
    for (path, status, code) in [
        ("workers?state=asleep", 400, "VALIDATION"),
        ("workers?sort=x", 400, "VALIDATION"),
        ("queue?limit=0", 400, "VALIDATION"),
        ("queue?by=colour", 400, "VALIDATION"),
        ("queue/12", 400, "VALIDATION"),
        ("queue/turn_12", 404, "NOT_FOUND"),
    ] {
        let problem = admin.get(&format!("/admin/api/v1/{path}")).send().await.unwrap();
        assert_eq!(problem.status, status, "{path}: {}", problem.text());
        assert_eq!(
            problem.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
        let body = problem.json().unwrap();
        assert_eq!(
            (&body["code"], body["correlationId"].as_str()),
            (&json!(code), problem.header("x-request-id"))
        );
    }
    for (path, status) in [
        ("workers/x/kill", 400),
        ("workers/99/kill", 404),
        ("workers/99/recycle", 404),
    ] {
        let problem = admin.post(&format!("/admin/api/v1/{path}")).send().await.unwrap();
        assert_eq!(problem.status, status, "{path}");
    }
    // The commands tell these apart by their exit codes.
    let wrong = run_with(
        server.data_dir(),
        &["queue", "show"],
        &[("OPENCLAW_ADMIN_TOKEN", "wrong-token-0123456")],
    )
    .await;
    check(&wrong, 77, &["does not take the admin token"]);
    let nowhere = tempfile::tempdir().unwrap();
    check(
        &run(nowhere.path(), &["workers", "list"]).await,
        69,
        &["no server runs", "openclaw serve"],
    );
    check(
        &run(nowhere.path(), &["queue", "drop", "x", "--yes"]).await,
        2,
        &["turn_N or call_N"],
    );
}
