//! Providers' limits: requests and tokens within any 60 s, and requests at once.
//!
//! The window slides: what was taken at a moment counts until 60 s after it, so there is no burst of twice the limit
//! at a minute's edge. Looking and taking are one step under one lock. Tokens are taken by estimate and settled to
//! what was really used; what a provider says of its own quota corrects the count downwards, never upwards.

use crate::error::{RateLimitExceededError, RateLimitKind};
use crate::model::ProviderRateLimit;
use crate::ports::{QuotaReport, QuotaSink};
use futures::future::select;
use openclaw_core::{Clock, Monotonic, ProviderId};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The length of the window.
pub const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_MS: u64 = 60_000;
/// How long a caller is told to wait for somebody else's call to end: a guess.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(1);

/// Counts what is asked of each provider. Cheap to share.
///
/// Keeps one window for each provider that was named to it, until [`RateLimiter::remove`]. A window keeps at most one
/// entry for each of its milliseconds, and none when neither requests nor tokens are limited.
#[derive(Debug)]
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    providers: RwLock<HashMap<ProviderId, Arc<Provider>>>,
}

/// The right to one call. Its place among the calls under way is given back when it is dropped; its request and its
/// tokens count for 60 s all the same, because the call may have been made.
#[derive(Debug)]
#[must_use = "a permit that is dropped frees its place at once"]
pub struct RateLimitPermit {
    provider: Arc<Provider>,
    /// When it was taken, in milliseconds of the clock.
    at: u64,
    tokens: u64,
}

/// What is left of a provider's limits. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemainingQuota {
    /// Requests that may begin now.
    pub requests: Option<u64>,
    /// Tokens that may be taken now.
    pub tokens: Option<u64>,
    /// Calls that may begin beside those under way.
    pub concurrent: Option<u64>,
    /// Calls under way.
    pub in_flight: u64,
}

#[derive(Debug)]
struct Provider {
    id: ProviderId,
    /// Guards the counts; held for one decision.
    window: Mutex<Window>,
    /// One waiter is woken for each place that becomes free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Window {
    limits: ProviderRateLimit,
    /// Oldest first, each millisecond once.
    entries: VecDeque<Entry>,
    requests: u64,
    tokens: u64,
    in_flight: u64,
    requests_correction: Correction,
    tokens_correction: Correction,
    /// Set when a provider without a limit of ours says that nothing is left.
    held_until: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    requests: u64,
    tokens: u64,
}

/// Use that a provider knows of and we do not: another server's with the same key.
#[derive(Clone, Copy, Debug, Default)]
struct Correction {
    amount: u64,
    until: u64,
}

// === impl RateLimiter ===

impl RateLimiter {
    /// Knows no provider yet; an unknown one is not limited.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            providers: RwLock::default(),
        }
    }

    /// Sets a provider's limits. What was counted stays counted.
    pub fn set_limits(&self, provider: &ProviderId, limits: ProviderRateLimit) {
        let known = self.providers.read().get(provider).cloned();
        let known = known.unwrap_or_else(|| self.add(provider));
        known.window.lock().limits = limits;
    }

    /// Forgets a provider. Its permits stay good.
    pub fn remove(&self, provider: &ProviderId) {
        self.providers.write().remove(provider);
    }

    /// Whether a call of so many tokens would be let through now. Takes nothing: a later [`RateLimiter::acquire`] may
    /// still be refused.
    pub fn check(&self, provider: &ProviderId, tokens: u64) -> Result<(), RateLimitExceededError> {
        let now = self.clock.monotonic();
        match self.providers.read().get(provider) {
            Some(known) => known.window.lock().admits(&known.id, tokens, now),
            None => Ok(()),
        }
    }

    /// Takes a request, its tokens and a place among the calls under way, or nothing.
    ///
    /// A call of more tokens than the limit counts as the limit: it is let through when the window is empty.
    pub fn acquire(
        &self,
        provider: &ProviderId,
        tokens: u64,
    ) -> Result<RateLimitPermit, RateLimitExceededError> {
        Self::take(&self.provider(provider), tokens, self.clock.monotonic())
    }

    /// Waits for [`RateLimiter::acquire`] until `deadline`; refuses at once when the wait is known to be longer.
    ///
    /// Cancellation: dropping the future takes nothing.
    pub async fn acquire_by(
        &self,
        provider: &ProviderId,
        tokens: u64,
        deadline: Monotonic,
    ) -> Result<RateLimitPermit, RateLimitExceededError> {
        let provider = self.provider(provider);
        loop {
            let mut freed = pin!(provider.freed.notified());
            // Registered before the look, so that a place that becomes free in between is not slept through.
            freed.as_mut().enable();
            let now = self.clock.monotonic();
            let refused = match Self::take(&provider, tokens, now) {
                Ok(permit) => return Ok(permit),
                Err(refused) => refused,
            };
            let wakes = now + refused.wait();
            let known = !matches!(refused.limit, RateLimitKind::Concurrency(_));
            if now >= deadline || (known && wakes > deadline) {
                return Err(refused);
            }
            select(freed, self.clock.sleep_until(wakes.min(deadline))).await;
        }
    }

    /// What is left of the provider's limits (the manual's `getRemainingQuota`). `None` for an unknown provider.
    pub fn remaining_quota(&self, provider: &ProviderId) -> Option<RemainingQuota> {
        let known = self.providers.read().get(provider).cloned()?;
        let now = whole_ms_floor(self.clock.monotonic());
        let mut window = known.window.lock();
        window.prune(now);
        let left = |limit: Option<NonZeroU64>, used: u64| limit.map(|limit| limit.get().saturating_sub(used));
        Some(RemainingQuota {
            requests: left(window.limits.requests_per_minute, window.used_requests(now)),
            tokens: left(window.limits.tokens_per_minute, window.used_tokens(now)),
            concurrent: left(window.limits.concurrent_requests, window.in_flight),
            in_flight: window.in_flight,
        })
    }

    fn provider(&self, id: &ProviderId) -> Arc<Provider> {
        let known = self.providers.read().get(id).cloned();
        known.unwrap_or_else(|| self.add(id))
    }

    fn add(&self, id: &ProviderId) -> Arc<Provider> {
        let mut providers = self.providers.write();
        let provider = providers.entry(id.clone()).or_insert_with(|| {
            Arc::new(Provider {
                id: id.clone(),
                window: Mutex::default(),
                freed: Notify::new(),
            })
        });
        Arc::clone(provider)
    }

    fn take(
        provider: &Arc<Provider>,
        tokens: u64,
        now: Monotonic,
    ) -> Result<RateLimitPermit, RateLimitExceededError> {
        let mut window = provider.window.lock();
        window.admits(&provider.id, tokens, now)?;
        let tokens = window.counted(tokens);
        let at = window.push(whole_ms_ceil(now), tokens);
        window.in_flight += 1;
        Ok(RateLimitPermit {
            provider: Arc::clone(provider),
            at,
            tokens,
        })
    }
}

impl QuotaSink for RateLimiter {
    fn observe(&self, provider: &ProviderId, report: QuotaReport) {
        let Some(known) = self.providers.read().get(provider).cloned() else {
            return;
        };
        let now = whole_ms_floor(self.clock.monotonic());
        let mut window = known.window.lock();
        window.prune(now);
        let (requests, tokens) = (window.requests, window.tokens);
        let limits = window.limits;
        if let Some(remaining) = report.remaining_requests {
            let until = now + reset_ms(report.requests_reset);
            match limits.requests_per_minute {
                Some(limit) => window.requests_correction = Correction::of(limit, requests, remaining, until),
                None if remaining == 0 && report.requests_reset.is_some() => window.held_until = until,
                None => {}
            }
        }
        if let Some(remaining) = report.remaining_tokens {
            let until = now + reset_ms(report.tokens_reset);
            match limits.tokens_per_minute {
                Some(limit) => window.tokens_correction = Correction::of(limit, tokens, remaining, until),
                None if remaining == 0 && report.tokens_reset.is_some() => {
                    window.held_until = window.held_until.max(until);
                }
                None => {}
            }
        }
    }
}

// === impl RateLimitPermit ===

impl RateLimitPermit {
    /// The call has ended and cost so many tokens. What the window has already left is not counted again.
    pub fn settle(mut self, tokens: u64) {
        let mut window = self.provider.window.lock();
        window.adjust(self.at, 0, self.tokens, tokens);
        drop(window);
        self.tokens = tokens;
    }

    /// The call was never made: request and tokens no longer count.
    pub fn refund(mut self) {
        let mut window = self.provider.window.lock();
        window.adjust(self.at, 1, self.tokens, 0);
        drop(window);
        self.tokens = 0;
        // What was given back may let a waiter through, beside the place that the drop frees.
        self.provider.freed.notify_one();
    }
}

impl Drop for RateLimitPermit {
    fn drop(&mut self) {
        let mut window = self.provider.window.lock();
        window.in_flight = window.in_flight.saturating_sub(1);
        drop(window);
        self.provider.freed.notify_one();
    }
}

// === impl Window ===

impl Window {
    fn admits(
        &mut self,
        provider: &ProviderId,
        tokens: u64,
        now: Monotonic,
    ) -> Result<(), RateLimitExceededError> {
        let floor = whole_ms_floor(now);
        self.prune(floor);
        let refused = |wait: u64, limit| {
            Err(RateLimitExceededError {
                provider: provider.clone(),
                // The fraction of a millisecond that has passed is not taken off: a wait is never too short.
                retry_after_ms: wait.max(1),
                limit,
            })
        };
        let mut longest = (0, RateLimitKind::Provider);
        if let Some(limit) = self.limits.requests_per_minute {
            let limit = limit.get();
            let room_at = self.room_at(
                floor,
                limit.saturating_sub(1),
                &self.requests_correction,
                self.requests,
                |e| e.requests,
            );
            longest = longest.max_by_wait(room_at.saturating_sub(floor), RateLimitKind::Requests(limit));
        }
        if let Some(limit) = self.limits.tokens_per_minute {
            let limit = limit.get();
            let most = limit.saturating_sub(self.counted(tokens));
            let room_at = self.room_at(floor, most, &self.tokens_correction, self.tokens, |e| e.tokens);
            longest = longest.max_by_wait(room_at.saturating_sub(floor), RateLimitKind::Tokens(limit));
        }
        longest = longest.max_by_wait(self.held_until.saturating_sub(floor), RateLimitKind::Provider);
        if longest.0 > 0 {
            return refused(longest.0, longest.1);
        }
        match self.limits.concurrent_requests {
            Some(limit) if self.in_flight >= limit.get() => {
                let wait = u64::try_from(CONCURRENCY_WAIT.as_millis()).unwrap_or(u64::MAX);
                refused(wait, RateLimitKind::Concurrency(limit.get()))
            }
            _ => Ok(()),
        }
    }

    /// The first moment at which no more than `most` is used.
    fn room_at(
        &self,
        now: u64,
        most: u64,
        correction: &Correction,
        used: u64,
        amount: impl Fn(&Entry) -> u64,
    ) -> u64 {
        let without = self.falls_to(now, most, used, &amount);
        let active = correction.at(now);
        if active == 0 {
            return without;
        }
        let with = match most.checked_sub(active) {
            Some(most) => self.falls_to(now, most, used, &amount),
            None => u64::MAX,
        };
        with.min(without.max(correction.until))
    }

    fn falls_to(&self, now: u64, most: u64, mut used: u64, amount: impl Fn(&Entry) -> u64) -> u64 {
        if used <= most {
            return now;
        }
        for entry in &self.entries {
            used = used.saturating_sub(amount(entry));
            if used <= most {
                return entry.at + WINDOW_MS;
            }
        }
        now
    }

    /// A call of more tokens than the limit counts as the limit.
    fn counted(&self, tokens: u64) -> u64 {
        let most = self.limits.tokens_per_minute.map_or(u64::MAX, NonZeroU64::get);
        tokens.min(most)
    }

    fn used_requests(&self, now: u64) -> u64 {
        self.requests.saturating_add(self.requests_correction.at(now))
    }

    fn used_tokens(&self, now: u64) -> u64 {
        self.tokens.saturating_add(self.tokens_correction.at(now))
    }

    fn prune(&mut self, now: u64) {
        while let Some(entry) = self.entries.front() {
            if entry.at + WINDOW_MS > now {
                break;
            }
            self.requests = self.requests.saturating_sub(entry.requests);
            self.tokens = self.tokens.saturating_sub(entry.tokens);
            self.entries.pop_front();
        }
    }

    /// Counts a request, and says in which millisecond's entry.
    fn push(&mut self, at: u64, tokens: u64) -> u64 {
        if self.limits.requests_per_minute.is_none() && self.limits.tokens_per_minute.is_none() {
            return at;
        }
        self.requests = self.requests.saturating_add(1);
        self.tokens = self.tokens.saturating_add(tokens);
        match self.entries.back_mut() {
            // Two threads may have looked at the clock in another order than they came here in.
            Some(last) if last.at >= at => {
                last.requests += 1;
                last.tokens = last.tokens.saturating_add(tokens);
                last.at
            }
            _ => {
                self.entries.push_back(Entry {
                    at,
                    requests: 1,
                    tokens,
                });
                at
            }
        }
    }

    /// Takes `requests` and the tokens of `before` off the entry of that moment and puts `after` tokens on it.
    fn adjust(&mut self, at: u64, requests: u64, before: u64, after: u64) {
        let index = self.entries.partition_point(|entry| entry.at < at);
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        // When it has left the window already, the one found is another's. When nothing was limited at the time of the
        // permit, there may be one of the same millisecond that does not hold it.
        if entry.at != at || entry.requests < requests || entry.tokens < before {
            return;
        }
        entry.requests -= requests;
        entry.tokens = (entry.tokens - before).saturating_add(after);
        self.requests = self.requests.saturating_sub(requests);
        self.tokens = self.tokens.saturating_sub(before).saturating_add(after);
    }
}

// === impl Correction ===

impl Correction {
    fn of(limit: NonZeroU64, used: u64, remaining: u64, until: u64) -> Self {
        Self {
            amount: limit.get().saturating_sub(used).saturating_sub(remaining),
            until,
        }
    }

    fn at(&self, now: u64) -> u64 {
        if now < self.until { self.amount } else { 0 }
    }
}

trait Longest {
    fn max_by_wait(self, wait: u64, kind: RateLimitKind) -> Self;
}

impl Longest for (u64, RateLimitKind) {
    fn max_by_wait(self, wait: u64, kind: RateLimitKind) -> Self {
        if wait > self.0 { (wait, kind) } else { self }
    }
}

/// What a provider says of its reset, at most one window and at least a millisecond.
fn reset_ms(reset: Option<Duration>) -> u64 {
    let reset = reset.unwrap_or(WINDOW).min(WINDOW).max(Duration::from_millis(1));
    u64::try_from(reset.as_millis()).unwrap_or(WINDOW_MS)
}

fn whole_ms_floor(at: Monotonic) -> u64 {
    u64::try_from(at.since_origin().as_millis()).unwrap_or(u64::MAX - 2 * WINDOW_MS)
}

/// Rounded up, so that what was taken never leaves the window too early.
fn whole_ms_ceil(at: Monotonic) -> u64 {
    let floor = whole_ms_floor(at);
    if at.since_origin().subsec_nanos().is_multiple_of(1_000_000) {
        floor
    } else {
        floor + 1
    }
}
