//! The chat page: one HTML document, one style sheet, one script, all part of the binary.
//!
//! Style and script are written in `assets/chat`, the script as modules, and served from `assets/chat/served`, where
//! `cargo xtask page` has made one short file of each.
//!
//! The page is a client of the native API and has no other way in. Its names carry a hash of their content, so that a
//! browser may keep style and script for ever and still sees a new version at once. The content security policy
//! forbids everything the page does not do: foreign hosts, inline script and style, frames, and strings that become
//! markup.

use super::{App, language};
use crate::problem::Problem;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use openclaw_core::Language;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

const HTML: &str = include_str!("../../assets/chat/chat.html");
const STYLE: &str = include_str!("../../assets/chat/served/chat.css");
const SCRIPT: &str = include_str!("../../assets/chat/served/chat.js");
const ICON: &str = include_str!("../../assets/chat/icon.svg");

/// What the page may do, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Every permission a browser would otherwise grant or ask for. Only names that browsers know: each of the others is a
/// warning in the console of whoever looks there.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), \
                           display-capture=(), accelerometer=(), gyroscope=(), magnetometer=()";

/// The page with the names of its parts filled in.
static PAGE: LazyLock<Page> = LazyLock::new(Page::new);

#[derive(Debug)]
struct Page {
    /// By language: what the page speaks to whose browser speaks neither.
    html: [(Language, String); Language::ALL.len()],
    style: Asset,
    script: Asset,
    icon: Asset,
}

/// A part of the page under the name it is fetched by.
#[derive(Debug)]
struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

// === impl Page ===

impl Page {
    fn new() -> Self {
        let style = Asset::new("css", "text/css; charset=utf-8", STYLE);
        let script = Asset::new("js", "text/javascript; charset=utf-8", SCRIPT);
        let icon = Asset::new("svg", "image/svg+xml", ICON);
        // A browser shows the indentation of the source nowhere.
        let html: String = HTML
            .lines()
            .map(|line| format!("{}\n", line.trim_start()))
            .collect();
        let html = html
            .replace("{css}", &style.path())
            .replace("{js}", &script.path())
            .replace("{icon}", &icon.path());
        let html = Language::ALL.map(|language| {
            let tag = format!("<html lang=\"{}\">", language.as_str());
            (language, html.replace("<html lang=\"en\">", &tag))
        });
        Self {
            html,
            style,
            script,
            icon,
        }
    }

    fn html(&self, language: Language) -> &str {
        let found = self.html.iter().find(|(own, _)| *own == language);
        found.map_or("", |(_, html)| html)
    }

    fn asset(&self, name: &str) -> Option<&Asset> {
        [&self.style, &self.script, &self.icon]
            .into_iter()
            .find(|asset| asset.name == name)
    }
}

// === impl Asset ===

impl Asset {
    fn new(extension: &str, kind: &'static str, text: &'static str) -> Self {
        let name = hashed(extension, text);
        Self { name, kind, text }
    }

    fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// `GET /` and `GET /chat`; not there where `messenger.web.enabled` is false.
pub(crate) async fn page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !app.facts.web {
        let detail = match language(&app, &headers) {
            Language::En => "the chat page is turned off: messenger.web.enabled is false",
            Language::Ru => "страница чата выключена: messenger.web.enabled = false",
        };
        return Problem::new("NOT_FOUND", detail).into_response();
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (protection(), headers, PAGE.html(app.language)).into_response()
}

/// `GET /assets/{name}`: only the names the page gives out exist.
pub(crate) async fn asset(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(asset) = PAGE.asset(&name) else {
        let detail = match language(&app, &headers) {
            Language::En => "there is no such asset",
            Language::Ru => "такого файла у страницы нет",
        };
        return Problem::new("NOT_FOUND", detail).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    (protection(), headers, asset.text).into_response()
}

/// The headers of every answer of this module.
fn protection() -> HeaderMap {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect()
}

/// `chat.<hash>.<extension>`: 64 bits are plenty to tell versions apart.
fn hashed(extension: &str, content: &str) -> String {
    let mut name = String::from("chat.");
    for byte in Sha256::digest(content.as_bytes()).iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name.push('.');
    name.push_str(extension);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// All that the page says, as it is written.
    const WORDS: &str = include_str!("../../assets/chat/script/words.js");

    /// What may be sent before anybody has said anything.
    const MAX_BYTES: usize = 40_000;

    #[test]
    fn the_page_is_small_and_names_no_address_of_another_host() {
        let html = PAGE.html(Language::Ru);
        assert!(
            html.contains("<html lang=\"ru\">") && PAGE.html(Language::En).contains("<html lang=\"en\">")
        );
        let bytes = html.len()
            + [&PAGE.style, &PAGE.script, &PAGE.icon]
                .map(|part| part.text.len())
                .iter()
                .sum::<usize>();
        assert!(bytes < MAX_BYTES, "{bytes} bytes");
        for forbidden in [
            "http:",
            "https:",
            "src=\"//",
            "href=\"//",
            "style=\"",
            " onclick",
            "<script>",
        ] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn the_script_never_turns_text_into_markup() {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn names_follow_the_content() {
        for part in [&PAGE.style, &PAGE.script, &PAGE.icon] {
            assert!(
                PAGE.html(Language::En).contains(&format!("\"{}\"", part.path())),
                "{}",
                part.name
            );
        }
        assert_ne!(hashed("js", "one"), hashed("js", "two"));
    }

    /// The texts by their keys, English before Russian: an entry of the catalogue begins with its key, indented by two.
    fn words() -> BTreeMap<&'static str, Vec<&'static str>> {
        let (_, rest) = WORDS.split_once("WORDS = {\n").expect("there is a catalogue");
        let (block, _) = rest.split_once("\n};").expect("the catalogue ends");
        let mut words = BTreeMap::<_, Vec<_>>::new();
        let mut key = "";
        for line in block.lines() {
            if let Some((name, _)) = line.split_once(": [")
                && line
                    .strip_prefix("  ")
                    .is_some_and(|entry| entry.starts_with(name.trim()))
            {
                key = name.trim();
            }
            let texts = line.split('"').skip(1).step_by(2);
            words.entry(key).or_default().extend(texts);
        }
        words
    }

    #[test]
    fn every_text_is_there_in_both_languages() {
        let is_russian = |text: &str| text.chars().any(|letter| ('а'..='я').contains(&letter));
        assert!(words().len() > 40 && words().contains_key("newChat"));
        for (key, texts) in words() {
            let halves = texts.split_at(texts.iter().take_while(|text| !is_russian(text)).count());
            let is_name = texts == ["OpenClaw", "OpenClaw"];
            assert!(
                is_name
                    || !halves.0.is_empty()
                        && !halves.1.is_empty()
                        && halves.1.iter().all(|text| is_russian(text)),
                "{key}: {texts:?}"
            );
        }
        for attribute in ["data-t=\"", "data-label=\"", "data-placeholder=\""] {
            for (_, rest) in HTML
                .match_indices(attribute)
                .map(|(at, found)| HTML.split_at(at + found.len()))
            {
                let key = rest.split('"').next().unwrap_or_default();
                assert!(words().contains_key(key), "{key}");
            }
        }
    }
}
