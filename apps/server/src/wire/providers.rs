//! Providers as the fabric registers them, made from what the configuration says of them.

use crate::config::ai_fabric::{ModelSection, OutputFormat, ProviderKind, ProviderSection};
use crate::config::secrets::ProviderSecrets;
use crate::texts::Said;
use anyhow::Context as _;
use async_trait::async_trait;
use openclaw_ai_fabric::{
    AnswerForm, ChatRequest, ModelCapability, ModelDefinition, ModelError, ModelPort, ModelProvider,
    ModelStream, ProviderRateLimit, QuotaSink,
};
use openclaw_anthropic::{AnthropicConfig, AnthropicModel};
use openclaw_command::{CommandConfig, CommandModel};
use openclaw_core::{AccessTier, Clock, CorrelationId, ModelId, ProviderId, Random, Secret, ValidationError};
use openclaw_demo::DemoModel;
use openclaw_gigachat::{GigaChatConfig, GigaChatModel};
use openclaw_http_client::{Client, HttpClientConfig};
use openclaw_ollama::{OllamaConfig, OllamaModel};
use openclaw_openai::{MaxTokensField, OpenAiConfig, OpenAiModel};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// What adapters are built with.
#[derive(Clone, Debug)]
pub(crate) struct AdapterParts {
    pub(crate) http: Client,
    /// For answers in one piece, which are read on other threads; see [`ByForm`].
    pub(crate) whole: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) quota: Arc<dyn QuotaSink>,
}

/// What an adapter is told, by kind.
enum AdapterConfig {
    OpenAi(OpenAiConfig),
    Anthropic(AnthropicConfig),
    GigaChat(GigaChatConfig),
    Ollama(OllamaConfig),
    Command(CommandConfig),
    Demo { word_delay: Option<Duration> },
}

/// An adapter with connections of its own for answers in one piece.
///
/// A connection is driven by a task on the threads it was opened from. Calls in one piece stay on their caller's threads,
/// streams on the workers': each over a connection of the other would hand every piece from thread to thread.
#[derive(Debug)]
struct ByForm<M> {
    pieces: M,
    whole: M,
}

#[async_trait]
impl<M: ModelPort> ModelPort for ByForm<M> {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let adapter = match request.form {
            AnswerForm::Whole => &self.whole,
            AnswerForm::Streamed => &self.pieces,
        };
        adapter.stream(model, request, correlation_id).await
    }

    fn always_streams(&self) -> bool {
        self.pieces.always_streams()
    }

    async fn models(&self) -> Result<Option<Vec<ModelId>>, ModelError> {
        self.pieces.models().await
    }
}

/// A provider and its adapter.
pub(crate) type Ready = (ModelProvider, Arc<dyn ModelPort>);

/// Builds the adapter. No call is made.
pub(crate) fn build(
    section: &ProviderSection,
    secrets: &ProviderSecrets,
    parts: &AdapterParts,
) -> anyhow::Result<Ready> {
    let provider = provider(section)?;
    let config = adapter(section, secrets, provider.id.clone())?;
    let http = || client(section, secrets, &parts.http);
    let whole = || client(section, secrets, &parts.whole);
    let clock = || Arc::clone(&parts.clock);
    let quota = || Arc::clone(&parts.quota);
    let port: Arc<dyn ModelPort> = match config {
        AdapterConfig::OpenAi(config) => Arc::new(ByForm {
            pieces: OpenAiModel::new(config.clone(), http()?, clock())?.with_quota_sink(quota()),
            whole: OpenAiModel::new(config, whole()?, clock())?.with_quota_sink(quota()),
        }),
        AdapterConfig::Anthropic(config) => Arc::new(ByForm {
            pieces: AnthropicModel::new(config.clone(), http()?, clock())?.with_quota_sink(quota()),
            whole: AnthropicModel::new(config, whole()?, clock())?.with_quota_sink(quota()),
        }),
        AdapterConfig::GigaChat(config) => Arc::new(GigaChatModel::new(
            config,
            http()?,
            clock(),
            Arc::clone(&parts.random),
        )?),
        AdapterConfig::Ollama(config) => Arc::new(ByForm {
            pieces: OllamaModel::new(config.clone(), http()?, clock())?,
            whole: OllamaModel::new(config, whole()?, clock())?,
        }),
        AdapterConfig::Command(config) => Arc::new(CommandModel::new(config)?),
        AdapterConfig::Demo { word_delay } => {
            let model = DemoModel::new(clock());
            Arc::new(match word_delay {
                Some(delay) => model.with_word_delay(delay),
                None => model,
            })
        }
    };
    Ok((provider, port))
}

/// What the adapter would refuse, by field; with a key in the place of the real one.
pub(crate) fn faults(section: &ProviderSection) -> Vec<(String, Said)> {
    let secrets = ProviderSecrets {
        api_key: section.api_key.as_ref().map(|_| Secret::new("key")),
        ..ProviderSecrets::default()
    };
    let checked = ProviderId::parse(&section.id)
        .map_err(anyhow::Error::from)
        .and_then(|id| {
            provider(section)?;
            let checked = match adapter(section, &secrets, id)? {
                AdapterConfig::OpenAi(config) => config.check(),
                AdapterConfig::Anthropic(config) => config.check(),
                AdapterConfig::GigaChat(config) => config.check(),
                AdapterConfig::Ollama(config) => config.check(),
                AdapterConfig::Command(config) => config.check(),
                AdapterConfig::Demo { .. } => Ok(()),
            };
            Ok(checked?)
        });
    let Err(error) = checked else {
        return Vec::new();
    };
    match error.downcast_ref::<ValidationError>() {
        Some(error) => error
            .violations
            .iter()
            .map(|violation| {
                let message = Said::new(|texts| texts.broken_rule(&violation.value, &violation.rule));
                (violation.field.clone(), message)
            })
            .collect(),
        None => {
            let why = format!("{error:#}");
            vec![(String::new(), Said::new(|texts| texts.fault_by_part(&why)))]
        }
    }
}

fn adapter(
    section: &ProviderSection,
    secrets: &ProviderSecrets,
    id: ProviderId,
) -> anyhow::Result<AdapterConfig> {
    let key = secrets.api_key.clone();
    let plain = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
    let secret = |(name, value): (&String, &Secret)| (name.clone(), value.clone());
    let headers: Vec<(String, Secret)> = section
        .headers
        .iter()
        .map(plain)
        .chain(secrets.headers.iter().map(secret))
        .collect();
    let base_url = |own: &str| section.base_url.clone().unwrap_or_else(|| own.to_owned());
    let kind = section
        .kind()
        .with_context(|| format!("provider {} has neither kind nor preset", section.id))?;
    Ok(match kind {
        ProviderKind::Openai => AdapterConfig::OpenAi(openai(section, id, key, headers)),
        ProviderKind::Anthropic => AdapterConfig::Anthropic(AnthropicConfig {
            base_url: base_url(AnthropicConfig::BASE_URL),
            headers,
            ..AnthropicConfig::new(id, key)
        }),
        ProviderKind::Gigachat => {
            let credentials = key.with_context(|| format!("provider {} has no apiKey", section.id))?;
            let defaults = GigaChatConfig::new(id, credentials);
            AdapterConfig::GigaChat(GigaChatConfig {
                base_url: base_url(GigaChatConfig::BASE_URL),
                auth_url: section
                    .auth_url
                    .clone()
                    .unwrap_or_else(|| GigaChatConfig::AUTH_URL.to_owned()),
                scope: section
                    .scope
                    .as_deref()
                    .map(str::parse)
                    .transpose()?
                    .unwrap_or_default(),
                headers,
                ..defaults
            })
        }
        ProviderKind::Ollama => AdapterConfig::Ollama(OllamaConfig {
            key,
            headers,
            context_tokens: section.context_tokens,
            keep_alive: section.keep_alive.clone(),
            ..OllamaConfig::new(id, &base_url(OllamaConfig::BASE_URL))
        }),
        ProviderKind::Command => {
            let program = section.program.clone().unwrap_or_default();
            let defaults = CommandConfig::new(id, program);
            AdapterConfig::Command(CommandConfig {
                arguments: section.args.clone(),
                directory: section.directory.clone(),
                environment: section
                    .environment
                    .iter()
                    .map(plain)
                    .chain(secrets.environment.iter().map(secret))
                    .collect(),
                output: match section.output {
                    Some(OutputFormat::JsonLines) => openclaw_command::OutputFormat::JsonLines,
                    Some(OutputFormat::Text) => openclaw_command::OutputFormat::Text,
                    None => defaults.output,
                },
                max_output_bytes: section
                    .max_output_bytes
                    .map_or(defaults.max_output_bytes, |size| size.0 as u64),
                ..defaults
            })
        }
        ProviderKind::Demo => AdapterConfig::Demo {
            word_delay: section.word_delay_ms.map(Duration::from_millis),
        },
    })
}

fn openai(
    section: &ProviderSection,
    id: ProviderId,
    key: Option<Secret>,
    mut headers: Vec<(String, Secret)>,
) -> OpenAiConfig {
    let preset = section.preset();
    let own = preset.map_or("https://api.openai.com/v1", |preset| preset.base_url);
    let base_url = section.base_url.clone().unwrap_or_else(|| own.to_owned());
    let mut config = OpenAiConfig::new(id, base_url, key);
    if let Some(preset) = preset {
        config.include_usage = preset.stream_usage;
        if preset.only_max_tokens {
            config.max_tokens_field = MaxTokensField::MaxTokens;
        }
        if let (Some(folder), Some(name)) = (&preset.folder, &section.folder) {
            config.model_prefix = format!("{}{name}/", folder.scheme);
            if !headers
                .iter()
                .any(|(header, _)| header.eq_ignore_ascii_case(folder.header))
            {
                headers.push((folder.header.to_owned(), Secret::new(name.clone())));
            }
        }
    }
    config.headers = headers;
    if let Some(asked) = section.stream_usage {
        config.include_usage = asked;
    }
    match section.max_tokens_field.as_deref() {
        Some("max_tokens") => config.max_tokens_field = MaxTokensField::MaxTokens,
        Some("max_completion_tokens") => config.max_tokens_field = MaxTokensField::MaxCompletionTokens,
        Some(_) => config.max_tokens_field = MaxTokensField::ByModel,
        None => {}
    }
    config
}

/// The common client, or one of the provider's own where it trusts other roots or goes through a proxy.
fn client(section: &ProviderSection, secrets: &ProviderSecrets, common: &Client) -> anyhow::Result<Client> {
    if secrets.root_certificate.is_none() && section.proxy.is_none() {
        return Ok(common.clone());
    }
    let config = HttpClientConfig {
        extra_roots: secrets
            .root_certificate
            .iter()
            .map(|pem| pem.clone().into_bytes())
            .collect(),
        proxy: section.proxy.clone(),
        ..HttpClientConfig::default()
    };
    config
        .build()
        .with_context(|| format!("the HTTP client of provider {} could not be built", section.id))
}

pub(super) fn provider(section: &ProviderSection) -> anyhow::Result<ModelProvider> {
    let id = ProviderId::parse(&section.id)?;
    let mut models = section
        .models
        .iter()
        .map(|model| self::model(model, &id))
        .collect::<anyhow::Result<Vec<_>>>()?;
    match section.kind() {
        Some(ProviderKind::Demo) if models.is_empty() => {
            let own = DemoModel::provider()?.models.into_iter();
            models.extend(own.map(|model| ModelDefinition {
                provider: id.clone(),
                ..model
            }));
        }
        // A program is one model unless it says otherwise.
        Some(ProviderKind::Command) if models.is_empty() => {
            models.push(ModelDefinition::unlisted(
                ModelId::parse(&section.id)?,
                id.clone(),
            ));
        }
        Some(_) | None => {}
    }
    let limit = |value: Option<u64>| value.and_then(NonZeroU64::new);
    Ok(ModelProvider {
        name: section.name.clone().unwrap_or_else(|| section.id.clone()),
        base_url: section
            .base_url
            .clone()
            .or_else(|| section.preset().map(|preset| preset.base_url.to_owned())),
        models,
        rate_limit: ProviderRateLimit {
            requests_per_minute: limit(section.rate_limit.requests_per_minute),
            tokens_per_minute: limit(section.rate_limit.tokens_per_minute),
            concurrent_requests: limit(section.rate_limit.concurrent_requests),
        },
        priority: section
            .priority
            .map_or(0, |priority| i32::try_from(priority).unwrap_or(0)),
        any_model: section.any_model,
        id,
    })
}

fn model(section: &ModelSection, provider: &ProviderId) -> anyhow::Result<ModelDefinition> {
    let unlisted = ModelDefinition::unlisted(ModelId::parse(&section.id)?, provider.clone());
    let capabilities = match &section.capabilities {
        None => unlisted.capabilities.clone(),
        Some(names) => {
            let mut capabilities = names
                .iter()
                .map(|name| super::named::<ModelCapability>("capabilities", name))
                .collect::<anyhow::Result<Vec<_>>>()?;
            capabilities.sort();
            capabilities.dedup();
            capabilities
        }
    };
    let tier = section
        .required_tier
        .as_deref()
        .map(str::parse::<AccessTier>)
        .transpose()?;
    Ok(ModelDefinition {
        aliases: section
            .aliases
            .iter()
            .map(ModelId::parse)
            .collect::<Result<_, _>>()?,
        name: section.name.clone().unwrap_or_else(|| section.id.clone()),
        context_window: section.context_window.unwrap_or(unlisted.context_window),
        max_output_tokens: section.max_output_tokens.unwrap_or(unlisted.max_output_tokens),
        cost_per_1k_input: section.cost_per1k_input.unwrap_or(0.0),
        cost_per_1k_output: section.cost_per1k_output.unwrap_or(0.0),
        capabilities,
        required_tier: tier.unwrap_or_default(),
        ..unlisted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::{ChatMessage, Role, Timestamp};
    use openclaw_system::SystemRandom;

    /// Refuses, and says by the error's text who it is.
    #[derive(Debug)]
    struct Named(&'static str);

    #[async_trait]
    impl ModelPort for Named {
        async fn stream(
            &self,
            _: &ModelId,
            _: &ChatRequest,
            _: CorrelationId,
        ) -> Result<ModelStream, ModelError> {
            Err(ModelError::Connect {
                message: self.0.to_owned(),
            })
        }
    }

    #[tokio::test]
    async fn each_form_of_an_answer_has_connections_of_its_own() {
        let adapter = ByForm {
            pieces: Named("pieces"),
            whole: Named("whole"),
        };
        let model = ModelId::parse("model").unwrap();
        for (form, expected) in [(AnswerForm::Streamed, "pieces"), (AnswerForm::Whole, "whole")] {
            let mut request = ChatRequest::new(vec![ChatMessage::text(Role::User, "hello")], 10);
            request.form = form;
            let id = CorrelationId::new(Timestamp::from_millis(0), &SystemRandom);
            let Err(ModelError::Connect { message }) = adapter.stream(&model, &request, id).await else {
                panic!("{form:?} is asked of somebody else");
            };
            assert_eq!(message, expected);
        }
    }
}
