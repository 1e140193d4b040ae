//! The model port, spoken as messages over HTTP.

use crate::config::{AnthropicConfig, Endpoint};
use crate::{decode, quota, refusal, request};
use async_trait::async_trait;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream, QuotaSink};
use openclaw_core::{Clock, CorrelationId, ModelId, ValidationError};
use openclaw_http_client::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use openclaw_http_client::{
    BodyStream, Client, Response, StatusCode, is_json, listed_models, read_at_most, unreachable,
};
use std::sync::Arc;

/// How much of a refusal is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// How much of a list of models is read, in bytes.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// One endpoint that speaks the messages protocol.
#[derive(Debug)]
pub struct AnthropicModel {
    endpoint: Endpoint,
    client: Client,
    clock: Arc<dyn Clock>,
    quota: Option<Arc<dyn QuotaSink>>,
}

// === impl AnthropicModel ===

impl AnthropicModel {
    /// Checks the configuration. No call is made. The clock tells how far off dates in headers are.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration; none shows key or address.
    pub fn new(
        config: AnthropicConfig,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ValidationError> {
        Ok(Self {
            endpoint: config.validate()?,
            client,
            clock,
            quota: None,
        })
    }

    /// Reports what the provider's headers say of its quota.
    #[must_use]
    pub fn with_quota_sink(mut self, sink: Arc<dyn QuotaSink>) -> Self {
        self.quota = Some(sink);
        self
    }

    async fn refused(&self, response: Response) -> ModelError {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_at_most(response, MAX_REFUSAL_BYTES).await;
        let key = self.endpoint.key.as_ref();
        refusal::decode(status, &headers, &body, self.clock.now(), key)
    }
}

#[async_trait]
impl ModelPort for AnthropicModel {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        _correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let body = request::body(model, request, self.endpoint.default_max_tokens);
        let response = self
            .client
            .post(self.endpoint.messages.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
            .body(body.to_string())
            .send()
            .await
            .map_err(unreachable)?;
        if let Some(sink) = &self.quota
            && let Some(report) = quota::read(response.headers(), self.clock.now())
        {
            sink.observe(&self.endpoint.provider, report);
        }
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        if is_json(&response) {
            return Err(ModelError::Malformed {
                message: "no event stream".into(),
            });
        }
        let decoder = decode::decoder(self.endpoint.key.clone());
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
            .get(self.endpoint.models.clone())
            .headers(self.endpoint.headers.clone())
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        let body = read_at_most(response, MAX_LIST_BYTES).await;
        listed_models(&body, |id| id).map(Some)
    }
}
