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
