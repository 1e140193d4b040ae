//! Whose chat it is, and who else cannot reach it.

use super::{Person, assert_problem, chat_id, shown, words};
use crate::setup::{api_world, word_by_word};
use openclaw_testkit::Answer;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[tokio::test]
async fn a_chat_of_somebody_else_is_answered_like_one_that_never_was() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let operator = Person::with_key(&client);
    let (one, one_chat) = Person::visitor(&server).await;
    let (two, two_chat) = Person::visitor(&server).await;
    let operator_chat = operator.open().await;
    let strangers: [(&Person, &str); 6] = [
        (&two, &one_chat),
        (&one, &two_chat),
        (&one, &operator_chat),
        (&operator, &one_chat),
        (&one, "0123456789abcdef0123456789abcdef"),
        (&one, "a%3Ab"),
    ];
    for (person, chat) in strangers {
        let base = format!("/api/v1/chats/{chat}");
        let requests = [
            ("GET", format!("{base}/messages")),
            ("GET", format!("{base}/events")),
            ("POST", format!("{base}/messages")),
            ("POST", format!("{base}/stop")),
            ("POST", format!("{base}/export")),
            ("DELETE", base.clone()),
            ("GET", format!("/api/v1/usage?chatId={chat}")),
        ];
        for (method, path) in requests {
            let reply = person
                .request(method, &path)
                .json(&json!({ "text": "hi" }))
                .send()
                .await
                .unwrap();
            assert_problem(&reply, 404, "NOT_FOUND");
            let mut body = reply.json().unwrap();
            body["correlationId"] = Value::Null;
            let expected = json!({
                "type": "/problems/not-found", "title": "There is no such thing", "status": 404,
                "detail": "There is no such chat.", "code": "NOT_FOUND", "correlationId": null,
            });
            assert_eq!(body, expected, "{method} {path}");
        }
    }
    for (person, chat) in [(&one, &one_chat), (&two, &two_chat), (&operator, &operator_chat)] {
        let listed = person.get("/api/v1/chats").await.json().unwrap();
        let ids: Vec<&str> = listed["chats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chat| chat["chatId"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [chat], "everybody sees their own");
    }
}

#[tokio::test]
async fn two_people_never_see_each_others_words() {
    let (_provider, server, _client) = api_world(word_by_word).await;
    let (one, one_chat) = Person::visitor(&server).await;
    let (two, two_chat) = Person::visitor(&server).await;
    let (mut one_watch, mut two_watch) = (one.watch(&one_chat).await, two.watch(&two_chat).await);
    for round in 0..5 {
        let (red, blue) = (format!("red {round}"), format!("blue {round}"));
        tokio::join!(one.post(&one_chat, &red), two.post(&two_chat, &blue));
        let (one_events, two_events) =
            tokio::join!(one_watch.until("turn.finished"), two_watch.until("turn.finished"));
        assert_eq!(
            (shown(&one_events), shown(&two_events)),
            (format!("echo: {red}"), format!("echo: {blue}"))
        );
    }
    let (one_text, two_text) = (
        one.messages(&one_chat).await.to_string(),
        two.messages(&two_chat).await.to_string(),
    );
    assert!(one_text.contains("echo: red") && !one_text.contains("blue"));
    assert!(two_text.contains("echo: blue") && !two_text.contains("echo: red"));
}

#[tokio::test]
async fn a_visitor_is_known_by_a_signed_cookie_also_after_a_restart() {
    let (_provider, mut server, _client) = api_world(|setup| setup).await;
    let client = server.http().unwrap();
    let reply = client.post("/api/v1/chats").send().await.unwrap();
    assert_eq!(reply.status, 201, "no body is needed");
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let chat = chat_id(&reply);
    let pair = cookie.split(';').next().unwrap().to_owned();
    let mode = std::fs::metadata(server.data_dir().join("visitor.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let visitor = Person {
        client: server.http().unwrap(),
        cookie: Some(pair.clone()),
    };
    assert_eq!(visitor.messages(&chat).await["messages"], json!([]));
    let (head, tail) = pair.split_at(pair.len() - 1);
    let forged = format!("{head}{}", if tail == "0" { "1" } else { "0" });
    let stranger = Person {
        client: server.http().unwrap(),
        cookie: Some(forged),
    };
    assert_problem(
        &stranger.get(&format!("/api/v1/chats/{chat}/messages")).await,
        401,
        "UNAUTHORIZED",
    );
    let nobody = Person {
        client: server.http().unwrap(),
        cookie: None,
    };
    assert_problem(&nobody.get("/api/v1/chats").await, 401, "UNAUTHORIZED");
    // A key that is wrong is not made good by a cookie.
    let request = visitor.request("GET", "/api/v1/chats").bearer("oc_live_wrong");
    assert_problem(&request.send().await.unwrap(), 401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_a_visitors_cookie() {
    let (provider, server, _client) = api_world(|setup| setup).await;
    let (visitor, chat) = Person::visitor(&server).await;
    let own = format!("http://{}", server.address());
    let send = async |method: &str, path: &str, header: &str, value: &str| {
        let request = visitor
            .request(method, path)
            .header("host", &server.address().to_string());
        request
            .header(header, value)
            .json(&json!({ "text": "hi" }))
            .send()
            .await
            .unwrap()
    };
    let base = format!("/api/v1/chats/{chat}");
    let changes = [
        ("POST", format!("{base}/messages")),
        ("POST", format!("{base}/stop")),
        ("DELETE", base.clone()),
        ("POST", "/api/v1/chats".into()),
    ];
    for (method, path) in &changes {
        for (header, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_problem(&send(method, path, header, value).await, 403, "FORBIDDEN");
        }
    }
    assert_eq!(provider.stats().requests, 0);
    assert_eq!(
        send("POST", &format!("{base}/messages"), "origin", &own)
            .await
            .status,
        202
    );
}

/// A stream is asked four times a minute whether it may go on, so this takes a while.
#[tokio::test]
async fn a_stream_ends_with_its_key_also_while_there_is_always_something_to_tell() {
    let (provider, server, _client) = api_world(word_by_word).await;
    let operator = server
        .http()
        .unwrap()
        .with_bearer(&server.admin_token().unwrap())
        .unwrap();
    let made = operator
        .post("/admin/api/v1/keys")
        .json(&json!({ "user": "alice", "tier": "premium", "unlimited": true }))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json().unwrap();
    let holder = server
        .http()
        .unwrap()
        .with_bearer(made["key"].as_str().unwrap())
        .unwrap();
    let person = Person::with_key(&holder);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    // Longer than the stream is read.
    provider.script(Answer::pieces(words(2_000)).with_gap(Duration::from_millis(50)));
    person.post(&chat, "talk").await;
    watch.until("text.delta").await;
    let id = made["id"].as_str().unwrap();
    let revoked = operator
        .delete(&format!("/admin/api/v1/keys/{id}"))
        .send()
        .await
        .unwrap();
    assert!(
        [200, 204].contains(&revoked.status.as_u16()),
        "{}",
        revoked.text()
    );
    while let Some(event) = watch.next().await {
        assert_eq!(event.event, "text.delta", "{event:?}");
    }
}
