//! The composition root: every part of the server, built in the order in which they depend on each other.

mod rules;

pub(crate) use rules::{BrokenRule, broken_rules, pool_values};

use crate::accept::ConnectionCounts;
use crate::config::sections::{
    AiFabricSection, ConcurrencySection, GroupMode, IntakeMode, ModelSection, PluginsSection, ProviderKind,
    ProviderSection, RateLimitFields, Sections, StorageKind, StreamMode, StreamOverrides, StreamingSection,
};
use crate::config::{FoundProvider, Loaded};
use crate::http::admin::status::Facts;
use crate::http::native::{Native, Visitors};
use crate::http::{App, HttpLimits, PoolBounds};
use crate::intake::Trouble;
use crate::keys::KeyRing;
use crate::prometheus::Counters;
use anyhow::{Context, bail};
use openclaw_ai_fabric::{
    BudgetScope, CircuitBreakers, CircuitConfig, Estimator, FallbackChain, FallbackRouter, ModelCapability,
    ModelDefinition, ModelProvider, ModelSelector, ProviderRateLimit, ProviderRegistry,
    RateLimiter as ProviderLimiter, RouterConfig, RouterDeps, TierLimits, TokenBudget, TokenBudgetConfig,
};
use openclaw_concurrency::{ConcurrencyConfig, ConcurrencyOptions, Preset, WorkerPool};
use openclaw_core::{
    AccessTier, Clock, EventBus, EventContext, InProcessEventBus, Language, ModelId, Platform, ProviderId,
    Random, Secret,
};
use openclaw_demo::DemoModel;
use openclaw_gateway::ports::{KeyStore, MetaStore, TenantDirectory, TurnStore};
use openclaw_gateway::{Chats, Gateway, GatewayConfig, GatewayParts, JobRunner, Retries, ShowMode};
use openclaw_http_client::HttpClientConfig;
use openclaw_memory::MemoryStore;
use openclaw_messenger::{
    DispatchLimits, MessageDispatcher, MessengerPort, RateLimit, RateLimiter, RateLimits, WebhookRouter,
    WebhookSecrets,
};
use openclaw_openai::{OpenAiConfig, OpenAiModel};
use openclaw_plugins::{HookDispatcher, HookLimits, PluginRegistry};
use openclaw_sqlite::{SqliteOptions, SqliteStore};
use openclaw_streaming::{StreamConfig, StreamOptions, StreamingOptions};
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_task_runtime::{TaskRuntime, TaskRuntimeConfig};
use openclaw_telegram::{TelegramAdapter, TelegramConfig};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Callers whose rate is remembered at once.
const MAX_CALLERS: usize = 100_000;

/// The server, built and not yet started.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) app: Arc<App>,
    pub(crate) gateway: Gateway,
    pub(crate) bus: Arc<InProcessEventBus>,
    pub(crate) telegram: Option<Telegram>,
    pub(crate) meta: Arc<dyn MetaStore>,
    /// Ends when the store has failed for good.
    pub(crate) sqlite: Option<Arc<SqliteStore>>,
    /// What answers, in words for the banner.
    pub(crate) model: ModelChoice,
    pub(crate) storage: &'static str,
}

/// Which model answers and why.
#[derive(Clone, Debug)]
pub(crate) struct ModelChoice {
    pub(crate) models: Vec<String>,
    pub(crate) why: ModelReason,
    pub(crate) is_demo: bool,
}

/// Why these models answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelReason {
    /// The configuration names them.
    Configured,
    /// `OPENAI_API_KEY` is set.
    ApiKeyFound,
    /// `OPENAI_BASE_URL` is set, without a key.
    BaseUrlFound,
    /// Nothing is said: the built-in one.
    NothingFound,
}

/// The Telegram adapter and how its updates come in.
#[derive(Clone, Debug)]
pub(crate) struct Telegram {
    pub(crate) adapter: Arc<TelegramAdapter>,
    pub(crate) intake: Intake,
    pub(crate) secret: Option<Secret>,
    /// Why no updates come, while none do.
    pub(crate) trouble: Trouble,
}

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Polling,
    /// The path is served; whether Telegram is told of it depends on a public address.
    Webhook,
}

/// All the stores of one backend.
struct Stores {
    turns: Arc<dyn TurnStore>,
    directory: Arc<dyn TenantDirectory>,
    keys: Arc<dyn KeyStore>,
    meta: Arc<dyn MetaStore>,
    sqlite: Option<Arc<SqliteStore>>,
    name: &'static str,
}

/// Builds the server. Must run inside the server's tokio runtime. `admin` and `api_key` are the operator's;
/// `visitor_key` signs the cookies of visitors.
pub(crate) async fn build(
    loaded: &Loaded,
    data_dir: &Path,
    admin: &Secret,
    api_key: &Secret,
    visitor_key: Secret,
) -> anyhow::Result<Built> {
    let sections = &loaded.sections;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let bus = InProcessEventBus::new();
    let events = EventContext::new(
        Arc::clone(&bus) as Arc<dyn EventBus>,
        Arc::clone(&clock),
        "gateway",
    );

    let concurrency = concurrency(&sections.concurrency)?;
    let gateway_config = gateway_config(sections, loaded.language)?;
    let streaming = streaming(&sections.streaming)?;
    let stores = open_stores(sections.storage.kind, data_dir, &*clock)?;

    let http = HttpClientConfig::default()
        .build()
        .context("the HTTP client could not be built")?;
    let registry = Arc::new(ProviderRegistry::new());
    let limiter = Arc::new(ProviderLimiter::new(Arc::clone(&clock)));
    let model = providers(loaded, &registry, &limiter, &http, &clock)?;
    let circuits = CircuitBreakers::new(circuit(&sections.ai_fabric), Arc::clone(&clock), &events);
    let estimator = Arc::new(Estimator::new());
    let router = FallbackRouter::new(
        router_config(&sections.ai_fabric),
        RouterDeps {
            registry: Arc::clone(&registry),
            limiter,
            circuits: circuits.clone(),
            estimator: Arc::clone(&estimator),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            events: events.clone(),
        },
    );
    let budget = TokenBudget::new(budgets(&sections.ai_fabric)?, Arc::clone(&clock), &events);

    let rates = rate_limits(sections)?;
    let telegram = telegram(loaded, http)?;
    let adapters: Vec<Arc<dyn MessengerPort>> = telegram
        .iter()
        .map(|telegram| Arc::clone(&telegram.adapter) as Arc<dyn MessengerPort>)
        .collect();
    let dispatcher = Arc::new(MessageDispatcher::new(
        adapters,
        dispatch_limits(sections, rates)?,
        Arc::clone(&clock),
        &events,
    ));
    let webhooks = WebhookRouter::new(Arc::clone(&clock), &events);
    if let Some(telegram) = &telegram {
        let secrets = match (&telegram.secret, telegram.intake) {
            (Some(secret), Intake::Webhook) => WebhookSecrets::one(secret.clone()),
            // Without a secret, or while polling, nobody is believed on the webhook path.
            (None, _) | (_, Intake::Polling) => WebhookSecrets::none(),
        };
        webhooks.register(Arc::clone(&telegram.adapter) as Arc<dyn MessengerPort>, secrets);
    }
    let plugins = PluginRegistry::new(Arc::clone(&clock), events.for_source("plugins"));
    let hooks = HookDispatcher::new(plugins, Arc::clone(&clock), events.for_source("plugins"));
    let hooks = Arc::new(hooks.with_limits(hook_limits(&sections.plugins)?));

    let runner = JobRunner::new(GatewayParts {
        config: gateway_config,
        streaming,
        show: show(sections),
        default_chain: default_chain(&sections.ai_fabric)?,
        retries: retries(&sections.ai_fabric)?,
        store: Arc::clone(&stores.turns),
        selector: Arc::new(ModelSelector::new(Arc::clone(&registry), circuits.clone())),
        router: Arc::new(router),
        budget: Arc::new(budget),
        estimator,
        hooks,
        dispatcher,
        clock: Arc::clone(&clock),
        random,
        events: events.clone(),
    });
    let work = runner.clone();
    let runtime = TaskRuntime::new(
        TaskRuntimeConfig::default(),
        Arc::clone(&clock),
        move |job, context| {
            let runner = work.clone();
            async move { runner.run(job, context).await }
        },
    )
    .context("the workers' threads could not be started")?;
    let pool = WorkerPool::new(
        concurrency.clone(),
        runtime,
        Arc::clone(&clock),
        events.for_source("concurrency"),
    )?;
    let gateway = Gateway::new(&runner, pool, concurrency.starvation_limit);

    let keys = KeyRing::new(admin, api_key, loaded.secrets.web_api_key.as_ref(), clock.now());
    keys.reload(&*stores.keys)
        .await
        .context("the stored API keys could not be read")?;
    let public_url = sections.server.public_url.as_deref();
    let native = Native::new(
        Chats::new(gateway.clone(), Arc::clone(&stores.directory)),
        sections.messenger.web.enabled.then(|| {
            Visitors::new(
                visitor_key,
                public_url.is_some_and(|url| url.starts_with("https://")),
            )
        }),
        (rates.web, rates.api),
        sections.server.trusted_proxies.clone(),
        public_url,
        &clock,
    );
    let app = Arc::new(App {
        gateway: gateway.clone(),
        store: stores.turns,
        key_store: stores.keys,
        registry,
        webhooks,
        keys,
        inbound: RateLimiter::new(rates.api, MAX_CALLERS, Arc::clone(&clock)),
        counters: Arc::new(Counters::default()),
        started: clock.monotonic(),
        clock,
        language: loaded.language,
        limits: HttpLimits::of(&sections.server),
        draining: AtomicBool::new(false),
        pool: PoolBounds {
            min_workers: concurrency.min_workers,
            max_workers: concurrency.max_workers,
            max_queue_size: concurrency.max_queue_size,
            threshold: concurrency.backpressure_threshold,
        },
        native,
        connections: Arc::new(ConnectionCounts::default()),
        facts: Facts {
            storage: stores.name,
            is_demo: model.is_demo,
            circuits,
            telegram: telegram.clone(),
            web: sections.messenger.web.enabled,
        },
    });
    Ok(Built {
        app,
        gateway,
        bus,
        telegram,
        meta: stores.meta,
        sqlite: stores.sqlite,
        model,
        storage: stores.name,
    })
}

fn open_stores(kind: StorageKind, data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<Stores> {
    Ok(match kind {
        StorageKind::Memory => {
            let store = Arc::new(MemoryStore::new());
            Stores {
                turns: Arc::clone(&store) as _,
                directory: Arc::clone(&store) as _,
                keys: Arc::clone(&store) as _,
                meta: store,
                sqlite: None,
                name: "memory",
            }
        }
        StorageKind::Sqlite => {
            let store = Arc::new(SqliteStore::open(
                data_dir,
                SqliteOptions::default(),
                clock.now(),
            )?);
            Stores {
                turns: Arc::clone(&store) as _,
                directory: Arc::clone(&store) as _,
                keys: Arc::clone(&store) as _,
                meta: Arc::clone(&store) as _,
                sqlite: Some(store),
                name: "sqlite",
            }
        }
    })
}

/// Reads a name of the configuration as the type that has it, in the type's own words.
fn named<T: DeserializeOwned>(field: &str, name: &str) -> anyhow::Result<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .with_context(|| format!("{field} = {name:?}"))
}

fn count(field: &str, value: u64) -> anyhow::Result<usize> {
    usize::try_from(value).with_context(|| format!("{field} = {value} is too large"))
}

/// `custom` is no preset: the pool's own defaults.
fn preset(section: &ConcurrencySection) -> anyhow::Result<Option<Preset>> {
    let name = section.preset.as_deref().filter(|name| *name != "custom");
    name.map(|name| named("concurrency.preset", name)).transpose()
}

fn concurrency(section: &ConcurrencySection) -> anyhow::Result<ConcurrencyConfig> {
    let size = |field: &str, value: Option<u64>| value.map(|value| count(field, value)).transpose();
    let options = ConcurrencyOptions {
        preset: preset(section)?,
        min_workers: size("concurrency.minWorkers", section.min_workers)?,
        max_workers: size("concurrency.maxWorkers", section.max_workers)?,
        max_queue_size: size("concurrency.maxQueueSize", section.max_queue_size)?,
        worker_timeout_ms: section.worker_timeout_ms,
        max_requests_per_worker: section.max_requests_per_worker,
        memory_limit_mb: section.memory_limit_mb,
        backpressure_threshold: section.backpressure_threshold,
        heartbeat_interval_ms: section.heartbeat_interval_ms,
        stuck_threshold_ms: section.stuck_threshold_ms,
        starvation_limit_ms: section.starvation_limit_ms,
        metrics_window_ms: section.latency_window_ms,
        ..ConcurrencyOptions::default()
    };
    Ok(options.resolve()?)
}

fn gateway_config(sections: &Sections, language: Language) -> anyhow::Result<GatewayConfig> {
    let session = &sections.session;
    let defaults = GatewayConfig::default();
    let tier = session
        .default_tier
        .as_deref()
        .map(str::parse::<AccessTier>)
        .transpose();
    Ok(GatewayConfig {
        admission_deadline: sections.inbox.admission_deadline,
        replay_max_age: sections.inbox.replay_max_age,
        max_open_entries: sections.inbox.max_open,
        max_attempts: sections.inbox.max_attempts,
        max_reply_tokens: session.max_reply_tokens,
        system_prompt: session.system_prompt.clone().unwrap_or_default(),
        store_texts: sections.storage.store_texts,
        max_history_tokens: session.max_history_tokens.unwrap_or(defaults.max_history_tokens),
        forget_with_session: session.history_policy.as_deref() == Some("forget"),
        cleanup_interval: session
            .cleanup_interval_ms
            .map_or(defaults.cleanup_interval, Duration::from_millis),
        session_ttl: session.ttl_ms.map_or(defaults.session_ttl, Duration::from_millis),
        default_tier: tier
            .context("session.defaultTier")?
            .unwrap_or(defaults.default_tier),
        default_language: language,
        history_retention: sections.storage.text_retention,
        ..defaults
    })
}

fn streaming(section: &StreamingSection) -> anyhow::Result<HashMap<Platform, StreamConfig>> {
    let options = streaming_options(section)?;
    Platform::ALL
        .into_iter()
        .map(|platform| Ok((platform, options.resolve(platform)?)))
        .collect()
}

fn streaming_options(section: &StreamingSection) -> anyhow::Result<StreamingOptions> {
    let length = |value: Option<u64>| {
        value
            .map(|value| count("streaming.maxMessageLength", value))
            .transpose()
    };
    let overrides = |own: &StreamOverrides| -> anyhow::Result<Option<StreamOptions>> {
        Ok(Some(StreamOptions {
            flush_token_threshold: own.flush_token_threshold,
            flush_timeout_ms: own.flush_timeout_ms,
            max_message_length: length(own.max_message_length)?,
            typing_indicator_interval_ms: own.typing_indicator_interval_ms,
        }))
    };
    Ok(StreamingOptions {
        flush_token_threshold: section.flush_token_threshold,
        flush_timeout_ms: section.flush_timeout_ms,
        max_message_length: length(section.max_message_length)?,
        typing_indicator_interval_ms: section.typing_indicator_interval_ms,
        telegram: overrides(&section.telegram)?,
        max: overrides(&section.max)?,
        web: overrides(&section.web)?,
        api: overrides(&section.api)?,
    })
}

fn show(sections: &Sections) -> HashMap<Platform, ShowMode> {
    let mode = match sections.messenger.telegram.stream_mode {
        StreamMode::Auto => ShowMode::Auto,
        StreamMode::Draft => ShowMode::Draft,
        StreamMode::Edit => ShowMode::Edit,
        StreamMode::Off => ShowMode::Off,
    };
    HashMap::from([(Platform::Telegram, mode)])
}

fn rate(field: &str, fields: &RateLimitFields, default: RateLimit) -> anyhow::Result<RateLimit> {
    if *fields == RateLimitFields::default() {
        return Ok(default);
    }
    let rps = fields.rps.unwrap_or(1.0 / default.interval().as_secs_f64());
    let burst = fields.burst_size.unwrap_or(u64::from(default.burst()));
    let burst = u32::try_from(burst).with_context(|| format!("{field}.burstSize = {burst} is too large"))?;
    Ok(RateLimit::from_config(field, rps, burst)?)
}

fn rate_limits(sections: &Sections) -> anyhow::Result<RateLimits> {
    let fields = &sections.messenger.rate_limits;
    let defaults = RateLimits::default();
    let limits = RateLimits {
        telegram: rate(
            "messenger.rateLimits.telegram",
            &fields.telegram,
            defaults.telegram,
        )?,
        max: rate("messenger.rateLimits.max", &fields.max, defaults.max)?,
        web: rate("messenger.rateLimits.web", &fields.web, defaults.web)?,
        api: rate("messenger.rateLimits.api", &fields.api, defaults.api)?,
    };
    let instances = u32::try_from(sections.messenger.instances.max(1)).unwrap_or(u32::MAX);
    Ok(limits.divided_by(instances))
}

fn dispatch_limits(sections: &Sections, rates: RateLimits) -> anyhow::Result<DispatchLimits> {
    let own = |field: &str, fields: &RateLimitFields| -> anyhow::Result<Option<RateLimit>> {
        if *fields == RateLimitFields::default() {
            return Ok(None);
        }
        rate(field, fields, RateLimit::per_second(1, 1)).map(Some)
    };
    let telegram = &sections.messenger.telegram;
    Ok(DispatchLimits {
        rates,
        private_chat: own("messenger.telegram.privateChat", &telegram.private_chat)?,
        group_chat: own("messenger.telegram.groupChat", &telegram.group_chat)?,
        ..DispatchLimits::default()
    })
}

fn telegram(loaded: &Loaded, http: openclaw_http_client::Client) -> anyhow::Result<Option<Telegram>> {
    let section = &loaded.sections.messenger.telegram;
    let Some(token) = loaded.secrets.telegram_token.clone() else {
        return Ok(None);
    };
    let intake = match section.mode {
        IntakeMode::Polling => Intake::Polling,
        IntakeMode::Webhook => Intake::Webhook,
        IntakeMode::Auto if loaded.sections.server.public_url.is_some() => Intake::Webhook,
        IntakeMode::Auto => Intake::Polling,
    };
    let secret = loaded.secrets.telegram_secret.clone();
    if intake == Intake::Webhook && secret.is_none() {
        bail!(
            "messenger.telegram.mode is webhook and no secret is set; set WEBHOOK_SECRET to 1–256 characters of A–Z a–z 0–9 _ -"
        );
    }
    let config = TelegramConfig {
        base_url: section.base_url.trim_end_matches('/').to_owned(),
        groups: match section.groups {
            GroupMode::Addressed => openclaw_telegram::GroupMode::Addressed,
            GroupMode::Off => openclaw_telegram::GroupMode::Off,
            GroupMode::All => openclaw_telegram::GroupMode::All,
        },
        drafts: matches!(section.stream_mode, StreamMode::Auto | StreamMode::Draft),
        ..TelegramConfig::new(token)
    };
    let adapter = Arc::new(TelegramAdapter::new(config, http));
    Ok(Some(Telegram {
        adapter,
        intake,
        secret,
        trouble: Trouble::default(),
    }))
}

fn budgets(section: &AiFabricSection) -> anyhow::Result<TokenBudgetConfig> {
    let defaults = TokenBudgetConfig::default();
    let limit = |own: Option<i64>, default: Option<u64>| match own {
        None => default,
        // A negative number is unlimited.
        Some(own) => u64::try_from(own).ok(),
    };
    let own = &section.budgets;
    let scope = section
        .budget_scope
        .as_deref()
        .map(|name| named::<BudgetScope>("ai-fabric.budgetScope", name));
    Ok(TokenBudgetConfig {
        limits: TierLimits {
            free: limit(own.free, defaults.limits.free),
            standard: limit(own.standard, defaults.limits.standard),
            premium: limit(own.premium, defaults.limits.premium),
            admin: limit(own.admin, defaults.limits.admin),
        },
        scope: scope.transpose()?.unwrap_or(defaults.scope),
        ..defaults
    })
}

fn circuit(section: &AiFabricSection) -> CircuitConfig {
    let defaults = CircuitConfig::default();
    CircuitConfig {
        failure_threshold: section
            .circuit
            .failures
            .and_then(|failures| u32::try_from(failures).ok())
            .unwrap_or(defaults.failure_threshold),
        open_for: section
            .circuit
            .open_ms
            .map_or(defaults.open_for, Duration::from_millis),
        ..defaults
    }
}

fn router_config(section: &AiFabricSection) -> RouterConfig {
    let defaults = RouterConfig::default();
    RouterConfig {
        first_token_timeout: section
            .first_token_timeout_ms
            .map_or(defaults.first_token_timeout, Duration::from_millis),
        ..defaults
    }
}

fn default_chain(section: &AiFabricSection) -> anyhow::Result<Option<FallbackChain>> {
    let own = &section.fallback;
    let Some(primary) = &own.primary_model else {
        return Ok(None);
    };
    let mut chain = FallbackChain::new(ModelId::parse(primary)?);
    for name in own.fallbacks.iter().flatten() {
        chain.fallbacks.push(ModelId::parse(name)?);
    }
    Ok(Some(chain))
}

fn retries(section: &AiFabricSection) -> anyhow::Result<Retries> {
    let defaults = FallbackChain::new(ModelId::parse("any")?);
    let own = &section.fallback;
    let max_retries = own.max_retries.map(u32::try_from).transpose();
    Ok(Retries {
        max_retries: max_retries
            .context("ai-fabric.fallback.maxRetries is too large")?
            .unwrap_or(defaults.max_retries),
        retry_delay: own
            .retry_delay_ms
            .map_or(defaults.retry_delay, Duration::from_millis),
    })
}

fn hook_limits(section: &PluginsSection) -> anyhow::Result<HookLimits> {
    let defaults = HookLimits::default();
    let failures = section.failures_to_error.map(u32::try_from).transpose();
    Ok(HookLimits {
        time: section
            .hook_timeout_ms
            .map_or(defaults.time, Duration::from_millis),
        failures_in_a_row: failures
            .context("plugins.failuresToError is too large")?
            .unwrap_or(defaults.failures_in_a_row),
        ..defaults
    })
}

/// Registers the configured providers, else the one the environment names, else the built-in one.
fn providers(
    loaded: &Loaded,
    registry: &ProviderRegistry,
    limiter: &ProviderLimiter,
    http: &openclaw_http_client::Client,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<ModelChoice> {
    let configured = &loaded.sections.ai_fabric.providers;
    for section in configured {
        let provider = provider(section)?;
        limiter.set_limits(&provider.id, provider.rate_limit);
        match section.kind {
            ProviderKind::Demo => {
                registry.register(provider, demo(section.word_delay_ms, clock))?;
            }
            ProviderKind::Openai => {
                let key = loaded.secrets.providers.get(&section.id).cloned();
                let config = OpenAiConfig {
                    headers: section
                        .headers
                        .iter()
                        .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
                        .collect(),
                    ..OpenAiConfig::new(
                        provider.id.clone(),
                        provider.base_url.clone().unwrap_or_default(),
                        key,
                    )
                };
                registry.register(
                    provider,
                    Arc::new(OpenAiModel::new(config, http.clone(), Arc::clone(clock))?),
                )?;
            }
        }
    }
    if !configured.is_empty() {
        let models = configured
            .iter()
            .flat_map(|provider| provider.models.iter().map(|model| model.id.clone()))
            .collect();
        let is_demo = configured
            .iter()
            .all(|provider| provider.kind == ProviderKind::Demo);
        return Ok(ModelChoice {
            models,
            why: ModelReason::Configured,
            is_demo,
        });
    }
    found_provider(&loaded.found, registry, http, clock)
}

fn found_provider(
    found: &FoundProvider,
    registry: &ProviderRegistry,
    http: &openclaw_http_client::Client,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<ModelChoice> {
    if found.openai_api_key.is_some() || found.openai_base_url.is_some() {
        let id = ProviderId::parse("openai")?;
        let base_url = found
            .openai_base_url
            .clone()
            .unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
        let model = ModelId::parse(found.openai_model.as_deref().unwrap_or("gpt-4o-mini"))?;
        let provider = ModelProvider {
            name: "OpenAI-compatible".to_owned(),
            base_url: Some(base_url.clone()),
            models: vec![ModelDefinition::unlisted(model.clone(), id.clone())],
            rate_limit: ProviderRateLimit::default(),
            priority: 0,
            any_model: true,
            id: id.clone(),
        };
        let config = OpenAiConfig::new(id, base_url, found.openai_api_key.clone());
        registry.register(
            provider,
            Arc::new(OpenAiModel::new(config, http.clone(), Arc::clone(clock))?),
        )?;
        let why = if found.openai_api_key.is_some() {
            ModelReason::ApiKeyFound
        } else {
            ModelReason::BaseUrlFound
        };
        return Ok(ModelChoice {
            models: vec![model.to_string()],
            why,
            is_demo: false,
        });
    }
    registry.register(DemoModel::provider()?, demo(None, clock))?;
    Ok(ModelChoice {
        models: vec!["demo".to_owned()],
        why: ModelReason::NothingFound,
        is_demo: true,
    })
}

fn demo(word_delay_ms: Option<u64>, clock: &Arc<dyn Clock>) -> Arc<DemoModel> {
    let model = DemoModel::new(Arc::clone(clock));
    Arc::new(match word_delay_ms {
        Some(millis) => model.with_word_delay(Duration::from_millis(millis)),
        None => model,
    })
}

fn provider(section: &ProviderSection) -> anyhow::Result<ModelProvider> {
    let id = ProviderId::parse(&section.id)?;
    let mut models = section
        .models
        .iter()
        .map(|model| self::model(model, &id))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if models.is_empty() && section.kind == ProviderKind::Demo {
        models.extend(
            DemoModel::provider()?
                .models
                .into_iter()
                .map(|model| ModelDefinition {
                    provider: id.clone(),
                    ..model
                }),
        );
    }
    let limit = |value: Option<u64>| value.and_then(NonZeroU64::new);
    Ok(ModelProvider {
        name: section.name.clone().unwrap_or_else(|| section.id.clone()),
        base_url: section.base_url.clone(),
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
                .map(|name| named::<ModelCapability>("capabilities", name))
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
