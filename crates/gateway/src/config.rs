//! What the gateway may be told.

use openclaw_core::{AccessTier, ValidationError, Violation};
use serde::Deserialize;
use std::time::Duration;

/// The gateway's settings, validated.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// How long an accepted message may wait for a place in the pool before it is refused with words.
    pub admission_deadline: Duration,
    /// Entries older than this at the start are closed with an apology, not answered as if nothing had happened.
    pub replay_max_age: Duration,
    /// How many entries without an end the inbox may hold; beyond it new messages are not accepted.
    pub max_open_entries: usize,
    /// Turns of one entry that may crash before it is set aside.
    pub max_attempts: u32,
    /// Output tokens a chat asks the model for.
    pub max_reply_tokens: u64,
    /// What the model is told before the conversation; empty for nothing.
    pub system_prompt: String,
    /// Whether texts of conversations are stored. When not, a conversation is remembered in memory only.
    pub store_texts: bool,
    /// Newest messages of the conversation told to the model, at most this many tokens of them.
    pub max_history_tokens: u64,
    /// The life of a session since the last activity.
    pub session_ttl: Duration,
    /// The tier of a tenant at first contact.
    pub default_tier: AccessTier,
    /// One request, from start to end, however many models are tried.
    pub turn_timeout: Duration,
    /// A suspended tenant is told so at most once in this time.
    pub suspension_notice_interval: Duration,
    /// Usage of stateless calls is stored at least this often.
    pub usage_flush_interval: Duration,
}

/// The gateway's settings as the configuration file spells them; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawGatewayConfig {
    /// `admissionDeadlineMs`, default 120 000.
    pub admission_deadline_ms: Option<u64>,
    /// `replayMaxAgeMs`, default 3 600 000.
    pub replay_max_age_ms: Option<u64>,
    /// `maxOpen`, default 100 000.
    pub max_open: Option<usize>,
    /// `maxAttempts`, default 3.
    pub max_attempts: Option<u32>,
}

// === impl GatewayConfig ===

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            admission_deadline: Duration::from_secs(120),
            replay_max_age: Duration::from_secs(3_600),
            max_open_entries: 100_000,
            max_attempts: 3,
            max_reply_tokens: 2_048,
            system_prompt: String::new(),
            store_texts: true,
            max_history_tokens: 100_000,
            session_ttl: Duration::from_secs(3_600),
            default_tier: AccessTier::Free,
            turn_timeout: Duration::from_secs(120),
            suspension_notice_interval: Duration::from_secs(3_600),
            usage_flush_interval: Duration::from_millis(250),
        }
    }
}

impl GatewayConfig {
    /// Takes what the file says over the defaults.
    pub fn with_raw(mut self, raw: &RawGatewayConfig) -> Result<Self, ValidationError> {
        let mut violations = Vec::new();
        if let Some(value) = raw.admission_deadline_ms {
            self.admission_deadline = Duration::from_millis(value);
        }
        if let Some(value) = raw.replay_max_age_ms {
            self.replay_max_age = Duration::from_millis(value);
        }
        if let Some(value) = raw.max_open {
            if value == 0 {
                violations.push(Violation::new("inbox.maxOpen", value, "it must be at least 1"));
            }
            self.max_open_entries = value;
        }
        if let Some(value) = raw.max_attempts {
            if value == 0 {
                violations.push(Violation::new("inbox.maxAttempts", value, "it must be at least 1"));
            }
            self.max_attempts = value;
        }
        ValidationError::check(violations).map(|()| self)
    }
}
