//! The composition root: every part of the server, built in the order in which they depend on each other.

mod fabric;
mod programs;
mod providers;
mod rules;
mod store;
mod workers;

pub(crate) use fabric::{Fabric, ModelReason};
pub(crate) use providers::faults as provider_faults;
pub(crate) use rules::{BrokenRule, advice, broken_rules, pool_values, stream_values};
pub(crate) use workers::Workers;

use crate::accept::ConnectionCounts;
use crate::bots::{Bot, Connected, Intake, webhook_hook, webhook_secret};
use crate::config::Loaded;
use crate::config::sections::{
    ConcurrencySection, GroupMode, IntakeMode, PluginsSection, RateLimitFields, Sections, StorageKind,
    StreamMode, StreamOverrides, StreamingSection,
};
use crate::http::admin::status::Facts;
use crate::http::hosts::Hosts;
use crate::http::native::{Native, TurnIds, Visitors};
use crate::http::{App, HttpLimits, PoolBounds};
use crate::intake::Trouble;
use crate::keep::Watch;
use crate::keys::KeyRing;
use crate::prometheus::Counters;
use anyhow::{Context, bail};
use fabric::{Answering, FabricDeps};
use openclaw_concurrency::{ConcurrencyConfig, ConcurrencyOptions, Preset, WorkerPool};
use openclaw_core::{
    AccessTier, Clock, EventBus, EventContext, InProcessEventBus, Language, Platform, Random, Secret,
};
use openclaw_gateway::ports::{FeedbackStore, KeyStore, MetaStore, TenantDirectory, TurnStore, UsageLedger};
use openclaw_gateway::{Chats, Gateway, GatewayConfig, GatewayParts, JobRunner, ShowMode};
use openclaw_http_client::HttpClientConfig;
use openclaw_max::{MaxAdapter, MaxConfig};
use openclaw_memory::MemoryStore;
use openclaw_messenger::{
    DispatchLimits, MessageDispatcher, MessengerPort, RateLimit, RateLimiter, RateLimits, WebhookRouter,
    WebhookSecrets,
};
use openclaw_plugins::{HookDispatcher, HookLimits, PluginRegistry};
use openclaw_sqlite::SqliteStore;
use openclaw_streaming::{StreamConfig, StreamOptions, StreamingOptions};
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_telegram::{TelegramAdapter, TelegramConfig};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// Callers whose rate is remembered at once.
const MAX_CALLERS: usize = 100_000;

/// The server, built and not yet started.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) app: Arc<App>,
    pub(crate) gateway: Gateway,
    pub(crate) bus: Arc<InProcessEventBus>,
    pub(crate) bots: Vec<Connected>,
    pub(crate) meta: Arc<dyn MetaStore>,
    /// Ends when the store has failed for good.
    pub(crate) sqlite: Option<Arc<SqliteStore>>,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) storage: &'static str,
}

/// What the parts are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve.
    Serve,
    /// To answer an operator's question without a server: workers that are programs are not started.
    Look,
}

/// All the stores of one backend.
struct Stores {
    turns: Arc<dyn TurnStore>,
    directory: Arc<dyn TenantDirectory>,
    ledger: Arc<dyn UsageLedger>,
    keys: Arc<dyn KeyStore>,
    feedback: Arc<dyn FeedbackStore>,
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
    purpose: Purpose,
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
    let http = HttpClientConfig::default()
        .build()
        .context("the HTTP client could not be built")?;
    let workers = Workers::of(&sections.concurrency)?;
    // An Ollama is asked while the store is opened, so that looking for one costs the start nothing.
    let looking = {
        let (workers, loaded, http, clock) =
            (workers.clone(), loaded.clone(), http.clone(), Arc::clone(&clock));
        let patience = concurrency.worker_timeout;
        AbortOnDropHandle::new(tokio::spawn(async move {
            match workers {
                Workers::Tasks => Answering::Providers(fabric::choose(&loaded, &http, &clock).await),
                Workers::Processes { model, .. } => Answering::Workers { model, patience },
            }
        }))
    };
    let stores = open_stores(sections.storage.kind, data_dir, &*clock).await?;

    let fabric = Arc::new(Fabric::build(
        &sections.ai_fabric,
        looking.await.context("no provider could be looked for")?,
        FabricDeps {
            http: http.clone(),
            whole: HttpClientConfig::default()
                .build()
                .context("the HTTP client could not be built")?,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            events: events.clone(),
        },
    )?);

    let rates = rate_limits(sections)?;
    let bots: Vec<Connected> = [telegram(loaded, http.clone())?, max(loaded, http, &visitor_key)?]
        .into_iter()
        .flatten()
        .collect();
    let adapters: Vec<Arc<dyn MessengerPort>> = bots
        .iter()
        .map(|connected| Arc::clone(&connected.bot) as Arc<dyn MessengerPort>)
        .collect();
    let dispatcher = Arc::new(MessageDispatcher::new(
        adapters,
        DispatchLimits {
            rates,
            ..DispatchLimits::default()
        },
        Arc::clone(&clock),
        &events,
    ));
    let webhooks = WebhookRouter::new(Arc::clone(&clock), &events);
    for connected in &bots {
        let secrets = match (&connected.secret, connected.intake) {
            (Some(secret), Intake::Webhook) => WebhookSecrets::one(secret.clone()),
            // Without a secret, or while polling, nobody is believed on the webhook path.
            (None, _) | (_, Intake::Polling) => WebhookSecrets::none(),
        };
        webhooks.register(Arc::clone(&connected.bot) as Arc<dyn MessengerPort>, secrets);
    }
    let plugins = PluginRegistry::new(Arc::clone(&clock), events.for_source("plugins"));
    let hooks = HookDispatcher::new(plugins, Arc::clone(&clock), events.for_source("plugins"));
    let hooks = Arc::new(hooks.with_limits(hook_limits(&sections.plugins)?));

    let (default_chain, retries) = fabric.routing(&sections.ai_fabric)?;
    let runner = JobRunner::new(GatewayParts {
        config: gateway_config,
        streaming,
        show: show(sections),
        default_chain,
        retries,
        store: Arc::clone(&stores.turns),
        selector: Arc::clone(&fabric.selector),
        router: Arc::clone(&fabric.router),
        budget: Arc::clone(&fabric.budget),
        estimator: Arc::clone(&fabric.estimator),
        hooks,
        dispatcher,
        clock: Arc::clone(&clock),
        random,
        events: events.clone(),
    });
    let running = match purpose {
        Purpose::Serve => workers.runtime(&runner, &clock)?,
        Purpose::Look => Workers::Tasks.runtime(&runner, &clock)?,
    };
    let pool = WorkerPool::new(
        concurrency.clone(),
        running.runtime,
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
        Chats::new(
            gateway.clone(),
            Arc::clone(&stores.directory),
            Arc::clone(&stores.feedback),
        ),
        TurnIds::new(visitor_key.clone()),
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
        registry: Arc::clone(&fabric.registry),
        directory: stores.directory,
        ledger: stores.ledger,
        webhooks,
        keys,
        inbound: RateLimiter::new(rates.api, MAX_CALLERS, Arc::clone(&clock)),
        counters: Arc::new(Counters::default()),
        started: clock.monotonic(),
        clock,
        language: loaded.language,
        limits: HttpLimits::of(&sections.server),
        hosts: Hosts::of(&sections.server),
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
            fabric: Arc::clone(&fabric),
            model_states: Arc::default(),
            bots: bots.clone(),
            web: sections.messenger.web.enabled,
            worker_command: workers.command(),
            worker_troubles: running.troubles,
        },
        reloader: OnceLock::new(),
    });
    Ok(Built {
        app,
        gateway,
        bus,
        bots,
        meta: stores.meta,
        sqlite: stores.sqlite,
        fabric,
        storage: stores.name,
    })
}

async fn open_stores(kind: StorageKind, data_dir: &Path, clock: &dyn Clock) -> anyhow::Result<Stores> {
    Ok(match kind {
        StorageKind::Memory => {
            let store = Arc::new(MemoryStore::new());
            Stores {
                turns: Arc::clone(&store) as _,
                directory: Arc::clone(&store) as _,
                ledger: Arc::clone(&store) as _,
                keys: Arc::clone(&store) as _,
                feedback: Arc::clone(&store) as _,
                meta: store,
                sqlite: None,
                name: "memory",
            }
        }
        StorageKind::Sqlite => {
            let store = Arc::new(store::open(data_dir, clock).await?);
            Stores {
                turns: Arc::clone(&store) as _,
                directory: Arc::clone(&store) as _,
                ledger: Arc::clone(&store) as _,
                keys: Arc::clone(&store) as _,
                feedback: Arc::clone(&store) as _,
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
    let mode = |mode| match mode {
        StreamMode::Auto => ShowMode::Auto,
        StreamMode::Draft => ShowMode::Draft,
        StreamMode::Edit => ShowMode::Edit,
        StreamMode::Off => ShowMode::Off,
    };
    let messenger = &sections.messenger;
    HashMap::from([
        (Platform::Telegram, mode(messenger.telegram.stream_mode)),
        (Platform::Max, mode(messenger.max.stream_mode)),
    ])
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

/// The pace of a kind of chat, where the operator has set one.
fn chat_limit(field: &str, fields: &RateLimitFields) -> anyhow::Result<Option<RateLimit>> {
    if *fields == RateLimitFields::default() {
        return Ok(None);
    }
    rate(field, fields, RateLimit::per_second(1, 1)).map(Some)
}

fn intake(mode: IntakeMode, sections: &Sections) -> Intake {
    match mode {
        IntakeMode::Polling => Intake::Polling,
        IntakeMode::Webhook => Intake::Webhook,
        IntakeMode::Auto if sections.server.public_url.is_some() => Intake::Webhook,
        IntakeMode::Auto => Intake::Polling,
    }
}

fn groups(mode: GroupMode) -> openclaw_telegram::GroupMode {
    match mode {
        GroupMode::Addressed => openclaw_telegram::GroupMode::Addressed,
        GroupMode::Off => openclaw_telegram::GroupMode::Off,
        GroupMode::All => openclaw_telegram::GroupMode::All,
    }
}

fn connected(bot: Arc<dyn Bot>, intake: Intake, secret: Option<Secret>, hook: Option<Secret>) -> Connected {
    Connected {
        bot,
        intake,
        secret,
        hook,
        trouble: Trouble::default(),
        watch: Watch::default(),
    }
}

fn telegram(loaded: &Loaded, http: openclaw_http_client::Client) -> anyhow::Result<Option<Connected>> {
    let section = &loaded.sections.messenger.telegram;
    let Some(token) = loaded.secrets.telegram_token.clone() else {
        return Ok(None);
    };
    let intake = intake(section.mode, &loaded.sections);
    let secret = loaded.secrets.telegram_secret.clone();
    if intake == Intake::Webhook && secret.is_none() {
        bail!(
            "messenger.telegram.mode is webhook and no secret is set; set WEBHOOK_SECRET to 1–256 characters of A–Z a–z 0–9 _ -"
        );
    }
    let defaults = TelegramConfig::new(token);
    let config = TelegramConfig {
        base_url: section.base_url.trim_end_matches('/').to_owned(),
        groups: groups(section.groups),
        drafts: matches!(section.stream_mode, StreamMode::Auto | StreamMode::Draft),
        private_limit: chat_limit("messenger.telegram.privateChat", &section.private_chat)?
            .unwrap_or(defaults.private_limit),
        group_limit: chat_limit("messenger.telegram.groupChat", &section.group_chat)?
            .unwrap_or(defaults.group_limit),
        ..defaults
    };
    let adapter = Arc::new(TelegramAdapter::new(config, http));
    Ok(Some(connected(adapter, intake, secret, None)))
}

fn max(
    loaded: &Loaded,
    common: openclaw_http_client::Client,
    key: &Secret,
) -> anyhow::Result<Option<Connected>> {
    let section = &loaded.sections.messenger.max;
    let Some(token) = loaded.secrets.max_token.clone() else {
        return Ok(None);
    };
    let intake = intake(section.mode, &loaded.sections);
    // Where the server registers its own webhook, nobody else has to know secret and path.
    let is_registered = intake == Intake::Webhook && loaded.sections.server.public_url.is_some();
    let secret = match &loaded.secrets.max_secret {
        None if is_registered => Some(webhook_secret(key, &token)),
        own => own.clone(),
    };
    if intake == Intake::Webhook && secret.is_none() {
        bail!(
            "messenger.max.mode is webhook and neither a secret nor server.publicUrl is set; set OPENCLAW__MESSENGER__MAX__SECRET to 5–256 characters of A–Z a–z 0–9 _ -"
        );
    }
    let hook = secret.as_ref().filter(|_| is_registered).map(webhook_hook);
    let http = match &loaded.secrets.max_root_certificate {
        None => common,
        Some(pem) => HttpClientConfig {
            extra_roots: vec![pem.clone().into_bytes()],
            ..HttpClientConfig::default()
        }
        .build()
        .context("the HTTP client for MAX could not be built")?,
    };
    let defaults = MaxConfig::new(token);
    let config = MaxConfig {
        base_url: section.base_url.trim_end_matches('/').to_owned(),
        groups: groups(section.groups),
        private_limit: chat_limit("messenger.max.privateChat", &section.private_chat)?
            .unwrap_or(defaults.private_limit),
        group_limit: chat_limit("messenger.max.groupChat", &section.group_chat)?
            .unwrap_or(defaults.group_limit),
        ..defaults
    };
    let adapter = Arc::new(MaxAdapter::new(config, http));
    Ok(Some(connected(adapter, intake, secret, hook)))
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
