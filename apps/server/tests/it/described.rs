//! The description of the API against the server: every answer is one that is described, and every one described comes.
//!
//! A caller who generates a client from `/openapi.json` meets nothing else. What is asked here is the same at every run;
//! the words of a fuzzer that reads the same description go much further and are run by hand.

mod document;
mod odd;

use crate::setup::{SECRET, World, without_limits, world};
use document::{Document, Operation};
use openclaw_testkit::fake_telegram::SECRET_HEADER;
use openclaw_testkit::{HttpClient, Reply};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Documented answers that do not come about here, and the tests in which they do.
const ELSEWHERE: &[(&str, &[u16])] = &[
    // `a_body_that_does_not_arrive_is_answered_408_on_every_surface`, and a store without room:
    // `a_full_disk_is_refused_with_503_and_everything_goes_on_when_there_is_room_again`.
    ("", &[408, 503]),
    // `who_asks_too_often_is_told_when_to_come_again`, `a_used_up_budget_says_until_when`.
    ("", &[429]),
    // `a_server_on_loopback_is_not_called_by_the_names_of_others`.
    ("", &[421]),
    // `what_a_provider_does_wrong_has_its_row_and_none_of_its_words`, `an_answer_that_takes_too_long_has_its_row`,
    // `a_worker_that_dies_is_an_error_of_ours_that_says_no_more_than_its_id`.
    ("POST /v1/chat/completions", &[500, 502, 504]),
    // `a_dropped_call_is_told_so_and_not_asked_to_come_again`.
    ("POST /v1/chat/completions", &[403]),
    // `models_are_listed_explained_and_really_asked`, where there is a list of models.
    ("POST /admin/api/v1/models/test", &[404]),
    // Of the SDKs' scenarios `an_unknown_model_is_not_found`.
    ("POST /v1/chat/completions", &[404]),
    // `stopping_ends_the_answer_and_keeps_what_was_said`.
    ("POST /api/v1/chats/{chatId}/stop", &[202]),
    // `an_answer_has_one_opinion_which_can_be_changed_and_goes_with_its_chat`.
    ("POST /api/v1/chats/{chatId}/feedback", &[204]),
    // `a_worker_is_seen_at_work_and_killed_after_it_was_said_what_that_means` and its neighbours.
    ("POST /admin/api/v1/workers/{id}/kill", &[200]),
    ("POST /admin/api/v1/workers/{id}/recycle", &[200, 409]),
    ("GET /admin/api/v1/queue/{id}", &[200]),
    ("DELETE /admin/api/v1/queue/{id}", &[200]),
    // `a_configuration_that_is_not_valid_changes_nothing_and_is_said_loudly`.
    ("POST /admin/api/v1/config/reload", &[422]),
    // `a_page_that_is_turned_off_is_not_there`.
    ("GET /", &[404]),
    ("GET /chat", &[404]),
    // `a_message_of_max_is_answered_by_messages_and_whole_edits`.
    (REGISTERED, &[200]),
    // From another machine: `the_description_is_for_this_machine_and_for_the_admin_token`.
    ("GET /openapi.json", &[401]),
    ("GET /docs", &[401]),
    ("GET /metrics", &[401]),
];

/// A path that only the server and MAX know.
const REGISTERED: &str = "POST /webhook/max/{hook}";

/// Somebody who calls everything.
struct Caller {
    world: World,
    document: Document,
    anybody: HttpClient,
    key: HttpClient,
    admin: HttpClient,
}

/// What is right about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Something that is there.
    Found,
    /// Nothing that is there.
    Missing,
    /// Nothing that could be there.
    Wrong,
}

impl Caller {
    async fn new() -> Self {
        let world = world(|setup| {
            without_limits(setup)
                .env("MAX_BOT_TOKEN", "a-token-of-max")
                .env("OPENCLAW__MESSENGER__MAX__MODE", "webhook")
                .env("OPENCLAW__MESSENGER__MAX__SECRET", SECRET)
                // Nobody listens there, and nobody has to.
                .env("OPENCLAW__MESSENGER__MAX__BASE_URL", "http://127.0.0.1:1")
        })
        .await;
        let anybody = world.server.http().unwrap();
        let with = |token: String| anybody.clone().with_bearer(&token).unwrap();
        let key = with(world.server.api_key().unwrap());
        let admin = with(world.server.admin_token().unwrap());
        let document = anybody.get("/openapi.json").send().await.unwrap();
        Self {
            document: Document(document.json().unwrap()),
            world,
            key,
            admin,
            anybody,
        }
    }

    /// The client whose credential the operation takes.
    fn client(&self, operation: &Operation) -> &HttpClient {
        if operation.takes("adminToken") {
            &self.admin
        } else if operation.takes("bearer") {
            &self.key
        } else {
            &self.anybody
        }
    }

    /// A value for the parameter of a path.
    async fn name(&self, path: &str, names: Names) -> String {
        let value = match (names, path) {
            (Names::Wrong, _) => "a%ffb",
            (Names::Found, _) if path.starts_with("/api/v1/chats/") => {
                let opened = self.key.post("/api/v1/chats").send().await.unwrap();
                let chat = opened.json().unwrap()["chatId"].as_str().unwrap().to_owned();
                return chat;
            }
            (Names::Found, "/assets/{name}") => {
                let page = self.anybody.get("/").send().await.unwrap().text();
                let (_, rest) = page.split_once("/assets/").unwrap();
                return rest.split('"').next().unwrap().to_owned();
            }
            (Names::Found, "/admin/api/v1/keys/{id}") => {
                let made = self
                    .admin
                    .post("/admin/api/v1/keys")
                    .json(&json!({ "user": "gone" }));
                let made = made.send().await.unwrap().json().unwrap();
                return made["id"].as_str().unwrap().to_owned();
            }
            (Names::Found, "/problems/{name}") => "not-found",
            (Names::Found, "/v1/models/{id}") => "auto",
            (Names::Found, _) if path.contains("/budgets/") => "api:operator:default",
            (Names::Missing, _) if path.contains("/budgets/") => "api:nobody:nothing",
            (Names::Missing, _) if path.contains("/queue/") => "turn_9999",
            (_, _) => "9999",
        };
        value.to_owned()
    }

    async fn send(
        &self,
        client: &HttpClient,
        operation: &Operation,
        names: Names,
        body: Option<&[u8]>,
    ) -> Reply {
        let mut path = operation.path.clone();
        if let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
            let name = self.name(&operation.path, names).await;
            path.replace_range(start..=end, &name);
        }
        let mut request = client.request(operation.method.clone(), &path);
        if operation.takes("telegramSecret") && !std::ptr::eq(client, &self.anybody) {
            request = request.header(SECRET_HEADER, SECRET);
        }
        if operation.takes("maxSecret") && !std::ptr::eq(client, &self.anybody) {
            request = request.header(openclaw_testkit::fake_max::SECRET_HEADER, SECRET);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_vec());
        }
        let stream = request.stream().await.unwrap();
        if stream.status == 200 && operation.is_stream() {
            return Reply {
                status: stream.status,
                headers: stream.headers,
                body: bytes::Bytes::new(),
            };
        }
        stream.whole().await.unwrap()
    }

    /// A body that is as it should be.
    fn body(&self, operation: &Operation) -> Option<Vec<u8>> {
        let body = match operation.path.as_str() {
            _ if !operation.has_body => return None,
            "/api/v1/chats/{chatId}/messages" => json!({ "text": "hi" }),
            "/api/v1/chats/{chatId}/feedback" => json!({ "turnId": "turn_0", "rating": "up" }),
            "/v1/chat/completions" => {
                json!({ "model": "auto", "messages": [{ "role": "user", "content": "hi" }] })
            }
            "/admin/api/v1/keys" => json!({ "user": "ann", "tier": "free" }),
            "/admin/api/v1/models/test" => json!({ "model": "mock-echo" }),
            "/webhook/telegram" => self.world.telegram.private_text(1, "hi"),
            "/webhook/max" => json!({ "update_type": "bot_started", "chat_id": 1, "user": { "user_id": 1 } }),
            _ => json!({}),
        };
        Some(body.to_string().into_bytes())
    }
}

#[tokio::test]
async fn every_answer_is_described_and_every_one_described_comes() {
    let caller = Caller::new().await;
    let mut seen: BTreeSet<(String, u16)> = BTreeSet::new();
    let mut wrong: Vec<String> = Vec::new();
    let operations = caller.document.operations();
    for operation in &operations {
        let client = caller.client(operation).clone();
        let good = caller.body(operation);
        let mut replies = Vec::new();
        for names in [Names::Found, Names::Missing, Names::Wrong] {
            replies.push(caller.send(&client, operation, names, good.as_deref()).await);
        }
        replies.push(
            caller
                .send(&caller.anybody, operation, Names::Found, good.as_deref())
                .await,
        );
        let stranger = client.clone().with_bearer("oc_live_wrong").unwrap();
        replies.push(
            caller
                .send(&stranger, operation, Names::Found, good.as_deref())
                .await,
        );
        for query in odd::QUERIES {
            let asked = Operation {
                path: format!("{}{query}", operation.path),
                ..operation.clone()
            };
            if !operation.path.contains('{') && !operation.is_stream() {
                replies.push(caller.send(&client, &asked, Names::Found, good.as_deref()).await);
            }
        }
        // Whoever does not know the path is answered before a byte of the body is read.
        if operation.has_body && operation.to_string() != REGISTERED {
            for body in odd::bodies() {
                replies.push(caller.send(&client, operation, Names::Found, Some(&body)).await);
            }
        }
        for reply in replies {
            seen.insert((operation.to_string(), reply.status.as_u16()));
            if let Some(fault) = caller.document.fault_of(operation, &reply) {
                wrong.push(format!("{operation}: {fault}"));
            }
        }
    }
    // What needs a circumstance of its own.
    let (key, cookieless) = (&caller.key, &caller.anybody);
    let chat = caller.name("/api/v1/chats/{chatId}", Names::Found).await;
    let messages = format!("/api/v1/chats/{chat}/messages");
    let evil = |request: openclaw_testkit::RequestBuilder| request.header("origin", "https://evil.example");
    let said = |text: &str| {
        key.post(&messages)
            .header("idempotency-key", "k")
            .json(&json!({ "text": text }))
    };
    said("one").send().await.unwrap();
    let admin = |method: &str, path: &str| {
        caller
            .admin
            .request(named(method), &format!("/admin/api/v1/{path}"))
    };
    let special = [
        (
            "POST /admin/api/v1/workers/{id}/kill",
            admin("POST", "workers/x/kill"),
        ),
        (
            "POST /admin/api/v1/workers/{id}/recycle",
            admin("POST", "workers/x/recycle"),
        ),
        ("GET /admin/api/v1/budgets/{tenant}", admin("GET", "budgets/api")),
        (
            "GET /admin/api/v1/budgets/{tenant}/explain",
            admin("GET", "budgets/api/explain"),
        ),
        (
            "POST /admin/api/v1/budgets/{tenant}/reset",
            admin("POST", "budgets/api/reset"),
        ),
        ("POST /api/v1/chats", evil(cookieless.post("/api/v1/chats"))),
        (
            "POST /api/v1/chats/{chatId}/messages",
            evil(cookieless.post(&messages)),
        ),
        (
            "POST /api/v1/chats/{chatId}/stop",
            evil(cookieless.post(&format!("/api/v1/chats/{chat}/stop"))),
        ),
        (
            "POST /api/v1/chats/{chatId}/feedback",
            evil(cookieless.post(&format!("/api/v1/chats/{chat}/feedback"))),
        ),
        (
            "POST /api/v1/chats/{chatId}/feedback",
            key.post(&format!("/api/v1/chats/{chat}/feedback"))
                .header("content-type", "text/html")
                .body("{}"),
        ),
        (
            "POST /api/v1/chats/{chatId}/export",
            evil(cookieless.post(&format!("/api/v1/chats/{chat}/export"))),
        ),
        (
            "DELETE /api/v1/chats/{chatId}",
            evil(cookieless.delete(&format!("/api/v1/chats/{chat}"))),
        ),
        ("POST /api/v1/chats/{chatId}/messages", said("two")),
        (
            "POST /api/v1/chats/{chatId}/messages",
            said("x").header("content-type", "text/html"),
        ),
        (
            "GET /api/v1/chats/{chatId}/messages",
            key.get(&format!("{messages}?limit=0")),
        ),
        ("GET /api/v1/usage", key.get("/api/v1/usage?chatId=none")),
        (
            "GET /admin/api/v1/workers",
            caller.admin.get("/admin/api/v1/workers?state=asleep"),
        ),
        (
            "GET /admin/api/v1/models/explain",
            caller.admin.get("/admin/api/v1/models/explain?tenant=api:a:b"),
        ),
        (
            "GET /admin/api/v1/models/explain",
            caller.admin.get("/admin/api/v1/models/explain?tier=gold"),
        ),
        (
            "GET /admin/api/v1/budgets",
            caller.admin.get("/admin/api/v1/budgets?tenant=api:a:b"),
        ),
    ];
    for (name, request) in special {
        let operation = operations
            .iter()
            .find(|operation| operation.to_string() == name)
            .unwrap();
        let reply = request.send().await.unwrap();
        seen.insert((name.to_owned(), reply.status.as_u16()));
        if let Some(fault) = caller.document.fault_of(operation, &reply) {
            wrong.push(format!("{operation}: {fault}"));
        }
    }
    for operation in &operations {
        for status in operation.statuses() {
            let name = operation.to_string();
            let elsewhere = ELSEWHERE
                .iter()
                .any(|(of, statuses)| (of.is_empty() || *of == name) && statuses.contains(&status));
            if !elsewhere && !seen.contains(&(name, status)) {
                wrong.push(format!("{operation}: {status} is described and never comes"));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_405_with_those_it_takes() {
    let caller = Caller::new().await;
    let operations = caller.document.operations();
    let paths: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.path.as_str())
        .collect();
    for path in paths {
        let taken: BTreeSet<String> = operations
            .iter()
            .filter(|operation| operation.path == path)
            .flat_map(|operation| match operation.method.as_str() {
                // Whoever may read may ask for the head alone.
                "GET" => vec!["GET".to_owned(), "HEAD".to_owned()],
                other => vec![other.to_owned()],
            })
            .collect();
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            let method = named(method);
            let asked = Operation::plain(method.clone(), path);
            if asked.path.ends_with("/events") && taken.contains(method.as_str()) {
                continue;
            }
            let reply = caller.send(&caller.admin, &asked, Names::Missing, None).await;
            if taken.contains(method.as_str()) {
                assert_ne!(reply.status, 405, "{method} {path}");
                assert!(method != "HEAD" || reply.body.is_empty(), "{method} {path}");
                continue;
            }
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
            let allowed: BTreeSet<String> = reply
                .header("allow")
                .unwrap_or_else(|| panic!("{method} {path}: {:?}", reply.headers))
                .split(',')
                .map(|method| method.trim().to_owned())
                .collect();
            assert_eq!(allowed, taken, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(document::fault_of_form(path, &reply), None, "{method} {path}");
            }
        }
    }
}

fn named(name: &str) -> http::Method {
    http::Method::from_bytes(name.as_bytes()).unwrap()
}

/// Nothing of a value that is none.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[tokio::test]
async fn requests_that_are_none_get_a_refusal_or_an_end_and_never_an_error_of_ours() {
    let caller = Caller::new().await;
    let (key, admin) = (
        caller.world.server.api_key().unwrap(),
        caller.world.server.admin_token().unwrap(),
    );
    for (path, credential) in [
        ("/api/v1/chats", &key),
        ("/v1/chat/completions", &key),
        ("/admin/api/v1/keys", &admin),
        ("/webhook/telegram", &key),
    ] {
        for bytes in odd::requests(path, credential) {
            let answer = exchange(caller.world.server.address(), &bytes).await;
            let begins: String = String::from_utf8_lossy(&bytes).chars().take(120).collect();
            let status = answer
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse::<u16>().ok());
            assert!(
                status.is_none_or(|status| (400..500).contains(&status)),
                "{begins:?}: {answer}"
            );
        }
    }
    assert_eq!(caller.anybody.get("/livez").send().await.unwrap().status, 200);
}

/// Sends bytes as they stand; what came back before the connection ended.
async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // A server that has seen enough may close while there is more.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    tokio::time::timeout(crate::setup::LONG, stream.read_to_end(&mut answer))
        .await
        .expect("an answer or an end")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}
