//! `/admin/api/v1/models`: which models there are, which one a request would get and why, and whether one answers.

use super::super::body::{self, BodyError};
use super::super::{App, correlation_id, is_admin};
use super::budgets::{self, Target};
use super::status::{millis, state};
use super::{query, unauthorized};
use crate::model_states::{AskedBy, CallFailure};
use crate::problem::Problem;
use crate::wire::ModelReason;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use openclaw_ai_fabric::{
    ChatRequest, FallbackChain, FoundModel, ModelCapability, ModelDefinition, ModelError, ModelProvider,
    RouterConfig, SelectionRequest, TimeoutPhase,
};
use openclaw_core::{
    AccessTier, ChatMessage, CodedError as _, CorrelationId, ModelEvent, ModelId, Role, TokenUsage,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a model is asked when it is tested, and how much it may say.
const QUESTION: &str = "Reply with the single word OK.";
const ANSWER_TOKENS: u64 = 64;
/// How long a test may take. A local model may have to be loaded first.
const TEST_TIME: Duration = Duration::from_secs(90);
/// What is kept of the answer, in characters.
const SHOWN_CHARS: usize = 80;
/// What a request is taken to need when nobody says, in tokens.
const INPUT_TOKENS: u64 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    model: String,
}

/// `GET /admin/api/v1/models`.
pub(crate) async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    let providers: Vec<Value> = app
        .registry
        .all_providers()
        .iter()
        .map(|provider| described(&app, provider))
        .collect();
    let chain = app.gateway.default_chain();
    Json(json!({
        "schema": 1,
        "demo": app.facts.fabric.choice().is_demo,
        // What a test waits for each of them.
        "testTimeoutMs": {
            "firstToken": millis(first_token_time(app.facts.fabric.router.config())),
            "whole": millis(TEST_TIME),
        },
        "primaryModel": chain.as_ref().map(|chain| &chain.primary_model),
        "fallbacks": chain.map(|chain| chain.fallbacks).unwrap_or_default(),
        "providers": providers,
    }))
    .into_response()
}

/// How long a test waits for an answer to begin: as long as a turn would, and never longer than a whole test may take.
fn first_token_time(config: RouterConfig) -> Duration {
    config.first_token_timeout.min(TEST_TIME)
}

fn described(app: &App, provider: &ModelProvider) -> Value {
    let fabric = &app.facts.fabric;
    let circuits = fabric.circuits.snapshot();
    let models: Vec<Value> = provider
        .models
        .iter()
        .map(|model| {
            let circuit = circuits
                .iter()
                .find(|one| one.provider == provider.id && one.model == model.id);
            json!({
                "id": model.id,
                "name": model.name,
                "aliases": model.aliases,
                "contextWindow": model.context_window,
                "maxOutputTokens": model.max_output_tokens,
                "costPer1kInput": model.cost_per_1k_input,
                "costPer1kOutput": model.cost_per_1k_output,
                "capabilities": model.capabilities,
                "requiredTier": model.required_tier,
                "circuit": circuit.map_or("closed", state),
                "asked": circuit.is_some(),
                "failures": circuit.map_or(0, |one| one.failures),
                "health": fabric.circuits.health(&provider.id, &model.id),
                "firstTokenMs": circuit.and_then(|one| one.first_token).map(millis),
            })
        })
        .collect();
    json!({
        "id": provider.id,
        "name": provider.name,
        "baseUrl": provider.base_url,
        "priority": provider.priority,
        "anyModel": provider.any_model,
        "limits": {
            "requestsPerMinute": provider.rate_limit.requests_per_minute,
            "tokensPerMinute": provider.rate_limit.tokens_per_minute,
            "concurrentRequests": provider.rate_limit.concurrent_requests,
        },
        "remaining": fabric.limiter.remaining_quota(&provider.id),
        "models": models,
    })
}

/// `GET /admin/api/v1/models/explain?tenant=&tier=&needs=&inputTokens=&outputTokens=`.
pub(crate) async fn explain(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    if !is_admin(&app, &headers) {
        return unauthorized();
    }
    match explained(&app, &uri).await {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn explained(app: &App, uri: &Uri) -> Result<Value, Problem> {
    let query = query(uri)?;
    let text = |name: &str| {
        query
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let tokens = |name: &str, otherwise: u64| match text(name) {
        None => Ok(otherwise),
        Some(text) => text
            .parse()
            .map_err(|_| Problem::new("VALIDATION", format!("{name} must be a number of tokens"))),
    };
    let target = match text("tenant") {
        Some(name) => Some(budgets::find(app, name).await?),
        None => None,
    };
    let tier = match (text("tier"), &target) {
        (Some(name), _) => name
            .parse::<AccessTier>()
            .map_err(|error| Problem::new("VALIDATION", format!("tier: {error}")))?,
        (None, Some(Target { tier, .. })) => *tier,
        (None, None) => AccessTier::Free,
    };
    let mut capabilities = vec![ModelCapability::Chat];
    for name in text("needs").into_iter().flat_map(|names| names.split(',')) {
        let capability = serde_json::from_value(json!(name.trim()))
            .map_err(|error| Problem::new("VALIDATION", format!("needs: {error}")))?;
        if !capabilities.contains(&capability) {
            capabilities.push(capability);
        }
    }
    let request = SelectionRequest {
        capabilities,
        input_tokens: tokens("inputTokens", INPUT_TOKENS)?,
        output_tokens: tokens("outputTokens", app.gateway.max_reply_tokens())?,
        tier,
        model: None,
    };
    let explanation = app.facts.fabric.selector.explain(&request);
    let chain = app.gateway.default_chain();
    let chosen = app.gateway.would_ask(&request);
    Ok(json!({
        "schema": 1,
        "tenant": target.map(|target| target.label),
        "tier": tier,
        "needs": request.capabilities,
        "inputTokens": request.input_tokens,
        "outputTokens": request.output_tokens,
        // With a chain in the configuration the scores decide nothing but who is left out.
        "by": match &chain {
            None => "score",
            Some(chain) if is_found(app, chain) => "found",
            Some(_) => "chain",
        },
        "chain": chosen.as_ref().ok().map(|chain| {
            std::iter::once(&chain.primary_model).chain(&chain.fallbacks).collect::<Vec<_>>()
        }),
        "refused": chosen.err().map(|refusal| refusal.to_string()),
        "candidates": explanation.candidates,
    }))
}

/// Whether the chain is nothing but the first model of the provider that was found without a configuration.
fn is_found(app: &App, chain: &FallbackChain) -> bool {
    let choice = app.facts.fabric.choice();
    choice.why != ModelReason::Configured
        && chain.fallbacks.is_empty()
        && choice.models.first().map(String::as_str) == Some(chain.primary_model.as_str())
}

/// `POST /admin/api/v1/models/test`: really asks the model one small question. 200 also when it does not answer: that is
/// what was asked.
pub(crate) async fn test(State(app): State<Arc<App>>, request: Request) -> Response {
    if !is_admin(&app, request.headers()) {
        return unauthorized();
    }
    let id = correlation_id(&app, &request);
    let bytes = match body::read(request.into_body(), app.limits.body_bytes).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let (code, detail) = match error {
                BodyError::TooLarge => ("TOO_LARGE", "the body is too large"),
                BodyError::Broken => ("VALIDATION", "the body did not arrive whole"),
                BodyError::Slow => ("REQUEST_TIMEOUT", "the body took too long to arrive"),
            };
            return Problem::new(code, detail).with_correlation_id(id).into_response();
        }
    };
    let model = serde_json::from_slice::<Wanted>(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|wanted| ModelId::parse(wanted.model).map_err(|error| error.to_string()));
    let model = match model {
        Ok(model) => model,
        Err(error) => {
            return Problem::new("VALIDATION", error)
                .with_correlation_id(id)
                .into_response();
        }
    };
    let Some(found) = app.registry.find_model(&model) else {
        let problem = Problem::new("NOT_FOUND", format!("no provider serves a model named {model}"));
        return problem.with_correlation_id(id).into_response();
    };
    if app.facts.worker_command.is_some() {
        return Json(by_workers(&found, id)).into_response();
    }
    Json(tested(&app, &found, id).await).into_response()
}

/// Workers answer what the pool gives them and nothing else, so that there is nobody to ask here. Nothing is held against
/// them for it: `ok` is null, and the state is left as it is.
fn by_workers(found: &FoundModel, id: CorrelationId) -> Value {
    json!({
        "schema": 1,
        "correlationId": id.to_string(),
        "provider": found.provider.id,
        "model": found.model.id,
        "ok": null,
        "answeredBy": "workers",
        "detail": "answered by worker processes, which are asked through the pool alone: send a message to test them",
        "next": "openclaw send",
    })
}

/// What a test has seen so far.
#[derive(Debug, Default)]
struct Seen {
    first_token: Option<Duration>,
    text: String,
    usage: Option<TokenUsage>,
}

async fn tested(app: &App, found: &FoundModel, id: CorrelationId) -> Value {
    let began = app.clock.monotonic();
    let mut seen = Seen::default();
    let asked = tokio::time::timeout(TEST_TIME, asked(app, found, id, &mut seen)).await;
    let outcome = asked.unwrap_or(Err(ModelError::Timeout {
        phase: TimeoutPhase::Whole,
    }));
    let duration = millis(app.clock.monotonic().saturating_since(began));
    keep(app, found, id, outcome.as_ref().err(), duration);
    let mut answer = json!({
        "schema": 1,
        "correlationId": id.to_string(),
        "provider": found.provider.id,
        "model": found.model.id,
        "ok": outcome.is_ok(),
        "durationMs": duration,
        "firstTokenMs": seen.first_token.map(millis),
    });
    match outcome {
        Ok(()) => {
            let usage = seen.usage.unwrap_or_default();
            answer["text"] = seen.text.chars().take(SHOWN_CHARS).collect::<String>().into();
            answer["usage"] = json!({
                "inputTokens": usage.input_tokens,
                "outputTokens": usage.output_tokens,
                "reported": seen.usage.is_some(),
            });
            answer["cost"] = found.model.cost(&usage).to_string().into();
        }
        Err(error) => {
            answer["code"] = error.code().into();
            answer["detail"] = error.to_string().into();
            answer["next"] = advice(&error, &found.provider, &found.model).into();
        }
    }
    answer
}

/// A test is told to the log and the status as a turn's call is: what an operator has just seen must be found again.
fn keep(app: &App, found: &FoundModel, id: CorrelationId, error: Option<&ModelError>, duration: u64) {
    let (provider, model) = (&found.provider.id, &found.model.id);
    let failure = error.map(|error| CallFailure {
        code: error.code(),
        reason: error.cause(),
    });
    match &failure {
        None => tracing::info!(
            correlationId = %id,
            %provider,
            %model,
            durationMs = duration,
            "a model was tested at an operator's word and answers"
        ),
        Some(failure) => tracing::warn!(
            correlationId = %id,
            %provider,
            %model,
            code = failure.code,
            reason = %failure.reason,
            durationMs = duration,
            "a model was tested at an operator's word and does not answer"
        ),
    }
    let now = app.clock.now();
    app.facts
        .model_states
        .note(provider, model, AskedBy::Test, now, failure);
    if error.is_none() {
        // Whatever it was left alone for is mended: the operator has just seen it answer.
        app.facts.fabric.circuits.answered(provider, model, Some(id));
    }
}

/// Past circuit and retries, so that what is seen is the provider; within its limits, so that the test breaks none.
async fn asked(app: &App, found: &FoundModel, id: CorrelationId, seen: &mut Seen) -> Result<(), ModelError> {
    let began = app.clock.monotonic();
    let permit = app
        .facts
        .fabric
        .limiter
        .acquire(&found.provider.id, ANSWER_TOKENS)
        .map_err(|refused| ModelError::RateLimited {
            retry_after: refused.retry_after(),
        })?;
    let request = ChatRequest::new(
        vec![ChatMessage::text(Role::User, QUESTION)],
        ANSWER_TOKENS.min(found.model.max_output_tokens),
    );
    let limits = app.facts.fabric.router.config();
    let first = tokio::time::timeout(first_token_time(limits), async {
        let mut stream = found.port.stream(&found.model.id, &request, id).await?;
        // A ping says that the connection lives, not that the answer has begun.
        loop {
            match stream.next().await {
                Some(Ok(ModelEvent::Ping)) => {}
                event => return Ok::<_, ModelError>((stream, event)),
            }
        }
    });
    let (mut stream, mut next) = first.await.unwrap_or(Err(ModelError::Timeout {
        phase: TimeoutPhase::FirstToken,
    }))?;
    let mut stopped = false;
    while let Some(event) = next {
        match event? {
            ModelEvent::TextDelta(text) => {
                seen.first_token
                    .get_or_insert_with(|| app.clock.monotonic().saturating_since(began));
                if seen.text.len() < 4 * SHOWN_CHARS {
                    seen.text.push_str(&text);
                }
            }
            ModelEvent::Usage(usage) => seen.usage = Some(usage),
            ModelEvent::Stop(_) => stopped = true,
            ModelEvent::ToolUseStart { .. } | ModelEvent::ToolArgumentsDelta { .. } | ModelEvent::Ping => {}
        }
        let idle = tokio::time::timeout(limits.idle_timeout, stream.next());
        next = idle.await.map_err(|_elapsed| ModelError::Timeout {
            phase: TimeoutPhase::Idle,
        })?;
    }
    if let Some(usage) = seen.usage {
        permit.settle(usage.total());
    }
    if stopped { Ok(()) } else { Err(ModelError::Cut) }
}

/// What an operator does about it.
fn advice(error: &ModelError, provider: &ModelProvider, model: &ModelDefinition) -> String {
    let (provider, model) = (&provider.id, &model.id);
    match error {
        ModelError::Unauthorized { .. } => {
            format!("the key is refused: check apiKey of {provider}, then openclaw config reload")
        }
        ModelError::QuotaExhausted { .. } => format!("money or quota of {provider} is used up: top it up"),
        ModelError::UnknownModel => {
            format!("{provider} has no {model}: check the name; of an Ollama, pull it first")
        }
        ModelError::Connect { .. } => format!(
            "check baseUrl, proxy and rootCertificate of {provider}, and that this machine may reach it"
        ),
        ModelError::RateLimited { .. } => {
            format!("{provider} is at its limit: wait, or set rateLimit to what it allows")
        }
        ModelError::Overloaded { .. } | ModelError::Server { .. } => {
            format!("{provider} has trouble of its own: wait, and name a fallback in ai-fabric.fallback")
        }
        ModelError::Timeout { .. } => {
            "it did not answer in time: a local model may still be loading; try again".to_owned()
        }
        ModelError::BadRequest { .. } | ModelError::Unsupported { .. } => format!(
            "{provider} does not take the request: check kind, preset, streamUsage and maxTokensField of it"
        ),
        ModelError::ContentRefused | ModelError::ContextTooLong => {
            format!("{model} refuses a harmless question: ask its provider")
        }
        ModelError::Refused { .. } => {
            format!("{model} says that it cannot answer: see the log of its program")
        }
        ModelError::Cut | ModelError::Malformed { .. } | ModelError::InStream { .. } => {
            format!("{provider} does not speak what its kind says: check kind and baseUrl")
        }
        ModelError::CircuitOpen { .. } | ModelError::RetryBudget => "try again".to_owned(),
    }
}
