//! What is passed on to the model as it stands, once its form is right.
//!
//! Only the form is judged, and only where every provider agrees on it; what a model makes of a value is between it and
//! the caller. `null` is the same as nothing.

use super::error::ApiError;
use serde_json::{Map, Value};

/// Parameters on their way to the model.
#[derive(Debug, Default)]
pub(super) struct Passed(Map<String, Value>);

// === impl Passed ===

impl Passed {
    /// What was passed.
    pub(super) fn into_parameters(self) -> Map<String, Value> {
        self.0
    }

    /// Passes a value nobody here understands.
    pub(super) fn as_it_stands(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Passes a value of a simple form; `form` says which, as in "must be a text".
    pub(super) fn checked(
        &mut self,
        name: &str,
        value: Option<Value>,
        form: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(), ApiError> {
        match &value {
            Some(value) if !value.is_null() && !fits(value) => Err(wrong(name, form)),
            _ => {
                self.as_it_stands(name, value);
                Ok(())
            }
        }
    }

    /// Passes a number between two others, both included.
    pub(super) fn ranged(
        &mut self,
        name: &str,
        value: Option<Value>,
        min: f64,
        max: f64,
    ) -> Result<(), ApiError> {
        self.checked(name, value, &format!("a number from {min} to {max}"), |value| {
            value.as_f64().is_some_and(|number| (min..=max).contains(&number))
        })
    }

    /// Passes the texts that end an answer.
    pub(super) fn stop(&mut self, stop: Option<Value>) -> Result<(), ApiError> {
        self.checked("stop", stop, "a text or a list of texts", |stop| match stop {
            Value::Array(texts) => texts.iter().all(Value::is_string),
            other => other.is_string(),
        })
    }

    /// Passes the form of the answer. Which forms there are is the provider's.
    pub(super) fn response_format(&mut self, format: Option<Value>) -> Result<(), ApiError> {
        if let Some(Value::Object(fields)) = &format {
            let kind = fields.get("type").and_then(Value::as_str);
            if kind.is_none() {
                return Err(wrong("response_format.type", "a text such as `json_object`"));
            }
            if kind == Some("json_schema") && !fields.get("json_schema").is_some_and(Value::is_object) {
                return Err(wrong("response_format.json_schema", "an object"));
            }
        }
        self.checked("response_format", format, "an object", Value::is_object)
    }

    /// Passes what is said about tools. Without any, what asks for none in particular says nothing and goes no further:
    /// some clients always send it, and some providers refuse it.
    pub(super) fn tools(
        &mut self,
        tools: &[Value],
        choice: Option<Value>,
        parallel: Option<Value>,
    ) -> Result<(), ApiError> {
        let indifferent = |choice: &Value| choice.is_null() || choice == "auto" || choice == "none";
        if tools.is_empty() {
            return match choice {
                Some(choice) if !indifferent(&choice) => Err(ApiError::invalid(
                    "tool_choice",
                    "`tool_choice` asks for a tool, and `tools` offers none.",
                )),
                _ => Ok(()),
            };
        }
        if let Some(Value::Object(fields)) = &choice
            && fields.get("type").and_then(Value::as_str) == Some("function")
        {
            let name = fields.get("function").and_then(|function| function.get("name"));
            let offered = |tool: &Value| name.is_some() && tool.pointer("/function/name") == name;
            if !tools.iter().any(offered) {
                return Err(wrong(
                    "tool_choice.function.name",
                    "the name of one of the `tools`",
                ));
            }
        }
        self.checked(
            "tool_choice",
            choice,
            "`none`, `auto`, `required` or an object that names a tool",
            |choice| match choice {
                Value::String(word) => matches!(word.as_str(), "none" | "auto" | "required"),
                other => other.is_object(),
            },
        )?;
        self.checked(
            "parallel_tool_calls",
            parallel,
            "true or false",
            Value::is_boolean,
        )
    }
}

fn wrong(param: &str, form: &str) -> ApiError {
    ApiError::invalid(param, format!("`{param}` must be {form}."))
}

#[cfg(test)]
mod tests {
    use super::super::ChatCompletionRequest;
    use super::*;
    use serde_json::json;

    /// A small request with these fields.
    fn parse(fields: &Value) -> Result<Map<String, Value>, ApiError> {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        ChatCompletionRequest::parse(body.to_string().as_bytes()).map(|request| request.parameters)
    }

    #[track_caller]
    fn passed(fields: &Value) {
        assert_eq!(parse(fields).map(Value::Object), Ok(fields.clone()));
    }

    #[track_caller]
    fn refused(fields: &Value, param: &str, code: &str) {
        let error = parse(fields).expect_err("it is refused");
        assert_eq!(
            (error.param.as_deref(), error.code, error.status.as_u16()),
            (Some(param), code, 400),
            "{fields}"
        );
    }

    #[test]
    fn what_models_understand_goes_on_as_it_stands() {
        passed(&json!({
            "temperature": 0.5, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2.0, "stop": ["a", "b"],
            "seed": -7, "logit_bias": { "50256": -100 }, "response_format": { "type": "json_object" },
            "reasoning_effort": "low", "verbosity": "high", "prediction": { "type": "content", "content": "x" },
            "prompt_cache_key": "k", "safety_identifier": "s", "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1,
            "chat_template_kwargs": { "enable_thinking": false }, "think": true, "thinking": { "type": "disabled" },
            "update_interval": 1, "profanity_check": false,
        }));
        passed(&json!({ "stop": "END" }));
        passed(&json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x" } } }));
        passed(&json!({ "response_format": { "type": "grammar", "grammar": "root ::= x" } }));
        let null =
            json!({ "stop": null, "seed": null, "tool_choice": null, "service_tier": null, "store": null });
        assert_eq!(parse(&null), Ok(Map::new()));
    }

    #[test]
    fn what_is_only_for_others_is_accepted_and_goes_no_further() {
        let fields = json!({ "metadata": { "a": "b" }, "store": false, "service_tier": "default", "modalities": ["text"],
            "n": 1, "logprobs": false, "top_logprobs": 0, "unheard_of": 1, "tool_choice": "none",
            "parallel_tool_calls": true });
        assert_eq!(parse(&fields), Ok(Map::new()));
    }

    #[test]
    fn a_wrong_form_names_its_parameter() {
        let invalid = "invalid_request";
        refused(&json!({ "stop": 5 }), "stop", invalid);
        refused(&json!({ "stop": ["a", 5] }), "stop", invalid);
        refused(&json!({ "seed": 0.5 }), "seed", invalid);
        refused(&json!({ "logit_bias": [1] }), "logit_bias", invalid);
        refused(&json!({ "response_format": "json" }), "response_format", invalid);
        refused(&json!({ "response_format": {} }), "response_format.type", invalid);
        let schema = json!({ "response_format": { "type": "json_schema" } });
        refused(&schema, "response_format.json_schema", invalid);
        refused(&json!({ "reasoning_effort": 3 }), "reasoning_effort", invalid);
        refused(&json!({ "safety_identifier": {} }), "safety_identifier", invalid);
        refused(&json!({ "temperature": 2.1 }), "temperature", invalid);
    }

    #[test]
    fn a_choice_must_be_among_the_tools() {
        let invalid = "invalid_request";
        let with = |choice: Value| json!({ "tools": [{ "type": "function", "function": { "name": "clock" } }], "tool_choice": choice });
        for choice in [
            json!("required"),
            json!({ "type": "function", "function": { "name": "clock" } }),
            json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto", "tools": [] } }),
        ] {
            assert_eq!(parse(&with(choice.clone())).unwrap()["tool_choice"], choice);
        }
        refused(&with(json!("perhaps")), "tool_choice", invalid);
        refused(&with(json!(5)), "tool_choice", invalid);
        for function in [json!({ "name": "other" }), json!({}), Value::Null] {
            let choice = json!({ "type": "function", "function": function });
            refused(&with(choice), "tool_choice.function.name", invalid);
        }
        refused(&json!({ "tool_choice": "required" }), "tool_choice", invalid);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let unsupported = "unsupported_parameter";
        refused(&json!({ "top_logprobs": 2 }), "top_logprobs", unsupported);
        refused(&json!({ "function_call": "auto" }), "function_call", unsupported);
        refused(
            &json!({ "modalities": ["text", "audio"] }),
            "modalities",
            unsupported,
        );
        refused(&json!({ "store": true }), "store", unsupported);
        refused(
            &json!({ "service_tier": "priority" }),
            "service_tier",
            unsupported,
        );
        refused(
            &json!({ "web_search_options": {} }),
            "web_search_options",
            unsupported,
        );
        let old_call = json!({ "messages": [{ "role": "assistant", "function_call": { "name": "f", "arguments": "" } }] });
        refused(&old_call, "messages[0].function_call", unsupported);
        let old_result = json!({ "messages": [{ "role": "function", "name": "f", "content": "x" }] });
        refused(&old_result, "messages[0].role", unsupported);
    }
}
