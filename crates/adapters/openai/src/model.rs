//! The model port, spoken as chat completions over HTTP.

use crate::chunk::Decoder;
use crate::config::{Endpoint, OpenAiConfig};
use crate::request::Body;
use crate::{header, refusal, stream};
use async_trait::async_trait;
use futures::StreamExt;
use openclaw_ai_fabric::{AnswerForm, ChatRequest, ModelError, ModelPort, ModelStream, QuotaSink};
use openclaw_core::{Clock, CorrelationId, ModelId, ValidationError};
use openclaw_http_client::{BodyStream, Client, is_json, listed_models, read_at_most, unreachable};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use std::sync::Arc;

/// How much of a refusal is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// How much of an answer in one piece is read, in bytes.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How much of a list of models is read, in bytes.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// One OpenAI-compatible endpoint.
#[derive(Debug)]
pub struct OpenAiModel {
    endpoint: Endpoint,
    client: Client,
    clock: Arc<dyn Clock>,
    quota: Option<Arc<dyn QuotaSink>>,
}

// === impl OpenAiModel ===

impl OpenAiModel {
    /// Checks the configuration. No call is made. The clock tells how far off a `Retry-After` date is.
    pub fn new(config: OpenAiConfig, client: Client, clock: Arc<dyn Clock>) -> Result<Self, ValidationError> {
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

    fn report_quota(&self, response: &Response) {
        if let Some(sink) = &self.quota
            && let Some(report) = header::quota(response.headers())
        {
            sink.observe(&self.endpoint.provider, report);
        }
    }

    /// An answer in one piece, if it has arrived whole.
    async fn whole_answer(&self, response: Response) -> Result<String, ModelError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|_broken| ModelError::Cut)?);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(ModelError::Malformed {
                    message: format!("an answer of more than {MAX_ANSWER_BYTES} bytes"),
                });
            }
        }
        String::from_utf8(body).map_err(|_invalid| ModelError::Malformed {
            message: "an answer that is not UTF-8".into(),
        })
    }

    async fn refused(&self, response: Response) -> ModelError {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_at_most(response, MAX_REFUSAL_BYTES).await;
        refusal::decode(
            status,
            &headers,
            &body,
            self.clock.now(),
            self.endpoint.key.as_ref(),
        )
    }
}

#[async_trait]
impl ModelPort for OpenAiModel {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let body = Body {
            endpoint: &self.endpoint,
            model,
            request,
        };
        let body = serde_json::to_vec(&body).map_err(|error| ModelError::BadRequest {
            message: error.to_string(),
        })?;
        let accept = match request.form {
            AnswerForm::Streamed => "text/event-stream",
            AnswerForm::Whole => "application/json",
        };
        let response = self
            .client
            .post(self.endpoint.completions.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .header("x-client-request-id", correlation_id.to_string())
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        self.report_quota(&response);
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        if request.form == AnswerForm::Whole && is_json(&response) {
            let events = Decoder::decode_whole(&self.whole_answer(response).await?)?;
            return Ok(futures::stream::iter(events.into_iter().map(Ok)).boxed());
        }
        if is_json(&response) {
            // No stream although one was asked for: an error under a status that says otherwise, or a server that
            // cannot stream.
            return Err(match self.refused(response).await {
                ModelError::BadRequest { message } if !message.starts_with("status ") => {
                    ModelError::InStream { message }
                }
                _ => ModelError::Malformed {
                    message: "no event stream".into(),
                },
            });
        }
        Ok(Box::pin(BodyStream::new(
            response,
            Arc::clone(&self.clock),
            stream::decoder(),
        )))
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
        listed_models(&body, |id| self.endpoint.short_name(id)).map(Some)
    }
}
