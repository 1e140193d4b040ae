//! Is it alive, and how is it doing in numbers.

use super::native::is_local;
use super::{App, is_admin};
use crate::problem::Problem;
use crate::prometheus::fabric::write_gauges;
use crate::prometheus::{Exposition, PoolSnapshot};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use openclaw_concurrency::{Priority, WorkerState};
use std::net::SocketAddr;
use std::sync::Arc;

/// The process turns.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Prometheus text, for the admin token and for callers on this machine.
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    if !is_local(&app, peer.as_ref().map(|peer| &peer.0), &headers) && !is_admin(&app, &headers) {
        return Problem::new("UNAUTHORIZED", "metrics need the admin token").into_response();
    }
    let mut out = Exposition::default();
    snapshot(&app).write(&mut out);
    app.counters.write(&mut out);
    let fabric = &app.facts.fabric;
    write_gauges(&mut out, &app.registry, &fabric.limiter, &fabric.circuits);
    let totals = app.gateway.pool().totals();
    out.counter(
        "openclaw_pool_refusals_total",
        "Requests the pool refused.",
        totals.refusals,
    );
    out.gauge(
        "openclaw_pool_abandoned_workers",
        "Threads or processes that were killed and are not gone.",
        totals.abandoned as f64,
    );
    out.gauge(
        "openclaw_pool_paused",
        "1 while an operator has stopped handing work to workers.",
        f64::from(u8::from(app.gateway.pool().is_paused())),
    );
    out.gauge(
        "openclaw_inbox_open_entries",
        "Accepted messages without an end.",
        app.gateway.open_entries() as f64,
    );
    out.gauge(
        "openclaw_inbox_waiting_entries",
        "Accepted messages that wait outside the pool.",
        app.gateway.waiting_entries() as f64,
    );
    out.gauge(
        "openclaw_inbox_oldest_waiting_seconds",
        "How long the message that waits longest outside the pool has waited.",
        app.gateway.oldest_waiting().map_or(0.0, |age| age.as_secs_f64()),
    );
    let connections = &app.connections;
    out.gauge(
        "openclaw_connections_open",
        "Connections open now.",
        connections.open() as f64,
    );
    out.counter(
        "openclaw_connections_refused_total",
        "Connections refused because there were too many.",
        connections
            .refused_total()
            .saturating_add(connections.refused_address()),
    );
    let outbox = app.gateway.outbox();
    out.counter(
        "openclaw_outbox_delivered_total",
        "Parts of replies delivered.",
        outbox.delivered,
    );
    out.counter(
        "openclaw_outbox_failed_total",
        "Parts of replies given up.",
        outbox.failed,
    );
    out.counter(
        "openclaw_outbox_retried_total",
        "Deliveries put off.",
        outbox.retried,
    );
    out.counter(
        "openclaw_outbox_ambiguous_total",
        "Sends of which it is unknown whether they arrived.",
        outbox.ambiguous,
    );
    ([(header::CONTENT_TYPE, Exposition::CONTENT_TYPE)], out.finish()).into_response()
}

fn snapshot(app: &App) -> PoolSnapshot {
    let pool = app.gateway.pool();
    let metrics = pool.metrics();
    let totals = pool.totals();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let named = totals.timed_out + totals.stuck + totals.out_of_memory;
    PoolSnapshot {
        active_workers: count(metrics.active_workers),
        idle_workers: count(metrics.idle_workers),
        draining_workers: count(
            pool.workers()
                .iter()
                .filter(|worker| worker.state == WorkerState::Draining)
                .count(),
        ),
        stuck_workers: count(metrics.stuck_workers),
        queue_depth: Priority::ALL.map(|priority| count(pool.queue_depth_of(priority))),
        total_processed: metrics.total_processed,
        errors: vec![
            ("timeout", totals.timed_out),
            ("stuck", totals.stuck),
            ("out_of_memory", totals.out_of_memory),
            ("error", metrics.total_errors.saturating_sub(named)),
        ],
        avg_latency_ms: metrics.avg_latency_ms,
        p95_latency_ms: metrics.p95_latency_ms,
        p99_latency_ms: metrics.p99_latency_ms,
        throughput_per_minute: metrics.throughput_per_minute as f64,
        backpressure_level: metrics.backpressure_level,
        backpressure_threshold: app.pool.threshold,
        min_workers: count(app.pool.min_workers),
        max_workers: count(app.pool.max_workers),
        max_queue_size: count(app.pool.max_queue_size),
    }
}
