//! The description of all routes, for programs (`/openapi.json`) and for people (`/docs`).
//!
//! The document is written by hand in `assets/openapi.json`; a test compares it with the table of routes. The page is
//! made from the document when it is asked for. Both are for callers on this machine, and for the admin token.

use super::native::is_local;
use super::{App, is_admin};
use crate::problem::Problem;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use openclaw_core::Random as _;
use openclaw_system::SystemRandom;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

/// The document as it is sent, with the version of this server.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value =
        serde_json::from_str(include_str!("../../assets/openapi.json")).expect("a test reads it");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document
});

const STYLE: &str = "
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
section { border-top: 1px solid var(--line); padding: .8rem 0; }
h3 { font: 600 .95rem ui-monospace, monospace; margin: 0; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 4.2rem; }
p { margin: .35rem 0; } ul { margin: .35rem 0; padding-left: 1.2rem; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
small { opacity: .75; }
";

type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

fn may_read(app: &App, peer: &Peer, headers: &HeaderMap) -> Result<(), Problem> {
    if is_local(app, peer.as_ref().map(|peer| &peer.0), headers) || is_admin(app, headers) {
        Ok(())
    } else {
        Err(Problem::new(
            "UNAUTHORIZED",
            "from another machine the description needs the admin token",
        ))
    }
}

/// `GET /openapi.json`.
pub(super) async fn document(State(app): State<Arc<App>>, peer: Peer, headers: HeaderMap) -> Response {
    if let Err(problem) = may_read(&app, &peer, &headers) {
        return problem.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.to_string()).into_response()
}

/// `GET /docs`.
pub(super) async fn page(State(app): State<Arc<App>>, peer: Peer, headers: HeaderMap) -> Response {
    if let Err(problem) = may_read(&app, &peer, &headers) {
        return problem.into_response();
    }
    let nonce = format!("{:016x}{:016x}", SystemRandom.next_u64(), SystemRandom.next_u64());
    let mut response = rendered(&DOCUMENT, &nonce).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// The document as a page. Whatever stands in it is text there, never markup.
fn rendered(document: &Value, nonce: &str) -> String {
    let info = &document["info"];
    let title = text(&info["title"]);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style nonce=\"{nonce}\">{STYLE}</style>\n\
         <h1>{title} <small>{}</small></h1>\n<p>{}</p>\n<p>As a document: <a href=\"/openapi.json\">/openapi.json</a></p>\n",
        text(&info["version"]),
        text(&info["description"]),
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = write!(
            page,
            "<h2>{}</h2>\n<p>{}</p>\n",
            text(&tag["name"]),
            text(&tag["description"])
        );
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                let tagged = operation["tags"]
                    .as_array()
                    .is_some_and(|tags| tags.contains(&tag["name"]));
                if tagged {
                    operation_of(&mut page, method, path, operation);
                }
            }
        }
    }
    page
}

fn operation_of(page: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        page,
        "<section>\n<h3><b>{}</b> {}</h3>\n<p>{}</p>\n",
        escaped(&method.to_ascii_uppercase()),
        escaped(path),
        text(&operation["summary"]),
    );
    if operation["description"].is_string() {
        let _ = writeln!(page, "<p><small>{}</small></p>", text(&operation["description"]));
    }
    page.push_str("<ul>\n");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let _ = writeln!(
            page,
            "<li><code>{}</code> <small>({})</small> {}</li>",
            text(&parameter["name"]),
            text(&parameter["in"]),
            text(&parameter["description"]),
        );
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let _ = writeln!(
            page,
            "<li>{}: {}</li>",
            escaped(status),
            text(&answer["description"])
        );
    }
    page.push_str("</ul>\n</section>\n");
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;
    use crate::problem::MEANINGS;
    use std::collections::BTreeSet;

    fn described() -> BTreeSet<String> {
        let mut described = BTreeSet::new();
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
        described
    }

    #[test]
    fn the_document_and_the_router_have_the_same_routes() {
        let routes: BTreeSet<String> = routes()
            .iter()
            .map(|route| format!("{} {}", route.method, route.path.replace("{*", "{")))
            .collect();
        assert_eq!(described(), routes);
    }

    #[test]
    fn every_operation_says_who_may_call_it_and_what_it_answers() {
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let at = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{at}");
                assert!(operation["operationId"].is_string(), "{at}");
                assert!(operation["security"].is_array(), "{at}");
                assert!(
                    operation["responses"]
                        .as_object()
                        .is_some_and(|answers| !answers.is_empty()),
                    "{at}"
                );
                let parameters: Vec<&str> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                for name in parameters.iter().map(|name| format!("{{{name}}}")) {
                    assert!(path.contains(&name), "{at} names {name}");
                }
                assert_eq!(
                    parameters.len(),
                    path.matches('{').count(),
                    "{at} describes its path"
                );
            }
        }
    }

    #[test]
    fn references_point_at_what_is_there() {
        fn check(value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
                    }
                    fields.values().for_each(check);
                }
                Value::Array(items) => items.iter().for_each(check),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        check(&DOCUMENT);
    }

    #[test]
    fn the_codes_of_problems_are_those_of_the_table() {
        let listed = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["examples"]
            .as_array()
            .unwrap();
        for code in listed {
            assert!(MEANINGS.iter().any(|meaning| code == meaning.code), "{code}");
        }
        assert!(!listed.is_empty());
    }

    #[test]
    fn the_page_shows_every_route_and_takes_text_for_text() {
        let page = rendered(&DOCUMENT, "abc");
        let shown = page.matches("<section>").count();
        assert_eq!(
            shown,
            described().len(),
            "every operation has a tag that is listed"
        );
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
        let hostile = serde_json::json!({ "info": { "title": "<b onclick=\"x\">&" } });
        assert!(rendered(&hostile, "abc").contains("<title>&lt;b onclick=&quot;x&quot;&gt;&amp;</title>"));
    }
}
