//! Every error a caller can meet today, on both surfaces, against the table that is promised: status, code, a `type`
//! that opens, the id of the request, and when to come again.
//!
//! Some rows of the table cannot come about yet: nothing suspends a tenant or forbids a tool
//! (`TENANT_SUSPENDED`, `TOOL_ACCESS_DENIED`, `SECURITY`), no plugin is loaded (`MESSAGE_BLOCKED`), conversations queue
//! instead of being busy (`LOCK_ACQUISITION`, `SESSION_BUSY`), and nothing is written by version (`STALE_WRITE`). A body
//! that does not arrive (408), a store that is full (503) and a call the operator drops (403) have tests beside their
//! subject.

mod requests;
mod turns;

use openclaw_testkit::{HttpClient, Reply};
use serde_json::Value;

/// Whether the answer says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It names no time.
    Unsaid,
    /// After the time it names.
    After,
}

/// One row: what a program reads in the native form and in OpenAI's.
#[derive(Clone, Copy, Debug)]
struct Row {
    status: u16,
    code: &'static str,
    on_v1: &'static str,
    again: Again,
}

const fn row(status: u16, code: &'static str, on_v1: &'static str, again: Again) -> Row {
    Row {
        status,
        code,
        on_v1,
        again,
    }
}

/// The whole seconds that `Retry-After` must name for so many milliseconds.
fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1_000).max(1)
}

impl Row {
    /// A problem, in an answer of its own or in the end of a turn.
    async fn is_problem(&self, problem: &Value, anybody: &HttpClient) {
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(u64::from(self.status)), Some(self.code)),
            "{problem}"
        );
        assert!(
            problem["title"].as_str().is_some_and(|title| !title.is_empty())
                && problem["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty()),
            "{problem}"
        );
        assert_eq!(
            problem["retryAfterMs"].is_u64(),
            self.again == Again::After,
            "{problem}"
        );
        let kind = problem["type"].as_str().unwrap_or_else(|| panic!("{problem}"));
        let page = anybody.get(kind).send().await.unwrap();
        assert_eq!(page.status, 200, "{kind} opens");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(
            page.text().contains(problem["title"].as_str().unwrap()) && page.text().contains(self.on_v1),
            "{}",
            page.text()
        );
    }

    /// The answer of the native or the admin API.
    async fn is_native(&self, reply: &Reply, anybody: &HttpClient) {
        assert_eq!(reply.status, self.status, "{}", reply.text());
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = reply.json().unwrap();
        self.is_problem(&problem, anybody).await;
        assert_eq!(
            problem["correlationId"].as_str(),
            reply.header("x-request-id"),
            "{problem}"
        );
        let told = reply.header("retry-after").map(|told| told.parse().unwrap());
        assert_eq!(
            told,
            problem["retryAfterMs"].as_u64().map(seconds),
            "the header and the body say the same: {problem}"
        );
    }

    /// The answer of `/v1`.
    #[track_caller]
    fn is_openai(&self, reply: &Reply) {
        assert_eq!(reply.status, self.status, "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"), "{self:?}");
        let body = reply.json().unwrap();
        let error = &body["error"];
        assert_eq!(error["code"], self.on_v1, "{body}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
                && error["type"].is_string()
                && error.get("param").is_some(),
            "{body}"
        );
        assert!(
            reply.header("x-request-id").is_some_and(|id| id.len() == 36),
            "{:?}",
            reply.headers
        );
        let told = reply
            .header("retry-after")
            .map(|told| told.parse::<u64>().unwrap());
        let exact = reply
            .header("retry-after-ms")
            .map(|told| told.parse::<u64>().unwrap());
        assert_eq!(told.is_some(), self.again == Again::After, "{:?}", reply.headers);
        assert_eq!(told, exact.map(seconds), "{:?}", reply.headers);
    }
}
