//! Requests that cannot be understood.

use super::{Person, assert_problem};
use crate::setup::api_world;
use serde_json::json;

#[tokio::test]
async fn bad_requests_get_problems_that_name_the_fault() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let path = format!("/api/v1/chats/{chat}/messages");
    let long = json!({ "text": "x".repeat((64 << 10) + 1) }).to_string();
    let huge = "x".repeat(2 << 20);
    let cases: [(&str, u16, &str); 7] = [
        ("", 400, "VALIDATION"),
        ("[1]", 400, "VALIDATION"),
        ("{\"text\":", 400, "VALIDATION"),
        ("{}", 400, "VALIDATION"),
        ("{\"text\":\" \\n \"}", 400, "VALIDATION"),
        (&long, 413, "TOO_LARGE"),
        (&huge, 413, "TOO_LARGE"),
    ];
    for (body, status, code) in cases {
        let reply = person
            .request("POST", &path)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        assert_problem(&reply, status, code);
    }
    let form = person
        .request("POST", &path)
        .header("content-type", "application/x-www-form-urlencoded");
    assert_problem(
        &form.body("text=hi").send().await.unwrap(),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    );
    assert_problem(&person.get("/api/v1/nothing").await, 404, "NOT_FOUND");
    assert_problem(
        &person.request("POST", "/api/v1/usage").send().await.unwrap(),
        405,
        "METHOD_NOT_ALLOWED",
    );
    let russian = person
        .request("GET", "/api/v1/chats/none/messages")
        .header("accept-language", "ru");
    assert_eq!(
        russian.send().await.unwrap().json().unwrap()["detail"],
        "Такого чата нет."
    );
    assert_eq!(provider.stats().requests, 0);
}
