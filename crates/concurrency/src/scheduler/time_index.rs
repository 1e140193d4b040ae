//! Slots by a point in time, in buckets: the cost grows with the logarithm of the number of distinct buckets, not
//! with the number of slots.

use crate::list::{End, Linked, List};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct TimeIndex {
    /// The width of a bucket; at most 584 years, as all times here.
    quantum_nanos: u64,
    buckets: BTreeMap<u64, List>,
}

impl TimeIndex {
    /// Buckets of this width; at least one millisecond.
    pub(super) fn new(quantum: Duration) -> Self {
        Self {
            quantum_nanos: nanos(quantum.max(Duration::from_millis(1))),
            buckets: BTreeMap::new(),
        }
    }

    /// The bucket a point in time falls into.
    pub(super) fn bucket(&self, since_origin: Duration) -> u64 {
        nanos(since_origin) / self.quantum_nanos
    }

    /// When everything in the bucket is in the past.
    pub(super) fn end_of(&self, bucket: u64) -> Duration {
        bucket
            .checked_add(1)
            .and_then(|next| next.checked_mul(self.quantum_nanos))
            .map_or(Duration::MAX, Duration::from_nanos)
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

/// In arithmetic of 64 bits, which is several times faster than that of the duration's own 128.
fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_one_begins_and_the_last_one_never() {
        let index = TimeIndex::new(Duration::from_millis(4));
        for millis in [0, 3, 4, 5, 4_000_001] {
            let time = Duration::from_millis(millis);
            let end = index.end_of(index.bucket(time));
            assert!(end > time && end <= time + Duration::from_millis(4), "{millis}");
        }
        assert_eq!(index.end_of(index.bucket(Duration::MAX)), Duration::MAX);
    }
}
