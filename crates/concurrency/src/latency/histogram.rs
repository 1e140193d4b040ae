//! Counts of latencies in an HDR histogram's buckets: exact below 256 µs, above that 128 to each doubling, so that a
//! value is known to less than 1 %.
//!
//! Counts are summed by doubling as they come, and what leaves a window is subtracted from it. A quantile then looks
//! at a few dozen sums and the 128 counts of one doubling, where a histogram that keeps counts alone adds up thousands:
//! whoever reads it may hold the lock meanwhile.

/// Buckets to each doubling.
const FINE: usize = 128;
/// Doublings, the first of which holds what is exact, in two halves.
const DOUBLINGS: usize = 31;

/// Latencies in microseconds, up to [`Histogram::LONGEST`].
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u32]>,
    sums: [u64; DOUBLINGS],
    count: u64,
}

// === impl Histogram ===

impl Histogram {
    /// The longest that is told from longer ones: a day.
    pub(super) const LONGEST: u64 = 24 * 60 * 60 * 1_000_000;

    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; FINE * DOUBLINGS].into(),
            sums: [0; DOUBLINGS],
            count: 0,
        }
    }

    pub(super) fn record(&mut self, micros: u64) {
        let bucket = bucket(micros.min(Self::LONGEST));
        if let (Some(count), Some(sum)) = (self.counts.get_mut(bucket), self.sums.get_mut(bucket / FINE))
            && *count < u32::MAX
        {
            *count += 1;
            *sum += 1;
            self.count += 1;
        }
    }

    /// Takes out what `other` holds, all of which was recorded here as well.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (count, gone) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_sub(*gone);
        }
        for (sum, gone) in self.sums.iter_mut().zip(&other.sums) {
            *sum = sum.saturating_sub(*gone);
        }
        self.count = self.count.saturating_sub(other.count);
    }

    /// The largest latency in the bucket that so large a part of all does not exceed; zero when there is none.
    pub(super) fn at_quantile(&self, quantile: f64) -> u64 {
        // At most `count`, which fits; the cast loses nothing that matters.
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut before = 0;
        for (doubling, sum) in self.sums.iter().enumerate() {
            if before + sum < rank {
                before += sum;
                continue;
            }
            let first = doubling * FINE;
            for (bucket, count) in self.counts.iter().enumerate().skip(first).take(FINE) {
                before += u64::from(*count);
                if before >= rank {
                    return largest_in(bucket);
                }
            }
        }
        0
    }
}

/// Which bucket a value falls into.
fn bucket(micros: u64) -> usize {
    let doubling = micros.max(1).ilog2().saturating_sub(7);
    doubling as usize * FINE + (micros >> doubling) as usize
}

/// The largest value of a bucket.
fn largest_in(bucket: usize) -> u64 {
    let doubling = (bucket / FINE).saturating_sub(1);
    let within = (bucket - doubling * FINE) as u64;
    ((within + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap_up_to_a_day() {
        assert_eq!((bucket(0), largest_in(0)), (0, 0));
        for number in 1..FINE * DOUBLINGS {
            let first = largest_in(number - 1) + 1;
            assert_eq!((bucket(first), bucket(largest_in(number))), (number, number));
        }
        assert!(bucket(Histogram::LONGEST) < FINE * DOUBLINGS);
        assert!(largest_in(FINE * DOUBLINGS - 1) >= Histogram::LONGEST);
    }

    #[test]
    fn what_is_longer_than_the_longest_counts_as_that_long() {
        let mut histogram = Histogram::new();
        histogram.record(u64::MAX);
        let told = histogram.at_quantile(1.0);
        assert!(
            (Histogram::LONGEST..=Histogram::LONGEST / 100 * 101).contains(&told),
            "{told}"
        );
    }

    #[test]
    fn a_bucket_that_is_full_counts_no_further_and_what_is_summed_agrees_with_it() {
        let mut histogram = Histogram::new();
        histogram.counts[bucket(5)] = u32::MAX - 1;
        histogram.sums[0] = u64::from(u32::MAX) - 1;
        histogram.count = u64::from(u32::MAX) - 1;
        for _ in 0..3 {
            histogram.record(5);
        }
        assert_eq!(histogram.counts[bucket(5)], u32::MAX);
        assert_eq!(
            (histogram.sums[0], histogram.count),
            (u64::from(u32::MAX), u64::from(u32::MAX))
        );
        histogram.record(6);
        assert_eq!(histogram.at_quantile(1.0), 6);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_what_is_left(
            gone in proptest::collection::vec(0_u64..100_000_000_000, 0..50),
            mut left in proptest::collection::vec(0_u64..80_000_000_000, 0..200),
            quantile in 0.0_f64..=1.0,
        ) {
            let (mut all, mut others) = (Histogram::new(), Histogram::new());
            for value in &gone {
                all.record(*value);
                others.record(*value);
            }
            left.iter().for_each(|value| all.record(*value));
            all.subtract(&others);
            left.sort_unstable();
            let rank = ((quantile * left.len() as f64).ceil() as usize).max(1);
            let exact = left.get(rank - 1).copied().unwrap_or(0);
            let told = all.at_quantile(quantile);
            prop_assert!(told >= exact && (told - exact) * 100 <= exact, "{told} for {exact}");
        }
    }
}
