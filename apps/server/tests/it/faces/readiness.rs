//! Who is told that the server is ready, and what of its platforms counts.

use crate::cli::{check, run};
use crate::setup::{LONG, api_world, world};
use openclaw_testkit::fake_telegram::{FakeTelegram, Fault};
use openclaw_testkit::{HttpClient, Reply, ServerProcess};
use rustix::process::Signal;
use serde_json::Value;

async fn get(server: &ServerProcess, path: &str) -> Reply {
    server.http().unwrap().get(path).send().await.unwrap()
}

/// The list of checks, once it holds these words.
async fn listed(server: &ServerProcess, words: &str) -> Reply {
    let seen = tokio::time::timeout(LONG, async {
        loop {
            let reply = get(server, "/readyz?verbose").await;
            if reply.text().contains(words) {
                return reply;
            }
        }
    });
    match seen.await {
        Ok(reply) => reply,
        Err(_) => panic!("{words} in\n{}", get(server, "/readyz?verbose").await.text()),
    }
}

#[tokio::test]
async fn a_platform_that_cannot_be_reached_is_shown_and_does_not_take_the_rest_out() {
    let telegram = FakeTelegram::start().await.unwrap();
    let (_provider, server, client) = api_world(|setup| {
        setup
            .env("TELEGRAM_BOT_TOKEN", telegram.token())
            .env("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", "http://127.0.0.1:1")
    })
    .await;
    let shown = listed(&server, "[-]telegram http://127.0.0.1:1").await;
    assert_eq!(shown.status, 200);
    assert!(
        shown.text().starts_with("[+]shutdown ok\n[+]store ok\n") && shown.text().ends_with("\nready\n"),
        "{}",
        shown.text()
    );
    assert_eq!(get(&server, "/readyz").await.text(), "ready\n");
    assert_eq!(get(&server, "/livez").await.status, 200);
    let health: Value = get(&server, "/health").await.json().unwrap();
    assert_eq!(
        (&health["status"], &health["ready"]),
        (&"degraded".into(), &true.into())
    );
    // Strangers behind a proxy learn that it fails and nothing of the network here.
    let stranger = server
        .http()
        .unwrap()
        .get("/readyz?verbose")
        .header("x-forwarded-for", "192.0.2.1")
        .send()
        .await
        .unwrap();
    assert!(
        stranger.text().contains("[-]telegram reason withheld") && !stranger.text().contains("127.0.0.1"),
        "{}",
        stranger.text()
    );
    check(
        &run(server.data_dir(), &["status"]).await,
        0,
        &["ready", "NOT CONNECTED YET"],
    );
    let status: Value = admin_status(&server, &client).await;
    assert_eq!(status["platforms"]["telegram"]["task"], "up");
    assert_eq!(status["platforms"]["telegram"]["taskDeaths"], 0);
}

async fn admin_status(server: &ServerProcess, client: &HttpClient) -> Value {
    let reply = client
        .get("/admin/api/v1/status")
        .bearer(&server.admin_token().unwrap())
        .send()
        .await
        .unwrap();
    reply.json().unwrap()
}

#[tokio::test]
async fn a_token_that_is_refused_is_shown_and_one_that_is_taken_is_fine() {
    let telegram = FakeTelegram::start().await.unwrap();
    telegram.fault(
        "getMe",
        Fault::Refused {
            code: 401,
            description: "Unauthorized".to_owned(),
        },
    );
    let (_provider, server, _) = api_world(|setup| {
        setup
            .env("TELEGRAM_BOT_TOKEN", telegram.token())
            .env("OPENCLAW__MESSENGER__TELEGRAM__BASE_URL", telegram.base_url())
    })
    .await;
    let refused = listed(&server, "[-]telegram http").await;
    assert_eq!(refused.status, 200, "{}", refused.text());
    // It is asked again and taken.
    assert_eq!(listed(&server, "[+]telegram ok").await.status, 200);
    let health: Value = get(&server, "/health").await.json().unwrap();
    assert_eq!(health["status"], "ok");
}

#[tokio::test]
async fn a_check_can_be_left_out_and_a_server_that_still_works_off_its_turns_is_not_ready() {
    let world = world(|setup| setup).await;
    let server = &world.server;
    // A turn under way keeps the server from having stopped.
    let hold = world.provider.hold();
    assert_eq!(world.say(1, "hello").await, 200);
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    assert_eq!(
        get(server, "/readyz?exclude=store&exclude=other").await.text(),
        "there is no check other to exclude\nready\n"
    );
    server.signal(Signal::TERM).unwrap();
    let off = tokio::time::timeout(LONG, async {
        while run(server.data_dir(), &["health", "--ready"]).await.code == 0 {}
    });
    assert!(off.await.is_ok(), "it is ready while it stops");
    drop(hold);
}

#[tokio::test]
async fn a_container_is_told_by_the_exit_code() {
    let (_provider, server, _) = api_world(|setup| setup).await;
    let dir = server.data_dir();
    check(&run(dir, &["health"]).await, 0, &["[+]store ok", "ready"]);
    check(&run(dir, &["health", "--ready"]).await, 0, &["ready"]);
    check(&run(dir, &["health", "--live"]).await, 0, &["is alive"]);
    let json = run(dir, &["health", "--json"]).await;
    assert_eq!(json.code, 0);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["status"], "ok");
    // No token is needed, and no data directory where the address is known.
    let nowhere = tempfile::tempdir().unwrap();
    let url = server.url("");
    check(
        &run(nowhere.path(), &["health", "--url", &url]).await,
        0,
        &["ready"],
    );
    check(
        &run(nowhere.path(), &["health"]).await,
        69,
        &["no server runs on", "next  openclaw serve"],
    );
    check(
        &run(
            nowhere.path(),
            &["health", "--live", "--url", "http://127.0.0.1:1"],
        )
        .await,
        69,
        &["does not answer"],
    );
}
