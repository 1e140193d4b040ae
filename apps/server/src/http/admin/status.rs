//! `GET /admin/api/v1/status`: what an operator asks first, in one answer.

use super::super::{App, is_admin, readiness};
use super::unauthorized;
use crate::bots::Connected;
use crate::model_states::{LastCall, ModelStates};
use crate::wire::Fabric;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use openclaw_ai_fabric::{CircuitState, CircuitView};
use openclaw_core::Platform;
use openclaw_process_runtime::{WorkerFailures, WorkerTroubles};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What was built and does not change while the server runs.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The kind of store.
    pub(crate) storage: &'static str,
    /// Models, their limits and circuits.
    pub(crate) fabric: Arc<Fabric>,
    /// What each model did when it was last asked.
    pub(crate) model_states: Arc<ModelStates>,
    /// The bots, at most one of a platform.
    pub(crate) bots: Vec<Connected>,
    /// Whether the chat page is served.
    pub(crate) web: bool,
    /// The program of the workers and its arguments, where they are processes.
    pub(crate) worker_command: Option<Vec<String>>,
    /// What goes wrong with them.
    pub(crate) worker_troubles: Option<Arc<WorkerTroubles>>,
}

// === impl Facts ===

impl Facts {
    /// The bot of a platform.
    pub(crate) fn bot(&self, platform: Platform) -> Option<&Connected> {
        self.bots
            .iter()
            .find(|connected| connected.bot.platform() == platform)
    }

    /// What a worker is, as `concurrency.runtime` has it.
    pub(crate) fn runtime(&self) -> &'static str {
        match self.worker_command {
            Some(_) => "process",
            None => "task",
        }
    }
}

/// The answer. Fields are added, never renamed; `schema` grows when one is taken away.
pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let depths = app.store.depths().await.ok();
    let outbox = app.gateway.outbox();
    let pool = app.gateway.pool();
    let reasons = readiness::not_ready(&app);
    let failures = app.facts.worker_troubles.as_ref().map(|troubles| troubles.now());
    Json(json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeMs": millis(app.clock.monotonic().saturating_since(app.started)),
        "storage": app.facts.storage,
        "ready": reasons.is_empty(),
        "notReady": reasons,
        "concurrency": pool.metrics(),
        "pool": {
            "minWorkers": app.pool.min_workers,
            "maxWorkers": app.pool.max_workers,
            "maxQueueSize": app.pool.max_queue_size,
            "backpressureThreshold": app.pool.threshold,
            "paused": pool.is_paused(),
            "runtime": app.facts.runtime(),
            "command": app.facts.worker_command,
            "abandoned": pool.totals().abandoned,
            "failures": failures.as_ref().map(failed),
        },
        "refusals": pool.refusals_total(),
        "inbox": {
            "open": app.gateway.open_entries(),
            "waiting": app.gateway.waiting_entries(),
            "oldestWaitingMs": app.gateway.oldest_waiting().map(millis),
        },
        "outbox": {
            "pending": depths.map(|depths| depths.outbox_pending),
            "delivered": outbox.delivered,
            "failed": outbox.failed,
            "retried": outbox.retried,
            "ambiguous": outbox.ambiguous,
        },
        "models": models(&app, failures.as_ref()),
        "platforms": platforms(&app),
    }))
    .into_response()
}

/// How many processes of workers have failed, and the last of them.
fn failed(failures: &WorkerFailures) -> Value {
    json!({
        "total": failures.total,
        "inARow": failures.in_a_row,
        "since": failures.since.map(|since| since.to_string()),
        "last": failures.last.as_ref().map(|last| json!({
            "at": last.at.to_string(),
            "worker": last.worker.get(),
            "reason": last.reason,
            "lastLine": last.last_line,
        })),
    })
}

/// How a model that workers stand for went last: they may end before they are asked anything.
fn by_workers(failures: &WorkerFailures) -> Option<Value> {
    let (since, last) = (failures.since?, failures.last.as_ref()?);
    Some(json!({
        "ok": false,
        "at": last.at.to_string(),
        "since": since.to_string(),
        "by": "worker",
        "code": "WORKER_FAILED",
        "reason": format!("its workers fail, {}", last.reason),
    }))
}

/// Every model, with its circuit where it was called before. `workers` are the failures of those that stand for all of
/// them.
fn models(app: &App, workers: Option<&WorkerFailures>) -> Value {
    let circuits = app.facts.fabric.circuits.snapshot();
    let is_demo = app.facts.fabric.choice().is_demo;
    let providers = app.registry.all_providers();
    let rows = providers.iter().flat_map(|provider| {
        provider.models.iter().map(|model| {
            let circuit = circuits
                .iter()
                .find(|one| one.provider == provider.id && one.model == model.id);
            let last = app.facts.model_states.last(&provider.id, &model.id);
            json!({
                "provider": provider.id,
                "model": model.id,
                "demo": is_demo,
                "state": circuit.map_or("closed", state),
                "asked": circuit.is_some() || last.is_some(),
                "last": workers.and_then(by_workers).or_else(|| last.as_ref().map(LastCall::to_json)),
                "failures": circuit.map_or(0, |one| one.failures),
                "leftAlone": circuit.and_then(|one| one.left_alone.as_ref()).map(|alone| json!({
                    "reason": alone.reason,
                    "remainingMs": millis(alone.remaining),
                })),
                "firstTokenMs": circuit.and_then(|one| one.first_token).map(millis),
            })
        })
    });
    rows.collect()
}

pub(super) fn state(circuit: &CircuitView) -> &'static str {
    match circuit.state {
        CircuitState::Closed => "closed",
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half_open",
    }
}

fn platforms(app: &App) -> Value {
    json!({
        "telegram": bot(app.facts.bot(Platform::Telegram)),
        "max": bot(app.facts.bot(Platform::Max)),
        "web": { "on": app.facts.web },
        "api": { "on": true, "keys": app.keys.count(app.clock.now()) },
    })
}

fn bot(connected: Option<&Connected>) -> Value {
    json!({
        "on": connected.is_some(),
        "intake": connected.map(|connected| connected.intake.as_str()),
        // Known once the platform has answered for the token.
        "username": connected.and_then(|connected| connected.bot.username()),
        "trouble": connected.and_then(|connected| connected.trouble.now()),
        "task": connected.map(|connected| connected.watch.now().phase.as_str()),
        "taskDeaths": connected.map(|connected| connected.watch.now().deaths),
    })
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
