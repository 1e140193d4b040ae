//! The configuration from outside. What all of its tests read with is here; any damage and any name go through it.

mod faults;
mod languages;
mod layers;
mod owners;
mod providers;

use super::environment::FixedEnvironment;
use super::fault::{ConfigError, Origin};
use super::*;
use crate::config::schema::{FIELDS, Field, Initial, Kind};
use crate::config::sections::RuntimeKind;
use crate::machine::MachineFacts;
use crate::texts::Texts;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// A file that sets something everywhere.
const SAMPLE: &str = r#"
configVersion = 1
[server]
listen = "127.0.0.1:8080"
bodyLimit = "2MiB"
trustedProxies = ["10.0.0.1"]
[storage]
kind = "memory"
[concurrency]
preset = "large"
maxWorkers = 12
backpressureThreshold = 1
[streaming]
flushTokenThreshold = 40
[streaming.web]
flushTimeoutMs = 100
[messenger.rateLimits]
telegram = { rps = 25, burstSize = 5 }
[messenger.telegram]
token = { env = "BOT" }
mode = "polling"
[ai-fabric.budgets]
free = 5_000
admin = -1
[ai-fabric.fallback]
primaryModel = "small"
fallbacks = ["big"]
[[ai-fabric.providers]]
id = "main"
kind = "openai"
baseUrl = "https://llm.example.net/v1/"
apiKey = { file = "/run/key" }
headers = { x-title = "openclaw" }
rateLimit = { requestsPerMinute = 600 }
[[ai-fabric.providers.models]]
id = "small"
contextWindow = 128_000
costPer1kInput = 0.00015
capabilities = ["chat", "streaming"]
[[ai-fabric.providers.models]]
id = "big"
[[ai-fabric.providers]]
id = "demo"
kind = "demo"
[session]
defaultTier = "standard"
[logging]
level = "info,concurrency=debug"
[logging.levels]
ai-fabric = "trace"
"#;

/// Has the form of a bot's token and is none.
const BOT_TOKEN: &str = "1:AAFx_0123456789abcdefghijklmnopqrst";

fn sample_environment() -> FixedEnvironment {
    let mut environment = FixedEnvironment::of([("BOT", BOT_TOKEN)]);
    environment.files.insert("/run/key".into(), "sk-secret\n".into());
    environment
}

fn from_env<const N: usize>(vars: [(&str, &str); N]) -> Result<Loaded, ConfigError> {
    load(None, &FixedEnvironment::of(vars), &[])
}

/// Arguments of `--set`.
fn sets<S: Into<String>, const N: usize>(settings: [S; N]) -> [Override; N] {
    settings.map(|setting| Override {
        flag: "--set",
        setting: setting.into(),
    })
}

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    load(Some(text), &FixedEnvironment::default(), &[])
}

/// The faults, one a line.
#[track_caller]
fn faults(result: Result<Loaded, ConfigError>) -> Vec<String> {
    result
        .unwrap_err()
        .faults
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn origin(loaded: &Loaded, path: &str) -> (String, String) {
    let entry = loaded
        .settings
        .entries()
        .iter()
        .find(|entry| entry.path == path)
        .unwrap();
    (entry.value(Texts::default()).to_owned(), entry.origin.to_string())
}

#[test]
fn no_secret_is_shown() {
    let loaded = from_env([
        ("OPENCLAW_ADMIN_TOKEN", "hunter2-hunter2-hunter2"),
        (
            "OPENCLAW__MESSENGER__TELEGRAM__TOKEN",
            "7:hunter2-hunter2-hunter2-hunter2-hun",
        ),
        ("OPENAI_API_KEY", "hunter2-key"),
    ])
    .unwrap();
    assert_eq!(
        origin(&loaded, "messenger.telegram.token").0,
        "{ env = \"OPENCLAW__MESSENGER__TELEGRAM__TOKEN\" }"
    );
    assert_eq!(
        loaded.secrets.telegram_token.as_ref().unwrap().expose(),
        "7:hunter2-hunter2-hunter2-hunter2-hun"
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!loaded.settings.to_table(Texts::default()).contains("hunter2"));
    assert!(!loaded.settings.to_json().to_string().contains("hunter2"));

    let literal = from_file("[messenger.telegram]\ntoken = \"hunter2\"\n");
    let told = faults(literal).join("\n");
    assert!(
        told.contains("file 2:9: messenger.telegram.token: a secret does not belong in the configuration"),
        "{told}"
    );
    assert!(!told.contains("hunter2"));
    let flag = load(
        None,
        &FixedEnvironment::default(),
        &sets(["server.apiKey=\"hunter2\""]),
    );
    assert!(!faults(flag).join("\n").contains("hunter2"));
}

#[test]
fn a_field_explains_itself() {
    let settings = from_env([("LOG_LEVEL", "debug")]).unwrap().settings;
    let text = explain::explain(&settings, "logging.level", Texts::default()).unwrap();
    for part in [
        "OPENCLAW__LOGGING__LEVEL, LOG_LEVEL",
        "\"debug\" (environment LOG_LEVEL)",
        "\"info\"",
        "at once after openclaw config reload",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        explain::explain(&settings, "logging.levl", Texts::default()),
        Err(explain::Meant::One("logging.level"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_damage_of_a_file_panics(at in 0..SAMPLE.len(), byte in any::<u8>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8_lossy(&bytes);
        match load(Some(&text), &sample_environment(), &[]) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.faults.is_empty()),
        }
    }

    #[test]
    fn no_variable_and_no_flag_panics(name in "(SERVER|AI_FABRIC|X)?(__[A-Z_0-9]{0,12}){0,4}", value in "\\PC{0,24}", path in "[a-zA-Z.\\[\\]0-9=-]{0,40}") {
        let environment = FixedEnvironment::of([(format!("OPENCLAW__{name}").as_str(), value.as_str())]);
        let _ = load(None, &environment, &sets([path, format!("server.listen={value}"), format!("ai-fabric.providers={value}")]));
    }
}
