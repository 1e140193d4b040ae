//! What Telegram's refusals mean. Descriptions are matched loosely: their words change.

use openclaw_core::ChatId;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind};
use std::time::Duration;

/// The longest description that is kept.
const MAX_DESCRIPTION: usize = 200;
/// The pause when Telegram asks for one without saying how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest pause that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// A call that did not return its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The message reads so already.
    NotModified,
    /// The formatting was refused.
    BadEntities,
    /// What was to be deleted is gone already.
    AlreadyGone,
    /// The method does not exist, or the token is wrong: the same answer for both.
    NotFound,
    /// Anything else.
    Failed(DeliveryError),
}

/// An answer that was not `ok`.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Whether it came in Telegram's own form, not as some page of something in between.
    pub(crate) from_api: bool,
    pub(crate) description: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) migrate_to: Option<i64>,
}

// === impl CallError ===

impl CallError {
    /// The error of a call for which the special cases mean nothing.
    pub(crate) fn into_delivery(self) -> DeliveryError {
        match self {
            Self::Failed(error) => error,
            Self::NotFound => DeliveryError::refused(DeliveryErrorKind::BadToken),
            Self::BadEntities => DeliveryError::refused(DeliveryErrorKind::FormatRefused),
            Self::NotModified | Self::AlreadyGone => DeliveryError::refused(DeliveryErrorKind::NothingToEdit),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn classify(self) -> CallError {
        let text = self.description.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if let Some(to) = self.migrate_to.and_then(|id| ChatId::parse(id.to_string()).ok()) {
            return refused(DeliveryErrorKind::Migrated { to });
        }
        match self.status {
            429 => refused(DeliveryErrorKind::RateLimited {
                retry_after: self
                    .retry_after
                    .unwrap_or(DEFAULT_RETRY_AFTER)
                    .min(MAX_RETRY_AFTER),
                whole_bot: false,
            }),
            401 => refused(DeliveryErrorKind::BadToken),
            403 => refused(DeliveryErrorKind::Blocked),
            404 if self.from_api => CallError::NotFound,
            409 => refused(DeliveryErrorKind::Conflict),
            413 => refused(DeliveryErrorKind::TooLong),
            500.. if self.from_api => refused(DeliveryErrorKind::Server { status: self.status }),
            // A page of a proxy: the request may have passed it.
            500.. => failed(DeliveryError::ambiguous(DeliveryErrorKind::Server {
                status: self.status,
            })),
            _ if has(&["message is not modified"]) => CallError::NotModified,
            _ if has(&["can't parse entities", "entity", "entities"]) => CallError::BadEntities,
            _ if has(&["message to delete not found"]) => CallError::AlreadyGone,
            _ if has(&["is too long", "message_too_long"]) => refused(DeliveryErrorKind::TooLong),
            _ if has(&["text is empty", "must be non-empty", "message_empty"]) => {
                refused(DeliveryErrorKind::Empty)
            }
            _ if has(&[
                "message to edit not found",
                "message can't be edited",
                "message can't be deleted",
                "message_id_invalid",
                "message identifier is not specified",
            ]) =>
            {
                refused(DeliveryErrorKind::NothingToEdit)
            }
            _ if has(&[
                "chat_write_forbidden",
                "have no rights",
                "not enough rights",
                "user_is_blocked",
            ]) =>
            {
                refused(DeliveryErrorKind::Blocked)
            }
            _ if has(&[
                "message thread not found",
                "topic_closed",
                "topic_deleted",
                "chat not found",
                "group chat was upgraded",
                "group chat was deactivated",
                "peer_id_invalid",
                "channel_private",
            ]) =>
            {
                refused(DeliveryErrorKind::ChatGone)
            }
            code => refused(DeliveryErrorKind::Rejected {
                code,
                description: self.description.chars().take(MAX_DESCRIPTION).collect(),
            }),
        }
    }
}

fn refused(kind: DeliveryErrorKind) -> CallError {
    failed(DeliveryError::refused(kind))
}

fn failed(error: DeliveryError) -> CallError {
    CallError::Failed(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, description: &str, expected: &CallError) {
        let refusal = Refusal {
            status,
            from_api: true,
            description: description.to_owned(),
            ..Refusal::default()
        };
        assert_eq!(refusal.classify(), *expected, "{status} {description}");
    }

    #[test]
    fn telegrams_words_and_what_they_mean() {
        let refused = |kind| CallError::Failed(DeliveryError::refused(kind));
        let blocked = refused(DeliveryErrorKind::Blocked);
        let gone = refused(DeliveryErrorKind::ChatGone);
        let nothing = refused(DeliveryErrorKind::NothingToEdit);
        check(
            400,
            "Bad Request: message is not modified: specified new message content …",
            &CallError::NotModified,
        );
        check(
            400,
            "Bad Request: can't parse entities: Unsupported start tag at byte offset 3",
            &CallError::BadEntities,
        );
        check(
            400,
            "Bad Request: message is too long",
            &refused(DeliveryErrorKind::TooLong),
        );
        check(
            400,
            "Bad Request: MESSAGE_TOO_LONG",
            &refused(DeliveryErrorKind::TooLong),
        );
        check(
            400,
            "Bad Request: message text is empty",
            &refused(DeliveryErrorKind::Empty),
        );
        check(
            400,
            "Bad Request: text must be non-empty",
            &refused(DeliveryErrorKind::Empty),
        );
        check(400, "Bad Request: message to edit not found", &nothing);
        check(400, "Bad Request: message can't be edited", &nothing);
        check(
            400,
            "Bad Request: message to delete not found",
            &CallError::AlreadyGone,
        );
        check(400, "Bad Request: message thread not found", &gone);
        check(400, "Bad Request: TOPIC_CLOSED", &gone);
        check(400, "Bad Request: chat not found", &gone);
        check(400, "Bad Request: CHAT_WRITE_FORBIDDEN", &blocked);
        check(401, "Unauthorized", &refused(DeliveryErrorKind::BadToken));
        check(403, "Forbidden: bot was blocked by the user", &blocked);
        check(403, "Forbidden: user is deactivated", &blocked);
        check(404, "Not Found: method not found", &CallError::NotFound);
        check(
            409,
            "Conflict: terminated by other getUpdates request",
            &refused(DeliveryErrorKind::Conflict),
        );
        check(
            500,
            "Internal Server Error",
            &refused(DeliveryErrorKind::Server { status: 500 }),
        );
        let other = DeliveryErrorKind::Rejected {
            code: 400,
            description: "Bad Request: something new".to_owned(),
        };
        check(400, "Bad Request: something new", &refused(other));
    }

    #[test]
    fn parameters_outrank_words() {
        let refusal = Refusal {
            status: 429,
            from_api: true,
            description: "Too Many Requests: can't parse entities".to_owned(),
            retry_after: Some(Duration::from_secs(35)),
            migrate_to: None,
        };
        let limited = DeliveryErrorKind::RateLimited {
            retry_after: Duration::from_secs(35),
            whole_bot: false,
        };
        assert_eq!(
            refusal.classify(),
            CallError::Failed(DeliveryError::refused(limited))
        );
        let moved = Refusal {
            status: 400,
            from_api: true,
            migrate_to: Some(-100_500),
            ..Refusal::default()
        };
        let to = ChatId::parse("-100500").unwrap();
        assert_eq!(
            moved.classify(),
            CallError::Failed(DeliveryError::refused(DeliveryErrorKind::Migrated { to }))
        );
    }

    #[test]
    fn a_page_of_a_proxy_leaves_the_outcome_open() {
        let refusal = Refusal {
            status: 502,
            ..Refusal::default()
        };
        let expected = DeliveryError::ambiguous(DeliveryErrorKind::Server { status: 502 });
        assert_eq!(refusal.classify(), CallError::Failed(expected));
    }
}
