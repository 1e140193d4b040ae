//! Drives one request through the chain and writes down what was seen.
//!
//! The clock stands still until everything rests: it is moved to the next deadline when no call is under way (the
//! router waits before a retry), or when the call under way is one that only time ends and everything that comes before
//! its silence was read.

use crate::catalogue::{Fault, Staged};
use crate::formats::{Around, Endpoint, Format};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use openclaw_ai_fabric::event::{ModelFailed, ModelRequested, ModelResponded};
use openclaw_ai_fabric::{
    Attempt, AttemptOutcome, ChatRequest, CircuitBreakers, CircuitConfig, Estimator, FallbackChain,
    FallbackRouter, ModelDefinition, ModelProvider, ProviderRateLimit, ProviderRegistry, RateLimiter,
    RouteError, RoutedEvent, RoutedRequest, RoutedStream, RouterConfig, RouterDeps,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{
    ChatMessage, Clock, CorrelationId, EventContext, InProcessEventBus, ModelEvent, ModelId, ProviderId,
    Random, Role, Subscription, Timestamp,
};
use openclaw_http_client::Client;
use openclaw_testkit::{Answer, Gate, MockOptions, MockProvider};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What the healthy model of a chain answers.
pub(crate) const OTHER: [&str; 3] = ["The ", "other ", "answer."];
/// Retries of each model after its first attempt.
pub(crate) const RETRIES: u32 = 2;
/// How long a request may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// How long a run may take on the wall; only a run that hangs takes it.
const LIMIT: Duration = Duration::from_secs(120);

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Its text can be replaced.
    Chat,
    /// It is sent on as it comes: `/v1`.
    Api,
}

/// Who fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    First,
    Both,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<SeenCall>,
    /// What the reader has in the end.
    pub(crate) text: String,
    /// Whether text that was shown before was replaced.
    pub(crate) replaced: bool,
    pub(crate) end: Result<(), RouteError>,
    /// When it was over, from the beginning.
    pub(crate) over_after: Duration,
}

/// A call and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct SeenCall {
    /// From the beginning of the request.
    pub(crate) at: Duration,
    pub(crate) attempt: Attempt,
}

/// No chance at all: delays are without jitter.
#[derive(Debug)]
struct NoChance;

impl Random for NoChance {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// A provider of the chain, for as long as the run lasts.
struct Stage {
    mock: Option<MockProvider>,
    endpoint: Endpoint,
    fault: Option<Fault>,
    gate: Gate,
}

impl Stage {
    async fn faulty(fault: Fault, format: Format) -> Option<Self> {
        let gate = Gate::new();
        let (mock, endpoint) = match fault.staged(format, &gate)? {
            Staged::Mock { answer, tls } => {
                let options = MockOptions {
                    tls,
                    ..MockOptions::default()
                };
                let mock = MockProvider::start_with(options).await.unwrap();
                mock.answer_with(move |_| Some(answer.clone()));
                let endpoint = Endpoint::mock(&mock);
                (Some(mock), endpoint)
            }
            Staged::Exchange(answer) => {
                let mock = MockProvider::start().await.unwrap();
                for _ in 0..=RETRIES {
                    mock.script_exchange(answer.clone());
                }
                let endpoint = Endpoint::mock(&mock);
                (Some(mock), endpoint)
            }
            Staged::Nowhere => (None, Endpoint::nowhere()),
            Staged::Script(script) => (None, Endpoint::Script(script)),
        };
        Some(Self {
            mock,
            endpoint,
            fault: Some(fault),
            gate,
        })
    }

    async fn healthy(format: Format) -> Self {
        let (mock, endpoint) = if format == Format::Command {
            let lines = OTHER.map(|piece| format!("echo '{{\"type\":\"text\",\"text\":\"{piece}\"}}'\n"));
            let usage = "echo '{\"type\":\"usage\",\"inputTokens\":9,\"outputTokens\":3}'";
            (None, Endpoint::Script(lines.concat() + usage))
        } else {
            let mock = MockProvider::start().await.unwrap();
            mock.answer_with(|_| Some(Answer::pieces(OTHER).with_usage(9, 3)));
            let endpoint = Endpoint::mock(&mock);
            (Some(mock), endpoint)
        };
        Self {
            mock,
            endpoint,
            fault: None,
            gate: Gate::new(),
        }
    }
}

/// The calls as their events tell of them.
struct Progress {
    events: Subscription,
    began: Timestamp,
    /// When each call was made, and of which model.
    calls: Vec<(Duration, ModelId)>,
    under_way: bool,
    /// Pieces of text of the call under way that were read.
    pieces: u64,
    /// The call under way was let through its gate.
    let_through: bool,
}

impl Progress {
    fn look(&mut self) {
        while let Some(event) = self.events.try_next() {
            if let Some(requested) = event.payload::<ModelRequested>() {
                let at = event.timestamp().saturating_since(self.began);
                self.calls.push((at, requested.model.clone()));
                self.under_way = true;
                self.pieces = 0;
                self.let_through = false;
            } else if event.payload::<ModelFailed>().is_some() || event.payload::<ModelResponded>().is_some()
            {
                self.under_way = false;
            }
        }
    }

    /// How often the model of the call under way was called.
    fn calls_of_this_model(&self) -> u64 {
        let this = self.calls.last().map(|(_, model)| model);
        let calls = self.calls.iter().filter(|(_, model)| Some(model) == this);
        u64::try_from(calls.count()).unwrap()
    }
}

fn provider(id: &str) -> ProviderId {
    id.parse().unwrap()
}

fn model(id: &str) -> ModelId {
    id.parse().unwrap()
}

/// Runs a request against the fault; `None` where the format cannot have it.
pub(crate) async fn run(
    client: &Client,
    fault: Fault,
    format: Format,
    reader: Reader,
    failing: Failing,
) -> Option<Trace> {
    let first = Stage::faulty(fault, format).await?;
    let second = match failing {
        Failing::First => Stage::healthy(format).await,
        Failing::Both => Stage::faulty(fault, format).await?,
    };
    let run = drive(client, [first, second], format, reader);
    let trace = tokio::time::timeout(LIMIT, run).await;
    Some(trace.unwrap_or_else(|_| panic!("{fault:?} in {format:?} for {reader:?} hangs")))
}

async fn drive(client: &Client, stages: [Stage; 2], format: Format, reader: Reader) -> Trace {
    let clock = ManualClock::new();
    let bus = InProcessEventBus::new();
    let mut progress = Progress {
        events: bus.subscribe_all(1_000),
        began: clock.now(),
        calls: Vec::new(),
        under_way: false,
        pieces: 0,
        let_through: false,
    };
    let mut stream = router(client, &stages, format, &clock, &bus).route(RoutedRequest {
        chat: ChatRequest::new(vec![ChatMessage::text(Role::User, "A question")], 64),
        chain: FallbackChain {
            fallbacks: vec![model("second")],
            max_retries: RETRIES,
            retry_delay: Duration::from_secs(1),
            ..FallbackChain::new(model("first"))
        },
        correlation_id: CorrelationId::new(clock.now(), &NoChance),
        deadline: clock.monotonic() + DEADLINE,
        may_restart: reader == Reader::Chat,
    });
    let (mut text, mut replaced, mut end) = (String::new(), false, Ok(()));
    while let Some(item) = next(&mut stream, &stages, &clock, &mut progress).await {
        assert!(end.is_ok(), "something follows the end");
        progress.look();
        match item {
            Ok(RoutedEvent::Event(ModelEvent::TextDelta(piece))) => {
                progress.pieces += 1;
                text += &piece;
            }
            Ok(RoutedEvent::Restarted { .. }) => {
                replaced |= !text.is_empty();
                text.clear();
            }
            Ok(RoutedEvent::Began { .. } | RoutedEvent::Event(_)) => {}
            Err(error) => end = Err(error),
        }
    }
    progress.look();
    // What was left out for want of time was no call.
    let called = |attempt: &Attempt| !matches!(attempt.outcome, AttemptOutcome::Skipped(_));
    let attempts: Vec<_> = stream.attempts().into_iter().filter(called).collect();
    assert_eq!(attempts.len(), progress.calls.len(), "{attempts:?}");
    let calls = progress.calls.iter().zip(attempts);
    Trace {
        calls: calls
            .map(|((at, _), attempt)| SeenCall { at: *at, attempt })
            .collect(),
        text,
        replaced,
        end,
        over_after: clock.monotonic().since_origin(),
    }
}

fn router(
    client: &Client,
    stages: &[Stage; 2],
    format: Format,
    clock: &Arc<ManualClock>,
    bus: &Arc<InProcessEventBus>,
) -> FallbackRouter {
    let registry = Arc::new(ProviderRegistry::new());
    let around = Around {
        clock: Arc::clone(clock) as _,
        random: Arc::new(NoChance),
        client: client.clone(),
    };
    for (stage, name) in stages.iter().zip(["first", "second"]) {
        let id = provider(name);
        let port = format.adapter(&id, &stage.endpoint, &around);
        let provider = ModelProvider {
            name: name.into(),
            base_url: None,
            models: vec![ModelDefinition::unlisted(model(name), id.clone())],
            rate_limit: ProviderRateLimit::default(),
            priority: 0,
            any_model: false,
            id,
        };
        registry.register(provider, port).unwrap();
    }
    let events = EventContext::new(Arc::clone(bus) as _, Arc::clone(clock) as _, "test");
    let deps = RouterDeps {
        registry,
        limiter: Arc::new(RateLimiter::new(Arc::clone(clock) as _)),
        circuits: CircuitBreakers::new(CircuitConfig::default(), Arc::clone(clock) as _, &events),
        estimator: Arc::new(Estimator::new()),
        clock: Arc::clone(clock) as _,
        random: Arc::new(NoChance),
        events,
    };
    FallbackRouter::new(RouterConfig::default(), deps)
}

/// What the reader gets next, with the clock moved wherever only time can bring it.
async fn next(
    stream: &mut RoutedStream,
    stages: &[Stage; 2],
    clock: &ManualClock,
    progress: &mut Progress,
) -> Option<Result<RoutedEvent, RouteError>> {
    // Ready once the silent provider of the call under way has the request.
    let mut arrival: Option<(usize, BoxFuture<'_, ()>)> = None;
    poll_fn(move |context| {
        loop {
            if let Poll::Ready(item) = Pin::new(&mut *stream).poll_next(context) {
                return Poll::Ready(item);
            }
            progress.look();
            if !progress.under_way {
                if !wake_next(clock) {
                    return Poll::Pending;
                }
                continue;
            }
            let count = progress.calls.len();
            let Some(stage) = stage_of(stages, progress) else {
                return Poll::Pending;
            };
            let Some(fault) = stage.fault else {
                return Poll::Pending;
            };
            if progress.pieces < fault.pieces_before().unwrap_or(0) {
                return Poll::Pending;
            }
            if !fault.is_silence() {
                if !std::mem::replace(&mut progress.let_through, true) {
                    stage.gate.open();
                }
                return Poll::Pending;
            }
            if let Some(mock) = &stage.mock {
                let wanted = progress.calls_of_this_model();
                if arrival.as_ref().is_none_or(|(call, _)| *call != count) {
                    let at_exchange = matches!(fault, Fault::Exchange(_));
                    let asked = mock.wait_until(LIMIT, move |stats| {
                        wanted
                            <= if at_exchange {
                                stats.exchanges
                            } else {
                                stats.requests
                            }
                    });
                    arrival = Some((
                        count,
                        Box::pin(asked.map(|stats| assert!(stats.is_ok(), "no request"))),
                    ));
                }
                if let Some((_, asked)) = &mut arrival
                    && asked.as_mut().poll(context).is_pending()
                {
                    return Poll::Pending;
                }
                // A future that was ready is not asked again.
                arrival = Some((count, Box::pin(std::future::ready(()))));
            }
            if !wake_next(clock) {
                return Poll::Pending;
            }
            arrival = None;
        }
    })
    .await
}

/// The stage of the call under way.
fn stage_of<'a>(stages: &'a [Stage; 2], progress: &Progress) -> Option<&'a Stage> {
    let (_, called) = progress.calls.last()?;
    stages.get(usize::from(called.as_str() == "second"))
}

/// Moves the clock to the earliest deadline. `false` when nobody waits for one.
fn wake_next(clock: &ManualClock) -> bool {
    let Some(deadline) = clock.next_deadline() else {
        return false;
    };
    clock.advance(deadline.saturating_since(clock.monotonic()));
    true
}
