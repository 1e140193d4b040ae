//! How the adapter is set up.

use openclaw_bot_http::GroupMode;
use openclaw_core::{BotId, Secret};
use openclaw_messenger::RateLimit;
use std::time::Duration;

/// The most UTF-16 code units of one message.
pub const MAX_MESSAGE_UTF16: usize = 4_096;

/// The adapter's settings. A plain struct: start from [`TelegramConfig::new`].
#[derive(Clone, Debug)]
pub struct TelegramConfig {
    /// The bot's token.
    pub token: Secret,
    /// Where the Bot API is, without a slash at the end: Telegram's, or a self-hosted server.
    pub base_url: String,
    /// What our inbox calls this bot.
    pub bot: BotId,
    /// What is answered in groups.
    pub groups: GroupMode,
    /// How long one call may take, long polling aside.
    pub call_timeout: Duration,
    /// The most UTF-16 code units of one message; more than 4 096 is taken as 4 096.
    pub max_length: usize,
    /// Whether drafts are used where the API has them.
    pub drafts: bool,
    /// Our pace in a chat with one person: Telegram allows about one message a second with short bursts. The burst
    /// lets the first words come quickly.
    pub private_limit: RateLimit,
    /// Our pace in a group: at most 20 messages in any minute, edits included.
    pub group_limit: RateLimit,
    /// Our pace of drafts in one chat.
    pub draft_limit: RateLimit,
}

// === impl TelegramConfig ===

impl TelegramConfig {
    /// The defaults, for a token.
    pub fn new(token: Secret) -> Self {
        Self {
            token,
            base_url: "https://api.telegram.org".to_owned(),
            bot: BotId::default(),
            groups: GroupMode::default(),
            call_timeout: Duration::from_secs(20),
            max_length: MAX_MESSAGE_UTF16,
            drafts: true,
            private_limit: RateLimit::every(Duration::from_secs(1), 4),
            // Four at once and sixteen more within the minute.
            group_limit: RateLimit::every(Duration::from_millis(3_750), 4),
            draft_limit: RateLimit::every(Duration::from_millis(500), 3),
        }
    }
}
