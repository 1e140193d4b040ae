//! Drives one reply into a chat: what to send, edit and delete, and when.
//!
//! A state machine without input or output. Its driver feeds text and times, takes one action at a time, carries it
//! out and reports the outcome.

//!
//! There is never a backlog: what was not shown yet is shown by the next action with the newest text. Edits are skipped
//! when they would change nothing. Parts are sent in their order; a part that is full gets its final text before the
//! next one is sent, and never another boundary.

mod layout;

use crate::accumulator::{FlushReason, TokenAccumulator};
use crate::config::StreamConfig;
use crate::length::MessageLimit;
use crate::ports::TokenEstimator;
use layout::Layout;
use openclaw_core::{MessageId, Monotonic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Without another limit, a reply takes no more text than this, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// So many failures one after the other, and the handler shows nothing more.
pub const MAX_FAILURES: u32 = 8;
/// So many messages of one reply that vanish, and the handler shows nothing more.
pub const MAX_VANISHED: u32 = 3;
/// The wait after a failure: doubled with each, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a reply is shown under.
#[derive(Clone, Copy, Debug)]
pub struct ReplyConfig {
    /// When text is flushed and typing shown.
    pub stream: StreamConfig,
    /// The platform's hard limit; the smaller of it and `stream.max_message_length` counts.
    pub limit: MessageLimit,
    /// Whether messages grow.
    pub mode: ReplyMode,
    /// The longest reply, in bytes; more text is not taken.
    pub max_text_bytes: usize,
}

/// How a reply reaches its chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Sent early and edited as text arrives.
    #[default]
    Edit,
    /// Sent whole at the end: the platform cannot edit (`BatchFallback`).
    Batch,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show that an answer is being written. No outcome is reported; a failure does not matter.
    Typing,
    /// Send a message.
    Send {
        /// Which part of the reply, from 0.
        part: u32,
        /// Its whole text.
        text: String,
        /// Whether this is the part's final text, to be sent formatted.
        last: bool,
    },
    /// Change a message.
    Edit {
        /// Which part of the reply, from 0.
        part: u32,
        /// Which message.
        message_id: MessageId,
        /// Its whole text, never only what is new.
        text: String,
        /// Whether this is the part's final text, to be sent formatted.
        last: bool,
    },
    /// Remove a message that the reply no longer needs.
    Delete {
        /// Which part it was.
        part: u32,
        /// Which message.
        message_id: MessageId,
    },
}

/// What became of a message action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message was sent.
    Sent {
        /// The platform's id of it.
        message_id: MessageId,
    },
    /// The message was changed.
    Edited,
    /// The message was removed.
    Deleted,
    /// Not done: a limit allows no more before this time. Nothing was changed.
    Throttled {
        /// Not before.
        until: Monotonic,
    },
    /// The message had this text already.
    Unchanged,
    /// Not done.
    Failed {
        /// Whether nothing more can be sent to this chat. Where an action may have reached the person without our
        /// knowing, it is permanent for this handler: sending again could double it.
        permanent: bool,
    },
    /// There is no such message any more, or it cannot be edited any more.
    Gone,
}

/// A part of the finished reply: what must stand in the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalPart {
    /// Which part, from 0.
    pub part: u32,
    /// Its text.
    pub text: String,
    /// The message that shows it or an earlier text of it; `None` when none was sent.
    pub message_id: Option<MessageId>,
    /// Whether the platform shows exactly this text, as final.
    pub delivered: bool,
}

/// Drives one reply. One handler per reply, no state shared between replies.
///
/// The driver's loop: call [`ResponseHandler::next_action`] until there is none, carrying out each and reporting its
/// outcome with [`ResponseHandler::acted`]; then wait for text or for [`ResponseHandler::next_wakeup`]. After
/// [`ResponseHandler::finish`] it may go on until [`ResponseHandler::is_settled`], or stop and deliver
/// [`ResponseHandler::final_parts`] itself.
///
/// Dropping the handler stops everything; what stands in the chat stays there.
#[derive(Clone, Debug)]
pub struct ResponseHandler {
    config: ReplyConfig,
    accumulator: TokenAccumulator,
    /// All text, flushed or not.
    text: String,
    /// So much of it, in bytes, was flushed.
    flushed: usize,
    truncated: bool,
    finished: bool,
    layout: Layout,
    /// What stands in the chat, by part.
    shown: BTreeMap<u32, Shown>,
    outstanding: Option<Outstanding>,
    /// No action before this time.
    hold_until: Option<Monotonic>,
    failures: u32,
    vanished: u32,
    /// Nothing more can be shown.
    stopped: bool,
    /// When typing is to be shown next; `None` once text was shown.
    typing_at: Option<Monotonic>,
}

/// A message of the reply in the chat.
#[derive(Clone, Debug, Default)]
struct Shown {
    message_id: Option<MessageId>,
    /// Its text and whether that was final; `None` when it is not known.
    text: Option<(String, bool)>,
}

/// The action whose outcome is awaited.
#[derive(Clone, Debug)]
enum Outstanding {
    Send { part: u32, text: String, last: bool },
    Edit { part: u32, text: String, last: bool },
    Delete { part: u32 },
}

/// A message action that is to be done: part, text and whether that is final.
#[derive(Clone, Copy, Debug)]
enum Due<'a> {
    Send(u32, &'a str, bool),
    Edit(u32, &'a MessageId, &'a str, bool),
    Delete(u32, &'a MessageId),
}

// === impl ReplyConfig ===

impl ReplyConfig {
    /// With the usual bound on the text.
    pub fn new(stream: StreamConfig, limit: MessageLimit, mode: ReplyMode) -> Self {
        Self {
            stream,
            limit,
            mode,
            max_text_bytes: MAX_TEXT_BYTES,
        }
    }
}

// === impl ResponseHandler ===

impl ResponseHandler {
    /// Begins a reply. `already_shown` are the parts that a turn which crashed left in the chat: they are edited, not
    /// sent again.
    pub fn new(config: ReplyConfig, already_shown: Vec<(u32, MessageId)>, now: Monotonic) -> Self {
        let shown = already_shown.into_iter().map(|(part, message_id)| {
            let shown = Shown {
                message_id: Some(message_id),
                text: None,
            };
            (part, shown)
        });
        Self {
            accumulator: TokenAccumulator::from(&config.stream),
            text: String::new(),
            flushed: 0,
            truncated: false,
            finished: false,
            layout: Layout::new(config.limit.capped(config.stream.max_message_length)),
            shown: shown.collect(),
            outstanding: None,
            hold_until: None,
            failures: 0,
            vanished: 0,
            stopped: false,
            typing_at: config.stream.typing_indicator_interval.map(|_| now),
            config,
        }
    }

    /// Counts tokens with `estimator` instead of by characters.
    pub fn with_estimator(mut self, estimator: Arc<dyn TokenEstimator>) -> Self {
        self.accumulator = self.accumulator.with_estimator(estimator);
        self
    }

    /// More text. Ignored once finished; text beyond `max_text_bytes` is not taken.
    pub fn push(&mut self, delta: &str, now: Monotonic) {
        if self.finished {
            return;
        }
        let room = self.config.max_text_bytes.saturating_sub(self.text.len());
        let taken = delta.get(..delta.floor_char_boundary(room)).unwrap_or_default();
        self.truncated |= taken.len() < delta.len();
        self.text.push_str(taken);
        if self.accumulator.push(taken, now).is_some() {
            self.flush();
        }
    }

    /// Flushes what is held back, at a place where the text pauses, such as before a tool is called.
    pub fn boundary(&mut self) {
        if self.accumulator.flush(FlushReason::Boundary).is_some() {
            self.flush();
        }
    }

    /// Another model starts over: the text gathered is void. What is shown stays until there is new text, which then
    /// takes its place; messages that the new reply does not need are deleted at its end.
    pub fn replace(&mut self, now: Monotonic) {
        if let Some(typing_at) = &mut self.typing_at {
            // Nothing was shown yet: the wait begins again, and so does the sign of it.
            *typing_at = now;
        }
        self.text.clear();
        self.accumulator.clear();
        self.flushed = 0;
        self.truncated = false;
        self.finished = false;
        self.layout.clear();
    }

    /// The text is complete.
    pub fn finish(&mut self, now: Monotonic) {
        self.hold_until = self.hold_until.filter(|until| now < *until);
        self.accumulator.flush(FlushReason::Done);
        self.finished = true;
        self.flush();
    }

    /// What to do now. `None` while the outcome of a message action is awaited, while a limit holds, and when there is
    /// nothing to do before [`ResponseHandler::next_wakeup`].
    pub fn next_action(&mut self, now: Monotonic) -> Option<Action> {
        if self.accumulator.poll(now).is_some() {
            self.flush();
        }
        if self.outstanding.is_some() || self.hold_until.is_some_and(|until| now < until) {
            return None;
        }
        if let Some((action, outstanding)) = self.due().map(Due::into_action) {
            self.outstanding = Some(outstanding);
            return Some(action);
        }
        let interval = self.config.stream.typing_indicator_interval?;
        if self.finished || self.stopped || self.typing_at? > now {
            return None;
        }
        self.typing_at = Some(now + interval);
        Some(Action::Typing)
    }

    /// What became of the message action given last. Ignored when none is awaited.
    pub fn acted(&mut self, outcome: Outcome, now: Monotonic) {
        let Some(outstanding) = self.outstanding.take() else {
            return;
        };
        self.hold_until = None;
        match (outcome, outstanding) {
            (Outcome::Throttled { until }, _) => self.hold_until = Some(until),
            (
                Outcome::Sent { message_id },
                Outstanding::Send { part, text, last } | Outstanding::Edit { part, text, last },
            ) => {
                self.succeeded(part, Some(message_id), text, last);
            }
            // A message sent without telling us its id cannot be changed, and must not be sent again.
            (Outcome::Edited | Outcome::Unchanged, Outstanding::Send { part, text, last }) => {
                self.succeeded(part, None, text, last);
            }
            (Outcome::Edited | Outcome::Unchanged, Outstanding::Edit { part, text, last }) => {
                let message_id = self.shown.get(&part).and_then(|shown| shown.message_id.clone());
                self.succeeded(part, message_id, text, last);
            }
            // Of no consequence for the reply: a message that cannot be deleted is left where it is.
            (
                Outcome::Sent { .. }
                | Outcome::Edited
                | Outcome::Deleted
                | Outcome::Unchanged
                | Outcome::Gone
                | Outcome::Failed { permanent: true },
                Outstanding::Delete { part },
            ) => {
                self.shown.remove(&part);
            }
            (Outcome::Gone | Outcome::Deleted, Outstanding::Edit { part, .. }) => {
                self.shown.remove(&part);
                self.vanished = self.vanished.saturating_add(1);
                self.stopped |= self.vanished > MAX_VANISHED;
            }
            (Outcome::Failed { permanent: true }, Outstanding::Send { .. } | Outstanding::Edit { .. }) => {
                self.stopped = true;
            }
            (Outcome::Failed { permanent: false }, _)
            | (Outcome::Gone | Outcome::Deleted, Outstanding::Send { .. }) => self.failed(now),
        }
    }

    /// When to ask for the next action if nothing happens before; in the past when there is something to do at once.
    /// `None` when only an outcome or more text can bring something to do.
    pub fn next_wakeup(&self) -> Option<Monotonic> {
        if self.outstanding.is_some() || self.stopped {
            return None;
        }
        let flush = match self.config.mode {
            ReplyMode::Edit => self.accumulator.next_deadline(),
            ReplyMode::Batch => None,
        };
        let typing = self.typing_at.filter(|_| !self.finished);
        let due = self.due().map(|_| Monotonic::ZERO);
        let earliest = [flush, typing, due].into_iter().flatten().min()?;
        Some(earliest.max(self.hold_until.unwrap_or_default()))
    }

    /// What must stand in the chat. Of use after [`ResponseHandler::finish`]; before, it is the text flushed so far.
    pub fn final_parts(&self) -> Vec<FinalPart> {
        let parts = self.layout.parts().map(|(part, text, last)| {
            let shown = self.shown.get(&part);
            FinalPart {
                part,
                text: text.to_owned(),
                message_id: shown.and_then(|shown| shown.message_id.clone()),
                delivered: last && shown.is_some_and(|shown| shown.shows(text, last)),
            }
        });
        parts.collect()
    }

    /// Messages in the chat that the finished reply does not need and that are to be deleted.
    pub fn surplus(&self) -> Vec<(u32, MessageId)> {
        let surplus = self.shown.range(self.layout.len()..);
        surplus
            .filter_map(|(part, shown)| Some((*part, shown.message_id.clone()?)))
            .collect()
    }

    /// All text gathered, flushed or not.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether text was not taken because the reply was too long.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether nothing more can be shown: the platform refused for good, or failed too often.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the reply is finished and nothing is left to do, because all stands in the chat or nothing more can be
    /// shown.
    pub fn is_settled(&self) -> bool {
        self.finished && self.outstanding.is_none() && self.due().is_none()
    }

    /// All text gathered so far may be shown.
    fn flush(&mut self) {
        self.flushed = self.text.len();
        if self.config.mode == ReplyMode::Edit || self.finished {
            let flushed = self.text.get(..self.flushed).unwrap_or_default();
            self.layout.extend(flushed, self.finished);
        }
    }

    /// The first message action that is to be done, limits aside.
    fn due(&self) -> Option<Due<'_>> {
        if self.stopped {
            return None;
        }
        for (part, text, last) in self.layout.parts() {
            match self.shown.get(&part) {
                None => return Some(Due::Send(part, text, last)),
                Some(shown) if shown.shows(text, last) => {}
                Some(shown) => {
                    // Without an id it was sent and cannot be changed.
                    if let Some(message_id) = &shown.message_id {
                        return Some(Due::Edit(part, message_id, text, last));
                    }
                }
            }
        }
        if !self.finished {
            return None;
        }
        let surplus = self.shown.range(self.layout.len()..).rev();
        surplus
            .filter_map(|(part, shown)| Some(Due::Delete(*part, shown.message_id.as_ref()?)))
            .next()
    }

    fn succeeded(&mut self, part: u32, message_id: Option<MessageId>, text: String, last: bool) {
        let text = Some((text, last));
        self.shown.insert(part, Shown { message_id, text });
        self.failures = 0;
        self.typing_at = None;
    }

    fn failed(&mut self, now: Monotonic) {
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
        self.hold_until = Some(now + wait.min(LONGEST_WAIT));
        self.failures = self.failures.saturating_add(1);
        self.stopped |= self.failures >= MAX_FAILURES;
    }
}

// === impl Shown ===

impl Shown {
    /// Whether the message needs no edit to show this text. A text that was shown as final was shown formatted.
    fn shows(&self, text: &str, last: bool) -> bool {
        let known = self.text.as_ref();
        known.is_some_and(|(shown, final_text)| shown == text && (*final_text || !last))
    }
}

// === impl Due ===

impl Due<'_> {
    fn into_action(self) -> (Action, Outstanding) {
        match self {
            Self::Send(part, text, last) => {
                let text = text.to_owned();
                let outstanding = Outstanding::Send {
                    part,
                    text: text.clone(),
                    last,
                };
                (Action::Send { part, text, last }, outstanding)
            }
            Self::Edit(part, message_id, text, last) => {
                let (message_id, text) = (message_id.clone(), text.to_owned());
                let outstanding = Outstanding::Edit {
                    part,
                    text: text.clone(),
                    last,
                };
                let action = Action::Edit {
                    part,
                    message_id,
                    text,
                    last,
                };
                (action, outstanding)
            }
            Self::Delete(part, message_id) => {
                let message_id = message_id.clone();
                (Action::Delete { part, message_id }, Outstanding::Delete { part })
            }
        }
    }
}
