//! The configuration of sessions: what a file says, and what the program uses.

use openclaw_core::{AccessTier, ValidationError, Violation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What becomes of the earlier conversation when a new session opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryPolicy {
    /// It is told again, within the limit of tokens.
    #[default]
    Keep,
    /// Its summary is told.
    Summarise,
    /// It is not told again.
    Forget,
}

/// `[session]` as a file spells it. What is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawSessionConfig {
    /// Milliseconds from the last activity to the end of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Tokens of earlier conversation told to a model at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_history_tokens: Option<u64>,
    /// `keep`, `summarise` or `forget`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_policy: Option<HistoryPolicy>,
    /// Days after which what was said is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_retention_days: Option<u64>,
    /// Milliseconds between two clean-ups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_interval_ms: Option<u64>,
    /// The tier at first contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_tier: Option<AccessTier>,
}

/// The configuration, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// From the last activity to the end of a session. 60 minutes.
    pub ttl: Duration,
    /// Tokens of earlier conversation told to a model at most. 100 000.
    pub max_history_tokens: u64,
    /// What becomes of the earlier conversation when a new session opens.
    pub history_policy: HistoryPolicy,
    /// How long what was said is remembered. 30 days.
    pub history_retention: Duration,
    /// Between two clean-ups. One minute.
    pub cleanup_interval: Duration,
    /// The tier at first contact. `free`.
    pub default_tier: AccessTier,
}

const DAY: Duration = Duration::from_secs(86_400);
/// Ten years: what is longer is a slip, and far from what a timestamp can hold.
const MAX_DAYS: u64 = 3_650;

// === impl SessionConfig ===

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(60 * 60),
            max_history_tokens: 100_000,
            history_policy: HistoryPolicy::Keep,
            history_retention: 30 * DAY,
            cleanup_interval: Duration::from_secs(60),
            default_tier: AccessTier::Free,
        }
    }
}

impl TryFrom<RawSessionConfig> for SessionConfig {
    type Error = ValidationError;

    /// Names every fault, not only the first.
    fn try_from(raw: RawSessionConfig) -> Result<Self, ValidationError> {
        let default = Self::default();
        let mut violations = Vec::new();
        let max_ms = MAX_DAYS * 86_400_000;
        let mut within = |field: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>| {
            if let Some(value) = value
                && !range.contains(&value)
            {
                let rule = format!("it must be from {} to {}", range.start(), range.end());
                violations.push(Violation::new(format!("session.{field}"), value, rule));
            }
            value
        };
        let ttl = within("ttlMs", raw.ttl_ms, 1_000..=max_ms);
        let tokens = within("maxHistoryTokens", raw.max_history_tokens, 0..=100_000_000);
        let retention = within("historyRetentionDays", raw.history_retention_days, 1..=MAX_DAYS);
        let interval = within("cleanupIntervalMs", raw.cleanup_interval_ms, 1_000..=86_400_000);
        ValidationError::check(violations)?;
        Ok(Self {
            ttl: ttl.map_or(default.ttl, Duration::from_millis),
            max_history_tokens: tokens.unwrap_or(default.max_history_tokens),
            history_policy: raw.history_policy.unwrap_or(default.history_policy),
            history_retention: retention.map_or(default.history_retention, |days| {
                Duration::from_secs(days.saturating_mul(86_400))
            }),
            cleanup_interval: interval.map_or(default.cleanup_interval, Duration::from_millis),
            default_tier: raw.default_tier.unwrap_or(default.default_tier),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_manuals_defaults() {
        let config = SessionConfig::try_from(RawSessionConfig::default()).expect("valid");
        assert_eq!(config, SessionConfig::default());
        assert_eq!(config.ttl.as_millis(), 3_600_000);
        assert_eq!(config.max_history_tokens, 100_000);
    }

    #[test]
    fn what_the_file_says_is_used_as_it_is_spelt() {
        let raw: RawSessionConfig = serde_json::from_value(serde_json::json!({
            "ttlMs": 5_000,
            "maxHistoryTokens": 7,
            "historyPolicy": "forget",
            "historyRetentionDays": 2,
            "cleanupIntervalMs": 1_000,
            "defaultTier": "standard",
        }))
        .expect("read");
        let expected = SessionConfig {
            ttl: Duration::from_secs(5),
            max_history_tokens: 7,
            history_policy: HistoryPolicy::Forget,
            history_retention: Duration::from_secs(2 * 86_400),
            cleanup_interval: Duration::from_secs(1),
            default_tier: AccessTier::Standard,
        };
        assert_eq!(SessionConfig::try_from(raw), Ok(expected));
    }

    #[test]
    fn every_fault_is_named() {
        let raw = RawSessionConfig {
            ttl_ms: Some(0),
            history_retention_days: Some(u64::MAX),
            cleanup_interval_ms: Some(1),
            ..RawSessionConfig::default()
        };
        let error = SessionConfig::try_from(raw).expect_err("three faults");
        let fields: Vec<_> = error
            .violations
            .iter()
            .map(|fault| fault.field.as_str())
            .collect();
        assert_eq!(
            fields,
            [
                "session.ttlMs",
                "session.historyRetentionDays",
                "session.cleanupIntervalMs"
            ]
        );
    }
}
