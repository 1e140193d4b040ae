//! What the platform's refusals mean. Codes and words are documented for a few cases only, so the status decides, and
//! words are matched loosely.

use crate::api::CallError;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind};
use std::time::Duration;

/// The longest words that are kept.
const MAX_WORDS: usize = 200;
/// The pause after a 429 that names none. The platform documents no `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest pause that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// What was asked for when the platform refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Something of a chat: a message, typing.
    Chat,
    /// To change or take away a message.
    Message,
    /// Something of the bot itself: who it is, its updates.
    Bot,
}

/// An answer that was no success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Whether it came in the platform's own form, not as some page of something in between.
    pub(crate) from_api: bool,
    /// Code and message.
    pub(crate) words: String,
    pub(crate) retry_after: Option<Duration>,
}

// === impl CallError ===

impl CallError {
    pub(crate) fn into_delivery(self, asked: Asked) -> DeliveryError {
        match self {
            Self::Refused(refusal) => refusal.classify(asked),
            Self::Failed(error) => error,
        }
    }

    /// Whether the same message may be taken in a plainer form: it was surely refused, and for nothing else that is
    /// known.
    pub(crate) fn is_about_the_form(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.status {
                400 | 422 => matches!(
                    refusal.clone().classify(Asked::Chat).kind,
                    DeliveryErrorKind::Rejected { .. } | DeliveryErrorKind::NothingToEdit
                ),
                // The message that is answered may be what was not found.
                404 => refusal.from_api,
                _ => false,
            },
            Self::Failed(_) => false,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn classify(self, asked: Asked) -> DeliveryError {
        let words = self.words.to_lowercase();
        let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
        let not_found = has(&["not.found", "not found", "notfound"]);
        let kind = match self.status {
            // The limit is the bot's, not a chat's.
            429 => DeliveryErrorKind::RateLimited {
                retry_after: self
                    .retry_after
                    .unwrap_or(DEFAULT_RETRY_AFTER)
                    .min(MAX_RETRY_AFTER),
                whole_bot: true,
            },
            401 => DeliveryErrorKind::BadToken,
            403 if self.from_api => DeliveryErrorKind::Blocked,
            404 if self.from_api => match asked {
                Asked::Chat => DeliveryErrorKind::ChatGone,
                Asked::Message => DeliveryErrorKind::NothingToEdit,
                Asked::Bot => self.rejected(),
            },
            413 => DeliveryErrorKind::TooLong,
            500.. => {
                let kind = DeliveryErrorKind::Server { status: self.status };
                return match self.from_api {
                    true => DeliveryError::refused(kind),
                    // A page of a proxy: the request may have passed it.
                    false => DeliveryError::ambiguous(kind),
                };
            }
            _ if has(&["dialog.suspended", "chat.denied", "access.denied"]) => DeliveryErrorKind::Blocked,
            _ if has(&["too long", "too.long", "length", "4000"]) => DeliveryErrorKind::TooLong,
            _ if has(&["empty"]) => DeliveryErrorKind::Empty,
            _ if not_found && has(&["chat"]) => DeliveryErrorKind::ChatGone,
            _ if not_found && has(&["message"]) => DeliveryErrorKind::NothingToEdit,
            _ => self.rejected(),
        };
        DeliveryError::refused(kind)
    }

    fn rejected(&self) -> DeliveryErrorKind {
        DeliveryErrorKind::Rejected {
            code: self.status,
            description: match self.from_api {
                true => self.words.chars().take(MAX_WORDS).collect(),
                false => "not an answer of MAX".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, words: &str) -> Refusal {
        Refusal {
            status,
            from_api: true,
            words: words.to_owned(),
            retry_after: None,
        }
    }

    #[track_caller]
    fn check(status: u16, words: &str, asked: Asked, expected: DeliveryErrorKind) {
        let error = refusal(status, words).classify(asked);
        assert_eq!(error, DeliveryError::refused(expected), "{status} {words}");
    }

    #[test]
    fn statuses_and_words_and_what_they_mean() {
        let limited = DeliveryErrorKind::RateLimited {
            retry_after: DEFAULT_RETRY_AFTER,
            whole_bot: true,
        };
        check(429, "too.many.requests", Asked::Chat, limited);
        check(
            401,
            "verify.token: Invalid access_token",
            Asked::Bot,
            DeliveryErrorKind::BadToken,
        );
        let blocked = DeliveryErrorKind::Blocked;
        check(
            403,
            "chat.denied: error.dialog.suspended",
            Asked::Chat,
            blocked.clone(),
        );
        check(400, "chat.denied: error.dialog.suspended", Asked::Chat, blocked);
        check(404, "not.found", Asked::Chat, DeliveryErrorKind::ChatGone);
        check(404, "not.found", Asked::Message, DeliveryErrorKind::NothingToEdit);
        check(
            400,
            "chat.not.found: Chat 1 not found",
            Asked::Chat,
            DeliveryErrorKind::ChatGone,
        );
        check(
            400,
            "proto.payload: text: size must be between 0 and 4000",
            Asked::Chat,
            DeliveryErrorKind::TooLong,
        );
        check(
            503,
            "service.unavailable",
            Asked::Chat,
            DeliveryErrorKind::Server { status: 503 },
        );
        let new = DeliveryErrorKind::Rejected {
            code: 400,
            description: "proto.payload: something new".to_owned(),
        };
        check(400, "proto.payload: something new", Asked::Chat, new);
    }

    #[test]
    fn a_page_of_a_proxy_leaves_the_outcome_open_and_blames_nobody() {
        let page = |status| Refusal {
            status,
            ..Refusal::default()
        };
        let expected = DeliveryError::ambiguous(DeliveryErrorKind::Server { status: 502 });
        assert_eq!(page(502).classify(Asked::Chat), expected);
        for status in [403, 404] {
            let kind = page(status).classify(Asked::Chat).kind;
            assert!(matches!(kind, DeliveryErrorKind::Rejected { .. }), "{kind:?}");
        }
    }

    #[test]
    fn only_what_surely_was_refused_for_an_unknown_reason_is_tried_in_a_plainer_form() {
        let about = |status, words| CallError::Refused(refusal(status, words)).is_about_the_form();
        assert!(about(400, "proto.payload: cannot parse markdown"));
        assert!(about(404, "not.found"));
        for (status, words) in [
            (400, "text too long"),
            (400, "dialog.suspended"),
            (401, ""),
            (403, ""),
            (429, ""),
            (500, ""),
        ] {
            assert!(!about(status, words), "{status} {words}");
        }
    }

    #[test]
    fn a_pause_is_as_long_as_the_platform_says() {
        let asked = Refusal {
            retry_after: Some(Duration::from_secs(7)),
            ..refusal(429, "")
        };
        let expected = DeliveryErrorKind::RateLimited {
            retry_after: Duration::from_secs(7),
            whole_bot: true,
        };
        assert_eq!(asked.classify(Asked::Chat).kind, expected);
    }
}
