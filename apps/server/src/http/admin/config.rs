//! `POST /admin/api/v1/config/reload`: what `SIGHUP` does, with an answer.

use super::super::{App, is_admin, own_language};
use super::unauthorized;
use crate::problem::Problem;
use crate::reload::{is_invalid, why};
use crate::texts::Texts;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// What was applied and what needs a restart; 422 with every fault when the configuration is not valid, in English unless
/// the caller asks for another language.
pub(crate) async fn reload(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let Some(reloader) = app.reloader.get().cloned() else {
        return Problem::new("SHUTTING_DOWN", "the server is not ready yet").into_response();
    };
    // A caller that goes away must not leave half a configuration.
    let done = tokio::spawn(async move { reloader.reload_and_log("the admin API").await });
    match done.await {
        Ok(Ok(reloaded)) => {
            let mut answer = json!(reloaded);
            answer["schema"] = 1.into();
            Json(answer).into_response()
        }
        Ok(Err(error)) => {
            let texts = Texts::new(own_language(&headers).unwrap_or_default());
            let why = why(&error, texts);
            let detail = match is_invalid(&error) {
                true => why,
                false => texts.config_kept(&why),
            };
            Problem::new("CONFIG_INVALID", detail).into_response()
        }
        Err(_) => Problem::new("INTERNAL", "the configuration was not read again").into_response(),
    }
}
