//! The ends an entry can have without a turn, and how the person hears of any end.

use crate::error::Refusal;
use crate::feed::{FeedEvent, turn_id};
use crate::ports::{CloseEntry, EntryId, OpenEntry, Outcome, StoreError};
use crate::recall::Saying;
use crate::services::Services;
use crate::turn::parts_in_place;
use crate::unanswered;
use openclaw_core::{CodedError, MessageId, TenantId, TokenUsage};
use openclaw_plugins::{HookContext, HookName};
use std::sync::Arc;
use std::time::Duration;

/// Messages in the waiting room up to which each new one is shown typing at once.
const SHOWN_WAITING: usize = 64;

impl Services {
    /// Whether the tenant's chat is one that messages are sent to; else it is read from a feed.
    pub(crate) fn has_chat(&self, tenant: &TenantId) -> bool {
        self.dispatcher.capabilities(tenant.platform()).is_some()
    }

    /// Ends an entry that no turn is running for, with words for the person; empty for none.
    pub(crate) async fn close_with(
        self: &Arc<Self>,
        entry: &OpenEntry,
        outcome: Outcome,
        words: &str,
    ) -> Result<(), StoreError> {
        self.close_entry(entry, outcome, words, None).await
    }

    /// Ends an entry because of a refusal, with its words for the person.
    pub(crate) async fn refuse(
        self: &Arc<Self>,
        entry: &OpenEntry,
        outcome: Outcome,
        refusal: &Refusal,
    ) -> Result<(), StoreError> {
        tracing::info!(%refusal, correlation_id = %entry.correlation_id, tenant_id = %entry.tenant.tenant_id, "message refused");
        let words = refusal.user_message(entry.message.language()).into_owned();
        self.close_entry(entry, outcome, &words, Some(refusal)).await
    }

    /// Ends an entry that no turn is running for, with words for the person, empty for none, and the refusal that is
    /// behind them, if one is.
    pub(crate) async fn close_entry(
        self: &Arc<Self>,
        entry: &OpenEntry,
        outcome: Outcome,
        words: &str,
        refusal: Option<&Refusal>,
    ) -> Result<(), StoreError> {
        let outbox = if words.is_empty() || !self.has_chat(&entry.tenant.tenant_id) {
            Vec::new()
        } else {
            let shown: Vec<_> = entry
                .shown
                .iter()
                .map(|shown| (shown.part, shown.message_id.clone()))
                .collect();
            parts_in_place(entry, &shown, words)
        };
        let now = self.clock.now();
        let said = unanswered::remembered(entry, outcome, words);
        let close = CloseEntry {
            entry: entry.id,
            now,
            outcome,
            history: self.recall.to_store(&said),
            outbox,
        };
        let Some(parts) = self.store.close(close).await? else {
            return Ok(());
        };
        let saying = Saying {
            tenant: entry.key,
            entry: entry.id,
            generation: None,
            at: now,
        };
        self.recall.keep(saying, said);
        match refusal {
            Some(_) => self.tell_refused(entry, words, refusal),
            None => self.tell_plain_end(entry, outcome, words),
        }
        // The lane of a command is not held up by its delivery.
        drop(self.outbox.deliver(parts));
        Ok(())
    }

    fn tell_plain_end(&self, entry: &OpenEntry, outcome: Outcome, words: &str) {
        let reason = match outcome {
            Outcome::Answered => "stop",
            Outcome::Command => "command",
            Outcome::Cancelled => "cancelled",
            Outcome::Stopped => "stopped",
            Outcome::Ignored => "ignored",
            Outcome::Refused | Outcome::Failed | Outcome::Expired | Outcome::DeadLettered => "failed",
        };
        self.publish_end(entry, || FeedEvent::TurnFinished {
            turn_id: turn_id(entry.id),
            text: words.to_owned(),
            finish_reason: reason.to_owned(),
            usage: None,
        });
    }

    /// Tells a feed how a turn ended.
    pub(crate) fn tell_end(
        &self,
        entry: &OpenEntry,
        text: &str,
        finish_reason: &str,
        usage: TokenUsage,
        refusal: Option<&Refusal>,
    ) {
        match refusal {
            Some(refusal) => self.tell_refused(entry, text, Some(refusal)),
            None => self.publish_end(entry, || FeedEvent::TurnFinished {
                turn_id: turn_id(entry.id),
                text: text.to_owned(),
                finish_reason: finish_reason.to_owned(),
                usage: Some(usage),
            }),
        }
    }

    /// Tells a feed that a turn has no answer.
    pub(crate) fn tell_refused(&self, entry: &OpenEntry, words: &str, refusal: Option<&Refusal>) {
        self.publish_end(entry, || FeedEvent::TurnFailed {
            turn_id: turn_id(entry.id),
            problem: with_budget(refusal, serde_json::json!({
                "code": refusal.map_or("CANCELLED", |refusal| refusal.code()),
                "detail": words,
                "recoverable": refusal.is_some_and(CodedError::recoverable),
                "retryAfterMs": refusal.and_then(CodedError::retry_after).map(|wait| wait.as_millis() as u64),
                "correlationId": entry.correlation_id,
            })),
        });
    }

    fn publish_end(&self, entry: &OpenEntry, event: impl FnOnce() -> FeedEvent) {
        if !self.has_chat(&entry.tenant.tenant_id) {
            self.feeds.publish(&entry.tenant.tenant_id, event());
        }
    }

    /// Takes away messages that are no longer part of an answer. What cannot be taken away stays.
    pub(crate) async fn remove(&self, entry: &OpenEntry, messages: Vec<MessageId>) {
        for id in messages {
            let (tenant, kind) = (&entry.tenant.tenant_id, entry.message.chat_kind);
            if let Err(error) = self
                .dispatcher
                .delete(tenant, kind, &id, entry.correlation_id)
                .await
            {
                tracing::warn!(%error, correlation_id = %entry.correlation_id, "a surplus message stays in the chat");
            }
        }
    }

    /// Shows that a message waits for a worker.
    pub(crate) fn show_waiting(
        self: &Arc<Self>,
        tenant: &TenantId,
        entry: EntryId,
        place: usize,
        paused: bool,
        expected: Option<Duration>,
    ) {
        if self.has_chat(tenant) {
            // Behind so many others the bot has no call to spare for an indicator.
            if place > SHOWN_WAITING {
                return;
            }
            let (services, tenant) = (Arc::clone(self), tenant.clone());
            self.runtime.spawn(async move {
                services
                    .dispatcher
                    .typing(&tenant, openclaw_core::ChatKind::Private)
                    .await
                    .ok();
            });
        } else {
            self.feeds.publish(
                tenant,
                FeedEvent::Notice {
                    turn_id: turn_id(entry),
                    place,
                    paused,
                    expected_wait_ms: expected
                        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                },
            );
        }
    }

    /// Runs a hook that only tells of something.
    pub(crate) async fn session_hook(
        &self,
        hook: HookName,
        context: impl FnOnce() -> HookContext,
        entry: &OpenEntry,
    ) {
        if self.hooks.has(hook) {
            self.hooks
                .dispatch(
                    hook,
                    &mut context(),
                    entry.tenant.tier,
                    Some(entry.correlation_id),
                )
                .await;
        }
    }
}

/// The numbers of a budget that has no room, beside the words. Where the whole budget is too small there is no time at
/// which it would have room.
fn with_budget(refusal: Option<&Refusal>, mut problem: serde_json::Value) -> serde_json::Value {
    if let Some(Refusal::Budget { error, .. }) = refusal {
        problem["limit"] = error.limit.into();
        problem["used"] = error.used.into();
        problem["requested"] = error.requested.into();
        problem["needed"] = error.least.into();
        if !error.never_fits() {
            problem["resetsAt"] = error.resets_at.to_string().into();
        }
    }
    problem
}
