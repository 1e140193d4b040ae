//! Token budgets: how much each account may use within 24 h.
//!
//! Tokens are reserved before a call, settled to what it really cost after it and given back when it fails: two turns
//! at once cannot both spend the last tokens. This is the authority for one process; what it knows is primed from a
//! store, and every settlement says what is to be stored.

mod account;
mod config;
mod kept;
mod reservation;

use self::account::{Account, Accounts};
pub use self::config::{BudgetScope, TierLimits, TokenBudgetConfig};
pub use self::kept::Kept;
use self::reservation::PoolShare;
pub use self::reservation::{Reservation, Settlement};

use crate::error::{ReserveError, TokenBudgetExceededError};
use crate::event::TokenBudgetWarning;
use openclaw_core::{AccessTier, Clock, CorrelationId, EventContext, Platform, TenantId, Timestamp};
use parking_lot::{Mutex, MutexGuard, RwLock};
use serde::Serialize;
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

// === impl TokenBudget ===

impl TokenBudget {
    /// Knows no account yet.
    pub fn new(config: TokenBudgetConfig, clock: Arc<dyn Clock>, events: &EventContext) -> Self {
        Self {
            shared: Arc::new(Shared {
                accounts: Mutex::new(Accounts {
                    by_name: HashMap::new(),
                    sweep_at: config.max_accounts.max(1),
                    kept: HashMap::new(),
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

    /// Has an account that is in memory, or comes there, stay until what is returned is dropped. Ask for it before the
    /// store is asked what it knows, and drop it after the account was used: what the store said would be old, and an
    /// overspend, were the account primed, used and forgotten by others meanwhile.
    pub fn keep(&self, account: &str) -> Kept {
        Kept::new(&self.shared, account)
    }

    /// Takes what the store knows of an account that is [kept](TokenBudget::keep) since before the store was asked;
    /// `None` when it knows nothing. Does nothing when the account is in memory, which is then the truth.
    pub fn prime(&self, account: &str, stored: Option<StoredUsage>) {
        let mut accounts = self.shared.accounts.lock();
        if accounts.by_name.contains_key(account) {
            return;
        }
        accounts.make_room(self.shared.config.read().max_accounts);
        let fresh = match stored {
            // Started over and not used since: its window has yet to begin, after what is over.
            Some(stored) if stored.used == 0 && stored.settled == 0 => Account {
                over: Some(stored.window_started_at),
                ..Account::default()
            },
            Some(stored) => Account {
                window_started_at: Some(stored.window_started_at),
                used: stored.used,
                settled: stored.settled,
                ..Account::default()
            },
            None => Account::default(),
        };
        let fresh = Account {
            in_use: true,
            ..fresh
        };
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
            least: least(request.input_estimate, asked, request.floor),
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

    /// What [`TokenBudget::reset`] is to be told, so that the store can be told first: the beginning of the account's
    /// window or now, whichever is later.
    pub fn window_to_close(&self, account: &str) -> Timestamp {
        let now = self.shared.clock.now();
        self.look(account, now, |account| {
            let latest = account.window_started_at.max(account.over);
            latest.map_or(now, |latest| latest.max(now))
        })
    }

    /// Starts an account over, at an operator's word: windows that began at this time or before are over. The store must
    /// be told too. Reservations under way stay settled to the window they began in.
    pub fn reset(&self, account: &str, over: Timestamp) {
        if let Some(account) = self.shared.accounts.lock().by_name.get_mut(account) {
            if account.window_started_at.is_some_and(|started| started <= over) {
                account.close_window();
            }
            account.over = account.over.max(Some(over));
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

/// How much output fits beside the input, if it is worth having.
fn fit(room: u64, input: u64, asked: u64, floor: u64) -> Option<u64> {
    let output = room.checked_sub(input)?.min(asked);
    (output >= floor.min(asked) && output > 0).then_some(output)
}

/// The smallest room in which [`fit`] finds any output.
fn least(input: u64, asked: u64, floor: u64) -> u64 {
    input.saturating_add(floor.min(asked).max(1))
}
