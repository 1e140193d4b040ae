//! What the gateway may be told.

use openclaw_core::{AccessTier, Language};
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
    /// Whether a conversation is over with its session: what was said before is not told to a model again.
    pub forget_with_session: bool,
    /// Time between two clean-ups.
    pub cleanup_interval: Duration,
    /// The tier of a tenant at first contact.
    pub default_tier: AccessTier,
    /// The language people are answered in whose platform tells none and whose text shows none.
    pub default_language: Language,
    /// How long what was said is kept.
    pub history_retention: Duration,
    /// A suspended tenant is told so at most once in this time.
    pub suspension_notice_interval: Duration,
    /// Usage of stateless calls is stored at least this often.
    pub usage_flush_interval: Duration,
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
            forget_with_session: false,
            cleanup_interval: Duration::from_secs(60),
            default_tier: AccessTier::Free,
            default_language: Language::default(),
            history_retention: Duration::from_secs(30 * 24 * 3_600),
            suspension_notice_interval: Duration::from_secs(3_600),
            usage_flush_interval: Duration::from_millis(250),
        }
    }
}
