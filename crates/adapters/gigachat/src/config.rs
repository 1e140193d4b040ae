//! How GigaChat is reached, and on whose behalf.

use openclaw_core::{ProviderId, Secret, ValidationError, Violation};
use openclaw_http_client::header::HeaderMap;
use openclaw_http_client::{Url, address, insert_secret};
use std::str::FromStr;

/// On whose behalf the provider is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A person: `GIGACHAT_API_PERS`.
    #[default]
    Personal,
    /// A company that paid in advance: `GIGACHAT_API_B2B`.
    Business,
    /// A company that pays afterwards: `GIGACHAT_API_CORP`.
    Corporate,
}

/// GigaChat.
#[derive(Clone, Debug)]
pub struct GigaChatConfig {
    /// The provider it belongs to.
    pub provider: ProviderId,
    /// What comes before `/chat/completions`.
    pub base_url: String,
    /// Where the key is exchanged for a token.
    pub auth_url: String,
    /// The authorization key: client id and secret, joined and in base 64, as the provider's page shows it.
    pub credentials: Secret,
    /// On whose behalf.
    pub scope: Scope,
    /// Sent with every call for an answer.
    pub headers: Vec<(String, Secret)>,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) completions: Url,
    pub(crate) models: Url,
    pub(crate) auth: Url,
    pub(crate) headers: HeaderMap,
    /// Sent with the exchange of the key.
    pub(crate) auth_headers: HeaderMap,
    pub(crate) scope: Scope,
}

// === impl Scope ===

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Personal, Self::Business, Self::Corporate];

    /// The provider's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "GIGACHAT_API_PERS",
            Self::Business => "GIGACHAT_API_B2B",
            Self::Corporate => "GIGACHAT_API_CORP",
        }
    }

    /// How many answers the provider gives at once: what `concurrentRequests` should be.
    pub const fn parallel_streams(self) -> u64 {
        match self {
            Self::Personal => 1,
            Self::Business | Self::Corporate => 10,
        }
    }
}

impl FromStr for Scope {
    type Err = ValidationError;

    /// Reads the provider's name, or its last part alone.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let upper = text.trim().to_uppercase();
        Self::ALL
            .into_iter()
            .find(|scope| {
                scope.as_str().strip_prefix("GIGACHAT_API_") == Some(upper.as_str())
                    || scope.as_str() == upper
            })
            .ok_or_else(|| {
                let rule = "must be GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP";
                ValidationError::one("scope", text, rule)
            })
    }
}

// === impl GigaChatConfig ===

impl GigaChatConfig {
    /// Where the provider answers.
    pub const BASE_URL: &str = "https://gigachat.devices.sberbank.ru/api/v1";
    /// Where the provider exchanges keys.
    pub const AUTH_URL: &str = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth";

    /// The provider's own endpoint, for a person.
    pub fn new(provider: ProviderId, credentials: Secret) -> Self {
        Self {
            provider,
            base_url: Self::BASE_URL.to_owned(),
            auth_url: Self::AUTH_URL.to_owned(),
            credentials,
            scope: Scope::default(),
            headers: Vec::new(),
        }
    }

    /// Finds every fault without building anything; none shows a key or an address.
    pub fn check(&self) -> Result<(), ValidationError> {
        self.clone().validate().map(drop)
    }

    pub(crate) fn validate(self) -> Result<Endpoint, ValidationError> {
        let rule = "must be an http or https address without a password";
        let mut faults = Vec::new();
        let completions = address(&self.base_url, "/chat/completions");
        let models = address(&self.base_url, "/models");
        let auth = address(&self.auth_url, "");
        // Addresses are not repeated: they may hold a password.
        if completions.is_none() || models.is_none() {
            faults.push(Violation::new("baseUrl", "…", rule));
        }
        if auth.is_none() {
            faults.push(Violation::new("authUrl", "…", rule));
        }
        let mut auth_headers = HeaderMap::new();
        let key = self.credentials.expose().trim();
        if key.is_empty() || !insert_secret(&mut auth_headers, "authorization", &format!("Basic {key}")) {
            faults.push(Violation::new(
                "credentials",
                "…",
                "must be printable ASCII and not empty",
            ));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if !insert_secret(&mut headers, name, value.expose()) {
                faults.push(Violation::new("headers", name, "must be a header and its value"));
            }
        }
        ValidationError::check(faults)?;
        match (completions, models, auth) {
            (Some(completions), Some(models), Some(auth)) => Ok(Endpoint {
                completions,
                models,
                auth,
                headers,
                auth_headers,
                scope: self.scope,
            }),
            _ => Err(ValidationError::one("baseUrl", "…", rule)),
        }
    }
}
