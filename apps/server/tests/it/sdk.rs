//! The official OpenAI SDKs against the real binary, scenario by scenario.
//!
//! The scenarios are written in the SDK's language (`xtask/testkit/sdk/`) and check what a client sees; what the
//! provider saw is checked here. Both know the provider's answers by the model's name.

mod provider;

use crate::BINARY;
use crate::setup::{LONG, metrics};
use openclaw_testkit::sdk::Sdk;
use openclaw_testkit::{MockProvider, ServerProcess, ServerSetup};
use provider::expected_parameters;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What both SDKs can do.
const SCENARIOS: &[&str] = &[
    "an_answer_comes_whole",
    "an_answer_comes_streamed",
    "usage_ends_a_stream_that_asked_for_it",
    "usage_is_told_where_the_provider_says_none",
    "an_answer_cut_short_by_its_limit_says_length",
    "models_are_listed_and_retrieved",
    "raw_headers_name_the_request",
    "raw_headers_tell_what_is_left",
    "a_whole_conversation_is_passed_on",
    "a_long_context_passes",
    "an_image_is_passed_on",
    "twenty_streams_at_once_do_not_mix",
    "tools_and_their_choice_are_passed_on",
    "a_tool_call_comes_whole",
    "tool_calls_are_streamed_by_index",
    "parallel_tool_calls_come_whole",
    "results_of_tools_are_passed_on",
    "the_helper_gathers_a_streamed_tool_call",
    "the_helper_parses_an_answer_by_schema",
    "functions_of_old_are_refused_by_name",
    "what_a_model_understands_is_passed_on",
    "the_limit_of_an_answer_has_two_names",
    "what_cannot_be_honoured_is_refused_by_name",
    "what_is_of_the_wrong_form_is_refused_by_name",
    "a_wrong_key_is_an_authentication_error",
    "an_unknown_model_is_not_found",
    "a_wrong_field_is_named",
    "a_provider_that_is_down_is_an_internal_server_error",
    "what_the_provider_refuses_is_a_bad_request",
    "a_context_too_long_for_the_model_is_named",
    "a_stream_that_is_cut_raises",
    "a_whole_answer_that_is_cut_raises",
    "a_body_beyond_the_limit_is_refused",
    "an_unknown_path_is_not_found",
    "the_rate_of_a_key_is_a_rate_limit_error",
    "the_sdk_waits_and_tries_again",
    "a_used_up_budget_is_insufficient_quota",
    "a_budget_used_up_in_mid_stream_lets_the_answer_end_and_refuses_the_next",
    "a_user_is_a_tenant_of_its_own",
    "leaving_a_stream_ends_the_call",
    "cancelling_a_stream_ends_the_call",
    "a_time_limit_of_the_client_ends_the_call",
];
/// What the SDK for JavaScript alone has.
const OF_JAVASCRIPT: &[&str] = &["the_helper_runs_tools_to_the_end"];

/// The mock speaks for all models, the ones listed and any other.
const CONFIGURATION: &str = r#"
[[ai-fabric.providers]]
id = "main"
kind = "openai"
anyModel = true
[[ai-fabric.providers.models]]
id = "mock-echo"
[[ai-fabric.providers.models]]
id = "records-length"
contextWindow = 1000000
costPer1kInput = 100.0
[[ai-fabric.providers.models]]
id = "records-image"
capabilities = ["chat", "streaming", "vision"]
costPer1kInput = 100.0

[ai-fabric.fallback]
maxRetries = 0

[messenger.rateLimits.api]
rps = 0.5
burstSize = 3
"#;

struct World {
    provider: MockProvider,
    server: ServerProcess,
    /// Holds the data directory.
    _directory: TempDir,
}

async fn world(configuration: &str) -> World {
    let provider = MockProvider::start().await.unwrap();
    provider.answer_with(provider::answer);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("openclaw.toml"), configuration).unwrap();
    let server = ServerSetup::new(BINARY)
        .data_dir(directory.path())
        .env("OPENCLAW__AI_FABRIC__PROVIDERS__0__BASE_URL", provider.base_url())
        // The log tells whose each call was.
        .env("LOG_LEVEL", "debug")
        .start()
        .await
        .unwrap();
    World {
        provider,
        server,
        _directory: directory,
    }
}

impl World {
    /// A new key; `fields` as the admin API takes them.
    async fn key(&self, fields: Value) -> String {
        let reply = self
            .server
            .http()
            .unwrap()
            .post("/admin/api/v1/keys")
            .bearer(&self.server.admin_token().unwrap())
            .json(&fields)
            .send()
            .await
            .unwrap();
        let made = reply.json().unwrap();
        made["key"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"))
            .to_owned()
    }

    /// The bodies that arrived for a model.
    fn asked_of(&self, model: &str) -> Vec<Value> {
        let requests = self.provider.requests().into_iter();
        requests
            .filter(|request| request.model() == model)
            .map(|request| request.body)
            .collect()
    }
}

/// Runs scenarios and fails with all their failures at once.
#[track_caller]
fn pass(sdk: &Sdk, names: &[&str], asked: Value, log: impl Fn() -> String) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let (sdk, names) = (
        sdk.clone(),
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
    );
    async move {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let reports = sdk.scenarios(&names, &asked).await.unwrap();
        let failed: Vec<String> = reports
            .into_iter()
            .filter_map(|report| Some(format!("{}: {}", report.scenario, report.failure?)))
            .collect();
        assert!(
            failed.is_empty(),
            "{caller}: {} scenarios failed\n{}\n{}",
            failed.len(),
            failed.join("\n"),
            log()
        );
    }
}

#[tokio::test]
async fn every_scenario_of_the_openai_sdk_for_python_passes() {
    let Some(sdk) = Sdk::python() else { return };
    every_scenario(&sdk, &[]).await;
}

#[tokio::test]
async fn every_scenario_of_the_openai_sdk_for_javascript_passes() {
    let Some(sdk) = Sdk::java_script() else { return };
    every_scenario(&sdk, OF_JAVASCRIPT).await;
}

async fn every_scenario(sdk: &Sdk, more: &[&str]) {
    let world = world(CONFIGURATION).await;
    let listed = self::world(&CONFIGURATION.replace("anyModel = true", "anyModel = false")).await;
    let limited = |user: &str| json!({ "user": user, "tier": "standard" });
    let asked = json!({
        "base_url": world.server.url("/v1"),
        "key": world.server.api_key().unwrap(),
        "listed_base_url": listed.server.url("/v1"),
        "listed_key": listed.server.api_key().unwrap(),
        "metered": world.key(limited("metered")).await,
        "hurried": world.key(limited("hurried")).await,
        "patient": world.key(limited("patient")).await,
        "drainer": world.key(json!({ "user": "drainer", "tier": "free", "unlimited": true })).await,
        "spender": world.key(json!({ "user": "spender", "tier": "free", "unlimited": true })).await,
    });
    pass(sdk, &[SCENARIOS, more].concat(), asked, || world.server.log()).await;

    assert_eq!(
        world.asked_of("never-asked"),
        [] as [Value; 0],
        "what is refused costs nothing"
    );
    let log = world.server.log();
    for tenant in [
        "api:operator:tenant-ann",
        "api:operator:tenant-bob",
        "api:drainer:default",
    ] {
        // An event's content stands in its line as a text.
        let named = format!(r#"\"tenantId\":\"{tenant}\""#);
        assert!(log.contains(&named), "{tenant} asked for nothing");
    }
    let patient = world.asked_of("patient");
    let mut texts: Vec<String> = patient
        .iter()
        .map(|body| body["messages"][0].to_string())
        .collect();
    texts.dedup();
    assert_eq!(
        texts.len(),
        patient.len(),
        "one turn for each question, however often it was tried"
    );
    let [conversation] = &*world.asked_of("records-conversation") else {
        panic!("asked once");
    };
    assert_eq!(
        conversation["messages"],
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "One two" },
            { "role": "assistant", "content": "Three." },
            { "role": "user", "content": "Four?" },
        ])
    );
    let [image] = &*world.asked_of("records-image") else {
        panic!("asked once");
    };
    assert_eq!(image["messages"][0]["content"][1]["type"], "image_url");
    let choices: Vec<Value> = world
        .asked_of("records-tools")
        .iter()
        .inspect(|body| {
            assert_eq!(body["parallel_tool_calls"], false);
            assert_eq!(body["tools"][0]["function"]["strict"], true);
            assert_eq!(
                body["tools"][0]["function"]["parameters"]["required"],
                json!(["city"])
            );
            assert_eq!(body["tools"][1]["function"]["name"], "clock");
        })
        .map(|body| body["tool_choice"].clone())
        .collect();
    let named = json!({ "type": "function", "function": { "name": "clock" } });
    assert_eq!(choices, [json!("auto"), json!("required"), json!("none"), named]);
    let [parameters] = &*world.asked_of("records-parameters") else {
        panic!("asked once");
    };
    let mut parameters = parameters.clone();
    parameters.as_object_mut().unwrap().remove("messages");
    assert_eq!(parameters, expected_parameters());
    let limits: Vec<Value> = world
        .asked_of("records-max-tokens")
        .iter()
        .map(|body| body["max_tokens"].clone())
        .collect();
    assert_eq!(limits, [json!(300), json!(400), json!(500)]);

    // Three clients went away in the middle. The one that gave up before the answer began is not counted as a
    // disconnect, because there was no stream yet; that its call has ended shows in what is still in flight.
    let ended = |stats: &openclaw_testkit::Stats| stats.disconnects >= 2 && stats.in_flight == 0;
    world
        .provider
        .wait_until(LONG, ended)
        .await
        .expect("the calls of clients that have gone are ended");
}

#[tokio::test]
async fn the_openai_sdk_for_python_comes_through_a_server_at_capacity() {
    let Some(sdk) = Sdk::python() else { return };
    at_capacity(&sdk).await;
}

#[tokio::test]
async fn the_openai_sdk_for_javascript_comes_through_a_server_at_capacity() {
    let Some(sdk) = Sdk::java_script() else { return };
    at_capacity(&sdk).await;
}

/// The server is full until the SDK has been refused twice: once without trying again, once before it comes through.
async fn at_capacity(sdk: &Sdk) {
    let world = world(CONFIGURATION).await;
    let hold = world.provider.hold();
    let client = world
        .server
        .http()
        .unwrap()
        .with_bearer(&world.server.api_key().unwrap())
        .unwrap();
    let body = json!({ "model": "mock-echo", "messages": [{ "role": "user", "content": "hi" }] });
    let mut admitted = tokio::task::JoinSet::new();
    // The default pool refuses the twenty-fourth.
    for number in 1..=23_u64 {
        let request = client.post("/v1/chat/completions").json(&body).within(LONG * 4);
        admitted.spawn(async move { request.send().await.unwrap().status });
        let within = async {
            loop {
                let metrics = metrics(&world.server).await;
                if metrics["activeWorkers"].as_u64().unwrap() + metrics["queueDepth"].as_u64().unwrap()
                    >= number
                {
                    break;
                }
            }
        };
        tokio::time::timeout(LONG, within).await.expect("it is taken in");
    }
    let asked = json!({ "base_url": world.server.url("/v1"), "key": world.server.api_key().unwrap() });
    let (server, provider) = (&world.server, &world.provider);
    let scenarios = pass(sdk, &["a_server_at_capacity_is_tried_again"], asked, || {
        server.log()
    });
    let relief = async {
        while refused(server).await < 2 {}
        drop(hold);
    };
    tokio::join!(scenarios, relief);
    assert_eq!(
        world.asked_of("came-through").len(),
        1,
        "one turn, however often it was tried"
    );
    assert_eq!(world.asked_of("never-asked").len(), 0);
    while let Some(status) = admitted.join_next().await {
        assert_eq!(status.unwrap(), 200, "what was admitted is answered");
    }
    provider
        .wait_until(LONG, |stats| stats.in_flight == 0)
        .await
        .unwrap();
}

/// Calls refused because the server is at capacity. Each look is a request to the server, so this does not spin.
async fn refused(server: &ServerProcess) -> u64 {
    let token = server.admin_token().unwrap();
    let reply = server
        .http()
        .unwrap()
        .get("/metrics")
        .bearer(&token)
        .send()
        .await
        .unwrap();
    reply
        .text()
        .lines()
        .filter(|line| line.starts_with("openclaw_requests_refused_total") && line.contains("BACKPRESSURE"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|count| count as u64)
        .sum()
}
