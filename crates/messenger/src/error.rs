//! What can go wrong between us and a platform.

use openclaw_core::{ChatId, CodedError, Language, Monotonic, Platform, TenantId};
use std::borrow::Cow;
use std::time::Duration;

/// Whether a failed call may have reached the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The request was surely not written.
    NotSent,
    /// The platform answered, and refused.
    Refused,
    /// The request was written and its fate is unknown. Sending again may double the message.
    Ambiguous,
}

/// A call to a platform failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct DeliveryError {
    /// Whether it may have worked all the same.
    pub certainty: Certainty,
    /// What went wrong.
    pub kind: DeliveryErrorKind,
}

/// What went wrong with a call to a platform. No variant carries texts, tokens or addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryErrorKind {
    /// We speak too fast.
    #[error("the platform asks to wait {} ms", .retry_after.as_millis())]
    RateLimited {
        /// How long the platform wants us to be silent.
        retry_after: Duration,
        /// In all chats, not only in this one.
        whole_bot: bool,
    },
    /// The platform does not know our token. Nothing works until the operator sets it right.
    #[error("the platform refuses the bot's token")]
    BadToken,
    /// The person blocked the bot, or removed it from the chat.
    #[error("the bot may not write to this chat")]
    Blocked,
    /// The chat or its topic is no more.
    #[error("the chat does not exist or is closed")]
    ChatGone,
    /// The text is longer than the platform takes.
    #[error("the text is too long for one message")]
    TooLong,
    /// Nothing in the text can be shown.
    #[error("the text is empty")]
    Empty,
    /// The message to be changed has vanished or cannot be changed; send a new one.
    #[error("the message to change is gone")]
    NothingToEdit,
    /// The platform refused the formatting, and the plain text too.
    #[error("the platform refuses the formatting")]
    FormatRefused,
    /// The chat has another id now.
    #[error("the chat has moved to {to}")]
    Migrated {
        /// The new id.
        to: ChatId,
    },
    /// The platform has no such thing.
    #[error("the platform does not support {what}")]
    Unsupported {
        /// What.
        what: &'static str,
    },
    /// Another process uses the token, or a webhook is set while polling.
    #[error("another process receives the bot's updates")]
    Conflict,
    /// Refused for a reason we do not know.
    #[error("the platform refuses with code {code}: {description}")]
    Rejected {
        /// The platform's code.
        code: u16,
        /// The platform's words, cut to 200 characters.
        description: String,
    },
    /// The platform failed.
    #[error("the platform failed with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The network failed.
    #[error("the platform cannot be reached: {reason}")]
    Network {
        /// How, without addresses.
        reason: &'static str,
    },
    /// The answer of the platform cannot be read.
    #[error("the platform's answer cannot be read")]
    Unreadable,
}

/// Somebody is not who they must be, or a message would go where it must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// No secret is configured, or none is valid any more: nobody is believed.
    #[error("no webhook secret is configured for {platform}")]
    NoSecret {
        /// Of which platform.
        platform: Platform,
    },
    /// The header with the secret is missing.
    #[error("a webhook request for {platform} has no secret header")]
    MissingSecret {
        /// Of which platform.
        platform: Platform,
    },
    /// The secret is not ours.
    #[error("a webhook request for {platform} has a wrong secret")]
    WrongSecret {
        /// Of which platform.
        platform: Platform,
    },
    /// No adapter takes webhooks of this platform.
    #[error("{platform} has no webhook")]
    NotRegistered {
        /// Of which platform.
        platform: Platform,
    },
    /// The message's chat is not the one its tenant id names.
    #[error("a message of tenant {tenant} was addressed to chat {chat}")]
    ForeignChat {
        /// Whose message.
        tenant: TenantId,
        /// Where it was to go.
        chat: ChatId,
    },
}

/// A body that is authentic but cannot be understood. It is acknowledged all the same: a refusal would make the
/// platform hold back everything else of that chat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not the shape of an update.
    #[error("not an update: {reason}")]
    Malformed {
        /// What is wrong, without content of the body.
        reason: String,
    },
    /// A field we cannot do without is missing or out of its bounds.
    #[error("an update's {field} cannot be used")]
    Field {
        /// Which.
        field: &'static str,
    },
}

/// A bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached; again in {} ms", self.retry_after_ms())]
pub struct RateLimitError {
    /// When the same request would be let through, if nothing else happens. Exact.
    pub retry_after: Duration,
}

/// A message could not be dispatched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// Not now: the budget of the chat or of the bot is spent or kept for more urgent messages. Nothing was sent.
    #[error("the limits of the chat leave no room now")]
    Throttled {
        /// When it is worth trying again.
        retry_at: Monotonic,
        /// The same as a duration, as of the refusal.
        retry_after: Duration,
    },
    /// Too many messages wait for their turn. Nothing was sent.
    #[error("{waiting} messages wait for their turn already")]
    QueueFull {
        /// How many.
        waiting: usize,
    },
    /// No adapter serves the tenant's platform.
    #[error("no adapter for {platform}")]
    NoAdapter {
        /// Of which platform.
        platform: Platform,
    },
    /// The message must not go there.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The platform, or the way to it, failed.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

// === impl DeliveryError ===

impl DeliveryError {
    /// The request was surely not written.
    pub fn not_sent(kind: DeliveryErrorKind) -> Self {
        Self {
            certainty: Certainty::NotSent,
            kind,
        }
    }

    /// The platform refused.
    pub fn refused(kind: DeliveryErrorKind) -> Self {
        Self {
            certainty: Certainty::Refused,
            kind,
        }
    }

    /// Nobody knows.
    pub fn ambiguous(kind: DeliveryErrorKind) -> Self {
        Self {
            certainty: Certainty::Ambiguous,
            kind,
        }
    }

    /// The platform has no such thing; nothing was tried.
    pub fn unsupported(what: &'static str) -> Self {
        Self::not_sent(DeliveryErrorKind::Unsupported { what })
    }

    /// Whether the same call can never succeed.
    pub fn is_permanent(&self) -> bool {
        match &self.kind {
            DeliveryErrorKind::Blocked
            | DeliveryErrorKind::ChatGone
            | DeliveryErrorKind::TooLong
            | DeliveryErrorKind::Empty
            | DeliveryErrorKind::NothingToEdit
            | DeliveryErrorKind::FormatRefused
            | DeliveryErrorKind::Migrated { .. }
            | DeliveryErrorKind::Unsupported { .. }
            | DeliveryErrorKind::Rejected { .. } => true,
            // The operator can set the token right; what waits until then is still worth sending.
            DeliveryErrorKind::BadToken
            | DeliveryErrorKind::RateLimited { .. }
            | DeliveryErrorKind::Conflict
            | DeliveryErrorKind::Server { .. }
            | DeliveryErrorKind::Network { .. }
            | DeliveryErrorKind::Unreadable => false,
        }
    }

    /// Whether the message may stand in the chat although the call failed.
    pub fn is_ambiguous(&self) -> bool {
        self.certainty == Certainty::Ambiguous
    }

    /// Whether trying again later may succeed and surely doubles nothing. An ambiguous failure is neither permanent
    /// nor free to retry: the caller decides how often it risks a double.
    pub fn may_retry(&self) -> bool {
        !self.is_permanent() && !self.is_ambiguous()
    }
}

impl CodedError for DeliveryError {
    fn code(&self) -> &'static str {
        match &self.kind {
            DeliveryErrorKind::RateLimited { .. } => "DELIVERY_RATE_LIMITED",
            DeliveryErrorKind::BadToken => "DELIVERY_BAD_TOKEN",
            DeliveryErrorKind::Blocked => "DELIVERY_BLOCKED",
            DeliveryErrorKind::ChatGone => "DELIVERY_CHAT_GONE",
            DeliveryErrorKind::TooLong => "DELIVERY_TOO_LONG",
            DeliveryErrorKind::Empty => "DELIVERY_EMPTY",
            DeliveryErrorKind::NothingToEdit => "DELIVERY_NOTHING_TO_EDIT",
            DeliveryErrorKind::FormatRefused => "DELIVERY_FORMAT_REFUSED",
            DeliveryErrorKind::Migrated { .. } => "DELIVERY_CHAT_MIGRATED",
            DeliveryErrorKind::Unsupported { .. } => "DELIVERY_UNSUPPORTED",
            DeliveryErrorKind::Conflict => "DELIVERY_CONFLICT",
            DeliveryErrorKind::Rejected { .. } => "DELIVERY_REJECTED",
            DeliveryErrorKind::Server { .. } => "DELIVERY_SERVER",
            DeliveryErrorKind::Network { .. } => "DELIVERY_NETWORK",
            DeliveryErrorKind::Unreadable => "DELIVERY_UNREADABLE",
        }
    }

    fn recoverable(&self) -> bool {
        !self.is_permanent()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            DeliveryErrorKind::RateLimited { retry_after, .. } => Some(retry_after),
            _ => None,
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match (self.is_permanent(), language) {
            (true, Language::En) => "The message could not be delivered.",
            (true, Language::Ru) => "Сообщение не удалось доставить.",
            (false, Language::En) => "The messenger is not available right now. The answer will come later.",
            (false, Language::Ru) => "Мессенджер сейчас недоступен. Ответ придёт позже.",
        })
    }
}

// === impl SecurityError ===

impl SecurityError {
    /// Why, in one stable word, for events and counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoSecret { .. } => "no_secret_configured",
            Self::MissingSecret { .. } => "missing_secret",
            Self::WrongSecret { .. } => "wrong_secret",
            Self::NotRegistered { .. } => "not_registered",
            Self::ForeignChat { .. } => "foreign_chat",
        }
    }
}

impl CodedError for SecurityError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSecret { .. } => "WEBHOOK_NO_SECRET",
            Self::MissingSecret { .. } => "WEBHOOK_MISSING_SECRET",
            Self::WrongSecret { .. } => "WEBHOOK_WRONG_SECRET",
            Self::NotRegistered { .. } => "WEBHOOK_NOT_REGISTERED",
            Self::ForeignChat { .. } => "FOREIGN_CHAT",
        }
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "Access denied.",
            Language::Ru => "Доступ запрещён.",
        })
    }
}

// === impl ParseError ===

impl CodedError for ParseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "UPDATE_MALFORMED",
            Self::Field { .. } => "UPDATE_FIELD",
        }
    }

    fn recoverable(&self) -> bool {
        false
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match language {
            Language::En => "The message could not be read.",
            Language::Ru => "Сообщение не удалось прочитать.",
        })
    }
}

// === impl RateLimitError ===

impl RateLimitError {
    /// The wait in milliseconds, rounded up so that waiting it is always enough.
    pub fn retry_after_ms(&self) -> u64 {
        u64::try_from(self.retry_after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl CodedError for RateLimitError {
    fn code(&self) -> &'static str {
        "RATE_LIMIT"
    }

    fn recoverable(&self) -> bool {
        true
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        let seconds = self.retry_after_ms().div_ceil(1_000).max(1);
        Cow::Owned(match language {
            Language::En => format!("Too many requests. Please try again in {seconds} s."),
            Language::Ru => format!("Слишком много запросов. Повторите через {seconds} с."),
        })
    }
}

// === impl DispatchError ===

impl DispatchError {
    /// The platform's error, if it is one.
    pub fn delivery(&self) -> Option<&DeliveryError> {
        match self {
            Self::Delivery(error) => Some(error),
            Self::Throttled { .. } | Self::QueueFull { .. } | Self::NoAdapter { .. } | Self::Security(_) => {
                None
            }
        }
    }

    /// Whether the same call can never succeed.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::QueueFull { .. } => false,
            Self::NoAdapter { .. } | Self::Security(_) => true,
            Self::Delivery(error) => error.is_permanent(),
        }
    }
}

impl CodedError for DispatchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "DISPATCH_THROTTLED",
            Self::QueueFull { .. } => "DISPATCH_QUEUE_FULL",
            Self::NoAdapter { .. } => "DISPATCH_NO_ADAPTER",
            Self::Security(error) => error.code(),
            Self::Delivery(error) => error.code(),
        }
    }

    fn recoverable(&self) -> bool {
        !self.is_permanent()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => Some(*retry_after),
            Self::Delivery(error) => error.retry_after(),
            Self::QueueFull { .. } | Self::NoAdapter { .. } | Self::Security(_) => None,
        }
    }

    fn user_message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Security(error) => error.user_message(language),
            Self::Delivery(error) => error.user_message(language),
            Self::Throttled { .. } | Self::QueueFull { .. } => Cow::Borrowed(match language {
                Language::En => "Too many messages at once. The answer will come a little later.",
                Language::Ru => "Слишком много сообщений сразу. Ответ придёт чуть позже.",
            }),
            Self::NoAdapter { .. } => Cow::Borrowed(match language {
                Language::En => "This messenger is not connected.",
                Language::Ru => "Этот мессенджер не подключён.",
            }),
        }
    }
}
