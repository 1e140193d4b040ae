//! Circuit breakers: a model that keeps failing is left alone for a while, then probed by one call.
//!
//! One breaker for each provider and model. It also keeps the model's measured health, which breaks ties of the
//! selection and is shown to the operator.

use crate::error::ModelError;
use crate::event::{CircuitClosed, CircuitOpened};
use openclaw_core::{Clock, CorrelationId, EventContext, ModelId, Monotonic, ProviderId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Breakers kept. At the bound the one used longest ago is forgotten, which closes it.
const MAX_CIRCUITS: usize = 4_096;
/// How much of a new observation goes into the health.
const HEALTH_RATE: f64 = 0.1;

/// When circuits open and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitConfig {
    /// Failures in a row that open one.
    pub failure_threshold: u32,
    /// How long it stays open before it is probed.
    pub open_for: Duration,
    /// The same when a key was refused or a quota is used up, which time alone seldom mends.
    pub bench_for: Duration,
}

/// The circuit breakers of all models.
#[derive(Clone, Debug)]
pub struct CircuitBreakers {
    shared: Arc<Shared>,
}

/// The right to make one call. Say how it went; dropped without a word it gives the probe back and counts nothing.
#[derive(Debug)]
#[must_use = "a pass that is dropped at once lets nobody learn how the call went"]
pub struct CircuitPass {
    shared: Arc<Shared>,
    key: Key,
    /// Which probe this is; `None` in a closed circuit.
    probe: Option<u64>,
    correlation_id: Option<CorrelationId>,
    spent: bool,
}

/// A circuit as the operator is shown it.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitView {
    /// Whose.
    pub provider: ProviderId,
    /// Which model.
    pub model: ModelId,
    /// What it does with the next call.
    pub state: CircuitState,
    /// Failures in a row.
    pub failures: u32,
    /// Share of calls that went well, recent ones weighing more; between 0 and 1.
    pub health: f64,
    /// Time to the first token, smoothed; `None` before there was one.
    pub first_token: Option<Duration>,
    /// While it refuses calls: why and for how long yet.
    pub left_alone: Option<LeftAlone>,
}

/// Why a circuit refuses calls, and how long it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The failure that opened it, without the provider's own words.
    pub reason: String,
    /// Until the next call is let through to see.
    pub remaining: Duration,
}

/// What a circuit does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Lets it through.
    Closed,
    /// Refuses it.
    Open,
    /// Lets one through to see.
    HalfOpen,
}

type Key = (ProviderId, ModelId);

#[derive(Debug)]
struct Shared {
    config: RwLock<CircuitConfig>,
    clock: Arc<dyn Clock>,
    events: EventContext,
    /// Guards all circuits; held for one decision, never while publishing.
    circuits: Mutex<HashMap<Key, Circuit>>,
}

#[derive(Clone, Debug)]
struct Circuit {
    state: State,
    failures: u32,
    health: f64,
    first_token: Option<Duration>,
    /// The failure that opened it last.
    reason: String,
    touched: Monotonic,
    probes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Monotonic },
    Probing { probe: u64, until: Monotonic },
}

// === impl CircuitConfig ===

impl Default for CircuitConfig {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            open_for: Duration::from_secs(30),
            bench_for: Duration::from_secs(60),
        }
    }
}

// === impl CircuitBreakers ===

impl CircuitBreakers {
    /// All closed.
    pub fn new(config: CircuitConfig, clock: Arc<dyn Clock>, events: &EventContext) -> Self {
        Self {
            shared: Arc::new(Shared {
                config: RwLock::new(config),
                clock,
                events: events.for_source(crate::SOURCE),
                circuits: Mutex::default(),
            }),
        }
    }

    /// Other thresholds from now on; circuits that are open stay so for as long as they were to.
    pub fn configure(&self, config: CircuitConfig) {
        *self.shared.config.write() = config;
    }

    /// Asks for one call of the model. `Err` says when the circuit will be probed; a circuit that is being probed
    /// refuses until the probe has ended.
    pub fn try_pass(
        &self,
        provider: &ProviderId,
        model: &ModelId,
        correlation_id: Option<CorrelationId>,
    ) -> Result<CircuitPass, Duration> {
        let key = (provider.clone(), model.clone());
        let now = self.shared.clock.monotonic();
        let mut circuits = self.shared.circuits.lock();
        let probe = match circuits.get_mut(&key) {
            None => None,
            Some(circuit) => {
                circuit.touched = now;
                match circuit.state {
                    State::Closed => None,
                    State::Open { until } | State::Probing { until, .. } if now < until => {
                        return Err(until.saturating_since(now));
                    }
                    // A probe whose time has passed without a word is taken for lost and another is sent.
                    State::Open { .. } | State::Probing { .. } => {
                        circuit.probes = circuit.probes.wrapping_add(1);
                        circuit.state = State::Probing {
                            probe: circuit.probes,
                            until: now + self.shared.config.read().open_for,
                        };
                        Some(circuit.probes)
                    }
                }
            }
        };
        drop(circuits);
        Ok(CircuitPass {
            shared: Arc::clone(&self.shared),
            key,
            probe,
            correlation_id,
            spent: false,
        })
    }

    /// The model's measured health: 1 for what is not known, 0 for an open circuit.
    pub fn health(&self, provider: &ProviderId, model: &ModelId) -> f64 {
        let now = self.shared.clock.monotonic();
        let circuits = self.shared.circuits.lock();
        match circuits.get(&(provider.clone(), model.clone())) {
            None => 1.0,
            Some(circuit) if circuit.view_state(now) == CircuitState::Open => 0.0,
            Some(circuit) => circuit.health,
        }
    }

    /// Forgets what is known of a provider: its key or address was changed.
    pub fn reset(&self, provider: &ProviderId) {
        self.shared.circuits.lock().retain(|(id, _), _| id != provider);
    }

    /// A call outside the circuit was answered, such as an operator's test: whatever was held against the model no
    /// longer holds, and the next call is let through.
    pub fn answered(&self, provider: &ProviderId, model: &ModelId, correlation_id: Option<CorrelationId>) {
        let was_open = {
            let mut circuits = self.shared.circuits.lock();
            let Some(circuit) = circuits.get_mut(&(provider.clone(), model.clone())) else {
                return;
            };
            circuit.failures = 0;
            circuit.observe(true);
            // A probe under way loses its say.
            std::mem::replace(&mut circuit.state, State::Closed) != State::Closed
        };
        if was_open {
            self.shared.events.publish(correlation_id, || CircuitClosed {
                provider: provider.clone(),
                model: model.clone(),
            });
        }
    }

    /// All circuits that are known, sorted by provider and model.
    pub fn snapshot(&self) -> Vec<CircuitView> {
        let now = self.shared.clock.monotonic();
        let mut views: Vec<_> = self
            .shared
            .circuits
            .lock()
            .iter()
            .map(|((provider, model), circuit)| CircuitView {
                provider: provider.clone(),
                model: model.clone(),
                state: circuit.view_state(now),
                failures: circuit.failures,
                health: circuit.health,
                first_token: circuit.first_token,
                left_alone: circuit.left_alone(now),
            })
            .collect();
        views.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
        views
    }
}

// === impl CircuitPass ===

impl CircuitPass {
    /// The call went well.
    pub fn succeeded(mut self, first_token: Option<Duration>) {
        self.spent = true;
        let closed = {
            let mut circuits = self.shared.circuits.lock();
            let circuit = self.shared.entry(&mut circuits, &self.key);
            circuit.failures = 0;
            circuit.observe(true);
            if let Some(new) = first_token {
                circuit.first_token = Some(circuit.first_token.map_or(new, |old| (old * 9 + new) / 10));
            }
            // A success from before the circuit opened says nothing of the probe.
            let probed = self.probe.is_some_and(|probe| circuit.is_probe(probe));
            if probed {
                circuit.state = State::Closed;
            }
            probed
        };
        if closed {
            self.shared.events.publish(self.correlation_id, || CircuitClosed {
                provider: self.key.0.clone(),
                model: self.key.1.clone(),
            });
        }
    }

    /// The call failed. What says nothing of the model's health — a bad request, a refused content, a rate limit —
    /// counts as neither.
    pub fn failed(mut self, error: &ModelError) {
        let bench = match error {
            ModelError::QuotaExhausted { .. } | ModelError::Unauthorized { .. } => true,
            ModelError::Overloaded { .. }
            | ModelError::Server { .. }
            | ModelError::Timeout { .. }
            | ModelError::Connect { .. }
            | ModelError::Cut
            | ModelError::Malformed { .. }
            | ModelError::InStream { .. } => false,
            ModelError::RateLimited { .. }
            | ModelError::UnknownModel
            | ModelError::Unsupported { .. }
            | ModelError::BadRequest { .. }
            | ModelError::ContextTooLong
            | ModelError::ContentRefused
            | ModelError::Refused { .. }
            | ModelError::CircuitOpen { .. }
            | ModelError::RetryBudget => return,
        };
        self.spent = true;
        let config = *self.shared.config.read();
        let open_for = if bench { config.bench_for } else { config.open_for };
        let now = self.shared.clock.monotonic();
        let opened = {
            let mut circuits = self.shared.circuits.lock();
            let circuit = self.shared.entry(&mut circuits, &self.key);
            circuit.failures = circuit.failures.saturating_add(1);
            circuit.observe(false);
            let opens = match circuit.state {
                State::Closed => bench || circuit.failures >= config.failure_threshold,
                State::Probing { .. } => self.probe.is_some_and(|probe| circuit.is_probe(probe)),
                State::Open { .. } => false,
            };
            if opens {
                circuit.state = State::Open {
                    until: now + open_for,
                };
                circuit.reason = error.cause();
            }
            opens.then_some(circuit.failures)
        };
        if let Some(failures) = opened {
            self.shared.events.publish(self.correlation_id, || CircuitOpened {
                provider: self.key.0.clone(),
                model: self.key.1.clone(),
                failures,
                open_for_ms: u64::try_from(open_for.as_millis()).unwrap_or(u64::MAX),
            });
        }
    }
}

impl Drop for CircuitPass {
    fn drop(&mut self) {
        let (false, Some(probe)) = (self.spent, self.probe) else {
            return;
        };
        let now = self.shared.clock.monotonic();
        let mut circuits = self.shared.circuits.lock();
        if let Some(circuit) = circuits.get_mut(&self.key)
            && circuit.is_probe(probe)
        {
            // The next call may probe at once.
            circuit.state = State::Open { until: now };
        }
    }
}

// === impl Shared ===

impl Shared {
    fn entry<'a>(&self, circuits: &'a mut HashMap<Key, Circuit>, key: &Key) -> &'a mut Circuit {
        let now = self.clock.monotonic();
        if circuits.len() >= MAX_CIRCUITS && !circuits.contains_key(key) {
            let oldest = circuits
                .iter()
                .min_by_key(|(_, circuit)| circuit.touched)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                circuits.remove(&oldest);
            }
        }
        let circuit = circuits.entry(key.clone()).or_insert(Circuit {
            state: State::Closed,
            failures: 0,
            health: 1.0,
            first_token: None,
            reason: String::new(),
            touched: now,
            probes: 0,
        });
        circuit.touched = now;
        circuit
    }
}

// === impl Circuit ===

impl Circuit {
    fn observe(&mut self, good: bool) {
        self.health += HEALTH_RATE * (f64::from(u8::from(good)) - self.health);
    }

    fn is_probe(&self, probe: u64) -> bool {
        matches!(self.state, State::Probing { probe: current, .. } if current == probe)
    }

    fn left_alone(&self, now: Monotonic) -> Option<LeftAlone> {
        match self.state {
            State::Open { until } if now < until => Some(LeftAlone {
                reason: self.reason.clone(),
                remaining: until.saturating_since(now),
            }),
            State::Open { .. } | State::Closed | State::Probing { .. } => None,
        }
    }

    fn view_state(&self, now: Monotonic) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { until } if now < until => CircuitState::Open,
            State::Open { .. } | State::Probing { .. } => CircuitState::HalfOpen,
        }
    }
}
