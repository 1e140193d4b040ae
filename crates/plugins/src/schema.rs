//! Checks a plugin's configuration against its JSON Schema.
//!
//! The part of JSON Schema that configurations need: `type` (one or several), `properties`, `required`,
//! `additionalProperties` (a boolean), `items`, `minItems`, `maxItems`, `enum`, `const`, `minimum`, `maximum`,
//! `minLength`, `maxLength`. `title`, `description`, `default`, `examples`, `format`, `$schema` and `$id` are read as
//! remarks. Any other keyword is refused when the plugin is registered: a rule that is silently not applied is worse
//! than none. Messages name the field and the rule and never show a configured value, which may be a secret.

use openclaw_core::Violation;
use serde_json::{Map, Value};

/// How deep a schema and a configuration may nest.
pub const MAX_DEPTH: usize = 16;
/// The most faults reported at once.
pub const MAX_FAULTS: usize = 32;

const TYPES: [&str; 7] = [
    "object", "array", "string", "integer", "number", "boolean", "null",
];
const REMARKS: [&str; 7] = [
    "title",
    "description",
    "default",
    "examples",
    "format",
    "$schema",
    "$id",
];

/// What is wrong with the schema itself. Fields begin with `configSchema`.
pub(crate) fn check_schema(schema: &Value) -> Vec<Violation> {
    let mut faults = Vec::new();
    schema_at("configSchema", schema, 0, &mut faults);
    faults.truncate(MAX_FAULTS);
    faults
}

fn schema_at(path: &str, schema: &Value, depth: usize, faults: &mut Vec<Violation>) {
    if depth > MAX_DEPTH {
        faults.push(Violation::new(
            path,
            "nested too deep",
            format!("{MAX_DEPTH} levels are allowed"),
        ));
        return;
    }
    let Some(rules) = schema.as_object() else {
        faults.push(Violation::new(path, kind(schema), "a schema is an object"));
        return;
    };
    for (keyword, rule) in rules {
        let sound = match keyword.as_str() {
            "type" => is_type(rule),
            "properties" => rule.is_object(),
            "required" => rule
                .as_array()
                .is_some_and(|names| names.iter().all(Value::is_string)),
            "additionalProperties" => rule.is_boolean(),
            "items" => rule.is_object(),
            "enum" => rule.is_array(),
            "const" => true,
            "minimum" | "maximum" => rule.is_number(),
            "minItems" | "maxItems" | "minLength" | "maxLength" => rule.is_u64(),
            other => REMARKS.contains(&other),
        };
        let field = format!("{path}.{keyword}");
        if !sound {
            faults.push(Violation::new(
                field,
                kind(rule),
                "the keyword or its value is not understood",
            ));
            continue;
        }
        match (keyword.as_str(), rule) {
            ("properties", Value::Object(properties)) => {
                for (name, inner) in properties {
                    schema_at(&format!("{field}.{name}"), inner, depth + 1, faults);
                }
            }
            ("items", inner) => schema_at(&field, inner, depth + 1, faults),
            _ => {}
        }
    }
}

fn is_type(rule: &Value) -> bool {
    let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    known(rule)
        || rule
            .as_array()
            .is_some_and(|names| !names.is_empty() && names.iter().all(known))
}

/// What is wrong with a configuration, one sentence each. Fields begin with `configuration`.
pub(crate) fn check_configuration(schema: Option<&Value>, configuration: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    match schema.and_then(Value::as_object) {
        Some(rules) => value_at("configuration", rules, configuration, 0, &mut faults),
        // Without a schema there is nothing to configure.
        None => {
            let empty = configuration.is_null() || configuration.as_object().is_some_and(Map::is_empty);
            if !empty {
                faults.push("configuration is set, but the plugin has no configSchema".to_owned());
            }
        }
    }
    faults.truncate(MAX_FAULTS);
    faults
}

fn value_at(path: &str, rules: &Map<String, Value>, value: &Value, depth: usize, faults: &mut Vec<String>) {
    if depth > MAX_DEPTH || faults.len() >= MAX_FAULTS {
        return;
    }
    if let Some(rule) = rules.get("type") {
        let fits = match rule {
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .any(|name| is_of(name, value)),
            name => name.as_str().is_some_and(|name| is_of(name, value)),
        };
        if !fits {
            faults.push(format!("{path} is {}; it must be {}", kind(value), names(rule)));
            return;
        }
    }
    if let Some(Value::Array(choices)) = rules.get("enum")
        && !choices.contains(value)
    {
        faults.push(format!(
            "{path} must be one of {}",
            names(&Value::Array(choices.clone()))
        ));
    }
    if rules.get("const").is_some_and(|constant| constant != value) {
        faults.push(format!("{path} must have the one value that the schema gives"));
    }
    match value {
        Value::Object(fields) => object_at(path, rules, fields, depth, faults),
        Value::Array(items) => {
            within(
                path,
                "items",
                rules,
                ["minItems", "maxItems"],
                items.len(),
                faults,
            );
            if let Some(Value::Object(inner)) = rules.get("items") {
                for (place, item) in items.iter().enumerate() {
                    value_at(&format!("{path}[{place}]"), inner, item, depth + 1, faults);
                }
            }
        }
        Value::String(text) => {
            let length = text.chars().count();
            within(
                path,
                "characters",
                rules,
                ["minLength", "maxLength"],
                length,
                faults,
            );
        }
        Value::Number(number) => {
            let bound = |keyword| rules.get(keyword).and_then(Value::as_f64);
            let number = number.as_f64().unwrap_or(f64::NAN);
            if let Some(minimum) = bound("minimum").filter(|minimum| number < *minimum) {
                faults.push(format!("{path} must be at least {minimum}"));
            }
            if let Some(maximum) = bound("maximum").filter(|maximum| number > *maximum) {
                faults.push(format!("{path} must be at most {maximum}"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn object_at(
    path: &str,
    rules: &Map<String, Value>,
    fields: &Map<String, Value>,
    depth: usize,
    faults: &mut Vec<String>,
) {
    let properties = rules.get("properties").and_then(Value::as_object);
    if let Some(Value::Array(required)) = rules.get("required") {
        for name in required.iter().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                faults.push(format!("{path}.{name} is missing"));
            }
        }
    }
    let closed = rules.get("additionalProperties") == Some(&Value::Bool(false));
    for (name, field) in fields {
        match properties.and_then(|properties| properties.get(name)) {
            Some(Value::Object(inner)) => {
                value_at(&format!("{path}.{name}"), inner, field, depth + 1, faults);
            }
            _ if closed => faults.push(format!("{path}.{name} is not known to the plugin")),
            _ => {}
        }
    }
}

fn within(
    path: &str,
    what: &str,
    rules: &Map<String, Value>,
    [least, most]: [&str; 2],
    length: usize,
    faults: &mut Vec<String>,
) {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    let bound = |keyword| rules.get(keyword).and_then(Value::as_u64);
    if let Some(least) = bound(least).filter(|least| length < *least) {
        faults.push(format!(
            "{path} has {length} {what}; it must have at least {least}"
        ));
    }
    if let Some(most) = bound(most).filter(|most| length > *most) {
        faults.push(format!("{path} has {length} {what}; it may have {most}"));
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        // JSON knows one kind of number: 2.0 is an integer.
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The schema's own words: they are the author's, not the operator's.
fn names(rule: &Value) -> String {
    match rule {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(self::names).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    #[track_caller]
    fn check(schema: Value, configuration: Value, expected: &[&str]) {
        assert_eq!(check_schema(&schema), [], "the schema is sound");
        assert_eq!(check_configuration(Some(&schema), &configuration), expected);
    }

    #[test]
    fn a_configuration_that_fits_has_no_faults() {
        let schema = json!({
            "type": "object", "title": "Signature", "required": ["text"], "additionalProperties": false,
            "properties": {
                "text": {"type": "string", "minLength": 1, "maxLength": 5},
                "tiers": {"type": "array", "items": {"enum": ["free", "premium"]}, "maxItems": 2},
                "delay": {"type": ["integer", "null"], "minimum": 0, "maximum": 10}
            }
        });
        check(
            schema,
            json!({"text": "жжжжж", "tiers": ["free"], "delay": 2.0}),
            &[],
        );
    }

    #[test]
    fn each_rule_names_the_field_it_is_broken_in() {
        check(
            json!({"type": "object"}),
            json!([]),
            &["configuration is an array; it must be object"],
        );
        check(
            json!({"required": ["a"]}),
            json!({}),
            &["configuration.a is missing"],
        );
        check(
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"a": 1, "b": 2}),
            &["configuration.b is not known to the plugin"],
        );
        check(
            json!({"items": {"type": "integer"}, "minItems": 3}),
            json!([1, 1.5]),
            &[
                "configuration has 2 items; it must have at least 3",
                "configuration[1] is a number; it must be integer",
            ],
        );
        check(
            json!({"maxItems": 0}),
            json!([1]),
            &["configuration has 1 items; it may have 0"],
        );
        check(
            json!({"enum": ["a", 2]}),
            json!("b"),
            &["configuration must be one of a, 2"],
        );
        check(
            json!({"const": 1}),
            json!(2),
            &["configuration must have the one value that the schema gives"],
        );
        check(
            json!({"minimum": 2}),
            json!(1),
            &["configuration must be at least 2"],
        );
        check(
            json!({"maximum": 2}),
            json!(3),
            &["configuration must be at most 2"],
        );
        check(
            json!({"minLength": 2}),
            json!("ж"),
            &["configuration has 1 characters; it must have at least 2"],
        );
        check(
            json!({"maxLength": 2}),
            json!("abc"),
            &["configuration has 3 characters; it may have 2"],
        );
    }

    #[test]
    fn a_configured_secret_is_never_shown() {
        let schema =
            json!({"properties": {"key": {"type": "integer"}, "other": {"enum": ["a"], "maxLength": 1}}});
        let faults = check_configuration(Some(&schema), &json!({"key": "sk-secret", "other": "sk-secret"}));
        assert_eq!(faults.len(), 3);
        assert!(!faults.join("\n").contains("sk-secret"), "{faults:?}");
    }

    #[test]
    fn a_keyword_that_would_not_be_applied_is_refused() {
        for schema in [
            json!({"pattern": "^a"}),
            json!({"oneOf": []}),
            json!({"items": [1]}),
            json!({"type": "text"}),
        ] {
            assert_eq!(check_schema(&schema).len(), 1, "{schema}");
        }
        assert_eq!(
            check_schema(&json!({"properties": {"a": {"pattern": "x"}}})).len(),
            1
        );
        assert_eq!(check_schema(&json!(true)).len(), 1);
    }

    #[test]
    fn nesting_is_bounded() {
        let mut schema = json!({"type": "string"});
        for _ in 0..MAX_DEPTH + 1 {
            schema = json!({"items": schema});
        }
        assert_eq!(check_schema(&schema).len(), 1);
    }

    #[test]
    fn without_a_schema_there_is_nothing_to_configure() {
        assert!(check_configuration(None, &Value::Null).is_empty());
        assert!(check_configuration(None, &json!({})).is_empty());
        assert_eq!(check_configuration(None, &json!({"a": 1})).len(), 1);
    }
}
