//! A draft: what a platform shows of a message that is being written, without sending it. It stands for nothing that
//! must be stored: it fades by itself, and the message that is sent at the end takes its place.

use openclaw_core::Monotonic;
use openclaw_streaming::{MessageLimit, split_message};
use std::time::Duration;

/// Drafts follow each other no faster than this; the dispatcher may ask for longer.
const INTERVAL: Duration = Duration::from_millis(500);

/// When the next draft is due and what it says.
#[derive(Debug)]
pub(crate) struct DraftPace {
    /// The platform's name for the draft: the same for one answer, never 0.
    pub(crate) id: i64,
    limit: MessageLimit,
    /// How much of the answer the last draft showed, in bytes.
    shown: usize,
    due_at: Monotonic,
}

impl DraftPace {
    pub(crate) fn new(id: i64, limit: MessageLimit, now: Monotonic) -> Self {
        Self {
            id: id.max(1),
            limit,
            shown: 0,
            due_at: now,
        }
    }

    /// The text of the next draft, if it is time and there is something new: the newest part of an answer that is longer
    /// than a message may be.
    pub(crate) fn next(&mut self, text: &str, now: Monotonic) -> Option<String> {
        if text.len() == self.shown || text.trim().is_empty() || now < self.due_at {
            return None;
        }
        self.shown = text.len();
        self.due_at = now + INTERVAL;
        split_message(text, self.limit).pop().map(Into::into)
    }

    /// When to look again, if there is something new to show then.
    pub(crate) fn wakeup(&self, text: &str) -> Option<Monotonic> {
        (text.len() != self.shown && !text.trim().is_empty()).then_some(self.due_at)
    }

    /// The platform wants no draft before this time; what was to be shown comes then.
    pub(crate) fn throttled(&mut self, until: Monotonic) {
        self.shown = 0;
        self.due_at = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_streaming::LengthUnit;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn drafts_keep_their_pace_and_show_the_newest_text() {
        let limit = MessageLimit {
            max: Some(4_096),
            unit: LengthUnit::Utf16,
        };
        let mut pace = DraftPace::new(0, limit, at(0));
        assert_eq!(pace.id, 1, "a draft is never called 0");
        assert_eq!(pace.next("one", at(0)).as_deref(), Some("one"));
        assert_eq!(pace.next("one two", at(499)), None, "too soon");
        assert_eq!(pace.wakeup("one two"), Some(at(500)));
        assert_eq!(pace.next("one two", at(500)).as_deref(), Some("one two"));
        assert_eq!(pace.wakeup("one two"), None, "nothing new");
        pace.throttled(at(3_000));
        assert_eq!(pace.next("one two", at(2_999)), None);
        assert_eq!(pace.next("one two", at(3_000)).as_deref(), Some("one two"));
    }

    #[test]
    fn of_a_long_text_the_newest_part_is_shown() {
        let limit = MessageLimit {
            max: Some(64),
            unit: LengthUnit::Utf16,
        };
        let mut pace = DraftPace::new(7, limit, at(0));
        let text = "word ".repeat(40) + "end";
        let draft = pace.next(&text, at(0)).unwrap();
        assert!(
            draft.ends_with("end") && draft.encode_utf16().count() <= 64,
            "{draft}"
        );
    }
}
