//! The body of `POST /v1/chat/completions`.
//!
//! Unknown fields are ignored, as OpenAI's own server does with old ones; a field that asks for what we cannot give is
//! refused by name. An error names its parameter: `messages[2].content[0].text`.

use super::error::ApiError;
use super::parameters::Passed;
use openclaw_core::{ChatMessage, ContentBlock, ModelId, Role};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The most tools a request may offer, as OpenAI has it.
const MAX_TOOLS: usize = 128;
/// The longest `user`.
const MAX_USER_BYTES: usize = 512;

/// A request, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChatCompletionRequest {
    /// A model's id, `auto`, or an alias.
    pub(crate) model: ModelId,
    /// The conversation; at least one message.
    pub(crate) messages: Vec<ChatMessage>,
    /// The most tokens of the answer; `max_completion_tokens`, else `max_tokens`.
    pub(crate) max_output_tokens: Option<u64>,
    /// Whether the answer is streamed.
    pub(crate) stream: bool,
    /// Whether a stream ends with a chunk of token counts.
    pub(crate) include_usage: bool,
    /// The tools offered, in OpenAI's form, checked to be functions with names.
    pub(crate) tools: Vec<Value>,
    /// Whom the caller asks for; the budget is the key's user's all the same.
    pub(crate) user: Option<String>,
    /// What is passed on as it stands: `temperature`, `top_p`, `stop`, `tool_choice`, `response_format` ….
    pub(crate) parameters: Map<String, Value>,
}

/// The body as it is written.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<u64>,
    #[serde(default)]
    functions: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
    #[serde(borrow, default)]
    modalities: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    store: Option<bool>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(default)]
    web_search_options: Option<IgnoredAny>,
    #[serde(default)]
    temperature: Option<Value>,
    #[serde(default)]
    top_p: Option<Value>,
    #[serde(default)]
    frequency_penalty: Option<Value>,
    #[serde(default)]
    presence_penalty: Option<Value>,
    #[serde(default)]
    stop: Option<Value>,
    #[serde(default)]
    seed: Option<Value>,
    #[serde(default)]
    logit_bias: Option<Value>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<Value>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(default)]
    reasoning_effort: Option<Value>,
    #[serde(default)]
    verbosity: Option<Value>,
    #[serde(default)]
    prediction: Option<Value>,
    #[serde(default)]
    prompt_cache_key: Option<Value>,
    #[serde(default)]
    safety_identifier: Option<Value>,
    // Not OpenAI's, and understood by the servers that copy its protocol or by our other providers.
    #[serde(default)]
    top_k: Option<Value>,
    #[serde(default)]
    min_p: Option<Value>,
    #[serde(default)]
    repetition_penalty: Option<Value>,
    #[serde(default)]
    chat_template_kwargs: Option<Value>,
    #[serde(default)]
    think: Option<Value>,
    #[serde(default)]
    thinking: Option<Value>,
    #[serde(default)]
    update_interval: Option<Value>,
    #[serde(default)]
    profanity_check: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    /// How tools were called before there were `tool_calls`.
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

/// A text, or parts. `null` and nothing at all are alike.
#[derive(Default)]
enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Part>),
}

enum Part {
    Text(String),
    Other(Value),
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Cow<'a, str>,
}

// === impl ChatCompletionRequest ===

impl ChatCompletionRequest {
    /// Reads and checks a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        // A struct may also be read from a list; a request may not.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(ApiError {
                param: None,
                ..ApiError::invalid("", "The body must be a JSON object.")
            });
        }
        match serde_json::from_slice::<Body<'_>>(body) {
            Ok(body) => Self::check(body),
            // Only a body that is wrong pays for finding out where.
            Err(error) => Err(locate(body, &error)),
        }
    }

    fn check(body: Body<'_>) -> Result<Self, ApiError> {
        refuse_unsupported(&body)?;
        let model = body
            .model
            .as_deref()
            .ok_or_else(|| ApiError::invalid("model", "`model` is missing; name a model or `auto`."))?;
        let model = ModelId::parse(model).map_err(|error| ApiError::invalid("model", format!("{error}.")))?;
        let written = body
            .messages
            .ok_or_else(|| ApiError::invalid("messages", "`messages` is missing."))?;
        if written.is_empty() {
            return Err(ApiError::invalid(
                "messages",
                "`messages` is empty; at least one message is needed.",
            ));
        }
        let messages = written
            .into_iter()
            .enumerate()
            .map(|(index, message)| read_message(index, message))
            .collect::<Result<_, _>>()?;
        let (limit_name, max_output_tokens) = match (body.max_completion_tokens, body.max_tokens) {
            (Some(limit), _) => ("max_completion_tokens", Some(limit)),
            (None, limit) => ("max_tokens", limit),
        };
        if max_output_tokens == Some(0) {
            return Err(ApiError::invalid(
                limit_name,
                format!("`{limit_name}` is 0; it must be at least 1."),
            ));
        }
        let user = match body.user {
            Some(user) if user.len() > MAX_USER_BYTES => {
                let message = format!("`user` has {} bytes; {MAX_USER_BYTES} are allowed.", user.len());
                return Err(ApiError::invalid("user", message));
            }
            Some(user) if user.is_empty() => None,
            Some(user) => Some(user.into_owned()),
            None => None,
        };
        let tools = body.tools.unwrap_or_default();
        check_tools(&tools)?;
        let mut passed = Passed::default();
        for (name, value, min, max) in [
            ("temperature", body.temperature, 0.0, 2.0),
            ("top_p", body.top_p, 0.0, 1.0),
            ("frequency_penalty", body.frequency_penalty, -2.0, 2.0),
            ("presence_penalty", body.presence_penalty, -2.0, 2.0),
        ] {
            passed.ranged(name, value, min, max)?;
        }
        passed.stop(body.stop)?;
        passed.checked("seed", body.seed, "a whole number", |seed| {
            seed.is_i64() || seed.is_u64()
        })?;
        passed.checked("logit_bias", body.logit_bias, "an object", Value::is_object)?;
        passed.tools(&tools, body.tool_choice, body.parallel_tool_calls)?;
        passed.response_format(body.response_format)?;
        for (name, value) in [
            ("reasoning_effort", body.reasoning_effort),
            ("verbosity", body.verbosity),
            ("prompt_cache_key", body.prompt_cache_key),
            ("safety_identifier", body.safety_identifier),
        ] {
            passed.checked(name, value, "a text", Value::is_string)?;
        }
        for (name, value) in [
            ("prediction", body.prediction),
            ("top_k", body.top_k),
            ("min_p", body.min_p),
            ("repetition_penalty", body.repetition_penalty),
            ("chat_template_kwargs", body.chat_template_kwargs),
            ("think", body.think),
            ("thinking", body.thinking),
            ("update_interval", body.update_interval),
            ("profanity_check", body.profanity_check),
        ] {
            passed.as_it_stands(name, value);
        }
        Ok(Self {
            model,
            messages,
            max_output_tokens,
            stream: body.stream.unwrap_or(false),
            include_usage: body
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            tools,
            user,
            parameters: passed.into_parameters(),
        })
    }
}

fn refuse_unsupported(body: &Body<'_>) -> Result<(), ApiError> {
    // What would cost the operator more than tokens is not the caller's to choose.
    let costly_tier = body
        .service_tier
        .as_deref()
        .is_some_and(|tier| !matches!(tier, "auto" | "default"));
    let spoken = body
        .modalities
        .as_ref()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind != "text"));
    let refusals = [
        (
            body.n.is_some_and(|n| n != 1),
            "n",
            "`n` must be 1; ask again for another answer.",
        ),
        (
            body.logprobs == Some(true),
            "logprobs",
            "`logprobs` is not supported.",
        ),
        (
            body.top_logprobs.is_some_and(|top| top != 0),
            "top_logprobs",
            "`top_logprobs` is not supported.",
        ),
        (
            body.functions.is_some(),
            "functions",
            "`functions` is not supported; use `tools`.",
        ),
        (
            body.function_call.is_some(),
            "function_call",
            "`function_call` is not supported; use `tool_choice`.",
        ),
        (body.audio.is_some(), "audio", "`audio` is not supported."),
        (spoken, "modalities", "Only the modality `text` is supported."),
        (
            body.store == Some(true),
            "store",
            "`store` must be false; nothing of a call is kept here.",
        ),
        (
            costly_tier,
            "service_tier",
            "`service_tier` must be `auto` or `default`; the operator decides the others.",
        ),
        (
            body.web_search_options.is_some(),
            "web_search_options",
            "`web_search_options` is not supported; offer a tool instead.",
        ),
    ];
    match refusals.into_iter().find(|(applies, ..)| *applies) {
        Some((_, param, message)) => Err(ApiError::unsupported(param, message)),
        None => Ok(()),
    }
}

fn check_tools(tools: &[Value]) -> Result<(), ApiError> {
    if tools.len() > MAX_TOOLS {
        return Err(ApiError::invalid(
            "tools",
            format!("`tools` has {} entries; {MAX_TOOLS} are allowed.", tools.len()),
        ));
    }
    for (index, tool) in tools.iter().enumerate() {
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(ApiError::unsupported(
                format!("tools[{index}].type"),
                "Only tools of type `function` are supported.",
            ));
        }
        let name = tool.pointer("/function/name").and_then(Value::as_str);
        if name.is_none_or(str::is_empty) {
            return Err(ApiError::invalid(
                format!("tools[{index}].function.name"),
                "A tool needs a name.",
            ));
        }
    }
    Ok(())
}

fn read_message(index: usize, message: Message<'_>) -> Result<ChatMessage, ApiError> {
    let param = |field: &str| format!("messages[{index}].{field}");
    let role = match message.role.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        "function" => {
            return Err(ApiError::unsupported(
                param("role"),
                "The role `function` is not supported; answer a call with the role `tool` and its `tool_call_id`.",
            ));
        }
        other => {
            let shown: String = other.chars().take(32).collect();
            return Err(ApiError::invalid(
                param("role"),
                format!("`{shown}` is not a role; expected system, developer, user, assistant or tool."),
            ));
        }
    };
    if message.function_call.is_some() {
        return Err(ApiError::unsupported(
            param("function_call"),
            "`function_call` is not supported; use `tool_calls`.",
        ));
    }
    let mut content = Vec::new();
    if role == Role::Tool {
        let id = message.tool_call_id.ok_or_else(|| {
            ApiError::invalid(
                param("tool_call_id"),
                "A tool's message names the call it answers.",
            )
        })?;
        content.push(ContentBlock::ToolResult {
            id: id.into_owned(),
            content: tool_text(message.content),
            is_error: false,
        });
        return Ok(ChatMessage { role, content });
    }
    match message.content {
        Content::None => {}
        Content::Text(text) => content.push(ContentBlock::Text {
            text: text.into_owned(),
        }),
        Content::Parts(parts) => content.extend(parts.into_iter().map(|part| match part {
            Part::Text(text) => ContentBlock::Text { text },
            Part::Other(value) => ContentBlock::Other { value },
        })),
    }
    if role == Role::Assistant {
        if let Some(refusal) = message.refusal {
            content.push(ContentBlock::Text {
                text: refusal.into_owned(),
            });
        }
        for call in message.tool_calls.into_iter().flatten() {
            let arguments = match call.function.arguments.trim() {
                "" => "{}".to_owned(),
                _ => call.function.arguments.into_owned(),
            };
            content.push(ContentBlock::ToolUse {
                id: call.id.into_owned(),
                name: call.function.name.into_owned(),
                arguments,
            });
        }
    }
    if content.is_empty() && role != Role::Assistant {
        return Err(ApiError::invalid(param("content"), "This message says nothing."));
    }
    Ok(ChatMessage { role, content })
}

fn tool_text(content: Content<'_>) -> String {
    match content {
        Content::None => String::new(),
        Content::Text(text) => text.into_owned(),
        Content::Parts(parts) => parts
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Other(value) => value.to_string(),
            })
            .collect(),
    }
}

/// Reads the body once more, with the path in hand.
fn locate(body: &[u8], error: &serde_json::Error) -> ApiError {
    if !error.is_data() {
        return ApiError {
            param: None,
            ..ApiError::invalid("", format!("The body is not valid JSON: {error}."))
        };
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, Body<'_>>(deserializer) {
        Err(error) => {
            let path = error.path().to_string();
            let reason = error.into_inner();
            ApiError {
                param: Some(path).filter(|path| path != "."),
                ..ApiError::invalid("", format!("{reason}."))
            }
        }
        Ok(_) => ApiError {
            param: None,
            ..ApiError::invalid("", format!("{error}."))
        },
    }
}

// === impl Content ===

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                let mut content = Vec::new();
                while let Some(part) = parts.next_element()? {
                    content.push(part);
                }
                Ok(Content::Parts(content))
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartVisitor;

        impl<'de> Visitor<'de> for PartVisitor {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part with a type")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
                let mut part = Map::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    part.insert(key, value);
                }
                let text_field = match part.get("type").and_then(Value::as_str) {
                    Some("text") => "text",
                    Some("refusal") => "refusal",
                    Some(_) => return Ok(Part::Other(Value::Object(part))),
                    None => return Err(de::Error::missing_field("type")),
                };
                match part.remove(text_field) {
                    Some(Value::String(text)) => Ok(Part::Text(text)),
                    Some(_) => Err(de::Error::custom(format_args!("`{text_field}` must be a text"))),
                    None => Err(de::Error::missing_field(text_field)),
                }
            }
        }

        deserializer.deserialize_map(PartVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(body: &str) -> Result<ChatCompletionRequest, ApiError> {
        ChatCompletionRequest::parse(body.as_bytes())
    }

    #[track_caller]
    fn refused(body: &str, param: Option<&str>, code: &str) {
        let error = parse(body).unwrap_err();
        assert_eq!(
            (error.param.as_deref(), error.code),
            (param, code),
            "{body}: {}",
            error.message
        );
        assert_eq!(error.status, 400);
    }

    #[test]
    fn a_plain_request_is_read() {
        let request = parse(
            r#"{"model":"auto","messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi\u0021"}],
               "max_tokens":100,"max_completion_tokens":50,"temperature":0.2,"user":"ann","metadata":{"a":"b"},
               "store":false,"future_field":[1,2],"stream":true,"stream_options":{"include_usage":true}}"#,
        )
        .unwrap();
        assert_eq!(request.model.as_str(), "auto");
        assert_eq!(request.messages[0], ChatMessage::text(Role::System, "Be brief."));
        assert_eq!(request.messages[1], ChatMessage::text(Role::User, "Hi!"));
        assert_eq!(request.max_output_tokens, Some(50));
        assert!(request.stream && request.include_usage);
        assert_eq!(request.user.as_deref(), Some("ann"));
        assert_eq!(
            Value::Object(request.parameters),
            serde_json::json!({ "temperature": 0.2 })
        );
    }

    #[test]
    fn parts_are_text_or_passed_on_as_they_stand() {
        let request = parse(
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is "},
               {"type":"image_url","image_url":{"url":"data:x"}},{"text":"this?","type":"text"}]}]}"#,
        )
        .unwrap();
        let image = serde_json::json!({ "type": "image_url", "image_url": { "url": "data:x" } });
        assert_eq!(
            request.messages[0].content,
            [
                ContentBlock::Text {
                    text: "What is ".into()
                },
                ContentBlock::Other { value: image },
                ContentBlock::Text { text: "this?".into() },
            ]
        );
    }

    #[test]
    fn a_round_of_tools_is_read() {
        let request = parse(
            r#"{"model":"m","messages":[{"role":"user","content":"2+2?"},
               {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":2}"}},
               {"id":"c2","type":"function","function":{"name":"now","arguments":""}}]},
               {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"4"}]}],
               "tools":[{"type":"function","function":{"name":"add","parameters":{}}}],"tool_choice":"auto"}"#,
        )
        .unwrap();
        assert_eq!(
            request.messages[1].content,
            [
                ContentBlock::ToolUse {
                    id: "c1".into(),
                    name: "add".into(),
                    arguments: r#"{"a":2}"#.into()
                },
                ContentBlock::ToolUse {
                    id: "c2".into(),
                    name: "now".into(),
                    arguments: "{}".into()
                },
            ]
        );
        assert_eq!(
            request.messages[2].content,
            [ContentBlock::ToolResult {
                id: "c1".into(),
                content: "4".into(),
                is_error: false
            }]
        );
        assert_eq!(request.tools.len(), 1);
        assert_eq!(request.parameters["tool_choice"], "auto");
    }

    #[test]
    fn an_error_names_its_parameter() {
        let invalid = "invalid_request";
        refused("{", None, invalid);
        refused("", None, invalid);
        refused("[]", None, invalid);
        refused("{}", Some("model"), invalid);
        refused(r#"{"model":"m"}"#, Some("messages"), invalid);
        refused(r#"{"model":"m","messages":[]}"#, Some("messages"), invalid);
        refused(r#"{"model":7,"messages":[]}"#, Some("model"), invalid);
        refused(r#"{"model":"m","messages":"hi"}"#, Some("messages"), invalid);
        refused(
            r#"{"model":"m","messages":[{"content":"x"}]}"#,
            Some("messages[0]"),
            invalid,
        );
        refused(
            r#"{"model":"m","messages":[{"role":"bard","content":"x"}]}"#,
            Some("messages[0].role"),
            invalid,
        );
        refused(
            r#"{"model":"m","messages":[{"role":"user"}]}"#,
            Some("messages[0].content"),
            invalid,
        );
        refused(
            r#"{"model":"m","messages":[{"role":"user","content":5}]}"#,
            Some("messages[0].content"),
            invalid,
        );
        refused(
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            Some("messages[0].content[0]"),
            invalid,
        );
        refused(
            r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#,
            Some("messages[0].tool_call_id"),
            invalid,
        );
        let with =
            |field: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{field}}}"#);
        refused(&with(r#""temperature":3"#), Some("temperature"), invalid);
        refused(&with(r#""temperature":"hot""#), Some("temperature"), invalid);
        refused(&with(r#""max_tokens":0"#), Some("max_tokens"), invalid);
        refused(&with(r#""max_tokens":-1"#), Some("max_tokens"), invalid);
        refused(&with(r#""n":2"#), Some("n"), "unsupported_parameter");
        refused(
            &with(r#""logprobs":true"#),
            Some("logprobs"),
            "unsupported_parameter",
        );
        refused(
            &with(r#""functions":[]"#),
            Some("functions"),
            "unsupported_parameter",
        );
        refused(
            &with(r#""tools":[{"type":"web_search"}]"#),
            Some("tools[0].type"),
            "unsupported_parameter",
        );
        refused(
            &with(r#""tools":[{"type":"function"}]"#),
            Some("tools[0].function.name"),
            invalid,
        );
    }

    #[test]
    fn ten_thousand_open_brackets_are_an_error() {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":{}"#,
            "[".repeat(10_000)
        );
        assert!(parse(&body).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_damage_of_a_request_panics(at in 0_usize..200, byte in any::<u8>()) {
            let mut body = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"}}]}],"n":1,"stop":["a"],"stream":false}"#.to_vec();
            let at = at % body.len();
            body[at] = byte;
            if let Err(error) = ChatCompletionRequest::parse(&body) {
                prop_assert_eq!(error.status.as_u16(), 400);
            }
        }
    }
}
