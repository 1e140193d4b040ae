//! What the pool does by the clock: requests out of time, silent workers, deadlines in the queue, memory, calm.
//!
//! Nothing on the way of a request waits for it. It runs where no worker can keep it from running, wakes when the
//! next thing is due and at least once a second.

use super::effect::{Notice, millis};
use super::shared::Shared;
use super::state::{Calm, Phase};
use super::step::Step;
use crate::event::BackpressureReleased;
use crate::lifecycle::{RecycleReason, WorkerId, WorkerState};
use crate::ports::MemoryInUse;
use futures::future::{BoxFuture, select};
use openclaw_core::{Clock, Monotonic};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// The longest time between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// Goes round until the pool is closed or gone.
pub(super) fn rounds<R: Send + 'static, T: Send + 'static>(
    pool: Weak<Shared<R, T>>,
    clock: Arc<dyn Clock>,
    nudge: Arc<Notify>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            let Some(next) = pool.upgrade().and_then(|pool| pool.round()) else {
                return;
            };
            select(clock.sleep_until(next), pin!(nudge.notified())).await;
        }
    })
}

impl<R: Send + 'static, T: Send + 'static> Step<'_, R, T> {
    /// One round. Says when the next is due; `None` when there is none.
    pub(super) fn round(&mut self) -> Option<Monotonic> {
        if self.state.phase == Phase::Closed {
            return None;
        }
        self.notice_a_pause();
        for entry in self.state.scheduler.expire(self.now) {
            self.expired(entry);
        }
        let workers: Vec<WorkerId> = self.state.lifecycle.ids().collect();
        for worker in workers {
            self.look_after(worker);
        }
        self.release_pressure();
        self.shrink();
        self.replenish();
        self.dispatch();
        let next = self.next_round();
        self.state.house.next_round = Some(next);
        Some(next)
    }

    /// When this round comes much too late, the whole machine stood still, and no worker could beat.
    fn notice_a_pause(&mut self) {
        let late = self
            .state
            .house
            .next_round
            .is_some_and(|due| self.now.saturating_since(due) > self.pool.config.heartbeat_interval);
        if late {
            tracing::warn!("housekeeping was late; silence before now is not held against workers");
            self.state.house.silence_counts_from = self.now;
        }
    }

    fn look_after(&mut self, worker: WorkerId) {
        let Some(state) = self.state.lifecycle.state(worker) else {
            return;
        };
        match state {
            WorkerState::Busy | WorkerState::Draining => {
                let deadline = self.deadline(worker);
                if deadline.is_some_and(|deadline| self.now >= deadline) {
                    self.timed_out(worker);
                } else if self.silent_until(worker).is_some_and(|until| self.now > until) {
                    let last = self.state.lifecycle.last_heartbeat(worker).unwrap_or(self.now);
                    self.stuck(worker, self.now.saturating_since(last));
                } else if state == WorkerState::Busy {
                    self.check_memory(worker);
                }
            }
            WorkerState::Idle => self.check_memory(worker),
            WorkerState::Stuck => {
                // The runtime cannot end it; from here on it is only among the abandoned.
                let since = self.state.lifecycle.since(worker).unwrap_or(self.now);
                if self.now.saturating_since(since) >= self.pool.config.stuck_threshold {
                    self.forget_stuck(worker);
                }
            }
            WorkerState::Dead => {}
        }
    }

    fn check_memory(&mut self, worker: WorkerId) {
        let memory = self.state.slots.get(&worker).map(|slot| slot.handle.memory());
        if let Some(MemoryInUse::Megabytes(used)) = memory
            && used > self.pool.config.memory_limit_mb
            && let Err(error) = self.recycle(worker, RecycleReason::MemoryLimit)
        {
            tracing::error!(%error, "a worker above its memory limit could not be recycled");
        }
    }

    /// A pool under pressure is released after a second below the threshold.
    fn release_pressure(&mut self) {
        let load = self.load();
        let Some(since) = self.state.pressure.since else {
            return;
        };
        if !load.should_reject(&self.pool.config)
            && self.now.saturating_since(self.state.pressure.last_seen) >= ROUND
        {
            self.state.pressure.since = None;
            self.publish(
                None,
                Notice::Released(BackpressureReleased {
                    level: load.level(),
                    lasted_ms: millis(self.now.saturating_since(since)),
                }),
            );
        }
    }

    /// Lets idle workers go when the load has asked for fewer during the whole calm period.
    fn shrink(&mut self) {
        let size = self.state.lifecycle.size();
        let wanted = self
            .load()
            .suggest_worker_count(&self.pool.config)
            .max(self.state.lifecycle.active());
        if wanted >= size {
            self.state.calm = None;
            return;
        }
        let calm = self.state.calm.get_or_insert(Calm {
            since: self.now,
            peak: wanted,
        });
        calm.peak = calm.peak.max(wanted);
        if self.now.saturating_since(calm.since) < self.pool.config.scale_down_after {
            return;
        }
        let surplus = size.saturating_sub(calm.peak);
        self.state.calm = None;
        // Those that have been idle longest are at the bottom.
        let surplus: Vec<WorkerId> = self.state.idle.iter().take(surplus).copied().collect();
        for worker in surplus {
            if let Err(error) = self.recycle(worker, RecycleReason::ScaledDown) {
                tracing::error!(%error, "an idle worker could not be let go");
            }
        }
    }

    fn next_round(&self) -> Monotonic {
        let config = &self.pool.config;
        // A request that starts between two rounds is due no earlier than this from now.
        let longest = ROUND.min(config.worker_timeout).min(config.stuck_threshold);
        let next = self.now + longest;
        let workers = self.state.lifecycle.ids().filter(|worker| {
            matches!(
                self.state.lifecycle.state(*worker),
                Some(WorkerState::Busy | WorkerState::Draining)
            )
        });
        let next = workers
            .flat_map(|worker| {
                let silent = self
                    .silent_until(worker)
                    .map(|until| until + Duration::from_millis(1));
                [self.deadline(worker), silent]
            })
            .flatten()
            .fold(next, Monotonic::min);
        self.state
            .scheduler
            .next_deadline()
            .map_or(next, |deadline| next.min(deadline))
    }

    fn deadline(&self, worker: WorkerId) -> Option<Monotonic> {
        let run = self.state.slots.get(&worker)?.run.as_ref()?;
        Some(run.deadline)
    }

    /// Until when a worker may stay silent.
    fn silent_until(&self, worker: WorkerId) -> Option<Monotonic> {
        let beat = self.state.lifecycle.last_heartbeat(worker)?;
        let from = beat.max(self.state.house.silence_counts_from);
        Some(from + self.pool.config.stuck_threshold)
    }
}
