//! The calls beyond the messenger port: who the bot is, how its updates come.

use crate::adapter::MaxAdapter;
use crate::api::Request;
use crate::refusal::Asked;
use crate::update::parse_update;
use crate::wire::{Done, HANDLED, Subscriptions, Updates, User};
use openclaw_core::{Secret, Timestamp};
use openclaw_messenger::{DeliveryError, DeliveryErrorKind, ParseError, Parsed};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

/// The longest long poll the platform serves.
const MAX_POLL: Duration = Duration::from_secs(30);
/// How much longer than the poll itself its answer may take.
const POLL_MARGIN: Duration = Duration::from_secs(15);

/// Who the bot is, as MAX says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotIdentity {
    /// Its number.
    pub id: i64,
    /// Its name, without the `@`; empty when it has none.
    pub username: String,
}

/// What one poll brought.
#[derive(Debug)]
pub struct PolledBatch {
    /// What the updates are. An error is to be counted and confirmed, or it would come for ever.
    pub updates: Vec<Result<Parsed, ParseError>>,
    /// Where the next poll begins. Asking from there confirms all before it: only after it is stored. `None`: from
    /// where this one began.
    pub marker: Option<i64>,
}

/// Where MAX sends updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The address. Its path may be a secret.
    pub url: String,
}

impl MaxAdapter {
    /// Asks who the bot is and remembers it, so that mentions in groups are recognised. Also the way to find out
    /// whether the token is right: `BadToken` when it is not.
    pub async fn connect(&self) -> Result<BotIdentity, DeliveryError> {
        let user: User = self
            .api()
            .call(Request {
                method: Method::GET,
                path: "/me",
                query: &[],
            })
            .await
            .map_err(|error| error.into_delivery(Asked::Bot))?;
        let identity = BotIdentity {
            id: user.user_id,
            username: user.username.unwrap_or_default(),
        };
        self.remember(identity.clone());
        Ok(identity)
    }

    /// Waits up to `timeout` (at most 30 s) for updates from `marker` on, and confirms all before it. At most `limit`
    /// (1 to 100) come at once. Each is read on its own: one that cannot be understood spoils no other.
    ///
    /// Without a marker only the newest update comes: a marker once known must not be lost. Nothing comes while there
    /// is a subscription.
    ///
    /// Dropping the future abandons the wait; what was on its way comes again.
    pub async fn get_updates(
        &self,
        marker: Option<i64>,
        limit: u32,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<PolledBatch, DeliveryError> {
        let timeout = timeout.min(MAX_POLL);
        let limit = limit.clamp(1, 100).to_string();
        let seconds = timeout.as_secs().to_string();
        let (types, marker) = (HANDLED.join(","), marker.map(|marker| marker.to_string()));
        let mut query = vec![
            ("limit", limit.as_str()),
            ("timeout", seconds.as_str()),
            ("types", types.as_str()),
        ];
        query.extend(marker.as_deref().map(|marker| ("marker", marker)));
        let request = Request {
            method: Method::GET,
            path: "/updates",
            query: &query,
        };
        let batch: Updates = self
            .api()
            .call_within(request, timeout + POLL_MARGIN)
            .await
            .map_err(|error| error.into_delivery(Asked::Bot))?;
        let identity = self.identity();
        let read = |update: &str| parse_update(update.as_bytes(), self.config(), identity.as_ref(), now);
        Ok(PolledBatch {
            updates: batch.updates.iter().map(|update| read(update.get())).collect(),
            marker: batch.marker,
        })
    }

    /// Where updates are sent now. While there is one, nothing can be polled.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, DeliveryError> {
        let list: Subscriptions = self
            .api()
            .call(Request {
                method: Method::GET,
                path: "/subscriptions",
                query: &[],
            })
            .await
            .map_err(|error| error.into_delivery(Asked::Bot))?;
        let rows = list.subscriptions.unwrap_or_default().into_iter();
        Ok(rows.map(|row| Subscription { url: row.url }).collect())
    }

    /// Has updates sent to `url`, with `secret` in the header of each request.
    pub async fn subscribe(&self, url: &str, secret: &Secret) -> Result<(), DeliveryError> {
        let body = json!({ "url": url, "secret": secret.expose(), "update_types": HANDLED });
        let request = Request {
            method: Method::POST,
            path: "/subscriptions",
            query: &[],
        };
        let done = self.api().call_with(request, &body).await;
        done.map_err(|error| error.into_delivery(Asked::Bot))
            .and_then(|done: Done| is_done(&done))
    }

    /// Stops sending updates to `url`.
    pub async fn unsubscribe(&self, url: &str) -> Result<(), DeliveryError> {
        let request = Request {
            method: Method::DELETE,
            path: "/subscriptions",
            query: &[("url", url)],
        };
        let done = self.api().call(request).await;
        done.map_err(|error| error.into_delivery(Asked::Bot))
            .and_then(|done: Done| is_done(&done))
    }
}

/// A 200 that says that nothing was done.
fn is_done(done: &Done) -> Result<(), DeliveryError> {
    if done.success {
        return Ok(());
    }
    let words = done
        .message
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    Err(DeliveryError::refused(DeliveryErrorKind::Rejected {
        code: 200,
        description: words.chars().take(200).collect(),
    }))
}
