//! Reads what requests of the native API carry: queries, bodies, idempotency keys.

use super::super::body::{self, BodyError};
use crate::problem::Problem;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use openclaw_core::{Language, ValidationError};
use serde_json::Value;

/// The longest text of a message, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;
/// The longest idempotency key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// The parameters of a URL.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

fn invalid(field: &str, value: &str, rule: &str) -> Problem {
    let error = ValidationError::one(field, value.chars().take(64).collect::<String>(), rule);
    Problem::from_error(&error, Language::En)
}

// === impl Query ===

impl Query {
    pub(super) fn parse(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (!name.is_empty()).then(|| (unescaped(name), unescaped(value)))
        });
        Self {
            pairs: pairs.collect(),
        }
    }

    /// The first value of that name; one that is empty counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// How many items a page is to have.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(value) = self.get("limit") else {
            return Ok(default);
        };
        let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| invalid("limit", value, &format!("must be between 1 and {most}")))
    }

    /// Where a page begins.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Problem> {
        let number = |value: &str| {
            value
                .parse()
                .map_err(|_| invalid(name, value, "must be taken from `next` of an earlier page"))
        };
        self.get(name).map(number).transpose()
    }
}

/// Undoes percent-encoding; what is not UTF-8 afterwards becomes replacement characters.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = after.split_first_chunk::<2>().and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        match (byte, escaped) {
            (b'%', Some((byte, after))) => {
                bytes.push(byte);
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole body, or why not.
async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    body::read(body, limit).await.map_err(|error| match error {
        BodyError::TooLarge => {
            Problem::new("TOO_LARGE", format!("The body has more than {limit} bytes.")).with("limit", limit)
        }
        BodyError::Broken => Problem::new("VALIDATION", "The body did not arrive whole."),
    })
}

fn parsed(body: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Problem::new("VALIDATION", "The body must be a JSON object.")),
        Err(error) => Err(Problem::new(
            "VALIDATION",
            format!("The body is not JSON: {error}."),
        )),
    }
}

/// A body of which nothing is needed: empty, or an object of any fields.
pub(super) async fn object(body: Body, limit: usize) -> Result<(), Problem> {
    let body = read(body, limit).await?;
    if body.is_empty() {
        Ok(())
    } else {
        parsed(&body).map(drop)
    }
}

/// A body that is an object.
pub(super) async fn json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Value, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap_or_default());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(
            "UNSUPPORTED_MEDIA_TYPE",
            "Send the body with `Content-Type: application/json`.",
        ));
    }
    parsed(&read(body, limit).await?)
}

/// The text of a message.
pub(super) fn text(mut body: Value) -> Result<String, Problem> {
    match body.get_mut("text").map(Value::take) {
        Some(Value::String(text)) if text.trim().is_empty() => Err(invalid("text", "", "must not be empty")),
        Some(Value::String(text)) if text.len() > MAX_TEXT_BYTES => Err(Problem::new(
            "TOO_LARGE",
            format!("The text has {} bytes, {MAX_TEXT_BYTES} are allowed.", text.len()),
        )
        .with("limit", MAX_TEXT_BYTES)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid("text", "", "must be a string")),
        None => Err(invalid("text", "", "must be given")),
    }
}

/// The key of a request that may be sent twice: a structured-field string, or the same without its quotes.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|_| values.next().is_none())
        .map(str::trim)
        .and_then(unquoted);
    match key.filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len())) {
        Some(key) => Ok(Some(key)),
        None => {
            let rule =
                "must be one string of 1 to 255 printable ASCII characters, in double quotes or without";
            Err(invalid(
                "Idempotency-Key",
                &String::from_utf8_lossy(value.as_bytes()),
                rule,
            ))
        }
    }
}

fn unquoted(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    let Some(rest) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = rest.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            '"' => return None,
            letter => key.push(letter),
        }
    }
    Some(key)
}

/// The last event the caller saw: of the header, which browsers send when they come back, else of the URL. A text that
/// is no id of ours gives one that is too old, so that the caller gets a snapshot.
pub(super) fn last_event_id(parts: &Parts) -> Option<u64> {
    let header = parts
        .headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let header = header
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned);
    let id = header.or_else(|| Query::parse(&parts.uri).get("lastEventId").map(str::to_owned))?;
    Some(id.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, Request};
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check_key(header: &'static str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_static(header));
        assert_eq!(
            idempotency_key(&headers).ok().flatten().as_deref(),
            expected,
            "{header}"
        );
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        check_key("8e03978e-40d5", Some("8e03978e-40d5"));
        check_key("\"8e03978e-40d5\"", Some("8e03978e-40d5"));
        check_key(r#""a\"b\\c""#, Some(r#"a"b\c"#));
        check_key("", None);
        check_key("\"\"", None);
        check_key("\"open", None);
        check_key("a\"b", None);
        check_key(r#""a\bc""#, None);
    }

    #[test]
    fn a_key_has_a_longest_length_and_comes_once() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::try_from("k".repeat(255)).unwrap());
        assert!(idempotency_key(&headers).is_ok());
        headers.insert("idempotency-key", HeaderValue::try_from("k".repeat(256)).unwrap());
        assert!(idempotency_key(&headers).is_err());
        headers.insert("idempotency-key", HeaderValue::from_static("a"));
        headers.append("idempotency-key", HeaderValue::from_static("b"));
        assert!(idempotency_key(&headers).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()).ok(), Some(None));
    }

    #[test]
    fn a_text_is_there_not_empty_and_not_too_long() {
        let status = |body| text(body).map_err(|problem| problem.status().as_u16());
        assert_eq!(status(json!({"text": " hi ", "other": 1})), Ok(" hi ".to_owned()));
        for body in [
            json!({}),
            json!({"text": 1}),
            json!({"text": ""}),
            json!({"text": " \n"}),
        ] {
            assert_eq!(status(body), Err(400));
        }
        assert!(status(json!({"text": "x".repeat(MAX_TEXT_BYTES)})).is_ok());
        assert_eq!(status(json!({"text": "x".repeat(MAX_TEXT_BYTES + 1)})), Err(413));
    }

    #[test]
    fn the_header_of_a_browser_that_comes_back_wins_over_the_url() {
        let last = |url: &str, header: Option<&'static str>| {
            let mut request = Request::get(url);
            if let Some(header) = header {
                request = request.header("last-event-id", header);
            }
            last_event_id(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(last("/e?lastEventId=5", Some("7")), Some(7));
        assert_eq!(last("/e?lastEventId=5", Some("")), Some(5));
        assert_eq!(last("/e?lastEventId=junk", None), Some(0));
        assert_eq!(last("/e?lastEventId=", None), None);
        assert_eq!(last("/e", None), None);
    }

    #[test]
    fn escapes_of_a_query_are_undone() {
        let query = Query::parse(&"/x?a=1%202&b+c=%d0%96&limit=0&e=%zz%4".parse().unwrap());
        assert_eq!(
            (query.get("a"), query.get("b c"), query.get("e")),
            (Some("1 2"), Some("Ж"), Some("%zz%4"))
        );
        assert!(query.limit(50, 100).is_err());
        assert_eq!(Query::parse(&"/x".parse().unwrap()).limit(50, 100).ok(), Some(50));
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_harm(query in "[!-~]{0,60}") {
            if let Ok(uri) = format!("/x?{query}").parse::<Uri>() {
                Query::parse(&uri).get("a");
            }
        }
    }
}
