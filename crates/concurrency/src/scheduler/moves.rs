//! How an entry moves between the lists it stands in: its tenant's lane, the line of its key, its age, its deadline.

use super::entries::Entries;
use super::lane::Key;
use super::slab::{Name, Slab};
use super::{EntryId, KEPT, PriorityScheduler, Scheduled};
use crate::list::{End, NONE};
use crate::priority::Priority;
use crate::work::Submission;
use openclaw_core::Monotonic;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

impl<R> PriorityScheduler<R> {
    pub(super) fn insert(&mut self, submission: Submission<R>, sequence: u64, end: End) -> EntryId {
        let priority = submission.priority;
        let deadline = submission.deadline;
        let age = self.ages.bucket(submission.accepted_at.since_origin());
        let tenant = Name {
            hash: self.hasher.hash_one(&*submission.tenant),
            text: Arc::clone(&submission.tenant),
        };
        let key = submission.exclusive.as_ref().map_or(NONE, |key| {
            // Where a tenant's work is its own key, as it often is, one hash serves both.
            let hash = if Arc::ptr_eq(key, &tenant.text) {
                tenant.hash
            } else {
                self.hasher.hash_one(&**key)
            };
            self.key(hash, key)
        });
        let slot = self.entries.insert(submission, sequence, age, key);
        self.len += 1;
        self.waiting[priority as usize] += 1;
        if let Some(deadline) = deadline {
            let bucket = self.deadline_bucket(deadline);
            self.deadlines
                .insert(&mut self.entries.deadlines, slot, bucket, End::Back);
        }
        let ready = key == NONE || {
            let key = self.keys.get_mut(key);
            key.waiting.push(&mut self.entries.keys, slot, end);
            !key.running && key.waiting.head == slot
        };
        if ready {
            self.enter_lane(slot, priority, tenant, end);
        }
        EntryId { slot, sequence }
    }

    /// The number of a key, which is remembered from now on.
    pub(super) fn key(&mut self, hash: u64, name: &Arc<str>) -> u32 {
        if let Some(known) = self.keys_by_name.find(hash, name, &self.keys) {
            return known;
        }
        let name = Name {
            hash,
            text: Arc::clone(name),
        };
        let number = self.keys.insert(Key::new(name));
        self.keys_by_name.insert(number, &self.keys);
        number
    }

    pub(super) fn find_key(&self, name: &str) -> Option<u32> {
        self.keys_by_name
            .find(self.hasher.hash_one(name), name, &self.keys)
    }

    pub(super) fn forget_key(&mut self, number: u32) {
        self.keys_by_name.remove(number, &self.keys);
        self.keys.remove(number);
    }

    /// Makes an entry that waited for its key one that can be served.
    pub(super) fn enter_rotation(&mut self, slot: u32) {
        let Some(submission) = self.entries.submission(slot) else {
            return;
        };
        let priority = submission.priority;
        let tenant = Name {
            hash: self.hasher.hash_one(&*submission.tenant),
            text: Arc::clone(&submission.tenant),
        };
        self.enter_lane(slot, priority, tenant, End::Back);
    }

    /// Makes an entry one that can be served: at its place among its tenant's entries, its tenant in the rotation.
    fn enter_lane(&mut self, slot: u32, priority: Priority, tenant: Name, end: End) {
        let rotation = &mut self.rotations[priority as usize];
        let number = match self.lanes.find(priority, &tenant) {
            Some(number) => {
                if end == End::Front {
                    rotation.unlink(&mut self.lanes, number);
                    rotation.push(&mut self.lanes, number, End::Front);
                }
                number
            }
            None => {
                let number = self.lanes.open(priority, tenant);
                rotation.push(&mut self.lanes, number, end);
                number
            }
        };
        self.lanes.get_mut(number).add(&mut self.entries, slot);
        let place = self.entries.place_mut(slot);
        place.lane = number;
        let bucket = place.age;
        self.ages.insert(&mut self.entries.ages, slot, bucket, end);
    }

    /// The reverse. Says which lane it left, if that is still there.
    pub(super) fn leave_rotation(&mut self, slot: u32) -> Option<u32> {
        let place = self.entries.place_mut(slot);
        let number = std::mem::replace(&mut place.lane, NONE);
        let bucket = place.age;
        self.ages.remove(&mut self.entries.ages, slot, bucket);
        let lane = self.lanes.get_mut(number);
        lane.take_out(&mut self.entries, slot);
        if !lane.is_empty() {
            return Some(number);
        }
        self.rotations[lane.priority as usize].unlink(&mut self.lanes, number);
        self.lanes.close(number);
        None
    }

    /// Takes an entry that is not in the rotation out of everything else. Its key's next moves up.
    pub(super) fn take_out(&mut self, id: EntryId) -> Option<Scheduled<R>> {
        let key = self.entries.place(id.slot).key;
        let submission = self.entries.take(id.slot)?;
        self.len -= 1;
        self.waiting[submission.priority as usize] -= 1;
        if let Some(deadline) = submission.deadline {
            let bucket = self.deadline_bucket(deadline);
            self.deadlines
                .remove(&mut self.entries.deadlines, id.slot, bucket);
        }
        if key != NONE {
            let own = self.keys.get_mut(key);
            own.waiting.unlink(&mut self.entries.keys, id.slot);
            let next = own.waiting.head;
            if !own.running {
                if next == NONE {
                    self.forget_key(key);
                } else if self.entries.place(next).lane == NONE {
                    self.enter_rotation(next);
                }
            }
        }
        self.let_go_of_memory();
        Some(Scheduled { id, submission })
    }

    /// A deadline is due from the first whole millisecond on that is not before it.
    fn deadline_bucket(&self, deadline: Monotonic) -> u64 {
        let just_before = deadline.since_origin().saturating_sub(Duration::from_nanos(1));
        self.deadlines.bucket(just_before)
    }

    /// After a flood the queue shrinks back; small ones keep what they have.
    pub(super) fn let_go_of_memory(&mut self) {
        if self.len > 0 {
            return;
        }
        if self.entries.capacity() > KEPT {
            self.entries = Entries::new();
            self.lanes.shrink(KEPT);
        }
        if self.keys_by_name.len() == 0 && self.keys.high_water() > KEPT {
            self.keys = Slab::default();
            self.keys_by_name.shrink_to(KEPT, &self.keys);
        }
    }
}
