//! How urgent a request is. Four levels, strictly ordered; the scheduler's starvation bound is what keeps the lower
//! ones alive.

use openclaw_core::AccessTier;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How urgent a request is: `critical` before `high` before `normal` before `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before ordinary work.
    High,
    /// Ordinary work.
    Normal,
    /// When nothing else waits, or when it has waited too long.
    Low,
}

// === impl Priority ===

impl Priority {
    /// All priorities, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The name used in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The default priority of a tier: admin `critical`, premium `high`, standard `normal`, free `low`.
    pub const fn for_tier(tier: AccessTier) -> Self {
        match tier {
            AccessTier::Admin => Self::Critical,
            AccessTier::Premium => Self::High,
            AccessTier::Standard => Self::Normal,
            AccessTier::Free => Self::Low,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_has_its_priority() {
        let mapped = AccessTier::ALL.map(|tier| Priority::for_tier(tier).as_str());
        assert_eq!(mapped, ["low", "normal", "high", "critical"]);
    }
}
