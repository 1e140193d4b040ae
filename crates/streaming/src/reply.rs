//! Drives one reply into a chat: what to send, edit and delete, and when.
//!
//! A state machine without input or output. Its driver feeds text and times, takes one action at a time, carries it
//! out and reports the outcome.

use crate::accumulator::TokenAccumulator;
use crate::config::StreamConfig;
use crate::length::MessageLimit;
use openclaw_core::{MessageId, Monotonic};

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
#[derive(Clone, Debug)]
pub struct ResponseHandler {
    config: ReplyConfig,
    accumulator: TokenAccumulator,
    text: String,
    finished: bool,
}

// === impl ResponseHandler ===

impl ResponseHandler {
    /// Begins a reply. `already_shown` are the parts that a turn which crashed left in the chat.
    pub fn new(config: ReplyConfig, already_shown: Vec<(u32, MessageId)>, now: Monotonic) -> Self {
        let _ = (already_shown, now);
        Self {
            accumulator: TokenAccumulator::from(&config.stream),
            config,
            text: String::new(),
            finished: false,
        }
    }

    /// More text.
    pub fn push(&mut self, delta: &str, now: Monotonic) {
        self.accumulator.push(delta, now);
        self.text.push_str(delta);
    }

    /// Another model starts over: the text gathered is void.
    pub fn replace(&mut self, now: Monotonic) {
        let _ = now;
        self.text.clear();
    }

    /// The text is complete.
    pub fn finish(&mut self, now: Monotonic) {
        let _ = now;
        self.finished = true;
    }

    /// What to do now; at most one message action at a time.
    pub fn next_action(&mut self, now: Monotonic) -> Option<Action> {
        let _ = (now, self.config.mode);
        None
    }

    /// What became of the message action.
    pub fn acted(&mut self, outcome: Outcome, now: Monotonic) {
        let _ = (outcome, now);
    }

    /// When to ask for the next action, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Monotonic> {
        None
    }

    /// What must stand in the chat.
    pub fn final_parts(&self) -> Vec<FinalPart> {
        Vec::new()
    }

    /// Messages in the chat that the finished reply does not need.
    pub fn surplus(&self) -> Vec<(u32, MessageId)> {
        Vec::new()
    }

    /// The text gathered.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the reply is finished and nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.finished
    }
}
