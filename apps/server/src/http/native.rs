//! The native API: conversations that the server remembers, for programs with a key and for visitors of the chat page.
//!
//! A message is posted and answered 202; what becomes of it is read from the chat's stream of events, which can be
//! picked up again after any loss of the connection. A chat is reached through its owner only: a chat of somebody else
//! and one that never was give the same 404, because the owner is part of what is looked up.

mod caller;
mod cursor;
mod events;
mod export;
pub(super) mod input;
mod turn_ids;
mod visitor;

pub(crate) use caller::{authority, is_local};
pub(crate) use turn_ids::TurnIds;
pub(crate) use visitor::Visitors;

use super::{App, correlation_id, language};
use crate::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use caller::{Caller, Purpose};
use cursor::Cursors;
use openclaw_core::{ChatId, Clock, CodedError, CorrelationId, Language, Role, TenantId};
use openclaw_gateway::{ChatError, ChatSnapshot, Chats, Draft, MAX_REACH, Refusal, SaidMessage};
use openclaw_messenger::{RateLimit, RateLimiter};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// New chats of visitors, per address and minute.
pub(crate) const NEW_CHATS_PER_MINUTE: u32 = 30;
/// Addresses whose new chats are counted at once; beyond it unknown ones share a bucket.
const MAX_ADDRESSES: usize = 10_000;
/// Visitors whose requests are counted at once; beyond it unknown ones share a bucket.
const MAX_VISITORS: usize = 100_000;

/// What the native API works with, beside what all routes do.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) chats: Chats,
    /// What turns are called to the outside.
    pub(crate) turn_ids: TurnIds,
    /// Where pages of chats begin, to the outside.
    cursors: Cursors,
    /// `None` when the chat page is switched off: then only keys are let in.
    pub(crate) visitors: Option<Visitors>,
    /// Requests of visitors, and of keys of the web platform: `messenger.rateLimits.web`.
    pub(crate) web: RateLimiter,
    pub(crate) web_limit: RateLimit,
    /// `messenger.rateLimits.api`, as [`App::inbound`] counts it.
    pub(crate) api_limit: RateLimit,
    /// New chats of visitors, by address.
    pub(crate) new_chats: RateLimiter,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Host and port of `server.publicUrl`, in lower case.
    pub(crate) public_host: Option<String>,
    /// Cancelled when the server stops: streams end.
    pub(crate) closing: CancellationToken,
}

/// An authorised request.
struct Call {
    app: Arc<App>,
    caller: Caller,
    parts: Parts,
    body: Body,
    language: Language,
    correlation_id: CorrelationId,
}

type Answer = Result<Response, Problem>;

// === impl Native ===

impl Native {
    pub(crate) fn new(
        chats: Chats,
        turn_ids: TurnIds,
        visitors: Option<Visitors>,
        limits: (RateLimit, RateLimit),
        trusted_proxies: Vec<IpAddr>,
        public_url: Option<&str>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let (web_limit, api_limit) = limits;
        let per_address = RateLimit::every(
            Duration::from_secs(60) / NEW_CHATS_PER_MINUTE,
            NEW_CHATS_PER_MINUTE,
        );
        Self {
            chats,
            cursors: Cursors::beside(&turn_ids),
            turn_ids,
            visitors,
            web: RateLimiter::new(web_limit, MAX_VISITORS, Arc::clone(clock)),
            web_limit,
            api_limit,
            new_chats: RateLimiter::new(per_address, MAX_ADDRESSES, Arc::clone(clock)),
            trusted_proxies,
            public_host: public_url.and_then(authority),
            closing: CancellationToken::new(),
        }
    }
}

// === the routes ===

/// `POST /api/v1/chats`.
pub(crate) async fn open(State(app): State<Arc<App>>, request: Request) -> Response {
    serve(app, request, Purpose::Open, async |call| {
        let Call {
            app,
            caller,
            body,
            language,
            ..
        } = call;
        input::object(body, app.limits, language).await?;
        let opened = app
            .native
            .chats
            .open(caller.platform, caller.user.clone(), caller.tier())
            .await;
        let chat = opened.map_err(|error| refused(&app, &caller, &error, language))?;
        let mut response = (StatusCode::CREATED, Json(json!({ "chatId": chat }))).into_response();
        if let (true, Some(visitors)) = (caller.is_visitor(), &app.native.visitors) {
            let cookie = visitors.cookie(&caller.user);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    })
    .await
}

/// `GET /api/v1/chats`.
pub(crate) async fn list(State(app): State<Arc<App>>, request: Request) -> Response {
    serve(app, request, Purpose::Read, async |call| {
        let query = input::Query::parse(&call.parts.uri);
        let limit = query.limit(50, 100, call.language)?;
        let Call {
            app,
            caller,
            language,
            ..
        } = call;
        let cursors = &app.native.cursors;
        let after = query.page("after", language, |cursor| {
            cursors.after(caller.platform, &caller.user, cursor)
        })?;
        let (chats, next) = app
            .native
            .chats
            .list(caller.platform, caller.user.clone(), after, limit)
            .await
            .map_err(|error| refused(&app, &caller, &error, language))?;
        let chats: Vec<Value> = chats
            .iter()
            .map(|chat| {
                json!({
                    "chatId": chat.tenant.tenant_id.chat(),
                    "createdAt": chat.tenant.created_at.to_string(),
                    "lastActiveAt": chat.tenant.last_active_at.to_string(),
                })
            })
            .collect();
        let next = next.map(|last| cursors.public(caller.platform, &caller.user, last));
        Ok(Json(json!({ "chats": chats, "next": next })).into_response())
    })
    .await
}

/// `DELETE /api/v1/chats/{chatId}`.
pub(crate) async fn erase(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Change, async |call| {
        let tenant = call.chat(path)?;
        let Call {
            app,
            caller,
            language,
            ..
        } = call;
        let erased = app.native.chats.erase(&tenant).await;
        erased.map_err(|error| refused(&app, &caller, &error, language))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `POST /api/v1/chats/{chatId}/messages`.
pub(crate) async fn post(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Change, async |call| {
        let tenant = call.chat(path)?;
        let idempotency_key = input::idempotency_key(&call.parts.headers, call.language)?;
        let own_language = super::own_language(&call.parts.headers);
        let Call {
            app,
            caller,
            body,
            language,
            correlation_id,
            ..
        } = call;
        let text = input::text(
            input::json(&call.parts.headers, body, app.limits, language).await?,
            language,
        )?;
        let draft = Draft {
            text,
            idempotency_key,
            language: own_language,
            correlation_id: Some(correlation_id),
        };
        // A program can come again later; a person would rather wait.
        let ask_first = !caller.is_visitor();
        let platform = caller.platform.as_str();
        match app.native.chats.post(&tenant, draft, ask_first).await {
            Ok(posted) => {
                let outcome = if posted.duplicate { "duplicate" } else { "accepted" };
                app.counters.messages.bump([platform, "in", outcome]);
                let turn = app.native.turn_ids.public(&posted.turn_id);
                Ok((StatusCode::ACCEPTED, Json(json!({ "turnId": turn }))).into_response())
            }
            Err(error) => {
                app.counters.messages.bump([platform, "in", "refused"]);
                Err(refused(&app, &caller, &error, language))
            }
        }
    })
    .await
}

/// `GET /api/v1/chats/{chatId}/messages`.
pub(crate) async fn messages(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Read, async |call| {
        let tenant = call.chat(path)?;
        let query = input::Query::parse(&call.parts.uri);
        let limit = query.limit(50, 200, call.language)?;
        let before = query.page("before", call.language, |number| {
            // Messages are counted from 1.
            number.parse().ok().filter(|number: &i64| *number > 0)
        })?;
        let Call {
            app,
            caller,
            language,
            ..
        } = call;
        let snapshot = app.native.chats.snapshot(&tenant, before, limit).await;
        let snapshot = snapshot.map_err(|error| refused(&app, &caller, &error, language))?;
        Ok(Json(shown(&snapshot, &app.native.turn_ids)).into_response())
    })
    .await
}

/// `GET /api/v1/chats/{chatId}/events`.
pub(crate) async fn events(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Read, async |call| {
        let tenant = call.chat(path)?;
        let last_seen = input::last_event_id(&call.parts);
        let found = call.app.native.chats.find(&tenant).await;
        found.map_err(|error| refused(&call.app, &call.caller, &error, call.language))?;
        Ok(events::stream(
            call.app,
            tenant,
            last_seen,
            call.caller.credential,
        ))
    })
    .await
}

/// `POST /api/v1/chats/{chatId}/stop`.
pub(crate) async fn stop(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Change, async |call| {
        let tenant = call.chat(path)?;
        let Call {
            app,
            caller,
            language,
            ..
        } = call;
        let stopped = app.native.chats.stop(&tenant).await;
        let anything = stopped.map_err(|error| refused(&app, &caller, &error, language))?;
        Ok(if anything {
            StatusCode::ACCEPTED
        } else {
            StatusCode::NO_CONTENT
        }
        .into_response())
    })
    .await
}

/// `POST /api/v1/chats/{chatId}/export`.
pub(crate) async fn export(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Change, async |call| {
        let tenant = call.chat(path)?;
        let Call {
            app,
            caller,
            language,
            ..
        } = call;
        let refuse = |error: &ChatError| refused(&app, &caller, error, language);
        let chats = &app.native.chats;
        let stored = chats.find(&tenant).await.map_err(|error| refuse(&error))?;
        let whole = chats.snapshot(&tenant, None, MAX_REACH).await;
        let whole = whole.map_err(|error| refuse(&error))?;
        Ok(export::document(Arc::clone(&app), &tenant, &stored, whole))
    })
    .await
}

/// `POST /api/v1/chats/{chatId}/feedback`.
pub(crate) async fn feedback(State(app): State<Arc<App>>, path: ChatPath, request: Request) -> Response {
    serve(app, request, Purpose::Change, async |call| {
        let tenant = call.chat(path)?;
        let Call {
            app,
            caller,
            parts,
            body,
            language,
            ..
        } = call;
        let body = input::json(&parts.headers, body, app.limits, language).await?;
        let (turn, opinion) = input::opinion(body, language)?;
        let ids = &app.native.turn_ids;
        let is_meant = |own: &str| ids.public(own) == turn;
        let kept = app.native.chats.rate(&tenant, is_meant, opinion).await;
        kept.map_err(|error| refused(&app, &caller, &error, language))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `GET /api/v1/usage`.
pub(crate) async fn usage(State(app): State<Arc<App>>, request: Request) -> Response {
    serve(app, request, Purpose::Read, async |call| {
        let query = input::Query::parse(&call.parts.uri);
        let chats = &call.app.native.chats;
        let usage = match query.get("chatId") {
            Some(chat) => chats.usage(&call.tenant(chat)?).await,
            None => {
                let default =
                    ChatId::parse(super::openai::DEFAULT_CHAT).map_err(|_| no_such_chat(call.language))?;
                let tenant = TenantId::new(call.caller.platform, call.caller.user.clone(), default);
                chats.usage_as(&tenant, call.caller.tier()).await
            }
        };
        let usage = usage.map_err(|error| refused(&call.app, &call.caller, &error, call.language))?;
        let body = json!({
            "used": usage.used,
            "limit": usage.limit,
            "remaining": usage.remaining,
            "resetsAt": usage.resets_at.map(|at| at.to_string()),
        });
        Ok(Json(body).into_response())
    })
    .await
}

// === what they have in common ===

/// The chat a path names; not read when its escapes are broken.
type ChatPath = Result<Path<String>, PathRejection>;

/// Finds out who calls, whether they may and how often, then lets the handler answer.
async fn serve(
    app: Arc<App>,
    request: Request,
    purpose: Purpose,
    handler: impl AsyncFnOnce(Call) -> Answer,
) -> Response {
    let id = correlation_id(&app, &request);
    let (parts, body) = request.into_parts();
    let language = language(&app, &parts.headers);
    let caller = match caller::identify(&app, &parts, purpose, language) {
        Ok(caller) => caller,
        Err(problem) => return finished(Err(problem), id),
    };
    let told = match caller::admit(&app, &caller, &parts, purpose, language) {
        Ok(told) => told,
        Err(problem) => {
            let mut response = finished(Err(problem), id);
            caller::tell_limit(&app, &caller, response.headers_mut());
            return response;
        }
    };
    let shown_to = caller.clone();
    let answer = handler(Call {
        app: Arc::clone(&app),
        caller,
        parts,
        body,
        language,
        correlation_id: id,
    })
    .await;
    let mut response = finished(answer, id);
    if told {
        caller::tell_limit(&app, &shown_to, response.headers_mut());
    }
    response
}

fn finished(answer: Answer, id: CorrelationId) -> Response {
    let mut response = answer.unwrap_or_else(|problem| problem.with_correlation_id(id).into_response());
    // What is said in a chat is nobody's to keep on the way.
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refused(app: &App, caller: &Caller, error: &ChatError, language: Language) -> Problem {
    if let ChatError::Refused(refusal) = error {
        app.counters
            .refused
            .bump([refusal.code(), caller.platform.as_str()]);
        if let Refusal::Store(error) = refusal {
            tracing::warn!(%error, "a request of the native API failed");
        }
    }
    Problem::from_error(error, language)
}

fn no_such_chat(language: Language) -> Problem {
    Problem::from_error(&ChatError::NoSuchChat, language)
}

/// A message as it is read again.
fn message(message: &SaidMessage, ids: &TurnIds) -> Value {
    json!({
        "id": message.seq.to_string(),
        "role": match message.role {
            Role::User => "user",
            Role::Assistant | Role::System | Role::Tool => "assistant",
        },
        "text": message.text,
        "at": message.at.to_string(),
        "turnId": message.turn_id.as_deref().map(|turn| ids.public(turn)),
        "unanswered": message.unanswered,
        "finishReason": message.finish_reason,
        "feedback": message.feedback.as_ref().map(|opinion| {
            json!({ "rating": opinion.rating.as_str(), "text": opinion.text })
        }),
    })
}

/// What has no end yet, as it is sent.
fn pending(snapshot: &ChatSnapshot, ids: &TurnIds) -> Value {
    let asked = snapshot.asked.iter();
    asked
        .map(|asked| json!({ "turnId": ids.public(&asked.turn_id), "text": asked.text }))
        .collect()
}

/// A snapshot as it is sent.
fn shown(snapshot: &ChatSnapshot, ids: &TurnIds) -> Value {
    let messages: Vec<Value> = snapshot.messages.iter().map(|one| message(one, ids)).collect();
    let next = snapshot
        .messages
        .first()
        .filter(|_| snapshot.more)
        .map(|first| first.seq.to_string());
    json!({
        "messages": messages,
        "next": next,
        "pending": pending(snapshot, ids),
        "live": snapshot.live.as_ref().map(|live| json!({ "turnId": ids.public(&live.turn_id), "text": live.text })),
        "lastEventId": snapshot.position.to_string(),
    })
}

// === impl Call ===

impl Call {
    /// The caller's chat of that name, whether or not there is one.
    fn tenant(&self, chat: &str) -> Result<TenantId, Problem> {
        let chat = ChatId::parse(chat).map_err(|_| no_such_chat(self.language))?;
        Ok(TenantId::new(
            self.caller.platform,
            self.caller.user.clone(),
            chat,
        ))
    }

    fn chat(&self, path: ChatPath) -> Result<TenantId, Problem> {
        let Path(chat) = path.map_err(|_| no_such_chat(self.language))?;
        self.tenant(&chat)
    }
}
