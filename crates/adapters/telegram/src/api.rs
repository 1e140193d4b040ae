//! One call to the Bot API: a request, an answer, and an error that says what is certain.

use crate::json::repair;
use crate::refusal::{CallError, Refusal};
use crate::wire::Envelope;
use openclaw_core::Secret;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind};
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;
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
        let body = serde_json::to_vec(parameters)
            .map_err(|_| network(DeliveryError::not_sent, "the request cannot be written"))?;
        let response = self
            .http
            .post(format!("{}{method}", self.prefix.expose()))
            .header(CONTENT_TYPE, "application/json")
            .timeout(timeout)
            .body(body)
            .send()
            .await
            .map_err(|error| transport(&error))?;
        let status = response.status().as_u16();
        let header_wait = retry_after(response.headers());
        let answer = read(response).await;
        let success = (200..300).contains(&status);
        let answer = match answer {
            Ok(answer) => answer,
            // It was done, and we do not know how it ended.
            Err(error) if success => return Err(error),
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
                Err(unreadable())
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
    serde_json::from_str(result)
        .or_else(|_| serde_json::from_slice(&repair(result.as_bytes())))
        .map_err(|_| unreadable())
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut answer = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if answer.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                answer.extend_from_slice(&chunk)
            }
            Ok(Some(_)) => return Err(unreadable()),
            Ok(None) => return Ok(answer),
            Err(error) => return Err(transport(&error)),
        }
    }
}

/// What an error of the client means. Its text is not used: it names the address, and with it the token.
fn transport(error: &reqwest::Error) -> CallError {
    if error.is_connect() {
        network(DeliveryError::not_sent, why_no_connection(error))
    } else if error.is_builder() {
        network(DeliveryError::not_sent, "the address is not valid")
    } else if error.is_timeout() {
        network(DeliveryError::ambiguous, "no answer in time")
    } else {
        network(DeliveryError::ambiguous, "the connection was lost")
    }
}

/// What kept a connection from being opened, in words without an address.
fn why_no_connection(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "no connection in time";
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            match cause.kind() {
                ErrorKind::ConnectionRefused => return "the connection is refused",
                ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                    return "the network knows no way there";
                }
                ErrorKind::InvalidData => return "its certificate or its TLS is not accepted",
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
                    return "the connection was lost while it was opened";
                }
                _ => {}
            }
        }
        // The resolver's failure has no kind of its own.
        if cause.to_string().starts_with("dns error") {
            return "its name cannot be resolved";
        }
        source = cause.source();
    }
    "no connection"
}

fn network(certainty: fn(DeliveryErrorKind) -> DeliveryError, reason: &'static str) -> CallError {
    CallError::Failed(certainty(DeliveryErrorKind::Network { reason }))
}

fn unreadable() -> CallError {
    CallError::Failed(DeliveryError::ambiguous(DeliveryErrorKind::Unreadable))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
