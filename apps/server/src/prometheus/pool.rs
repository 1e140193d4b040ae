//! The manual's eleven metrics under their Prometheus names.

use super::Exposition;

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
}
