//! Which model answers, at what cost, within which limits, and what happens when it fails.
//!
//! A request comes with a chain of models. The fabric finds them among the registered providers, respects the providers'
//! limits and the models' circuits, calls, retries, falls back, and gives the answer on piece by piece. Beside that
//! it keeps token budgets, estimates and prices. The crate performs no input or output: adapters behind [`ModelPort`]
//! speak to providers, time comes from the `Clock` port.
//!
//! ```
//! use openclaw_ai_fabric::{OUTPUT_FLOOR, ReserveRequest, TokenBudget, TokenBudgetConfig, estimate_tokens};
//! use openclaw_core::testing::ManualClock;
//! use openclaw_core::{AccessTier, EventContext, InProcessEventBus};
//!
//! let clock = ManualClock::new();
//! let events = EventContext::new(InProcessEventBus::new(), clock.clone(), "example");
//! let budget = TokenBudget::new(TokenBudgetConfig::default(), clock, &events);
//! budget.prime("telegram:42:42", None); // what the store knows: nothing yet
//!
//! let reservation = budget.reserve(&ReserveRequest {
//!     account: "telegram:42:42",
//!     tier: AccessTier::Free,
//!     input_estimate: estimate_tokens("Как устроен двигатель?"),
//!     wanted_output: 2_048,
//!     model_limit: 4_096,
//!     floor: OUTPUT_FLOOR,
//!     correlation_id: None,
//! })?;
//! assert_eq!(reservation.output_allowed(), 2_048);
//! reservation.settle(700);
//! assert_eq!(budget.usage("telegram:42:42", AccessTier::Free).remaining, Some(9_300));
//! # Ok::<(), openclaw_ai_fabric::ReserveError>(())
//! ```
//!
//! Reading order: [`model`] and [`chat`] (what is asked of whom), [`ports`] (the edge), [`registry`], [`selector`],
//! [`estimate`], [`budget`], [`rate_limiter`], [`circuit`], [`retry_budget`], [`fallback`] (which joins them),
//! [`config`], [`event`], [`error`].
//!
//! Invariants
//!
//! - Looking and taking are one step everywhere: no number of parallel requests passes a limit or a budget together.
//! - What is taken is given back on drop: permits, probes, reservations. Dropping an answer ends its call.
//! - No 60 s hold more requests or tokens than a provider allows, as far as estimates hold.
//! - Each model of a chain is called at most `1 + maxRetries` times, and retries are a bounded share of all calls.
//! - An answer ends with `Stop` and one `Usage`, or with one error that tells every attempt.
//! - Everything kept in memory is bounded; each type says what happens at its bound.
//!
//! It does not speak to providers, store anything, execute tools or decide who may ask.

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
    BudgetDetails, BudgetScope, BudgetUsage, FREE_POOL, Kept, OUTPUT_FLOOR, Reservation, ReserveRequest,
    Settlement, StoredUsage, TierLimits, TokenBudget, TokenBudgetConfig,
};
pub use chat::{AnswerForm, ChatRequest, ToolSpec};
pub use circuit::{CircuitBreakers, CircuitConfig, CircuitState, CircuitView, LeftAlone};
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
