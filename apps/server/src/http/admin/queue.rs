//! `/admin/api/v1/queue`: what waits for a worker, in the inbox and in the pool; stopped, let go on, dropped.

use super::super::App;
use super::Operator;
use super::status::millis;
use crate::problem::Problem;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use openclaw_core::Language;
use openclaw_gateway::{QueueId, QueuePlace, QueuedItem};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// How much is listed, and by what it is counted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    by: Option<Group>,
    limit: Option<usize>,
}

/// By what is counted.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    Tenant,
    Tier,
    Priority,
}

/// Items, and groups, that are listed when nobody says how many.
const LISTED: usize = 100;
/// The most that are listed.
const MOST_LISTED: usize = 1_000;

/// What waits: the most urgent first, of one priority the oldest.
pub(crate) async fn show(
    operator: Operator,
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return operator.refuse(Problem::new("VALIDATION", error.body_text())),
    };
    let limit = wanted.limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        let detail = format!("limit must be from 1 to {MOST_LISTED}");
        return operator.refuse(Problem::new("VALIDATION", detail));
    }
    let items = app.gateway.queue();
    let in_pool = items.iter().filter(|item| item.place == QueuePlace::Pool).count();
    Json(json!({
        "schema": 1,
        "paused": app.gateway.pool().is_paused(),
        "waiting": items.len(),
        "inInbox": items.len() - in_pool,
        "inPool": in_pool,
        "maxQueueSize": app.pool.max_queue_size,
        "oldestMs": items.iter().map(|item| item.waited).max().map(millis),
        "groups": wanted.by.map(|by| groups(by, &items, limit)),
        "items": items.iter().take(limit).map(describe).collect::<Vec<_>>(),
    }))
    .into_response()
}

/// One thing that waits. 404 when nothing of that name does.
pub(crate) async fn item(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Response {
    let id = match parse(&id) {
        Ok(id) => id,
        Err(problem) => return operator.refuse(problem),
    };
    match app.gateway.queue().iter().find(|item| item.id == id) {
        Some(item) => Json(describe(item)).into_response(),
        None => operator.refuse(not_waiting(id)),
    }
}

/// Hands nothing to workers from now on.
pub(crate) async fn pause(operator: Operator, State(app): State<Arc<App>>) -> Response {
    app.gateway.pause();
    tracing::info!(action = "paused", %operator, "an operator paused the queue");
    paused(&app)
}

/// Hands work to workers again.
pub(crate) async fn resume(operator: Operator, State(app): State<Arc<App>>) -> Response {
    app.gateway.resume();
    tracing::info!(action = "resumed", %operator, "an operator resumed the queue");
    paused(&app)
}

/// Takes something out of the queue: 200, with what it was. 404 when nothing of that name waits any longer.
pub(crate) async fn remove(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Response {
    let id = match parse(&id) {
        Ok(id) => id,
        Err(problem) => return operator.refuse(problem),
    };
    match app.gateway.drop_queued(id).await {
        Ok(Some(item)) => {
            tracing::info!(
                action = "dropped",
                item = %id,
                %operator,
                tenant_id = %item.tenant,
                correlation_id = item.correlation_id.map(tracing::field::display),
                "an operator dropped something from the queue"
            );
            Json(json!({ "action": "dropped", "item": describe(&item) })).into_response()
        }
        Ok(None) => operator.refuse(not_waiting(id)),
        Err(refusal) => operator.refuse(Problem::from_error(&refusal, Language::En)),
    }
}

fn paused(app: &App) -> Response {
    Json(json!({
        "paused": app.gateway.pool().is_paused(),
        "inInbox": app.gateway.waiting_entries(),
        "queueDepth": app.gateway.pool().metrics().queue_depth,
    }))
    .into_response()
}

fn parse(id: &str) -> Result<QueueId, Problem> {
    id.parse()
        .map_err(|error| Problem::new("VALIDATION", format!("that names nothing that waits: {error}")))
}

fn not_waiting(id: QueueId) -> Problem {
    let detail = format!("{id} does not wait; a worker may have it by now, or it has ended");
    Problem::new("NOT_FOUND", detail)
}

/// How many of each kind wait and for how long, the largest group first.
fn groups(by: Group, items: &[QueuedItem], limit: usize) -> Vec<Value> {
    let mut groups: HashMap<&str, (usize, u64)> = HashMap::new();
    for item in items {
        let name = match by {
            Group::Tenant => &*item.tenant,
            Group::Tier => item.tier.as_str(),
            Group::Priority => item.priority.as_str(),
        };
        let (count, oldest) = groups.entry(name).or_default();
        *count += 1;
        *oldest = millis(item.waited).max(*oldest);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(left, (a, _)), (right, (b, _))| b.cmp(a).then(left.cmp(right)));
    let rows = groups.into_iter().take(limit);
    rows.map(|(name, (waiting, oldest))| json!({ "name": name, "waiting": waiting, "oldestMs": oldest }))
        .collect()
}

fn describe(item: &QueuedItem) -> Value {
    json!({
        "id": item.id.to_string(),
        "correlationId": item.correlation_id,
        "tenantId": &*item.tenant,
        "tier": item.tier,
        "priority": item.priority,
        "place": match item.place {
            QueuePlace::Inbox => "inbox",
            QueuePlace::Pool => "pool",
        },
        "ready": item.ready,
        "waitedMs": millis(item.waited),
    })
}
