//! Maps by a worker's number.
//!
//! Numbers are given out by the pool, one after the other, so that nobody outside can choose them to collide: a
//! multiplication spreads them well enough, at a tenth of the cost of a keyed hash.

use crate::lifecycle::WorkerId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type ByWorker<V> = HashMap<WorkerId, V, BuildHasherDefault<NumberHasher>>;

/// Hashes one number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

/// An odd number with no pattern in its bits: 2 to the power of 64, divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    /// A table takes the lowest bits for the place and the highest seven to tell who is there.
    #[test]
    fn workers_numbered_one_after_the_other_spread_over_a_table() {
        let hasher = BuildHasherDefault::<NumberHasher>::default();
        let hashes: Vec<u64> = (0..4_096).map(|n| hasher.hash_one(WorkerId::new(n))).collect();
        let places: HashSet<u64> = hashes.iter().map(|hash| hash % 4_096).collect();
        assert_eq!(places.len(), 4_096, "each has a place of its own");
        let told_apart: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(told_apart.len(), 128);
    }
}
