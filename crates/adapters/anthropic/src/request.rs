//! A request in the words of the messages protocol.
//!
//! System messages become the one `system` field; neighbours of one role become one message, because all results of a
//! round of tool calls must come in the message after it, and before what is said beside them. Texts without a letter
//! are left out: the provider refuses them.

use openclaw_ai_fabric::{ChatRequest, ToolSpec};
use openclaw_core::{ChatMessage, ContentBlock, ModelId, Role};
use serde_json::{Map, Value, json};

/// The body of a call.
pub(crate) fn body(model: &ModelId, request: &ChatRequest, default_max_tokens: u64) -> Value {
    let max_tokens = match request.max_output_tokens {
        0 => default_max_tokens,
        tokens => tokens,
    };
    let mut body = Map::new();
    body.insert("model".into(), model.as_str().into());
    body.insert("max_tokens".into(), max_tokens.into());
    body.insert("stream".into(), true.into());
    let system = system(&request.messages);
    if !system.is_empty() {
        body.insert("system".into(), system.into());
    }
    body.insert("messages".into(), messages(&request.messages).into());
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if let Some(user) = &request.user {
        body.insert("metadata".into(), json!({"user_id": user}));
    }
    parameters(request, &mut body);
    Value::Object(body)
}

fn system(messages: &[ChatMessage]) -> String {
    let texts: Vec<String> = messages
        .iter()
        .filter(|message| message.role == Role::System)
        .map(ChatMessage::joined_text)
        .filter(|text| !text.trim().is_empty())
        .collect();
    texts.join("\n\n")
}

fn messages(messages: &[ChatMessage]) -> Vec<Value> {
    // Role and blocks, results of tools in front.
    let mut merged: Vec<(&'static str, Vec<Value>, Vec<Value>)> = Vec::new();
    for message in messages {
        let role = match message.role {
            Role::System => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let (results, others): (Vec<_>, Vec<_>) = message
            .content
            .iter()
            .partition(|block| matches!(block, ContentBlock::ToolResult { .. }));
        let results: Vec<Value> = results.into_iter().filter_map(block).collect();
        let others: Vec<Value> = others.into_iter().filter_map(block).collect();
        if results.is_empty() && others.is_empty() {
            continue;
        }
        match merged.last_mut() {
            Some((last, before, after)) if *last == role => {
                before.extend(results);
                after.extend(others);
            }
            _ => merged.push((role, results, others)),
        }
    }
    merged
        .into_iter()
        .map(|(role, mut content, others)| {
            content.extend(others);
            json!({"role": role, "content": content})
        })
        .collect()
}

fn block(block: &ContentBlock) -> Option<Value> {
    Some(match block {
        ContentBlock::Text { text } if text.trim().is_empty() => return None,
        ContentBlock::Text { text } => json!({"type": "text", "text": text}),
        ContentBlock::ToolUse { id, name, arguments } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": object(arguments)})
        }
        ContentBlock::ToolResult {
            id,
            content,
            is_error,
        } => {
            let mut result = json!({"type": "tool_result", "tool_use_id": id});
            // An empty text is refused here, too; a result without content is not.
            if !content.trim().is_empty() {
                result["content"] = content.as_str().into();
            }
            if *is_error {
                result["is_error"] = true.into();
            }
            result
        }
        ContentBlock::Other { value } => image(value).unwrap_or_else(|| value.clone()),
    })
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

/// An image of a request in OpenAI's form, in Anthropic's.
fn image(part: &Value) -> Option<Value> {
    if part.get("type")?.as_str()? != "image_url" {
        return None;
    }
    let url = part.get("image_url")?;
    let url = url.as_str().or_else(|| url.get("url")?.as_str())?;
    let source = match url
        .strip_prefix("data:")
        .and_then(|data| data.split_once(";base64,"))
    {
        Some((media_type, data)) => json!({"type": "base64", "media_type": media_type, "data": data}),
        None => json!({"type": "url", "url": url}),
    };
    Some(json!({"type": "image", "source": source}))
}

fn tool(tool: &ToolSpec) -> Value {
    let mut value = json!({
        "name": tool.name,
        "input_schema": tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    });
    if let Some(description) = &tool.description {
        value["description"] = description.as_str().into();
    }
    value
}

fn parameters(request: &ChatRequest, body: &mut Map<String, Value>) {
    let given = &request.parameters;
    if let Some(temperature) = given.get("temperature").and_then(Value::as_f64) {
        // OpenAI's scale goes to 2.
        body.insert("temperature".into(), temperature.clamp(0.0, 1.0).into());
    }
    for name in ["top_p", "top_k", "thinking"] {
        if let Some(value) = given.get(name).filter(|value| !value.is_null()) {
            body.insert(name.into(), value.clone());
        }
    }
    let stops: Vec<&str> = match given.get("stop") {
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let stops: Vec<&str> = stops.into_iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stops.is_empty() {
        body.insert("stop_sequences".into(), stops.into());
    }
    if request.tools.is_empty() {
        return;
    }
    let mut choice = given.get("tool_choice").and_then(tool_choice);
    if given.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
        let choice = choice.get_or_insert_with(|| json!({"type": "auto"}));
        if choice["type"] != "none" {
            choice["disable_parallel_tool_use"] = true.into();
        }
    }
    if let Some(choice) = choice {
        body.insert("tool_choice".into(), choice);
    }
}

fn tool_choice(choice: &Value) -> Option<Value> {
    if let Some(name) = choice.pointer("/function/name").and_then(Value::as_str) {
        return Some(json!({"type": "tool", "name": name}));
    }
    Some(match choice.as_str()? {
        "auto" => json!({"type": "auto"}),
        "required" => json!({"type": "any"}),
        "none" => json!({"type": "none"}),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: &ChatRequest) -> Value {
        body(&"claude".parse().unwrap(), request, 4_096)
    }

    fn says(role: Role, content: Vec<ContentBlock>) -> ChatMessage {
        ChatMessage { role, content }
    }

    fn call(id: &str, arguments: &str) -> ContentBlock {
        ContentBlock::ToolUse {
            id: id.into(),
            name: "weather".into(),
            arguments: arguments.into(),
        }
    }

    fn result(id: &str, content: &str, is_error: bool) -> ContentBlock {
        ContentBlock::ToolResult {
            id: id.into(),
            content: content.into(),
            is_error,
        }
    }

    #[test]
    fn a_request_is_written_in_anthropics_words() {
        let mut request = ChatRequest::new(
            vec![
                ChatMessage::text(Role::System, "be kind"),
                ChatMessage::text(Role::User, "weather?"),
                says(
                    Role::Assistant,
                    vec![call("t1", r#"{"city":"Omsk"}"#), call("t2", "")],
                ),
                says(Role::Tool, vec![result("t1", "sun", false)]),
                says(Role::Tool, vec![result("t2", "", true)]),
                ChatMessage::text(Role::User, "and?"),
                ChatMessage::text(Role::System, "be brief"),
            ],
            77,
        );
        request.tools.push(ToolSpec {
            name: "weather".into(),
            description: Some("tells".into()),
            parameters: None,
            strict: None,
        });
        request.user = Some("u".into());
        request.parameters = json!({"temperature": 1.5, "stop": ["END", " "], "model": "other", "n": 4,
            "tool_choice": "required", "parallel_tool_calls": false, "response_format": {}})
        .as_object()
        .cloned()
        .unwrap();
        assert_eq!(
            written(&request),
            json!({
                "model": "claude",
                "max_tokens": 77,
                "stream": true,
                "system": "be kind\n\nbe brief",
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Omsk"}},
                        {"type": "tool_use", "id": "t2", "name": "weather", "input": {}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "sun"},
                        {"type": "tool_result", "tool_use_id": "t2", "is_error": true},
                        {"type": "text", "text": "and?"}]},
                ],
                "tools": [{"name": "weather", "description": "tells",
                    "input_schema": {"type": "object", "properties": {}}}],
                "metadata": {"user_id": "u"},
                "temperature": 1.0,
                "stop_sequences": ["END"],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            })
        );
    }

    #[test]
    fn an_answer_must_have_a_length() {
        let request = ChatRequest::new(vec![ChatMessage::text(Role::User, "x")], 0);
        assert_eq!(written(&request)["max_tokens"], 4_096);
    }

    #[test]
    fn images_of_either_form_are_passed_on() {
        let images = [
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
            json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
            json!({"type": "image", "source": {"type": "file"}}),
        ];
        let blocks = images
            .into_iter()
            .map(|value| ContentBlock::Other { value })
            .collect();
        let request = ChatRequest::new(vec![says(Role::User, blocks)], 5);
        assert_eq!(
            written(&request)["messages"][0]["content"],
            json!([
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "image", "source": {"type": "file"}},
            ])
        );
    }

    #[test]
    fn arguments_that_are_no_object_are_not_lost() {
        assert_eq!(object("[1]"), json!({"arguments": "[1]"}));
        assert_eq!(object("{broken"), json!({"arguments": "{broken"}));
        assert_eq!(object(" "), json!({}));
    }

    #[test]
    fn a_tool_is_chosen_by_name_and_never_where_there_are_none() {
        let mut request = ChatRequest::new(vec![ChatMessage::text(Role::User, "x")], 5);
        let choice = json!({"type": "function", "function": {"name": "f"}});
        request.parameters.insert("tool_choice".into(), choice.clone());
        assert_eq!(written(&request).get("tool_choice"), None);
        assert_eq!(tool_choice(&choice), Some(json!({"type": "tool", "name": "f"})));
    }
}
