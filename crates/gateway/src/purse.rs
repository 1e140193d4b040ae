//! Token budgets as the gateway spends them: decided in memory, loaded from the store when an account is first seen,
//! stored with the turn or, for calls that belong to no turn, gathered and stored shortly after.

use crate::error::Refusal;
use crate::ports::{StoreError, TurnStore, UsageDelta};
use openclaw_ai_fabric::{
    BudgetUsage, OUTPUT_FLOOR, Reservation, ReserveError, ReserveRequest, Settlement, TokenBudget,
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
    /// Usage that is settled in memory and not yet in the store, by account and window. Bounded by the accounts that
    /// were used since the last flush.
    unstored: Mutex<HashMap<(String, Timestamp), Unstored>>,
}

/// Settlements of one account in one window that wait to be stored.
#[derive(Clone, Copy, Debug, Default)]
struct Unstored {
    tokens: u64,
    settlements: u32,
}

// === impl Purse ===

impl Purse {
    pub(crate) fn new(budget: Arc<TokenBudget>, store: Arc<dyn TurnStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            budget,
            store,
            clock,
            unstored: Mutex::default(),
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
        // The account may be evicted between loading and reserving; twice in a row is not plausible.
        for _ in 0..3 {
            match self.budget.reserve(&request) {
                Ok(reservation) => return Ok(reservation),
                Err(ReserveError::Exceeded(error)) => return Err(Refusal::budget(error, self.clock.now())),
                Err(ReserveError::NotLoaded) => self.load(account).await?,
            }
        }
        Err(Refusal::Store(StoreError::Unavailable {
            reason: format!("budget of {account} does not stay loaded"),
        }))
    }

    /// What an account has used and has left.
    pub(crate) async fn usage(&self, account: &str, tier: AccessTier) -> Result<BudgetUsage, Refusal> {
        if !self.budget.is_loaded(account) {
            self.load(account).await?;
        }
        Ok(self.budget.usage(account, tier))
    }

    async fn load(&self, account: &str) -> Result<(), StoreError> {
        let stored = self.store.usage(account).await?;
        self.budget
            .prime(account, stored.map(|usage| (usage.window_started_at, usage.used)));
        Ok(())
    }

    /// The settlement in the form the store takes with a turn.
    pub(crate) fn delta(settlement: &Settlement) -> UsageDelta {
        UsageDelta {
            account: settlement.account.clone(),
            window_started_at: settlement.window_started_at,
            tokens: settlement.tokens,
        }
    }

    /// The settlement is in the store.
    pub(crate) fn stored(&self, settlement: &Settlement) {
        self.budget.stored(settlement);
    }

    /// Remembers a settlement for the next flush.
    pub(crate) fn store_later(&self, settlement: &Settlement) {
        let key = (settlement.account.clone(), settlement.window_started_at);
        self.add(
            key,
            Unstored {
                tokens: settlement.tokens,
                settlements: 1,
            },
        );
    }

    fn add(&self, key: (String, Timestamp), more: Unstored) {
        let mut unstored = self.unstored.lock();
        let entry = unstored.entry(key).or_default();
        entry.tokens = entry.tokens.saturating_add(more.tokens);
        entry.settlements = entry.settlements.saturating_add(more.settlements);
    }

    /// Stores what was settled since the last flush. On failure it is kept for the next.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.unstored.lock());
        if taken.is_empty() {
            return Ok(());
        }
        let delta =
            |((account, window_started_at), unstored): (&(String, Timestamp), &Unstored)| UsageDelta {
                account: account.clone(),
                window_started_at: *window_started_at,
                tokens: unstored.tokens,
            };
        match self.store.add_usage(taken.iter().map(delta).collect()).await {
            Ok(()) => {
                for ((account, window_started_at), unstored) in taken {
                    let settlement = Settlement {
                        account,
                        window_started_at,
                        tokens: 0,
                    };
                    for _ in 0..unstored.settlements {
                        self.budget.stored(&settlement);
                    }
                }
                Ok(())
            }
            Err(error) => {
                if !matches!(error, StoreError::Unknown { .. }) {
                    for (key, unstored) in taken {
                        self.add(key, unstored);
                    }
                }
                Err(error)
            }
        }
    }
}
