//! Tenants in the rotation, and keys that are wanted.

use super::PRIORITIES;
use super::entries::Entries;
use super::slab::{Index, Name, Named, Slab};
use crate::list::{Link, Linked, List, NONE};
use crate::priority::Priority;

/// One tenant's entries of one priority that can be served, in the order they came. Never empty while in use.
// A line of the cache: a turn touches a lane of each of a hundred thousand tenants once.
#[repr(align(64))]
pub(super) struct Lane {
    tenant: Name,
    entries: List,
    /// The sequence of the last entry; kept here so that adding another does not read that one.
    last: u64,
    /// Its neighbours in the rotation.
    link: Link,
    pub(super) priority: Priority,
}

/// All lanes, found by priority and tenant.
#[derive(Default)]
pub(super) struct Lanes {
    slab: Slab<Lane>,
    by_tenant: [Index; PRIORITIES],
}

/// Who wants a key. Exists while it runs or somebody waits.
pub(super) struct Key {
    name: Name,
    pub(super) running: bool,
    /// In the order they came. Unless the key runs, the first of them is in the rotation.
    pub(super) waiting: List,
}

// === impl Lane ===

impl Lane {
    pub(super) fn head(&self) -> u32 {
        self.entries.head
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry by its sequence.
    pub(super) fn add<R>(&mut self, entries: &mut Entries<R>, slot: u32) {
        let sequence = entries.place(slot).sequence;
        let mut before = NONE;
        if self.entries.is_empty() || self.last < sequence {
            self.last = sequence;
        } else {
            // One that waited for its key goes back among the older ones.
            before = self.entries.head;
            while entries.place(before).sequence < sequence {
                before = entries.next_in_lane(before);
            }
        }
        self.entries.insert_before(&mut entries.in_lanes(), slot, before);
    }

    pub(super) fn take_out<R>(&mut self, entries: &mut Entries<R>, slot: u32) {
        let was_last = self.entries.tail == slot;
        self.entries.unlink(&mut entries.in_lanes(), slot);
        if was_last && !self.entries.is_empty() {
            self.last = entries.place(self.entries.tail).sequence;
        }
    }
}

impl Named for Lane {
    fn name(&self) -> &Name {
        &self.tenant
    }

    fn name_mut(&mut self) -> &mut Name {
        &mut self.tenant
    }
}

// === impl Lanes ===

impl Lanes {
    pub(super) fn get(&self, number: u32) -> &Lane {
        self.slab.get(number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Lane {
        self.slab.get_mut(number)
    }

    pub(super) fn find(&self, priority: Priority, tenant: &Name) -> Option<u32> {
        self.by_tenant[priority as usize].find(tenant.hash, &tenant.text, &self.slab)
    }

    /// A lane for a tenant that has none of this priority. It must be given an entry at once.
    pub(super) fn open(&mut self, priority: Priority, tenant: Name) -> u32 {
        let number = self.slab.insert(Lane {
            tenant,
            entries: List::EMPTY,
            last: 0,
            link: Link::NONE,
            priority,
        });
        self.by_tenant[priority as usize].insert(number, &self.slab);
        number
    }

    /// Forgets a lane that is empty and out of the rotation.
    pub(super) fn close(&mut self, number: u32) {
        let priority = self.slab.get(number).priority;
        self.by_tenant[priority as usize].remove(number, &self.slab);
        self.slab.remove(number);
    }

    pub(super) fn len(&self) -> usize {
        self.by_tenant.iter().map(Index::len).sum()
    }

    /// Gives the memory of lanes that are gone back; there must be none left.
    pub(super) fn shrink(&mut self, kept: usize) {
        self.slab = Slab::default();
        for index in &mut self.by_tenant {
            index.shrink_to(kept, &self.slab);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let indexed = self.by_tenant.iter().map(Index::capacity).max();
        indexed.unwrap_or_default().max(self.slab.high_water())
    }
}

impl Linked for Lanes {
    fn link(&mut self, number: u32) -> &mut Link {
        &mut self.slab.get_mut(number).link
    }
}

// === impl Key ===

impl Key {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            running: false,
            waiting: List::EMPTY,
        }
    }
}

impl Named for Key {
    fn name(&self) -> &Name {
        &self.name
    }

    fn name_mut(&mut self) -> &mut Name {
        &mut self.name
    }
}
