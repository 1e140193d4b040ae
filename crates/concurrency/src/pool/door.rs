//! At the door: who is admitted, who is refused and told to come back when.

use super::effect::Notice;
use super::state::{Phase, State};
use super::step::{Step, bump};
use crate::backpressure::Backpressure;
use crate::config::ConcurrencyConfig;
use crate::error::{BackpressureError, QueueFullError, Refusal, RefusalReason};
use crate::event::BackpressureActivated;
use std::time::Duration;

/// The wait a refused caller is told when nothing is known of how long requests take.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);
const SHORTEST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

// === impl State ===

impl<R, T> State<R, T> {
    /// The load, were so many more requests to wait.
    fn load(&self, config: &ConcurrencyConfig, more: usize) -> Backpressure {
        Backpressure::measure(
            self.queue_depth().saturating_add(more),
            config.max_queue_size,
            self.lifecycle.active(),
            self.lifecycle.idle(),
        )
    }

    /// Whether a request would be taken under this load. The one condition that [`Step::check_admission`] gives
    /// reasons for.
    fn admits_under(&self, load: Backpressure, depth: usize, config: &ConcurrencyConfig) -> bool {
        self.phase == Phase::Open && depth < config.max_queue_size && !load.should_reject(config)
    }

    /// Takes a place where there will be room for another one after it, as there nearly always is: then nothing else
    /// follows from it. `false` leaves everything to [`Step::reserve`].
    pub(super) fn reserve_in_passing(&mut self, config: &ConcurrencyConfig) -> bool {
        let taken = self.admits_under(self.load(config, 1), self.queue_depth().saturating_add(1), config);
        if taken {
            self.reserved = self.reserved.saturating_add(1);
        }
        taken
    }
}

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    pub(super) fn load(&self) -> Backpressure {
        self.state.load(&self.pool.config, 0)
    }

    /// Whether a request would be taken now, and why not.
    pub(super) fn check_admission(&self) -> Result<(), Refusal> {
        let load = self.load();
        let refuse = |reason, retry_after| {
            Refusal::Backpressure(BackpressureError {
                level: load.level(),
                retry_after,
                reason,
            })
        };
        if self.state.phase != Phase::Open {
            return Err(refuse(RefusalReason::ShuttingDown, LONGEST_RETRY / 6));
        }
        if load.should_reject(&self.pool.config) {
            return Err(refuse(RefusalReason::Overloaded, self.retry_after()));
        }
        let (size, limit) = (self.state.queue_depth(), self.pool.config.max_queue_size);
        if size >= limit {
            return Err(Refusal::QueueFull(QueueFullError { size, limit }));
        }
        Ok(())
    }

    /// Decides and takes the place in one step, so that a burst cannot pass together.
    pub(super) fn reserve(&mut self) -> Result<(), Refusal> {
        let decision = self.check_admission();
        match decision {
            Ok(()) => self.state.reserved = self.state.reserved.saturating_add(1),
            Err(_) => bump(&mut self.state.totals.refusals),
        }
        decision
    }

    pub(super) fn give_back(&mut self) {
        self.state.reserved = self.state.reserved.saturating_sub(1);
    }

    /// How long until enough requests have ended for the level to fall below the threshold.
    fn retry_after(&self) -> Duration {
        let config = &self.pool.config;
        let Some(seconds) = self.state.service_seconds else {
            return UNKNOWN_RETRY;
        };
        let active = self.state.lifecycle.active().max(1);
        let mut depth = self.state.queue_depth();
        let mut excess = 1_usize;
        // At most a queue's length of cheap steps, and only on a refusal; in practice one or two.
        while depth > 0 && excess < 64 {
            depth -= 1;
            let load = Backpressure::measure(depth, config.max_queue_size, active, 0);
            if !load.should_reject(config) {
                break;
            }
            excess += 1;
        }
        let wait = seconds * excess as f64 / active as f64;
        Duration::try_from_secs_f64(wait)
            .unwrap_or(LONGEST_RETRY)
            .clamp(SHORTEST_RETRY, LONGEST_RETRY)
    }

    /// Notes whether the pool refuses for its load, and begins a spell of pressure where it does. Says whether a
    /// request would be taken now, and not before: whoever waits for that is woken for nothing less, or they would
    /// wake each other.
    pub(super) fn watch_pressure(&mut self) -> bool {
        let config = &self.pool.config;
        let load = self.load();
        let admits = self.state.admits_under(load, self.state.queue_depth(), config);
        if !admits && load.should_reject(config) {
            self.under_pressure(load);
        }
        let admitted = std::mem::replace(&mut self.state.admits, admits);
        admits && !admitted
    }

    fn under_pressure(&mut self, load: Backpressure) {
        self.state.pressure.last_seen = self.now;
        if self.state.pressure.since.is_some() {
            return;
        }
        self.state.pressure.since = Some(self.now);
        bump(&mut self.state.totals.backpressure_activations);
        let queue_depth = self.state.queue_depth();
        self.publish(
            None,
            Notice::Activated(BackpressureActivated {
                level: load.level(),
                queue_depth,
                reason: RefusalReason::Overloaded,
            }),
        );
    }
}
