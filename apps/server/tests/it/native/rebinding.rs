//! Pages of other sites whose names are made to point at this machine.

use super::{Person, assert_problem};
use crate::setup::api_world;
use serde_json::json;

const EVIL: &str = "evil.example";

#[tokio::test]
async fn a_server_on_loopback_is_not_called_by_the_names_of_others() {
    let (_provider, server, client) = api_world(|setup| {
        setup
            .env("OPENCLAW__SERVER__PUBLIC_URL", "https://chat.example.org")
            .env("OPENCLAW__SERVER__ALLOWED_HOSTS", "inner, other.example.org")
    })
    .await;
    let anybody = server.http().unwrap();
    let admin = anybody
        .clone()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    let routes = [
        "/",
        "/chat",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/problems/not-found",
    ];
    for path in routes {
        let called = async |host: &str| anybody.get(path).header("host", host).send().await.unwrap();
        let refused = called(EVIL).await;
        assert_problem(&refused, 421, "MISDIRECTED_REQUEST");
        let detail = refused.json().unwrap()["detail"].to_string();
        assert!(
            detail.contains(EVIL) && detail.contains("server.allowedHosts"),
            "{path}: {detail}"
        );
        for own in [
            "localhost:3000",
            "chat.localhost",
            "[::1]:3000",
            "chat.example.org",
            "inner:80",
        ] {
            assert_eq!(called(own).await.status, 200, "{path} as {own}");
        }
    }
    // A page of the other site is of one origin with the name it has taken.
    let open = |host: &str| {
        let origin = format!("http://{host}");
        anybody
            .post("/api/v1/chats")
            .header("host", host)
            .header("origin", &origin)
    };
    assert_problem(&open(EVIL).send().await.unwrap(), 421, "MISDIRECTED_REQUEST");
    assert_eq!(open("other.example.org").send().await.unwrap().status, 201);
    let (visitor, _) = Person::visitor(&server).await;
    let list = visitor.request("GET", "/api/v1/chats").header("host", EVIL);
    assert_problem(&list.send().await.unwrap(), 421, "MISDIRECTED_REQUEST");
    let status = anybody.get("/admin/api/v1/status").header("host", EVIL);
    assert_problem(&status.send().await.unwrap(), 421, "MISDIRECTED_REQUEST");

    // What is asked with a key, and whether the server is up, is answered under any name.
    let question = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] });
    for (what, request, status) in [
        ("a key", client.get("/api/v1/chats"), 200),
        ("/v1", client.post("/v1/chat/completions").json(&question), 200),
        ("/v1 without a key", anybody.get("/v1/models"), 401),
        ("the admin token", admin.get("/admin/api/v1/status"), 200),
        ("metrics with it", admin.get("/metrics"), 200),
        ("a wrong key", anybody.get("/api/v1/chats").bearer("wrong"), 401),
        ("a webhook", anybody.post("/webhook/telegram"), 401),
        ("life", anybody.get("/livez"), 200),
        ("readiness", anybody.get("/readyz"), 200),
        ("health", anybody.get("/health"), 200),
    ] {
        let reply = request.header("host", EVIL).send().await.unwrap();
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
    }
}
