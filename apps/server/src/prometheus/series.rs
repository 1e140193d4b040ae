//! Counters and histograms with labels, bounded in the number of their series.

use super::Exposition;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most series of one metric; what comes after is counted under labels that are all `other`.
const MAX_SERIES: usize = 512;
/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// A counter with labels.
#[derive(Debug)]
pub(crate) struct CounterVec<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    /// Grows to `MAX_SERIES` and no further.
    series: RwLock<BTreeMap<[&'static str; N], Arc<AtomicU64>>>,
}

/// A histogram of durations with labels.
#[derive(Debug)]
pub(crate) struct HistogramVec<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    /// Grows to `MAX_SERIES` and no further.
    series: RwLock<BTreeMap<[&'static str; N], Arc<Histogram>>>,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

// === impl CounterVec ===

impl<const N: usize> CounterVec<N> {
    /// A counter without series.
    pub(crate) const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self {
            name,
            help,
            labels,
            series: RwLock::new(BTreeMap::new()),
        }
    }

    /// Counts one.
    pub(crate) fn bump(&self, values: [&'static str; N]) {
        self.add(values, 1);
    }

    /// Counts several.
    pub(crate) fn add(&self, values: [&'static str; N], count: u64) {
        series(&self.series, values).fetch_add(count, Ordering::Relaxed);
    }

    #[cfg(test)]
    /// The count of a series; 0 when it was never counted.
    pub(crate) fn get(&self, values: [&'static str; N]) -> u64 {
        self.series
            .read()
            .get(&values)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        out.head(self.name, "counter", self.help);
        for (values, counter) in self.series.read().iter() {
            out.sample(
                self.name,
                &pairs(&self.labels, values),
                counter.load(Ordering::Relaxed) as f64,
            );
        }
    }
}

// === impl HistogramVec ===

impl<const N: usize> HistogramVec<N> {
    /// A histogram without series.
    pub(crate) const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self {
            name,
            help,
            labels,
            series: RwLock::new(BTreeMap::new()),
        }
    }

    /// Counts one duration.
    pub(crate) fn observe(&self, values: [&'static str; N], duration: Duration) {
        let histogram = series(&self.series, values);
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .and_then(|at| histogram.buckets.get(at))
        {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        histogram.count.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        histogram.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        out.head(self.name, "histogram", self.help);
        for (values, histogram) in self.series.read().iter() {
            let labels = pairs(&self.labels, values);
            // Read before the buckets: a count that is added meanwhile must not make a bucket exceed `+Inf`.
            let counts: Vec<u64> = histogram
                .buckets
                .iter()
                .map(|bucket| bucket.load(Ordering::Relaxed))
                .collect();
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(counts) {
                below += count;
                let bound = bound.to_string();
                let with_bound: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
                out.sample(&format!("{}_bucket", self.name), &with_bound, below as f64);
            }
            let count = histogram.count.load(Ordering::Relaxed).max(below);
            let with_bound: Vec<_> = labels.iter().copied().chain([("le", "+Inf")]).collect();
            out.sample(&format!("{}_bucket", self.name), &with_bound, count as f64);
            let sum = histogram.sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
            out.sample(&format!("{}_sum", self.name), &labels, sum);
            out.sample(&format!("{}_count", self.name), &labels, count as f64);
        }
    }
}

fn series<const N: usize, T: Default>(
    map: &RwLock<BTreeMap<[&'static str; N], Arc<T>>>,
    values: [&'static str; N],
) -> Arc<T> {
    if let Some(found) = map.read().get(&values) {
        return Arc::clone(found);
    }
    let mut map = map.write();
    let values = if map.len() < MAX_SERIES || map.contains_key(&values) {
        values
    } else {
        ["other"; N]
    };
    Arc::clone(map.entry(values).or_default())
}

fn pairs<'a, const N: usize>(labels: &[&'a str; N], values: &[&'a str; N]) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().zip(values.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Exposition)) -> String {
        let mut out = Exposition::default();
        write(&mut out);
        out.finish()
    }

    #[test]
    fn buckets_add_up_and_end_with_all() {
        let histogram = HistogramVec::new("h", "help", ["route"]);
        for millis in [1, 5, 6, 70_000] {
            histogram.observe(["/x"], Duration::from_millis(millis));
        }
        let text = text(|out| histogram.write(out));
        assert!(text.contains("h_bucket{route=\"/x\",le=\"0.005\"} 2\n"), "{text}");
        assert!(text.contains("h_bucket{route=\"/x\",le=\"0.01\"} 3\n"));
        assert!(text.contains("h_bucket{route=\"/x\",le=\"60\"} 3\n"));
        assert!(text.contains("h_bucket{route=\"/x\",le=\"+Inf\"} 4\n"));
        assert!(text.contains("h_count{route=\"/x\"} 4\n"));
        assert!(text.contains("h_sum{route=\"/x\"} 70.012\n"));
    }

    #[test]
    fn series_are_bounded() {
        let counter = CounterVec::new("c", "help", ["n"]);
        for number in 0..MAX_SERIES + 10 {
            counter.bump([number.to_string().leak()]);
        }
        assert_eq!(counter.series.read().len(), MAX_SERIES + 1);
        assert_eq!(counter.get(["other"]), 10);
    }
}
