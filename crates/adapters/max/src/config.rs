//! How the adapter is set up.

use openclaw_bot_http::GroupMode;
use openclaw_core::{BotId, Secret};
use openclaw_messenger::RateLimit;
use std::time::Duration;

/// The most of one message. The platform does not say what it counts; UTF-16 code units are never fewer than characters.
pub const MAX_MESSAGE_UTF16: usize = 4_000;

/// The adapter's settings. A plain struct: start from [`MaxConfig::new`].
#[derive(Clone, Debug)]
pub struct MaxConfig {
    /// The bot's token.
    pub token: Secret,
    /// Where the API is, without a slash at the end.
    pub base_url: String,
    /// What our inbox calls this bot.
    pub bot: BotId,
    /// What is answered in groups.
    pub groups: GroupMode,
    /// How long one call may take, long polling aside.
    pub call_timeout: Duration,
    /// The most UTF-16 code units of one message; more than 4 000 is taken as 4 000.
    pub max_length: usize,
    /// Our pace in a chat with one person. The platform names no limit of a chat; all chats together share 30 calls a
    /// second of the bot, and people read no faster than this.
    pub private_limit: RateLimit,
    /// Our pace in a group.
    pub group_limit: RateLimit,
}

// === impl MaxConfig ===

impl MaxConfig {
    /// The defaults, for a token.
    pub fn new(token: Secret) -> Self {
        Self {
            token,
            base_url: "https://platform-api2.max.ru".to_owned(),
            bot: BotId::default(),
            groups: GroupMode::default(),
            call_timeout: Duration::from_secs(20),
            max_length: MAX_MESSAGE_UTF16,
            private_limit: RateLimit::every(Duration::from_secs(1), 4),
            group_limit: RateLimit::every(Duration::from_secs(2), 4),
        }
    }
}
