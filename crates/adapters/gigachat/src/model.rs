//! The model port, spoken as GigaChat's chat.

use crate::config::{Endpoint, GigaChatConfig};
use crate::token::{Token, Tokens};
use crate::{decode, refusal, request};
use async_trait::async_trait;
use openclaw_ai_fabric::{ChatRequest, ModelError, ModelPort, ModelStream};
use openclaw_core::{Clock, CorrelationId, ModelId, Random, ValidationError};
use openclaw_http_client::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use openclaw_http_client::{
    BodyStream, Client, Response, StatusCode, Url, insert_secret, is_json, listed_models, read_at_most,
    unreachable,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a refusal is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// How much of a list of models is read, in bytes.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// GigaChat, on behalf of one key.
#[derive(Debug)]
pub struct GigaChatModel {
    endpoint: Endpoint,
    client: Client,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    /// Answers begun; makes the ids of calls without a state differ between the steps of one turn.
    answers: AtomicU64,
}

/// A call to be made, once or with a new token once more.
struct Call {
    url: Url,
    body: Option<String>,
    correlation_id: Option<String>,
}

// === impl GigaChatModel ===

impl GigaChatModel {
    /// Checks the configuration. No call is made; the key is exchanged at the first answer. The client needs the Russian
    /// Trusted Root CA among its roots; `random` makes the ids of the exchanges and spreads them.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration; none shows key or address.
    pub fn new(
        config: GigaChatConfig,
        client: Client,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ValidationError> {
        Ok(Self {
            endpoint: config.validate()?,
            tokens: Tokens::new(client.clone(), Arc::clone(&clock), random),
            client,
            clock,
            answers: AtomicU64::new(0),
        })
    }

    /// Makes the call; when the token is refused, once more with a new one.
    async fn send(&self, call: &Call) -> Result<Response, ModelError> {
        let token = self.tokens.current(&self.endpoint).await?;
        let response = self.send_with(call, &token).await?;
        let (response, token) = if response.status() == StatusCode::UNAUTHORIZED {
            drop(response);
            let token = self.tokens.instead_of(&self.endpoint, &token).await?;
            (self.send_with(call, &token).await?, token)
        } else {
            (response, token)
        };
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_at_most(response, MAX_REFUSAL_BYTES).await;
        Err(refusal::decode(
            status,
            &headers,
            &body,
            self.clock.now(),
            &[&token.secret],
        ))
    }

    async fn send_with(&self, call: &Call, token: &Token) -> Result<Response, ModelError> {
        let mut headers = self.endpoint.headers.clone();
        if !insert_secret(
            &mut headers,
            "authorization",
            &format!("Bearer {}", token.secret.expose()),
        ) {
            return Err(ModelError::Malformed {
                message: "the token cannot be sent".into(),
            });
        }
        let mut request = match &call.body {
            Some(body) => self
                .client
                .post(call.url.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
                .body(body.clone()),
            None => self.client.get(call.url.clone()),
        };
        if let Some(id) = &call.correlation_id {
            request = request.header("x-request-id", id);
        }
        request.headers(headers).send().await.map_err(unreachable)
    }
}

#[async_trait]
impl ModelPort for GigaChatModel {
    async fn stream(
        &self,
        model: &ModelId,
        request: &ChatRequest,
        correlation_id: CorrelationId,
    ) -> Result<ModelStream, ModelError> {
        let correlation_id = correlation_id.to_string();
        let call = Call {
            url: self.endpoint.completions.clone(),
            body: Some(request::body(model, request)?.to_string()),
            correlation_id: Some(correlation_id.clone()),
        };
        let response = self.send(&call).await?;
        if is_json(&response) {
            return Err(ModelError::Malformed {
                message: "no event stream".into(),
            });
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
        let call = Call {
            url: self.endpoint.models.clone(),
            body: None,
            correlation_id: None,
        };
        let body = read_at_most(self.send(&call).await?, MAX_LIST_BYTES).await;
        listed_models(&body, |id| id).map(Some)
    }
}
