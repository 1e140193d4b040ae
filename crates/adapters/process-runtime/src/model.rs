//! A worker's child where a model is expected: the server's turns ask it as they would ask a provider.
//!
//! All jobs share one [`WorkerModel`], since a registry knows models and not jobs. Which child a call is for follows from
//! its correlation id: a job lends its child to the model for as long as it runs, and no longer.

use crate::answer::{Answer, ChildWorker, WorkerRefusal};
use crate::frame::WorkerRequest;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::unfold;
use openclaw_ai_fabric::{
    ChatRequest, ModelCapability, ModelDefinition, ModelError, ModelPort, ModelProvider, ModelStream,
    ProviderRateLimit,
};
use openclaw_concurrency::{RunId, WorkContext};
use openclaw_core::{CorrelationId, IdError, ModelEvent, ModelId, ProviderId, TokenUsage};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

/// The name of the provider and of its one model.
const NAME: &str = "worker";
/// What a worker may say a call has cost, in tokens of each kind. More is taken for this: a slip must not empty a budget
/// for ever.
const MOST_TOKENS: u64 = 100_000_000;

/// Asks the child of the worker a job runs on.
#[derive(Debug, Default)]
pub struct WorkerModel {
    /// The children of the jobs that run, at most one per worker. Held for one look.
    lent: Mutex<HashMap<CorrelationId, Lent>>,
}

#[derive(Debug)]
struct Lent {
    run: RunId,
    child: ChildWorker,
}

/// Takes the child back when its job has ended, whichever way.
struct Loan<'a> {
    model: &'a WorkerModel,
    job: Option<(CorrelationId, RunId)>,
}

// === impl WorkerModel ===

impl WorkerModel {
    /// A model that no job has lent a child to.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How it stands in the registry: provider and model are called `worker`. Tools and their schemas have no place in
    /// the protocol, so it does not claim `tool_use`.
    ///
    /// # Errors
    ///
    /// Never with these names.
    pub fn provider() -> Result<ModelProvider, IdError> {
        let id = ProviderId::parse(NAME)?;
        let mut model = ModelDefinition::unlisted(ModelId::parse(NAME)?, id.clone());
        model.name = "Worker".to_owned();
        model.capabilities = vec![
            ModelCapability::Chat,
            ModelCapability::Vision,
            ModelCapability::Streaming,
        ];
        Ok(ModelProvider {
            models: vec![model],
            id,
            name: "Worker processes".to_owned(),
            base_url: None,
            rate_limit: ProviderRateLimit::default(),
            priority: 0,
            any_model: false,
        })
    }

    /// Runs `work`, whose calls under the context's correlation id are answered by `child`. A job without one has no
    /// model. Dropping the future takes the child back.
    pub async fn lend<T>(
        &self,
        child: ChildWorker,
        context: &WorkContext,
        work: impl Future<Output = T>,
    ) -> T {
        let run = context.run();
        let job = context.correlation_id().map(|id| (id, run));
        if let Some((id, run)) = job {
            self.lent.lock().insert(id, Lent { run, child });
        }
        let _loan = Loan { model: self, job };
        work.await
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let Some((id, run)) = self.job else { return };
        let mut lent = self.model.lent.lock();
        // A job that was given up may end after its successor has begun.
        if lent.get(&id).is_some_and(|lent| lent.run == run) {
            lent.remove(&id);
        }
    }
}

#[async_trait]
impl ModelPort for WorkerModel {
    /// The child's answer. One that ends without `done` — its worker is being taken away — is [`ModelError::Cut`].
    async fn stream(
        &self,
        _model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let child = self
            .lent
            .lock()
            .get(&correlation_id)
            .map(|lent| lent.child.share());
        let Some(mut child) = child else {
            // Only possible for a call that outlived its job.
            let message = "no worker runs this request".to_owned();
            return Err(ModelError::Refused { message });
        };
        let answer = child
            .ask(WorkerRequest {
                messages: request.messages.clone(),
                max_output_tokens: request.max_output_tokens,
            })
            .await;
        Ok(events(answer, correlation_id).boxed())
    }
}

/// The answer in the form the fabric reads: after an error nothing, and no end without a stop.
fn events(
    answer: Answer,
    correlation_id: CorrelationId,
) -> impl futures::Stream<Item = Result<ModelEvent, ModelError>> + Send {
    unfold(Some((answer, false)), move |state| async move {
        let (mut answer, stopped) = state?;
        match answer.next().await {
            Some(Ok(event)) => {
                let stopped = stopped || matches!(event, ModelEvent::Stop(_));
                Some((Ok(bounded(event)), Some((answer, stopped))))
            }
            Some(Err(refusal)) => {
                let error = error(&refusal);
                // They are meant for the log, and the fabric tells none of them.
                tracing::warn!(
                    correlationId = %correlation_id,
                    code = %refusal.code,
                    words = %ModelError::text(&refusal.message),
                    "a worker says that there is no answer"
                );
                Some((Err(error), None))
            }
            None if stopped => None,
            None => Some((Err(ModelError::Cut), None)),
        }
    })
}

fn bounded(event: ModelEvent) -> ModelEvent {
    match event {
        ModelEvent::Usage(usage) => ModelEvent::Usage(TokenUsage {
            input_tokens: usage.input_tokens.min(MOST_TOKENS),
            output_tokens: usage.output_tokens.min(MOST_TOKENS),
            estimated: usage.estimated,
        }),
        other => other,
    }
}

/// What a child's refusal means to the fabric. The codes that mean something to a person are known by name; of the rest
/// only counts whether asking again may help.
fn error(refusal: &WorkerRefusal) -> ModelError {
    let message = ModelError::text(&format!("{}: {}", refusal.code, refusal.message));
    match refusal.code.as_str() {
        "context_too_long" => ModelError::ContextTooLong,
        "content_refused" => ModelError::ContentRefused,
        "rate_limited" => ModelError::RateLimited { retry_after: None },
        "overloaded" => ModelError::Overloaded { retry_after: None },
        _ if refusal.recoverable => ModelError::InStream { message },
        _ => ModelError::Refused { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_of_its_failure_decides_whether_it_is_asked_again() {
        let refused = |code: &str, recoverable| {
            error(&WorkerRefusal {
                code: code.to_owned(),
                message: "m".to_owned(),
                recoverable,
            })
        };
        assert!(refused("busy", true).is_retryable());
        let failed = refused("KeyError", false);
        assert!(!failed.is_retryable());
        assert!(matches!(&failed, ModelError::Refused { message } if message == "KeyError: m"));
        assert_eq!(refused("content_refused", true), ModelError::ContentRefused);
        assert_eq!(refused("context_too_long", true), ModelError::ContextTooLong);
    }

    #[test]
    fn an_absurd_count_is_bounded() {
        let said = ModelEvent::Usage(TokenUsage {
            input_tokens: u64::MAX,
            output_tokens: 7,
            estimated: false,
        });
        let expected = ModelEvent::Usage(TokenUsage {
            input_tokens: MOST_TOKENS,
            output_tokens: 7,
            estimated: false,
        });
        assert_eq!(bounded(said), expected);
    }
}
