//! What a configuration file says of providers, chains, budgets and circuits, and how it becomes what the fabric uses.
//!
//! Field names are camelCase as in the manual. Every fault is found, not only the first. Keys are never in here.

use crate::budget::{BudgetScope, TierLimits, TokenBudgetConfig};
use crate::circuit::CircuitConfig;
use crate::fallback::{FallbackChain, RouterConfig};
use crate::model::{ModelCapability, ModelDefinition, ModelProvider, ProviderRateLimit};
use openclaw_core::{AccessTier, IdError, ModelId, ProviderId, ValidationError, Violation};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// Fallbacks a chain may name.
pub const MAX_FALLBACKS: usize = 16;
/// Retries a chain may ask for on each model.
pub const MAX_RETRIES: u32 = 10;
/// The longest first delay of a chain, in milliseconds.
const MAX_RETRY_DELAY_MS: u64 = 60_000;

/// A provider, as a file says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawProvider {
    /// Its id.
    pub id: String,
    /// As people are shown it; the id when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// What it offers.
    #[serde(default)]
    pub models: Vec<RawModel>,
    /// What it allows; no limits when left out.
    #[serde(default)]
    pub rate_limit: RawRateLimit,
    /// Higher is preferred.
    #[serde(default)]
    pub priority: i32,
    /// Whether models that are not listed are served too.
    #[serde(default)]
    pub any_model: bool,
}

/// A model, as a file says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawModel {
    /// As the provider names it.
    pub id: String,
    /// Other names for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// As people are shown it; the id when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tokens of request and answer together; 128 000 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of one answer; 16 384 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Price of 1 000 request tokens; free when left out.
    #[serde(default, rename = "costPer1kInput")]
    pub cost_per_1k_input: f64,
    /// Price of 1 000 answer tokens; free when left out.
    #[serde(default, rename = "costPer1kOutput")]
    pub cost_per_1k_output: f64,
    /// What it can do; `chat`, `tool_use`, `streaming` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<ModelCapability>>,
    /// The lowest tier that may use it; `free` when left out.
    #[serde(default)]
    pub required_tier: AccessTier,
}

/// A provider's limits, as a file says them. A limit left out is no limit; zero is a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawRateLimit {
    /// Requests within any 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens within any 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<u64>,
}

/// A chain of models, as a file says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawFallbackChain {
    /// The model that is asked first.
    pub primary_model: String,
    /// Those asked after it, in order. A model may be named twice.
    #[serde(default)]
    pub fallbacks: Vec<String>,
    /// Retries of each model after its first attempt; 2 when left out.
    #[serde(default = "default_max_retries")]
    pub max_retries: u32,
    /// The delay before the first retry, doubled before each further one; 1 000 when left out.
    #[serde(default = "default_retry_delay_ms")]
    pub retry_delay_ms: u64,
}

/// How calls are made and given up, as a file says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawRouting {
    /// How long the first token may take.
    pub first_token_timeout_ms: u64,
    /// How long the next piece of an answer may take.
    pub idle_timeout_ms: u64,
    /// How long a call waits for its own provider's limit while the chain has another model.
    pub limit_wait_ms: u64,
    /// Retries a minute that are always allowed.
    pub retries_per_minute: u64,
    /// Per cent of all requests that retries and fallbacks may be beyond that.
    pub retry_percent: u64,
    /// Failures in a row that open a circuit.
    pub circuit_failures: u32,
    /// How long a circuit stays open.
    pub circuit_open_ms: u64,
    /// How long it stays open when a key was refused or a quota is used up.
    pub circuit_bench_ms: u64,
}

/// Budgets, as a file says them. What is left out has its default; -1 is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawTokenBudget {
    /// Tokens of `free` in 24 h.
    pub free: Option<i64>,
    /// Tokens of `standard` in 24 h.
    pub standard: Option<i64>,
    /// Tokens of `premium` in 24 h.
    pub premium: Option<i64>,
    /// Tokens of `admin` in 24 h.
    pub admin: Option<i64>,
    /// Tokens of all accounts of `free` together in 24 h; unlimited when left out.
    pub free_total: Option<i64>,
    /// Who shares one.
    pub scope: BudgetScope,
    /// Accounts kept in memory.
    pub max_accounts: Option<usize>,
}

const fn default_max_retries() -> u32 {
    2
}

const fn default_retry_delay_ms() -> u64 {
    1_000
}

// === impl RawProvider ===

impl RawProvider {
    /// Checks all of it.
    pub fn validate(&self) -> Result<ModelProvider, ValidationError> {
        let mut faults = Vec::new();
        let id: Option<ProviderId> = parsed("id", &self.id, &mut faults);
        let mut models = Vec::new();
        for (index, model) in self.models.iter().enumerate() {
            if let Some(model) = model.validate(index, id.as_ref(), &mut faults) {
                models.push(model);
            }
        }
        let rate_limit = self.rate_limit.validate(&mut faults);
        ValidationError::check(faults)?;
        let id = id.ok_or_else(|| ValidationError::one("id", &self.id, "must be an id"))?;
        Ok(ModelProvider {
            name: self.name.clone().unwrap_or_else(|| id.to_string()),
            id,
            base_url: self.base_url.clone(),
            models,
            rate_limit,
            priority: self.priority,
            any_model: self.any_model,
        })
    }
}

// === impl RawModel ===

impl RawModel {
    fn validate(
        &self,
        index: usize,
        provider: Option<&ProviderId>,
        faults: &mut Vec<Violation>,
    ) -> Option<ModelDefinition> {
        let field = |name: &str| format!("models[{index}].{name}");
        for (name, price) in [
            ("costPer1kInput", self.cost_per_1k_input),
            ("costPer1kOutput", self.cost_per_1k_output),
        ] {
            if !price.is_finite() || price < 0.0 {
                faults.push(Violation::new(field(name), price, "must be a price of 0 or more"));
            }
        }
        for (name, tokens) in [
            ("contextWindow", self.context_window),
            ("maxOutputTokens", self.max_output_tokens),
        ] {
            if tokens == Some(0) {
                faults.push(Violation::new(field(name), 0, "must be at least 1"));
            }
        }
        let id: Option<ModelId> = parsed(&field("id"), &self.id, faults);
        let aliases = self
            .aliases
            .iter()
            .filter_map(|alias| parsed(&field("aliases"), alias, faults))
            .collect();
        let unlisted = ModelDefinition::unlisted(id?, provider?.clone());
        let mut capabilities = self.capabilities.clone().unwrap_or(unlisted.capabilities);
        capabilities.sort_unstable();
        capabilities.dedup();
        Some(ModelDefinition {
            aliases,
            name: self.name.clone().unwrap_or(unlisted.name),
            context_window: self.context_window.unwrap_or(unlisted.context_window),
            max_output_tokens: self.max_output_tokens.unwrap_or(unlisted.max_output_tokens),
            cost_per_1k_input: self.cost_per_1k_input,
            cost_per_1k_output: self.cost_per_1k_output,
            capabilities,
            required_tier: self.required_tier,
            id: unlisted.id,
            provider: unlisted.provider,
        })
    }
}

// === impl RawRateLimit ===

impl RawRateLimit {
    fn validate(&self, faults: &mut Vec<Violation>) -> ProviderRateLimit {
        let mut limit = |name: &str, value: Option<u64>| {
            if value == Some(0) {
                faults.push(Violation::new(
                    format!("rateLimit.{name}"),
                    0,
                    "must be at least 1; leave it out for no limit",
                ));
            }
            value.and_then(NonZeroU64::new)
        };
        ProviderRateLimit {
            requests_per_minute: limit("requestsPerMinute", self.requests_per_minute),
            tokens_per_minute: limit("tokensPerMinute", self.tokens_per_minute),
            concurrent_requests: limit("concurrentRequests", self.concurrent_requests),
        }
    }
}

// === impl RawFallbackChain ===

impl RawFallbackChain {
    /// Checks all of it. Whether the models exist is known only when they are asked: providers come and go.
    pub fn validate(&self) -> Result<FallbackChain, ValidationError> {
        let mut faults = Vec::new();
        let primary_model = parsed("primaryModel", &self.primary_model, &mut faults);
        let fallbacks = self
            .fallbacks
            .iter()
            .filter_map(|model| parsed("fallbacks", model, &mut faults))
            .collect();
        if self.fallbacks.len() > MAX_FALLBACKS {
            let rule = format!("must name at most {MAX_FALLBACKS} models");
            faults.push(Violation::new("fallbacks", self.fallbacks.len(), rule));
        }
        if self.max_retries > MAX_RETRIES {
            let rule = format!("must be at most {MAX_RETRIES}");
            faults.push(Violation::new("maxRetries", self.max_retries, rule));
        }
        if self.retry_delay_ms > MAX_RETRY_DELAY_MS {
            let rule = format!("must be at most {MAX_RETRY_DELAY_MS}");
            faults.push(Violation::new("retryDelayMs", self.retry_delay_ms, rule));
        }
        ValidationError::check(faults)?;
        Ok(FallbackChain {
            primary_model: primary_model
                .ok_or_else(|| ValidationError::one("primaryModel", &self.primary_model, "must be an id"))?,
            fallbacks,
            max_retries: self.max_retries,
            retry_delay: Duration::from_millis(self.retry_delay_ms),
        })
    }
}

// === impl RawRouting ===

impl Default for RawRouting {
    fn default() -> Self {
        Self {
            first_token_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            limit_wait_ms: 1_000,
            retries_per_minute: 10,
            retry_percent: 20,
            circuit_failures: 5,
            circuit_open_ms: 30_000,
            circuit_bench_ms: 60_000,
        }
    }
}

impl RawRouting {
    /// Checks all of it.
    pub fn validate(&self) -> Result<(RouterConfig, CircuitConfig), ValidationError> {
        let mut faults = Vec::new();
        for (name, value) in [
            ("firstTokenTimeoutMs", self.first_token_timeout_ms),
            ("idleTimeoutMs", self.idle_timeout_ms),
            ("circuitFailures", u64::from(self.circuit_failures)),
            ("circuitOpenMs", self.circuit_open_ms),
            ("circuitBenchMs", self.circuit_bench_ms),
        ] {
            if value == 0 {
                faults.push(Violation::new(name, 0, "must be at least 1"));
            }
        }
        if self.retry_percent > 100 {
            faults.push(Violation::new(
                "retryPercent",
                self.retry_percent,
                "must be at most 100",
            ));
        }
        ValidationError::check(faults)?;
        let router = RouterConfig {
            first_token_timeout: Duration::from_millis(self.first_token_timeout_ms),
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            limit_wait: Duration::from_millis(self.limit_wait_ms),
            retries_per_minute: self.retries_per_minute,
            retry_percent: self.retry_percent,
        };
        let circuit = CircuitConfig {
            failure_threshold: self.circuit_failures,
            open_for: Duration::from_millis(self.circuit_open_ms),
            bench_for: Duration::from_millis(self.circuit_bench_ms),
        };
        Ok((router, circuit))
    }
}

// === impl RawTokenBudget ===

impl RawTokenBudget {
    /// Checks all of it.
    pub fn validate(&self) -> Result<TokenBudgetConfig, ValidationError> {
        let defaults = TokenBudgetConfig::default();
        let mut faults = Vec::new();
        let mut limit = |name: &str, value: Option<i64>, default: Option<u64>| match value {
            None => default,
            Some(-1) => None,
            Some(tokens) => {
                let limit = u64::try_from(tokens).ok();
                if limit.is_none() {
                    faults.push(Violation::new(
                        name,
                        tokens,
                        "must be 0 or more, or -1 for unlimited",
                    ));
                }
                limit
            }
        };
        let limits = TierLimits {
            free: limit("free", self.free, defaults.limits.free),
            standard: limit("standard", self.standard, defaults.limits.standard),
            premium: limit("premium", self.premium, defaults.limits.premium),
            admin: limit("admin", self.admin, defaults.limits.admin),
        };
        let free_total = limit("freeTotal", self.free_total, defaults.free_total);
        if self.max_accounts == Some(0) {
            faults.push(Violation::new("maxAccounts", 0, "must be at least 1"));
        }
        ValidationError::check(faults)?;
        Ok(TokenBudgetConfig {
            limits,
            scope: self.scope,
            free_total,
            max_accounts: self.max_accounts.unwrap_or(defaults.max_accounts),
        })
    }
}

fn parsed<T: FromStr<Err = IdError>>(field: &str, text: &str, faults: &mut Vec<Violation>) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            faults.push(Violation::new(field, text, error.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_provider_is_read_in_the_manuals_words() {
        let raw: RawProvider = serde_json::from_value(json!({
            "id": "cloud", "baseUrl": "https://example.test/v1", "priority": 3,
            "rateLimit": {"requestsPerMinute": 60, "tokensPerMinute": 90000, "concurrentRequests": 4},
            "models": [{"id": "big", "contextWindow": 1000, "maxOutputTokens": 100, "costPer1kInput": 0.1,
                        "costPer1kOutput": 0.2, "capabilities": ["vision", "chat", "chat"], "requiredTier": "premium"}]
        }))
        .unwrap();
        let provider = raw.validate().unwrap();
        assert_eq!(provider.rate_limit.concurrent_requests, NonZeroU64::new(4));
        assert_eq!(
            provider.models[0].capabilities,
            [ModelCapability::Chat, ModelCapability::Vision]
        );
        assert_eq!(provider.models[0].required_tier, AccessTier::Premium);
        assert_eq!(provider.models[0].cost_per_1k_output, 0.2);
    }

    #[test]
    fn every_fault_is_named() {
        let raw = RawProvider {
            rate_limit: RawRateLimit {
                requests_per_minute: Some(0),
                ..RawRateLimit::default()
            },
            models: vec![RawModel {
                id: "m".into(),
                cost_per_1k_input: -1.0,
                context_window: Some(0),
                ..RawModel::default()
            }],
            ..RawProvider::default()
        };
        let fields: Vec<_> = raw
            .validate()
            .unwrap_err()
            .violations
            .into_iter()
            .map(|fault| fault.field)
            .collect();
        assert_eq!(
            fields,
            [
                "id",
                "models[0].costPer1kInput",
                "models[0].contextWindow",
                "rateLimit.requestsPerMinute"
            ]
        );
    }

    #[test]
    fn defaults_are_those_of_the_page() {
        let chain: RawFallbackChain = serde_json::from_value(json!({"primaryModel": "m"})).unwrap();
        let chain = chain.validate().unwrap();
        assert_eq!(
            (chain.max_retries, chain.retry_delay),
            (2, Duration::from_secs(1))
        );
        assert_eq!(
            RawTokenBudget::default().validate().unwrap(),
            TokenBudgetConfig::default()
        );
        assert_eq!(
            RawRouting::default().validate().unwrap(),
            (RouterConfig::default(), CircuitConfig::default())
        );
    }
}
