//! Doubly linked lists over slots of a slab: every operation is a few writes, whatever the length.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// A slot's neighbours in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) prev: u32,
    pub(crate) next: u32,
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) head: u32,
    pub(crate) tail: u32,
}

/// Where the links of one kind of list are kept.
pub(crate) trait Linked {
    fn link(&mut self, slot: u32) -> &mut Link;
}

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

impl Link {
    pub(crate) const NONE: Self = Self {
        prev: NONE,
        next: NONE,
    };
}

/// Links that stand alone, side by side: neighbours that are only relinked cost eight bytes of cache each.
// Slots come from lists, which hold only slots in use: the index is in range by construction.
impl Linked for Vec<Link> {
    fn link(&mut self, slot: u32) -> &mut Link {
        &mut self[slot as usize]
    }
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };

    pub(crate) fn is_empty(self) -> bool {
        self.head == NONE
    }

    pub(crate) fn push(&mut self, store: &mut impl Linked, slot: u32, end: End) {
        match end {
            End::Front => self.insert_before(store, slot, self.head),
            End::Back => self.insert_before(store, slot, NONE),
        }
    }

    /// Puts `slot` before `before`; at the back when that is [`NONE`].
    pub(crate) fn insert_before(&mut self, store: &mut impl Linked, slot: u32, before: u32) {
        let prev = if before == NONE {
            self.tail
        } else {
            store.link(before).prev
        };
        *store.link(slot) = Link { prev, next: before };
        if prev == NONE {
            self.head = slot;
        } else {
            store.link(prev).next = slot;
        }
        if before == NONE {
            self.tail = slot;
        } else {
            store.link(before).prev = slot;
        }
    }

    /// Takes `slot`, which must be in this list, out of it.
    pub(crate) fn unlink(&mut self, store: &mut impl Linked, slot: u32) {
        let Link { prev, next } = std::mem::replace(store.link(slot), Link::NONE);
        if prev == NONE {
            self.head = next;
        } else {
            store.link(prev).next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            store.link(next).prev = prev;
        }
    }
}
