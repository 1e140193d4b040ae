//! How one OpenAI-compatible endpoint is reached and what it is known to accept.

use openclaw_core::{ProviderId, Secret, ValidationError, Violation};
use openclaw_http_client::{address, insert_secret};
use reqwest::Url;
use reqwest::header::HeaderMap;
use std::borrow::Cow;

/// The field that holds the longest answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_completion_tokens` for OpenAI's reasoning models (`o1`, `o3`, `o4`, `gpt-5` and what follows them in name),
    /// which refuse the other; `max_tokens` for all else.
    #[default]
    ByModel,
    /// `max_tokens`, which every compatible server knows.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// The provider it belongs to.
    pub provider: ProviderId,
    /// What comes before `/chat/completions`, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token; `None` where none is needed.
    pub key: Option<Secret>,
    /// Sent with every call beside the key. One of the name `Authorization` takes the key's place.
    pub headers: Vec<(String, Secret)>,
    /// Whether usage is asked for with `stream_options`. A few servers refuse what they do not know.
    pub include_usage: bool,
    /// Where the longest answer is written.
    pub max_tokens_field: MaxTokensField,
    /// Written before the names of models that have no scheme of their own, such as `gpt://folder/`; empty for nothing.
    /// The names people use stay short.
    pub model_prefix: String,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) provider: ProviderId,
    pub(crate) completions: Url,
    pub(crate) models: Url,
    pub(crate) headers: HeaderMap,
    /// To be blotted out, should a provider repeat it in a message.
    pub(crate) key: Option<Secret>,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens_field: MaxTokensField,
    model_prefix: String,
}

// === impl OpenAiConfig ===

impl OpenAiConfig {
    /// An endpoint that needs a key and keeps to OpenAI's form.
    pub fn new(provider: ProviderId, base_url: impl Into<String>, key: Option<Secret>) -> Self {
        Self {
            provider,
            base_url: base_url.into(),
            key,
            headers: Vec::new(),
            include_usage: true,
            max_tokens_field: MaxTokensField::default(),
            model_prefix: String::new(),
        }
    }

    /// Finds every fault without building anything; none shows a key or an address.
    pub fn check(&self) -> Result<(), ValidationError> {
        self.clone().validate().map(drop)
    }

    pub(crate) fn validate(self) -> Result<Endpoint, ValidationError> {
        let mut faults = Vec::new();
        let completions = address(&self.base_url, "/chat/completions");
        let models = address(&self.base_url, "/models");
        if completions.is_none() || models.is_none() {
            // The address is not repeated: it may hold a password.
            faults.push(Violation::new(
                "baseUrl",
                "…",
                "must be an http or https address without a password",
            ));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            let bearer = format!("Bearer {}", key.expose());
            if !insert_secret(&mut headers, "authorization", &bearer) {
                faults.push(Violation::new("apiKey", "…", "must be printable ASCII"));
            }
        }
        for (name, value) in &self.headers {
            if !insert_secret(&mut headers, name, value.expose()) {
                faults.push(Violation::new("headers", name, "must be a header and its value"));
            }
        }
        ValidationError::check(faults)?;
        match (completions, models) {
            (Some(completions), Some(models)) => Ok(Endpoint {
                provider: self.provider,
                completions,
                models,
                headers,
                key: self.key,
                include_usage: self.include_usage,
                max_tokens_field: self.max_tokens_field,
                model_prefix: self.model_prefix,
            }),
            _ => Err(ValidationError::one(
                "baseUrl",
                "…",
                "must be an http or https address",
            )),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The model's name as the provider wants it.
    pub(crate) fn full_name<'a>(&self, model: &'a str) -> Cow<'a, str> {
        if self.model_prefix.is_empty() || model.contains("://") {
            Cow::Borrowed(model)
        } else {
            Cow::Owned(format!("{}{model}", self.model_prefix))
        }
    }

    /// The name people use for a model that the provider names so.
    pub(crate) fn short_name<'a>(&self, model: &'a str) -> &'a str {
        model.strip_prefix(self.model_prefix.as_str()).unwrap_or(model)
    }
}

// === impl MaxTokensField ===

impl MaxTokensField {
    pub(crate) fn name(self, model: &str) -> &'static str {
        let completion = match self {
            Self::MaxTokens => false,
            Self::MaxCompletionTokens => true,
            Self::ByModel => {
                // Routers put the maker in front: `openai/o3-mini`.
                let bare = model.rsplit('/').next().unwrap_or(model);
                ["o1", "o3", "o4", "gpt-5"]
                    .iter()
                    .any(|family| bare.starts_with(family))
            }
        };
        if completion {
            "max_completion_tokens"
        } else {
            "max_tokens"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_written_before_names_without_a_scheme_and_taken_off_again() {
        let mut config = OpenAiConfig::new("p".parse().unwrap(), "http://127.0.0.1:1/v1", None);
        let plain = config.clone().validate().unwrap();
        assert_eq!(plain.full_name("a/b"), "a/b");
        assert_eq!(plain.short_name("gpt://f/a"), "gpt://f/a");
        config.model_prefix = "gpt://folder/".into();
        let endpoint = config.validate().unwrap();
        assert_eq!(
            endpoint.full_name("yandexgpt/latest"),
            "gpt://folder/yandexgpt/latest"
        );
        assert_eq!(endpoint.full_name("gpt://other/m"), "gpt://other/m");
        assert_eq!(
            endpoint.short_name("gpt://folder/yandexgpt/latest"),
            "yandexgpt/latest"
        );
    }
}
