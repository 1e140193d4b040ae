//! Providers and the models they offer: what a model can do, how much it holds and what it costs.
//!
//! The values here are plain and validated ([`crate::config`] makes them from what a file says). Nothing in them says
//! how a provider is spoken to: that is the adapter behind [`crate::ModelPort`].

use openclaw_core::{AccessTier, ModelId, ProviderId, TokenUsage};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// What an unlisted model of a provider with `anyModel` is taken to hold, in tokens.
pub const UNLISTED_CONTEXT_WINDOW: u64 = 128_000;
/// What an unlisted model of a provider with `anyModel` is taken to answer at most, in tokens.
pub const UNLISTED_MAX_OUTPUT_TOKENS: u64 = 16_384;

/// Something a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelCapability {
    /// Conversation.
    Chat,
    /// Writing code.
    Code,
    /// Looking at images.
    Vision,
    /// Calling tools.
    ToolUse,
    /// Answering piece by piece.
    Streaming,
    /// Calling tools, in OpenAI's older words.
    FunctionCalling,
}

/// A model a provider offers.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDefinition {
    /// As the provider names it.
    pub id: ModelId,
    /// Other names it is asked for by.
    pub aliases: Vec<ModelId>,
    /// As people are shown it.
    pub name: String,
    /// Whose it is.
    pub provider: ProviderId,
    /// Tokens of request and answer together.
    pub context_window: u64,
    /// Tokens of one answer at most.
    pub max_output_tokens: u64,
    /// Price of 1 000 request tokens, in units of the operator's currency. Finite, not negative.
    pub cost_per_1k_input: f64,
    /// Price of 1 000 answer tokens, in the same units. Finite, not negative.
    pub cost_per_1k_output: f64,
    /// What it can do, sorted, each once.
    pub capabilities: Vec<ModelCapability>,
    /// The lowest tier that may use it.
    pub required_tier: AccessTier,
}

/// A provider's limits over a sliding minute. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProviderRateLimit {
    /// Requests begun within any 60 s.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Tokens of requests and answers within any 60 s.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Requests under way at once.
    pub concurrent_requests: Option<NonZeroU64>,
}

/// Somebody who serves models.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelProvider {
    /// The configuration's name for it.
    pub id: ProviderId,
    /// As people are shown it.
    pub name: String,
    /// Where it is reached, for display; the adapter has its own copy. `None` for what is built in.
    pub base_url: Option<String>,
    /// What it offers, in the operator's order.
    pub models: Vec<ModelDefinition>,
    /// What it allows.
    pub rate_limit: ProviderRateLimit,
    /// Which provider is preferred where several offer a model or score alike: the higher number.
    pub priority: i32,
    /// Whether models that are not listed are served too.
    pub any_model: bool,
}

/// An amount of money, in millionths of the operator's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(u64);

// === impl ModelCapability ===

impl ModelCapability {
    /// Every capability.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Code,
        Self::Vision,
        Self::ToolUse,
        Self::Streaming,
        Self::FunctionCalling,
    ];

    /// The name used in configuration, events and reasons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Code => "code",
            Self::Vision => "vision",
            Self::ToolUse => "tool_use",
            Self::Streaming => "streaming",
            Self::FunctionCalling => "function_calling",
        }
    }
}

impl fmt::Display for ModelCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ModelDefinition ===

impl ModelDefinition {
    /// A model of which nothing is known but its name: 128 000 tokens of context, 16 384 of answer, free of charge,
    /// `chat`, `tool_use`, `streaming`.
    pub fn unlisted(id: ModelId, provider: ProviderId) -> Self {
        Self {
            name: id.to_string(),
            id,
            aliases: Vec::new(),
            provider,
            context_window: UNLISTED_CONTEXT_WINDOW,
            max_output_tokens: UNLISTED_MAX_OUTPUT_TOKENS,
            cost_per_1k_input: 0.0,
            cost_per_1k_output: 0.0,
            capabilities: vec![
                ModelCapability::Chat,
                ModelCapability::ToolUse,
                ModelCapability::Streaming,
            ],
            required_tier: AccessTier::Free,
        }
    }

    /// Whether it can do this. `tool_use` and `function_calling` are two names of one ability.
    pub fn can(&self, capability: ModelCapability) -> bool {
        let has = |wanted| self.capabilities.contains(&wanted);
        match capability {
            ModelCapability::ToolUse | ModelCapability::FunctionCalling => {
                has(ModelCapability::ToolUse) || has(ModelCapability::FunctionCalling)
            }
            ModelCapability::Chat
            | ModelCapability::Code
            | ModelCapability::Vision
            | ModelCapability::Streaming => has(capability),
        }
    }

    /// Whether it is asked for by this name.
    pub fn is_called(&self, name: &ModelId) -> bool {
        self.id == *name || self.aliases.contains(name)
    }

    /// What so many tokens cost: request tokens at the request's price, answer tokens at the answer's.
    pub fn cost(&self, usage: &TokenUsage) -> Cost {
        let units = self.cost_units(usage.input_tokens, usage.output_tokens);
        // `as` saturates, which is what is wanted of an absurd amount.
        Cost((units * 1_000_000.0).round() as u64)
    }

    /// The same in units of the currency.
    pub(crate) fn cost_units(&self, input_tokens: u64, output_tokens: u64) -> f64 {
        (input_tokens as f64 * self.cost_per_1k_input + output_tokens as f64 * self.cost_per_1k_output)
            / 1000.0
    }
}

// === impl Cost ===

impl Cost {
    /// From millionths of the currency.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// In millionths of the currency.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Both together, at most what the type holds.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_answer_have_their_own_prices() {
        let mut model = ModelDefinition::unlisted("m".parse().unwrap(), "p".parse().unwrap());
        model.cost_per_1k_input = 0.5;
        model.cost_per_1k_output = 2.0;
        let usage = TokenUsage {
            input_tokens: 2_000,
            output_tokens: 500,
            estimated: false,
        };
        assert_eq!(model.cost(&usage), Cost::from_micros(2_000_000));
        assert_eq!(model.cost(&usage).to_string(), "2.000000");
    }

    #[test]
    fn the_two_names_of_tool_use_mean_one_ability() {
        let mut model = ModelDefinition::unlisted("m".parse().unwrap(), "p".parse().unwrap());
        model.capabilities = vec![ModelCapability::FunctionCalling];
        assert!(model.can(ModelCapability::ToolUse));
        assert!(!model.can(ModelCapability::Chat));
    }
}
