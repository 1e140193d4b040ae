//! The fabric's edge: what an adapter that speaks to a provider implements, and what it may report to.

use crate::chat::ChatRequest;
use crate::error::ModelError;
use async_trait::async_trait;
use futures::Stream;
use openclaw_core::{CorrelationId, ModelEvent, ModelId, ProviderId};
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// A model's answer, piece by piece.
///
/// - It ends without an error only after [`ModelEvent::Stop`]. An answer that ends without its terminal marker yields
///   [`ModelError::Cut`] as its last item.
/// - After an error nothing follows.
/// - Dropping it ends the upstream call at once.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ModelError>> + Send>>;

/// Speaks to one provider. Implemented by one adapter per wire protocol and by the built-in demo model.
///
/// Contract: a call is made once; adapters never retry, because the router owns retries and their budget. Errors name
/// neither keys nor addresses with secrets in them. An adapter keeps no deadline for the answer: the caller drops the
/// future or the stream.
#[async_trait]
pub trait ModelPort: Send + Sync + fmt::Debug {
    /// Asks the model. Ready when the provider has accepted the request, which may be before the first token.
    ///
    /// Cancellation: dropping the future ends the upstream call.
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError>;

    /// Whether answers come in pieces also where one in one piece is asked for. The deadline for the first token holds
    /// for them then; without that, nothing is heard before the answer is complete.
    fn always_streams(&self) -> bool {
        false
    }

    /// The models the provider says it has, where it can say; `None` where it cannot.
    async fn models(&self) -> Result<Option<Vec<ModelId>>, ModelError> {
        Ok(None)
    }
}

/// What a provider said of the quota that is left, in the headers of an answer. Nonsense is left out by the adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaReport {
    /// Requests left.
    pub remaining_requests: Option<u64>,
    /// When these are whole again.
    pub requests_reset: Option<Duration>,
    /// Tokens left.
    pub remaining_tokens: Option<u64>,
    /// When these are whole again.
    pub tokens_reset: Option<Duration>,
}

/// Takes what providers say of their quotas. Implemented by [`crate::RateLimiter`]; adapters of providers that send
/// such headers are given one.
pub trait QuotaSink: Send + Sync + fmt::Debug {
    /// Corrects the count of this provider. Never blocks.
    fn observe(&self, provider: &ProviderId, report: QuotaReport);
}
