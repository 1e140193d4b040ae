//! Webhooks: believe the sender first, read the body then.

use crate::error::{ParseError, SecurityError};
use crate::event::{WebhookReceived, WebhookValidationFailed};
use crate::ports::{Headers, MessengerPort, Parsed};
use crate::secrets::WebhookSecrets;
use openclaw_core::{Clock, CorrelationId, EventContext, Platform};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Finds the adapter of a webhook request, has the sender proved and the body read.
///
/// The order is kept by types: [`WebhookRouter::parse`] takes the proof that only [`WebhookRouter::authenticate`]
/// makes. Answers: a [`SecurityError`] is 401 (404 for `NotRegistered`); everything that was authenticated is 2xx once
/// its messages are stored, a [`ParseError`] too.
#[derive(Debug)]
pub struct WebhookRouter {
    clock: Arc<dyn Clock>,
    events: EventContext,
    /// Guards the table only; at most one entry per platform.
    adapters: RwLock<BTreeMap<Platform, Arc<dyn MessengerPort>>>,
}

/// The proof that a request came from the platform.
#[derive(Debug)]
pub struct Authenticated {
    adapter: Arc<dyn MessengerPort>,
}

// === impl WebhookRouter ===

impl WebhookRouter {
    /// A router without platforms. `events` is put in the name of `messenger`.
    pub fn new(clock: Arc<dyn Clock>, events: &EventContext) -> Self {
        Self {
            clock,
            events: events.for_source("messenger"),
            adapters: RwLock::default(),
        }
    }

    /// Takes webhooks of the adapter's platform from now on, and hands it the secrets that are believed. Replaces an
    /// adapter registered before.
    pub fn register(&self, adapter: Arc<dyn MessengerPort>, secrets: WebhookSecrets) {
        adapter.set_webhook_secrets(secrets);
        self.adapters.write().insert(adapter.platform(), adapter);
    }

    /// Replaces the secrets of a platform, for rotation. Whether the platform is registered.
    pub fn set_secrets(&self, platform: Platform, secrets: WebhookSecrets) -> bool {
        match self.adapter(platform) {
            Some(adapter) => {
                adapter.set_webhook_secrets(secrets);
                true
            }
            None => false,
        }
    }

    /// Whether the sender is the platform, from the headers alone. Publishes `messenger.webhook.validation_failed`
    /// when it is not.
    pub fn authenticate(
        &self,
        platform: Platform,
        headers: &dyn Headers,
        correlation_id: CorrelationId,
    ) -> Result<Authenticated, SecurityError> {
        let result = match self.adapter(platform) {
            Some(adapter) => adapter
                .validate_webhook_signature(headers, self.clock.now())
                .map(|()| Authenticated { adapter }),
            None => Err(SecurityError::NotRegistered { platform }),
        };
        if let Err(error) = &result {
            let reason = error.reason();
            tracing::warn!(%platform, reason, "a webhook request was not believed");
            self.events
                .publish(Some(correlation_id), || WebhookValidationFailed {
                    platform,
                    reason,
                });
        }
        result
    }

    /// Reads the body of a request that was believed. Publishes `messenger.webhook.received`, for a body that cannot
    /// be understood too.
    pub fn parse(
        &self,
        request: &Authenticated,
        body: &[u8],
        correlation_id: CorrelationId,
    ) -> Result<Parsed, ParseError> {
        let platform = request.adapter.platform();
        let parsed = request.adapter.parse_webhook(body, self.clock.now());
        let (kind, messages) = match &parsed {
            Ok(Parsed::Messages(messages)) => ("messages", messages.len()),
            Ok(Parsed::Ignored { kind }) => (kind.as_ref(), 0),
            Ok(Parsed::Migrated { .. }) => ("migrated", 0),
            Err(error) => {
                tracing::warn!(%platform, %error, bytes = body.len(), "an update cannot be understood");
                ("malformed", 0)
            }
        };
        self.events.publish(Some(correlation_id), || WebhookReceived {
            platform,
            bytes: body.len(),
            messages,
            kind: kind.to_owned(),
        });
        parsed
    }

    fn adapter(&self, platform: Platform) -> Option<Arc<dyn MessengerPort>> {
        self.adapters.read().get(&platform).cloned()
    }
}

// === impl Authenticated ===

impl Authenticated {
    /// Which platform it was.
    pub fn platform(&self) -> Platform {
        self.adapter.platform()
    }
}
