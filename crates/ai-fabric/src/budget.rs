//! Token budgets: how much each account may use within 24 h.
//!
//! Tokens are reserved before a call, settled to what it really cost after it and given back when it fails: two turns
//! at once cannot both spend the last tokens. This is the authority for one process; what it knows is primed from a
//! store, and every settlement says what is to be stored.

use crate::error::{ReserveError, TokenBudgetExceededError};
use crate::event::TokenBudgetWarning;
use openclaw_core::{AccessTier, Clock, CorrelationId, EventContext, Platform, TenantId, Timestamp};
use parking_lot::{Mutex, MutexGuard, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The length of a window, from its first use by the wall clock: a clock that is set back makes it longer.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// The least output a budget may cut an answer down to, in tokens; below it a turn is refused.
pub const OUTPUT_FLOOR: u64 = 256;
/// The account of all free tenants together. No tenant's account has such a name.
pub const FREE_POOL: &str = "tier:free";
/// Per cent of the limit at which a warning is published.
const WARNING_PERCENT: u64 = 80;
/// Room for so many accounts is kept, however few there are.
const KEPT_ROOM: usize = 512;

/// Tokens each tier may use within a window. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Of `free`.
    pub free: Option<u64>,
    /// Of `standard`.
    pub standard: Option<u64>,
    /// Of `premium`.
    pub premium: Option<u64>,
    /// Of `admin`.
    pub admin: Option<u64>,
}

/// Who shares a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetScope {
    /// Each tenant has one: a person in two chats has two.
    #[default]
    Tenant,
    /// Each person has one, whatever chat they write in.
    User,
}

/// How budgets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBudgetConfig {
    /// By tier.
    pub limits: TierLimits,
    /// Who shares one.
    pub scope: BudgetScope,
    /// Tokens all accounts of `free` together may use within 24 h, so that many newcomers cannot cost without a bound.
    /// `None` is no limit.
    pub free_total: Option<u64>,
    /// Accounts in memory. At the bound all that are idle and stored are forgotten, to be primed again when they are
    /// used; accounts with a reservation or with something to be stored stay, so the bound is exceeded by as many. What
    /// is not used for a while is forgotten before that: [`TokenBudget::forget_idle`].
    pub max_accounts: usize,
}

/// The budgets of all accounts. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct TokenBudget {
    shared: Arc<Shared>,
}

/// What is to be reserved for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveRequest<'a> {
    /// The budget, as [`TokenBudget::account_for`] names it.
    pub account: &'a str,
    /// Whose limit applies.
    pub tier: AccessTier,
    /// Tokens of the request, estimated.
    pub input_estimate: u64,
    /// Tokens of answer the request asks for.
    pub wanted_output: u64,
    /// Tokens of answer the model can give.
    pub model_limit: u64,
    /// The least answer worth having; normally [`OUTPUT_FLOOR`]. A request that wants less is content with that.
    pub floor: u64,
    /// What the warning is found by.
    pub correlation_id: Option<CorrelationId>,
}

/// Tokens set aside. Dropped, they are given back.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation {
    shared: Arc<Shared>,
    account: Arc<str>,
    window_started_at: Timestamp,
    /// What is taken of the account of all free tenants, too.
    pool: Option<PoolShare>,
    limit: Option<u64>,
    tokens: u64,
    input_estimate: u64,
    output_allowed: u64,
    wanted_output: u64,
    floor: u64,
    correlation_id: Option<CorrelationId>,
    settled: bool,
}

/// A reservation's part of the account of all free tenants.
#[derive(Clone, Copy, Debug)]
struct PoolShare {
    window_started_at: Timestamp,
    limit: u64,
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

/// What a store knows of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredUsage {
    /// When its window began.
    pub window_started_at: Timestamp,
    /// Tokens settled in it.
    pub used: u64,
    /// Turns and calls settled in it.
    pub settled: u64,
}

/// What is known of an account beyond its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetDetails {
    /// The sums.
    #[serde(flatten)]
    pub usage: BudgetUsage,
    /// When the window began: at the first use in it.
    pub window_started_at: Option<Timestamp>,
    /// Turns and calls under way that hold a reservation.
    pub outstanding: u32,
    /// When the oldest of these began; `None` when there is none.
    pub reserved_since: Option<Timestamp>,
    /// Turns and calls settled in the window.
    pub settled: u64,
    /// Tokens the least turn takes: an input of nothing and the smallest answer worth having.
    pub least_turn: u64,
}

/// What an account has used and what is left. An unlimited account has `null` for limit and remaining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetUsage {
    /// Tokens settled in the window.
    pub used: u64,
    /// Tokens allowed in the window.
    pub limit: Option<u64>,
    /// `limit − used − reserved`.
    pub remaining: Option<u64>,
    /// Tokens set aside by turns under way.
    pub reserved: u64,
    /// When the window ends; `None` when none has begun.
    pub resets_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Shared {
    config: RwLock<TokenBudgetConfig>,
    clock: Arc<dyn Clock>,
    events: EventContext,
    /// Guards all accounts; held for one decision, never while publishing.
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    by_name: HashMap<Arc<str>, Account>,
    /// How many there may be before idle ones are looked for again.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Account {
    window_started_at: Option<Timestamp>,
    used: u64,
    /// By reservations of this window.
    reserved: u64,
    /// Reservations under way, of any window.
    outstanding: u32,
    /// When the first of these was made since there was none.
    reserved_since: Option<Timestamp>,
    /// Settlements in this window.
    settled: u64,
    /// Settlements that are not known to be stored.
    unstored: u32,
    warned: bool,
    exhausted: bool,
    /// Looked at since idle accounts were last forgotten.
    in_use: bool,
}

// === impl TierLimits ===

impl TierLimits {
    /// A tier's limit.
    pub const fn of(&self, tier: AccessTier) -> Option<u64> {
        match tier {
            AccessTier::Free => self.free,
            AccessTier::Standard => self.standard,
            AccessTier::Premium => self.premium,
            AccessTier::Admin => self.admin,
        }
    }
}

impl Default for TierLimits {
    fn default() -> Self {
        Self {
            free: Some(10_000),
            standard: Some(100_000),
            premium: Some(1_000_000),
            admin: None,
        }
    }
}

// === impl TokenBudgetConfig ===

impl Default for TokenBudgetConfig {
    fn default() -> Self {
        Self {
            limits: TierLimits::default(),
            scope: BudgetScope::default(),
            free_total: None,
            max_accounts: 10_000,
        }
    }
}

// === impl TokenBudget ===

impl TokenBudget {
    /// Knows no account yet.
    pub fn new(config: TokenBudgetConfig, clock: Arc<dyn Clock>, events: &EventContext) -> Self {
        Self {
            shared: Arc::new(Shared {
                accounts: Mutex::new(Accounts {
                    by_name: HashMap::new(),
                    sweep_at: config.max_accounts.max(1),
                }),
                config: RwLock::new(config),
                clock,
                events: events.for_source(crate::SOURCE),
            }),
        }
    }

    /// The budget a tenant draws on. For the API it is always the user's, whatever the scope: a caller could buy
    /// fresh budgets by changing a field of the request otherwise.
    pub fn account_for(&self, tenant: &TenantId) -> String {
        if self.shared.config.read().scope == BudgetScope::User || tenant.platform() == Platform::Api {
            format!("user:{}:{}", tenant.platform(), tenant.user())
        } else {
            tenant.to_string()
        }
    }

    /// Other limits from now on. Reservations under way keep what they have.
    pub fn configure(&self, config: TokenBudgetConfig) {
        *self.shared.config.write() = config;
    }

    /// The account that all tenants of a tier draw on beside their own, where there is a ceiling for them. It is loaded
    /// and stored like any other.
    pub fn pool_of(&self, tier: AccessTier) -> Option<&'static str> {
        (tier == AccessTier::Free && self.shared.config.read().free_total.is_some()).then_some(FREE_POOL)
    }

    /// What all accounts of `free` have used together, where there is a ceiling for them.
    pub fn free_usage(&self) -> Option<BudgetUsage> {
        let limit = self.shared.config.read().free_total?;
        Some(self.usage_within(FREE_POOL, Some(limit)))
    }

    /// A tier's limit.
    pub fn limit(&self, tier: AccessTier) -> Option<u64> {
        self.shared.config.read().limits.of(tier)
    }

    /// Whether an account is in memory.
    pub fn is_loaded(&self, account: &str) -> bool {
        self.shared.accounts.lock().by_name.contains_key(account)
    }

    /// Takes what the store knows of an account; `None` when it knows nothing. Does nothing when the account is in memory, which is then the truth.
    pub fn prime(&self, account: &str, stored: Option<StoredUsage>) {
        let mut accounts = self.shared.accounts.lock();
        if accounts.by_name.contains_key(account) {
            return;
        }
        accounts.make_room(self.shared.config.read().max_accounts);
        let mut fresh = Account {
            in_use: true,
            ..Account::default()
        };
        if let Some(stored) = stored {
            fresh.window_started_at = Some(stored.window_started_at);
            fresh.used = stored.used;
            fresh.settled = stored.settled;
        }
        accounts.by_name.insert(Arc::from(account), fresh);
    }

    /// Forgets accounts that were not used since the last call and have nothing under way or to be stored, and gives
    /// back the room they took. They are primed again when they are used. Called every so often, an account is kept
    /// for one to two of these times after its last use.
    pub fn forget_idle(&self) {
        self.shared.accounts.lock().forget_idle();
    }

    /// Sets tokens aside: the input estimate and the output that is allowed, which is the least of what is asked,
    /// what the model can give and what the budget has left after the input.
    pub fn reserve(&self, request: &ReserveRequest<'_>) -> Result<Reservation, ReserveError> {
        let config = *self.shared.config.read();
        let limit = config.limits.of(request.tier);
        let ceiling = config.free_total.filter(|_| request.tier == AccessTier::Free);
        let now = self.shared.clock.now();
        let mut accounts = self.shared.accounts.lock();
        // Both are looked at before anything is taken of either.
        let pool_room = match ceiling {
            None => u64::MAX,
            Some(ceiling) => {
                let (_, pool) = accounts.get_mut(FREE_POOL).ok_or(ReserveError::NotLoaded)?;
                pool.roll(now);
                pool.note_primed(Some(ceiling));
                pool.remaining(ceiling)
            }
        };
        let Some((name, account)) = accounts.get_mut(request.account) else {
            return Err(ReserveError::NotLoaded);
        };
        account.roll(now);
        account.note_primed(limit);
        let asked = request.wanted_output.min(request.model_limit);
        let own_room = limit.map_or(u64::MAX, |limit| account.remaining(limit));
        let fits = |room| fit(room, request.input_estimate, asked, request.floor);
        let Some(output_allowed) = fits(own_room.min(pool_room)) else {
            let (blamed, limit) = match ceiling {
                Some(ceiling) if fits(own_room).is_some() => (FREE_POOL, ceiling),
                Some(_) | None => (request.account, limit.unwrap_or(u64::MAX)),
            };
            return Err(self.refuse(accounts, request, blamed, limit, now));
        };
        let tokens = request.input_estimate.saturating_add(output_allowed);
        let window_started_at = account.take(tokens, now);
        let pool = ceiling.and_then(|limit| {
            let (_, pool) = accounts.get_mut(FREE_POOL)?;
            Some(PoolShare {
                window_started_at: pool.take(tokens, now),
                limit,
            })
        });
        drop(accounts);
        Ok(Reservation {
            shared: Arc::clone(&self.shared),
            account: name,
            window_started_at,
            pool,
            limit,
            tokens,
            input_estimate: request.input_estimate,
            output_allowed,
            wanted_output: request.wanted_output,
            floor: request.floor,
            correlation_id: request.correlation_id,
            settled: false,
        })
    }

    /// The refusal of an account that has no room, and the warning that goes with it once a window.
    fn refuse(
        &self,
        mut accounts: MutexGuard<'_, Accounts>,
        request: &ReserveRequest<'_>,
        blamed: &str,
        limit: u64,
        now: Timestamp,
    ) -> ReserveError {
        let Some((_, account)) = accounts.get_mut(blamed) else {
            return ReserveError::NotLoaded;
        };
        let asked = request.wanted_output.min(request.model_limit);
        let error = TokenBudgetExceededError {
            limit,
            used: account.used.saturating_add(account.reserved),
            requested: request.input_estimate.saturating_add(asked),
            resets_at: account.window_started_at.unwrap_or(now) + BUDGET_WINDOW,
        };
        // Only what is settled can be said to be used up; a reservation may still come back.
        let room = limit.saturating_sub(account.used);
        let spent = fit(room, request.input_estimate, asked, request.floor).is_none() && account.used > 0;
        let warn = spent && !std::mem::replace(&mut account.exhausted, true);
        let used = account.used;
        drop(accounts);
        if warn {
            self.shared
                .warn(blamed, 100, used, limit, error.resets_at, request.correlation_id);
        }
        error.into()
    }

    /// What an account has used. An account that is not in memory has used nothing as far as is known here: prime it
    /// first.
    pub fn usage(&self, account: &str, tier: AccessTier) -> BudgetUsage {
        self.usage_within(account, self.limit(tier))
    }

    fn usage_within(&self, account: &str, limit: Option<u64>) -> BudgetUsage {
        let now = self.shared.clock.now();
        self.look(account, now, |account| account.usage(limit))
    }

    /// The same with what an operator asks next: since when, by how many, and how much a turn takes.
    pub fn details(&self, account: &str, tier: AccessTier) -> BudgetDetails {
        let limit = self.limit(tier);
        let now = self.shared.clock.now();
        self.look(account, now, |account| BudgetDetails {
            usage: account.usage(limit),
            window_started_at: account.window_started_at,
            outstanding: account.outstanding,
            reserved_since: account.reserved_since,
            settled: account.settled,
            least_turn: OUTPUT_FLOOR,
        })
    }

    fn look<T>(&self, name: &str, now: Timestamp, look: impl FnOnce(&Account) -> T) -> T {
        let mut accounts = self.shared.accounts.lock();
        let mut unknown = Account::default();
        let account = match accounts.by_name.get_mut(name) {
            Some(account) => account,
            None => &mut unknown,
        };
        account.roll(now);
        look(account)
    }

    /// The settlement is stored: the account may be forgotten when it is idle.
    pub fn stored(&self, settlement: &Settlement) {
        let mut accounts = self.shared.accounts.lock();
        let pool = settlement.pool_window.map(|_| FREE_POOL);
        for name in std::iter::once(settlement.account.as_str()).chain(pool) {
            if let Some(account) = accounts.by_name.get_mut(name) {
                account.unstored = account.unstored.saturating_sub(1);
            }
        }
    }

    /// Starts an account over, at an operator's word. The store must be told too. Reservations under way stay
    /// settled to the window they began in, which is over.
    pub fn reset(&self, account: &str) {
        if let Some(account) = self.shared.accounts.lock().by_name.get_mut(account) {
            account.close_window();
        }
    }

    /// How many accounts are in memory.
    pub fn loaded_accounts(&self) -> usize {
        self.shared.accounts.lock().by_name.len()
    }

    /// For how many accounts there is room without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.shared.accounts.lock().by_name.capacity()
    }
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
                resets_at: self.window_started_at + BUDGET_WINDOW,
            }),
        }
    }

    /// The turn cost so many tokens in all. What is returned is to be stored; tell [`TokenBudget::stored`] when it
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

// === impl Shared ===

impl Shared {
    fn warn(
        &self,
        account: &str,
        percent: u8,
        used: u64,
        limit: u64,
        resets_at: Timestamp,
        correlation_id: Option<CorrelationId>,
    ) {
        self.events.publish(correlation_id, || TokenBudgetWarning {
            account: account.to_owned(),
            percent,
            used,
            limit,
            resets_at,
        });
    }
}

// === impl Accounts ===

impl Accounts {
    fn get_mut(&mut self, name: &str) -> Option<(Arc<str>, &mut Account)> {
        let (name, _) = self.by_name.get_key_value(name)?;
        let name = Arc::clone(name);
        let account = self.by_name.get_mut(&name)?;
        account.in_use = true;
        Some((name, account))
    }

    fn forget_idle(&mut self) {
        self.by_name
            .retain(|_, account| std::mem::take(&mut account.in_use) || account.is_needed());
        self.by_name
            .shrink_to(self.by_name.len().saturating_mul(2).max(KEPT_ROOM));
    }

    fn make_room(&mut self, bound: usize) {
        if self.by_name.len() < self.sweep_at {
            return;
        }
        self.by_name.retain(|_, account| account.is_needed());
        // Where little could be forgotten the next look is not made at once: it costs as much as there is.
        self.sweep_at = bound.max(1).max(self.by_name.len().saturating_add(bound / 4 + 1));
    }
}

// === impl Account ===

impl Account {
    /// Whether the memory knows something of it that the store does not.
    fn is_needed(&self) -> bool {
        self.outstanding > 0 || self.unstored > 0
    }

    fn usage(&self, limit: Option<u64>) -> BudgetUsage {
        BudgetUsage {
            used: self.used,
            limit,
            remaining: limit.map(|limit| self.remaining(limit)),
            reserved: self.reserved,
            resets_at: self.window_started_at.map(|started| started + BUDGET_WINDOW),
        }
    }

    /// Sets tokens aside; the window they are taken from, which begins now if none has.
    fn take(&mut self, tokens: u64, now: Timestamp) -> Timestamp {
        let window_started_at = *self.window_started_at.get_or_insert(now);
        self.reserved = self.reserved.saturating_add(tokens);
        self.outstanding = self.outstanding.saturating_add(1);
        self.reserved_since.get_or_insert(now);
        window_started_at
    }

    /// Replaces what was set aside by what was used; the threshold that this has reached.
    fn settle(
        &mut self,
        window_started_at: Timestamp,
        reserved: u64,
        actual: u64,
        limit: Option<u64>,
    ) -> Option<u8> {
        self.release(window_started_at, reserved);
        self.unstored = self.unstored.saturating_add(1);
        let mut crossed = None;
        if self.window_started_at == Some(window_started_at) {
            self.used = self.used.saturating_add(actual);
            self.settled = self.settled.saturating_add(1);
            crossed = self.crossed(limit);
        }
        self.close_if_unused();
        crossed
    }

    fn remaining(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }

    /// Ends the window when its time has passed.
    fn roll(&mut self, now: Timestamp) {
        if self
            .window_started_at
            .is_some_and(|started| now.saturating_since(started) >= BUDGET_WINDOW)
        {
            self.close_window();
        }
    }

    fn close_window(&mut self) {
        self.window_started_at = None;
        self.used = 0;
        self.settled = 0;
        self.reserved = 0;
        self.warned = false;
        self.exhausted = false;
    }

    /// A window in which nothing came of anything has not begun.
    fn close_if_unused(&mut self) {
        if self.used == 0 && self.reserved == 0 && self.unstored == 0 {
            self.window_started_at = None;
        }
    }

    fn release(&mut self, window_started_at: Timestamp, tokens: u64) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.reserved_since = None;
        }
        if self.window_started_at == Some(window_started_at) {
            self.reserved = self.reserved.saturating_sub(tokens);
        }
    }

    /// What was used before the account was loaded has been warned of.
    fn note_primed(&mut self, limit: Option<u64>) {
        let Some(limit) = limit else { return };
        self.warned |= percent(self.used, limit) >= WARNING_PERCENT;
        self.exhausted |= self.used >= limit;
    }

    /// Which threshold was reached just now, the higher one if both were.
    fn crossed(&mut self, limit: Option<u64>) -> Option<u8> {
        let limit = limit?;
        if self.used >= limit && !self.exhausted {
            self.exhausted = true;
            self.warned = true;
            return Some(100);
        }
        if percent(self.used, limit) >= WARNING_PERCENT && !self.warned {
            self.warned = true;
            return Some(80);
        }
        None
    }
}

/// How much output fits beside the input, if it is worth having.
fn fit(room: u64, input: u64, asked: u64, floor: u64) -> Option<u64> {
    let output = room.checked_sub(input)?.min(asked);
    (output >= floor.min(asked) && output > 0).then_some(output)
}

fn percent(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100) / limit.max(1)
}
