//! What is set aside and what is used.

use crate::ledger::Spent;
use openclaw_ai_fabric::budget::BUDGET_WINDOW;
use openclaw_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a budget has used is kept for this long after its window began. Then the window is long over: forgetting it gives
/// nobody anything back.
pub const USAGE_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const _: () = assert!(USAGE_KEPT.as_secs() > BUDGET_WINDOW.as_secs());

/// An API key that was revoked or has expired is listed for this long after its end.
pub const KEYS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Tokens set aside for a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRecord {
    /// The budget they are taken from.
    pub account: String,
    /// How many.
    pub tokens: u64,
    /// How many of them the request itself is estimated to cost: what a crash is charged.
    pub input_estimate: u64,
    /// The window they are taken from, into which a crash is charged.
    pub window_started_at: Timestamp,
    /// Another budget that they are taken from as well, and its window: that of all free tenants, where there is one.
    pub shared: Option<(String, Timestamp)>,
    /// What the ledger is told of it when the turn does not come to its end: the request, by the estimate.
    pub if_lost: Spent,
}

/// What a budget has used in its window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountUsage {
    /// The budget.
    pub account: String,
    /// When the window began: at the first use in it.
    pub window_started_at: Timestamp,
    /// Tokens settled in the window.
    pub used: u64,
    /// Turns and calls settled in the window.
    pub settled: u64,
}

/// Tokens to be added to a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// The budget.
    pub account: String,
    /// The window they belong to. A window that is newer than the stored one replaces it; one that is older adds
    /// nothing.
    pub window_started_at: Timestamp,
    /// How many.
    pub tokens: u64,
    /// Of how many turns and calls.
    pub settled: u64,
}
