//! Access tiers, what they are worth and the sandbox each is mapped to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a tenant has been granted: `free < standard < premium < admin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTier {
    /// Everyone starts here.
    #[default]
    Free,
    /// A known user.
    Standard,
    /// A paying user.
    Premium,
    /// An operator.
    Admin,
}

/// How far tools of a tenant may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxTier {
    /// Reading only, inside the tenant's workspace.
    Restricted,
    /// Reading and writing inside the tenant's workspace.
    Standard,
    /// All tools of the policy.
    Full,
}

/// A tier's name was not one of `free`, `standard`, `premium`, `admin`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown tier `{value}`; expected free, standard, premium or admin")]
pub struct UnknownTier {
    /// What was given, cut to 32 characters.
    pub value: String,
}

// === impl AccessTier ===

impl AccessTier {
    /// All tiers, lowest first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Standard, Self::Premium, Self::Admin];

    /// The name used in configuration, commands and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Premium => "premium",
            Self::Admin => "admin",
        }
    }

    /// Whether this tier grants at least what `required` grants.
    pub fn is_at_least(self, required: Self) -> bool {
        self >= required
    }

    /// The sandbox the tier is mapped to.
    pub const fn sandbox(self) -> SandboxTier {
        match self {
            Self::Free => SandboxTier::Restricted,
            Self::Standard => SandboxTier::Standard,
            Self::Premium | Self::Admin => SandboxTier::Full,
        }
    }
}

impl fmt::Display for AccessTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccessTier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| UnknownTier {
                value: text.chars().take(32).collect(),
            })
    }
}

// === impl SandboxTier ===

impl SandboxTier {
    /// The name used in configuration and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }
}

/// Whether `current` grants at least what `required` grants.
pub fn is_tier_at_least(current: AccessTier, required: AccessTier) -> bool {
    current.is_at_least(required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_ordered_and_at_least_is_inclusive() {
        for (index, current) in AccessTier::ALL.into_iter().enumerate() {
            for (other, required) in AccessTier::ALL.into_iter().enumerate() {
                assert_eq!(
                    is_tier_at_least(current, required),
                    index >= other,
                    "{current} at least {required}"
                );
            }
        }
    }

    #[test]
    fn the_manuals_sandbox_mapping() {
        let mapped = AccessTier::ALL.map(|tier| tier.sandbox().as_str());
        assert_eq!(mapped, ["restricted", "standard", "full", "full"]);
    }

    #[test]
    fn names_parse_back_and_others_are_refused() {
        for tier in AccessTier::ALL {
            assert_eq!(tier.as_str().parse(), Ok(tier));
        }
        assert_eq!(
            "Premium".parse::<AccessTier>(),
            Err(UnknownTier {
                value: "Premium".into()
            })
        );
    }
}
