//! Tokens set aside for a turn, and what comes of them.

use super::{BUDGET_WINDOW, FREE_POOL, Shared, fit, least};
use crate::error::TokenBudgetExceededError;
use openclaw_core::{CorrelationId, Timestamp};
use std::sync::Arc;

/// Tokens set aside. Dropped, they are given back.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation {
    pub(super) shared: Arc<Shared>,
    pub(super) account: Arc<str>,
    pub(super) window_started_at: Timestamp,
    /// What is taken of the account of all free tenants, too.
    pub(super) pool: Option<PoolShare>,
    pub(super) limit: Option<u64>,
    pub(super) tokens: u64,
    pub(super) input_estimate: u64,
    pub(super) output_allowed: u64,
    pub(super) wanted_output: u64,
    pub(super) floor: u64,
    pub(super) correlation_id: Option<CorrelationId>,
    pub(super) settled: bool,
}

/// A reservation's part of the account of all free tenants.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolShare {
    pub(super) window_started_at: Timestamp,
    pub(super) limit: u64,
}

/// What a turn has cost, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Whose budget.
    pub account: String,
    /// The window it belongs to.
    pub window_started_at: Timestamp,
    /// Tokens.
    pub tokens: u64,
    /// The window of the account of all free tenants that they count for too, where there is such a ceiling.
    pub pool_window: Option<Timestamp>,
}

// === impl Reservation ===

impl Reservation {
    /// Tokens set aside.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// How many of them are for the answer: what the provider is told as its maximum.
    pub fn output_allowed(&self) -> u64 {
        self.output_allowed
    }

    /// How many of them are for the request.
    pub fn input_estimate(&self) -> u64 {
        self.input_estimate
    }

    /// The window they are taken from.
    pub fn window_started_at(&self) -> Timestamp {
        self.window_started_at
    }

    /// The window of the account of all free tenants that they are taken from too, where there is such a ceiling.
    pub fn pool_window(&self) -> Option<Timestamp> {
        self.pool.map(|pool| pool.window_started_at)
    }

    /// Whose budget they are taken from.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A longer request or another model: what is set aside stays, and the output that is allowed shrinks to fit in
    /// it. Refused below the floor; the reservation is unchanged then. An unlimited budget has room for anything.
    pub fn refit(&mut self, input_estimate: u64, model_limit: u64) -> Result<u64, TokenBudgetExceededError> {
        let room = if self.limit.is_some() {
            self.tokens
        } else {
            u64::MAX
        };
        let asked = self.wanted_output.min(model_limit);
        match fit(room, input_estimate, asked, self.floor) {
            Some(output) => {
                self.input_estimate = input_estimate;
                self.output_allowed = output;
                Ok(output)
            }
            None => Err(TokenBudgetExceededError {
                limit: self.limit.unwrap_or(u64::MAX),
                used: self.tokens,
                requested: input_estimate.saturating_add(asked),
                least: least(input_estimate, asked, self.floor),
                resets_at: self.window_started_at + BUDGET_WINDOW,
            }),
        }
    }

    /// The turn cost so many tokens in all. What is returned is to be stored; tell [`TokenBudget::stored`](super::TokenBudget::stored) when it
    /// is. The truth may be more than was reserved.
    pub fn settle(mut self, actual: u64) -> Settlement {
        self.settled = true;
        let mut warnings = Vec::new();
        {
            let mut accounts = self.shared.accounts.lock();
            for (name, window_started_at, limit) in self.shares() {
                let Some(account) = accounts.by_name.get_mut(name) else {
                    continue;
                };
                let crossed = account.settle(window_started_at, self.tokens, actual, limit);
                if let (Some(percent), Some(limit)) = (crossed, limit) {
                    let resets_at = window_started_at + BUDGET_WINDOW;
                    warnings.push((name, percent, account.used, limit, resets_at));
                }
            }
        }
        for (name, percent, used, limit, resets_at) in warnings {
            self.shared
                .warn(name, percent, used, limit, resets_at, self.correlation_id);
        }
        Settlement {
            account: self.account.to_string(),
            window_started_at: self.window_started_at,
            tokens: actual,
            pool_window: self.pool.map(|pool| pool.window_started_at),
        }
    }

    /// The accounts it is taken from: name, window, limit.
    fn shares(&self) -> impl Iterator<Item = (&str, Timestamp, Option<u64>)> {
        let pool = self
            .pool
            .map(|pool| (FREE_POOL, pool.window_started_at, Some(pool.limit)));
        std::iter::once((&*self.account, self.window_started_at, self.limit)).chain(pool)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut accounts = self.shared.accounts.lock();
        for (name, window_started_at, _) in self.shares() {
            if let Some(account) = accounts.by_name.get_mut(name) {
                account.release(window_started_at, self.tokens);
                account.close_if_unused();
            }
        }
    }
}
