//! What the fake remembers, and how it can be made to fail.

use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What happens to a call instead of its success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaxFault {
    /// 429; with `Retry-After` in seconds or, as the real platform does, without.
    RateLimited {
        /// The pause asked for, in seconds.
        retry_after: Option<u64>,
    },
    /// An error in the platform's form.
    Refused {
        /// Its HTTP status.
        status: u16,
        /// Its code.
        code: &'static str,
        /// Its words.
        message: String,
    },
    /// 200 that says that nothing was done.
    NotDone {
        /// Why.
        message: &'static str,
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
}

/// Everything the fake remembers.
#[derive(Debug, Default)]
pub struct MaxState {
    /// The calls, in the order they came.
    pub calls: Vec<MaxCall>,
    /// How often each method was called.
    pub counts: HashMap<String, u64>,
    /// The longest text that was accepted, in UTF-16 code units.
    pub longest_text: usize,
    /// The buttons' queries that were answered.
    pub answered_callbacks: Vec<String>,
    /// Where updates are sent.
    pub subscriptions: Vec<MaxSubscription>,
    pub(super) chats: HashMap<i64, MaxChat>,
    pub(super) faults: HashMap<String, VecDeque<MaxFault>>,
    /// When each call that sends or changes something came, since the start.
    pub(super) sends: Vec<Duration>,
    /// The updates that wait, each with its position.
    pub(super) updates: VecDeque<(i64, Value)>,
    /// The position behind the newest update.
    pub(super) next_position: i64,
    pub(super) last_number: u64,
}

/// One call as it came.
#[derive(Clone, Debug)]
pub struct MaxCall {
    /// The method and the path without numbers, such as `POST /messages` or `POST /chats/actions`.
    pub method: String,
    /// The query's parameters.
    pub query: HashMap<String, String>,
    /// The body; `null` without one.
    pub body: Value,
    /// When, since the fake was started.
    pub at: Duration,
    /// The HTTP status it was answered with; 0 while it is not answered.
    pub status: u16,
}

/// An address that updates are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxSubscription {
    /// The address.
    pub url: String,
    /// What is sent along in the header.
    pub secret: Option<String>,
}

/// What a chat shows.
#[derive(Clone, Debug, Default)]
pub struct MaxChat {
    /// The bot's messages in the order they were sent, deleted ones too.
    pub messages: Vec<MaxMessage>,
    /// How often the bot was shown typing.
    pub typing: usize,
}

/// A message of the bot.
#[derive(Clone, Debug)]
pub struct MaxMessage {
    /// Its id.
    pub mid: String,
    /// What it reads now, marks included.
    pub text: String,
    /// How its marks are read now; none when they are not.
    pub format: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// What it read before, oldest first.
    pub history: Vec<String>,
    /// Whether it was taken away.
    pub deleted: bool,
}

// === impl MaxFault ===

impl MaxFault {
    /// 403: the person has stopped the bot.
    pub fn blocked() -> Self {
        Self::Refused {
            status: 403,
            code: "chat.denied",
            message: "error.dialog.suspended".to_owned(),
        }
    }

    /// 400: something of the message is not taken.
    pub fn bad_payload(message: &str) -> Self {
        Self::Refused {
            status: 400,
            code: "proto.payload",
            message: message.to_owned(),
        }
    }
}

// === impl MaxState ===

impl MaxState {
    /// A copy of what a chat shows; empty when nothing was said there.
    pub fn chat(&self, id: i64) -> MaxChat {
        self.chats.get(&id).cloned().unwrap_or_default()
    }

    /// How many updates wait to be polled.
    pub fn queued_updates(&self) -> usize {
        self.updates.len()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> u64 {
        self.counts.get(method).copied().unwrap_or(0)
    }

    pub(super) fn chat_mut(&mut self, id: i64) -> &mut MaxChat {
        self.chats.entry(id).or_default()
    }

    pub(super) fn message_mut(&mut self, mid: &str) -> Option<&mut MaxMessage> {
        self.chats
            .values_mut()
            .flat_map(|chat| chat.messages.iter_mut())
            .find(|message| message.mid == mid && !message.deleted)
    }

    /// A number that no message has had.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn queue(&mut self, update: Value) {
        self.updates.push_back((self.next_position, update));
        self.next_position += 1;
    }

    pub(super) fn max_calls_within(&self, window: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (index, at) in self.sends.iter().enumerate() {
            while self.sends.get(first).is_some_and(|start| *at > *start + window) {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }
}

// === impl MaxChat ===

impl MaxChat {
    /// The messages that stand in the chat.
    pub fn messages(&self) -> impl Iterator<Item = &MaxMessage> {
        self.messages.iter().filter(|message| !message.deleted)
    }

    /// Their texts, oldest first.
    pub fn texts(&self) -> Vec<String> {
        self.messages().map(|message| message.text.clone()).collect()
    }

    /// The newest message.
    pub fn last(&self) -> Option<&MaxMessage> {
        self.messages.iter().rev().find(|message| !message.deleted)
    }
}
