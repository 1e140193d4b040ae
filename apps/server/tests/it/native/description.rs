//! Who may read the description of the API.

use crate::setup::api_world;
use openclaw_testkit::HttpClient;

#[tokio::test]
async fn the_description_is_for_this_machine_and_for_the_admin_token() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let anybody = server.http().unwrap();
    let document = anybody.get("/openapi.json").send().await.unwrap();
    assert_eq!(document.json().unwrap()["openapi"], "3.1.0");
    let page = anybody.get("/docs").send().await.unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'nonce-"),
        "{policy}"
    );
    assert!(page.text().contains("/api/v1/chats/{chatId}/events"));
    for path in ["/openapi.json", "/docs"] {
        let from_outside = |client: &HttpClient| client.get(path).header("x-forwarded-for", "203.0.113.9");
        assert_eq!(from_outside(&client).send().await.unwrap().status, 401);
        let admin = from_outside(&anybody).bearer(&server.admin_token().unwrap());
        assert_eq!(admin.send().await.unwrap().status, 200);
    }
}
