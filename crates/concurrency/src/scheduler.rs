//! Who is served next.
//!
//! Four priorities, strictly ordered; within one, tenants take turns, and one tenant's entries stay in the order they
//! came. Entries that name a key they need alone are in the rotation one per key: the others of the key wait outside
//! it, in their order and whatever their priority, until the one before them is done.
//!
//! The rotation is a ring of tenants that have something to serve, not an index into a list that is rebuilt: a tenant
//! is served at the front and goes to the back, so that the order of arrival does not matter. Entries live in the
//! columns of a slab and are linked into the lists they belong to, which makes every operation a handful of writes
//! whatever the number of tenants or entries; tenants and keys are hashed once, when an entry comes. Two things cost
//! more, and only a tenant's own entries pay for them: an entry whose key
//! becomes free is put back among the tenant's entries by walking past the older ones, and points in time are found
//! through a tree of buckets.
//!
//! A plain value: no lock, no clock. It stores nothing of a tenant that has nothing waiting, and nothing of a key that
//! neither runs nor waits.

mod entries;
mod lane;
mod moves;

mod slab;
mod time_index;

use self::entries::Entries;
use self::lane::{Key, Lanes};
use self::slab::{Index, Slab};
use self::time_index::TimeIndex;
use crate::error::QueueFullError;
use crate::list::{End, List, NONE};
use crate::priority::Priority;
use crate::work::Submission;
use openclaw_core::Monotonic;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A queue that decides who is served next.
///
/// # How long the least urgent waits
///
/// Strict priority alone could make an entry wait for ever. With `L` the starvation limit and `q = max(L / 256, 1 ms)`
/// the precision ages are compared to:
///
/// - An entry is starved when it has waited for `L`, at the latest for `L + q`, since its acceptance. Never before `L`.
/// - From then on, as long as it can be served, it is served among the next `2 · (k + 1)` entries that
///   [`PriorityScheduler::dequeue`] gives as [`Dequeued::Ready`], whatever else arrives. `k` counts the other entries
///   that can be served (now, or before it is) and were accepted no later, to the precision `q`, or stand ahead of
///   such an entry, or of this one, in their tenant's line of the same priority.
/// - The reverse: at most every second entry is served for its age, so that what is urgent has at least half of the
///   turns however much is starved.
///
/// The reason: each turn by age takes one of those `k`, or the entry itself, and no two turns by age are more than one
/// turn by priority apart. What arrives later is younger, so that `k` only shrinks, unless something accepted long ago
/// is entered late or becomes free of its key.
pub struct PriorityScheduler<R> {
    limit: usize,
    starvation_limit: Duration,
    entries: Entries<R>,
    /// Tenants with something to serve, per priority.
    lanes: Lanes,
    rotations: [List; PRIORITIES],
    keys: Slab<Key>,
    keys_by_name: Index,
    /// Keyed by chance: the names come from outside.
    hasher: RandomState,
    /// Entries in the rotation, by their acceptance.
    ages: TimeIndex,
    /// All entries that have a deadline, by it.
    deadlines: TimeIndex,
    waiting: [usize; PRIORITIES],
    len: usize,
    last_sequence: u64,
    /// Whether the last entry was served for its age: the next one is not.
    served_by_age: bool,
    starved_served: u64,
}

/// Names a waiting entry. Stale ones name nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId {
    pub(crate) slot: u32,
    pub(crate) sequence: u64,
}

/// An entry that left the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheduled<R> {
    /// The name it had.
    pub id: EntryId,
    /// What was enqueued.
    pub submission: Submission<R>,
}

/// An entry that waits, looked at where it stands.
#[derive(Debug)]
pub struct Queued<'a, R> {
    /// Its name.
    pub id: EntryId,
    /// What was enqueued.
    pub submission: &'a Submission<R>,
    /// Whether it could be served now. Otherwise it waits for its key.
    pub ready: bool,
}

/// What a dequeue gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Dequeued<R> {
    /// Next to be served. Its key, if it names one, is taken until [`PriorityScheduler::release`].
    Ready(Scheduled<R>),
    /// Would have been next, but its deadline has passed. Its key is not taken.
    Expired(Scheduled<R>),
}

/// An entry was not taken: the queue is full. The entry is given back.
pub struct Rejected<R> {
    /// How full.
    pub error: QueueFullError,
    /// What was to be enqueued.
    pub submission: Submission<R>,
}

const PRIORITIES: usize = Priority::ALL.len();
/// Ages are compared to this part of the starvation limit.
const AGE_PRECISION: u32 = 256;
/// Capacity that is kept when the queue runs empty.
const KEPT: usize = 1024;

// === impl PriorityScheduler ===

impl<R> PriorityScheduler<R> {
    /// An empty queue for at most `limit` entries. An entry that has waited longer than `starvation_limit` since its
    /// acceptance is served next, at most every second time.
    pub fn new(limit: usize, starvation_limit: Duration) -> Self {
        Self {
            // Slots are numbered with 32 bits, and the last two numbers are none.
            limit: limit.min(NONE as usize - 1),
            starvation_limit,
            entries: Entries::new(),
            lanes: Lanes::default(),
            rotations: [List::EMPTY; PRIORITIES],
            keys: Slab::default(),
            keys_by_name: Index::default(),
            hasher: RandomState::new(),
            ages: TimeIndex::new(starvation_limit / AGE_PRECISION),
            deadlines: TimeIndex::new(Duration::ZERO),
            waiting: [0; PRIORITIES],
            len: 0,
            last_sequence: 0,
            served_by_age: false,
            starved_served: 0,
        }
    }

    /// Puts an entry at the end of its tenant's line.
    ///
    /// # Errors
    ///
    /// When the queue is full; the entry is given back.
    pub fn enqueue(&mut self, submission: Submission<R>) -> Result<EntryId, Rejected<R>> {
        if self.len >= self.limit {
            let error = QueueFullError {
                size: self.len,
                limit: self.limit,
            };
            return Err(Rejected { error, submission });
        }
        self.last_sequence = self.last_sequence.saturating_add(1);
        Ok(self.insert(submission, self.last_sequence, End::Back))
    }

    /// Lets an entry through that would be served at once: as [`PriorityScheduler::enqueue`] followed by
    /// [`PriorityScheduler::dequeue`], without a place in any line.
    ///
    /// # Errors
    ///
    /// When another could be served before it, its deadline has passed, its key is taken or the queue is full; nothing
    /// has changed and the submission is given back.
    pub fn pass(&mut self, submission: Submission<R>, now: Monotonic) -> Result<Scheduled<R>, Submission<R>> {
        let expired = submission.deadline.is_some_and(|deadline| deadline <= now);
        if self.has_ready() || expired || self.len >= self.limit {
            return Err(submission);
        }
        if let Some(name) = &submission.exclusive {
            let hash = self.hasher.hash_one(&**name);
            // Known keys run: with nothing ready, whoever waits for one waits for its run to end.
            if self.keys_by_name.find(hash, name, &self.keys).is_some() {
                return Err(submission);
            }
            let key = self.key(hash, name);
            self.keys.get_mut(key).running = true;
        }
        self.last_sequence = self.last_sequence.saturating_add(1);
        let age = self.ages.bucket(submission.accepted_at.since_origin());
        self.served_by_age = !self.served_by_age && self.is_starved(age, now);
        self.starved_served += u64::from(self.served_by_age);
        let id = EntryId {
            slot: NONE,
            sequence: self.last_sequence,
        };
        Ok(Scheduled { id, submission })
    }

    /// Puts an entry back that was just taken out, before everything of its tenant and its tenant before the others.
    /// Frees its key. The entry had a place, so the limit does not apply.
    pub fn requeue_front(&mut self, scheduled: Scheduled<R>) -> EntryId {
        if let Some(name) = &scheduled.submission.exclusive
            && let Some(number) = self.find_key(name)
        {
            let key = self.keys.get_mut(number);
            key.running = false;
            let head = key.waiting.head;
            if head != NONE && self.entries.place(head).lane != NONE {
                // Only when the key was released before: the one that moved up steps back.
                self.leave_rotation(head);
            }
        }
        self.insert(scheduled.submission, scheduled.id.sequence, End::Front)
    }

    /// Takes out the entry to be served next. `None` when nothing can be served: the queue is empty or every entry
    /// waits for a key that runs.
    pub fn dequeue(&mut self, now: Monotonic) -> Option<Dequeued<R>> {
        let starved = if self.served_by_age {
            None
        } else {
            self.starved_lane(now)
        };
        let lane = starved.or_else(|| self.next_lane())?;
        let slot = self.lanes.get(lane).head();
        let id = self.entries.id(slot);
        let deadline = self.entries.submission(slot)?.deadline;
        if deadline.is_some_and(|deadline| deadline <= now) {
            return self.remove(id).map(Dequeued::Expired);
        }
        self.served_by_age = starved.is_some();
        self.starved_served += u64::from(starved.is_some());
        let key = self.entries.place(slot).key;
        if key != NONE {
            self.keys.get_mut(key).running = true;
        }
        // Whoever is served goes to the back of the rotation; with nothing left the lane is gone.
        let turn = self.leave_rotation(slot);
        if let Some(lane) = turn {
            let rotation = &mut self.rotations[self.lanes.get(lane).priority as usize];
            rotation.unlink(&mut self.lanes, lane);
            rotation.push(&mut self.lanes, lane, End::Back);
        }
        self.take_out(id).map(Dequeued::Ready)
    }

    /// Frees a key: the next entry that waits for it, if any, comes back into the rotation. A key that does not run
    /// is left as it is.
    pub fn release(&mut self, key: &str) {
        if let Some(number) = self.find_key(key) {
            self.release_number(number);
        }
    }

    fn release_number(&mut self, number: u32) {
        let key = self.keys.get_mut(number);
        if !std::mem::replace(&mut key.running, false) {
            return;
        }
        let next = key.waiting.head;
        if next == NONE {
            self.forget_key(number);
            self.let_go_of_memory();
        } else {
            self.enter_rotation(next);
        }
    }

    /// Takes an entry out, wherever it stands. `None` when it is not waiting.
    pub fn remove(&mut self, id: EntryId) -> Option<Scheduled<R>> {
        if !self.entries.holds(id) {
            return None;
        }
        if self.entries.place(id.slot).lane != NONE {
            // The next of its key moves up first: if it is of the same tenant, that tenant keeps its turn.
            let next = self
                .entries
                .keys
                .get(id.slot as usize)
                .map_or(NONE, |link| link.next);
            if next != NONE {
                self.enter_rotation(next);
            }
            self.leave_rotation(id.slot);
        }
        self.take_out(id)
    }

    /// Takes out all entries whose deadline has passed, in the order of their deadlines. Deadlines count in whole
    /// milliseconds here; [`PriorityScheduler::dequeue`] never serves an entry past its own.
    pub fn expire(&mut self, now: Monotonic) -> Vec<Scheduled<R>> {
        let mut expired = Vec::new();
        while let Some((bucket, slot)) = self.deadlines.first() {
            if self.deadlines.end_of(bucket) > now.since_origin() {
                break;
            }
            match self.remove(self.entries.id(slot)) {
                Some(entry) => expired.push(entry),
                None => break,
            }
        }
        expired
    }

    /// When [`PriorityScheduler::expire`] will next have something to take out.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines
            .first()
            .map(|(bucket, _)| Monotonic::from_origin(self.deadlines.end_of(bucket)))
    }

    /// Takes out everything, in the order it would be served if nothing else came and every key were free at once.
    pub fn drain(&mut self, now: Monotonic) -> Vec<Submission<R>> {
        let keys = self.keys_by_name.numbers();
        let running: Vec<u32> = keys.filter(|key| self.keys.get(*key).running).collect();
        for key in running {
            self.release_number(key);
        }
        let mut drained = Vec::with_capacity(self.len);
        while let Some(dequeued) = self.dequeue(now) {
            let (Dequeued::Ready(entry) | Dequeued::Expired(entry)) = dequeued;
            if let Some(key) = &entry.submission.exclusive {
                self.release(key);
            }
            drained.push(entry.submission);
        }
        drained
    }

    /// Everything that waits, in no order. Costs a look at every slot the queue has had at once lately.
    pub fn queued(&self) -> impl Iterator<Item = Queued<'_, R>> {
        self.entries.queued().map(|(slot, submission)| Queued {
            id: self.entries.id(slot),
            submission,
            ready: self.entries.place(slot).lane != NONE,
        })
    }

    /// Whether an entry could be served now.
    pub fn has_ready(&self) -> bool {
        self.rotations.iter().any(|rotation| !rotation.is_empty())
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries of one priority wait.
    pub fn len_of(&self, priority: Priority) -> usize {
        self.waiting[priority as usize]
    }

    /// How many entries may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// When the oldest entry that could be served was accepted, to a 256th of the starvation limit.
    pub fn oldest_ready(&self) -> Option<Monotonic> {
        let (_, slot) = self.ages.first()?;
        self.entries
            .submission(slot)
            .map(|submission| submission.accepted_at)
    }

    /// How many entries were served for their age so far.
    pub fn starved_served(&self) -> u64 {
        self.starved_served
    }

    /// Tenants, per priority, and keys of which anything is remembered.
    pub fn remembered(&self) -> usize {
        self.lanes.len() + self.keys_by_name.len()
    }

    /// The first lane of the most urgent rotation.
    fn next_lane(&self) -> Option<u32> {
        self.rotations
            .iter()
            .map(|rotation| rotation.head)
            .find(|lane| *lane != NONE)
    }

    /// The lane of the oldest entry, when that has waited too long. The lane's first entry is the one to serve: a
    /// tenant's order is kept even where times of acceptance contradict it.
    fn starved_lane(&self, now: Monotonic) -> Option<u32> {
        let (bucket, slot) = self.ages.first()?;
        self.is_starved(bucket, now)
            .then(|| self.entries.place(slot).lane)
    }

    /// Whether all of an age have waited too long.
    fn is_starved(&self, bucket: u64, now: Monotonic) -> bool {
        let youngest = Monotonic::from_origin(self.ages.end_of(bucket));
        youngest <= now && now.saturating_since(youngest) >= self.starvation_limit
    }
}

impl<R> fmt::Debug for PriorityScheduler<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityScheduler")
            .field("waiting", &self.waiting)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

// === impl Rejected ===

impl<R> fmt::Debug for Rejected<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_memory_of_a_flood_is_given_back_and_that_of_a_trickle_kept() {
        let mut scheduler = PriorityScheduler::new(100_000, Duration::from_secs(30));
        for (entries, keeps) in [(KEPT, true), (KEPT * 8, false)] {
            for n in 0..entries {
                let submission = Submission::new(n, format!("tenant{n}"), Monotonic::ZERO);
                scheduler.enqueue(submission).expect("there is room");
            }
            while scheduler.dequeue(Monotonic::ZERO).is_some() {}
            assert_eq!(scheduler.entries.capacity() > 0, keeps, "{entries} entries");
            let lanes = scheduler.lanes.capacity();
            assert!(lanes <= 4 * KEPT, "{lanes}");
        }
    }

    #[test]
    fn the_memory_of_a_flood_of_keys_is_given_back_when_the_last_of_them_is_free() {
        let mut scheduler = PriorityScheduler::new(100_000, Duration::from_secs(30));
        for (keys, keeps) in [(KEPT, true), (KEPT + 1, false), (KEPT * 8, false)] {
            for n in 0..keys {
                let mut submission = Submission::new(n, "tenant", Monotonic::ZERO);
                submission.exclusive = Some(format!("key{n}").into());
                scheduler.enqueue(submission).expect("there is room");
            }
            while scheduler.dequeue(Monotonic::ZERO).is_some() {}
            // Nothing waits, and yet every key is to be remembered: it runs.
            assert_eq!(scheduler.remembered(), keys);
            for n in 0..keys {
                assert_eq!(scheduler.keys.high_water(), keys);
                scheduler.release(&format!("key{n}"));
            }
            assert_eq!(scheduler.remembered(), 0);
            assert_eq!(scheduler.keys.high_water() > 0, keeps, "{keys} keys");
            let indexed = scheduler.keys_by_name.capacity();
            assert!(indexed <= 4 * KEPT, "{indexed}");
        }
    }

    #[test]
    fn what_comes_and_goes_while_another_waits_takes_the_memory_of_the_one_before() {
        let mut scheduler = PriorityScheduler::new(10, Duration::from_secs(30));
        let patient = Submission {
            priority: Priority::Low,
            ..Submission::new(0, "patient", Monotonic::ZERO)
        };
        scheduler.enqueue(patient).expect("there is room");
        for n in 1..=100 {
            let submission = Submission::new(n, format!("tenant{n}"), Monotonic::ZERO);
            scheduler.enqueue(submission).expect("there is room");
            let Some(Dequeued::Ready(next)) = scheduler.dequeue(Monotonic::ZERO) else {
                panic!("two wait");
            };
            assert_eq!(next.submission.request, n);
        }
        let kept = (scheduler.entries.capacity(), scheduler.lanes.capacity());
        assert!(kept.0 <= 8 && kept.1 <= 8, "{kept:?}");
    }

    #[test]
    fn a_tenant_keeps_its_turn_when_the_next_of_a_removed_entrys_key_is_its_own() {
        let mut scheduler = PriorityScheduler::new(10, Duration::from_secs(30));
        let mut put = |tenant: &str, n: u32, key: Option<&str>| {
            let mut submission = Submission::new(n, tenant, Monotonic::ZERO);
            submission.exclusive = key.map(Arc::from);
            scheduler.enqueue(submission).expect("there is room")
        };
        let first = put("a", 1, Some("key"));
        put("a", 2, Some("key"));
        put("b", 3, None);
        assert!(scheduler.remove(first).is_some());
        let Some(Dequeued::Ready(next)) = scheduler.dequeue(Monotonic::ZERO) else {
            panic!("two wait");
        };
        assert_eq!(next.submission.request, 2, "it is still a's turn");
    }
}
