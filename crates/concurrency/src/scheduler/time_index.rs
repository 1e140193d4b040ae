//! Slots by a point in time, in buckets: the cost grows with the logarithm of the number of distinct buckets, not
//! with the number of slots.

use super::list::{End, Linked, List};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct TimeIndex {
    quantum_nanos: u128,
    buckets: BTreeMap<u64, List>,
}

impl TimeIndex {
    /// Buckets of this width; at least one millisecond.
    pub(super) fn new(quantum: Duration) -> Self {
        Self {
            quantum_nanos: quantum.max(Duration::from_millis(1)).as_nanos(),
            buckets: BTreeMap::new(),
        }
    }

    /// The bucket a point in time falls into.
    pub(super) fn bucket(&self, since_origin: Duration) -> u64 {
        u64::try_from(since_origin.as_nanos() / self.quantum_nanos).unwrap_or(u64::MAX)
    }

    /// When everything in the bucket is in the past.
    pub(super) fn end_of(&self, bucket: u64) -> Duration {
        let nanos = (u128::from(bucket) + 1).saturating_mul(self.quantum_nanos);
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }

    pub(super) fn insert(&mut self, store: &mut impl Linked, slot: u32, bucket: u64, end: End) {
        self.buckets
            .entry(bucket)
            .or_insert(List::EMPTY)
            .push(store, slot, end);
    }

    pub(super) fn remove(&mut self, store: &mut impl Linked, slot: u32, bucket: u64) {
        if let Some(list) = self.buckets.get_mut(&bucket) {
            list.unlink(store, slot);
            if list.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// The earliest bucket and the slot that came into it first.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.buckets
            .first_key_value()
            .map(|(bucket, list)| (*bucket, list.head))
    }
}
