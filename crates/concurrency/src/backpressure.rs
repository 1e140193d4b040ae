//! How loaded the pool is, and what follows from it. Pure arithmetic.

use crate::config::ConcurrencyConfig;

/// How much the queue weighs in the level; the workers weigh the rest.
const QUEUE_WEIGHT: f64 = 0.7;
const WORKER_WEIGHT: f64 = 0.3;
/// Below this level the fewest workers are enough.
const CALM: f64 = 0.5;
/// From this level on the most are wanted.
const FULL: f64 = 0.8;
/// Levels that are equal on paper may differ in the last bits of a double; this is far below one waiting request.
const SLACK: f64 = 1e-9;

/// The load of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backpressure {
    queue_pressure: f64,
    worker_utilization: f64,
}

// === impl Backpressure ===

impl Backpressure {
    /// From what waits, what may wait, and the workers with and without a request.
    pub fn measure(queue_depth: usize, max_queue_size: usize, active: usize, idle: usize) -> Self {
        let workers = active.saturating_add(idle);
        Self {
            queue_pressure: ratio(queue_depth, max_queue_size.max(1)).min(1.0),
            worker_utilization: if workers == 0 { 0.0 } else { ratio(active, workers) },
        }
    }

    /// The level, 0 (calm) to 1 (overloaded):
    /// `min(queueDepth / maxQueueSize, 1) * 0.7 + active / (active + idle) * 0.3`.
    pub fn level(self) -> f64 {
        (self.queue_pressure * QUEUE_WEIGHT + self.worker_utilization * WORKER_WEIGHT).min(1.0)
    }

    /// Whether new requests are refused.
    pub fn should_reject(self, config: &ConcurrencyConfig) -> bool {
        self.level() + SLACK >= config.backpressure_threshold
    }

    /// How many workers the load asks for: `min_workers` below 0.5, `max_workers` from 0.8 on, in between in
    /// proportion and rounded up.
    pub fn suggest_worker_count(self, config: &ConcurrencyConfig) -> usize {
        let range = config.max_workers.saturating_sub(config.min_workers);
        let slope = ((self.level() - CALM) / (FULL - CALM)).clamp(0.0, 1.0);
        let more = (slope * range as f64 - SLACK).ceil();
        // At most `range`; what is below zero becomes zero. The cast loses nothing.
        config.min_workers.saturating_add(more as usize)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(depth: usize, active: usize, idle: usize) -> Backpressure {
        Backpressure::measure(depth, 32, active, idle)
    }

    #[test]
    fn manual_4_formula() {
        let cases = [
            ((0, 0, 0), 0.0),
            ((0, 0, 4), 0.0),
            ((0, 4, 0), 0.3),
            ((0, 1, 3), 0.075),
            ((16, 0, 4), 0.35),
            ((16, 2, 2), 0.5),
            ((18, 4, 0), 0.693_75),
            ((19, 4, 0), 0.715_625),
            ((32, 4, 0), 1.0),
            ((64, 4, 0), 1.0),
            ((64, 0, 0), 0.7),
        ];
        for ((depth, active, idle), expected) in cases {
            let measured = level(depth, active, idle).level();
            assert!(
                (measured - expected).abs() < 1e-12,
                "{depth} {active} {idle}: {measured}"
            );
        }
    }

    #[test]
    fn manual_4_refusal_from_the_threshold_on() {
        let config = ConcurrencyConfig::default();
        assert!(!level(18, 4, 0).should_reject(&config));
        assert!(level(19, 4, 0).should_reject(&config));
        // Exactly at the threshold counts, whatever the last bits say.
        assert!(Backpressure::measure(4, 7, 1, 0).should_reject(&config));
        let on_paper = Backpressure::measure(37, 49, 4, 3);
        assert!(
            on_paper.level() < 0.7,
            "the doubles fall short of 37/49 · 0.7 + 4/7 · 0.3 = 0.7"
        );
        assert!(on_paper.should_reject(&config));
        assert!(level(32, 0, 4).should_reject(&config));
    }

    #[test]
    fn manual_4_suggested_worker_count() {
        let config = ConcurrencyConfig {
            min_workers: 2,
            max_workers: 8,
            ..ConcurrencyConfig::default()
        };
        let suggest = |queue_pressure: f64, worker_utilization: f64| {
            Backpressure {
                queue_pressure,
                worker_utilization,
            }
            .suggest_worker_count(&config)
        };
        assert_eq!(suggest(0.0, 0.0), 2);
        assert_eq!(suggest(0.199 / 0.7, 1.0), 2, "0.499");
        assert_eq!(suggest(0.2 / 0.7, 1.0), 2, "0.5 is the foot of the slope");
        assert_eq!(suggest(0.21 / 0.7, 1.0), 3, "0.51 is rounded up");
        assert_eq!(suggest(0.35 / 0.7, 1.0), 5, "0.65 is half way");
        assert_eq!(suggest(0.499 / 0.7, 1.0), 8, "0.799 is rounded up");
        assert_eq!(suggest(0.5 / 0.7, 1.0), 8, "0.8");
        assert_eq!(suggest(1.0, 1.0), 8);
        let on_paper = Backpressure::measure(5, 14, 1, 0);
        // 5/14 · 0.7 + 0.3 is 0.55, a sixth of the slope; the doubles end above it.
        assert_eq!(
            on_paper.suggest_worker_count(&config),
            3,
            "one of six more, not two"
        );
    }

    proptest! {
        #[test]
        fn the_level_is_between_0_and_1_and_grows_with_what_waits(
            depth in 0_usize..1000, limit in 1_usize..500, active in 0_usize..100, idle in 0_usize..100,
        ) {
            let now = Backpressure::measure(depth, limit, active, idle).level();
            let more = Backpressure::measure(depth + 1, limit, active, idle).level();
            prop_assert!((0.0..=1.0).contains(&now));
            prop_assert!(more >= now);
        }

        #[test]
        fn the_suggestion_is_within_bounds_and_grows_with_the_level(
            min in 1_usize..20, range in 0_usize..50, low in 0_usize..33, more in 0_usize..33,
        ) {
            let config = ConcurrencyConfig { min_workers: min, max_workers: min + range, ..ConcurrencyConfig::default() };
            let fewer = level(low, 1, 0).suggest_worker_count(&config);
            let greater = level(low + more, 1, 0).suggest_worker_count(&config);
            prop_assert!((min..=min + range).contains(&fewer));
            prop_assert!(greater >= fewer);
        }
    }
}
