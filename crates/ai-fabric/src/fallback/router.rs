//! The router itself: what all routed requests share.

use super::stream::RoutedStream;
use super::walk::Walk;
use super::{RoutedRequest, RouterConfig};
use crate::circuit::CircuitBreakers;
use crate::estimate::Estimator;
use crate::rate_limiter::RateLimiter;
use crate::registry::ProviderRegistry;
use crate::retry_budget::RetryBudget;
use openclaw_core::{Clock, EventContext, Random};
use parking_lot::RwLock;
use std::sync::Arc;

/// Walks fallback chains. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct FallbackRouter {
    shared: Arc<Shared>,
}

/// What a router works with.
#[derive(Clone, Debug)]
pub struct RouterDeps {
    /// Where models are found.
    pub registry: Arc<ProviderRegistry>,
    /// Providers' limits.
    pub limiter: Arc<RateLimiter>,
    /// Models' circuits.
    pub circuits: CircuitBreakers,
    /// Estimates input, and learns from what models report.
    pub estimator: Arc<Estimator>,
    /// Deadlines and delays.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<dyn Random>,
    /// Where events go.
    pub events: EventContext,
}

/// What routed answers keep of their router.
#[derive(Debug)]
pub(super) struct Shared {
    /// Read where a decision is made, so that a change counts for calls that follow it.
    config: RwLock<RouterConfig>,
    pub(super) deps: RouterDeps,
    pub(super) retries: RetryBudget,
}

// === impl Shared ===

impl Shared {
    pub(super) fn config(&self) -> RouterConfig {
        *self.config.read()
    }
}

// === impl FallbackRouter ===

impl FallbackRouter {
    /// Joins the parts.
    pub fn new(config: RouterConfig, deps: RouterDeps) -> Self {
        let events = deps.events.for_source(crate::SOURCE);
        Self {
            shared: Arc::new(Shared {
                retries: RetryBudget::new(config.retries_per_minute, config.retry_percent),
                config: RwLock::new(config),
                deps: RouterDeps { events, ..deps },
            }),
        }
    }

    /// Other deadlines and retries from now on, for requests under way as well.
    pub fn configure(&self, config: RouterConfig) {
        *self.shared.config.write() = config;
        self.shared
            .retries
            .configure(config.retries_per_minute, config.retry_percent);
    }

    /// The deadlines and retries that count now.
    pub fn config(&self) -> RouterConfig {
        *self.shared.config.read()
    }

    /// Offers the request to its chain. Nothing happens before the stream is polled; dropping it ends the call under
    /// way and records what it has cost so far as an estimate.
    pub fn route(&self, request: RoutedRequest) -> RoutedStream {
        let may_restart = request.may_restart;
        let walk = Walk::new(Arc::clone(&self.shared), request);
        RoutedStream::new(Box::new(walk), may_restart)
    }
}
