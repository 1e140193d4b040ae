//! A request in GigaChat's words: functions in the old style, one call per message.
//!
//! System messages become the one in front that the provider takes. Calls made side by side by another model are told
//! one after another, each with its result. The state of a function call travels in the call's id ([`call_id`]).

use openclaw_ai_fabric::{ChatRequest, ModelError, ToolSpec};
use openclaw_core::{ChatMessage, ContentBlock, ModelId, Role};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What the ids of calls with a state begin with.
const STATE_PREFIX: &str = "gigachat_";

/// What OpenAI's parameters and GigaChat's call the same, and GigaChat's own.
const PARAMETERS: [&str; 5] = [
    "temperature",
    "top_p",
    "repetition_penalty",
    "update_interval",
    "profanity_check",
];

/// The id of a call that has this state at the provider.
pub(crate) fn call_id(state: &str) -> String {
    format!("{STATE_PREFIX}{state}")
}

/// The body of a call.
///
/// # Errors
///
/// [`ModelError::BadRequest`] for an image: the provider takes files that were uploaded before, and none was.
pub(crate) fn body(model: &ModelId, request: &ChatRequest) -> Result<Value, ModelError> {
    let mut body = Map::new();
    body.insert("model".into(), model.as_str().into());
    body.insert("messages".into(), messages(&request.messages)?.into());
    body.insert("stream".into(), true.into());
    if request.max_output_tokens > 0 {
        body.insert("max_tokens".into(), request.max_output_tokens.into());
    }
    for name in PARAMETERS {
        if let Some(value) = request.parameters.get(name).filter(|value| !value.is_null()) {
            body.insert(name.into(), value.clone());
        }
    }
    if !request.tools.is_empty() {
        body.insert("functions".into(), request.tools.iter().map(function).collect());
        let choice = request.parameters.get("tool_choice").and_then(function_call);
        body.insert("function_call".into(), choice.unwrap_or_else(|| "auto".into()));
    }
    Ok(Value::Object(body))
}

fn messages(messages: &[ChatMessage]) -> Result<Vec<Value>, ModelError> {
    let mut written = Vec::with_capacity(messages.len());
    let system: Vec<String> = messages
        .iter()
        .filter(|message| message.role == Role::System)
        .map(ChatMessage::joined_text)
        .filter(|text| !text.trim().is_empty())
        .collect();
    if !system.is_empty() {
        written.push(json!({"role": "system", "content": system.join("\n\n")}));
    }
    // The calls whose results are still to come; a result that comes later answers the newest call of its id.
    let mut open: HashMap<&str, &str> = HashMap::new();
    for (position, message) in messages.iter().enumerate() {
        if message.role == Role::System {
            continue;
        }
        let mut text = String::new();
        let mut calls = Vec::new();
        for block in &message.content {
            match block {
                ContentBlock::Text { text: more } => text.push_str(more),
                ContentBlock::ToolUse { id, name, arguments } => calls.push((id, name, arguments)),
                ContentBlock::ToolResult { id, content, .. } => {
                    // It was told with its call, or it has none; then it is something the user says.
                    if open.remove(id.as_str()).is_none() {
                        written.push(json!({"role": "user", "content": content}));
                    }
                }
                ContentBlock::Other { value } => text.push_str(part(value)?),
            }
        }
        let role = match message.role {
            Role::Assistant => "assistant",
            Role::System | Role::User | Role::Tool => "user",
        };
        let results = |block: &ContentBlock| matches!(block, ContentBlock::ToolResult { .. });
        let says = message.content.is_empty() || !message.content.iter().all(results);
        if calls.is_empty() && says {
            written.push(json!({"role": role, "content": text}));
        }
        for (id, name, arguments) in calls {
            let mut call = json!({
                "role": "assistant",
                "content": std::mem::take(&mut text),
                "function_call": {"name": name, "arguments": object(arguments)},
            });
            if let Some(state) = id.strip_prefix(STATE_PREFIX) {
                call["functions_state_id"] = state.into();
            }
            written.push(call);
            if let Some(result) = result_of(messages.get(position.saturating_add(1)..), id) {
                open.insert(id, name);
                written.push(json!({"role": "function", "name": name, "content": json_text(result)}));
            }
        }
    }
    Ok(written)
}

/// The first result of this call in what follows it.
fn result_of<'a>(following: Option<&'a [ChatMessage]>, call: &str) -> Option<&'a str> {
    following?
        .iter()
        .flat_map(|message| &message.content)
        .find_map(|block| match block {
            ContentBlock::ToolResult { id, content, .. } if id == call => Some(content.as_str()),
            ContentBlock::ToolResult { .. }
            | ContentBlock::Text { .. }
            | ContentBlock::ToolUse { .. }
            | ContentBlock::Other { .. } => None,
        })
}

fn part(value: &Value) -> Result<&str, ModelError> {
    match value.get("text").and_then(Value::as_str) {
        Some(text) => Ok(text),
        None if value
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.contains("image")) =>
        {
            Err(ModelError::BadRequest {
                message: "images are not passed on to this provider".into(),
            })
        }
        None => Ok(""),
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

/// A function's result must be the text of a JSON object.
fn json_text(result: &str) -> String {
    match serde_json::from_str::<Value>(result) {
        Ok(Value::Object(_)) => result.to_owned(),
        Ok(value) => json!({"result": value}).to_string(),
        Err(_) => json!({"result": result}).to_string(),
    }
}

fn function(tool: &ToolSpec) -> Value {
    let mut function = json!({
        "name": tool.name,
        "parameters": tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    });
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    function
}

/// `required` has no counterpart; the model decides then.
fn function_call(choice: &Value) -> Option<Value> {
    if let Some(name) = choice.pointer("/function/name").and_then(Value::as_str) {
        return Some(json!({"name": name}));
    }
    match choice.as_str()? {
        "none" => Some("none".into()),
        _ => Some("auto".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(role: Role, content: Vec<ContentBlock>) -> ChatMessage {
        ChatMessage { role, content }
    }

    fn call(id: &str, arguments: &str) -> ContentBlock {
        ContentBlock::ToolUse {
            id: id.into(),
            name: format!("f_{id}"),
            arguments: arguments.into(),
        }
    }

    fn result(id: &str, content: &str) -> ContentBlock {
        ContentBlock::ToolResult {
            id: id.into(),
            content: content.into(),
            is_error: false,
        }
    }

    fn written(messages: Vec<ChatMessage>) -> Value {
        let request = ChatRequest::new(messages, 0);
        body(&"GigaChat".parse().unwrap(), &request).unwrap()["messages"].clone()
    }

    #[test]
    fn a_request_is_written_in_gigachats_words() {
        let mut request = ChatRequest::new(
            vec![
                ChatMessage::text(Role::User, "погода?"),
                ChatMessage::text(Role::System, "be kind"),
            ],
            77,
        );
        request.tools.push(ToolSpec {
            name: "weather".into(),
            description: Some("tells".into()),
            parameters: None,
            strict: None,
        });
        request.parameters = json!({"temperature": 0.5, "n": 3, "update_interval": 0,
            "tool_choice": {"type": "function", "function": {"name": "weather"}}})
        .as_object()
        .cloned()
        .unwrap();
        assert_eq!(
            body(&"GigaChat".parse().unwrap(), &request).unwrap(),
            json!({
                "model": "GigaChat",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "погода?"},
                ],
                "stream": true,
                "max_tokens": 77,
                "temperature": 0.5,
                "update_interval": 0,
                "functions": [{"name": "weather", "description": "tells",
                    "parameters": {"type": "object", "properties": {}}}],
                "function_call": {"name": "weather"},
            })
        );
    }

    #[test]
    fn the_state_of_a_call_goes_back_with_it_and_its_result_is_json() {
        let id = call_id("state-1");
        let messages = vec![
            says(Role::Assistant, vec![call(&id, r#"{"city":"Omsk"}"#)]),
            says(Role::Tool, vec![result(&id, "sun")]),
        ];
        assert_eq!(
            written(messages),
            json!([
                {"role": "assistant", "content": "", "functions_state_id": "state-1",
                    "function_call": {"name": "f_gigachat_state-1", "arguments": {"city": "Omsk"}}},
                {"role": "function", "name": "f_gigachat_state-1", "content": "{\"result\":\"sun\"}"},
            ])
        );
    }

    #[test]
    fn calls_side_by_side_are_told_one_after_another_with_their_results() {
        let messages = vec![
            says(
                Role::Assistant,
                vec![
                    ContentBlock::Text {
                        text: "let me see".into(),
                    },
                    call("a", ""),
                    call("b", ""),
                ],
            ),
            says(Role::Tool, vec![result("a", "{\"x\":1}")]),
            says(Role::Tool, vec![result("b", "[2]")]),
            says(Role::Tool, vec![result("lost", "what")]),
        ];
        assert_eq!(
            written(messages),
            json!([
                {"role": "assistant", "content": "let me see", "function_call": {"name": "f_a", "arguments": {}}},
                {"role": "function", "name": "f_a", "content": "{\"x\":1}"},
                {"role": "assistant", "content": "", "function_call": {"name": "f_b", "arguments": {}}},
                {"role": "function", "name": "f_b", "content": "{\"result\":[2]}"},
                {"role": "user", "content": "what"},
            ])
        );
    }

    #[test]
    fn an_image_is_refused_and_not_left_out() {
        let image = ContentBlock::Other {
            value: json!({"type": "image_url", "image_url": {"url": "data:"}}),
        };
        let request = ChatRequest::new(vec![says(Role::User, vec![image])], 0);
        let error = body(&"GigaChat".parse().unwrap(), &request).unwrap_err();
        assert!(matches!(error, ModelError::BadRequest { .. }));
    }
}
