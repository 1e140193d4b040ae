//! The wire formats: an adapter for each, asked of a mock or of a program.

use openclaw_ai_fabric::ModelPort;
use openclaw_anthropic::{AnthropicConfig, AnthropicModel};
use openclaw_command::{CommandConfig, CommandModel, OutputFormat};
use openclaw_core::{Clock, ProviderId, Random, Secret};
use openclaw_gigachat::{GigaChatConfig, GigaChatModel};
use openclaw_http_client::{Client, HttpClientConfig};
use openclaw_ollama::{OllamaConfig, OllamaModel};
use openclaw_openai::{OpenAiConfig, OpenAiModel};
use openclaw_testkit::MockProvider;
use std::sync::Arc;

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
    GigaChat,
    Ollama,
    Command,
}

/// Where an adapter finds its provider.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// The addresses of a mock; any format finds its own.
    Http {
        origin: String,
        base_url: String,
        gigachat: (String, String),
        /// Certificates trusted beside the system's.
        roots: Vec<String>,
    },
    /// A script for the shell.
    Script(String),
}

/// What adapters share with everything else.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Trusts the system's certificates. Building one reads all of these, so a test has one for all its runs.
    pub(crate) client: Client,
}

impl Format {
    pub(crate) const HTTP: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::GigaChat, Self::Ollama];
    pub(crate) const ALL: [Self; 5] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::GigaChat,
        Self::Ollama,
        Self::Command,
    ];

    /// Its name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::GigaChat => "gigachat",
            Self::Ollama => "ollama",
            Self::Command => "command",
        }
    }

    /// The adapter of this format, asking there on behalf of this provider.
    pub(crate) fn adapter(
        self,
        provider: &ProviderId,
        endpoint: &Endpoint,
        around: &Around,
    ) -> Arc<dyn ModelPort> {
        let provider = provider.clone();
        let (origin, base_url, (gigachat, auth), roots) = match endpoint {
            Endpoint::Script(script) => {
                let mut config = CommandConfig::new(provider, "sh");
                config.arguments = vec!["-c".into(), script.clone()];
                config.output = OutputFormat::JsonLines;
                return Arc::new(CommandModel::new(config).unwrap());
            }
            Endpoint::Http {
                origin,
                base_url,
                gigachat,
                roots,
            } => (origin, base_url, gigachat, roots),
        };
        let client = if roots.is_empty() {
            around.client.clone()
        } else {
            let config = HttpClientConfig {
                extra_roots: roots.iter().map(|pem| pem.clone().into_bytes()).collect(),
                ..HttpClientConfig::default()
            };
            config.build().unwrap()
        };
        let clock = Arc::clone(&around.clock);
        let key = Secret::new("a2V5OmhhcmQ=");
        match self {
            Self::OpenAi => {
                let config = OpenAiConfig::new(provider, base_url, Some(key));
                Arc::new(OpenAiModel::new(config, client, clock).unwrap())
            }
            Self::Anthropic => {
                let mut config = AnthropicConfig::new(provider, Some(key));
                config.base_url.clone_from(origin);
                Arc::new(AnthropicModel::new(config, client, clock).unwrap())
            }
            Self::GigaChat => {
                let mut config = GigaChatConfig::new(provider, key);
                config.base_url.clone_from(gigachat);
                config.auth_url.clone_from(auth);
                let random = Arc::clone(&around.random);
                Arc::new(GigaChatModel::new(config, client, clock, random).unwrap())
            }
            Self::Ollama => {
                let config = OllamaConfig::new(provider, origin);
                Arc::new(OllamaModel::new(config, client, clock).unwrap())
            }
            Self::Command => {
                let config = CommandConfig::new(provider, "/nonexistent/program");
                Arc::new(CommandModel::new(config).unwrap())
            }
        }
    }
}

impl Endpoint {
    /// A mock, its certificate not trusted.
    pub(crate) fn mock(mock: &MockProvider) -> Self {
        Self::Http {
            origin: mock.origin(),
            base_url: mock.base_url(),
            gigachat: (mock.gigachat_base_url(), mock.gigachat_auth_url()),
            roots: Vec::new(),
        }
    }

    /// A mock, its certificate trusted.
    pub(crate) fn trusted(mock: &MockProvider) -> Self {
        match Self::mock(mock) {
            Self::Http {
                origin,
                base_url,
                gigachat,
                ..
            } => Self::Http {
                origin,
                base_url,
                gigachat,
                roots: mock.certificate().map(str::to_owned).into_iter().collect(),
            },
            script @ Self::Script(_) => script,
        }
    }

    /// Where nobody is: the port is for nobody's use, and the command is no program.
    pub(crate) fn nowhere() -> Self {
        let origin = "http://127.0.0.1:1".to_owned();
        Self::Http {
            base_url: format!("{origin}/v1"),
            gigachat: (format!("{origin}/api/v1"), format!("{origin}/oauth")),
            origin,
            roots: Vec::new(),
        }
    }
}

/// A client as the server has it.
pub(crate) fn client() -> Client {
    HttpClientConfig::default().build().unwrap()
}
