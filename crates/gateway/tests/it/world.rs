//! A gateway between a messenger that remembers what it was told and a model that says what the test wants.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use openclaw_ai_fabric::{
    ChatRequest, CircuitBreakers, CircuitConfig, Estimator, FallbackRouter, ModelCapability, ModelDefinition,
    ModelError, ModelPort, ModelProvider, ModelSelector, ModelStream, ProviderRateLimit, ProviderRegistry,
    RateLimiter, RouterConfig, RouterDeps, TokenBudget, TokenBudgetConfig,
};
use openclaw_concurrency::{ConcurrencyConfig, WorkerPool};
use openclaw_core::{
    ChatId, ChatKind, Clock, CorrelationId, EventBus, EventContext, InProcessEventBus, IncomingKind,
    IncomingMessage, Language, MessageId, ModelEvent, ModelId, OutgoingMessage, Platform, ProviderId, Random,
    StopReason, Subscription, Timestamp, TokenUsage, UserId,
};
use openclaw_gateway::ports::TurnStore;
use openclaw_gateway::{Gateway, GatewayConfig, GatewayParts, JobRunner, Retries};
use openclaw_memory::MemoryStore;
use openclaw_messenger::{
    Capabilities, Certainty, DeliveryError, DeliveryErrorKind, DispatchLimits, Headers, LengthUnit, Markup,
    MessageDispatcher, MessengerPort, ParseError, Parsed, SecurityError, WebhookSecrets,
};
use openclaw_plugins::{HookDispatcher, PluginRegistry};
use openclaw_system::{SystemClock, SystemRandom};
use openclaw_task_runtime::TaskRuntime;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Long enough for a slow machine; nothing waits for it when things go well.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) messenger: Arc<Messenger>,
    pub(crate) model: Arc<Model>,
    pub(crate) plugins: Arc<PluginRegistry>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) budget: Arc<TokenBudget>,
    pub(crate) events: Subscription,
    /// Of each job that was run, whether it only waits.
    pub(crate) only_waited: Arc<Mutex<Vec<bool>>>,
    updates: AtomicU64,
}

/// Remembers what every chat shows.
#[derive(Debug, Default)]
pub(crate) struct Messenger {
    chats: Mutex<HashMap<String, BTreeMap<u64, String>>>,
    next: AtomicU64,
    changed: Notify,
    /// What becomes of the next calls that send, before one succeeds.
    pub(crate) fails: Mutex<VecDeque<DeliveryError>>,
    /// Calls that sent or were to send.
    pub(crate) sends: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
}

/// What a model says that calls a tool.
pub(crate) const TOOL_CALL: &str = "\u{0}tool";
/// The last of what a model says whose answer breaks off.
pub(crate) const CUT: &str = "\u{0}cut";

type Saying = Box<dyn Fn(&ChatRequest) -> Result<String, ModelError> + Send + Sync>;

/// Says what the test wants, word by word.
pub(crate) struct Model {
    clock: Arc<dyn Clock>,
    saying: Mutex<Saying>,
    /// The pause before each word.
    pub(crate) gap: Mutex<Duration>,
    pub(crate) asked: Mutex<Vec<ChatRequest>>,
    /// Events that were taken from it.
    pub(crate) told: Arc<AtomicU64>,
    /// What it says every request has cost, beside the five tokens of its answer.
    input_tokens: Mutex<u64>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

impl Model {
    pub(crate) fn costs(&self, input_tokens: u64) {
        *self.input_tokens.lock() = input_tokens;
    }

    pub(crate) fn says(
        &self,
        saying: impl Fn(&ChatRequest) -> Result<String, ModelError> + Send + Sync + 'static,
    ) {
        *self.saying.lock() = Box::new(saying);
    }
}

#[async_trait]
impl ModelPort for Model {
    async fn stream(
        &self,
        _model: &ModelId,
        request: &ChatRequest,
        _correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        self.asked.lock().push(request.clone());
        let text = (self.saying.lock())(request)?;
        let mut events: Vec<Result<ModelEvent, ModelError>> = if text == TOOL_CALL {
            vec![Ok(ModelEvent::ToolUseStart {
                index: 0,
                id: "call".to_owned(),
                name: "look".to_owned(),
            })]
        } else {
            let words = text.split_inclusive(' ');
            words
                .map(|word| match word {
                    CUT => Err(ModelError::Cut),
                    word => Ok(ModelEvent::TextDelta(word.to_owned())),
                })
                .collect()
        };
        events.push(Ok(ModelEvent::Usage(TokenUsage {
            input_tokens: *self.input_tokens.lock(),
            output_tokens: 5,
            estimated: false,
        })));
        events.push(Ok(ModelEvent::Stop(StopReason::EndTurn)));
        let told = Arc::clone(&self.told);
        let events = stream::iter(events).inspect(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let gap = *self.gap.lock();
        if gap.is_zero() {
            return Ok(Box::pin(events));
        }
        let clock = Arc::clone(&self.clock);
        Ok(Box::pin(events.then(move |event| {
            let pause = clock.sleep(gap);
            async move {
                pause.await;
                event
            }
        })))
    }
}

impl Messenger {
    pub(crate) fn texts(&self, chat: &str) -> Vec<String> {
        self.chats
            .lock()
            .get(chat)
            .map(|messages| messages.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Waits until the chat shows exactly these messages.
    #[track_caller]
    pub(crate) fn shows(&self, chat: &str, expected: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let waiting = async {
                loop {
                    let changed = self.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    if self.texts(chat) == expected {
                        return;
                    }
                    changed.await;
                }
            };
            if tokio::time::timeout(LONG, waiting).await.is_err() {
                panic!(
                    "{caller}: chat {chat} shows {:?}, not {expected:?}",
                    self.texts(chat)
                );
            }
        }
    }

    /// Somebody deletes all that the chat shows.
    pub(crate) fn clear(&self, chat: &str) {
        self.chats.lock().remove(chat);
    }

    fn set(&self, chat: &ChatId, id: u64, text: &str) {
        self.chats
            .lock()
            .entry(chat.to_string())
            .or_default()
            .insert(id, text.to_owned());
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl MessengerPort for Messenger {
    fn platform(&self) -> Platform {
        Platform::Telegram
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edit: true,
            typing: false,
            drafts: false,
            markup: Markup::None,
            max_length: Some(4_096),
            unit: LengthUnit::Utf16,
            threads: false,
            bot_limit: false,
            private_limit: None,
            group_limit: None,
            draft_limit: None,
        }
    }

    async fn send_message(&self, message: &OutgoingMessage) -> Result<MessageId, DeliveryError> {
        self.sends.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.fails.lock().pop_front() {
            return Err(error);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.set(&message.chat, id, &message.text);
        Ok(MessageId::parse(id.to_string()).unwrap())
    }

    async fn edit_message(&self, id: &MessageId, message: &OutgoingMessage) -> Result<(), DeliveryError> {
        let id = id.as_str().parse().unwrap();
        let is_there = |chats: &BTreeMap<_, _>| chats.contains_key(&id);
        if !self
            .chats
            .lock()
            .get(&message.chat.to_string())
            .is_some_and(is_there)
        {
            return Err(DeliveryError {
                certainty: Certainty::Refused,
                kind: DeliveryErrorKind::NothingToEdit,
            });
        }
        self.set(&message.chat, id, &message.text);
        Ok(())
    }

    async fn delete_message(&self, chat: &ChatId, id: &MessageId) -> Result<(), DeliveryError> {
        let id: u64 = id.as_str().parse().unwrap();
        self.chats.lock().entry(chat.to_string()).or_default().remove(&id);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn acknowledge(&self, _message: &IncomingMessage) -> Result<(), DeliveryError> {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn send_typing_indicator(&self, _chat: &ChatId) -> Result<(), DeliveryError> {
        Ok(())
    }

    fn validate_webhook_signature(
        &self,
        _headers: &dyn Headers,
        _now: Timestamp,
    ) -> Result<(), SecurityError> {
        Err(SecurityError::NoSecret {
            platform: Platform::Telegram,
        })
    }

    fn parse_webhook(&self, _body: &[u8], _now: Timestamp) -> Result<Parsed, ParseError> {
        Ok(Parsed::Messages(Vec::new()))
    }

    fn set_webhook_secrets(&self, _secrets: WebhookSecrets) {}
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let store = Arc::new(MemoryStore::new());
        let turns = Arc::clone(&store) as Arc<dyn TurnStore>;
        Self::on(store, turns, Arc::new(SystemClock::new()), change).await
    }

    /// The same on another clock, and with `turns` before the store.
    pub(crate) async fn on(
        store: Arc<MemoryStore>,
        turns: Arc<dyn TurnStore>,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let bus = InProcessEventBus::new();
        let seen = bus.subscribe_all(10_000);
        let events = EventContext::new(bus as Arc<dyn EventBus>, Arc::clone(&clock), "gateway");
        let registry = Arc::new(ProviderRegistry::new());
        let model = Arc::new(Model {
            clock: Arc::clone(&clock),
            gap: Mutex::default(),
            saying: Mutex::new(Box::new(echo)),
            asked: Mutex::default(),
            told: Arc::default(),
            input_tokens: Mutex::new(10),
        });
        let id = ProviderId::parse("test").unwrap();
        let provider = ModelProvider {
            name: "Test".into(),
            base_url: None,
            models: vec![{
                let mut model = ModelDefinition::unlisted(ModelId::parse("test").unwrap(), id.clone());
                model.capabilities.push(ModelCapability::Vision);
                model
            }],
            rate_limit: ProviderRateLimit::default(),
            priority: 0,
            any_model: false,
            id,
        };
        registry
            .register(provider, Arc::clone(&model) as Arc<dyn ModelPort>)
            .unwrap();
        let circuits = CircuitBreakers::new(CircuitConfig::default(), Arc::clone(&clock), &events);
        let estimator = Arc::new(Estimator::new());
        let messenger = Arc::new(Messenger::default());
        let dispatcher = MessageDispatcher::new(
            vec![Arc::clone(&messenger) as Arc<dyn MessengerPort>],
            DispatchLimits::default(),
            Arc::clone(&clock),
            &events,
        );
        let plugins = PluginRegistry::new(Arc::clone(&clock), events.for_source("plugins"));
        let mut config = GatewayConfig::default();
        change(&mut config);
        let budget = Arc::new(TokenBudget::new(
            TokenBudgetConfig::default(),
            Arc::clone(&clock),
            &events,
        ));
        let runner = JobRunner::new(GatewayParts {
            config,
            streaming: HashMap::new(),
            show: HashMap::new(),
            default_chain: None,
            retries: Retries {
                max_retries: 0,
                retry_delay: Duration::ZERO,
            },
            store: turns,
            selector: Arc::new(ModelSelector::new(Arc::clone(&registry), circuits.clone())),
            router: Arc::new(FallbackRouter::new(
                RouterConfig::default(),
                RouterDeps {
                    registry,
                    limiter: Arc::new(RateLimiter::new(Arc::clone(&clock))),
                    circuits,
                    estimator: Arc::clone(&estimator),
                    clock: Arc::clone(&clock),
                    random: Arc::clone(&random),
                    events: events.clone(),
                },
            )),
            budget: Arc::clone(&budget),
            estimator,
            hooks: Arc::new(HookDispatcher::new(
                Arc::clone(&plugins),
                Arc::clone(&clock),
                events.for_source("plugins"),
            )),
            dispatcher: Arc::new(dispatcher),
            clock: Arc::clone(&clock),
            random,
            events: events.clone(),
        });
        let work = runner.clone();
        let only_waited = Arc::<Mutex<Vec<bool>>>::default();
        let noted = Arc::clone(&only_waited);
        let runtime = TaskRuntime::on(
            tokio::runtime::Handle::current(),
            Arc::clone(&clock),
            move |job, context| {
                let runner = work.clone();
                noted.lock().push(runner.only_waits(&job));
                async move { runner.run(job, context).await }
            },
        );
        let pool = WorkerPool::new(
            ConcurrencyConfig::default(),
            runtime,
            clock,
            events.for_source("concurrency"),
        )
        .unwrap();
        let gateway = Gateway::new(&runner, pool, Duration::from_secs(30));
        gateway.start().await.unwrap();
        Self {
            gateway,
            messenger,
            model,
            plugins,
            store,
            budget,
            events: seen,
            only_waited,
            updates: AtomicU64::new(0),
        }
    }

    /// A private message of a person.
    pub(crate) fn message(&self, user: &str, text: &str) -> IncomingMessage {
        IncomingMessage {
            platform: Platform::Telegram,
            bot: openclaw_core::BotId::default(),
            update_key: self.updates.fetch_add(1, Ordering::Relaxed).to_string(),
            user: UserId::parse(user).unwrap(),
            chat: ChatId::parse(user).unwrap(),
            chat_kind: ChatKind::Private,
            kind: IncomingKind::Message,
            message_id: None,
            reply_to: None,
            text: text.to_owned(),
            attachments: Vec::new(),
            language: Some(Language::En),
            sent_at: None,
        }
    }

    /// Hands a private message in.
    pub(crate) async fn say(&self, user: &str, text: &str) {
        self.gateway
            .receive(vec![self.message(user, text)], None)
            .await
            .unwrap();
    }
}

fn echo(request: &ChatRequest) -> Result<String, ModelError> {
    Ok(format!(
        "echo: {}",
        request.messages.last().unwrap().joined_text()
    ))
}
