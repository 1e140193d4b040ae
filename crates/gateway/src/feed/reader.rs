//! Reading a chat's events: a position in its ring, and nothing else.

use super::{Feed, FeedEvent};
use std::sync::Arc;

/// A chat's events, from some point on.
#[derive(Debug)]
pub struct FeedReader {
    pub(super) feed: Arc<Feed>,
    /// The id of the last event seen.
    pub(super) position: u64,
}

/// What a reader got.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedRead {
    /// The next event.
    Event {
        /// Its id.
        id: u64,
        /// The event.
        event: Arc<FeedEvent>,
    },
    /// The ring does not hold what follows the reader's position. The reader goes on after `id`; what stands in the
    /// chat up to there is read from the history.
    Reset {
        /// The position the reader is at now.
        id: u64,
    },
    /// The chat was forgotten; nothing comes any more.
    Closed,
}

// === impl FeedReader ===

impl FeedReader {
    /// The id of the last event that was read, or where reading began.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What already waits, if anything.
    pub fn try_next(&mut self) -> Option<FeedRead> {
        let ring = self.feed.ring.lock();
        if ring.closed {
            return Some(FeedRead::Closed);
        }
        if self.position == ring.last_id {
            return None;
        }
        let first = ring.events.front().map_or(ring.last_id + 1, |(id, _)| *id);
        if self.position > ring.last_id || self.position + 1 < first {
            self.position = ring.last_id;
            return Some(FeedRead::Reset { id: ring.last_id });
        }
        // Ids in the ring are consecutive.
        let offset = usize::try_from(self.position + 1 - first).unwrap_or(usize::MAX);
        let (id, event) = ring.events.get(offset)?;
        self.position = *id;
        Some(FeedRead::Event {
            id: *id,
            event: Arc::clone(event),
        })
    }

    /// The next event. Dropping the future loses nothing: the position moves only when an event is returned.
    pub async fn next(&mut self) -> FeedRead {
        loop {
            let feed = Arc::clone(&self.feed);
            let news = feed.news.notified();
            tokio::pin!(news);
            // Registered before looking, so that an event in between is not slept through.
            news.as_mut().enable();
            if let Some(read) = self.try_next() {
                return read;
            }
            news.await;
        }
    }
}
