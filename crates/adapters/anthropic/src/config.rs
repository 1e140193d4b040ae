//! How Claude is reached.

use openclaw_core::{ProviderId, Secret, ValidationError, Violation};
use openclaw_http_client::header::{HeaderMap, HeaderValue};
use openclaw_http_client::{Url, address, insert_secret};

/// The version of the protocol that is spoken.
const VERSION: &str = "2023-06-01";

/// An endpoint that speaks the messages protocol.
#[derive(Clone, Debug)]
pub struct AnthropicConfig {
    /// The provider it belongs to.
    pub provider: ProviderId,
    /// Where it is, with or without the trailing `/v1`.
    pub base_url: String,
    /// Sent as `x-api-key`; `None` where a proxy adds it.
    pub key: Option<Secret>,
    /// Sent with every call beside the key, such as `anthropic-beta`.
    pub headers: Vec<(String, Secret)>,
    /// The longest answer in tokens where a request names none: the protocol wants a number. Positive.
    pub default_max_tokens: u64,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) provider: ProviderId,
    pub(crate) messages: Url,
    pub(crate) models: Url,
    pub(crate) headers: HeaderMap,
    /// To be blotted out, should a provider repeat it in a message.
    pub(crate) key: Option<Secret>,
    pub(crate) default_max_tokens: u64,
}

// === impl AnthropicConfig ===

impl AnthropicConfig {
    /// Where Anthropic itself answers.
    pub const BASE_URL: &str = "https://api.anthropic.com/v1";

    /// Anthropic's own endpoint.
    pub fn new(provider: ProviderId, key: Option<Secret>) -> Self {
        Self {
            provider,
            base_url: Self::BASE_URL.to_owned(),
            key,
            headers: Vec::new(),
            default_max_tokens: 4_096,
        }
    }

    /// Finds every fault without building anything; none shows a key or an address.
    pub fn check(&self) -> Result<(), ValidationError> {
        self.clone().validate().map(drop)
    }

    pub(crate) fn validate(self) -> Result<Endpoint, ValidationError> {
        let mut faults = Vec::new();
        let base = self.base_url.trim_end_matches('/');
        // Anthropic's own tools are given the address without the version.
        let base = base.strip_suffix("/v1").unwrap_or(base);
        let messages = address(base, "/v1/messages");
        let models = address(base, "/v1/models?limit=1000");
        let rule = "must be an http or https address without a password";
        if messages.is_none() || models.is_none() {
            // The address is not repeated: it may hold a password.
            faults.push(Violation::new("baseUrl", "…", rule));
        }
        if self.default_max_tokens == 0 {
            faults.push(Violation::new("maxOutputTokens", 0, "must be at least 1"));
        }
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        if let Some(key) = &self.key
            && !insert_secret(&mut headers, "x-api-key", key.expose())
        {
            faults.push(Violation::new("apiKey", "…", "must be printable ASCII"));
        }
        for (name, value) in &self.headers {
            if !insert_secret(&mut headers, name, value.expose()) {
                faults.push(Violation::new("headers", name, "must be a header and its value"));
            }
        }
        ValidationError::check(faults)?;
        match (messages, models) {
            (Some(messages), Some(models)) => Ok(Endpoint {
                provider: self.provider,
                messages,
                models,
                headers,
                key: self.key,
                default_max_tokens: self.default_max_tokens,
            }),
            _ => Err(ValidationError::one("baseUrl", "…", rule)),
        }
    }
}
