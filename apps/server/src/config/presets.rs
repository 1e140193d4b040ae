//! What is known of providers before anybody is asked: presets of OpenAI-compatible ones, and which fields of a provider
//! belong to which kind.

use super::ai_fabric::AiFabricSection;
use super::ai_fabric::ProviderKind::{self, Anthropic, Command, Demo, Gigachat, Ollama, Openai};

/// An OpenAI-compatible provider that is known by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Preset {
    /// As it is written in the configuration.
    pub(crate) name: &'static str,
    /// Where its API begins.
    pub(crate) base_url: &'static str,
    /// Whether it answers nobody without a key.
    pub(crate) needs_key: bool,
    /// Whether it takes `stream_options`.
    pub(crate) stream_usage: bool,
    /// Whether it knows only `max_tokens`, whatever the model is called.
    pub(crate) only_max_tokens: bool,
    /// How a folder becomes part of a model's name and of the headers.
    pub(crate) folder: Option<Folder>,
}

/// A cloud folder that models belong to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Before the folder in a model's name; a slash follows it.
    pub(crate) scheme: &'static str,
    /// The header that names it.
    pub(crate) header: &'static str,
}

const fn preset(name: &'static str, base_url: &'static str) -> Preset {
    Preset {
        name,
        base_url,
        needs_key: true,
        stream_usage: true,
        only_max_tokens: true,
        folder: None,
    }
}

const fn local(name: &'static str, base_url: &'static str) -> Preset {
    Preset {
        needs_key: false,
        ..preset(name, base_url)
    }
}

/// The names, as the schema lists them.
pub(crate) const PRESET_NAMES: &[&str] = &[
    "openai",
    "cloudru",
    "yandex",
    "openrouter",
    "deepseek",
    "gemini",
    "mistral",
    "vllm",
    "lmstudio",
    "litellm",
];

/// Every preset, in the order of the names.
pub(crate) const PRESETS: &[Preset] = &[
    Preset {
        // Its reasoning models refuse the old field.
        only_max_tokens: false,
        ..preset("openai", "https://api.openai.com/v1")
    },
    preset("cloudru", "https://foundation-models.api.cloud.ru/v1"),
    Preset {
        folder: Some(Folder {
            scheme: "gpt://",
            header: "OpenAI-Project",
        }),
        ..preset("yandex", "https://llm.api.cloud.yandex.net/v1")
    },
    Preset {
        only_max_tokens: false,
        ..preset("openrouter", "https://openrouter.ai/api/v1")
    },
    preset("deepseek", "https://api.deepseek.com/v1"),
    preset(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    Preset {
        // It answers 422 to `stream_options` and sends usage without being asked.
        stream_usage: false,
        ..preset("mistral", "https://api.mistral.ai/v1")
    },
    local("vllm", "http://127.0.0.1:8000/v1"),
    local("lmstudio", "http://127.0.0.1:1234/v1"),
    local("litellm", "http://127.0.0.1:4000/v1"),
];

/// Kinds that speak HTTP.
const OVER_HTTP: &[ProviderKind] = &[Openai, Anthropic, Gigachat, Ollama];

/// The fields that not every kind has, and who has them.
pub(crate) const FIELDS_OF_KINDS: &[(&str, &[ProviderKind])] = &[
    ("preset", &[Openai]),
    ("folder", &[Openai]),
    ("streamUsage", &[Openai]),
    ("maxTokensField", &[Openai]),
    ("baseUrl", OVER_HTTP),
    ("apiKey", OVER_HTTP),
    ("rootCertificate", OVER_HTTP),
    ("proxy", OVER_HTTP),
    ("headers", OVER_HTTP),
    ("secretHeaders", OVER_HTTP),
    ("scope", &[Gigachat]),
    ("authUrl", &[Gigachat]),
    ("contextTokens", &[Ollama]),
    ("keepAlive", &[Ollama]),
    ("program", &[Command]),
    ("args", &[Command]),
    ("directory", &[Command]),
    ("output", &[Command]),
    ("maxOutputBytes", &[Command]),
    ("environment", &[Command]),
    ("secretEnvironment", &[Command]),
    ("wordDelayMs", &[Demo]),
];

// === impl Preset ===

impl Preset {
    /// The preset of that name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}

/// What presets fill in, by path, for `config show`.
pub(crate) fn values(section: &AiFabricSection) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for (index, provider) in section.providers.iter().enumerate() {
        let Some(preset) = provider.preset() else {
            continue;
        };
        let path = |field: &str| format!("ai-fabric.providers[{index}].{field}");
        values.push((path("kind"), "\"openai\"".to_owned()));
        values.push((path("baseUrl"), format!("\"{}\"", preset.base_url)));
        values.push((path("streamUsage"), preset.stream_usage.to_string()));
        let field = if preset.only_max_tokens {
            "max_tokens"
        } else {
            "auto"
        };
        values.push((path("maxTokensField"), format!("\"{field}\"")));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{self, Kind};

    #[test]
    fn the_schema_lists_every_preset() {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names, PRESET_NAMES);
        let field = schema::find("ai-fabric.providers[].preset").unwrap();
        assert_eq!(field.kind, Kind::Choice(PRESET_NAMES));
    }

    #[test]
    fn every_field_of_a_kind_is_one_of_the_schema() {
        for (name, _) in FIELDS_OF_KINDS {
            let path = format!("ai-fabric.providers[].{name}");
            let known = schema::FIELDS
                .iter()
                .any(|field| field.path == path || field.path == format!("{path}.*"));
            assert!(known, "{path}");
        }
    }
}
