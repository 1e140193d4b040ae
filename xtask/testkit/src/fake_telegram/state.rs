//! What the fake remembers.

use super::fault::Fault;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Everything the fake remembers.
#[derive(Debug, Default)]
pub struct State {
    /// The calls, in the order they came, unless recording is off.
    pub calls: Vec<Call>,
    /// How often each method was called.
    pub counts: HashMap<String, u64>,
    /// The longest text that was accepted, in UTF-16 code units.
    pub longest_text: usize,
    /// The most calls that were under way at once.
    pub peak_in_flight: usize,
    /// The queries of pressed buttons that were answered.
    pub answered_queries: Vec<String>,
    /// Where updates go; empty without a webhook.
    pub webhook_url: String,
    /// What is sent along with them.
    pub webhook_secret: Option<String>,
    pub(super) chats: HashMap<i64, ChatState>,
    pub(super) in_flight: usize,
    pub(super) faults: HashMap<String, VecDeque<Fault>>,
    pub(super) chat_faults: HashMap<i64, Fault>,
    pub(super) latency: Duration,
    pub(super) no_drafts: bool,
    pub(super) not_recording: bool,
    /// When each call that sends or changes something came, since the start.
    pub sends: Vec<Duration>,
    pub(super) updates: VecDeque<(i64, Value)>,
    pub(super) next_update_id: i64,
    /// Which poller is the newest; an older one ends with 409.
    pub(super) poller: u64,
}

/// One call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Its parameters.
    pub parameters: Value,
    /// When, since the fake was started.
    pub at: Duration,
    /// The HTTP status it was answered with; 0 while it is not answered.
    pub status: u16,
}

/// What a chat shows.
#[derive(Clone, Debug, Default)]
pub struct ChatState {
    /// The bot's messages by their id, deleted ones too.
    pub messages: BTreeMap<i64, FakeMessage>,
    /// The drafts shown so far, in the order they came.
    pub drafts: Vec<Draft>,
    /// How often the bot was shown typing.
    pub typing: usize,
    pub(super) last_id: i64,
}

/// A message of the bot.
#[derive(Clone, Debug)]
pub struct FakeMessage {
    /// Its id.
    pub id: i64,
    /// What it reads now.
    pub text: String,
    /// How it is formatted now; `null` when it is not.
    pub entities: Value,
    /// The topic it stands in.
    pub thread: Option<i64>,
    /// The message it answers.
    pub reply_to: Option<i64>,
    /// What it read before, oldest first.
    pub history: Vec<String>,
    /// Whether it was taken away.
    pub deleted: bool,
    /// When it was sent, since the fake was started.
    pub sent_at: Duration,
}

/// A draft as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Which draft.
    pub id: i64,
    /// Its text.
    pub text: String,
}

// === impl State ===

impl State {
    /// A copy of what a chat shows; empty when nothing was said there.
    pub fn chat(&self, id: i64) -> ChatState {
        self.chats.get(&id).cloned().unwrap_or_default()
    }

    /// How many messages stand in all chats together.
    pub fn message_count(&self) -> usize {
        self.chats.values().map(|chat| chat.messages().count()).sum()
    }

    /// How many updates wait to be polled.
    pub fn queued_updates(&self) -> usize {
        self.updates.len()
    }

    /// How often each method was called.
    pub fn summary(&self) -> HashMap<String, u64> {
        self.counts.clone()
    }

    pub(super) fn chat_mut(&mut self, id: i64) -> &mut ChatState {
        self.chats.entry(id).or_default()
    }

    pub(super) fn next_update_id(&mut self) -> i64 {
        self.next_update_id += 1;
        self.next_update_id
    }

    pub(super) fn queue(&mut self, update: Value) {
        let id = update.get("update_id").and_then(Value::as_i64).unwrap_or(0);
        self.updates.push_back((id, update));
    }
}

// === impl ChatState ===

impl ChatState {
    /// The messages that stand in the chat.
    pub fn messages(&self) -> impl Iterator<Item = &FakeMessage> {
        self.messages.values().filter(|message| !message.deleted)
    }

    /// Their texts, oldest first.
    pub fn texts(&self) -> Vec<String> {
        self.messages().map(|message| message.text.clone()).collect()
    }

    /// The newest message.
    pub fn last(&self) -> Option<&FakeMessage> {
        self.messages.values().rev().find(|message| !message.deleted)
    }

    /// The next number of a message, the bot's or a person's: a chat has one sequence.
    pub(super) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}
