//! Providers that answer as a test says, and the parts around them.

use async_trait::async_trait;
use futures::StreamExt;
use openclaw_ai_fabric::{
    ChatRequest, CircuitBreakers, CircuitConfig, Estimator, FallbackRouter, ModelDefinition, ModelError,
    ModelPort, ModelProvider, ModelStream, ProviderRateLimit, ProviderRegistry, RateLimiter, RouterConfig,
    RouterDeps,
};
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{
    Clock, CorrelationId, EventContext, InProcessEventBus, ModelEvent, ModelId, Monotonic, StopReason,
    Subscription,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the next call of the scripted provider does.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// Refuses the call.
    Refuse(ModelError),
    /// Says these things, then ends, fails or falls silent.
    Say(Vec<ModelEvent>, Ending),
}

#[derive(Clone, Debug)]
pub(crate) enum Ending {
    End,
    Fail(ModelError),
    Silence,
    /// Ends, with this much time before each piece.
    Slowly(Duration),
}

/// A provider that follows a script, and answers `ok` when that is at its end.
#[derive(Debug)]
pub(crate) struct Scripted {
    clock: Arc<ManualClock>,
    script: Mutex<VecDeque<Turn>>,
    calls: Mutex<Vec<(ModelId, u64, Duration)>>,
    /// Whether it streams also where it is asked for an answer in one piece.
    pub(crate) always_streams: AtomicBool,
}

/// A router and everything around it.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) port: Arc<Scripted>,
    pub(crate) registry: Arc<ProviderRegistry>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) circuits: CircuitBreakers,
    pub(crate) estimator: Arc<Estimator>,
    pub(crate) router: FallbackRouter,
    pub(crate) events: Subscription,
    pub(crate) bus: Arc<InProcessEventBus>,
}

pub(crate) fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.into())
}

pub(crate) fn answer(words: &str) -> Turn {
    Turn::Say(
        vec![text(words), ModelEvent::Stop(StopReason::EndTurn)],
        Ending::End,
    )
}

pub(crate) fn server_error() -> Turn {
    Turn::Refuse(ModelError::Server {
        status: 500,
        retry_after: None,
    })
}

pub(crate) fn model(name: &str) -> ModelId {
    name.parse().unwrap()
}

pub(crate) fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

pub(crate) fn correlation_id() -> CorrelationId {
    CorrelationId::new(ManualClock::new().now(), &SeededRandom::new(42))
}

pub(crate) fn provider(id: &str, models: &[&str]) -> ModelProvider {
    let id = id.parse().unwrap();
    ModelProvider {
        name: "test".into(),
        base_url: None,
        models: models
            .iter()
            .map(|name| ModelDefinition::unlisted(model(name), openclaw_core::ProviderId::clone(&id)))
            .collect(),
        id,
        rate_limit: ProviderRateLimit::default(),
        priority: 0,
        any_model: false,
    }
}

// === impl Scripted ===

impl Scripted {
    pub(crate) fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(clock),
            script: Mutex::default(),
            calls: Mutex::default(),
            always_streams: AtomicBool::new(false),
        })
    }

    pub(crate) fn script(&self, turns: impl IntoIterator<Item = Turn>) {
        self.script.lock().unwrap().extend(turns);
    }

    /// Which models were called, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(model, ..)| model.to_string())
            .collect()
    }

    /// When they were called.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.calls.lock().unwrap().iter().map(|(.., at)| *at).collect()
    }

    /// The output each was asked for.
    pub(crate) fn outputs(&self) -> Vec<u64> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|(_, output, _)| *output)
            .collect()
    }
}

#[async_trait]
impl ModelPort for Scripted {
    fn always_streams(&self) -> bool {
        self.always_streams.load(Ordering::Relaxed)
    }

    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        _correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let at = self.clock.monotonic().since_origin();
        self.calls
            .lock()
            .unwrap()
            .push((model.clone(), request.max_output_tokens, at));
        match self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| answer("ok"))
        {
            Turn::Refuse(error) => Err(error),
            Turn::Say(events, ending) => {
                let said = futures::stream::iter(events.into_iter().map(Ok));
                Ok(match ending {
                    Ending::End => said.boxed(),
                    Ending::Fail(error) => said.chain(futures::stream::iter([Err(error)])).boxed(),
                    Ending::Slowly(pause) => {
                        let clock = Arc::clone(&self.clock);
                        said.then(move |event| {
                            let sleep = clock.sleep(pause);
                            async move {
                                sleep.await;
                                event
                            }
                        })
                        .boxed()
                    }
                    Ending::Silence => said.chain(futures::stream::pending()).boxed(),
                })
            }
        }
    }
}

// === impl World ===

impl World {
    /// One provider `p` with the models `a`, `b` and `c`.
    pub(crate) fn new() -> Self {
        Self::with(
            RouterConfig::default(),
            CircuitConfig::default(),
            ProviderRateLimit::default(),
        )
    }

    pub(crate) fn with(config: RouterConfig, circuit: CircuitConfig, rate_limit: ProviderRateLimit) -> Self {
        let clock = ManualClock::new();
        let bus = InProcessEventBus::new();
        let events = bus.subscribe_all(1_000);
        let context = EventContext::new(Arc::clone(&bus) as _, Arc::clone(&clock) as _, "test");
        let port = Scripted::new(&clock);
        let registry = Arc::new(ProviderRegistry::new());
        let provider = ModelProvider {
            rate_limit,
            ..provider("p", &["a", "b", "c"])
        };
        registry.register(provider, Arc::clone(&port) as _).unwrap();
        let limiter = Arc::new(RateLimiter::new(Arc::clone(&clock) as _));
        let circuits = CircuitBreakers::new(circuit, Arc::clone(&clock) as _, &context);
        let estimator = Arc::new(Estimator::new());
        let deps = RouterDeps {
            registry: Arc::clone(&registry),
            limiter: Arc::clone(&limiter),
            circuits: circuits.clone(),
            estimator: Arc::clone(&estimator),
            clock: Arc::clone(&clock) as _,
            random: Arc::new(SeededRandom::new(7)),
            events: context,
        };
        Self {
            router: FallbackRouter::new(config, deps),
            clock,
            port,
            registry,
            limiter,
            circuits,
            estimator,
            events,
            bus,
        }
    }

    /// Names of the events published since the last look.
    pub(crate) fn published(&self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.events.try_next())
            .map(|envelope| {
                assert_eq!(envelope.correlation_id(), Some(correlation_id()), "{envelope:?}");
                assert_eq!(envelope.source_context(), "ai-fabric");
                envelope.name()
            })
            .collect()
    }
}
