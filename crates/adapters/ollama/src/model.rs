//! The model port, spoken as Ollama's native chat.

use crate::config::{Endpoint, OllamaConfig};
use crate::{decode, discovery, refusal, request};
use async_trait::async_trait;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_core::{Clock, CorrelationId, ModelId, ValidationError};
use openclaw_http_client::header::{CONTENT_TYPE, HeaderValue};
use openclaw_http_client::{BodyStream, Client, Response, StatusCode, read_at_most, unreachable};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a refusal is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// One Ollama.
#[derive(Debug)]
pub struct OllamaModel {
    endpoint: Endpoint,
    client: Client,
    clock: Arc<dyn Clock>,
    /// Answers begun; makes the ids of tool calls differ between the steps of one turn.
    answers: AtomicU64,
}

// === impl OllamaModel ===

impl OllamaModel {
    /// Checks the configuration. No call is made. The clock tells how far off a `Retry-After` date is.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration; none shows key or address.
    pub fn new(config: OllamaConfig, client: Client, clock: Arc<dyn Clock>) -> Result<Self, ValidationError> {
        Ok(Self {
            endpoint: config.validate()?,
            client,
            clock,
            answers: AtomicU64::new(0),
        })
    }

    async fn refused(&self, response: Response) -> ModelError {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_at_most(response, MAX_REFUSAL_BYTES).await;
        refusal::decode(status, &headers, &body, self.clock.now())
    }
}

#[async_trait]
impl ModelPort for OllamaModel {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let body = request::body(&self.endpoint, model, request)?;
        let response = self
            .client
            .post(self.endpoint.chat.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body.to_string())
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        let answer = self.answers.fetch_add(1, Ordering::Relaxed);
        let decoder = decode::decoder(format!("call_{correlation_id}_{answer}"));
        Ok(Box::pin(BodyStream::new(
            response,
            Arc::clone(&self.clock),
            decoder,
        )))
    }

    fn always_streams(&self) -> bool {
        true
    }

    async fn models(&self) -> Result<Option<Vec<ModelId>>, ModelError> {
        let response = self
            .client
            .get(self.endpoint.tags.clone())
            .headers(self.endpoint.headers.clone())
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        match discovery::list(response).await {
            Some(models) => Ok(Some(models)),
            None => Err(ModelError::Malformed {
                message: "the list of models is not what it should be".into(),
            }),
        }
    }
}
