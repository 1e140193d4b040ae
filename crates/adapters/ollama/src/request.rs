//! A request in Ollama's words.

use crate::config::Endpoint;
use openclaw_ai_fabric::{ChatRequest, ModelError, ToolSpec};
use openclaw_core::{ChatMessage, ContentBlock, ModelId, Role};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What OpenAI's parameters and Ollama's options call the same.
const OPTIONS: [&str; 8] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
];

/// The body of a call.
///
/// # Errors
///
/// [`ModelError::BadRequest`] for an image that is not in the request itself: Ollama fetches none.
pub(crate) fn body(endpoint: &Endpoint, model: &ModelId, request: &ChatRequest) -> Result<Value, ModelError> {
    let mut options = Map::new();
    if request.max_output_tokens > 0 {
        options.insert("num_predict".into(), request.max_output_tokens.into());
    }
    if let Some(tokens) = endpoint.context_tokens {
        options.insert("num_ctx".into(), tokens.into());
    }
    let given = |name: &str| request.parameters.get(name).filter(|value| !value.is_null());
    for name in OPTIONS {
        if let Some(value) = given(name) {
            let value = match (name, value) {
                ("stop", Value::String(_)) => json!([value]),
                _ => value.clone(),
            };
            options.insert(name.into(), value);
        }
    }
    let mut body = json!({
        "model": model.as_str(),
        "messages": messages(&request.messages)?,
        "stream": true,
        "options": options,
    });
    if !request.tools.is_empty() && given("tool_choice") != Some(&"none".into()) {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(format) = given("response_format").and_then(format) {
        body["format"] = format;
    }
    if let Some(think) = given("think") {
        body["think"] = think.clone();
    }
    if let Some(keep_alive) = &endpoint.keep_alive {
        body["keep_alive"] = keep_alive.as_str().into();
    }
    Ok(body)
}

fn messages(messages: &[ChatMessage]) -> Result<Vec<Value>, ModelError> {
    // Results name their call by the tool, which only the call knows.
    let mut tools: HashMap<&str, &str> = HashMap::new();
    let mut written = Vec::with_capacity(messages.len());
    for message in messages {
        let mut text = String::new();
        let mut calls: Vec<Value> = Vec::new();
        let mut images: Vec<&str> = Vec::new();
        let mut results = false;
        for block in &message.content {
            match block {
                ContentBlock::Text { text: more } => text.push_str(more),
                ContentBlock::ToolUse { id, name, arguments } => {
                    tools.insert(id, name);
                    calls.push(json!({"function": {"name": name, "arguments": object(arguments)}}));
                }
                ContentBlock::ToolResult { id, content, .. } => {
                    results = true;
                    let mut result = json!({"role": "tool", "content": content});
                    if let Some(name) = tools.get(id.as_str()) {
                        result["tool_name"] = (*name).into();
                    }
                    written.push(result);
                }
                ContentBlock::Other { value } => match part(value)? {
                    Part::Text(more) => text.push_str(more),
                    Part::Image(image) => images.push(image),
                    Part::Unknown => {}
                },
            }
        }
        if results && text.is_empty() && calls.is_empty() && images.is_empty() {
            continue;
        }
        let mut said = json!({"role": role(message.role), "content": text});
        if !calls.is_empty() {
            said["tool_calls"] = calls.into();
        }
        if !images.is_empty() {
            said["images"] = images.into();
        }
        written.push(said);
    }
    Ok(written)
}

/// What a tool says without naming a call is passed on as the user's word.
fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

/// A part of a message in OpenAI's or Anthropic's form.
enum Part<'a> {
    Text(&'a str),
    /// In base 64.
    Image(&'a str),
    Unknown,
}

fn part(value: &Value) -> Result<Part<'_>, ModelError> {
    if let Some(text) = value.get("text").and_then(Value::as_str) {
        return Ok(Part::Text(text));
    }
    if let Some(data) = value.pointer("/source/data").and_then(Value::as_str) {
        return Ok(Part::Image(data));
    }
    let url = value
        .get("image_url")
        .and_then(|url| url.as_str().or_else(|| url.get("url").and_then(Value::as_str)));
    match url {
        None => Ok(Part::Unknown),
        Some(url) => match url.split_once(";base64,") {
            Some((start, data)) if start.starts_with("data:") => Ok(Part::Image(data)),
            _ => Err(ModelError::BadRequest {
                message: "an image must be part of the request, as a data: address".into(),
            }),
        },
    }
}

/// The arguments of a call as the object the protocol wants. What is none was written by another model; it is passed
/// on as one argument rather than lost.
fn object(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str::<Value>(arguments) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) | Err(_) => json!({"arguments": arguments}),
    }
}

fn tool(tool: &ToolSpec) -> Value {
    let mut function = json!({
        "name": tool.name,
        "parameters": tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    });
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    json!({"type": "function", "function": function})
}

fn format(format: &Value) -> Option<Value> {
    match format.get("type")?.as_str()? {
        "json_object" => Some("json".into()),
        "json_schema" => format.pointer("/json_schema/schema").cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OllamaConfig;

    fn written(request: &ChatRequest) -> Result<Value, ModelError> {
        let mut config = OllamaConfig::new("p".parse().unwrap(), OllamaConfig::BASE_URL);
        config.context_tokens = Some(8_192);
        config.keep_alive = Some("10m".into());
        body(&config.validate().unwrap(), &"llama3".parse().unwrap(), request)
    }

    fn other(value: Value) -> ChatMessage {
        ChatMessage {
            role: Role::User,
            content: vec![ContentBlock::Other { value }],
        }
    }

    #[test]
    fn a_request_is_written_in_ollamas_words() {
        let call = ContentBlock::ToolUse {
            id: "c1".into(),
            name: "weather".into(),
            arguments: r#"{"city":"Omsk"}"#.into(),
        };
        let result = ContentBlock::ToolResult {
            id: "c1".into(),
            content: "sun".into(),
            is_error: false,
        };
        let mut request = ChatRequest::new(
            vec![
                ChatMessage::text(Role::System, "be kind"),
                ChatMessage::text(Role::User, "weather?"),
                ChatMessage {
                    role: Role::Assistant,
                    content: vec![call],
                },
                ChatMessage {
                    role: Role::Tool,
                    content: vec![result],
                },
                other(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})),
            ],
            77,
        );
        request.tools.push(ToolSpec {
            name: "weather".into(),
            description: Some("tells".into()),
            parameters: None,
            strict: None,
        });
        request.parameters = json!({"temperature": 0.5, "stop": "END", "stream": false, "num_predict": 9,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}})
        .as_object()
        .cloned()
        .unwrap();
        assert_eq!(
            written(&request).unwrap(),
            json!({
                "model": "llama3",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "weather?"},
                    {"role": "assistant", "content": "", "tool_calls": [
                        {"function": {"name": "weather", "arguments": {"city": "Omsk"}}}]},
                    {"role": "tool", "tool_name": "weather", "content": "sun"},
                    {"role": "user", "content": "", "images": ["AAAA"]},
                ],
                "stream": true,
                "options": {"num_predict": 77, "num_ctx": 8192, "temperature": 0.5, "stop": ["END"]},
                "tools": [{"type": "function", "function": {"name": "weather", "description": "tells",
                    "parameters": {"type": "object", "properties": {}}}}],
                "format": {"type": "object"},
                "keep_alive": "10m",
            })
        );
    }

    #[test]
    fn an_image_elsewhere_is_refused_and_not_left_out() {
        let image = other(json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}));
        let error = written(&ChatRequest::new(vec![image], 5)).unwrap_err();
        assert!(matches!(error, ModelError::BadRequest { .. }));
    }

    #[test]
    fn no_length_asked_for_is_none_sent() {
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "x")], 0);
        assert_eq!(written(&request).unwrap()["options"], json!({"num_ctx": 8192}));
    }
}
