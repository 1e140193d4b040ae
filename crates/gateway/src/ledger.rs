//! What calls of models have cost, kept by day, payer and model, so that an operator can ask where tokens and money went.
//!
//! A budget knows how much is left; the ledger knows what it was spent on. Both are written in one transaction.

use openclaw_ai_fabric::{Attempt, Cost, ModelDefinition};
use openclaw_core::{AccessTier, ModelId, Platform, ProviderId, TenantId, Timestamp, TokenUsage};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A day of the ledger: from midnight to midnight, UTC.
pub const LEDGER_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Days that the ledger goes back; what is older is swept away.
pub const LEDGER_DAYS: i64 = 400;
/// What stands in the place of a payer who was deleted.
pub const FORGOTTEN_PAYER: &str = "-";

/// What calls of one model have cost somebody. Rows of the same day, payer, tier, provider and model are added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// Who pays: the tenant; for the API the key's user, whatever chats it names.
    pub payer: String,
    /// What the payer had been granted.
    pub tier: AccessTier,
    /// Whose model.
    pub provider: ProviderId,
    /// Which model.
    pub model: ModelId,
    /// The sums.
    pub sums: SpentSums,
}

/// Sums of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpentSums {
    /// Calls that cost something, failed ones too.
    pub calls: u64,
    /// Those of them whose tokens we counted ourselves.
    pub estimated_calls: u64,
    /// Tokens of requests.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// In millionths of the operator's currency.
    pub cost_micros: u64,
}

/// By what the ledger is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpentBy {
    /// By payer.
    Tenant,
    /// By tier.
    Tier,
    /// By `provider/model`.
    Model,
    /// By day.
    Day,
}

/// What is asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentQuery {
    /// By what to add up.
    pub by: SpentBy,
    /// The first day that counts, as [`day_of`] gives it.
    pub since_day: i64,
    /// Only this payer.
    pub payer: Option<String>,
    /// Rows at most, the most tokens first.
    pub limit: usize,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpentRow {
    /// The payer, tier, `provider/model` or day (days since 1970-01-01).
    pub key: String,
    /// The sums.
    #[serde(flatten)]
    pub sums: SpentSums,
}

/// The ledger's day of a time.
pub fn day_of(time: Timestamp) -> i64 {
    let day = i64::try_from(LEDGER_DAY.as_millis()).unwrap_or(i64::MAX);
    time.as_millis().div_euclid(day)
}

/// Who pays for a tenant's calls. A caller of the API chooses its chats' names, so these are not told apart: it could
/// fill the ledger otherwise.
pub fn payer_of(tenant: &TenantId) -> String {
    if tenant.platform() == Platform::Api {
        format!("{}:{}", tenant.platform(), tenant.user())
    } else {
        tenant.to_string()
    }
}

/// The ledger's rows of what was tried for a tenant.
pub(crate) fn rows_of(
    attempts: &[Attempt],
    tenant: &TenantId,
    tier: AccessTier,
    now: Timestamp,
) -> Vec<Spent> {
    attempts
        .iter()
        .filter(|attempt| attempt.usage.total() > 0)
        .filter_map(|attempt| {
            let provider = attempt.provider.clone()?;
            Some(row(
                tenant,
                tier,
                now,
                provider,
                attempt.model.clone(),
                attempt.usage,
                attempt.cost,
            ))
        })
        .collect()
}

/// The row of a call nobody has heard the end of, by estimate.
pub(crate) fn row_of_lost_call(
    model: &ModelDefinition,
    usage: TokenUsage,
    tenant: &TenantId,
    tier: AccessTier,
    now: Timestamp,
) -> Spent {
    let cost = model.cost(&usage);
    row(
        tenant,
        tier,
        now,
        model.provider.clone(),
        model.id.clone(),
        usage,
        cost,
    )
}

fn row(
    tenant: &TenantId,
    tier: AccessTier,
    now: Timestamp,
    provider: ProviderId,
    model: ModelId,
    usage: TokenUsage,
    cost: Cost,
) -> Spent {
    Spent {
        day: day_of(now),
        payer: payer_of(tenant),
        tier,
        provider,
        model,
        sums: SpentSums {
            calls: 1,
            estimated_calls: u64::from(usage.estimated),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_micros: cost.as_micros(),
        },
    }
}

// === impl SpentSums ===

impl SpentSums {
    /// Adds another, each sum at most what the type holds.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.estimated_calls = self.estimated_calls.saturating_add(other.estimated_calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }

    /// Tokens of requests and answers.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

// === impl Spent ===

impl Spent {
    /// Whether both belong into one row.
    pub fn is_same_row(&self, other: &Self) -> bool {
        self.day == other.day
            && self.payer == other.payer
            && self.tier == other.tier
            && self.provider == other.provider
            && self.model == other.model
    }

    /// What it is added up under.
    pub fn key(&self, by: SpentBy) -> String {
        match by {
            SpentBy::Tenant => self.payer.clone(),
            SpentBy::Tier => self.tier.to_string(),
            SpentBy::Model => format!("{}/{}", self.provider, self.model),
            SpentBy::Day => self.day.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_also_before_the_epoch() {
        let day = 86_400_000;
        assert_eq!(day_of(Timestamp::from_millis(0)), 0);
        assert_eq!(day_of(Timestamp::from_millis(day - 1)), 0);
        assert_eq!(day_of(Timestamp::from_millis(day)), 1);
        assert_eq!(day_of(Timestamp::from_millis(-1)), -1);
    }

    #[test]
    fn a_caller_of_the_api_is_one_payer_whatever_chat_it_names() {
        let payer = |text: &str| payer_of(&text.parse().unwrap());
        assert_eq!(payer("api:alice:one"), payer("api:alice:two"));
        assert_eq!(payer("telegram:7:8"), "telegram:7:8");
    }
}
