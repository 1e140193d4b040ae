//! Addresses and headers of an endpoint that hold no secret in the open.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The address of `path` below `base`; `None` unless it is http or https with a host and without a password, which
/// would be shown wherever the address is.
pub fn address(base: &str, path: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    (matches!(url.scheme(), "http" | "https") && plain).then_some(url)
}

/// Adds a header that neither prints nor logs, in the place of one of the same name. `false`, and nothing changed, when
/// name or value cannot be sent.
#[must_use]
pub fn insert_secret(headers: &mut HeaderMap, name: &str, value: &str) -> bool {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(mut value)) => {
            value.set_sensitive(true);
            headers.insert(name, value);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_without_a_password() {
        let joined = address("https://api.example/v1/", "/chat").map(|url| url.to_string());
        assert_eq!(joined.as_deref(), Some("https://api.example/v1/chat"));
        for refused in ["ftp://x", "https://user:hush@x", "https://user@x", "x", ""] {
            assert_eq!(address(refused, "/chat"), None, "{refused}");
        }
    }

    #[test]
    fn a_secret_header_does_not_print_and_a_broken_one_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(insert_secret(&mut headers, "x-key", "hush"));
        assert!(!format!("{headers:?}").contains("hush"));
        assert!(!insert_secret(&mut headers, "x-key", "a\nb"));
        assert!(!insert_secret(&mut headers, "bad name", "b"));
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-key"], "hush");
    }
}
