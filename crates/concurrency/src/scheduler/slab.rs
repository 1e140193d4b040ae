//! Things with names, by number: a slab, and an index from names to numbers.
//!
//! Names come from outside, so they are hashed with a key nobody outside knows. Each is hashed once when it comes; the
//! hash stays with the thing, so that finding it again to forget it, and growing the index, hash nothing.

use hashbrown::HashTable;
use std::sync::Arc;

/// Things by number. Numbers of things that are gone are used again.
pub(super) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

/// A name and its hash.
#[derive(Clone)]
pub(super) struct Name {
    pub(super) text: Arc<str>,
    pub(super) hash: u64,
}

pub(super) trait Named {
    fn name(&self) -> &Name;
    fn name_mut(&mut self) -> &mut Name;
}

/// Numbers by name. The names stand with what has the numbers.
#[derive(Default)]
pub(super) struct Index(HashTable<u32>);

// === impl Slab ===

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            free: Vec::new(),
        }
    }
}

// Numbers come from indices and entries, which hold only numbers in use: in range by construction.
impl<T: Named> Slab<T> {
    pub(super) fn get(&self, number: u32) -> &T {
        &self.items[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.items[number as usize]
    }

    pub(super) fn insert(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(number) => {
                *self.get_mut(number) = item;
                number
            }
            None => {
                self.items.push(item);
                (self.items.len() - 1) as u32
            }
        }
    }

    /// Frees the number. The name is let go of at once; it may be long.
    pub(super) fn remove(&mut self, number: u32) {
        self.get_mut(number).name_mut().text = Arc::default();
        self.free.push(number);
    }

    /// How many have been in use at once.
    pub(super) fn high_water(&self) -> usize {
        self.items.len()
    }
}

// === impl Index ===

impl Index {
    pub(super) fn find<T: Named>(&self, hash: u64, name: &str, slab: &Slab<T>) -> Option<u32> {
        let matches = |number: &u32| {
            let own = slab.get(*number).name();
            own.hash == hash && *own.text == *name
        };
        self.0.find(hash, matches).copied()
    }

    /// Enters a number that is not in the index, under a name that is not.
    pub(super) fn insert<T: Named>(&mut self, number: u32, slab: &Slab<T>) {
        let hash = slab.get(number).name().hash;
        self.0
            .insert_unique(hash, number, |number| slab.get(*number).name().hash);
    }

    pub(super) fn remove<T: Named>(&mut self, number: u32, slab: &Slab<T>) {
        let hash = slab.get(number).name().hash;
        if let Ok(entry) = self.0.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Shrinks back after a flood, to what so many need.
    pub(super) fn shrink_to<T: Named>(&mut self, kept: usize, slab: &Slab<T>) {
        if self.0.capacity() > kept.saturating_mul(2) {
            self.0.shrink_to(kept, |number| slab.get(*number).name().hash);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for Name {
        fn name(&self) -> &Name {
            self
        }

        fn name_mut(&mut self) -> &mut Name {
            self
        }
    }

    fn name(text: &str, hash: u64) -> Name {
        Name {
            text: text.into(),
            hash,
        }
    }

    #[test]
    fn names_of_the_same_hash_are_told_apart() {
        let mut slab = Slab::default();
        let mut index = Index::default();
        for text in ["a", "b"] {
            let number = slab.insert(name(text, 7));
            index.insert(number, &slab);
        }
        assert_eq!(index.find(7, "a", &slab), Some(0));
        assert_eq!(index.find(7, "b", &slab), Some(1));
        assert_eq!(index.find(7, "c", &slab), None);
        index.remove(1, &slab);
        assert_eq!(
            (index.find(7, "a", &slab), index.find(7, "b", &slab)),
            (Some(0), None)
        );
    }

    #[test]
    fn the_number_of_what_is_gone_is_used_again_and_its_name_let_go_of() {
        let mut slab = Slab::default();
        let long: Arc<str> = "a name".into();
        for _ in 0..3 {
            let number = slab.insert(Name {
                text: Arc::clone(&long),
                hash: 7,
            });
            assert_eq!(number, 0);
            slab.remove(number);
            assert_eq!(Arc::strong_count(&long), 1);
        }
        assert_eq!(slab.high_water(), 1);
    }
}
