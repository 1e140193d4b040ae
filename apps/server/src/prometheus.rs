//! Metrics as Prometheus reads them: counters that are bumped where things happen, and gauges taken from snapshots when
//! somebody asks. Here are the server's counters; what they are made of is in `series`, how they are written in `exposition`.
//!
//! Labels are of small closed sets; a label's value is a `&'static str` or a short name of the configuration, never an
//! id of a tenant, user, chat, message or session. Base units, `_total` for counters.

mod exposition;
pub(crate) mod fabric;
mod pool;
mod series;

pub(crate) use exposition::Exposition;
pub(crate) use pool::PoolSnapshot;

use fabric::FabricCounters;
use series::{CounterVec, HistogramVec};

/// The counters of the server. Bumping one is a look-up and an atomic addition.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Requests by route and status.
    pub(crate) http_requests: CounterVec<2>,
    /// Time of requests by route and status; of a stream until its first byte.
    pub(crate) http_duration: HistogramVec<2>,
    /// Webhook calls by platform and outcome: `accepted`, `duplicate`, `ignored`, `unauthorized`, `malformed`, `refused`.
    pub(crate) webhooks: CounterVec<2>,
    /// Polled updates by platform and outcome: `ok`, `duplicate`, `ignored`, `malformed`.
    pub(crate) polled: CounterVec<2>,
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
            polled: CounterVec::new(
                "openclaw_polled_updates_total",
                "Updates that were polled for",
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
        self.polled.write(out);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Exposition)) -> String {
        let mut out = Exposition::default();
        write(&mut out);
        out.finish()
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
}
