//! A request that is not valid: every field that is wrong and the rule it breaks, in the caller's language.

use crate::problem::Problem;
use openclaw_core::Language;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Of a value, so many characters are told back.
const SHOWN_CHARS: usize = 64;
/// A field with one of these in its name carries a secret, which is not told back.
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "password",
    "secret",
    "token",
];

/// A rule, in the words of both languages. It stands after the field's name: `must not be empty`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    en: Cow<'static, str>,
    ru: Cow<'static, str>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldFault {
    /// The field as the request spells it: of the body, the query or the headers; `body` for the body as a whole.
    field: String,
    /// The value's beginning; none where the field is missing, is the body as a whole or carries a secret.
    value: Option<String>,
    rule: Rule,
}

// === impl Rule ===

impl Rule {
    pub(crate) fn new(en: impl Into<Cow<'static, str>>, ru: impl Into<Cow<'static, str>>) -> Self {
        Self {
            en: en.into(),
            ru: ru.into(),
        }
    }

    fn say(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ru => &self.ru,
        }
    }
}

// === impl FieldFault ===

impl FieldFault {
    pub(crate) fn new(field: impl Into<String>, rule: Rule) -> Self {
        Self {
            field: field.into(),
            value: None,
            rule,
        }
    }

    /// The value that breaks the rule; its beginning is told back, unless it is a secret by the field's name.
    pub(crate) fn with_value(mut self, value: &str) -> Self {
        let letters = self.field.chars().filter(|letter| letter.is_alphanumeric());
        let name: String = letters.flat_map(char::to_lowercase).collect();
        if !SECRET_WORDS.iter().any(|word| name.contains(word)) {
            self.value = Some(value.chars().take(SHOWN_CHARS).collect());
        }
        self
    }

    /// The same for a value of a JSON body: a text as it stands, anything else as JSON.
    pub(crate) fn with_json(self, value: &Value) -> Self {
        match value {
            Value::String(text) => self.with_value(text),
            other => self.with_value(&other.to_string()),
        }
    }
}

/// The problem that names all of them: in words in `detail`, for programs in `errors`.
pub(crate) fn invalid(faults: &[FieldFault], language: Language) -> Problem {
    let words: Vec<String> = faults
        .iter()
        .map(|fault| format!("`{}` {}", fault.field, fault.rule.say(language)))
        .collect();
    let errors: Value = faults
        .iter()
        .map(|fault| {
            let mut error = json!({ "field": fault.field, "rule": fault.rule.say(language) });
            if let (Some(value), Some(fields)) = (&fault.value, error.as_object_mut()) {
                fields.insert("value".to_owned(), value.clone().into());
            }
            error
        })
        .collect();
    Problem::new("VALIDATION", format!("{}.", words.join("; "))).with("errors", errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_back_as_it_was_sent_and_a_secret_never() {
        let told = |field: &str, value: Value| {
            let fault = FieldFault::new(field, Rule::new("must not be", "лишнее")).with_json(&value);
            invalid(&[fault], Language::En).to_json()["errors"][0]["value"].clone()
        };
        assert_eq!(told("text", json!("")), json!(""));
        assert_eq!(told("text", json!(5)), json!("5"));
        assert_eq!(told("text", json!({ "a": [] })), json!("{\"a\":[]}"));
        for secret in ["token", "X-Api-Key", "api_key", "clientSecret"] {
            assert_eq!(told(secret, json!("oc_live_1")), Value::Null, "{secret}");
        }
    }

    #[test]
    fn every_fault_is_named_in_words_and_for_programs() {
        let faults = [
            FieldFault::new("tier", Rule::new("must be a tier", "должен быть тарифом"))
                .with_value(&"g".repeat(100)),
            FieldFault::new("text", Rule::new("must be given", "обязательно")),
        ];
        let problem = invalid(&faults, Language::En).to_json();
        assert_eq!(
            (problem["status"].as_u64(), &problem["code"]),
            (Some(400), &json!("VALIDATION"))
        );
        assert_eq!(problem["detail"], "`tier` must be a tier; `text` must be given.");
        assert_eq!(
            problem["errors"],
            json!([
                { "field": "tier", "rule": "must be a tier", "value": "g".repeat(SHOWN_CHARS) },
                { "field": "text", "rule": "must be given" },
            ])
        );
        let russian = invalid(&faults, Language::Ru).to_json();
        assert_eq!(
            russian["detail"],
            "`tier` должен быть тарифом; `text` обязательно."
        );
        assert_eq!(russian["errors"][1]["rule"], "обязательно");
    }
}
