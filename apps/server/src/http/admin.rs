//! The admin API.

pub(crate) mod budgets;
pub(crate) mod config;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod queue;
pub(crate) mod status;
pub(crate) mod workers;

use super::{App, is_admin};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use openclaw_core::CorrelationId;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whoever holds the admin token: a handler that asks for one is not reached by anybody else. For the log operators are
/// told apart by where they are, since there is one token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    peer: Option<SocketAddr>,
    request: Option<CorrelationId>,
}

// === impl Operator ===

impl Operator {
    /// A problem under the request's correlation id.
    fn refuse(self, problem: Problem) -> Response {
        match self.request {
            Some(id) => problem.with_correlation_id(id).into_response(),
            None => problem.into_response(),
        }
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        if !is_admin(app, &parts.headers) {
            return Err(unauthorized());
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            peer: peer.map(|peer| peer.0),
            request: parts.extensions.get().copied(),
        })
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "admin@{}", peer.ip()),
            None => f.write_str("admin"),
        }
    }
}

fn unauthorized() -> Response {
    Problem::new(
        "UNAUTHORIZED",
        "the admin API needs `Authorization: Bearer` with the admin token",
    )
    .into_response()
}

/// The query of a request, by name.
fn query(uri: &Uri) -> Result<BTreeMap<String, String>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| Problem::new("VALIDATION", error.body_text()))
}

/// The manual's eleven metrics, at top level under the manual's names.
pub(crate) async fn concurrency(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    Json(app.gateway.pool().metrics()).into_response()
}

/// What an operator wants to know at a glance.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let depths = app.store.depths().await.ok();
    let outbox = app.gateway.outbox();
    Json(json!({
        "concurrency": app.gateway.pool().metrics(),
        "refusals": app.gateway.pool().refusals_total(),
        "inbox": {
            "open": app.gateway.open_entries(),
            "waiting": app.gateway.waiting_entries(),
            "oldestWaitingMs": app.gateway.oldest_waiting().map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        },
        "outbox": {
            "pending": depths.map(|depths| depths.outbox_pending),
            "delivered": outbox.delivered,
            "failed": outbox.failed,
            "retried": outbox.retried,
            "ambiguous": outbox.ambiguous,
        },
        "providers": app.registry.all_providers().iter().map(|provider| json!({
            "id": provider.id,
            "models": provider.models.iter().map(|model| &model.id).collect::<Vec<_>>(),
            "remaining": app.facts.fabric.limiter.remaining_quota(&provider.id),
        })).collect::<Vec<_>>(),
        "uptimeMs": u64::try_from(app.clock.monotonic().saturating_since(app.started).as_millis()).unwrap_or(u64::MAX),
    }))
    .into_response()
}
