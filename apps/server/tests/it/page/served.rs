//! The page as it is served, without a browser.

use crate::BINARY;
use anyhow::Result;
use openclaw_testkit::ServerSetup;

#[tokio::test]
async fn the_page_is_protected_and_its_parts_may_be_kept() -> Result<()> {
    let server = ServerSetup::new(BINARY).start().await?;
    let http = server.http()?;
    for path in ["/", "/chat"] {
        let page = http.get(path).send().await?;
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
        assert!(page.header("permissions-policy").is_some());
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(page.header("cache-control"), Some("no-cache"));
    }
    let html = http.get("/").send().await?.text();
    let parts: Vec<_> = html
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert_eq!(parts.len(), 3, "{parts:?}");
    for part in parts {
        let asset = http.get(part).send().await?;
        assert_eq!(asset.status, 200, "{part}");
        assert!(asset.header("cache-control").unwrap().contains("immutable"));
    }
    assert_eq!(http.get("/assets/chat.js").send().await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_turned_off_is_not_there() -> Result<()> {
    let server = ServerSetup::new(BINARY)
        .env("OPENCLAW__MESSENGER__WEB__ENABLED", "false")
        .start()
        .await?;
    let page = server.http()?.get("/").send().await?;
    assert_eq!(page.status, 404);
    Ok(())
}
