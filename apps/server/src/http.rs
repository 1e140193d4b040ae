//! The routes, and what they have in common: who calls, how large a body may be, how an error looks.
//!
//! Handlers translate; the gateway decides. Each surface answers errors in its own form: OpenAI's under `/v1`, RFC 9457
//! elsewhere.

pub(crate) mod admin;
mod body;
mod health;
pub(crate) mod hosts;
mod invalid;
pub(crate) mod native;
mod openai;
mod openapi;
mod page;
mod problems;
mod readiness;
mod webhook;

use crate::accept::ConnectionCounts;
use crate::config::sections::ServerSection;
use crate::keys::KeyRing;
use crate::openai_wire::ApiError;
use crate::problem::{self, Problem};
use crate::prometheus::{Counters, status_label};
use crate::reload::Reloader;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use openclaw_ai_fabric::ProviderRegistry;
use openclaw_core::{Clock, CorrelationId, Language};
use openclaw_gateway::Gateway;
use openclaw_gateway::ports::{ApiKeyRecord, KeyStore, TenantDirectory, TurnStore, UsageLedger};
use openclaw_messenger::{RateLimiter, WebhookRouter};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Service, ServiceExt as _};

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) gateway: Gateway,
    pub(crate) store: Arc<dyn TurnStore>,
    pub(crate) key_store: Arc<dyn KeyStore>,
    pub(crate) registry: Arc<ProviderRegistry>,
    pub(crate) directory: Arc<dyn TenantDirectory>,
    pub(crate) ledger: Arc<dyn UsageLedger>,
    pub(crate) webhooks: WebhookRouter,
    pub(crate) keys: KeyRing,
    /// Requests of callers with a key, per key.
    pub(crate) inbound: RateLimiter,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The language of people of whom nobody knows what they read.
    pub(crate) language: Language,
    pub(crate) limits: HttpLimits,
    /// By which names it may be called.
    pub(crate) hosts: hosts::Hosts,
    pub(crate) started: openclaw_core::Monotonic,
    /// Set when the server stops: it is alive and no longer ready.
    pub(crate) draining: AtomicBool,
    pub(crate) pool: PoolBounds,
    pub(crate) native: native::Native,
    pub(crate) connections: Arc<ConnectionCounts>,
    /// What was built, for `openclaw status`.
    pub(crate) facts: admin::status::Facts,
    /// Set once the server is ready.
    pub(crate) reloader: OnceLock<Arc<Reloader>>,
}

/// The bounds of what is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpLimits {
    pub(crate) body_bytes: usize,
    /// How long a body may take to arrive.
    pub(crate) body_time: Duration,
}

/// The pool's configured bounds, for metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolBounds {
    pub(crate) min_workers: usize,
    pub(crate) max_workers: usize,
    pub(crate) max_queue_size: usize,
    pub(crate) threshold: f64,
}

/// Stateless calls, in OpenAI's form.
const COMPLETIONS: &str = "/v1/chat/completions";
/// The name every answer carries its correlation id under.
pub(crate) const REQUEST_ID: &str = "x-request-id";

impl HttpLimits {
    pub(crate) fn of(section: &ServerSection) -> Self {
        Self {
            body_bytes: section.body_limit.0,
            body_time: section.request_timeout,
        }
    }
}

impl App {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// One method of one path, and who answers it.
pub(crate) struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the description of the API is compared with it")
    )]
    pub(crate) method: Method,
    /// In axum's spelling.
    pub(crate) path: &'static str,
    answer: MethodRouter<Arc<App>>,
}

/// All routes. The router is built from this table, and the description of the API is compared with it.
#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/livez", health::alive),
        get("/health", readiness::health),
        get("/readyz", readiness::ready),
        get("/metrics", health::metrics),
        get("/", page::page),
        get("/chat", page::page),
        get("/assets/{name}", page::asset),
        get("/openapi.json", openapi::document),
        get("/docs", openapi::page),
        get("/problems/{name}", problems::page),
        post("/webhook/telegram", webhook::telegram),
        post("/webhook/max", webhook::max),
        post("/webhook/max/{hook}", webhook::max_hook),
        get("/api/v1/chats", native::list),
        post("/api/v1/chats", native::open),
        delete("/api/v1/chats/{chatId}", native::erase),
        get("/api/v1/chats/{chatId}/messages", native::messages),
        post("/api/v1/chats/{chatId}/messages", native::post),
        get("/api/v1/chats/{chatId}/events", native::events),
        post("/api/v1/chats/{chatId}/stop", native::stop),
        post("/api/v1/chats/{chatId}/export", native::export),
        post("/api/v1/chats/{chatId}/feedback", native::feedback),
        get("/api/v1/usage", native::usage),
        post(COMPLETIONS, openai::chat_completions),
        get("/v1/models", openai::models),
        get("/v1/models/{*id}", openai::model),
        get("/admin/api/v1/metrics/concurrency", admin::concurrency),
        get("/admin/api/v1/metrics", admin::metrics),
        get("/admin/api/v1/status", admin::status::show),
        get("/admin/api/v1/keys", admin::keys::list),
        post("/admin/api/v1/keys", admin::keys::create),
        delete("/admin/api/v1/keys/{id}", admin::keys::revoke),
        get("/admin/api/v1/workers", admin::workers::list),
        get("/admin/api/v1/workers/suggest", admin::workers::suggest),
        post("/admin/api/v1/workers/{id}/kill", admin::workers::kill),
        post("/admin/api/v1/workers/{id}/recycle", admin::workers::recycle),
        get("/admin/api/v1/queue", admin::queue::show),
        post("/admin/api/v1/queue/pause", admin::queue::pause),
        post("/admin/api/v1/queue/resume", admin::queue::resume),
        get("/admin/api/v1/queue/{id}", admin::queue::item),
        delete("/admin/api/v1/queue/{id}", admin::queue::remove),
        get("/admin/api/v1/models", admin::models::list),
        get("/admin/api/v1/models/explain", admin::models::explain),
        post("/admin/api/v1/models/test", admin::models::test),
        get("/admin/api/v1/budgets", admin::budgets::report),
        get("/admin/api/v1/budgets/{tenant}", admin::budgets::show),
        get("/admin/api/v1/budgets/{tenant}/explain", admin::budgets::explain),
        post("/admin/api/v1/budgets/{tenant}/reset", admin::budgets::reset),
        post("/admin/api/v1/config/reload", admin::config::reload),
    ]
}

fn get<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: Method::GET,
        path,
        answer: on(MethodFilter::GET, handler),
    }
}

fn post<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: Method::POST,
        path,
        answer: on(MethodFilter::POST, handler),
    }
}

fn delete<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: Method::DELETE,
        path,
        answer: on(MethodFilter::DELETE, handler),
    }
}

/// The router of all routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.answer)
        })
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

/// The routes as the listener asks them.
///
/// Calls of `/v1/chat/completions` do not go through the router: to find one path among forty, and to make a chain of
/// services for it, takes longer than all that is decided about a call that comes after a pause.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    app: Arc<App>,
    router: Router,
}

impl Edge {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            router: router(Arc::clone(&app)),
            app,
        }
    }
}

impl Service<http::Request<Incoming>> for Edge {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let request = request.map(Body::new);
        if request.method() == Method::POST && request.uri().path() == COMPLETIONS {
            let app = Arc::clone(&self.app);
            let route = route_label(Some(COMPLETIONS));
            return Box::pin(async move {
                let answer = |request| openai::chat_completions(State(Arc::clone(&app)), request);
                Ok(observed(&app, route, request, answer).await)
            });
        }
        Box::pin(self.router.clone().oneshot(request))
    }
}

/// Observes what comes through the router, and refuses what calls the server by a name that is not its own.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = route_label(matched.map(MatchedPath::as_str));
    let refusal = matched.and_then(|path| hosts::refusal(&app, path.as_str(), request.headers()));
    let answer = async |request| match refusal {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    observed(&app, route, request, answer).await
}

/// Gives a request its correlation id, has it answered and counts it.
async fn observed<F: Future<Output = Response>>(
    app: &App,
    route: &'static str,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let id = app.gateway.correlation_id();
    let began = app.clock.monotonic();
    request.extensions_mut().insert(id);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let reads = language(app, request.headers());
    let request = request.map(|body| body::in_time(body, &app.clock, app.limits.body_time));
    let mut response = answer(request).await;
    if is_unread_path(&response) {
        response = no_such_path(&method, &uri, Some(Extension(id)), reads);
    }
    problem::name(&mut response, id);
    let status = status_label(response.status());
    app.counters.http_requests.bump([route, status]);
    app.counters
        .http_duration
        .observe([route, status], app.clock.monotonic().saturating_since(began));
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Whether an extractor refused a path whose escapes are no text, in words of its own. Such a name names nothing.
fn is_unread_path(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    response.status() == StatusCode::BAD_REQUEST
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// The routes as label values: a closed set, whatever is asked for.
fn route_label(path: Option<&str>) -> &'static str {
    match path {
        Some("/livez" | "/health") => "health",
        Some("/readyz") => "readyz",
        Some("/openapi.json" | "/docs" | "/problems/{name}") => "docs",
        Some("/metrics") => "metrics",
        Some("/webhook/telegram") => "webhook_telegram",
        Some("/webhook/max" | "/webhook/max/{hook}") => "webhook_max",
        Some(COMPLETIONS) => "chat_completions",
        Some("/v1/models" | "/v1/models/{*id}") => "models",
        Some(path) if path.starts_with("/admin/") => "admin",
        Some(path) if path.starts_with("/api/v1/") => "native",
        Some(_) => "page",
        None => "none",
    }
}

type Id = Option<Extension<CorrelationId>>;

async fn not_found(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    id: Id,
) -> Response {
    no_such_path(&method, &uri, id, language(&app, &headers))
}

fn no_such_path(method: &Method, uri: &Uri, id: Id, language: Language) -> Response {
    let path = shown_path(uri);
    let detail = match language {
        Language::En => format!("there is no {method} {path}"),
        Language::Ru => format!("здесь нет {method} {path}"),
    };
    refuse(uri, id, "NOT_FOUND", detail)
}

async fn not_allowed(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    id: Id,
) -> Response {
    let path = shown_path(&uri);
    let detail = match language(&app, &headers) {
        Language::En => format!("{path} does not take {method}"),
        Language::Ru => format!("{path} не принимает {method}"),
    };
    refuse(&uri, id, "METHOD_NOT_ALLOWED", detail)
}

/// The path as it may be repeated in an answer: bounded, and nothing that is not plain.
fn shown_path(uri: &Uri) -> String {
    uri.path()
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(120)
        .collect()
}

fn refuse(uri: &Uri, id: Id, code: &'static str, detail: String) -> Response {
    if uri.path().starts_with("/v1/") || uri.path() == "/v1" {
        return ApiError::new(code, detail).into_response();
    }
    let problem = Problem::new(code, detail);
    match id {
        Some(Extension(id)) => problem.with_correlation_id(id).into_response(),
        None => problem.into_response(),
    }
}

/// The correlation id `observe` gave the request.
pub(crate) fn correlation_id(app: &App, request: &Request) -> CorrelationId {
    request
        .extensions()
        .get()
        .copied()
        .unwrap_or_else(|| app.gateway.correlation_id())
}

/// The language a caller reads.
pub(crate) fn language(app: &App, headers: &HeaderMap) -> Language {
    own_language(headers).unwrap_or(app.language)
}

/// The language a caller says it reads, if it is one of ours.
pub(crate) fn own_language(headers: &HeaderMap) -> Option<Language> {
    let mut lines = headers.get_all(header::ACCEPT_LANGUAGE).iter();
    let mut lines = lines.by_ref().filter_map(|value| value.to_str().ok());
    let first = lines.next()?;
    match lines.next() {
        None => Language::from_accept_language(first),
        // A list in several lines is one list.
        Some(second) => {
            let all: Vec<&str> = [first, second].into_iter().chain(lines).collect();
            Language::from_accept_language(&all.join(","))
        }
    }
}

/// The credential of a request: `Authorization: Bearer …`, else `X-API-Key`.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
    bearer.or_else(|| {
        headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    })
}

/// Whose key a request carries.
pub(crate) fn caller(app: &App, headers: &HeaderMap) -> Option<Arc<ApiKeyRecord>> {
    app.keys.find(credential(headers)?, app.clock.now())
}

/// Whether a request carries the admin token.
pub(crate) fn is_admin(app: &App, headers: &HeaderMap) -> bool {
    credential(headers).is_some_and(|token| app.keys.is_admin(token))
}

#[cfg(test)]
mod tests;
