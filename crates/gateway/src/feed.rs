//! What happens in a chat of the web page or the native API, as a stream that can be picked up again.
//!
//! Each chat keeps its newest events in a ring; a reader holds nothing but its position in it. A reader that comes back
//! with the id of the last event it saw gets strictly later ones; one whose position the ring no longer holds gets a
//! [`FeedRead::Reset`] and must take a snapshot. There is no queue per reader, so a slow one costs nothing and
//! delays nobody.

mod event;
mod reader;

pub use self::event::{FeedEvent, turn_id};
pub use self::reader::{FeedRead, FeedReader};

use crate::housekeeping::shrink;
use openclaw_core::{Clock, Monotonic, TenantId, Timestamp};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How many events a chat's ring holds.
const RING_EVENTS: usize = 4_096;
/// How many bytes of text a chat's ring holds.
const RING_BYTES: usize = 512 * 1024;
/// How many questions without an end a chat's feed remembers; beyond it the oldest is left out of snapshots.
const MAX_ASKED: usize = 64;
/// How long a chat is kept in which something waits for its end and nothing happens.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// A message of a person that has no end yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The turn that answers it.
    pub turn_id: String,
    /// What the person wrote.
    pub text: String,
}

/// An answer being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAnswer {
    /// The turn.
    pub turn_id: String,
    /// The text so far.
    pub text: String,
    /// When the turn began. What the conversation remembers from later than this was said in this turn.
    pub started_at: Timestamp,
}

/// What goes on in a chat at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// The id of the newest event; a reader that starts after it misses nothing and sees nothing twice.
    pub id: u64,
    /// The answer being written.
    pub live: Option<LiveAnswer>,
    /// Messages without an end, oldest first; the one being answered too.
    pub asked: Vec<Asked>,
}

/// The feeds of all chats that somebody reads or that something happened in lately.
#[derive(Debug)]
pub struct ChatFeeds {
    /// Guards the map only, never held while an event is written.
    feeds: Mutex<HashMap<TenantId, Arc<Feed>>>,
    clock: Arc<dyn Clock>,
    /// How long a chat without readers keeps its ring after the last event.
    resume_window: Duration,
}

#[derive(Debug)]
struct Feed {
    ring: Mutex<Ring>,
    /// Told after every event.
    news: Notify,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<(u64, Arc<FeedEvent>)>,
    bytes: usize,
    /// The id of the newest event, or where ids start.
    last_id: u64,
    touched: Monotonic,
    /// The answer being written. What a snapshot must hold beside the history.
    live: Option<LiveAnswer>,
    /// Messages without an end; at most [`MAX_ASKED`].
    asked: VecDeque<Question>,
    /// Forgotten: readers are to end.
    closed: bool,
}

#[derive(Debug)]
struct Question {
    asked: Asked,
    /// What its author was told last of the wait.
    told: Option<FeedEvent>,
}

// === impl ChatFeeds ===

impl ChatFeeds {
    /// Chats keep their ring for `resume_window` after the last event.
    pub fn new(clock: Arc<dyn Clock>, resume_window: Duration) -> Self {
        Self {
            feeds: Mutex::default(),
            clock,
            resume_window,
        }
    }

    fn feed(&self, tenant: &TenantId) -> Arc<Feed> {
        let mut feeds = self.feeds.lock();
        if let Some(feed) = feeds.get(tenant) {
            return Arc::clone(feed);
        }
        // Ids start from the time, so that those of an earlier process are never mistaken for this one's.
        let start = u64::try_from(self.clock.now().as_millis())
            .unwrap_or(0)
            .saturating_mul(1_000);
        let feed = Arc::new(Feed {
            ring: Mutex::new(Ring {
                events: VecDeque::new(),
                bytes: 0,
                last_id: start,
                touched: self.clock.monotonic(),
                live: None,
                asked: VecDeque::new(),
                closed: false,
            }),
            news: Notify::new(),
        });
        feeds.insert(tenant.clone(), Arc::clone(&feed));
        feed
    }

    /// Adds an event to a chat. That a message waits is told only while it does, and when there is something new to say.
    pub fn publish(&self, tenant: &TenantId, event: FeedEvent) {
        let feed = self.feed(tenant);
        {
            let mut ring = feed.ring.lock();
            if let FeedEvent::Notice { turn_id, .. } = &event
                && !ring.is_news(turn_id, &event)
            {
                return;
            }
            ring.touched = self.clock.monotonic();
            ring.last_id += 1;
            let id = ring.last_id;
            match &event {
                FeedEvent::TurnStarted { turn_id } => {
                    let started_at = self.clock.now();
                    ring.live = Some(LiveAnswer {
                        turn_id: turn_id.clone(),
                        text: String::new(),
                        started_at,
                    });
                }
                FeedEvent::TextDelta { text, .. } => {
                    if let Some(live) = &mut ring.live {
                        live.text.push_str(text);
                    }
                }
                FeedEvent::TextReplace { text, .. } => {
                    if let Some(live) = &mut ring.live {
                        live.text.clone_from(text);
                    }
                }
                FeedEvent::TurnFinished { turn_id, .. } | FeedEvent::TurnFailed { turn_id, .. } => {
                    // A message that is refused while another is being answered does not end that one.
                    if ring.live.as_ref().is_some_and(|live| live.turn_id == *turn_id) {
                        ring.live = None;
                    }
                    ring.asked.retain(|question| question.asked.turn_id != *turn_id);
                }
                FeedEvent::ToolStarted { .. } | FeedEvent::ToolFinished { .. } | FeedEvent::Notice { .. } => {
                }
            }
            ring.bytes += event.bytes();
            ring.events.push_back((id, Arc::new(event)));
            while ring.events.len() > RING_EVENTS || ring.bytes > RING_BYTES {
                let Some((_, oldest)) = ring.events.pop_front() else {
                    break;
                };
                ring.bytes -= oldest.bytes();
            }
        }
        feed.news.notify_waiters();
    }

    /// Remembers what a person wrote until its turn ends. Call it before anything is published of the turn.
    pub fn asked(&self, tenant: &TenantId, turn_id: String, text: String) {
        let feed = self.feed(tenant);
        let mut ring = feed.ring.lock();
        ring.touched = self.clock.monotonic();
        if ring.asked.len() >= MAX_ASKED {
            ring.asked.pop_front();
        }
        ring.asked.push_back(Question {
            asked: Asked { turn_id, text },
            told: None,
        });
    }

    /// Reads a chat from the event after `last_seen`, or from now on.
    pub fn subscribe(&self, tenant: &TenantId, last_seen: Option<u64>) -> FeedReader {
        let feed = self.feed(tenant);
        let position = match last_seen {
            Some(id) => id,
            None => feed.ring.lock().last_id,
        };
        FeedReader { feed, position }
    }

    /// What goes on in a chat now.
    pub fn state(&self, tenant: &TenantId) -> FeedState {
        let feed = self.feed(tenant);
        let ring = feed.ring.lock();
        FeedState {
            id: ring.last_id,
            live: ring.live.clone(),
            asked: ring.asked.iter().map(|question| question.asked.clone()).collect(),
        }
    }

    /// Whether an answer is being written in a chat.
    pub fn is_answering(&self, tenant: &TenantId) -> bool {
        let feed = self.feeds.lock().get(tenant).cloned();
        feed.is_some_and(|feed| feed.ring.lock().live.is_some())
    }

    /// Forgets a chat at once and tells its readers.
    pub fn forget(&self, tenant: &TenantId) {
        let feed = self.feeds.lock().remove(tenant);
        if let Some(feed) = feed {
            feed.ring.lock().closed = true;
            feed.news.notify_waiters();
        }
    }

    /// Forgets chats that nobody reads and in which nothing happened for the resume window, or for a day where something
    /// waits for its end, and gives back the room they took. Call it now and then.
    pub fn sweep(&self) {
        let now = self.clock.monotonic();
        let mut feeds = self.feeds.lock();
        feeds.retain(|_, feed| {
            let ring = feed.ring.lock();
            let is_at_rest = ring.asked.is_empty() && ring.live.is_none();
            let patience = if is_at_rest {
                self.resume_window
            } else {
                self.resume_window.max(LONGEST_WAIT)
            };
            Arc::strong_count(feed) > 1 || now.saturating_since(ring.touched) < patience
        });
        shrink(&mut feeds);
    }

    /// For how many chats there is room without asking for more memory.
    pub fn capacity(&self) -> usize {
        self.feeds.lock().capacity()
    }

    /// How many chats are held.
    pub fn len(&self) -> usize {
        self.feeds.lock().len()
    }

    /// Whether no chat is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Ring ===

impl Ring {
    /// Whether the turn has yet to begin and its author was not told the same last. Whoever saw it wait may say so late.
    fn is_news(&mut self, turn_id: &str, notice: &FeedEvent) -> bool {
        if self.live.as_ref().is_some_and(|live| live.turn_id == turn_id) {
            return false;
        }
        let full = self.asked.len() >= MAX_ASKED;
        let mut questions = self.asked.iter_mut();
        match questions.find(|question| question.asked.turn_id == turn_id) {
            Some(question) if question.told.as_ref() == Some(notice) => false,
            Some(question) => {
                question.told = Some(notice.clone());
                true
            }
            // With so many questions the oldest are not remembered.
            None => full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::ManualClock;

    fn delta(text: &str) -> FeedEvent {
        FeedEvent::TextDelta {
            turn_id: "turn_1".into(),
            text: text.into(),
        }
    }

    fn failed(turn: &str) -> FeedEvent {
        FeedEvent::TurnFailed {
            turn_id: turn.into(),
            problem: serde_json::Value::Null,
        }
    }

    fn feeds() -> (Arc<ManualClock>, ChatFeeds, TenantId) {
        let clock = ManualClock::new();
        let feeds = ChatFeeds::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(600));
        (clock, feeds, "web:1:1".parse().unwrap())
    }

    fn texts(reader: &mut FeedReader) -> Vec<String> {
        std::iter::from_fn(|| reader.try_next())
            .map(|read| match read {
                FeedRead::Event { event, .. } => match &*event {
                    FeedEvent::TextDelta { text, .. } => text.clone(),
                    other => other.name().to_owned(),
                },
                FeedRead::Reset { .. } => "reset".to_owned(),
                FeedRead::Closed => "closed".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_reader_that_comes_back_gets_strictly_later_events() {
        let (_, feeds, chat) = feeds();
        let mut reader = feeds.subscribe(&chat, None);
        for text in ["a", "b", "c"] {
            feeds.publish(&chat, delta(text));
        }
        let Some(FeedRead::Event { id, .. }) = reader.try_next() else {
            panic!("no first event")
        };
        drop(reader);
        assert_eq!(texts(&mut feeds.subscribe(&chat, Some(id))), ["b", "c"]);
        assert_eq!(texts(&mut feeds.subscribe(&chat, None)), [""; 0]);
    }

    #[test]
    fn a_position_the_ring_no_longer_holds_is_reset() {
        let (_, feeds, chat) = feeds();
        assert_eq!(
            texts(&mut feeds.subscribe(&chat, Some(5))),
            ["reset"],
            "an id of an earlier process"
        );
        let mut reader = feeds.subscribe(&chat, None);
        for _ in 0..=RING_EVENTS {
            feeds.publish(&chat, delta("x"));
        }
        assert_eq!(
            texts(&mut reader),
            ["reset"],
            "one event more than the ring holds"
        );
    }

    #[test]
    fn the_live_text_follows_deltas_and_replacements() {
        let (_, feeds, chat) = feeds();
        let live = |feeds: &ChatFeeds| feeds.state(&chat).live.map(|live| live.text);
        feeds.publish(
            &chat,
            FeedEvent::TurnStarted {
                turn_id: "turn_1".into(),
            },
        );
        feeds.publish(&chat, delta("one "));
        feeds.publish(&chat, delta("two"));
        assert_eq!(live(&feeds).as_deref(), Some("one two"));
        feeds.publish(
            &chat,
            FeedEvent::TextReplace {
                turn_id: "turn_1".into(),
                text: String::new(),
            },
        );
        feeds.publish(&chat, delta("three"));
        assert_eq!(live(&feeds).as_deref(), Some("three"));
        feeds.publish(&chat, failed("turn_2"));
        assert!(feeds.is_answering(&chat), "another message was refused meanwhile");
        feeds.publish(&chat, failed("turn_1"));
        assert!(!feeds.is_answering(&chat));
    }

    #[test]
    fn a_question_is_known_until_its_turn_ends() {
        let (_, feeds, chat) = feeds();
        feeds.asked(&chat, "turn_1".into(), "first".into());
        feeds.asked(&chat, "turn_2".into(), "second".into());
        feeds.publish(&chat, failed("turn_1"));
        let asked = feeds.state(&chat).asked;
        assert_eq!(
            asked,
            [Asked {
                turn_id: "turn_2".into(),
                text: "second".into()
            }]
        );
        feeds.publish(&chat, failed("turn_2"));
        assert!(feeds.state(&chat).asked.is_empty());
    }

    #[test]
    fn that_a_message_waits_is_not_told_once_it_is_answered() {
        let (_, feeds, chat) = feeds();
        let mut reader = feeds.subscribe(&chat, None);
        let mut told = |turn: &str, place: usize| {
            let notice = FeedEvent::Notice {
                turn_id: turn.into(),
                place,
                paused: false,
                expected_wait_ms: None,
            };
            feeds.publish(&chat, notice);
            texts(&mut reader)
        };
        feeds.asked(&chat, "turn_1".into(), "first".into());
        feeds.asked(&chat, "turn_2".into(), "second".into());
        assert_eq!(told("turn_1", 2), ["notice"]);
        assert_eq!(told("turn_1", 2), [""; 0], "nothing is new");
        assert_eq!(told("turn_1", 1), ["notice"]);
        let began = FeedEvent::TurnStarted {
            turn_id: "turn_1".into(),
        };
        feeds.publish(&chat, began);
        assert_eq!(told("turn_1", 1), ["turn.started"]);
        assert_eq!(told("turn_2", 1), ["notice"]);
        feeds.publish(&chat, failed("turn_1"));
        assert_eq!(told("turn_1", 1), ["turn.failed"]);
    }

    #[test]
    fn a_reader_that_starts_after_a_state_misses_nothing_and_sees_nothing_twice() {
        let (_, feeds, chat) = feeds();
        feeds.publish(
            &chat,
            FeedEvent::TurnStarted {
                turn_id: "turn_1".into(),
            },
        );
        feeds.publish(&chat, delta("one "));
        let state = feeds.state(&chat);
        feeds.publish(&chat, delta("two"));
        let rest = texts(&mut feeds.subscribe(&chat, Some(state.id))).concat();
        assert_eq!(
            state.live.map(|live| live.text + &rest).as_deref(),
            Some("one two")
        );
    }

    #[tokio::test]
    async fn readers_of_a_forgotten_chat_end() {
        let (_, feeds, chat) = feeds();
        let mut reader = feeds.subscribe(&chat, None);
        feeds.publish(&chat, delta("secret"));
        feeds.forget(&chat);
        assert_eq!(reader.next().await, FeedRead::Closed);
        assert!(feeds.is_empty());
    }

    #[test]
    fn an_idle_chat_without_readers_is_forgotten_after_the_resume_window() {
        let (clock, feeds, chat) = feeds();
        let reader = feeds.subscribe(&chat, None);
        clock.advance(Duration::from_secs(601));
        feeds.sweep();
        assert_eq!(feeds.len(), 1, "somebody reads it");
        drop(reader);
        feeds.sweep();
        assert!(feeds.is_empty());
    }

    #[test]
    fn what_waits_for_its_end_is_known_however_long_it_waits() {
        let (clock, feeds, chat) = feeds();
        feeds.asked(&chat, "turn_1".into(), "first".into());
        clock.advance(Duration::from_secs(6_000));
        feeds.sweep();
        assert_eq!(feeds.state(&chat).asked.len(), 1);
        feeds.publish(
            &chat,
            FeedEvent::TurnStarted {
                turn_id: "turn_1".into(),
            },
        );
        clock.advance(Duration::from_secs(6_000));
        feeds.sweep();
        assert!(feeds.is_answering(&chat), "a model that thinks for long");
        feeds.publish(&chat, failed("turn_1"));
        clock.advance(Duration::from_secs(601));
        feeds.sweep();
        assert!(feeds.is_empty());
        // A turn that outlived its chat tells nobody of its end.
        feeds.asked(&chat, "turn_2".into(), "second".into());
        clock.advance(LONGEST_WAIT);
        feeds.sweep();
        assert!(feeds.is_empty());
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (_, feeds, chat) = feeds();
        let feeds = Arc::new(feeds);
        let mut reader = feeds.subscribe(&chat, None);
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        feeds.publish(&chat, delta("news"));
        assert!(matches!(waiting.await.unwrap(), FeedRead::Event { .. }));
    }
}
