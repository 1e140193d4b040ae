//! Updates of platforms. The order of the steps is the promise: who sends is checked from the headers before a byte of
//! the body is read, and 200 is answered only when every message of the update is durable.

use super::body::{self, BodyError};
use super::{App, correlation_id};
use crate::problem::Problem;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use openclaw_core::{CodedError, Language, Platform};
use openclaw_gateway::Refusal;
use openclaw_gateway::ports::StoreError;
use openclaw_messenger::{Headers, Parsed};
use std::sync::Arc;

/// Request headers as the messenger crate reads them.
struct RequestHeaders<'a>(&'a HeaderMap);

impl Headers for RequestHeaders<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        // A header that is given twice proves nothing.
        let mut values = self.0.get_all(name).iter();
        let first = values.next()?;
        values.next().is_none().then(|| first.as_bytes())
    }
}

/// `POST /webhook/telegram`.
pub(crate) async fn telegram(State(app): State<Arc<App>>, request: Request) -> Response {
    take(&app, Platform::Telegram, None, request).await
}

/// `POST /webhook/max`, where the webhook was registered by hand.
pub(crate) async fn max(State(app): State<Arc<App>>, request: Request) -> Response {
    take(&app, Platform::Max, None, request).await
}

/// `POST /webhook/max/{hook}`, where the server has registered it.
pub(crate) async fn max_hook(
    State(app): State<Arc<App>>,
    Path(hook): Path<String>,
    request: Request,
) -> Response {
    take(&app, Platform::Max, Some(&hook), request).await
}

async fn take(app: &App, platform: Platform, hook: Option<&str>, request: Request) -> Response {
    let id = correlation_id(app, &request);
    let label = platform.as_str();
    let (parts, body) = request.into_parts();
    let is_hook = app
        .facts
        .bot(platform)
        .is_none_or(|connected| connected.is_hook(hook));
    let sender = match app
        .webhooks
        .authenticate(platform, &RequestHeaders(&parts.headers), id)
    {
        Ok(sender) if is_hook => sender,
        Ok(_) => {
            tracing::warn!(%platform, correlation_id = %id, "a webhook request came on another path than the registered one");
            app.counters.webhooks.bump([label, "unauthorized"]);
            return Problem::new("UNAUTHORIZED", "Access denied.").into_response();
        }
        Err(error) => {
            app.counters.webhooks.bump([label, "unauthorized"]);
            // Nobody learns from the answer whether a secret is configured.
            return Problem::new("UNAUTHORIZED", error.user_message(Language::En)).into_response();
        }
    };
    let body = match body::read(body, app.limits.body_bytes).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => {
            // It is the platform's, so it is acknowledged: a refusal would hold back everything else of that chat.
            tracing::warn!(%platform, correlation_id = %id, limit = app.limits.body_bytes, "an update is too large");
            app.counters.webhooks.bump([label, "too_large"]);
            return acknowledged();
        }
        Err(BodyError::Slow) => {
            app.counters.webhooks.bump([label, "slow"]);
            return Problem::new("REQUEST_TIMEOUT", "the body did not arrive in time").into_response();
        }
        Err(BodyError::Broken) => {
            app.counters.webhooks.bump([label, "broken"]);
            return Problem::new("VALIDATION", "the body did not arrive whole").into_response();
        }
    };
    let messages = match app.webhooks.parse(&sender, &body, id) {
        Ok(Parsed::Messages(messages)) => messages,
        Ok(Parsed::Ignored { .. }) => {
            app.counters.webhooks.bump([label, "ignored"]);
            return acknowledged();
        }
        Ok(Parsed::Migrated { from, to }) => {
            app.gateway.chat_moved(platform, &from, &to);
            app.counters.webhooks.bump([label, "ok"]);
            return acknowledged();
        }
        Err(_) => {
            // Logged by the router.
            app.counters.webhooks.bump([label, "malformed"]);
            return acknowledged();
        }
    };
    match app.gateway.receive_as(Some(id), messages, None).await {
        Ok(receipts) => {
            let outcome = if receipts.iter().all(|receipt| receipt.duplicate) {
                "duplicate"
            } else {
                "ok"
            };
            app.counters.webhooks.bump([label, outcome]);
            acknowledged()
        }
        Err(refusal) => {
            app.counters.webhooks.bump([label, "refused"]);
            if let Refusal::Store(StoreError::Unknown { .. }) = &refusal {
                tracing::error!(error = %refusal, correlation_id = %id, "an update may or may not be stored");
            } else {
                tracing::warn!(error = %refusal, correlation_id = %id, "an update was not taken");
            }
            Problem::from_error(&refusal, Language::En)
                .with_correlation_id(id)
                .into_response()
        }
    }
}

/// An empty 200: a reply in the answer would be one whose fate we never learn.
fn acknowledged() -> Response {
    StatusCode::OK.into_response()
}
