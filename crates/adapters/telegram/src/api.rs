//! One call to the Bot API: a request, an answer, and an error that says what is certain.

use crate::refusal::{CallError, Refusal};
use crate::wire::Envelope;
use openclaw_bot_http::call::{network, read, retry_after, transport, unreadable};
use openclaw_core::Secret;
use openclaw_messenger::DeliveryError;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// The longest answer that is read: a hundred updates of the most Telegram puts into one.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The Bot API of one bot.
pub(crate) struct Api {
    http: Client,
    /// `{base}/bot{token}/`: never printed.
    prefix: Secret,
    token: Secret,
    timeout: Duration,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(http: Client, base_url: &str, token: Secret, timeout: Duration) -> Self {
        let prefix = format!("{}/bot{}/", base_url.trim_end_matches('/'), token.expose());
        Self {
            http,
            prefix: Secret::new(prefix),
            token,
            timeout,
        }
    }

    /// Calls a method and reads its result.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        parameters: &(impl Serialize + Sync),
    ) -> Result<T, CallError> {
        self.call_within(method, parameters, self.timeout).await
    }

    /// The same with a time limit of its own, for long polling.
    pub(crate) async fn call_within<T: DeserializeOwned>(
        &self,
        method: &'static str,
        parameters: &(impl Serialize + Sync),
        timeout: Duration,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(parameters).map_err(|_| {
            CallError::Failed(network(DeliveryError::not_sent, "the request cannot be written"))
        })?;
        let response = self
            .http
            .post(format!("{}{method}", self.prefix.expose()))
            .header(CONTENT_TYPE, "application/json")
            .timeout(timeout)
            .body(body)
            .send()
            .await
            .map_err(|error| CallError::Failed(transport(&error)))?;
        let status = response.status().as_u16();
        let header_wait = retry_after(response.headers());
        let answer = read(response, MAX_ANSWER_BYTES).await;
        let success = (200..300).contains(&status);
        let answer = match answer {
            Ok(answer) => answer,
            // It was done, and we do not know how it ended.
            Err(error) if success => return Err(CallError::Failed(error)),
            Err(_) => Vec::new(),
        };
        let envelope: Option<Envelope<'_>> = serde_json::from_slice(&answer).ok();
        match envelope {
            Some(Envelope {
                ok: true,
                result: Some(result),
                ..
            }) => parse_result(result.get()),
            Some(Envelope {
                ok: false,
                error_code,
                description,
                parameters,
                ..
            }) => {
                let parameters = parameters.as_ref();
                let refusal = Refusal {
                    status: error_code.unwrap_or(status),
                    from_api: true,
                    description: self.clean(description.as_deref().unwrap_or_default()),
                    retry_after: parameters
                        .and_then(|p| p.retry_after)
                        .map(Duration::from_secs)
                        .or(header_wait),
                    migrate_to: parameters.and_then(|p| p.migrate_to_chat_id),
                };
                Err(refusal.classify())
            }
            Some(Envelope {
                ok: true,
                result: None,
                ..
            })
            | None
                if success =>
            {
                Err(CallError::Failed(unreadable()))
            }
            _ => {
                let refusal = Refusal {
                    status,
                    retry_after: header_wait,
                    description: "not an answer of the Bot API".to_owned(),
                    ..Refusal::default()
                };
                Err(refusal.classify())
            }
        }
    }

    /// A description without the token, should something in between have quoted our address.
    fn clean(&self, description: &str) -> String {
        description.replace(self.token.expose(), "…")
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn parse_result<T: DeserializeOwned>(result: &str) -> Result<T, CallError> {
    openclaw_bot_http::json::read(result.as_bytes()).map_err(|_| CallError::Failed(unreadable()))
}
