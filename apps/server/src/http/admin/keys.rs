//! `/admin/api/v1/keys`: API keys made, listed and taken back. What is answered counts from then on.

use super::super::body::{self, BodyError};
use super::super::{App, correlation_id, is_admin};
use super::unauthorized;
use crate::keys::{KeyWish, describe_all, describe_issued, issue};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openclaw_core::{AccessTier, UserId};
use openclaw_gateway::ports::StoreError;
use openclaw_system::SystemRandom;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// A key that lives longer is one without an end.
const LONGEST_LIFE_MS: u64 = 100 * 365 * 86_400_000;

/// The body of `POST`; every field may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Wanted {
    user: Option<String>,
    tier: Option<String>,
    expires_in_ms: Option<u64>,
    unlimited: bool,
}

/// Makes a key: 201, with the key, which is told this once.
pub(crate) async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_admin(&app, request.headers()) {
        return unauthorized();
    }
    let id = correlation_id(&app, &request);
    let wish = match wish(&app, request).await {
        Ok(wish) => wish,
        Err(problem) => return problem.with_correlation_id(id).into_response(),
    };
    let Some(issued) = issue(wish, app.clock.now(), &SystemRandom) else {
        return Problem::new("INTERNAL", "the key could not be made")
            .with_correlation_id(id)
            .into_response();
    };
    // In a task of its own: a caller that goes away must not leave a stored key that the server does not know.
    let work = Arc::clone(&app);
    let record = issued.record.clone();
    let stored = tokio::spawn(async move {
        work.key_store.put_key(record).await?;
        work.keys.reload(&*work.key_store).await
    });
    match stored.await {
        Ok(Ok(())) => {
            tracing::info!(correlation_id = %id, key = issued.record.id, user = %issued.record.user, tier = %issued.record.tier, "an API key was made");
            let mut response = (StatusCode::CREATED, Json(describe_issued(&issued))).into_response();
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Ok(Err(error)) => failed(&error).with_correlation_id(id).into_response(),
        Err(_) => Problem::new("INTERNAL", "the key was not stored")
            .with_correlation_id(id)
            .into_response(),
    }
}

/// All keys, taken back or not; oldest first. The operator's own is none of them.
pub(crate) async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    match app.key_store.keys().await {
        Ok(keys) => Json(describe_all(&keys)).into_response(),
        Err(error) => failed(&error).into_response(),
    }
}

/// Takes a key back: 204, and from then on it is refused. 404 when there is no valid key of that id.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let work = Arc::clone(&app);
    let name = key.clone();
    let revoked = tokio::spawn(async move {
        let was_valid = work.key_store.revoke_key(&name, work.clock.now()).await?;
        // Also when it was not: an earlier call may have been stored and not taken note of.
        work.keys.reload(&*work.key_store).await?;
        Ok::<_, StoreError>(was_valid)
    });
    match revoked.await {
        Ok(Ok(true)) => {
            tracing::info!(key, "an API key was taken back");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Ok(false)) => Problem::new("NOT_FOUND", "there is no valid key of that id").into_response(),
        Ok(Err(error)) => failed(&error).into_response(),
        Err(_) => Problem::new("INTERNAL", "the key was not taken back").into_response(),
    }
}

async fn wish(app: &App, request: Request) -> Result<KeyWish, Problem> {
    let bytes = body::read(request.into_body(), app.limits.body_bytes)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => Problem::new("TOO_LARGE", "the body is too large"),
            BodyError::Broken => Problem::new("VALIDATION", "the body did not arrive whole"),
        })?;
    let wanted = if bytes.iter().all(u8::is_ascii_whitespace) {
        Wanted::default()
    } else {
        serde_json::from_slice(&bytes).map_err(|error| Problem::new("VALIDATION", error.to_string()))?
    };
    let user = wanted.user.map(UserId::parse).transpose();
    let tier = wanted.tier.map_or(Ok(AccessTier::Free), |name| name.parse());
    if wanted
        .expires_in_ms
        .is_some_and(|time| !(1..=LONGEST_LIFE_MS).contains(&time))
    {
        return Err(Problem::new(
            "VALIDATION",
            format!("expiresInMs must be from 1 to {LONGEST_LIFE_MS}"),
        ));
    }
    Ok(KeyWish {
        user: user.map_err(|error| Problem::new("VALIDATION", format!("user: {error}")))?,
        tier: tier.map_err(|error| Problem::new("VALIDATION", format!("tier: {error}")))?,
        expires_in: wanted.expires_in_ms.map(Duration::from_millis),
        limited: !wanted.unlimited,
    })
}

fn failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "the keys could not be read or changed");
    Problem::new(
        "STORE_UNAVAILABLE",
        "the store is not available; nothing may have changed",
    )
}
