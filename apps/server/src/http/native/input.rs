//! Reads what requests of the native API carry: queries, bodies, idempotency keys.

use super::super::HttpLimits;
use super::super::body::{self, BodyError};
use super::super::invalid::{FieldFault, Rule, invalid};
use crate::problem::Problem;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use openclaw_core::Language;
use openclaw_gateway::ports::Opinion;
use serde_json::{Map, Value};

/// The longest text of a message, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;
/// The longest words about an answer, in characters.
const MAX_OPINION_CHARS: usize = 2_000;
/// The longest idempotency key, in characters.
const MAX_KEY_CHARS: usize = 255;
/// So many unknown fields are named, and so much of each name.
const MAX_UNKNOWN: usize = 8;
const MAX_FIELD_CHARS: usize = 64;

/// The parameters of a URL.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

fn wrong(field: &str, rule: Rule, language: Language) -> Problem {
    invalid(&[FieldFault::new(field, rule)], language)
}

fn wrong_value(field: &str, value: &str, rule: Rule, language: Language) -> Problem {
    invalid(&[FieldFault::new(field, rule).with_value(value)], language)
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
    pub(super) fn limit(&self, default: usize, most: usize, language: Language) -> Result<usize, Problem> {
        let Some(value) = self.get("limit") else {
            return Ok(default);
        };
        let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| {
            let rule = Rule::new(
                format!("must be a whole number from 1 to {most}"),
                format!("должно быть целым числом от 1 до {most}"),
            );
            wrong_value("limit", value, rule, language)
        })
    }

    /// Where a page begins, as `read` finds it in what an earlier page has given.
    pub(super) fn page<T>(
        &self,
        name: &str,
        language: Language,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let page = |value: &str| {
            read(value).ok_or_else(|| {
                let rule = Rule::new(
                    "must be taken from `next` of an earlier page",
                    "должно быть взято из `next` предыдущей страницы",
                );
                wrong_value(name, value, rule, language)
            })
        };
        self.get(name).map(page).transpose()
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
pub(in super::super) async fn read(
    body: Body,
    limits: HttpLimits,
    language: Language,
) -> Result<Bytes, Problem> {
    let limit = limits.body_bytes;
    let say = |en: String, ru: String| match language {
        Language::En => en,
        Language::Ru => ru,
    };
    body::read(body, limit).await.map_err(|error| match error {
        BodyError::TooLarge => Problem::new(
            "TOO_LARGE",
            say(
                format!("The body has more than {limit} bytes."),
                format!("Тело запроса больше допустимого, в байтах: {limit}."),
            ),
        )
        .with("limit", limit),
        BodyError::Slow => Problem::new(
            "REQUEST_TIMEOUT",
            say(
                format!(
                    "The body had not arrived after {} ms.",
                    limits.body_time.as_millis()
                ),
                format!("Тело запроса не пришло за {} мс.", limits.body_time.as_millis()),
            ),
        ),
        BodyError::Broken => wrong(
            "body",
            Rule::new("did not arrive whole", "пришло не полностью"),
            language,
        ),
    })
}

/// What a body holds, which must be an object.
pub(in super::super) fn parsed(body: &[u8], language: Language) -> Result<Map<String, Value>, Problem> {
    let rule = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => return Ok(fields),
        Ok(_) => Rule::new("must be a JSON object", "должно быть объектом JSON"),
        Err(error) => Rule::new(format!("is not JSON: {error}"), format!("не JSON: {error}")),
    };
    Err(wrong("body", rule, language))
}

/// A body of which nothing is needed: empty, or an object of any fields.
pub(super) async fn object(body: Body, limits: HttpLimits, language: Language) -> Result<(), Problem> {
    let body = read(body, limits, language).await?;
    if body.is_empty() {
        Ok(())
    } else {
        parsed(&body, language).map(drop)
    }
}

/// The fields that are none of the known ones, a few at most.
pub(in super::super) fn unknown_fields<'a>(
    fields: &'a Map<String, Value>,
    known: &'a [&str],
) -> impl Iterator<Item = FieldFault> + 'a {
    let unknown = fields
        .iter()
        .filter(|(field, _)| !known.contains(&field.as_str()));
    unknown.take(MAX_UNKNOWN).map(|(field, value)| {
        let shown: String = field
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_FIELD_CHARS)
            .collect();
        FieldFault::new(
            shown,
            Rule::new("is not a field of this request", "не поле этого запроса"),
        )
        .with_json(value)
    })
}

/// A body that is an object.
pub(super) async fn json(
    headers: &HeaderMap,
    body: Body,
    limits: HttpLimits,
    language: Language,
) -> Result<Map<String, Value>, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap_or_default());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(
            "UNSUPPORTED_MEDIA_TYPE",
            match language {
                Language::En => "Send the body with `Content-Type: application/json`.",
                Language::Ru => "Отправьте тело запроса с `Content-Type: application/json`.",
            },
        ));
    }
    parsed(&read(body, limits, language).await?, language)
}

/// The text of a message. A field that a message does not have is refused, so that nobody believes, say, to have chosen a
/// model.
pub(super) fn text(mut body: Map<String, Value>, language: Language) -> Result<String, Problem> {
    let mut faults: Vec<FieldFault> = unknown_fields(&body, &["text"]).collect();
    let fault = |rule| FieldFault::new("text", rule);
    let fault = match body.get_mut("text").map(Value::take) {
        Some(Value::String(text)) if text.trim().is_empty() => {
            fault(Rule::new("must not be empty", "не может быть пустым")).with_value(&text)
        }
        Some(Value::String(text)) if text.len() > MAX_TEXT_BYTES => {
            let detail = match language {
                Language::En => format!("The text has {} bytes, {MAX_TEXT_BYTES} are allowed.", text.len()),
                Language::Ru => format!(
                    "Длина текста в байтах {}, допустимо {MAX_TEXT_BYTES}.",
                    text.len()
                ),
            };
            return Err(Problem::new("TOO_LARGE", detail).with("limit", MAX_TEXT_BYTES));
        }
        Some(Value::String(text)) if faults.is_empty() => return Ok(text),
        Some(Value::String(_)) => return Err(invalid(&faults, language)),
        Some(other) => fault(Rule::new("must be a string", "должно быть строкой")).with_json(&other),
        None => fault(Rule::new("must be given", "обязательно")),
    };
    faults.insert(0, fault);
    Err(invalid(&faults, language))
}

/// What is thought of an answer, and of which turn's.
pub(super) fn opinion(
    mut body: Map<String, Value>,
    language: Language,
) -> Result<(String, Opinion), Problem> {
    let mut faults: Vec<FieldFault> = Vec::new();
    let mut wrong = |field: &str, rule: Rule, value: &Value| {
        let fault = FieldFault::new(field, rule);
        faults.push(if value.is_null() {
            fault
        } else {
            fault.with_json(value)
        });
    };
    let unknown: Vec<FieldFault> = unknown_fields(&body, &["turnId", "rating", "text"]).collect();
    let mut take = |field: &str| body.get_mut(field).map(Value::take).unwrap_or_default();
    let turn = match take("turnId") {
        Value::String(turn) => turn,
        other => {
            let rule = Rule::new("must be the id of a turn", "должно быть номером хода");
            wrong("turnId", rule, &other);
            String::new()
        }
    };
    let rating = take("rating");
    let parsed = rating.as_str().and_then(|rating| rating.parse().ok());
    if parsed.is_none() {
        let rule = Rule::new("must be `up` or `down`", "должно быть `up` или `down`");
        wrong("rating", rule, &rating);
    }
    let text = match take("text") {
        Value::Null => None,
        Value::String(text) if text.chars().count() <= MAX_OPINION_CHARS => {
            Some(text).filter(|text| !text.trim().is_empty())
        }
        other => {
            let rule = Rule::new(
                format!("must be a string of at most {MAX_OPINION_CHARS} characters"),
                format!("должно быть строкой не длиннее {MAX_OPINION_CHARS} символов"),
            );
            wrong("text", rule, &other);
            None
        }
    };
    faults.extend(unknown);
    match parsed {
        Some(rating) if faults.is_empty() => Ok((turn, Opinion { rating, text })),
        _ => Err(invalid(&faults, language)),
    }
}

/// The key of a request that may be sent twice: a structured-field string, or the same without its quotes.
pub(super) fn idempotency_key(headers: &HeaderMap, language: Language) -> Result<Option<String>, Problem> {
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
            let rule = Rule::new(
                "must be one string of 1 to 255 printable ASCII characters, in double quotes or without",
                "должен быть одной строкой из 1–255 печатных символов ASCII, в двойных кавычках или без них",
            );
            let value = String::from_utf8_lossy(value.as_bytes());
            Err(wrong_value("Idempotency-Key", &value, rule, language))
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
            idempotency_key(&headers, Language::En).ok().flatten().as_deref(),
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
        assert!(idempotency_key(&headers, Language::En).is_ok());
        headers.insert("idempotency-key", HeaderValue::try_from("k".repeat(256)).unwrap());
        assert!(idempotency_key(&headers, Language::En).is_err());
        headers.insert("idempotency-key", HeaderValue::from_static("a"));
        headers.append("idempotency-key", HeaderValue::from_static("b"));
        assert!(idempotency_key(&headers, Language::En).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new(), Language::En).ok(), Some(None));
    }

    #[test]
    fn a_text_is_there_not_empty_and_not_too_long() {
        let read = |body: Value| text(body.as_object().unwrap().clone(), Language::En);
        let status = |body| read(body).map_err(|problem| problem.status().as_u16());
        assert_eq!(status(json!({"text": " hi "})), Ok(" hi ".to_owned()));
        for body in [
            json!({}),
            json!({"text": 1}),
            json!({"text": ""}),
            json!({"text": " \n"}),
        ] {
            let problem = read(body).unwrap_err().to_json();
            assert_eq!(
                (&problem["status"], &problem["errors"][0]["field"]),
                (&json!(400), &json!("text"))
            );
        }
        for (body, value) in [
            (json!({"text": 5}), json!("5")),
            (json!({"text": " "}), json!(" ")),
            (json!({"text": "hi", "model": "m"}), json!("m")),
            (json!({}), Value::Null),
        ] {
            let problem = read(body.clone()).unwrap_err().to_json();
            assert_eq!(problem["errors"][0]["value"], value, "{body}");
        }
        let unknown = read(json!({"text": "", "model": "m"})).unwrap_err().to_json();
        assert_eq!(
            unknown["detail"],
            "`text` must not be empty; `model` is not a field of this request."
        );
        assert_eq!(status(json!({"text": "hi", "model": "m"})), Err(400));
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
        assert!(query.limit(50, 100, Language::En).is_err());
        assert_eq!(
            Query::parse(&"/x".parse().unwrap())
                .limit(50, 100, Language::En)
                .ok(),
            Some(50)
        );
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
