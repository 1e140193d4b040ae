//! Providers of every kind, set up in the file: whom they call, with what, and tools in both directions.

use super::fakes::{Asked, Fake};
use super::{ask, client, configured, post, said};
use openclaw_testkit::HttpClient;
use serde_json::{Value, json};

/// A file with one provider of each kind that speaks HTTP. Keys come from variables and from a file.
fn file(fake: &Fake, directory: &std::path::Path) -> String {
    std::fs::write(directory.join("anthropic.key"), "sk-ant-file\n").unwrap();
    format!(
        r#"
[[ai-fabric.providers]]
id = "claude"
kind = "anthropic"
baseUrl = "{base}"
apiKey = {{ file = "{directory}/anthropic.key" }}
headers = {{ anthropic-beta = "beta-1" }}
models = [{{ id = "sonnet", aliases = ["clever"] }}]

[[ai-fabric.providers]]
id = "giga"
kind = "gigachat"
scope = "GIGACHAT_API_CORP"
baseUrl = "{base}/giga"
authUrl = "{base}/oauth"
apiKey = {{ env = "GIGA_KEY" }}
models = [{{ id = "GigaChat-Max" }}]

[[ai-fabric.providers]]
id = "yandex"
preset = "yandex"
folder = "b1g"
baseUrl = "{base}/v1"
apiKey = {{ env = "YANDEX_KEY" }}
secretHeaders = {{ x-proxy-token = {{ env = "PROXY_TOKEN" }} }}
models = [{{ id = "yandexgpt/latest" }}]

[[ai-fabric.providers]]
id = "mistral"
preset = "mistral"
baseUrl = "{base}/v1"
models = [{{ id = "o1-like" }}]

[[ai-fabric.providers]]
id = "local"
kind = "ollama"
baseUrl = "{base}"
contextTokens = 32_768
keepAlive = "10m"
models = [{{ id = "llama" }}]

[[ai-fabric.providers]]
id = "agent"
kind = "command"
program = "/bin/sh"
args = ["-c", "cat > /dev/null; echo \"command says {{model}} $MOOD $TOKEN\""]
environment = {{ MOOD = "happy" }}
secretEnvironment = {{ TOKEN = {{ env = "AGENT_TOKEN" }} }}
"#,
        base = fake.url(""),
        directory = directory.display(),
    )
}

const VARIABLES: [(&str, &str); 4] = [
    ("GIGA_KEY", "Z2lnYQ=="),
    ("YANDEX_KEY", "yandex-key"),
    ("PROXY_TOKEN", "proxy secret"),
    ("AGENT_TOKEN", "agent-token"),
];

#[tokio::test]
async fn every_kind_is_called_as_it_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let file = file(&fake, directory.path());
    let server = configured(directory.path(), &file, |setup| {
        VARIABLES
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, *value))
    })
    .await;
    let client = client(&server);
    for (model, answer) in [
        ("clever", "anthropic says sonnet"),
        ("GigaChat-Max", "gigachat says GigaChat-Max"),
        ("yandexgpt/latest", "openai says gpt://b1g/yandexgpt/latest"),
        ("o1-like", "openai says o1-like"),
        ("llama", "ollama says llama"),
        ("agent", "command says agent happy agent-token\n"),
    ] {
        assert_eq!(said(&ask(&client, model).await), answer, "{model}");
    }
    let claude = &fake.asked("/v1/messages")[0];
    assert_eq!(claude.headers["x-api-key"], "sk-ant-file");
    assert_eq!(claude.headers["anthropic-beta"], "beta-1");
    assert_eq!(fake.asked("/oauth")[0].body, "scope=GIGACHAT_API_CORP");
    let compatible = fake.asked("/v1/chat/completions");
    assert_eq!(compatible[0].headers["openai-project"], "b1g");
    assert_eq!(compatible[0].headers["x-proxy-token"], "proxy secret");
    let ollama = &fake.asked("/api/chat")[0].body;
    assert_eq!(ollama["options"]["num_ctx"], 32_768);
    assert_eq!(ollama["keep_alive"], "10m");

    // What a preset knows of its provider: no `stream_options`, and one name for the longest answer.
    let streamed = json!({ "model": "o1-like", "stream": true, "max_tokens": 300, "messages":
        [{ "role": "user", "content": "hi" }] });
    assert_eq!(post(&client, &streamed).await.status, 200);
    let asked = fake.asked("/v1/chat/completions").pop().unwrap().body;
    assert_eq!(asked["max_tokens"], 300, "{asked}");
    assert!(asked["stream_options"].is_null(), "{asked}");
    let streamed = json!({ "model": "yandexgpt/latest", "stream": true, "messages":
        [{ "role": "user", "content": "hi" }] });
    assert_eq!(post(&client, &streamed).await.status, 200);
    let asked = fake.asked("/v1/chat/completions").pop().unwrap().body;
    assert_eq!(asked["stream_options"]["include_usage"], true, "{asked}");
}

/// A question with a tool, and the round that answers the model's call: OpenAI's form at our edge, the provider's own at
/// its end, whatever it speaks.
async fn tool_round(client: &HttpClient, model: &str, stream: bool) -> (String, String) {
    let tools = json!([{ "type": "function", "function": { "name": "weather", "description": "How it is outside",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } }]);
    let mut messages = vec![json!({ "role": "user", "content": "How is it in Perm?" })];
    let body = json!({ "model": model, "messages": messages, "tools": tools, "stream": stream });
    let call = if stream {
        streamed_call(client, &body).await
    } else {
        let reply = post(client, &body).await;
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        let choice = &reply.json().unwrap()["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{model}: {choice}");
        choice["message"]["tool_calls"][0].clone()
    };
    assert_eq!(call["function"]["name"], "weather", "{model}: {call}");
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "city": "Perm" }), "{model}");
    let id = call["id"].as_str().unwrap().to_owned();
    assert!(!id.is_empty(), "{model}");
    messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
    messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "-20" }));
    let body = json!({ "model": model, "messages": messages, "tools": tools });
    (id, said(&post(client, &body).await))
}

/// The pieces of a streamed call put together, as a client of OpenAI's does.
async fn streamed_call(client: &HttpClient, body: &Value) -> Value {
    let reader = client
        .post("/v1/chat/completions")
        .json(body)
        .within(crate::setup::LONG)
        .stream()
        .await
        .unwrap();
    let mut call = json!({ "type": "function", "function": { "name": "", "arguments": "" } });
    let mut finish = Value::Null;
    for event in reader.collect().await.unwrap() {
        let Ok(chunk) = serde_json::from_str::<Value>(&event.data) else {
            continue;
        };
        let choice = &chunk["choices"][0];
        if choice["finish_reason"].is_string() {
            finish = choice["finish_reason"].clone();
        }
        let piece = &choice["delta"]["tool_calls"][0];
        if piece["id"].is_string() {
            call["id"] = piece["id"].clone();
        }
        for name in ["name", "arguments"] {
            if let Some(more) = piece["function"][name].as_str() {
                let sofar = call["function"][name].as_str().unwrap().to_owned();
                call["function"][name] = json!(sofar + more);
            }
        }
    }
    assert_eq!(finish, "tool_calls", "{call}");
    call
}

#[tokio::test]
async fn tools_pass_through_in_both_directions_whatever_the_provider_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let program = directory.path().join("agent.sh");
    std::fs::write(
        &program,
        "#!/bin/sh\nread -r line\nprintf '%s\\n' \"$line\" >> \"$LOG\"\ncase \"$line\" in\n\
         *tool_result*) echo '{\"text\": \"command says done\"}' ;;\n\
         *) echo '{\"type\": \"tool_use\", \"name\": \"weather\", \"arguments\": {\"city\": \"Perm\"}}' ;;\nesac\n",
    )
    .unwrap();
    let log = directory.path().join("agent.log");
    let agent = format!(
        "[[ai-fabric.providers]]\nid = \"tool-agent\"\nkind = \"command\"\nprogram = \"/bin/sh\"\nargs = [\"{}\"]\n\
         output = \"jsonLines\"\nenvironment = {{ LOG = \"{}\" }}\n",
        program.display(),
        log.display()
    );
    let file = file(&fake, directory.path()) + &agent;
    let server = configured(directory.path(), &file, |setup| {
        VARIABLES
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, *value))
    })
    .await;
    let client = client(&server);
    for stream in [false, true] {
        for (model, answer) in [
            ("o1-like", "openai says o1-like"),
            ("sonnet", "anthropic says sonnet"),
            ("GigaChat-Max", "gigachat says GigaChat-Max"),
            ("llama", "ollama says llama"),
            ("tool-agent", "command says done"),
        ] {
            let (_, answered) = tool_round(&client, model, stream).await;
            assert_eq!(answered, answer, "{model}, streamed {stream}");
        }
    }
    // How each was told of the tool, and of what came of it.
    let last = |end: &str| -> Asked { fake.asked(end).pop().unwrap() };
    let openai = last("/v1/chat/completions").body;
    assert_eq!(openai["tools"][0]["function"]["name"], "weather");
    assert_eq!(openai["messages"][2]["role"], "tool");
    let claude = last("/v1/messages").body;
    assert_eq!(claude["tools"][0]["name"], "weather");
    assert_eq!(claude["tools"][0]["input_schema"]["type"], "object");
    assert_eq!(claude["messages"][1]["content"][0]["type"], "tool_use");
    assert_eq!(claude["messages"][2]["content"][0]["type"], "tool_result");
    assert_eq!(claude["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
    let giga = last("/giga/chat/completions").body;
    assert_eq!(giga["functions"][0]["name"], "weather");
    let called = &giga["messages"][1];
    assert_eq!(
        called["function_call"]["arguments"],
        json!({ "city": "Perm" }),
        "{called}"
    );
    assert_eq!(giga["messages"][2]["role"], "function", "{giga}");
    let ollama = last("/api/chat").body;
    assert_eq!(
        ollama["messages"][1]["tool_calls"][0]["function"]["arguments"],
        json!({ "city": "Perm" })
    );
    assert_eq!(ollama["messages"][2]["role"], "tool");
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("\"tools\":[{\"name\":\"weather\""), "{told}");
    assert!(told.contains("tool_result"), "{told}");
}
