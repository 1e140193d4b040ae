//! When gathered text is flushed, how long a message may be, and how often typing is shown.
//!
//! [`StreamingOptions`] is what a configuration file says, [`StreamConfig`] what the program uses. A value is looked
//! for in the platform's own table, then among the platform's built-in deviations, then in the general values, then
//! among the defaults: a general `maxMessageLength` does not limit the web page, `web.maxMessageLength` does.

use openclaw_core::{Platform, ValidationError, Violation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Settings of the stream pipeline for one platform, valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// So many estimated tokens are flushed at once. At least 1.
    pub flush_token_threshold: u64,
    /// No text is held back longer.
    pub flush_timeout: Duration,
    /// The longest message, in the platform's unit; `None` is unlimited. The smaller of this and the platform's own
    /// limit counts.
    pub max_message_length: Option<usize>,
    /// How often typing is shown until the first text; `None` shows none.
    pub typing_indicator_interval: Option<Duration>,
}

/// What a configuration file says about streaming: general values and a table per platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamingOptions {
    /// Tokens; from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_token_threshold: Option<u64>,
    /// Milliseconds; from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_timeout_ms: Option<u64>,
    /// In the platform's unit; 0 is unlimited, else from 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_length: Option<usize>,
    /// Milliseconds; 0 is off, else from 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing_indicator_interval_ms: Option<u64>,
    /// For Telegram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telegram: Option<StreamOptions>,
    /// For MAX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<StreamOptions>,
    /// For the chat page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web: Option<StreamOptions>,
    /// For the native API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<StreamOptions>,
}

/// What a configuration file says about streaming to one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StreamOptions {
    /// Tokens; from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_token_threshold: Option<u64>,
    /// Milliseconds; from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_timeout_ms: Option<u64>,
    /// In the platform's unit; 0 is unlimited, else from 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_length: Option<usize>,
    /// Milliseconds; 0 is off, else from 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing_indicator_interval_ms: Option<u64>,
}

/// The shortest `maxMessageLength` that is accepted, apart from 0.
pub const MIN_MESSAGE_LENGTH: usize = 64;
/// The shortest `typingIndicatorIntervalMs` that is accepted, apart from 0.
pub const MIN_TYPING_INTERVAL_MS: u64 = 500;
/// The longest `flushTimeoutMs` and `typingIndicatorIntervalMs` that are accepted: ten minutes.
pub const MAX_INTERVAL_MS: u64 = 600_000;

// === impl StreamConfig ===

impl StreamConfig {
    /// The built-in settings of a platform.
    pub fn for_platform(platform: Platform) -> Self {
        StreamingOptions::default().merged(platform).build()
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            flush_token_threshold: 50,
            flush_timeout: Duration::from_millis(500),
            max_message_length: Some(4_096),
            typing_indicator_interval: Some(Duration::from_millis(4_000)),
        }
    }
}

// === impl StreamingOptions ===

impl StreamingOptions {
    /// What holds for a platform. All faults that concern it are reported at once, with the names the file has.
    pub fn resolve(&self, platform: Platform) -> Result<StreamConfig, ValidationError> {
        let mut violations = Vec::new();
        self.general().check("streaming", &mut violations);
        if let Some(own) = self.table(platform) {
            own.check(&format!("streaming.{platform}"), &mut violations);
        }
        ValidationError::check(violations)?;
        Ok(self.merged(platform).build())
    }

    fn general(&self) -> StreamOptions {
        StreamOptions {
            flush_token_threshold: self.flush_token_threshold,
            flush_timeout_ms: self.flush_timeout_ms,
            max_message_length: self.max_message_length,
            typing_indicator_interval_ms: self.typing_indicator_interval_ms,
        }
    }

    fn table(&self, platform: Platform) -> Option<StreamOptions> {
        match platform {
            Platform::Telegram => self.telegram,
            Platform::Max => self.max,
            Platform::Web => self.web,
            Platform::Api => self.api,
        }
    }

    fn merged(&self, platform: Platform) -> StreamOptions {
        self.table(platform)
            .unwrap_or_default()
            .or(StreamOptions::built_in(platform))
            .or(self.general())
    }
}

// === impl StreamOptions ===

impl StreamOptions {
    /// Where a platform differs from the defaults.
    fn built_in(platform: Platform) -> Self {
        match platform {
            Platform::Telegram | Platform::Max => Self::default(),
            Platform::Web => Self {
                flush_token_threshold: Some(20),
                flush_timeout_ms: Some(200),
                max_message_length: Some(0),
                ..Self::default()
            },
            Platform::Api => Self {
                max_message_length: Some(0),
                typing_indicator_interval_ms: Some(0),
                ..Self::default()
            },
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            flush_token_threshold: self.flush_token_threshold.or(other.flush_token_threshold),
            flush_timeout_ms: self.flush_timeout_ms.or(other.flush_timeout_ms),
            max_message_length: self.max_message_length.or(other.max_message_length),
            typing_indicator_interval_ms: self
                .typing_indicator_interval_ms
                .or(other.typing_indicator_interval_ms),
        }
    }

    fn check(&self, table: &str, violations: &mut Vec<Violation>) {
        let mut demand = |holds: bool, field: &str, value: String, rule: String| {
            if !holds {
                violations.push(Violation::new(format!("{table}.{field}"), value, rule));
            }
        };
        if let Some(tokens) = self.flush_token_threshold {
            demand(
                tokens >= 1,
                "flushTokenThreshold",
                tokens.to_string(),
                "must be at least 1".to_owned(),
            );
        }
        if let Some(millis) = self.flush_timeout_ms {
            demand(
                (1..=MAX_INTERVAL_MS).contains(&millis),
                "flushTimeoutMs",
                millis.to_string(),
                format!("must be from 1 to {MAX_INTERVAL_MS}"),
            );
        }
        if let Some(length) = self.max_message_length {
            demand(
                length == 0 || length >= MIN_MESSAGE_LENGTH,
                "maxMessageLength",
                length.to_string(),
                format!("must be 0 (unlimited) or at least {MIN_MESSAGE_LENGTH}"),
            );
        }
        if let Some(millis) = self.typing_indicator_interval_ms {
            demand(
                millis == 0 || (MIN_TYPING_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&millis),
                "typingIndicatorIntervalMs",
                millis.to_string(),
                format!("must be 0 (off) or from {MIN_TYPING_INTERVAL_MS} to {MAX_INTERVAL_MS}"),
            );
        }
    }

    fn build(self) -> StreamConfig {
        let defaults = StreamConfig::default();
        StreamConfig {
            flush_token_threshold: self
                .flush_token_threshold
                .unwrap_or(defaults.flush_token_threshold),
            flush_timeout: self
                .flush_timeout_ms
                .map_or(defaults.flush_timeout, Duration::from_millis),
            max_message_length: match self.max_message_length {
                None => defaults.max_message_length,
                Some(0) => None,
                length @ Some(_) => length,
            },
            typing_indicator_interval: match self.typing_indicator_interval_ms {
                None => defaults.typing_indicator_interval,
                Some(0) => None,
                Some(millis) => Some(Duration::from_millis(millis)),
            },
        }
    }
}
