//! How budgets are kept, and who shares one.

use openclaw_core::AccessTier;
use serde::{Deserialize, Serialize};

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
    /// is not used for a while is forgotten before that: [`super::TokenBudget::forget_idle`].
    pub max_accounts: usize,
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
