//! Which model answers, at what cost, within which limits, and what happens when it fails.
#![forbid(unsafe_code)]

pub mod budget;
pub mod chat;
pub mod circuit;
pub mod config;
pub mod error;
pub mod estimate;
pub mod event;
pub mod fallback;
pub mod model;
pub mod ports;
pub mod rate_limiter;
pub mod registry;
pub mod retry_budget;
pub mod selector;

pub use budget::{
    BudgetScope, BudgetUsage, OUTPUT_FLOOR, Reservation, ReserveRequest, Settlement, TierLimits, TokenBudget,
    TokenBudgetConfig,
};
pub use chat::{ChatRequest, ToolSpec};
pub use circuit::{CircuitBreakers, CircuitConfig, CircuitState, CircuitView};
pub use error::{
    AllModelsFailedError, ModelError, RateLimitExceededError, RateLimitKind, RegistryError, ReserveError,
    RouteError, SelectionError, TimeoutPhase, TokenBudgetExceededError,
};
pub use estimate::{Estimator, TextMeter, estimate_tokens};
pub use fallback::{
    Attempt, AttemptOutcome, FallbackChain, FallbackRouter, RoutedEvent, RoutedRequest, RoutedStream,
    RouterConfig, RouterDeps,
};
pub use model::{Cost, ModelCapability, ModelDefinition, ModelProvider, ProviderRateLimit};
pub use ports::{ModelPort, ModelStream, QuotaReport, QuotaSink};
pub use rate_limiter::{RateLimitPermit, RateLimiter, RemainingQuota};
pub use registry::{FoundModel, ModelFilter, ProviderRegistry};
pub use retry_budget::RetryBudget;
pub use selector::{Explanation, ModelSelector, Selection, SelectionRequest, Verdict};

/// The name under which this context publishes its events.
pub const SOURCE: &str = "ai-fabric";
