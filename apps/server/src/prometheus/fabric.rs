//! What the AI fabric does, for Prometheus: calls, failures, fallbacks, limits, circuits, tokens and money, by provider.
//!
//! Providers come from the operator's configuration, so their names are a closed set. Models may be named by callers, so
//! only listed ones are labels, and only in gauges.

use super::Exposition;
use openclaw_ai_fabric::event::{
    CircuitClosed, CircuitOpened, FallbackTriggered, ModelFailed, ModelResponded, RateLimitHit,
    TokenBudgetWarning,
};
use openclaw_ai_fabric::{CircuitBreakers, CircuitState, ProviderRegistry, RateLimiter};
use openclaw_core::{Envelope, ProviderId};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The most series of one counter: what comes after is counted under a provider named `other`. Reloads may bring new
/// names for ever.
const MAX_SERIES: usize = 2_048;

/// Counts of one kind by provider and one more label.
#[derive(Debug)]
struct ByProvider {
    name: &'static str,
    help: &'static str,
    /// The other label; empty where there is none.
    label: &'static str,
    series: Mutex<BTreeMap<(String, &'static str), f64>>,
}

/// Counters that events bump.
#[derive(Debug)]
pub(crate) struct FabricCounters {
    calls: ByProvider,
    answers: ByProvider,
    failures: ByProvider,
    tokens: ByProvider,
    cost: ByProvider,
    first_token_seconds: ByProvider,
    duration_seconds: ByProvider,
    limit_hits: ByProvider,
    circuit_changes: ByProvider,
    fallbacks: ByProvider,
    budget_warnings: ByProvider,
}

// === impl ByProvider ===

impl ByProvider {
    const fn new(name: &'static str, help: &'static str, label: &'static str) -> Self {
        Self {
            name,
            help,
            label,
            series: Mutex::new(BTreeMap::new()),
        }
    }

    fn add(&self, provider: &str, value: &'static str, amount: f64) {
        let mut series = self.series.lock();
        let key = (provider.to_owned(), value);
        let key = if series.len() < MAX_SERIES || series.contains_key(&key) {
            key
        } else {
            ("other".to_owned(), value)
        };
        *series.entry(key).or_default() += amount;
    }

    fn write(&self, out: &mut Exposition) {
        out.head(self.name, "counter", self.help);
        for ((provider, value), amount) in self.series.lock().iter() {
            let mut labels = Vec::with_capacity(2);
            if !provider.is_empty() {
                labels.push(("provider", provider.as_str()));
            }
            if !self.label.is_empty() {
                labels.push((self.label, *value));
            }
            out.sample(self.name, &labels, *amount);
        }
    }
}

// === impl FabricCounters ===

impl Default for FabricCounters {
    fn default() -> Self {
        let new = ByProvider::new;
        Self {
            calls: new(
                "openclaw_model_calls_total",
                "Calls of models that have ended",
                "",
            ),
            answers: new(
                "openclaw_model_answers_total",
                "Answers of models that were complete",
                "",
            ),
            failures: new(
                "openclaw_model_failures_total",
                "Calls of models that failed",
                "code",
            ),
            tokens: new(
                "openclaw_model_tokens_total",
                "Tokens of complete answers and their requests",
                "direction",
            ),
            cost: new(
                "openclaw_model_cost_total",
                "What complete answers cost, in the operator's currency",
                "",
            ),
            first_token_seconds: new(
                "openclaw_model_first_token_seconds_total",
                "Time from calls to their first tokens; divide by the answers",
                "",
            ),
            duration_seconds: new(
                "openclaw_model_duration_seconds_total",
                "Time of complete answers; divide by the answers",
                "",
            ),
            limit_hits: new(
                "openclaw_provider_rate_limit_hits_total",
                "Limits of providers that were reached",
                "limit",
            ),
            circuit_changes: new(
                "openclaw_circuit_changes_total",
                "Circuits that opened and closed",
                "to",
            ),
            fallbacks: new(
                "openclaw_fallbacks_total",
                "Chains that went on to another model",
                "reason",
            ),
            budget_warnings: new(
                "openclaw_token_budget_warnings_total",
                "Budgets that reached 80 or 100 per cent of their limit",
                "percent",
            ),
        }
    }
}

impl FabricCounters {
    /// Counts an event, if it is one of the fabric's.
    pub(crate) fn count(&self, event: &Envelope) {
        let id = |provider: &ProviderId| provider.as_str().to_owned();
        // A call is counted when it ends: its beginning is one event more on the path of every request.
        if let Some(event) = event.payload::<ModelResponded>() {
            let provider = id(&event.provider);
            self.calls.add(&provider, "", 1.0);
            self.answers.add(&provider, "", 1.0);
            self.tokens.add(&provider, "in", event.input_tokens as f64);
            self.tokens.add(&provider, "out", event.output_tokens as f64);
            self.cost.add(&provider, "", event.cost_micros as f64 / 1e6);
            self.first_token_seconds
                .add(&provider, "", event.first_token_ms as f64 / 1e3);
            self.duration_seconds
                .add(&provider, "", event.duration_ms as f64 / 1e3);
        } else if let Some(event) = event.payload::<ModelFailed>() {
            self.calls.add(&id(&event.provider), "", 1.0);
            self.failures.add(&id(&event.provider), event.code, 1.0);
        } else if let Some(event) = event.payload::<RateLimitHit>() {
            self.limit_hits.add(&id(&event.provider), event.limit, 1.0);
        } else if let Some(event) = event.payload::<CircuitOpened>() {
            self.circuit_changes.add(&id(&event.provider), "open", 1.0);
        } else if let Some(event) = event.payload::<CircuitClosed>() {
            self.circuit_changes.add(&id(&event.provider), "closed", 1.0);
        } else if let Some(event) = event.payload::<FallbackTriggered>() {
            self.fallbacks.add("", event.reason, 1.0);
        } else if let Some(event) = event.payload::<TokenBudgetWarning>() {
            let percent = if event.percent >= 100 { "100" } else { "80" };
            self.budget_warnings.add("", percent, 1.0);
        }
    }

    /// Appends all of them.
    pub(crate) fn write(&self, out: &mut Exposition) {
        for counter in [
            &self.calls,
            &self.answers,
            &self.failures,
            &self.tokens,
            &self.cost,
            &self.first_token_seconds,
            &self.duration_seconds,
            &self.limit_hits,
            &self.circuit_changes,
            &self.fallbacks,
            &self.budget_warnings,
        ] {
            counter.write(out);
        }
    }
}

/// Appends what is left of each provider's limits, and the state of each listed model's circuit.
pub(crate) fn write_gauges(
    out: &mut Exposition,
    registry: &ProviderRegistry,
    limiter: &RateLimiter,
    circuits: &CircuitBreakers,
) {
    const QUOTA: &str = "openclaw_provider_quota_remaining";
    const IN_FLIGHT: &str = "openclaw_provider_in_flight";
    const STATE: &str = "openclaw_circuit_state";
    const HEALTH: &str = "openclaw_model_health";
    let providers = registry.all_providers();
    out.head(
        QUOTA,
        "gauge",
        "What is left of a provider's limit in the sliding minute",
    );
    for provider in &providers {
        let Some(left) = limiter.remaining_quota(&provider.id) else {
            continue;
        };
        for (limit, left) in [
            ("requestsPerMinute", left.requests),
            ("tokensPerMinute", left.tokens),
            ("concurrentRequests", left.concurrent),
        ] {
            if let Some(left) = left {
                let labels = [("provider", provider.id.as_str()), ("limit", limit)];
                out.sample(QUOTA, &labels, left as f64);
            }
        }
    }
    out.head(IN_FLIGHT, "gauge", "Calls of a provider under way");
    for provider in &providers {
        let in_flight = limiter
            .remaining_quota(&provider.id)
            .map_or(0, |left| left.in_flight);
        out.sample(IN_FLIGHT, &[("provider", provider.id.as_str())], in_flight as f64);
    }
    let snapshot = circuits.snapshot();
    out.head(STATE, "gauge", "A model's circuit: 0 closed, 1 half open, 2 open");
    let listed = || {
        providers
            .iter()
            .flat_map(|provider| provider.models.iter().map(move |model| (provider, model)))
    };
    for (provider, model) in listed() {
        let state = snapshot
            .iter()
            .find(|one| one.provider == provider.id && one.model == model.id)
            .map_or(CircuitState::Closed, |one| one.state);
        let value = match state {
            CircuitState::Closed => 0.0,
            CircuitState::HalfOpen => 1.0,
            CircuitState::Open => 2.0,
        };
        let labels = [("provider", provider.id.as_str()), ("model", model.id.as_str())];
        out.sample(STATE, &labels, value);
    }
    out.head(HEALTH, "gauge", "A model's measured health, 0 to 1");
    for (provider, model) in listed() {
        let labels = [("provider", provider.id.as_str()), ("model", model.id.as_str())];
        out.sample(HEALTH, &labels, circuits.health(&provider.id, &model.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::{CorrelationId, Event, Timestamp};

    fn count<E: Event>(counters: &FabricCounters, event: E) {
        counters.count(&Envelope::new(event, Timestamp::default(), None, "tests"));
    }

    #[test]
    fn every_event_of_the_fabric_has_its_metric_without_tenants() {
        let counters = FabricCounters::default();
        let request_id = CorrelationId::new(
            Timestamp::default(),
            &openclaw_core::testing::SeededRandom::new(1),
        );
        let model: openclaw_core::ModelId = "m".parse().unwrap();
        let provider: ProviderId = "p\"1".parse().unwrap();
        count(
            &counters,
            ModelResponded {
                request_id,
                model: model.clone(),
                provider: provider.clone(),
                input_tokens: 5,
                output_tokens: 7,
                estimated: false,
                first_token_ms: 250,
                duration_ms: 1_500,
                cost_micros: 2_000_000,
            },
        );
        count(
            &counters,
            ModelFailed {
                request_id,
                model: model.clone(),
                provider: provider.clone(),
                code: "MODEL_TIMEOUT",
                reason: "timed out".to_owned(),
                retryable: true,
                then: "end",
                delay_ms: None,
                retry_after_ms: None,
                after_first_token: false,
                duration_ms: 1,
            },
        );
        count(
            &counters,
            FallbackTriggered {
                primary_model: model.clone(),
                from_model: model.clone(),
                fallback_model: model.clone(),
                reason: "MODEL_TIMEOUT",
                request_id,
            },
        );
        count(
            &counters,
            RateLimitHit {
                provider: provider.clone(),
                limit: "requestsPerMinute",
                retry_after_ms: 1,
            },
        );
        count(
            &counters,
            TokenBudgetWarning {
                account: "telegram:5:5".into(),
                percent: 80,
                used: 8,
                limit: 10,
                resets_at: Timestamp::default(),
            },
        );
        count(
            &counters,
            CircuitOpened {
                provider: provider.clone(),
                model: model.clone(),
                failures: 5,
                open_for_ms: 1,
            },
        );
        count(&counters, CircuitClosed { provider, model });
        let mut out = Exposition::default();
        counters.write(&mut out);
        let text = out.finish();
        for line in [
            "openclaw_model_calls_total{provider=\"p\\\"1\"} 2",
            "openclaw_model_answers_total{provider=\"p\\\"1\"} 1",
            "openclaw_model_failures_total{provider=\"p\\\"1\",code=\"MODEL_TIMEOUT\"} 1",
            "openclaw_model_tokens_total{provider=\"p\\\"1\",direction=\"in\"} 5",
            "openclaw_model_tokens_total{provider=\"p\\\"1\",direction=\"out\"} 7",
            "openclaw_model_cost_total{provider=\"p\\\"1\"} 2",
            "openclaw_model_first_token_seconds_total{provider=\"p\\\"1\"} 0.25",
            "openclaw_model_duration_seconds_total{provider=\"p\\\"1\"} 1.5",
            "openclaw_fallbacks_total{reason=\"MODEL_TIMEOUT\"} 1",
            "openclaw_provider_rate_limit_hits_total{provider=\"p\\\"1\",limit=\"requestsPerMinute\"} 1",
            "openclaw_token_budget_warnings_total{percent=\"80\"} 1",
            "openclaw_circuit_changes_total{provider=\"p\\\"1\",to=\"open\"} 1",
            "openclaw_circuit_changes_total{provider=\"p\\\"1\",to=\"closed\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(!text.contains("telegram"), "{text}");
    }
}
