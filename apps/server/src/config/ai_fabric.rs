//! `[ai-fabric]`: models, their providers, budgets, the chain.

use super::presets::Preset;
use super::secrets::SecretRef;
use super::sections::ByteSize;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Models. What is not set is the fabric's own default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct AiFabricSection {
    /// `tenant` or `user`.
    pub(crate) budget_scope: Option<String>,
    /// Where an Ollama is looked for when nothing else is found.
    pub(crate) local_ollama: Option<String>,
    /// Tokens per 24 h by tier; -1 is unlimited.
    pub(crate) budgets: Budgets,
    pub(crate) first_token_timeout_ms: Option<u64>,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) limit_wait_ms: Option<u64>,
    pub(crate) fallback: FallbackSection,
    pub(crate) circuit: CircuitSection,
    /// In the order of the file. Empty: the server takes what it finds.
    pub(crate) providers: Vec<ProviderSection>,
}

/// Tokens per 24 h by tier; -1 is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Budgets {
    pub(crate) free: Option<i64>,
    pub(crate) standard: Option<i64>,
    pub(crate) premium: Option<i64>,
    pub(crate) admin: Option<i64>,
    /// Of all free accounts together.
    pub(crate) free_total: Option<i64>,
}

/// The chain that a request walks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct FallbackSection {
    pub(crate) primary_model: Option<String>,
    pub(crate) fallbacks: Option<Vec<String>>,
    pub(crate) max_retries: Option<u64>,
    pub(crate) retry_delay_ms: Option<u64>,
    pub(crate) retries_per_minute: Option<u64>,
    pub(crate) retry_percent: Option<u64>,
}

/// When a failing model is left alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct CircuitSection {
    pub(crate) failures: Option<u64>,
    pub(crate) open_ms: Option<u64>,
    pub(crate) bench_ms: Option<u64>,
}

/// A model provider. Which fields belong to which kind is said in [`super::presets`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ProviderSection {
    pub(crate) id: String,
    pub(crate) kind: Option<ProviderKind>,
    pub(crate) preset: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<SecretRef>,
    /// The cloud folder of YandexGPT's models.
    pub(crate) folder: Option<String>,
    /// On whose behalf GigaChat is called.
    pub(crate) scope: Option<String>,
    pub(crate) auth_url: Option<String>,
    /// A PEM file.
    pub(crate) root_certificate: Option<PathBuf>,
    pub(crate) proxy: Option<String>,
    pub(crate) priority: Option<i64>,
    /// Whether models that are not listed may be named too.
    pub(crate) any_model: bool,
    /// Headers sent with every call, beside the key.
    pub(crate) headers: BTreeMap<String, String>,
    /// The same, where they are secrets.
    pub(crate) secret_headers: BTreeMap<String, SecretRef>,
    pub(crate) stream_usage: Option<bool>,
    pub(crate) max_tokens_field: Option<String>,
    pub(crate) context_tokens: Option<u64>,
    pub(crate) keep_alive: Option<String>,
    pub(crate) program: Option<PathBuf>,
    pub(crate) args: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) output: Option<OutputFormat>,
    pub(crate) max_output_bytes: Option<ByteSize>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) secret_environment: BTreeMap<String, SecretRef>,
    /// The pause between words of `demo`.
    pub(crate) word_delay_ms: Option<u64>,
    pub(crate) rate_limit: ProviderRateLimit,
    pub(crate) models: Vec<ModelSection>,
}

/// The providers of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProviderKind {
    /// Chat completions, as OpenAI and many others speak it.
    Openai,
    /// Claude's messages.
    Anthropic,
    /// GigaChat: a key that is exchanged for tokens.
    Gigachat,
    /// Ollama's own protocol.
    Ollama,
    /// A program's output.
    Command,
    /// Built in, no network.
    Demo,
}

/// How a program writes its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OutputFormat {
    /// As it stands.
    Text,
    /// One JSON value per line.
    JsonLines,
}

/// What a provider lets us do. What is not set is not limited.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ProviderRateLimit {
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) concurrent_requests: Option<u64>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ModelSection {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) context_window: Option<u64>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) cost_per1k_input: Option<f64>,
    pub(crate) cost_per1k_output: Option<f64>,
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) required_tier: Option<String>,
}

// === impl ProviderKind ===

impl ProviderKind {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Gigachat => "gigachat",
            Self::Ollama => "ollama",
            Self::Command => "command",
            Self::Demo => "demo",
        }
    }
}

// === impl ProviderSection ===

impl ProviderSection {
    /// A provider of which nothing is said but what it speaks.
    pub(crate) fn new(id: &str, kind: ProviderKind) -> Self {
        Self {
            id: id.to_owned(),
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// What it speaks; where only a preset is named, what presets speak. `None` is a fault of the configuration.
    pub(crate) fn kind(&self) -> Option<ProviderKind> {
        self.kind
            .or_else(|| self.preset.is_some().then_some(ProviderKind::Openai))
    }

    /// Its preset.
    pub(crate) fn preset(&self) -> Option<&'static Preset> {
        Preset::find(self.preset.as_deref()?)
    }
}

// === impl ModelSection ===

impl ModelSection {
    /// A model of which nothing is known but its name.
    pub(crate) fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            aliases: Vec::new(),
            name: None,
            context_window: None,
            max_output_tokens: None,
            cost_per1k_input: None,
            cost_per1k_output: None,
            capabilities: None,
            required_tier: None,
        }
    }
}
