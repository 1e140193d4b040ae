//! Metrics as Prometheus reads them: counters that are bumped where things happen, and gauges taken from snapshots when
//! somebody asks.
//!
//! Labels are of small closed sets; a label's value is a `&'static str` or a short name of the configuration, never an
//! id of a tenant, user, chat, message or session. Base units, `_total` for counters.

pub(crate) mod fabric;

use fabric::FabricCounters;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
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

/// The counters of the server. Bumping one is a look-up and an atomic addition.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Requests by route and status.
    pub(crate) http_requests: CounterVec<2>,
    /// Time of requests by route and status; of a stream until its first byte.
    pub(crate) http_duration: HistogramVec<2>,
    /// Webhook calls by platform and outcome: `accepted`, `duplicate`, `ignored`, `unauthorized`, `malformed`, `refused`.
    pub(crate) webhooks: CounterVec<2>,
    /// Messages by platform, direction and outcome.
    pub(crate) messages: CounterVec<3>,
    /// Requests the pool refused, by reason and tier.
    pub(crate) refused: CounterVec<2>,
    /// Requests refused by a messenger's limit.
    pub(crate) rate_limited: CounterVec<1>,
    /// Outbox deliveries tried again, by platform and reason.
    pub(crate) outbox_retries: CounterVec<2>,
    /// Wait and work of a request of the pool, by outcome.
    pub(crate) request_duration: HistogramVec<1>,
    /// Time from a message to the first text of its answer.
    pub(crate) first_text: HistogramVec<1>,
    /// Event handlers that failed, by event.
    pub(crate) event_handler_errors: CounterVec<1>,
    /// Reloads of the configuration by outcome.
    pub(crate) config_reloads: CounterVec<1>,
    /// What the AI fabric does.
    pub(crate) fabric: FabricCounters,
}

/// The eleven metrics of the manual and what they are made of, as the pool tells them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PoolSnapshot {
    /// Workers that run a request, draining ones with a request too.
    pub(crate) active_workers: u64,
    /// Free workers.
    pub(crate) idle_workers: u64,
    /// Draining workers.
    pub(crate) draining_workers: u64,
    /// Workers without a heartbeat.
    pub(crate) stuck_workers: u64,
    /// Waiting requests by priority: critical, high, normal, low.
    pub(crate) queue_depth: [u64; 4],
    /// Ended requests.
    pub(crate) total_processed: u64,
    /// Those of them that failed, by outcome: `error`, `timeout`, `stuck`, `out_of_memory`.
    pub(crate) errors: Vec<(&'static str, u64)>,
    /// Mean latency in the window, ms.
    pub(crate) avg_latency_ms: f64,
    /// 95th percentile in the window, ms.
    pub(crate) p95_latency_ms: f64,
    /// 99th percentile in the window, ms.
    pub(crate) p99_latency_ms: f64,
    /// Requests ended in the last 60 s.
    pub(crate) throughput_per_minute: f64,
    /// 0 to 1.
    pub(crate) backpressure_level: f64,
    /// Refuse at or above.
    pub(crate) backpressure_threshold: f64,
    /// Lower bound of the pool.
    pub(crate) min_workers: u64,
    /// Upper bound of the pool.
    pub(crate) max_workers: u64,
    /// Places in the queue.
    pub(crate) max_queue_size: u64,
}

/// Text in Prometheus' exposition format, metric by metric.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
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

    fn write(&self, out: &mut Exposition) {
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

    fn write(&self, out: &mut Exposition) {
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

// === impl Counters ===

impl Default for Counters {
    fn default() -> Self {
        Self {
            http_requests: CounterVec::new(
                "openclaw_http_requests_total",
                "HTTP requests",
                ["route", "status"],
            ),
            http_duration: HistogramVec::new(
                "openclaw_http_request_duration_seconds",
                "Time of HTTP requests; of a stream until its first byte",
                ["route", "status"],
            ),
            webhooks: CounterVec::new(
                "openclaw_webhooks_total",
                "Webhook calls",
                ["platform", "outcome"],
            ),
            messages: CounterVec::new(
                "openclaw_messages_total",
                "Messages received and sent",
                ["platform", "direction", "outcome"],
            ),
            refused: CounterVec::new(
                "openclaw_requests_refused_total",
                "Requests the pool refused",
                ["reason", "tier"],
            ),
            rate_limited: CounterVec::new(
                "openclaw_rate_limited_total",
                "Requests refused by a messenger's limit",
                ["platform"],
            ),
            outbox_retries: CounterVec::new(
                "openclaw_outbox_retries_total",
                "Deliveries tried again",
                ["platform", "reason"],
            ),
            request_duration: HistogramVec::new(
                "openclaw_request_duration_seconds",
                "Wait and work of a request of the pool",
                ["outcome"],
            ),
            first_text: HistogramVec::new(
                "openclaw_first_text_seconds",
                "Time from a message to the first text of its answer",
                ["platform"],
            ),
            event_handler_errors: CounterVec::new(
                "openclaw_event_handler_errors_total",
                "Event handlers that failed",
                ["event_type"],
            ),
            config_reloads: CounterVec::new(
                "openclaw_config_reloads_total",
                "Reloads of the configuration",
                ["outcome"],
            ),
            fabric: FabricCounters::default(),
        }
    }
}

impl Counters {
    /// Appends all of them.
    pub(crate) fn write(&self, out: &mut Exposition) {
        self.http_requests.write(out);
        self.http_duration.write(out);
        self.webhooks.write(out);
        self.messages.write(out);
        self.refused.write(out);
        self.rate_limited.write(out);
        self.outbox_retries.write(out);
        self.request_duration.write(out);
        self.first_text.write(out);
        self.event_handler_errors.write(out);
        self.config_reloads.write(out);
        self.fabric.write(out);
    }
}

/// The text of a status for a label: the usual ones, else its class.
pub(crate) fn status_label(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        412 => "412",
        413 => "413",
        422 => "422",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ if status.is_informational() => "1xx",
        _ if status.is_success() => "2xx",
        _ if status.is_redirection() => "3xx",
        _ if status.is_client_error() => "4xx",
        _ => "5xx",
    }
}

// === impl PoolSnapshot ===

impl PoolSnapshot {
    /// Appends the manual's metrics under their Prometheus names.
    pub(crate) fn write(&self, out: &mut Exposition) {
        out.head("openclaw_workers", "gauge", "Workers by state");
        let states = [
            ("idle", self.idle_workers),
            ("busy", self.active_workers),
            ("draining", self.draining_workers),
            ("stuck", self.stuck_workers),
            // A dead worker leaves the pool at once.
            ("dead", 0),
        ];
        for (state, count) in states {
            out.sample("openclaw_workers", &[("state", state)], count as f64);
        }
        out.head("openclaw_queue_depth", "gauge", "Waiting requests by priority");
        for (priority, count) in ["critical", "high", "normal", "low"]
            .into_iter()
            .zip(self.queue_depth)
        {
            out.sample("openclaw_queue_depth", &[("priority", priority)], count as f64);
        }
        out.head("openclaw_requests_total", "counter", "Ended requests by outcome");
        let failed = self
            .errors
            .iter()
            .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let answered = self.total_processed.saturating_sub(failed);
        out.sample("openclaw_requests_total", &[("outcome", "ok")], answered as f64);
        for (outcome, count) in &self.errors {
            out.sample("openclaw_requests_total", &[("outcome", outcome)], *count as f64);
        }
        out.head(
            "openclaw_request_latency_seconds",
            "gauge",
            "Latency of requests in the window",
        );
        let latencies = [
            ("avg", self.avg_latency_ms),
            ("p95", self.p95_latency_ms),
            ("p99", self.p99_latency_ms),
        ];
        for (stat, millis) in latencies {
            out.sample(
                "openclaw_request_latency_seconds",
                &[("stat", stat)],
                millis / 1_000.0,
            );
        }
        out.gauge(
            "openclaw_requests_per_minute",
            "Requests ended in the last 60 s",
            self.throughput_per_minute,
        );
        out.gauge(
            "openclaw_backpressure_level",
            "0 is calm, 1 is overload",
            self.backpressure_level,
        );
        let queued = self.queue_depth.iter().sum::<u64>() as f64;
        let pressure = if self.max_queue_size == 0 {
            0.0
        } else {
            (queued / self.max_queue_size as f64).min(1.0)
        };
        let workers = self.active_workers.saturating_add(self.idle_workers);
        let utilisation = if workers == 0 {
            0.0
        } else {
            self.active_workers as f64 / workers as f64
        };
        out.gauge(
            "openclaw_backpressure_level_queue",
            "The queue's part of the level",
            pressure * 0.7,
        );
        out.gauge(
            "openclaw_backpressure_level_workers",
            "The workers' part of the level",
            utilisation * 0.3,
        );
        out.gauge(
            "openclaw_backpressure_threshold",
            "Requests are refused at or above",
            self.backpressure_threshold,
        );
        out.gauge(
            "openclaw_workers_min",
            "Lower bound of the pool",
            self.min_workers as f64,
        );
        out.gauge(
            "openclaw_workers_max",
            "Upper bound of the pool",
            self.max_workers as f64,
        );
        out.gauge(
            "openclaw_queue_max_size",
            "Places in the queue",
            self.max_queue_size as f64,
        );
    }
}

// === impl Exposition ===

impl Exposition {
    /// The media type of the text.
    pub(crate) const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric; its samples follow.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.text.push(if position == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = if value.is_nan() {
            writeln!(self.text, " NaN")
        } else if value.is_infinite() {
            writeln!(self.text, " {}Inf", if value > 0.0 { '+' } else { '-' })
        } else {
            writeln!(self.text, " {value}")
        };
    }

    /// A metric of one value without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A counter of one value without labels.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value as f64);
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
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
    fn the_eleven_metrics_have_their_prometheus_names() {
        let pool = PoolSnapshot {
            active_workers: 4,
            idle_workers: 0,
            stuck_workers: 1,
            queue_depth: [0, 1, 8, 10],
            total_processed: 100,
            errors: vec![("error", 2), ("timeout", 1), ("stuck", 0), ("out_of_memory", 0)],
            avg_latency_ms: 1_500.0,
            p95_latency_ms: 2_000.0,
            p99_latency_ms: 2_500.0,
            throughput_per_minute: 12.0,
            backpressure_level: 0.715_625,
            max_queue_size: 32,
            ..PoolSnapshot::default()
        };
        let text = text(|out| pool.write(out));
        for line in [
            "openclaw_workers{state=\"busy\"} 4",
            "openclaw_workers{state=\"idle\"} 0",
            "openclaw_workers{state=\"stuck\"} 1",
            "openclaw_workers{state=\"dead\"} 0",
            "openclaw_queue_depth{priority=\"normal\"} 8",
            "openclaw_requests_total{outcome=\"ok\"} 97",
            "openclaw_requests_total{outcome=\"timeout\"} 1",
            "openclaw_request_latency_seconds{stat=\"avg\"} 1.5",
            "openclaw_request_latency_seconds{stat=\"p95\"} 2",
            "openclaw_request_latency_seconds{stat=\"p99\"} 2.5",
            "openclaw_requests_per_minute 12",
            "openclaw_backpressure_level 0.715625",
            "openclaw_backpressure_level_workers 0.3",
            "# TYPE openclaw_requests_total counter",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn a_counter_counts_by_its_labels() {
        let counters = Counters::default();
        counters.webhooks.bump(["telegram", "accepted"]);
        counters.webhooks.add(["telegram", "accepted"], 2);
        counters.webhooks.bump(["telegram", "duplicate"]);
        assert_eq!(counters.webhooks.get(["telegram", "accepted"]), 3);
        let text = text(|out| counters.write(out));
        assert!(text.contains("openclaw_webhooks_total{platform=\"telegram\",outcome=\"accepted\"} 3\n"));
        assert!(text.contains("# TYPE openclaw_webhooks_total counter\n"));
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

    #[test]
    fn a_label_cannot_break_a_line() {
        let text = text(|out| out.sample("m", &[("l", "a\"b\\c\nd")], f64::INFINITY));
        assert_eq!(text, "m{l=\"a\\\"b\\\\c\\nd\"} +Inf\n");
    }
}
