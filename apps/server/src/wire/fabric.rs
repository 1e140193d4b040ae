//! The AI fabric as the server holds it: built from the configuration at start, and changed while it runs.
//!
//! A reload is all or nothing: every adapter is built before anything changes, and an adapter whose settings are the
//! same is kept, with its connections and tokens. Turns under way go on with the provider they began with.

use super::named;
use super::providers::{self, AdapterParts, Ready};
use crate::config::Loaded;
use crate::config::ai_fabric::{AiFabricSection, ProviderKind, ProviderSection};
use crate::config::found::{self, FoundProvider};
use crate::config::secrets::ProviderSecrets;
use anyhow::Context as _;
use openclaw_ai_fabric::{
    BudgetScope, CircuitBreakers, CircuitConfig, Estimator, FallbackChain, FallbackRouter, ModelSelector,
    ProviderRegistry, QuotaSink, RateLimiter as ProviderLimiter, RouterConfig, RouterDeps, TierLimits,
    TokenBudget, TokenBudgetConfig,
};
use openclaw_core::{Clock, EventContext, ModelId, ProviderId, Random};
use openclaw_gateway::{Gateway, Retries};
use openclaw_http_client::{Client, Url};
use openclaw_ollama::discover;
use openclaw_process_runtime::WorkerModel;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a local Ollama may take to take a connection. A machine without one refuses at once.
const LOCAL_CONNECT: Duration = Duration::from_millis(50);
/// How long it may take to list its models.
const LOCAL_LIST: Duration = Duration::from_millis(200);
/// The same for one that `OLLAMA_HOST` names, which may be another machine.
const NAMED_LIST: Duration = Duration::from_millis(500);
/// The model asked of an Ollama that does not say what it has.
const OLLAMA_MODEL: &str = "llama3.2";

/// The fabric, and what its providers were built from.
#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) registry: Arc<ProviderRegistry>,
    pub(crate) limiter: Arc<ProviderLimiter>,
    pub(crate) circuits: CircuitBreakers,
    pub(crate) selector: Arc<ModelSelector>,
    pub(crate) router: Arc<FallbackRouter>,
    pub(crate) budget: Arc<TokenBudget>,
    pub(crate) estimator: Arc<Estimator>,
    parts: AdapterParts,
    /// Where workers answer in the models' place, how long one may think. Decided at start.
    patience: Option<Duration>,
    /// What is registered now, and why.
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    wanted: Vec<Wanted>,
    choice: ModelChoice,
}

/// A provider that is to be registered.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    section: ProviderSection,
    secrets: ProviderSecrets,
}

/// Which providers are to be registered, and why these.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    wanted: Vec<Wanted>,
    why: ModelReason,
}

/// What answers requests.
#[derive(Debug)]
pub(crate) enum Answering {
    /// Providers.
    Providers(Choice),
    /// The workers themselves, which are processes. Whether one that says nothing yet still works is told by its
    /// heartbeats and by nothing else, so that the fabric waits for it as long as a request may take.
    Workers {
        /// Stands for whichever worker has the request.
        model: Arc<WorkerModel>,
        /// How long a request may take.
        patience: Duration,
    },
}

/// Which model answers and why.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// This variable is set.
    Variable(&'static str),
    /// An Ollama answers on this machine.
    LocalOllama,
    /// Nothing is said: the built-in one.
    NothingFound,
    /// The workers are processes that answer themselves.
    WorkersAnswer,
}

/// What a configuration makes of budgets and deadlines, checked.
struct Rules {
    budgets: TokenBudgetConfig,
    router: RouterConfig,
    circuit: CircuitConfig,
}

/// What the fabric is built with.
#[derive(Clone, Debug)]
pub(crate) struct FabricDeps {
    pub(crate) http: Client,
    /// Another, for answers in one piece.
    pub(crate) whole: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) events: EventContext,
}

// === impl Fabric ===

impl Fabric {
    /// Builds it with what is to answer. No call is made.
    pub(crate) fn build(
        section: &AiFabricSection,
        answering: Answering,
        deps: FabricDeps,
    ) -> anyhow::Result<Self> {
        let FabricDeps {
            http,
            whole,
            clock,
            random,
            events,
        } = deps;
        let patience = match &answering {
            Answering::Providers(_) => None,
            Answering::Workers { patience, .. } => Some(*patience),
        };
        let rules = Rules::of(section, patience)?;
        let registry = Arc::new(ProviderRegistry::new());
        let limiter = Arc::new(ProviderLimiter::new(Arc::clone(&clock)));
        let circuits = CircuitBreakers::new(rules.circuit, Arc::clone(&clock), &events);
        let estimator = Arc::new(Estimator::new());
        let router = FallbackRouter::new(
            rules.router,
            RouterDeps {
                registry: Arc::clone(&registry),
                limiter: Arc::clone(&limiter),
                circuits: circuits.clone(),
                estimator: Arc::clone(&estimator),
                clock: Arc::clone(&clock),
                random: Arc::clone(&random),
                events: events.clone(),
            },
        );
        let fabric = Self {
            selector: Arc::new(ModelSelector::new(Arc::clone(&registry), circuits.clone())),
            router: Arc::new(router),
            budget: Arc::new(TokenBudget::new(rules.budgets, Arc::clone(&clock), &events)),
            estimator,
            parts: AdapterParts {
                http,
                whole,
                clock,
                random,
                quota: Arc::clone(&limiter) as Arc<dyn QuotaSink>,
            },
            registry,
            limiter,
            circuits,
            patience,
            current: RwLock::new(Current {
                wanted: Vec::new(),
                choice: ModelChoice {
                    models: Vec::new(),
                    why: ModelReason::NothingFound,
                    is_demo: true,
                },
            }),
        };
        match answering {
            Answering::Providers(choice) => {
                let ready = fabric.ready(&choice.wanted)?;
                fabric.register(choice, ready)?;
            }
            Answering::Workers { model, .. } => fabric.register_workers(model)?,
        }
        Ok(fabric)
    }

    /// Which model answers and why.
    pub(crate) fn choice(&self) -> ModelChoice {
        self.current.read().choice.clone()
    }

    /// Takes over providers, models, limits, budgets, chain and deadlines. On an error nothing has changed.
    /// Gives back the providers whose adapters are new.
    pub(crate) async fn apply(&self, loaded: &Loaded, gateway: &Gateway) -> anyhow::Result<Vec<String>> {
        let section = &loaded.sections.ai_fabric;
        let rules = Rules::of(section, self.patience)?;
        let built = if self.patience.is_some() {
            Vec::new()
        } else {
            let choice = choose(loaded, &self.parts.http, &self.parts.clock).await;
            let ready = self.ready(&choice.wanted)?;
            let built = self.new_adapters(&choice.wanted);
            self.register(choice, ready)?;
            built
        };
        let (chain, retries) = self.routing(section)?;
        self.budget.configure(rules.budgets);
        self.router.configure(rules.router);
        self.circuits.configure(rules.circuit);
        gateway.set_routing(chain, retries);
        Ok(built)
    }

    fn new_adapters(&self, wanted: &[Wanted]) -> Vec<String> {
        let current = self.current.read();
        wanted
            .iter()
            .filter(|new| !current.wanted.iter().any(|old| old.is_same_adapter(new)))
            .map(|new| new.section.id.clone())
            .collect()
    }

    /// The chain of requests that name no model, and how often each is tried. A provider that was found begins with its
    /// first model; of those that are configured the selector chooses, unless a chain is. Workers are no chain.
    pub(crate) fn routing(
        &self,
        section: &AiFabricSection,
    ) -> anyhow::Result<(Option<FallbackChain>, Retries)> {
        if self.patience.is_some() {
            return Ok((None, retries(section)?));
        }
        let mut chain = default_chain(section)?;
        let choice = self.choice();
        if chain.is_none() && choice.why != ModelReason::Configured {
            let first = choice.models.first().map(ModelId::parse).transpose()?;
            chain = first.map(FallbackChain::new);
        }
        Ok((chain, retries(section)?))
    }

    /// Providers and adapters; adapters that are built from the same settings are kept.
    fn ready(&self, wanted: &[Wanted]) -> anyhow::Result<Vec<Ready>> {
        let current = self.current.read();
        wanted
            .iter()
            .map(|new| {
                let kept = current
                    .wanted
                    .iter()
                    .find(|old| old.is_same_adapter(new))
                    .and_then(|_| self.registry.port(&ProviderId::parse(&new.section.id).ok()?));
                let built = providers::build(&new.section, &new.secrets, &self.parts)
                    .with_context(|| format!("provider {}", new.section.id))?;
                Ok(match kept {
                    Some(port) => (built.0, port),
                    None => built,
                })
            })
            .collect()
    }

    /// The one model there is stands for the workers.
    fn register_workers(&self, model: Arc<WorkerModel>) -> anyhow::Result<()> {
        let provider = WorkerModel::provider()?;
        let models = provider.models.iter().map(|model| model.id.to_string()).collect();
        self.registry.replace_all(vec![(provider, model as _)])?;
        self.current.write().choice = ModelChoice {
            models,
            why: ModelReason::WorkersAnswer,
            is_demo: false,
        };
        Ok(())
    }

    fn register(&self, choice: Choice, ready: Vec<Ready>) -> anyhow::Result<()> {
        let mut current = self.current.write();
        let models = ready
            .iter()
            .flat_map(|(provider, _)| provider.models.iter().map(|model| model.id.to_string()))
            .collect();
        let limits: Vec<_> = ready
            .iter()
            .map(|(provider, _)| (provider.id.clone(), provider.rate_limit))
            .collect();
        self.registry.replace_all(ready)?;
        for (id, limit) in &limits {
            self.limiter.set_limits(id, *limit);
        }
        for old in &current.wanted {
            let Ok(id) = ProviderId::parse(&old.section.id) else {
                continue;
            };
            if !choice.wanted.iter().any(|new| new.is_same_adapter(old)) {
                // A new key or address deserves a new chance.
                self.circuits.reset(&id);
            }
            if !limits.iter().any(|(kept, _)| *kept == id) {
                self.limiter.remove(&id);
            }
        }
        *current = Current {
            choice: ModelChoice {
                models,
                why: choice.why,
                is_demo: choice
                    .wanted
                    .iter()
                    .all(|wanted| wanted.section.kind() == Some(ProviderKind::Demo)),
            },
            wanted: choice.wanted,
        };
        Ok(())
    }
}

// === impl Wanted ===

impl Wanted {
    fn new(section: ProviderSection, secrets: ProviderSecrets) -> Self {
        Self { section, secrets }
    }

    /// Whether the adapter would be built alike: models, limits and priority are not its affair.
    fn is_same_adapter(&self, other: &Self) -> bool {
        let adapter = |section: &ProviderSection| ProviderSection {
            name: None,
            priority: None,
            any_model: false,
            rate_limit: Default::default(),
            models: Vec::new(),
            ..section.clone()
        };
        adapter(&self.section) == adapter(&other.section) && self.secrets.is_same(&other.secrets)
    }
}

// === impl Rules ===

impl Rules {
    fn of(section: &AiFabricSection, patience: Option<Duration>) -> anyhow::Result<Self> {
        let router = router(section);
        Ok(Self {
            budgets: budgets(section)?,
            router: RouterConfig {
                first_token_timeout: patience.unwrap_or(router.first_token_timeout),
                idle_timeout: patience.unwrap_or(router.idle_timeout),
                ..router
            },
            circuit: circuit(section),
        })
    }
}

/// The providers of the configuration, else the one the environment names, else an Ollama of this machine, else the
/// built-in one. Waits for an Ollama at most; the wait is short and bounded.
pub(crate) async fn choose(loaded: &Loaded, http: &Client, clock: &Arc<dyn Clock>) -> Choice {
    let section = &loaded.sections.ai_fabric;
    if !section.providers.is_empty() {
        let mut secrets: BTreeMap<_, _> = loaded.secrets.providers.clone();
        let wanted = section.providers.iter().map(|provider| {
            let own = secrets.remove(&provider.id).unwrap_or_default();
            Wanted::new(provider.clone(), own)
        });
        return Choice {
            wanted: wanted.collect(),
            why: ModelReason::Configured,
        };
    }
    let one = |section, secrets, why| Choice {
        wanted: vec![Wanted::new(section, secrets)],
        why,
    };
    match &loaded.found {
        FoundProvider::Known(found) => one(
            found.section.clone(),
            found.secrets.clone(),
            ModelReason::Variable(found.by),
        ),
        FoundProvider::Ollama { base_url, model } => {
            let found = discover(http, base_url, NAMED_LIST, &**clock).await;
            if found.is_none() {
                tracing::warn!(address = %base_url, "the Ollama that OLLAMA_HOST names does not answer");
            }
            let has = found.map(|found| found.models).unwrap_or_default();
            let models = first_then(model.as_deref(), &has);
            one(
                found::ollama(base_url, &models),
                ProviderSecrets::default(),
                ModelReason::Variable("OLLAMA_HOST"),
            )
        }
        FoundProvider::Nothing => match local_ollama(section, http, clock).await {
            Some((base_url, models)) => one(
                found::ollama(&base_url, &models),
                ProviderSecrets::default(),
                ModelReason::LocalOllama,
            ),
            None => one(
                ProviderSection::new("demo", ProviderKind::Demo),
                ProviderSecrets::default(),
                ModelReason::NothingFound,
            ),
        },
    }
}

/// The model that was named, then what there is.
fn first_then(named: Option<&str>, has: &[ModelId]) -> Vec<String> {
    let first = named.map(str::to_owned);
    let others = has
        .iter()
        .map(ToString::to_string)
        .filter(|model| Some(model.as_str()) != named);
    let mut models: Vec<String> = first.into_iter().chain(others).collect();
    if models.is_empty() {
        models.push(OLLAMA_MODEL.to_owned());
    }
    models
}

/// An Ollama of this machine that has a model.
async fn local_ollama(
    section: &AiFabricSection,
    http: &Client,
    clock: &Arc<dyn Clock>,
) -> Option<(String, Vec<String>)> {
    let base_url = section.local_ollama.as_ref().filter(|url| !url.is_empty())?;
    let url = Url::parse(base_url).ok()?;
    let address = (
        url.host_str()?.trim_matches(['[', ']']),
        url.port_or_known_default()?,
    );
    let connected = tokio::time::timeout(LOCAL_CONNECT, TcpStream::connect(address)).await;
    connected.ok()?.ok()?;
    let found = discover(http, base_url, LOCAL_LIST, &**clock).await?;
    let models: Vec<String> = found.models.iter().map(ToString::to_string).collect();
    (!models.is_empty()).then(|| (base_url.clone(), models))
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
        free_total: limit(own.free_total, defaults.free_total),
        ..defaults
    })
}

fn circuit(section: &AiFabricSection) -> CircuitConfig {
    let defaults = CircuitConfig::default();
    let own = &section.circuit;
    CircuitConfig {
        failure_threshold: own
            .failures
            .and_then(|failures| u32::try_from(failures).ok())
            .unwrap_or(defaults.failure_threshold),
        open_for: own.open_ms.map_or(defaults.open_for, Duration::from_millis),
        bench_for: own.bench_ms.map_or(defaults.bench_for, Duration::from_millis),
    }
}

fn router(section: &AiFabricSection) -> RouterConfig {
    let defaults = RouterConfig::default();
    let time = |own: Option<u64>, default| own.map_or(default, Duration::from_millis);
    let own = &section.fallback;
    RouterConfig {
        first_token_timeout: time(section.first_token_timeout_ms, defaults.first_token_timeout),
        idle_timeout: time(section.idle_timeout_ms, defaults.idle_timeout),
        limit_wait: time(section.limit_wait_ms, defaults.limit_wait),
        retries_per_minute: own.retries_per_minute.unwrap_or(defaults.retries_per_minute),
        retry_percent: own.retry_percent.unwrap_or(defaults.retry_percent),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_was_named_comes_first_and_is_there_once() {
        let has = ["a", "b"].map(|name| ModelId::parse(name).unwrap());
        assert_eq!(first_then(Some("b"), &has), ["b", "a"]);
        assert_eq!(first_then(None, &has), ["a", "b"]);
        assert_eq!(first_then(Some("c"), &[]), ["c"]);
        assert_eq!(first_then(None, &[]), [OLLAMA_MODEL]);
    }

    #[test]
    fn an_adapter_is_kept_when_only_models_limits_and_rank_change() {
        let wanted = |section| Wanted::new(section, ProviderSecrets::default());
        let old = wanted(ProviderSection::new("p", ProviderKind::Openai));
        let mut section = old.section.clone();
        section.priority = Some(7);
        section.rate_limit.requests_per_minute = Some(1);
        assert!(old.is_same_adapter(&wanted(section.clone())));
        section.base_url = Some("http://127.0.0.1:1".to_owned());
        assert!(!old.is_same_adapter(&wanted(section)));
    }
}
