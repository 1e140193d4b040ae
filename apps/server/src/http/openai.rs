//! The OpenAI-compatible surface: stateless, and otherwise a full turn.

mod allowance;

use super::body::{self, BodyError};
use super::{App, caller, correlation_id, credential, language};
use crate::openai_wire::{
    ApiError, ChatCompletionRequest, ChunkWriter, CompletionWriter, Identity, ModelCard,
};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::stream;
use openclaw_ai_fabric::{AnswerForm, ChatRequest, ModelFilter, ToolSpec};
use openclaw_core::{CodedError, CorrelationId, Language, ModelId, Monotonic, TenantId};
use openclaw_gateway::ports::ApiKeyRecord;
use openclaw_gateway::{CompletionEvent, CompletionRequest, CompletionStream, Refusal, caller_chat};
use std::sync::Arc;
use std::time::Duration;

/// The chat of calls that name no user.
pub(super) const DEFAULT_CHAT: &str = "default";
/// How often a silent stream shows that it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// What `/v1` calls a model that is not there.
/// When a model was made, which no provider tells; the field has to be there, and means nothing.
const CREATED: i64 = 0;
const MODEL_NOT_FOUND: &str = "model_not_found";
/// So many models are named to whom asked for one that is not there, and so much of what was asked for.
const SHOWN_MODELS: usize = 20;
const SHOWN_CHARS: usize = 128;
/// Events written at once, at most.
const EVENTS_AT_ONCE: usize = 64;

/// `POST /v1/chat/completions`.
pub(crate) async fn chat_completions(State(app): State<Arc<App>>, request: Request) -> Response {
    let id = correlation_id(&app, &request);
    let (parts, body) = request.into_parts();
    let language = language(&app, &parts.headers);
    let key = match authorize(&app, &parts.headers) {
        Ok(key) => key,
        Err(error) => return error.into_response(),
    };
    let answered = match admit(&app, &key, language) {
        Ok(()) => answer(&app, &key, body, id, language).await,
        Err(error) => Err(error),
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    allowance::tell(&app, &key, response.headers_mut()).await;
    response
}

/// Whose key this is.
fn authorize(app: &App, headers: &HeaderMap) -> Result<Arc<ApiKeyRecord>, ApiError> {
    caller(app, headers).ok_or_else(|| {
        let message = match credential(headers) {
            Some(_) => "the API key is not valid; it is read from `Authorization: Bearer` or `X-API-Key`",
            None => "no API key was sent; send it as `Authorization: Bearer …`",
        };
        ApiError::new("UNAUTHORIZED", message)
    })
}

/// Counts the request against the key's limit, unless it has none.
fn admit(app: &App, key: &ApiKeyRecord, language: Language) -> Result<(), ApiError> {
    if !key.limited {
        return Ok(());
    }
    app.inbound.acquire(&key.id).map_err(|error| {
        app.counters.rate_limited.bump(["api"]);
        ApiError::from_error(&error, language)
    })
}

async fn answer(
    app: &Arc<App>,
    key: &ApiKeyRecord,
    body: Body,
    id: CorrelationId,
    language: Language,
) -> Result<Response, ApiError> {
    let body = body::read(body, app.limits.body_bytes)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => ApiError::new(
                "TOO_LARGE",
                format!("the body has more than {} bytes", app.limits.body_bytes),
            ),
            BodyError::Broken => ApiError::new("VALIDATION", "the body did not arrive whole"),
            BodyError::Slow => ApiError::new(
                "REQUEST_TIMEOUT",
                format!(
                    "the body had not arrived after {} ms",
                    app.limits.body_time.as_millis()
                ),
            ),
        })?;
    let asked = ChatCompletionRequest::parse(&body)?;
    let (stream, include_usage) = (asked.stream, asked.include_usage);
    let request = completion_request(key, asked, id, language)?;
    if !request.chat.tools.is_empty() && app.facts.worker_command.is_some() {
        return Err(ApiError::unsupported("tools", no_tools(language)));
    }
    let model = request.model.clone();
    let refused = |refusal: &Refusal| {
        let error = ApiError::from_error(refusal, language);
        match &model {
            Some(model) if error.code == MODEL_NOT_FOUND => ApiError {
                message: no_such_model(app, key, model.as_str(), language).into(),
                ..error
            },
            Some(_) | None => error,
        }
    };
    let mut events = app.gateway.complete(request).map_err(|refusal| {
        app.counters.refused.bump([refusal.code(), key.tier.as_str()]);
        refused(&refusal)
    })?;
    // Nothing is promised before a model answers: until then an error still has its own status.
    let first = match events.next().await {
        Some(CompletionEvent::Failed(refusal)) => return Err(refused(&refusal)),
        Some(event) => event,
        None => return Err(ApiError::new("INTERNAL", "the answer ended before it began")),
    };
    let head = Head {
        id: format!("chatcmpl-{}", id.as_uuid().simple()),
        created: app.clock.now().as_secs(),
    };
    if stream {
        Ok(streamed(app, head, first, events, include_usage, language))
    } else {
        gathered(&head, first, events, language).await
    }
}

struct Head {
    id: String,
    created: i64,
}

fn completion_request(
    key: &ApiKeyRecord,
    asked: ChatCompletionRequest,
    correlation_id: CorrelationId,
    language: Language,
) -> Result<CompletionRequest, ApiError> {
    let chat = caller_chat(asked.user.as_deref().unwrap_or(DEFAULT_CHAT));
    let tools = asked.tools.into_iter().map(tool).collect::<Result<_, _>>()?;
    let model: Option<ModelId> = (asked.model.as_str() != "auto").then_some(asked.model);
    Ok(CompletionRequest {
        tenant: TenantId::new(key.platform, key.user.clone(), chat),
        tier: key.tier,
        model,
        chat: ChatRequest {
            messages: asked.messages,
            max_output_tokens: asked.max_output_tokens.unwrap_or(0),
            tools,
            parameters: asked.parameters,
            user: asked.user,
            form: if asked.stream {
                AnswerForm::Streamed
            } else {
                AnswerForm::Whole
            },
        },
        correlation_id,
        language,
    })
}

/// Why a request with tools is refused where workers answer: the protocol of workers has no place for them.
fn no_tools(language: Language) -> &'static str {
    match language {
        Language::En => "Worker processes answer here, and they are not told of tools; leave `tools` out.",
        Language::Ru => "Здесь отвечают процессы-воркеры, а им об инструментах не сообщают; уберите `tools`.",
    }
}

fn tool(value: serde_json::Value) -> Result<ToolSpec, ApiError> {
    let function = match value {
        serde_json::Value::Object(mut tool) => tool.remove("function"),
        _ => None,
    };
    serde_json::from_value(function.unwrap_or_default())
        .map_err(|error| ApiError::invalid("tools", format!("a tool cannot be read: {error}")))
}

async fn gathered(
    head: &Head,
    first: CompletionEvent,
    mut events: CompletionStream,
    language: Language,
) -> Result<Response, ApiError> {
    let mut writer = CompletionWriter::default();
    let mut model = None;
    let mut next = Some(first);
    while let Some(event) = next {
        match event {
            CompletionEvent::Began { model: name } => model = Some(name),
            CompletionEvent::Event(event) => writer.event(event),
            CompletionEvent::Done => {
                let model = model.as_ref().map_or("", ModelId::as_str);
                let body = writer.finish(
                    Identity {
                        id: &head.id,
                        created: head.created,
                        model,
                    },
                    None,
                );
                return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
            }
            CompletionEvent::Failed(refusal) => return Err(ApiError::from_error(&refusal, language)),
        }
        next = events.next().await;
    }
    Err(ApiError::new("INTERNAL", "the answer ended in the middle"))
}

/// A streamed answer on its way to the caller.
struct Streaming {
    app: Arc<App>,
    head: Head,
    writer: Option<ChunkWriter>,
    events: CompletionStream,
    waiting: Vec<CompletionEvent>,
    include_usage: bool,
    language: Language,
    over: bool,
    /// When the client last heard something, and a timer that fires when the next sign of life could be due. Each write
    /// moves that moment without setting the timer anew.
    heard: Monotonic,
    ping: BoxFuture<'static, ()>,
}

fn streamed(
    app: &Arc<App>,
    head: Head,
    first: CompletionEvent,
    events: CompletionStream,
    include_usage: bool,
    language: Language,
) -> Response {
    let streaming = Streaming {
        app: Arc::clone(app),
        head,
        writer: None,
        events,
        waiting: vec![first],
        include_usage,
        language,
        over: false,
        heard: app.clock.monotonic(),
        ping: app.clock.sleep(PING_INTERVAL),
    };
    let body = stream::unfold(streaming, |mut streaming| async move {
        let bytes = streaming.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), streaming))
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Streaming {
    /// What is to be written next; everything that already waits goes at once.
    async fn next(&mut self) -> Option<bytes::Bytes> {
        if self.over {
            return None;
        }
        let mut out = BytesMut::new();
        while out.is_empty() && !self.over {
            if self.waiting.is_empty() {
                tokio::select! {
                    biased;
                    event = self.events.next() => match event {
                        Some(event) => self.waiting.push(event),
                        // The end without `Done` or `Failed` is nobody's word: never let it look complete.
                        None => self.fail(&ApiError::new("INTERNAL", "the answer ended in the middle"), &mut out),
                    },
                    () = &mut self.ping => {
                        let due = self.heard + PING_INTERVAL;
                        if self.app.clock.monotonic() < due {
                            self.ping = self.app.clock.sleep_until(due);
                        } else {
                            ChunkWriter::ping(&mut out);
                            self.ping = self.app.clock.sleep(PING_INTERVAL);
                        }
                    }
                }
            }
            self.events.take_ready(&mut self.waiting, EVENTS_AT_ONCE);
            for event in std::mem::take(&mut self.waiting) {
                self.write(event, &mut out);
            }
        }
        self.heard = self.app.clock.monotonic();
        Some(out.freeze())
    }

    fn write(&mut self, event: CompletionEvent, out: &mut BytesMut) {
        match event {
            CompletionEvent::Began { model } => {
                let identity = Identity {
                    id: &self.head.id,
                    created: self.head.created,
                    model: model.as_str(),
                };
                self.writer = Some(ChunkWriter::new(identity, self.include_usage));
            }
            CompletionEvent::Event(event) => self.writer().event(&event, out),
            CompletionEvent::Done => {
                self.writer().finish(None, out);
                self.over = true;
            }
            CompletionEvent::Failed(refusal) => {
                let error = ApiError::from_error(&refusal, self.language);
                self.fail(&error, out);
            }
        }
    }

    fn fail(&mut self, error: &ApiError, out: &mut BytesMut) {
        ChunkWriter::error(error, out);
        self.over = true;
    }

    fn writer(&mut self) -> &mut ChunkWriter {
        let identity = Identity {
            id: &self.head.id,
            created: self.head.created,
            model: "",
        };
        self.writer
            .get_or_insert_with(|| ChunkWriter::new(identity, self.include_usage))
    }
}

fn cards(app: &App, key: &ApiKeyRecord) -> Vec<ModelCard> {
    let filter = ModelFilter {
        tier: Some(key.tier),
        ..ModelFilter::default()
    };
    let mut cards: Vec<ModelCard> = app
        .registry
        .list_models(&filter)
        .into_iter()
        .map(|found| ModelCard {
            id: found.model.id.to_string(),
            created: CREATED,
            owned_by: found.provider.id.to_string(),
        })
        .collect();
    cards.push(ModelCard {
        id: "auto".to_owned(),
        created: CREATED,
        owned_by: "openclaw".to_owned(),
    });
    cards
}

/// Says that there is no such model, and which there are.
fn no_such_model(app: &App, key: &ApiKeyRecord, asked: &str, language: Language) -> String {
    let asked: String = asked.chars().take(SHOWN_CHARS).collect();
    let mut ids: Vec<String> = cards(app, key).into_iter().map(|card| card.id).collect();
    if ids.contains(&asked) {
        return match language {
            Language::En => format!("the provider of the model {asked:?} does not know it"),
            Language::Ru => format!("провайдер модели «{asked}» её не знает"),
        };
    }
    let more = ids.len().saturating_sub(SHOWN_MODELS);
    // The last one is `auto`, which is always worth naming.
    let auto = ids.pop();
    ids.truncate(SHOWN_MODELS - 1);
    ids.extend(auto);
    let ids = ids.join(", ");
    match (language, more) {
        (Language::En, 0) => format!("there is no model {asked:?}; there are: {ids}"),
        (Language::En, _) => {
            format!("there is no model {asked:?}; there are: {ids}, and {more} more at GET /v1/models")
        }
        (Language::Ru, 0) => format!("модели «{asked}» нет; есть: {ids}"),
        (Language::Ru, _) => format!("модели «{asked}» нет; есть: {ids} и ещё {more}, см. GET /v1/models"),
    }
}

/// `GET /v1/models`.
pub(crate) async fn models(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match authorize(&app, &headers) {
        Ok(key) => json(ModelCard::list(&cards(&app, &key))),
        Err(error) => error.into_response(),
    }
}

/// `GET /v1/models/{id}`. Ids may hold slashes.
pub(crate) async fn model(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let key = match authorize(&app, &headers) {
        Ok(key) => key,
        Err(error) => return error.into_response(),
    };
    match cards(&app, &key).into_iter().find(|card| card.id == id) {
        Some(card) => json(card.to_body()),
        None => {
            let language = language(&app, &headers);
            ApiError {
                param: Some("model".to_owned()),
                ..ApiError::new("MODEL_UNKNOWN", no_such_model(&app, &key, &id, language))
            }
            .into_response()
        }
    }
}

fn json(body: bytes::Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
