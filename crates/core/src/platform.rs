//! The platforms people write from.

use crate::id::IdError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a message came from and where its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Telegram Bot API.
    Telegram,
    /// MAX Bot API.
    Max,
    /// The chat page and its widget.
    Web,
    /// The HTTP APIs: OpenAI-compatible and native.
    Api,
}

impl Platform {
    /// All platforms, in the order they are listed to people.
    pub const ALL: [Self; 4] = [Self::Telegram, Self::Max, Self::Web, Self::Api];

    /// The name used in tenant identifiers, configuration, metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Max => "max",
            Self::Web => "web",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == text)
            .ok_or_else(|| IdError::UnknownPlatform {
                value: text.chars().take(32).collect(),
            })
    }
}
