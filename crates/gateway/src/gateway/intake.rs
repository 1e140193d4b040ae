//! Taking messages in: into the inbox, then each to where it belongs.

use super::{Gateway, Receipt};
use super::{Inner, MAX_NOTICES};
use crate::admission::OpenPlaces;
use crate::commands::{self, Command};
use crate::error::Refusal;
use crate::feed::turn_id;
use crate::ports::{Accepted, NewEntry, OpenEntry, Outcome, StoreError};
use crate::words;
use openclaw_core::{AccessTier, CorrelationId, IncomingKind, IncomingMessage, TenantId, Timestamp};
use openclaw_messenger::MessageReceived;
use openclaw_session::event::TenantCreated;
use std::sync::Arc;

/// How messages are taken in.
#[derive(Debug, Default)]
struct Terms {
    /// What the first of them is found by, where that is known already.
    correlation_id: Option<CorrelationId>,
    /// What a tenant gets at first contact; `None` for the configured one.
    tier: Option<AccessTier>,
    /// As in [`NewEntry`].
    repeats_after: Option<Timestamp>,
}

// === impl Gateway ===

impl Gateway {
    /// Takes messages in. When this returned `Ok`, each is durable and will have exactly one end; on an error none was
    /// taken, except that [`StoreError::Unknown`] leaves it open. Dropping the future abandons the wait, not the
    /// messages. `tier` is what a tenant gets at first contact; `None` for the configured one.
    pub async fn receive(
        &self,
        messages: Vec<IncomingMessage>,
        tier: Option<AccessTier>,
    ) -> Result<Vec<Receipt>, Refusal> {
        self.receive_as(None, messages, tier).await
    }

    /// Takes a message in whose key is its author's own: one that was accepted by `repeats_after` or earlier is another.
    pub(crate) async fn receive_keyed(
        &self,
        correlation_id: Option<CorrelationId>,
        message: IncomingMessage,
        repeats_after: Option<Timestamp>,
    ) -> Result<Vec<Receipt>, Refusal> {
        let terms = Terms {
            correlation_id,
            repeats_after,
            ..Terms::default()
        };
        self.receive_on(terms, vec![message]).await
    }

    /// The same for a request that is known by a correlation id already: the first of its messages goes on under it.
    pub async fn receive_as(
        &self,
        correlation_id: Option<CorrelationId>,
        messages: Vec<IncomingMessage>,
        tier: Option<AccessTier>,
    ) -> Result<Vec<Receipt>, Refusal> {
        let terms = Terms {
            correlation_id,
            tier,
            repeats_after: None,
        };
        self.receive_on(terms, messages).await
    }

    async fn receive_on(
        &self,
        terms: Terms,
        messages: Vec<IncomingMessage>,
    ) -> Result<Vec<Receipt>, Refusal> {
        let inner = &self.inner;
        let limit = inner.services.config.max_open_entries;
        let Some(places) = inner.admission.try_open(messages.len(), limit) else {
            return Err(Refusal::InboxFull { limit });
        };
        // A caller that goes away must not leave an accepted message without anybody who answers it.
        let gateway = self.clone();
        let accepting = inner
            .services
            .runtime
            .spawn(async move { gateway.accept(terms, messages, places).await });
        match accepting.await {
            Ok(receipts) => Ok(receipts?),
            Err(error) => Err(StoreError::Unknown {
                reason: error.to_string(),
            }
            .into()),
        }
    }

    async fn accept(
        &self,
        mut terms: Terms,
        messages: Vec<IncomingMessage>,
        mut places: OpenPlaces,
    ) -> Result<Vec<Receipt>, StoreError> {
        let services = &self.inner.services;
        let now = services.clock.now();
        let entries: Vec<NewEntry> = messages
            .into_iter()
            .map(|mut message| NewEntry {
                message: {
                    let known = message.known_language();
                    message.language = known.or(Some(services.config.default_language));
                    message
                },
                correlation_id: terms
                    .correlation_id
                    .take()
                    .unwrap_or_else(|| CorrelationId::new(now, &*services.random)),
                tier_if_new: terms.tier.unwrap_or(services.config.default_tier),
                received_at: now,
                repeats_after: terms.repeats_after,
            })
            .collect();
        let ids: Vec<CorrelationId> = entries.iter().map(|entry| entry.correlation_id).collect();
        let tenants = entries.iter().map(|entry| entry.message.tenant_id());
        let gateway = self.clone();
        let arrival = self
            .inner
            .arrivals
            .begin(tenants, move |entry| gateway.admit(entry));
        let accepted = services.store.accept(entries).await?;
        let mut brought = Vec::new();
        let mut receipts = Vec::with_capacity(accepted.len());
        for (accepted, correlation_id) in accepted.into_iter().zip(ids) {
            receipts.push(match accepted {
                Accepted::Duplicate { entry, same, .. } => Receipt {
                    entry,
                    duplicate: true,
                    same,
                    correlation_id,
                },
                Accepted::New(entry) => {
                    let receipt = Receipt {
                        entry: entry.id,
                        duplicate: false,
                        same: true,
                        correlation_id,
                    };
                    places.use_one();
                    self.welcome(&entry);
                    brought.push(entry);
                    receipt
                }
            });
        }
        arrival.brings(brought);
        Ok(receipts)
    }

    fn welcome(&self, entry: &OpenEntry) {
        let services = &self.inner.services;
        if entry.tenant_is_new {
            services
                .session_events
                .publish(Some(entry.correlation_id), || TenantCreated {
                    tenant_id: entry.tenant.tenant_id.clone(),
                    tier: entry.tenant.tier,
                });
        }
        services
            .messenger_events
            .publish(Some(entry.correlation_id), || MessageReceived::of(&entry.message));
    }

    /// Sends an accepted entry where it belongs: to its end, to the commands' lane, or to wait for a worker.
    pub(super) fn admit(&self, entry: OpenEntry) {
        let inner = Arc::clone(&self.inner);
        let message = &entry.message;
        if message.kind == IncomingKind::Message && !inner.services.has_chat(&entry.tenant.tenant_id) {
            inner
                .services
                .feeds
                .asked(&entry.tenant.tenant_id, turn_id(entry.id), message.text.clone());
        }
        if entry.tenant.suspended {
            let notice = inner.may_tell_suspended(&entry.tenant.tenant_id);
            return self.end_with(entry, Outcome::Refused, move |entry| {
                if notice {
                    words::suspended(entry.message.language())
                } else {
                    ""
                }
            });
        }
        match message.kind {
            // An edit is taken note of: answering it would answer one message twice.
            IncomingKind::Edited => self.end_with(entry, Outcome::Ignored, |_| ""),
            IncomingKind::Callback => {
                let services = Arc::clone(&inner.services);
                let pressed = entry.message.clone();
                inner.admission.spawn(async move {
                    services.dispatcher.acknowledge(&pressed).await.ok();
                });
                self.end_with(entry, Outcome::Ignored, |_| "");
            }
            IncomingKind::Stop => {
                let admission = Arc::clone(&inner.admission);
                inner.admission.spawn(async move {
                    admission.stop(&entry.tenant.tenant_id, Some(entry.id)).await;
                    admission.close_entry(&entry, Outcome::Command, "", None).await;
                });
            }
            IncomingKind::Message => match Command::parse(message.text.trim()) {
                Some(command) => {
                    let (services, admission) = (Arc::clone(&inner.services), Arc::clone(&inner.admission));
                    // Before anything that was accepted after it can begin.
                    let renewal = (command == Command::New).then(|| {
                        let tenant = entry.tenant.tenant_id.clone();
                        services.renewals.begin(tenant, entry.id)
                    });
                    inner.admission.spawn(async move {
                        commands::run(&services, &admission, &entry, command, renewal).await
                    });
                }
                None if message.text.trim().is_empty() => {
                    let has_attachments = !message.attachments.is_empty();
                    self.end_with(
                        entry,
                        if has_attachments {
                            Outcome::Refused
                        } else {
                            Outcome::Ignored
                        },
                        move |entry| {
                            if has_attachments {
                                words::text_only(entry.message.language())
                            } else {
                                ""
                            }
                        },
                    );
                }
                None => inner.admission.enter(entry),
            },
        }
    }

    fn end_with(
        &self,
        entry: OpenEntry,
        outcome: Outcome,
        words: impl FnOnce(&OpenEntry) -> &'static str + Send + 'static,
    ) {
        let admission = Arc::clone(&self.inner.admission);
        self.inner.admission.spawn(async move {
            let words = words(&entry);
            admission.close_entry(&entry, outcome, words, None).await;
        });
    }
}

// === impl Inner ===

impl Inner {
    /// Once per interval: remembers that it was told.
    fn may_tell_suspended(&self, tenant: &TenantId) -> bool {
        let now = self.services.clock.monotonic();
        let interval = self.services.config.suspension_notice_interval;
        let mut notices = self.notices.lock();
        if notices.len() >= MAX_NOTICES {
            notices.retain(|_, told| now.saturating_since(*told) < interval);
        }
        match notices.get(tenant) {
            Some(told) if now.saturating_since(*told) < interval => false,
            // With that many suspended tenants writing within an hour, silence is the better answer.
            None if notices.len() >= MAX_NOTICES => false,
            _ => {
                notices.insert(tenant.clone(), now);
                true
            }
        }
    }
}
