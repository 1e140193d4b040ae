//! What the description says of an answer, and how an answer can be wrong.

use super::texts;
use openclaw_testkit::Reply;
use serde_json::Value;
use std::fmt;

/// `/openapi.json`.
pub(super) struct Document(pub(super) Value);

/// One method of one path.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: http::Method,
    pub(super) path: String,
    pub(super) has_body: bool,
    /// What is described of it.
    pub(super) about: Value,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Operation {
    /// One of which nothing is described.
    pub(super) fn plain(method: http::Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            has_body: false,
            about: Value::Null,
        }
    }

    /// Whether this credential will do.
    pub(super) fn takes(&self, scheme: &str) -> bool {
        let schemes = self.about["security"].as_array().into_iter().flatten();
        schemes.into_iter().any(|one| one.get(scheme).is_some())
    }

    pub(super) fn is_stream(&self) -> bool {
        self.path.ends_with("/events")
    }

    pub(super) fn statuses(&self) -> Vec<u16> {
        let answers = self.about["responses"].as_object().into_iter().flatten();
        answers.map(|(status, _)| status.parse().unwrap()).collect()
    }
}

impl Document {
    pub(super) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().unwrap();
        let mut operations: Vec<Operation> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(method, about)| Operation {
                        method: http::Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap(),
                        path: path.clone(),
                        has_body: about.get("requestBody").is_some(),
                        about: about.clone(),
                    })
            })
            .collect();
        // A queue that is paused goes on before anything else is asked.
        operations.sort_by_key(|operation| operation.path.clone());
        operations
    }

    /// What is not as it is described.
    pub(super) fn fault_of(&self, operation: &Operation, reply: &Reply) -> Option<String> {
        let status = reply.status.as_u16();
        let begins: String = reply.text().chars().take(200).collect();
        let Some(answer) = operation.about["responses"].get(status.to_string()) else {
            return Some(format!("{status} is not described: {begins}"));
        };
        if status >= 400
            && let Some(fault) = fault_of_form(&operation.path, reply)
        {
            return Some(format!("{status}: {fault}: {begins}"));
        }
        let Some(contents) = answer["content"].as_object() else {
            return (!reply.body.is_empty()).then(|| format!("{status} has a body: {begins}"));
        };
        let kind = reply.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let Some(content) = contents.get(kind) else {
            return Some(format!("{status} is described as something else than {kind:?}"));
        };
        if !kind.ends_with("json") {
            return None;
        }
        let value: Value = match serde_json::from_slice(&reply.body) {
            Ok(value) => value,
            Err(error) => return Some(format!("{status}: {error}: {begins}")),
        };
        let mut faults = Vec::new();
        self.compare(&content["schema"], &value, "", &mut faults);
        (!faults.is_empty()).then(|| format!("{status}: {}: {begins}", faults.join(", ")))
    }

    /// Types, required fields, choices, and the same within. What a schema does not speak of may be anything.
    fn compare(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            let found = self.0.pointer(pointer).unwrap_or(&Value::Null);
            return self.compare(found, value, at, faults);
        }
        let types: Vec<&str> = schema["type"]
            .as_str()
            .into_iter()
            .chain(texts(&schema["type"]))
            .collect();
        if !types.is_empty() && !types.iter().any(|name| is_a(value, name)) {
            faults.push(format!("{at} is no {types:?}"));
            return;
        }
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            faults.push(format!("{at} is none of {choices:?}"));
        }
        if let Some(fields) = value.as_object() {
            for name in texts(&schema["required"]).filter(|name| !fields.contains_key(*name)) {
                faults.push(format!("{at}.{name} is missing"));
            }
            for (name, field) in fields {
                if let Some(schema) = schema["properties"].get(name) {
                    self.compare(schema, field, &format!("{at}.{name}"), faults);
                } else if schema["properties"].is_object() && schema["additionalProperties"] == false {
                    faults.push(format!("{at}.{name} is not described"));
                }
            }
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            if schema.get("items").is_some() {
                self.compare(&schema["items"], item, &format!("{at}[{number}]"), faults);
            }
        }
    }
}

/// What is wrong with the form of an error: OpenAI's under `/v1`, a problem elsewhere.
pub(super) fn fault_of_form(path: &str, reply: &Reply) -> Option<String> {
    let Ok(body) = reply.json() else {
        return Some("the error is no JSON".to_owned());
    };
    let kind = reply.header("content-type").unwrap_or_default();
    let id = reply.header("x-request-id");
    let is_well = if path.starts_with("/v1/") {
        kind == "application/json"
            && ["message", "type", "code"]
                .iter()
                .all(|name| body["error"][name].is_string())
            && id.is_some()
    } else {
        kind == "application/problem+json"
            && body["status"] == reply.status.as_u16()
            && ["type", "title", "detail", "code"]
                .iter()
                .all(|name| body[name].is_string())
            && body["correlationId"].as_str() == id
    };
    (!is_well).then(|| format!("not the form of this surface ({kind}, {id:?})"))
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}
