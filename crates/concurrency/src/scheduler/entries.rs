//! The waiting entries, in columns.
//!
//! With a million entries nearly every touch of one is a miss of the cache, so what is touched together lies together:
//! 32 bytes that decide about an entry's turn, eight for each other list it is in, and the submission itself, which is
//! written when it comes and read when it goes.

use super::EntryId;
use crate::list::{Link, Linked, NONE};
use crate::work::Submission;

pub(super) struct Entries<R> {
    places: Vec<Place>,
    /// `None` where the slot is free.
    submissions: Vec<Option<Submission<R>>>,
    /// Those in the rotation, by their acceptance.
    pub(super) ages: Vec<Link>,
    /// Those of one key.
    pub(super) keys: Vec<Link>,
    /// Those with a deadline.
    pub(super) deadlines: Vec<Link>,
    free: Vec<u32>,
}

/// Where an entry stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The order of arrival; unique.
    pub(super) sequence: u64,
    /// The bucket of its acceptance.
    pub(super) age: u64,
    /// The lane it can be served from; [`NONE`] while it waits for its key.
    pub(super) lane: u32,
    /// The key it needs; [`NONE`] when it names none.
    pub(super) key: u32,
    /// Its neighbours in the lane.
    in_lane: Link,
}

/// The lanes' links.
pub(super) struct InLanes<'a>(&'a mut [Place]);

// Slots come from the lists, which hold only slots in use: the indices below are in range by construction, never by
// what a caller hands in.
impl<R> Entries<R> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            submissions: Vec::new(),
            ages: Vec::new(),
            keys: Vec::new(),
            deadlines: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn place(&self, slot: u32) -> &Place {
        &self.places[slot as usize]
    }

    pub(super) fn place_mut(&mut self, slot: u32) -> &mut Place {
        &mut self.places[slot as usize]
    }

    pub(super) fn submission(&self, slot: u32) -> Option<&Submission<R>> {
        self.submissions[slot as usize].as_ref()
    }

    /// All that wait, by their slots.
    pub(super) fn queued(&self) -> impl Iterator<Item = (u32, &Submission<R>)> {
        let slots = (0..).zip(&self.submissions);
        slots.filter_map(|(slot, submission)| Some((slot, submission.as_ref()?)))
    }

    pub(super) fn in_lanes(&mut self) -> InLanes<'_> {
        InLanes(&mut self.places)
    }

    /// The next entry of the same lane.
    pub(super) fn next_in_lane(&self, slot: u32) -> u32 {
        self.place(slot).in_lane.next
    }

    pub(super) fn id(&self, slot: u32) -> EntryId {
        EntryId {
            slot,
            sequence: self.place(slot).sequence,
        }
    }

    /// Whether the name, which may be stale, names an entry that waits.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        let slot = id.slot as usize;
        self.places
            .get(slot)
            .is_some_and(|place| place.sequence == id.sequence)
            && self.submissions.get(slot).is_some_and(Option::is_some)
    }

    pub(super) fn insert(&mut self, submission: Submission<R>, sequence: u64, age: u64, key: u32) -> u32 {
        let place = Place {
            sequence,
            age,
            lane: NONE,
            key,
            in_lane: Link::NONE,
        };
        match self.free.pop() {
            Some(slot) => {
                let index = slot as usize;
                self.places[index] = place;
                self.submissions[index] = Some(submission);
                slot
            }
            None => {
                self.places.push(place);
                self.submissions.push(Some(submission));
                self.ages.push(Link::NONE);
                self.keys.push(Link::NONE);
                self.deadlines.push(Link::NONE);
                (self.places.len() - 1) as u32
            }
        }
    }

    /// Frees the slot of an entry that is in no list any more.
    pub(super) fn take(&mut self, slot: u32) -> Option<Submission<R>> {
        let submission = self.submissions[slot as usize].take()?;
        self.free.push(slot);
        Some(submission)
    }

    pub(super) fn capacity(&self) -> usize {
        self.places.capacity()
    }
}

impl Linked for InLanes<'_> {
    fn link(&mut self, slot: u32) -> &mut Link {
        &mut self.0[slot as usize].in_lane
    }
}
