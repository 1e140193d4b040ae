//! The key's exchange for a token that lives half an hour.
//!
//! A token is renewed ahead of time, after 80–90 % of its life (chance decides, so that several servers do not all come
//! at once), by whoever happens to ask then; all others go on with the old one. When there is none to go on with, all
//! wait for the one exchange under way and share its failure. How long a token lives is measured on the monotonic
//! clock: a wall clock set back renews nothing late.

use crate::config::Endpoint;
use crate::refusal;
use futures::future::{Either, select};
use openclaw_ai_fabric::ModelError;
use openclaw_core::{Clock, Monotonic, Random, Secret};
use openclaw_http_client::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use openclaw_http_client::{Client, StatusCode, insert_secret, read_at_most, unreachable};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How much of the exchange's answer is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// How long a token is taken to live where its expiry makes no sense by our clock.
const USUAL_LIFE: Duration = Duration::from_secs(30 * 60);
/// A longer or shorter life makes no sense.
const SANE_LIFE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);
/// How long a call waits for a renewal ahead of time before it goes on with the old token.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a renewal ahead of time that failed the next one is tried so much later.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// Gives tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    client: Client,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
    /// Held by the one exchange under way; a caller that goes away lets it go.
    exchange: tokio::sync::Mutex<()>,
}

/// A token and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: Secret,
    pub(crate) generation: u64,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Known>,
    /// Exchanges that have ended, well or not.
    attempts: u64,
    /// How the last one failed, if it did.
    failure: Option<ModelError>,
}

#[derive(Debug)]
struct Known {
    token: Token,
    renew_at: Monotonic,
    expires_at: Monotonic,
}

#[derive(Deserialize)]
struct Exchanged {
    #[serde(alias = "tok")]
    access_token: String,
    /// Milliseconds, or seconds on an older page: told apart by size.
    #[serde(alias = "exp")]
    expires_at: i64,
}

// === impl Tokens ===

impl Tokens {
    pub(crate) fn new(client: Client, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            client,
            clock,
            random,
            state: Mutex::default(),
            exchange: tokio::sync::Mutex::new(()),
        }
    }

    /// A token that is good by our clock.
    ///
    /// Cancellation: dropping the future ends the exchange it makes; the next caller makes another.
    pub(crate) async fn current(&self, endpoint: &Endpoint) -> Result<Token, ModelError> {
        let now = self.clock.monotonic();
        let (usable, attempts) = {
            let state = self.state.lock();
            let usable = state.token.as_ref().filter(|known| now < known.expires_at);
            match usable {
                Some(known) if now < known.renew_at => return Ok(known.token.clone()),
                usable => (usable.map(|known| known.token.clone()), state.attempts),
            }
        };
        let Some(old) = usable else {
            return self.exchanged(endpoint, attempts, None).await;
        };
        // Somebody else renews it.
        let Ok(_alone) = self.exchange.try_lock() else {
            return Ok(old);
        };
        if self.state.lock().attempts != attempts {
            // Somebody just did.
            return Ok(self.known_or(old));
        }
        let exchange = std::pin::pin!(self.exchange_once(endpoint));
        match select(exchange, self.clock.sleep(PATIENCE)).await {
            Either::Left((Ok(token), _)) => Ok(token),
            Either::Left((Err(_), _)) | Either::Right(_) => {
                // The old one is still good; the next renewal is not tried by the very next call.
                if let Some(known) = &mut self.state.lock().token {
                    known.renew_at = self.clock.monotonic() + RENEWAL_PAUSE;
                }
                Ok(old)
            }
        }
    }

    /// Another token than this one, which the provider has refused.
    pub(crate) async fn instead_of(&self, endpoint: &Endpoint, refused: &Token) -> Result<Token, ModelError> {
        let attempts = self.state.lock().attempts;
        self.exchanged(endpoint, attempts, Some(refused.generation)).await
    }

    /// Waits for its turn and exchanges the key, unless somebody did so meanwhile.
    async fn exchanged(
        &self,
        endpoint: &Endpoint,
        attempts: u64,
        refused: Option<u64>,
    ) -> Result<Token, ModelError> {
        let _alone = self.exchange.lock().await;
        {
            let state = self.state.lock();
            let now = self.clock.monotonic();
            if let Some(known) = &state.token
                && now < known.expires_at
                && Some(known.token.generation) != refused
            {
                return Ok(known.token.clone());
            }
            if state.attempts != attempts
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
        }
        self.exchange_once(endpoint).await
    }

    fn known_or(&self, old: Token) -> Token {
        self.state
            .lock()
            .token
            .as_ref()
            .map_or(old, |known| known.token.clone())
    }

    /// Exchanges the key and remembers how that went. Only for who holds `exchange`.
    async fn exchange_once(&self, endpoint: &Endpoint) -> Result<Token, ModelError> {
        let outcome = self.call(endpoint).await;
        let mut state = self.state.lock();
        state.attempts = state.attempts.saturating_add(1);
        match outcome {
            Ok((secret, life)) => {
                let now = self.clock.monotonic();
                let token = Token {
                    secret,
                    generation: state.attempts,
                };
                state.token = Some(Known {
                    token: token.clone(),
                    renew_at: now + life.mul_f64(0.8 + 0.1 * self.random.unit()),
                    expires_at: now + life,
                });
                state.failure = None;
                Ok(token)
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn call(&self, endpoint: &Endpoint) -> Result<(Secret, Duration), ModelError> {
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let id = uuid::Builder::from_random_bytes(id).into_uuid().to_string();
        let mut headers = endpoint.auth_headers.clone();
        if !insert_secret(&mut headers, "rquid", &id) {
            return Err(malformed());
        }
        let response = self
            .client
            .post(endpoint.auth.clone())
            .headers(headers)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(format!("scope={}", endpoint.scope.as_str()))
            .send()
            .await
            .map_err(unreachable)?;
        let now = self.clock.now();
        let status = response.status();
        let headers = response.headers().clone();
        let body = read_at_most(response, MAX_BYTES).await;
        match status {
            StatusCode::OK => {}
            // A key that cannot be read is called a bad request.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(ModelError::Unauthorized {
                    status: status.as_u16(),
                });
            }
            _ => return Err(refusal::decode(status.as_u16(), &headers, &body, now, &[])),
        }
        let exchanged: Exchanged = serde_json::from_slice(&body).map_err(|_| malformed())?;
        Ok((
            Secret::new(exchanged.access_token),
            life(exchanged.expires_at, now.as_millis()),
        ))
    }
}

/// How long a token lives that expires then.
fn life(expires_at: i64, now_ms: i64) -> Duration {
    // Seconds have not so many digits before the year 5138.
    let expires_ms = if expires_at >= 100_000_000_000 {
        expires_at
    } else {
        expires_at.saturating_mul(1000)
    };
    let life = Duration::from_millis(u64::try_from(expires_ms.saturating_sub(now_ms)).unwrap_or(0));
    if SANE_LIFE.contains(&life) {
        life
    } else {
        USUAL_LIFE
    }
}

fn malformed() -> ModelError {
    ModelError::Malformed {
        message: "the answer to the key's exchange is not what it should be".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_read_in_milliseconds_and_in_seconds() {
        let now = 1_795_327_380_000;
        assert_eq!(life(now + 1_800_000, now), Duration::from_secs(1_800));
        assert_eq!(life(now / 1000 + 1_500, now), Duration::from_secs(1_500));
    }

    #[test]
    fn an_expiry_that_makes_no_sense_is_not_believed() {
        let now = 1_795_327_380_000;
        for nonsense in [0, -5, now - 1, i64::MAX, i64::MIN, now + 999] {
            assert_eq!(life(nonsense, now), USUAL_LIFE, "{nonsense}");
        }
    }
}
