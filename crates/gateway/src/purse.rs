//! Token budgets as the gateway spends them: decided in memory, loaded from the store when an account is first seen,
//! stored with the turn or, for calls that belong to no turn, gathered and stored shortly after.

use crate::error::Refusal;
use crate::ledger::Spent;
use crate::ports::{StoreError, TurnStore, UsageDelta};
use openclaw_ai_fabric::{
    BudgetDetails, BudgetUsage, FREE_POOL, Kept, OUTPUT_FLOOR, Reservation, ReserveError, ReserveRequest,
    Settlement, StoredUsage, TokenBudget,
};
use openclaw_core::{AccessTier, Clock, CorrelationId, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What a call wants of a budget, in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// An estimate of the request.
    pub(crate) input: u64,
    /// What the answer may cost at most.
    pub(crate) output: u64,
    /// The model's own limit of the answer.
    pub(crate) model_limit: u64,
}

/// The budgets of all accounts.
#[derive(Debug)]
pub(crate) struct Purse {
    budget: Arc<TokenBudget>,
    store: Arc<dyn TurnStore>,
    clock: Arc<dyn Clock>,
    /// What is settled in memory and not yet in the store. Bounded by the accounts and models that were used since the
    /// last flush.
    unstored: Mutex<Unstored>,
    /// One flush at a time: what one could not store must not come back after an operator has started an account over.
    flushing: tokio::sync::Mutex<()>,
}

/// Settlements that wait to be stored, and what they were spent on.
#[derive(Debug, Default)]
struct Unstored {
    /// By account and window.
    usage: HashMap<(String, Timestamp), Sum>,
    spent: Vec<Spent>,
}

/// Settlements of one account in one window.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    tokens: u64,
    settled: u64,
}

// === impl Purse ===

impl Purse {
    pub(crate) fn new(budget: Arc<TokenBudget>, store: Arc<dyn TurnStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            budget,
            store,
            clock,
            unstored: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
        }
    }

    /// Sets tokens aside, or says why not. Dropping the reservation gives them back.
    pub(crate) async fn reserve(
        &self,
        account: &str,
        tier: AccessTier,
        want: Want,
        correlation_id: CorrelationId,
    ) -> Result<Reservation, Refusal> {
        let request = ReserveRequest {
            account,
            tier,
            input_estimate: want.input,
            wanted_output: want.output,
            model_limit: want.model_limit,
            floor: OUTPUT_FLOOR,
            correlation_id: Some(correlation_id),
        };
        let mut loaded = Vec::new();
        // A ceiling for all free tenants may be set between the two; twice in a row is not plausible.
        for _ in 0..3 {
            match self.budget.reserve(&request) {
                Ok(reservation) => return Ok(reservation),
                Err(ReserveError::Exceeded(error)) => return Err(Refusal::budget(error, self.clock.now())),
                Err(ReserveError::NotLoaded) => loaded.extend(self.load(account).await?),
            }
        }
        Err(Refusal::Store(StoreError::Unavailable {
            reason: format!("budget of {account} does not stay loaded"),
        }))
    }

    /// What an account has used and has left.
    pub(crate) async fn usage(&self, account: &str, tier: AccessTier) -> Result<BudgetUsage, Refusal> {
        let _kept = self.load(account).await?;
        Ok(self.budget.usage(account, tier))
    }

    /// The same with what an operator asks next.
    pub(crate) async fn details(&self, account: &str, tier: AccessTier) -> Result<BudgetDetails, StoreError> {
        let _kept = self.load(account).await?;
        Ok(self.budget.details(account, tier))
    }

    /// Starts a budget over, in memory and in the store. What waits to be stored belongs to the window that is over.
    /// Not to be dropped before it is ready.
    pub(crate) async fn reset(&self, account: &str) -> Result<(), StoreError> {
        let _alone = self.flushing.lock().await;
        // What was settled before must not come back with the next flush.
        self.store_unstored().await?;
        // Loaded, so that the window which is known to the store only is closed as well.
        let _kept = self.load(account).await?;
        let over = self.budget.window_to_close(account);
        self.store.reset_usage(account, over).await?;
        self.budget.reset(account, over);
        Ok(())
    }

    /// Loads the account, and the one it shares with others of its tier. They stay until what is returned is dropped.
    async fn load(&self, account: &str) -> Result<Vec<Kept>, StoreError> {
        let pool = self.budget.pool_of(AccessTier::Free);
        let mut kept = Vec::new();
        for name in std::iter::once(account).chain(pool) {
            // Before looking, and before asking the store: what it says is the truth only as long as nobody else comes,
            // spends and is forgotten.
            kept.push(self.budget.keep(name));
            if self.budget.is_loaded(name) {
                continue;
            }
            let stored = self.store.usage(name).await?;
            let known = stored.map(|usage| StoredUsage {
                window_started_at: usage.window_started_at,
                used: usage.used,
                settled: usage.settled,
            });
            self.budget.prime(name, known);
        }
        Ok(kept)
    }

    /// The settlement in the form the store takes with a turn.
    pub(crate) fn deltas(settlement: &Settlement) -> Vec<UsageDelta> {
        let delta = |account: &str, window_started_at| UsageDelta {
            account: account.to_owned(),
            window_started_at,
            tokens: settlement.tokens,
            settled: 1,
        };
        let own = delta(&settlement.account, settlement.window_started_at);
        let pool = settlement.pool_window.map(|window| delta(FREE_POOL, window));
        std::iter::once(own).chain(pool).collect()
    }

    /// The settlement is in the store.
    pub(crate) fn stored(&self, settlement: &Settlement) {
        self.budget.stored(settlement);
    }

    /// Remembers a settlement, and what it was spent on, for the next flush.
    pub(crate) fn store_later(&self, settlement: &Settlement, spent: Vec<Spent>) {
        self.add(Self::deltas(settlement), spent);
    }

    fn add(&self, deltas: Vec<UsageDelta>, spent: Vec<Spent>) {
        let mut unstored = self.unstored.lock();
        for delta in deltas {
            let key = (delta.account, delta.window_started_at);
            let sum = unstored.usage.entry(key).or_default();
            sum.tokens = sum.tokens.saturating_add(delta.tokens);
            sum.settled = sum.settled.saturating_add(delta.settled);
        }
        for row in spent {
            match unstored.spent.iter_mut().find(|known| known.is_same_row(&row)) {
                Some(known) => known.sums.add(&row.sums),
                None => unstored.spent.push(row),
            }
        }
    }

    /// Stores what was settled since the last flush. On failure it is kept for the next. Not to be dropped before it is
    /// ready: what it has taken would be known to nobody but the memory of this process.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let _alone = self.flushing.lock().await;
        self.store_unstored().await
    }

    async fn store_unstored(&self) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.unstored.lock());
        if taken.usage.is_empty() && taken.spent.is_empty() {
            return Ok(());
        }
        let deltas: Vec<UsageDelta> = taken
            .usage
            .into_iter()
            .map(|((account, window_started_at), sum)| UsageDelta {
                account,
                window_started_at,
                tokens: sum.tokens,
                settled: sum.settled,
            })
            .collect();
        match self.store.add_usage(deltas.clone(), taken.spent.clone()).await {
            Ok(()) => {
                for delta in deltas {
                    let settlement = Settlement {
                        account: delta.account,
                        window_started_at: delta.window_started_at,
                        tokens: 0,
                        pool_window: None,
                    };
                    for _ in 0..delta.settled {
                        self.budget.stored(&settlement);
                    }
                }
                Ok(())
            }
            Err(error) => {
                if !matches!(error, StoreError::Unknown { .. }) {
                    self.add(deltas, taken.spent);
                }
                Err(error)
            }
        }
    }
}
