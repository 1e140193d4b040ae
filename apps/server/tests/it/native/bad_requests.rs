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
    for (method, path, reads, detail) in [
        ("GET", "/nothing", "en;q=0.1, ru", "здесь нет GET /nothing"),
        ("GET", "/nothing", "ru;q=0, en", "there is no GET /nothing"),
        ("POST", "/api/v1/usage", "ru", "/api/v1/usage не принимает POST"),
        ("GET", "/problems/a%ffb", "ru", "здесь нет GET /problems/a%ffb"),
        ("GET", "/problems/none", "ru", "ошибки с таким именем нет"),
        ("GET", "/assets/none", "ru", "такого файла у страницы нет"),
    ] {
        let request = person.request(method, path).header("accept-language", reads);
        let reply = request.send().await.unwrap().json().unwrap();
        assert_eq!(reply["detail"], detail, "{path} for {reads}");
    }
    let places = [
        ("/api/v1/chats".to_owned(), "after", &["-1", "1", "x"][..]),
        (path.clone(), "before", &["-1", "0", "x"]),
    ];
    for (path, field, values) in places {
        for value in values {
            let reply = person.get(&format!("{path}?{field}={value}")).await;
            assert_problem(&reply, 400, "VALIDATION");
            assert_eq!(reply.json().unwrap()["errors"][0]["field"], field, "{value}");
        }
    }
    let russian = person
        .request("GET", "/api/v1/chats/none/messages")
        .header("accept-language", "ru");
    assert_eq!(
        russian.send().await.unwrap().json().unwrap()["detail"],
        "Такого чата нет."
    );
    assert_eq!(provider.stats().requests, 0);
}
