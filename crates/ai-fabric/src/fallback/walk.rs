//! The walk along a chain, from one model's failure to the next one's first token.

use super::call::{Attempts, Call, millis};
use super::router::Shared;
use super::{Attempt, AttemptOutcome, RoutedRequest};
use crate::chat::{AnswerForm, ChatRequest};
use crate::circuit::CircuitPass;
use crate::error::{AllModelsFailedError, ModelError, RateLimitExceededError, RouteError, TimeoutPhase};
use crate::estimate::raw_request_tokens;
use crate::event::{AllModelsFailed, FallbackTriggered, ModelRequested, RateLimitHit};
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
    /// When the model at this place is tried again, after a failure.
    retry_at: Option<Monotonic>,
    /// The model that was left for this one and why, until the change is told.
    left: Option<(ModelId, &'static str)>,
}

/// What follows a failed call. Decided before the failure is told, so that it can be told with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The same model is asked again after the delay, unless its circuit or the retry budget forbid it.
    Retry(Duration),
    /// The next model of the chain is asked.
    Fallback,
    /// Nobody else is asked.
    End,
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
            retry_at: None,
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
            if let Some(wakes) = self.retry_at {
                self.router.deps.clock.sleep_until(wakes).await;
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
                Err((error, then)) => self.go_on(&error, then),
            }
        }
    }

    /// What follows an answer that broke off after its first token: the next model, or what is left of the last one's
    /// retries.
    pub(super) fn after_interruption(&self, error: &ModelError) -> Then {
        if self.has_next() && self.now() < self.request.deadline {
            Then::Fallback
        } else {
            self.after_failure(error)
        }
    }

    /// What follows a call that failed. A retry whose delay would outlive the request is none.
    fn after_failure(&self, error: &ModelError) -> Then {
        let now = self.now();
        if now >= self.request.deadline {
            return Then::End;
        }
        if error.is_retryable() && self.tries <= self.request.chain.max_retries {
            let delay = self.delay(error);
            if now + delay < self.request.deadline {
                return Then::Retry(delay);
            }
        }
        if self.has_next() {
            Then::Fallback
        } else {
            Then::End
        }
    }

    /// Takes the step that was decided.
    pub(super) fn go_on(&mut self, error: &ModelError, then: Then) {
        if let Then::Retry(delay) = then {
            self.retry_at = Some(self.now() + delay);
        } else if let Some(name) = self.request.chain.model(self.index).cloned() {
            self.leave(name, error.code());
        }
    }

    fn leave(&mut self, name: ModelId, code: &'static str) {
        self.index += 1;
        self.tries = 0;
        self.retry_at = None;
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

    /// The delay before the next retry: the chain's own with jitter, or the provider's word where that is longer.
    fn delay(&self, error: &ModelError) -> Duration {
        let own = self.request.chain.delay_before(self.tries);
        let jittered =
            Duration::try_from_secs_f64(own.as_secs_f64() * (1.0 + JITTER * self.router.deps.random.unit()))
                .unwrap_or(Duration::MAX);
        jittered.max(error.retry_after().unwrap_or_default())
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
    ) -> Result<Begun, (ModelError, Then)> {
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
                        retry_after_ms: retry_after.map_or(0, millis),
                        limit: crate::error::RateLimitKind::Provider,
                    });
                }
                let then = self.after_failure(&error);
                call.failed(&error, then);
                Err((error, then))
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
        let error = AllModelsFailedError {
            attempts: self.attempts.lock().clone(),
        };
        let request_id = self.request.correlation_id;
        self.router
            .deps
            .events
            .publish(Some(request_id), || AllModelsFailed {
                request_id,
                primary_model: self.request.chain.primary_model.clone(),
                calls: self.calls,
                skipped: error.skipped(),
                code: error.decisive().map_or(error.code(), CodedError::code),
                reasons: error.reasons(),
                retry_after_ms: error.retry_after().map(millis),
            });
        (self, Err(error.into()))
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
