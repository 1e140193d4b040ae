//! One call to the API: a request, an answer, and an error that says what is certain.

use crate::refusal::Refusal;
use crate::wire::Fault;
use openclaw_bot_http::call::{network, read, retry_after, transport, unreadable};
use openclaw_bot_http::json;
use openclaw_core::Secret;
use openclaw_messenger::DeliveryError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// The longest answer that is read: a hundred updates with everything a message can hold.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The API of one bot.
pub(crate) struct Api {
    http: Client,
    base_url: String,
    token: Secret,
    timeout: Duration,
}

/// What is asked for.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Below the base, with a slash before it.
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'static str, &'a str)],
}

/// A call that did not return its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The platform answered, and refused. What that means depends on what was asked for.
    Refused(Refusal),
    /// Anything else.
    Failed(DeliveryError),
}

// === impl Api ===

impl Api {
    pub(crate) fn new(http: Client, base_url: &str, token: Secret, timeout: Duration) -> Self {
        Self {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            token,
            timeout,
        }
    }

    /// Makes a call without a body.
    pub(crate) async fn call<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, CallError> {
        self.send(request, None, self.timeout).await
    }

    /// The same with a time limit of its own, for long polling.
    pub(crate) async fn call_within<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.send(request, None, timeout).await
    }

    /// Makes a call with a body.
    pub(crate) async fn call_with<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        body: &(impl Serialize + Sync),
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|_| not_sent("the request cannot be written"))?;
        self.send(request, Some(body), self.timeout).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        body: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let mut url = Url::parse(&format!("{}{}", self.base_url, request.path))
            .map_err(|_| not_sent("the address is not valid"))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        // As it is, without a scheme before it.
        let mut token =
            HeaderValue::from_str(self.token.expose()).map_err(|_| not_sent("the token is no header"))?;
        token.set_sensitive(true);
        let mut call = self
            .http
            .request(request.method, url)
            .header(AUTHORIZATION, token)
            .timeout(timeout);
        if let Some(body) = body {
            call = call.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = call
            .send()
            .await
            .map_err(|error| CallError::Failed(transport(&error)))?;
        let status = response.status().as_u16();
        let wait = retry_after(response.headers());
        let answer = read(response, MAX_ANSWER_BYTES).await;
        if (200..300).contains(&status) {
            // It was done; an answer that cannot be read leaves open how it ended.
            let answer = answer.map_err(CallError::Failed)?;
            return json::read(&answer).map_err(|_| CallError::Failed(unreadable()));
        }
        let fault: Option<Fault> = json::read(&answer.unwrap_or_default()).ok();
        Err(CallError::Refused(Refusal {
            status,
            from_api: fault.as_ref().is_some_and(Fault::is_the_platforms),
            words: self.clean(&fault.map(Fault::into_words).unwrap_or_default()),
            retry_after: wait,
        }))
    }

    /// The platform's words without the token, should something in between have quoted our headers.
    fn clean(&self, words: &str) -> String {
        words.replace(self.token.expose(), "…")
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("base_url", &self.base_url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn not_sent(reason: &'static str) -> CallError {
    CallError::Failed(network(DeliveryError::not_sent, reason))
}
