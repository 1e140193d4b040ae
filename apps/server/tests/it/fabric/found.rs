//! A start without any configuration: the server takes the first provider it finds and says which and why.

use super::fakes::Fake;
use super::{ask, client, logged, said};
use crate::BINARY;
use openclaw_testkit::{ServerProcess, ServerSetup};

async fn start(variables: &[(&str, String)]) -> ServerProcess {
    let setup = ServerSetup::new(BINARY).env("LANG", "C");
    let setup = variables
        .iter()
        .fold(setup, |setup, (name, value)| setup.env(name, value.clone()));
    setup.start().await.unwrap()
}

/// Whoever is found answers a request that names no model, and the banner says who it is and why.
async fn check(variables: &[(&str, String)], answer: &str, why: &str) -> ServerProcess {
    let server = start(variables).await;
    assert_eq!(said(&ask(&client(&server), "auto").await), answer);
    logged(&server, why).await;
    server
}

#[tokio::test]
async fn a_key_of_anthropic_finds_claude_and_comes_before_all_others() {
    let fake = Fake::start().await;
    let all = [
        ("ANTHROPIC_API_KEY", "sk-ant-1".to_owned()),
        ("ANTHROPIC_BASE_URL", fake.url("")),
        ("OPENAI_API_KEY", "sk-2".to_owned()),
        ("OPENAI_BASE_URL", fake.url("/v1")),
        ("OLLAMA_HOST", fake.address.to_string()),
    ];
    let why = "claude-sonnet-4-5: ANTHROPIC_API_KEY is set";
    check(&all, "anthropic says claude-sonnet-4-5", why).await;
    let asked = &fake.asked("/v1/messages")[0];
    assert_eq!(asked.headers["x-api-key"], "sk-ant-1");
    assert_eq!(fake.asked("").len(), 1, "nobody else was asked");
    let named = [
        all[0].clone(),
        all[1].clone(),
        ("ANTHROPIC_MODEL", "opus".to_owned()),
    ];
    let server = check(&named, "anthropic says opus", "opus: ANTHROPIC_API_KEY is set").await;
    // Any model may be named.
    let other = ask(&client(&server), "claude-of-tomorrow").await;
    assert_eq!(said(&other), "anthropic says claude-of-tomorrow");
}

#[tokio::test]
async fn a_key_of_openai_or_an_address_alone_finds_a_compatible_server() {
    let fake = Fake::start().await;
    let base = ("OPENAI_BASE_URL", fake.url("/v1"));
    let key = ("OPENAI_API_KEY", "sk-2".to_owned());
    let why = "gpt-4o-mini: OPENAI_API_KEY is set";
    check(&[key.clone(), base.clone()], "openai says gpt-4o-mini", why).await;
    let asked = &fake.asked("/chat/completions")[0];
    assert_eq!(asked.headers["authorization"], "Bearer sk-2");
    let model = ("OPENAI_MODEL", "mine".to_owned());
    check(&[base, model], "openai says mine", "mine: OPENAI_BASE_URL is set").await;
    let asked = &fake.asked("/chat/completions")[1];
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn credentials_of_gigachat_are_exchanged_for_a_token() {
    let fake = Fake::start().await;
    let variables = [
        ("GIGACHAT_CREDENTIALS", "Z2lnYQ==".to_owned()),
        ("GIGACHAT_SCOPE", "GIGACHAT_API_B2B".to_owned()),
        ("GIGACHAT_BASE_URL", fake.url("/giga")),
        ("GIGACHAT_AUTH_URL", fake.url("/oauth")),
        ("YANDEX_API_KEY", "yandex".to_owned()),
        ("YANDEX_FOLDER_ID", "folder".to_owned()),
    ];
    let why = "GigaChat: GIGACHAT_CREDENTIALS is set";
    check(&variables, "gigachat says GigaChat", why).await;
    let exchange = &fake.asked("/oauth")[0];
    assert_eq!(exchange.headers["authorization"], "Basic Z2lnYQ==");
    assert_eq!(exchange.body, "scope=GIGACHAT_API_B2B");
    let asked = &fake.asked("/giga/chat/completions")[0];
    assert_eq!(asked.headers["authorization"], "Bearer giga-token");
}

#[tokio::test]
async fn a_key_of_yandex_needs_its_folder() {
    let fake = Fake::start().await;
    let key = ("YANDEX_API_KEY", "yandex-key".to_owned());
    let base = ("YANDEX_BASE_URL", fake.url("/v1"));
    let folder = ("YANDEX_FOLDER_ID", "b1g".to_owned());
    let why = "yandexgpt/latest: YANDEX_API_KEY is set";
    let answer = "openai says gpt://b1g/yandexgpt/latest";
    check(&[key.clone(), base.clone(), folder], answer, why).await;
    let asked = &fake.asked("/chat/completions")[0];
    assert_eq!(asked.headers["openai-project"], "b1g");
    assert_eq!(asked.headers["authorization"], "Bearer yandex-key");
    // Without a folder it is passed over, and that is said.
    let server = start(&[key, base]).await;
    logged(&server, "YANDEX_FOLDER_ID is not set").await;
    logged(&server, "demo: no provider key found").await;
}

#[tokio::test]
async fn an_ollama_is_asked_what_it_has() {
    let fake = Fake::start().await;
    let host = ("OLLAMA_HOST", fake.address.to_string());
    let why = "llama-one, llama-two: OLLAMA_HOST is set";
    check(std::slice::from_ref(&host), "ollama says llama-one", why).await;
    let model = ("OLLAMA_MODEL", "llama-two".to_owned());
    let why = "llama-two, llama-one: OLLAMA_HOST is set";
    check(&[host, model], "ollama says llama-two", why).await;
    // One that nobody named, but answers on this machine.
    let local = ("OPENCLAW__AI_FABRIC__LOCAL_OLLAMA", fake.url(""));
    let why = "an Ollama answers on this machine";
    check(std::slice::from_ref(&local), "ollama says llama-one", why).await;
    // A key is stronger.
    let key = ("OPENAI_API_KEY", "sk".to_owned());
    let base = ("OPENAI_BASE_URL", fake.url("/v1"));
    let why = "OPENAI_API_KEY is set";
    check(&[local, key, base], "openai says gpt-4o-mini", why).await;
}

#[tokio::test]
async fn without_any_of_them_the_built_in_model_answers() {
    let server = start(&[]).await;
    assert_eq!(ask(&client(&server), "auto").await.status, 200);
    logged(&server, "demo: no provider key found").await;
}

#[tokio::test]
async fn an_ollama_that_does_not_answer_is_taken_and_named_as_silent() {
    let server = start(&[("OLLAMA_HOST", "127.0.0.1:1".to_owned())]).await;
    logged(&server, "OLLAMA_HOST names does not answer").await;
    let reply = ask(&client(&server), "auto").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
}
