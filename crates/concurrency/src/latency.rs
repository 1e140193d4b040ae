//! Latencies over a sliding window, in slices: a slice that has left the window is dropped whole.
//!
//! The window's sum and counts are kept as latencies come and slices go, so that a reader holds the lock for a look at
//! them: neither it nor whoever records does work that grows with the window.

mod histogram;

use self::histogram::Histogram;
use crate::sync::Mutex;
use openclaw_core::Monotonic;
use std::collections::VecDeque;
use std::time::Duration;

/// Slices a window is made of.
const SLICES: u64 = 20;
/// How far back the throughput reaches.
const MINUTE_MILLIS: u64 = 60_000;

/// The recent past.
#[derive(Debug)]
pub(crate) struct LatencyWindow {
    /// How long a slice is; whole milliseconds, so that finding one takes one short division.
    slice_millis: u64,
    /// Guards the slices; held to record one value, to look at the sums, or to let a slice go.
    slices: Mutex<Slices>,
}

/// What the window says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latencies {
    pub(crate) avg_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) completed_last_minute: u64,
}

#[derive(Debug)]
struct Slices {
    current: Slice,
    /// Closed slices, oldest first, at most [`SLICES`].
    closed: VecDeque<Slice>,
    /// All slices together.
    window: Counts,
    minute: Minute,
}

/// Completions of the last 60 s, to the millisecond.
#[derive(Debug, Default)]
struct Minute {
    /// Which millisecond and how many in it, oldest first. One entry per millisecond that had any, so that there are
    /// at most 60 000 whatever the load.
    completions: VecDeque<(u64, u64)>,
    total: u64,
}

#[derive(Debug)]
struct Slice {
    number: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    /// `None` until the first value, so that an idle pool holds no tables.
    histogram: Option<Histogram>,
    sum_micros: u64,
    /// What of it was not waiting.
    run_micros: u64,
    count: u64,
}

// === impl LatencyWindow ===

impl LatencyWindow {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            slice_millis: in_millis(window).div_ceil(SLICES).max(1),
            slices: Mutex::new(Slices {
                current: Slice::new(0),
                closed: VecDeque::new(),
                window: Counts::default(),
                minute: Minute::default(),
            }),
        }
    }

    /// Notes one request's latency, and how much of it a worker had it; `completed` when its worker brought it to an end.
    pub(crate) fn record(&self, now: Monotonic, latency: Duration, ran: Duration, completed: bool) {
        let number = self.slice_at(now);
        let mut slices = self.slices.lock();
        slices.move_on(number);
        let micros = micros(latency).min(Histogram::LONGEST);
        let run = self::micros(ran).min(micros);
        slices.current.counts.record(micros, run);
        slices.window.record(micros, run);
        if completed {
            slices.minute.record(millis(now));
        }
    }

    pub(crate) fn read(&self, now: Monotonic) -> Latencies {
        let number = self.slice_at(now);
        let mut slices = self.slices.lock();
        slices.move_on(number);
        let completed_last_minute = slices.minute.read(millis(now));
        let window = &slices.window;
        let in_millis = |micros: f64| micros / 1_000.0;
        let percentile = |quantile| {
            let histogram = window.histogram.as_ref();
            histogram.map_or(0.0, |histogram| in_millis(histogram.at_quantile(quantile) as f64))
        };
        Latencies {
            avg_ms: if window.count == 0 {
                0.0
            } else {
                in_millis(window.sum_micros as f64 / window.count as f64)
            },
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            completed_last_minute,
        }
    }

    /// How long a request keeps its worker, on average; `None` when the window is empty.
    pub(crate) fn mean_run(&self, now: Monotonic) -> Option<Duration> {
        let number = self.slice_at(now);
        let mut slices = self.slices.lock();
        slices.move_on(number);
        let micros = slices.window.run_micros.checked_div(slices.window.count)?;
        Some(Duration::from_micros(micros))
    }

    fn slice_at(&self, now: Monotonic) -> u64 {
        millis(now) / self.slice_millis
    }
}

// === impl Slices ===

impl Slices {
    /// Closes the current slice when its time is over and drops what has left the window.
    fn move_on(&mut self, number: u64) {
        if number > self.current.number {
            let closed = std::mem::replace(&mut self.current, Slice::new(number));
            if closed.counts.count > 0 {
                self.closed.push_back(closed);
            }
        }
        while let Some(slice) = self
            .closed
            .pop_front_if(|slice| slice.number.saturating_add(SLICES) <= number)
        {
            self.window.subtract(&slice.counts);
        }
    }
}

// === impl Minute ===

impl Minute {
    fn record(&mut self, at: u64) {
        self.forget(at);
        // Threads may come here in another order than they read the clock.
        let at = self.completions.back().map_or(at, |(newest, _)| at.max(*newest));
        match self.completions.back_mut() {
            Some((newest, count)) if *newest == at => *count = count.saturating_add(1),
            Some(_) | None => self.completions.push_back((at, 1)),
        }
        self.total = self.total.saturating_add(1);
    }

    fn read(&mut self, at: u64) -> u64 {
        self.forget(at);
        self.total
    }

    fn forget(&mut self, at: u64) {
        while let Some((oldest, count)) = self.completions.front()
            && oldest.saturating_add(MINUTE_MILLIS) <= at
        {
            self.total = self.total.saturating_sub(*count);
            self.completions.pop_front();
        }
    }
}

// === impl Slice ===

impl Slice {
    fn new(number: u64) -> Self {
        Self {
            number,
            counts: Counts::default(),
        }
    }
}

// === impl Counts ===

impl Counts {
    fn record(&mut self, micros: u64, run: u64) {
        self.run_micros = self.run_micros.saturating_add(run);
        self.histogram.get_or_insert_with(Histogram::new).record(micros);
        self.sum_micros = self.sum_micros.saturating_add(micros);
        self.count = self.count.saturating_add(1);
    }

    /// Takes out what `other` holds, all of which was recorded here as well.
    fn subtract(&mut self, other: &Self) {
        self.sum_micros = self.sum_micros.saturating_sub(other.sum_micros);
        self.run_micros = self.run_micros.saturating_sub(other.run_micros);
        self.count = self.count.saturating_sub(other.count);
        if self.count == 0 {
            self.histogram = None;
        } else if let (Some(own), Some(gone)) = (&mut self.histogram, &other.histogram) {
            own.subtract(gone);
        }
    }
}

fn millis(now: Monotonic) -> u64 {
    in_millis(now.since_origin())
}

// In arithmetic of 64 bits, which is several times faster than that of the duration's own 128.

fn in_millis(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000)
        .saturating_add(u64::from(duration.subsec_millis()))
}

fn micros(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_secs(seconds))
    }

    fn window() -> LatencyWindow {
        LatencyWindow::new(Duration::from_secs(300))
    }

    #[test]
    fn an_empty_window_says_zero() {
        assert_eq!(window().read(at(1000)), Latencies::default());
    }

    #[test]
    fn throughput_is_of_the_last_60_seconds_to_the_millisecond() {
        let window = window();
        for second in 0..100 {
            window.record(at(second), Duration::from_millis(1), Duration::ZERO, true);
            window.record(at(second), Duration::from_millis(1), Duration::ZERO, false);
        }
        assert_eq!(window.read(at(99)).completed_last_minute, 60);
        let just_before = at(100) - Duration::from_millis(1);
        assert_eq!(
            window.read(just_before).completed_last_minute,
            60,
            "40 s ago is not 60"
        );
        assert_eq!(window.read(at(100)).completed_last_minute, 59);
        assert_eq!(window.read(at(129)).completed_last_minute, 30);
        assert_eq!(window.read(at(1000)).completed_last_minute, 0);
        assert!(
            window.slices.lock().minute.completions.is_empty(),
            "nothing is kept of them"
        );
    }

    #[test]
    fn latencies_leave_with_their_slice() {
        let window = window();
        window.record(at(0), Duration::from_secs(9), Duration::ZERO, true);
        window.record(at(200), Duration::from_secs(1), Duration::ZERO, true);
        assert!((window.read(at(299)).avg_ms - 5000.0).abs() < 1e-6);
        assert!((window.read(at(315)).avg_ms - 1000.0).abs() < 1e-6);
        assert_eq!(window.read(at(2000)).p99_ms, 0.0);
        assert!(window.slices.lock().closed.len() <= SLICES as usize);
    }

    #[test]
    fn what_is_kept_grows_with_time_and_not_with_the_load() {
        let window = window();
        for _ in 0..1_000 {
            window.record(at(7), Duration::from_millis(3), Duration::ZERO, true);
        }
        {
            let slices = window.slices.lock();
            assert_eq!(slices.closed.len(), 0, "a slice is closed when its time is over");
            assert_eq!(slices.minute.completions.len(), 1, "one entry per millisecond");
        }
        window.read(at(100));
        assert_eq!(window.slices.lock().closed.len(), 1);
        for second in 101..400 {
            window.read(at(second));
        }
        assert_eq!(window.slices.lock().closed.len(), 0, "an empty slice is not kept");
    }

    #[test]
    fn what_nobody_reads_is_forgotten_all_the_same() {
        let window = window();
        for second in 0..1_000 {
            window.record(at(second), Duration::from_millis(3), Duration::ZERO, true);
        }
        let slices = window.slices.lock();
        assert_eq!(slices.minute.completions.len(), 60);
        assert!(slices.closed.len() <= SLICES as usize);
    }

    #[test]
    fn threads_that_come_in_another_order_than_they_read_the_clock_lose_nothing() {
        let window = window();
        window.record(at(70), Duration::from_secs(2), Duration::ZERO, true);
        window.record(at(5), Duration::from_secs(4), Duration::ZERO, true);
        let read = window.read(at(70));
        assert_eq!((read.completed_last_minute, read.avg_ms), (2, 3_000.0));
        assert_eq!(window.read(at(130)).completed_last_minute, 0);
    }

    #[test]
    fn a_latency_is_counted_in_full_up_to_a_day() {
        for (hours, counted) in [(12, 12), (24, 24), (48, 24)] {
            let window = window();
            window.record(at(0), Duration::from_secs(hours * 3_600), Duration::ZERO, true);
            let exact = (counted * 3_600_000) as f64;
            let read = window.read(at(0));
            assert_eq!(read.avg_ms, exact);
            assert!(
                (read.p99_ms - exact).abs() <= exact * 0.01,
                "{} for {exact}",
                read.p99_ms
            );
        }
    }

    proptest! {
        /// Against the plain list of everything: the throughput is that of the last 60 s, and mean and percentiles are
        /// those of the last 20 slices, the one being written included.
        #[test]
        fn the_window_slides_exactly(
            records in proptest::collection::vec((0_u64..40_000, 1_u64..50_000_000, any::<bool>()), 1..200),
            reads in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let window = window();
            let slice = 15_000;
            let mut now = 0;
            let mut all: Vec<(u64, u64, bool)> = Vec::new();
            for ((pause, latency, completed), read) in records.into_iter().zip(reads) {
                // Bursts, pauses and, now and then, a long silence.
                now += if pause < 20_000 { pause / 200 } else if pause < 39_000 { pause } else { pause * 20 };
                let at = |millis| Monotonic::from_origin(Duration::from_millis(millis));
                let run = latency - latency / 3;
                window.record(at(now), Duration::from_micros(latency), Duration::from_micros(run), completed);
                all.push((now, latency, completed));
                if !read {
                    continue;
                }
                now += pause % 977;
                let measured = window.read(at(now));
                let minute = all.iter().filter(|(when, _, completed)| *completed && when + 60_000 > now).count();
                prop_assert_eq!(measured.completed_last_minute, minute as u64);
                let mut inside: Vec<u64> = all
                    .iter()
                    .filter(|(when, _, _)| when / slice + SLICES > now / slice)
                    .map(|(_, latency, _)| *latency)
                    .collect();
                inside.sort_unstable();
                let run = inside.iter().map(|latency| latency - latency / 3).sum::<u64>();
                let run = run.checked_div(inside.len() as u64).map(Duration::from_micros);
                prop_assert_eq!(window.mean_run(at(now)), run);
                let mean = inside.iter().sum::<u64>() as f64 / 1_000.0 / inside.len().max(1) as f64;
                prop_assert!((measured.avg_ms - mean).abs() <= mean * 1e-9, "{} for {mean}", measured.avg_ms);
                for (quantile, measured) in [(0.95, measured.p95_ms), (0.99, measured.p99_ms)] {
                    let rank = ((inside.len() as f64 * quantile).ceil() as usize).max(1);
                    let exact = inside.get(rank - 1).map_or(0.0, |micros| *micros as f64 / 1_000.0);
                    prop_assert!((measured - exact).abs() <= exact * 0.01, "{quantile}: {measured} for {exact}");
                }
            }
        }

        #[test]
        fn percentiles_are_right_to_one_percent(
            mut values in proptest::collection::vec(1_u64..5_000_000, 1..300),
        ) {
            let window = window();
            for (index, value) in values.iter().enumerate() {
                window.record(at(index as u64 % 250), Duration::from_micros(*value), Duration::ZERO, true);
            }
            let read = window.read(at(250));
            values.sort_unstable();
            for (quantile, measured) in [(0.95, read.p95_ms), (0.99, read.p99_ms)] {
                let rank = ((values.len() as f64 * quantile).ceil() as usize).clamp(1, values.len());
                let exact = values[rank - 1] as f64 / 1000.0;
                prop_assert!((measured - exact).abs() <= exact * 0.01 + 1e-9, "{quantile}: {measured} for {exact}");
            }
        }
    }
}
