//! The walk along a chain, from one model's failure to the next one's first token.

use super::call::{Attempts, Call};
use super::router::Shared;
use super::{Attempt, AttemptOutcome, RoutedRequest};
use crate::chat::{AnswerForm, ChatRequest};
use crate::circuit::CircuitPass;
use crate::error::{AllModelsFailedError, ModelError, RateLimitExceededError, RouteError, TimeoutPhase};
use crate::estimate::raw_request_tokens;
use crate::event::{FallbackTriggered, ModelRequested, RateLimitHit};
use crate::model::Cost;
use crate::ports::ModelStream;
use crate::rate_limiter::RateLimitPermit;
use crate::registry::FoundModel;
use futures::StreamExt;
use futures::future::{Either, select};
use openclaw_core::{CodedError, ModelEvent, ModelId, Monotonic, TokenUsage};
use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How much longer than computed a delay may be, so that those who failed together do not come back together.
const JITTER: f64 = 0.25;

/// Where a request stands in its chain.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) router: Arc<Shared>,
    pub(super) attempts: Attempts,
    pub(super) request: RoutedRequest,
    raw_input: u64,
    /// The place in the chain.
    index: usize,
    /// Calls made of the model at that place.
    tries: u32,
    /// Calls made in all.
    calls: u32,
    /// Why the model at this place is tried again.
    retrying: Option<ModelError>,
    /// The model that was left for this one and why, until the change is told.
    left: Option<(ModelId, &'static str)>,
}

/// An answer that has begun.
pub(super) struct Begun {
    pub(super) call: Call,
    pub(super) stream: ModelStream,
    pub(super) first: ModelEvent,
}

/// The outcome of walking: the walk is handed back for another round.
pub(super) type Walked = (Box<Walk>, Result<Box<Begun>, RouteError>);

// === impl Walk ===

impl Walk {
    pub(super) fn new(router: Arc<Shared>, request: RoutedRequest) -> Self {
        Self {
            raw_input: raw_request_tokens(&request.chat),
            router,
            attempts: Attempts::default(),
            request,
            index: 0,
            tries: 0,
            calls: 0,
            retrying: None,
            left: None,
        }
    }

    /// Goes on until a model has given its first token or the chain is at its end.
    pub(super) async fn advance(mut self: Box<Self>) -> Walked {
        loop {
            let Some(name) = self.request.chain.model(self.index).cloned() else {
                return self.exhausted();
            };
            if self.now() >= self.request.deadline {
                let phase = TimeoutPhase::Whole;
                self.skip(name, None, ModelError::Timeout { phase });
                return self.exhausted();
            }
            let found = match self.find(&name) {
                Ok(found) => found,
                Err((found, error)) => {
                    self.skip(name, found.as_ref(), error);
                    continue;
                }
            };
            if !self.wait_before_retry().await {
                // Waiting would outlive the request. The failure that asks for it is recorded already.
                let code = self.retrying.take().map_or("", |error| error.code());
                self.leave(name, code);
                continue;
            }
            let held = match self.admit(&found).await {
                Ok(held) => held,
                Err(error) => {
                    let over = error == ModelError::RetryBudget;
                    self.skip(name, Some(&found), error);
                    if over {
                        return self.exhausted();
                    }
                    continue;
                }
            };
            match self.call(found, held).await {
                Ok(begun) => return (self, Ok(Box::new(begun))),
                Err(error) => self.after_failure(name, error),
            }
        }
    }

    /// An answer broke off after its first token: the next model, or what is left of the last one's retries.
    pub(super) fn after_interruption(&mut self, error: ModelError) {
        let Some(name) = self.request.chain.model(self.index).cloned() else {
            return;
        };
        if self.has_next() {
            self.leave(name, error.code());
        } else {
            self.after_failure(name, error);
        }
    }

    fn after_failure(&mut self, name: ModelId, error: ModelError) {
        if error.is_retryable() && self.tries <= self.request.chain.max_retries {
            self.retrying = Some(error);
        } else {
            self.leave(name, error.code());
        }
    }

    fn leave(&mut self, name: ModelId, code: &'static str) {
        self.index += 1;
        self.tries = 0;
        self.retrying = None;
        self.left = Some((name, code));
    }

    fn has_next(&self) -> bool {
        self.request.chain.model(self.index + 1).is_some()
    }

    fn now(&self) -> Monotonic {
        self.router.deps.clock.monotonic()
    }

    /// The model, if it is there and can hold and do what is asked.
    fn find(&self, name: &ModelId) -> Result<FoundModel, (Option<FoundModel>, ModelError)> {
        let found = self.router.deps.registry.find_model(name);
        let found = found.ok_or((None, ModelError::UnknownModel))?;
        let needs = self.request.chat.needs();
        if let Some(capability) = needs.into_iter().find(|need| !found.model.can(*need)) {
            return Err((Some(found), ModelError::Unsupported { capability }));
        }
        if self.input_estimate(&found) > found.model.context_window {
            return Err((Some(found), ModelError::ContextTooLong));
        }
        Ok(found)
    }

    fn input_estimate(&self, found: &FoundModel) -> u64 {
        self.router.deps.estimator.adjust(&found.model.id, self.raw_input)
    }

    /// Sleeps before a retry. `false` when the sleep would outlive the request.
    async fn wait_before_retry(&self) -> bool {
        let Some(error) = &self.retrying else {
            return true;
        };
        let own = self.request.chain.delay_before(self.tries);
        let jittered =
            Duration::try_from_secs_f64(own.as_secs_f64() * (1.0 + JITTER * self.router.deps.random.unit()))
                .unwrap_or(Duration::MAX);
        let delay = jittered.max(error.retry_after().unwrap_or_default());
        let wakes = self.now() + delay;
        if wakes >= self.request.deadline {
            return false;
        }
        self.router.deps.clock.sleep_until(wakes).await;
        true
    }

    /// Asks everybody who may refuse a call: the circuit, the provider's limit, the retry budget.
    async fn admit(&self, found: &FoundModel) -> Result<(RateLimitPermit, CircuitPass), ModelError> {
        let deps = &self.router.deps;
        let (provider, model) = (&found.provider.id, &found.model.id);
        let pass = deps
            .circuits
            .try_pass(provider, model, Some(self.request.correlation_id))
            .map_err(|retry_after| ModelError::CircuitOpen { retry_after })?;
        deps.limiter.set_limits(provider, found.provider.rate_limit);
        let tokens = self
            .input_estimate(found)
            .saturating_add(self.output_allowed(found));
        let permit = match deps.limiter.acquire(provider, tokens) {
            Ok(permit) => permit,
            Err(refused) => {
                self.publish_limit(&refused);
                let patience = if self.has_next() {
                    (self.now() + self.router.config().limit_wait).min(self.request.deadline)
                } else {
                    self.request.deadline
                };
                deps.limiter
                    .acquire_by(provider, tokens, patience)
                    .await
                    .map_err(|refused| ModelError::RateLimited {
                        retry_after: Some(refused.wait()),
                    })?
            }
        };
        if self.calls == 0 {
            self.router.retries.record_request(self.now());
        } else if !self.router.retries.try_retry(self.now()) {
            permit.refund();
            return Err(ModelError::RetryBudget);
        }
        Ok((permit, pass))
    }

    /// The output a model is asked for: what the request allows, what it can give and what its context has room for.
    fn output_allowed(&self, found: &FoundModel) -> u64 {
        let model = &found.model;
        let room = model.context_window.saturating_sub(self.input_estimate(found));
        let asked = match self.request.chat.max_output_tokens {
            0 => model.max_output_tokens,
            asked => asked,
        };
        asked.min(model.max_output_tokens).min(room).max(1)
    }

    /// Makes the call and waits for its first token.
    async fn call(
        &mut self,
        found: FoundModel,
        held: (RateLimitPermit, CircuitPass),
    ) -> Result<Begun, ModelError> {
        let correlation_id = self.request.correlation_id;
        self.tries = self.tries.saturating_add(1);
        self.calls = self.calls.saturating_add(1);
        self.announce(&found);
        let chat = fitted(&self.request.chat, self.output_allowed(&found));
        let clock = Arc::clone(&self.router.deps.clock);
        // Of an answer in one piece nothing comes before all of it, unless its provider cannot help streaming.
        let streamed = self.request.chat.form == AnswerForm::Streamed || found.port.always_streams();
        let first_due = clock.monotonic() + self.router.config().first_token_timeout;
        let due = if streamed {
            first_due.min(self.request.deadline)
        } else {
            self.request.deadline
        };
        let mut call = Call::new(
            Arc::clone(&self.router),
            Arc::clone(&self.attempts),
            correlation_id,
            found,
            held,
            self.raw_input,
            streamed,
        );
        let outcome = {
            let port = Arc::clone(&call.found.port);
            let model = call.found.model.id.clone();
            let asked = async {
                let mut stream = port.stream(&model, &chat, correlation_id).await?;
                let first = first_event(&mut stream, &mut call, &*clock).await?;
                Ok((stream, first))
            };
            match select(pin!(asked), clock.sleep_until(due)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(ModelError::Timeout {
                    phase: if streamed && first_due <= self.request.deadline {
                        TimeoutPhase::FirstToken
                    } else {
                        TimeoutPhase::Whole
                    },
                }),
            }
        };
        match outcome {
            Ok((stream, first)) => Ok(Begun { call, stream, first }),
            Err(error) => {
                if let ModelError::RateLimited { retry_after } = &error {
                    self.publish_limit(&RateLimitExceededError {
                        provider: call.found.provider.id.clone(),
                        retry_after_ms: retry_after
                            .map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                        limit: crate::error::RateLimitKind::Provider,
                    });
                }
                call.failed(&error);
                Err(error)
            }
        }
    }

    /// Tells who is called, and that it is another than before.
    fn announce(&mut self, found: &FoundModel) {
        let events = &self.router.deps.events;
        let request_id = self.request.correlation_id;
        if let Some((from_model, reason)) = self.left.take() {
            events.publish(Some(request_id), || FallbackTriggered {
                primary_model: self.request.chain.primary_model.clone(),
                from_model,
                fallback_model: found.model.id.clone(),
                reason,
                request_id,
            });
        }
        events.publish(Some(request_id), || ModelRequested {
            request_id,
            model: found.model.id.clone(),
            provider: found.provider.id.clone(),
            attempt: self.calls,
            input_tokens: self.input_estimate(found),
        });
    }

    fn publish_limit(&self, refused: &RateLimitExceededError) {
        let events = &self.router.deps.events;
        events.publish(Some(self.request.correlation_id), || RateLimitHit {
            provider: refused.provider.clone(),
            limit: refused.limit.as_str(),
            retry_after_ms: refused.retry_after_ms,
        });
    }

    /// Notes that a model was not called, and leaves it.
    fn skip(&mut self, name: ModelId, found: Option<&FoundModel>, error: ModelError) {
        let code = error.code();
        self.attempts.lock().push(Attempt {
            model: found.map_or_else(|| name.clone(), |found| found.model.id.clone()),
            provider: found.map(|found| found.provider.id.clone()),
            outcome: AttemptOutcome::Skipped(error),
            usage: TokenUsage::default(),
            cost: Cost::default(),
            duration: Duration::ZERO,
        });
        self.leave(name, code);
    }

    fn exhausted(self: Box<Self>) -> Walked {
        let attempts = self.attempts.lock().clone();
        (self, Err(AllModelsFailedError { attempts }.into()))
    }
}

/// The first piece that is an answer. Pings and counts are signs of life, not tokens.
async fn first_event(
    stream: &mut ModelStream,
    call: &mut Call,
    clock: &dyn openclaw_core::Clock,
) -> Result<ModelEvent, ModelError> {
    while let Some(event) = stream.next().await {
        let event = event?;
        call.observe(&event, clock.monotonic());
        match event {
            ModelEvent::Ping | ModelEvent::Usage(_) => {}
            ModelEvent::TextDelta(_)
            | ModelEvent::ToolUseStart { .. }
            | ModelEvent::ToolArgumentsDelta { .. }
            | ModelEvent::Stop(_) => return Ok(event),
        }
    }
    Err(ModelError::Cut)
}

/// The request with its output lowered; itself when there is nothing to lower.
fn fitted(chat: &ChatRequest, output: u64) -> Cow<'_, ChatRequest> {
    // A request that leaves the length to the provider is passed on as it is.
    if chat.max_output_tokens == output || chat.max_output_tokens == 0 {
        return Cow::Borrowed(chat);
    }
    Cow::Owned(ChatRequest {
        max_output_tokens: output,
        ..chat.clone()
    })
}
