//! How a call can be made to fail.

use std::time::Duration;

/// What happens to a call instead of its success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `retry_after` in seconds.
    RateLimited {
        /// The pause asked for, in seconds.
        retry_after: u64,
    },
    /// An error in Telegram's form.
    Refused {
        /// Its code and HTTP status.
        code: u16,
        /// Its words.
        description: String,
    },
    /// 400 with the new id of the chat.
    Migrated {
        /// The new id.
        to: i64,
    },
    /// An HTML page with this status, as a proxy sends it.
    Page {
        /// The HTTP status.
        status: u16,
    },
    /// 200 with something that is not JSON. The call was carried out.
    Garbage,
    /// No answer, ever. The call was not carried out.
    Hang,
    /// The connection is closed without an answer. The call was not carried out.
    CutBefore,
    /// The connection is closed without an answer. The call was carried out.
    CutAfter,
    /// The call succeeds this much later.
    Slow(Duration),
}

// === impl Fault ===

impl Fault {
    /// 403: the person has blocked the bot.
    pub fn blocked() -> Self {
        Self::Refused {
            code: 403,
            description: "Forbidden: bot was blocked by the user".to_owned(),
        }
    }

    /// 400: the formatting is refused.
    pub fn bad_entities() -> Self {
        Self::Refused {
            code: 400,
            description:
                "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 3"
                    .to_owned(),
        }
    }

    /// 500 in Telegram's form.
    pub fn server_error() -> Self {
        Self::Refused {
            code: 500,
            description: "Internal Server Error".to_owned(),
        }
    }
}
