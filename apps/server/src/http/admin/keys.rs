//! `/admin/api/v1/keys`: API keys made, listed and taken back. What is answered counts from then on.

use super::super::invalid::{FieldFault, Rule, invalid};
use super::super::native::input;
use super::super::{App, correlation_id, is_admin, language};
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
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// A key that lives longer is one without an end.
const LONGEST_LIFE_MS: u64 = 100 * 365 * 86_400_000;

/// The fields of the body of `POST`; every one may be left out.
const FIELDS: &[&str] = &["user", "tier", "expiresInMs", "unlimited"];

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

/// Takes a key back: 204, and from then on it is refused. 404 when there is no such key, and with `revokedAt` when it was
/// taken back before.
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
        Ok(Ok(false)) => not_revoked(&app, &key).await.into_response(),
        Ok(Err(error)) => failed(&error).into_response(),
        Err(_) => Problem::new("INTERNAL", "the key was not taken back").into_response(),
    }
}

async fn wish(app: &App, request: Request) -> Result<KeyWish, Problem> {
    let language = language(app, request.headers());
    let bytes = input::read(request.into_body(), app.limits, language).await?;
    let fields = if bytes.iter().all(u8::is_ascii_whitespace) {
        Map::new()
    } else {
        input::parsed(&bytes, language)?
    };
    wanted(&fields).map_err(|faults| invalid(&faults, language))
}

/// Reads the fields of the body; all that are wrong are told.
fn wanted(fields: &Map<String, Value>) -> Result<KeyWish, Vec<FieldFault>> {
    let mut faults: Vec<FieldFault> = input::unknown_fields(fields, FIELDS).collect();
    let mut wish = KeyWish {
        user: None,
        tier: AccessTier::Free,
        expires_in: None,
        limited: true,
    };
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let mut wrong = |name: &str, value: &Value, rule: Rule| {
        faults.push(FieldFault::new(name, rule).with_json(value));
    };
    if let Some(value) = given("user") {
        match value.as_str().map(UserId::parse) {
            Some(Ok(user)) => wish.user = Some(user),
            Some(Err(error)) => {
                let text = error.to_string();
                wrong(
                    "user",
                    value,
                    Rule::new(format!("is not a name: {text}"), format!("не имя: {text}")),
                );
            }
            None => wrong(
                "user",
                value,
                Rule::new("must be a string", "должно быть строкой"),
            ),
        }
    }
    if let Some(value) = given("tier") {
        match value.as_str().map(str::parse) {
            Some(Ok(tier)) => wish.tier = tier,
            Some(Err(_)) | None => {
                let tiers = AccessTier::ALL.map(AccessTier::as_str).join(", ");
                let rule = Rule::new(
                    format!("must be one of {tiers}"),
                    format!("должно быть одним из {tiers}"),
                );
                wrong("tier", value, rule);
            }
        }
    }
    if let Some(value) = given("expiresInMs") {
        match value.as_u64().filter(|time| (1..=LONGEST_LIFE_MS).contains(time)) {
            Some(time) => wish.expires_in = Some(Duration::from_millis(time)),
            None => {
                let rule = Rule::new(
                    format!("must be a whole number from 1 to {LONGEST_LIFE_MS}"),
                    format!("должно быть целым числом от 1 до {LONGEST_LIFE_MS}"),
                );
                wrong("expiresInMs", value, rule);
            }
        }
    }
    if let Some(value) = given("unlimited") {
        match value.as_bool() {
            Some(unlimited) => wish.limited = !unlimited,
            None => wrong(
                "unlimited",
                value,
                Rule::new("must be true or false", "должно быть true или false"),
            ),
        }
    }
    if faults.is_empty() { Ok(wish) } else { Err(faults) }
}

/// Why there was nothing to take back.
async fn not_revoked(app: &App, key: &str) -> Problem {
    let keys = match app.key_store.keys().await {
        Ok(keys) => keys,
        Err(error) => return failed(&error),
    };
    match keys
        .iter()
        .find(|known| known.id == key)
        .and_then(|known| known.revoked_at)
    {
        Some(at) => Problem::new("NOT_FOUND", format!("the key was taken back already, at {at}"))
            .with("revokedAt", at.to_string()),
        None => Problem::new("NOT_FOUND", "there is no key of that id"),
    }
}

fn failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "the keys could not be read or changed");
    Problem::new(
        "STORE_UNAVAILABLE",
        "the store is not available; nothing may have changed",
    )
}
