//! `/admin/api/v1/workers`: the workers listed, let go and killed, and how many the load asks for.

use super::super::App;
use super::Operator;
use crate::problem::Problem;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use openclaw_concurrency::{LifecycleError, MemoryInUse, WorkerId, WorkerInfo, WorkerState};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which workers are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    state: Option<String>,
}

/// What an operator can do to a worker.
#[derive(Clone, Copy, Debug)]
enum Action {
    Kill,
    Recycle,
}

/// All workers, or those of one state. A worker that was killed and is replaced is no longer among them; how many of
/// these are not gone yet is `abandoned`.
pub(crate) async fn list(
    operator: Operator,
    State(app): State<Arc<App>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let Query(filter) = match filter {
        Ok(filter) => filter,
        Err(error) => return operator.refuse(Problem::new("VALIDATION", error.body_text())),
    };
    let wanted = match filter.state.as_deref().map(state).transpose() {
        Ok(wanted) => wanted,
        Err(problem) => return operator.refuse(problem),
    };
    let pool = app.gateway.pool();
    let workers: Vec<Value> = pool
        .workers()
        .iter()
        .filter(|worker| wanted.is_none_or(|wanted| worker.state == wanted))
        .map(describe)
        .collect();
    Json(json!({
        "schema": 1,
        "runtime": app.facts.runtime(),
        "abandoned": pool.totals().abandoned,
        "workers": workers,
    }))
    .into_response()
}

/// Ends a worker at once: 200, with what it was. 404 when there is none of that number.
pub(crate) async fn kill(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Response {
    act(&app, Action::Kill, &id, operator)
}

/// Lets a worker go, after its request if it has one: 200, with what it was. 404 when there is none of that number, 409
/// when it is on its way out already.
pub(crate) async fn recycle(
    operator: Operator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Response {
    act(&app, Action::Recycle, &id, operator)
}

fn act(app: &App, action: Action, id: &str, operator: Operator) -> Response {
    let Ok(id) = id.parse().map(WorkerId::new) else {
        return operator.refuse(Problem::new("VALIDATION", "a worker is named by its number"));
    };
    let pool = app.gateway.pool();
    let before = pool.workers().into_iter().find(|worker| worker.id == id);
    let (done, what) = match action {
        Action::Kill => (pool.kill(id), "killed"),
        Action::Recycle => (pool.recycle(id), "recycled"),
    };
    match done {
        Ok(()) => {
            let request = before.as_ref().and_then(|worker| worker.correlation_id);
            tracing::info!(
                action = what,
                worker = %id,
                %operator,
                correlation_id = request.map(tracing::field::display),
                "an operator acted on a worker"
            );
            Json(json!({ "action": what, "worker": before.as_ref().map(describe) })).into_response()
        }
        Err(LifecycleError::UnknownWorker { .. }) => {
            operator.refuse(Problem::new("NOT_FOUND", format!("there is no worker {id}")))
        }
        Err(LifecycleError::IllegalTransition(error)) => operator.refuse(Problem::new(
            "INVALID_STATE_TRANSITION",
            format!("worker {id} is {} already and goes by itself", error.from),
        )),
    }
}

/// How many workers the present load asks for, and the numbers that say so.
pub(crate) async fn suggest(_: Operator, State(app): State<Arc<App>>) -> Response {
    let pool = app.gateway.pool();
    let now = pool.metrics();
    Json(json!({
        "schema": 1,
        "suggested": pool.suggest_worker_count(),
        "workers": now.active_workers + now.idle_workers,
        "minWorkers": app.pool.min_workers,
        "maxWorkers": app.pool.max_workers,
        "backpressureLevel": now.backpressure_level,
        "throughputPerMinute": now.throughput_per_minute,
    }))
    .into_response()
}

fn state(name: &str) -> Result<WorkerState, Problem> {
    WorkerState::ALL
        .into_iter()
        .find(|state| state.as_str() == name)
        .ok_or_else(|| {
            let names = WorkerState::ALL.map(WorkerState::as_str).join(", ");
            Problem::new("VALIDATION", format!("state must be one of {names}"))
        })
}

fn describe(worker: &WorkerInfo) -> Value {
    let (memory, megabytes) = match worker.memory {
        MemoryInUse::Megabytes(megabytes) => ("resident", Some(megabytes)),
        MemoryInUse::Shared => ("shared", None),
        MemoryInUse::Unreadable => ("unknown", None),
    };
    json!({
        "id": worker.id.get(),
        "state": worker.state.as_str(),
        "sinceMs": worker.since_ms,
        "ageMs": worker.age_ms,
        "lastHeartbeatMs": worker.silent_ms,
        "requests": worker.requests,
        "memory": memory,
        "memoryMb": megabytes,
        "request": worker.running_ms.map(|running| json!({
            "correlationId": worker.correlation_id,
            "tenantId": worker.tenant.as_deref(),
            "runningMs": running,
        })),
    })
}
