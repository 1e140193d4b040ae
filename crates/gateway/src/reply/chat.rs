//! An answer in a messenger's chat: sent, edited, shown as a draft.

use super::MAX_TEXT_BYTES;
use super::{Address, ChatReply, Closing, Done, before_send, due, ready};
use crate::job::TurnProgress;
use crate::ports::{Fence, NewOutboxPart, ShownPart, StoreError};
use crate::services::Services;
use crate::step::{Change, Followed, Step};
use futures::StreamExt;
use openclaw_ai_fabric::RoutedStream;
use openclaw_concurrency::WorkContext;
use openclaw_core::{Monotonic, TextFormat};
use openclaw_messenger::{DeliveryErrorKind, DispatchError, Urgency};
use openclaw_plugins::HookName;
use openclaw_streaming::{Action, Outcome, ReplyConfig, ReplyMode, ResponseHandler, split_message};
use std::sync::Arc;
use std::time::Duration;

/// How long an intermediate edit waits when something older is still to be delivered in the chat.
const BEHIND_OUTBOX: Duration = Duration::from_millis(500);

// === impl ChatReply ===

impl ChatReply {
    pub(super) async fn follow(
        &mut self,
        stream: &mut RoutedStream,
        step: &mut Step,
        context: &WorkContext,
    ) -> Followed {
        let cancelled = context.cancelled();
        tokio::pin!(cancelled);
        loop {
            let now = self.services.clock.monotonic();
            self.act(now);
            self.set_timer();
            tokio::select! {
                biased;
                () = &mut cancelled => return Followed::Stopped,
                done = ready(&mut self.action) => {
                    self.action = None;
                    if !self.done(done) {
                        return Followed::Superseded;
                    }
                }
                event = stream.next() => {
                    let now = self.services.clock.monotonic();
                    match event {
                        Some(Ok(event)) => match step.take(event) {
                            Change::Text(text) => {
                                self.progress.update(|progress| progress.said.add(&text));
                                self.handler.push(&text, now);
                            }
                            Change::Void => self.handler.replace(now),
                            Change::None => {}
                        },
                        Some(Err(error)) => return Followed::Failed(error),
                        None => return Followed::Complete,
                    }
                }
                () = due(&mut self.timer) => self.timer = None,
            }
        }
    }

    /// Starts the handler's next action unless one is under way.
    fn act(&mut self, now: Monotonic) {
        if self.action.is_some() {
            return;
        }
        if let Some(action) = self.handler.next_action(now) {
            let acting = Arc::clone(&self.progress).acting();
            let performing = perform(
                Arc::clone(&self.services),
                self.address.clone(),
                self.fence,
                Arc::clone(&self.progress),
                action,
            );
            // On the server's own threads: when the worker is killed in the middle of a send, whoever ends the turn must
            // learn the message's id, or it would stand in the chat beside the words that take its place.
            let task = self.services.runtime.spawn(async move {
                let _acting = acting.await;
                performing.await
            });
            self.action = Some(Box::pin(async move {
                task.await
                    .unwrap_or(Done::Outcome(Outcome::Failed { permanent: true }))
            }));
            return;
        }
        if let Some(draft) = &mut self.draft
            && let Some(text) = draft.next(self.handler.text(), now)
        {
            let (services, address, id) = (Arc::clone(&self.services), self.address.clone(), draft.id);
            self.action = Some(Box::pin(show_draft(services, address, id, text)));
        }
    }

    /// The platform shows no drafts after all: from now on the message is sent early and edited.
    fn edit_instead(&mut self) {
        if self.draft.take().is_some() {
            let now = self.services.clock.monotonic();
            let text = self.handler.text().to_owned();
            self.handler = ResponseHandler::new(self.config(ReplyMode::Edit), Vec::new(), now);
            self.handler.push(&text, now);
        }
    }

    fn config(&self, mode: ReplyMode) -> ReplyConfig {
        let stream = self.services.stream_config(self.address.tenant.platform());
        ReplyConfig {
            stream,
            limit: self.limit,
            mode,
            max_text_bytes: MAX_TEXT_BYTES,
        }
    }

    fn set_timer(&mut self) {
        let draft = self.draft.as_ref().filter(|_| self.action.is_none());
        let draft = draft.and_then(|draft| draft.wakeup(self.handler.text()));
        let wakeup = [self.handler.next_wakeup(), draft].into_iter().flatten().min();
        if self.timer.as_ref().map(|(at, _)| *at) != wakeup {
            self.timer = wakeup.map(|at| (at, self.services.clock.sleep_until(at)));
        }
    }

    /// Tells the handler what became of an action; `false` when the turn was superseded.
    fn done(&mut self, done: Done) -> bool {
        match done {
            Done::Outcome(outcome) => self.handler.acted(outcome, self.services.clock.monotonic()),
            Done::Nothing => {}
            Done::NoDraft { until: Some(until) } => {
                if let Some(draft) = &mut self.draft {
                    draft.throttled(until);
                }
            }
            Done::NoDraft { until: None } => self.edit_instead(),
            Done::Superseded => self.superseded = true,
        }
        !self.superseded
    }

    pub(super) async fn close(&mut self) -> Result<Closing, Followed> {
        // What is on its way must be known before the rest is written down.
        if let Some(action) = self.action.take() {
            let done = action.await;
            if !self.done(done) {
                return Err(Followed::Superseded);
            }
        }
        self.handler.finish(self.services.clock.monotonic());
        let mut closing = Closing {
            text: self.handler.text().to_owned(),
            ..Closing::default()
        };
        closing.surplus = self.handler.surplus().into_iter().map(|(_, id)| id).collect();
        let parts = self.handler.final_parts();
        let has_hook = self.services.hooks.has(HookName::OnBeforeSend);
        for part in parts {
            if part.delivered && !has_hook && !needs_formatting(&part.text) {
                continue;
            }
            let text = match before_send(&self.services, &self.address, part.text, true).await {
                Ok(text) => text,
                Err(reason) => {
                    closing.cancelled = Some(reason);
                    return Ok(closing);
                }
            };
            // A plugin may have made the part longer than a message may be.
            let mut pieces = split_message(&text, self.limit).into_iter();
            let Some(first) = pieces.next() else { continue };
            closing.outbox.push(NewOutboxPart {
                part: part.part,
                message: self.address.message(first.into(), TextFormat::Markdown),
                edits: part.message_id,
            });
            for piece in pieces {
                closing.outbox.push(NewOutboxPart {
                    part: part.part,
                    message: self.address.message(piece.into(), TextFormat::Markdown),
                    edits: None,
                });
            }
        }
        Ok(closing)
    }
}

/// Carries out one action of the handler.
async fn perform(
    services: Arc<Services>,
    address: Address,
    fence: Fence,
    progress: Arc<TurnProgress>,
    action: Action,
) -> Done {
    let tenant = &address.tenant;
    let correlation_id = address.correlation_id;
    if !matches!(action, Action::Typing) && services.outbox.is_busy(tenant, &services.bot) {
        return Done::Outcome(Outcome::Throttled {
            until: services.clock.monotonic() + BEHIND_OUTBOX,
        });
    }
    match action {
        Action::Typing => {
            // An indicator that could not be shown is not worth a word: the next one comes in seconds.
            services.dispatcher.typing(tenant, address.chat_kind).await.ok();
            Done::Nothing
        }
        Action::Send { part, text, .. } => {
            let Ok(text) = before_send(&services, &address, text, false).await else {
                return Done::Outcome(Outcome::Throttled {
                    until: services.clock.monotonic() + BEHIND_OUTBOX,
                });
            };
            let message = address.message(text, TextFormat::Plain);
            match services
                .dispatcher
                .send(tenant, &message, Urgency::Interim, correlation_id)
                .await
            {
                Ok(message_id) => {
                    progress.update(|progress| progress.shown.push((part, message_id.clone())));
                    let shown = ShownPart {
                        part,
                        message_id: message_id.clone(),
                    };
                    match services.store.record_send(address.entry, fence, shown).await {
                        Ok(()) => {}
                        Err(StoreError::Stale) => return Done::Superseded,
                        // The window in which a crash would send the part again stays open; the turn goes on.
                        Err(error) => tracing::warn!(%error, %correlation_id, "sent message not recorded"),
                    }
                    Done::Outcome(Outcome::Sent { message_id })
                }
                Err(error) => Done::Outcome(outcome_of(&services, &error)),
            }
        }
        Action::Edit { message_id, text, .. } => {
            let Ok(text) = before_send(&services, &address, text, false).await else {
                return Done::Outcome(Outcome::Unchanged);
            };
            let message = address.message(text, TextFormat::Plain);
            match services
                .dispatcher
                .edit(tenant, &message_id, &message, Urgency::Interim, correlation_id)
                .await
            {
                Ok(()) => Done::Outcome(Outcome::Edited),
                Err(error) => Done::Outcome(outcome_of(&services, &error)),
            }
        }
        Action::Delete { message_id, .. } => {
            match services
                .dispatcher
                .delete(tenant, address.chat_kind, &message_id, correlation_id)
                .await
            {
                Ok(()) => Done::Outcome(Outcome::Deleted),
                Err(error) => Done::Outcome(outcome_of(&services, &error)),
            }
        }
    }
}

/// Shows a draft of the answer.
async fn show_draft(services: Arc<Services>, address: Address, id: i64, text: String) -> Done {
    let Ok(text) = before_send(&services, &address, text, false).await else {
        return Done::Nothing;
    };
    // As the final message will be, which takes its place: a platform that shows drafts knows that more is to come.
    let message = address.message(text, TextFormat::Markdown);
    match services.dispatcher.draft(&address.tenant, id, &message).await {
        Ok(()) => Done::Nothing,
        Err(DispatchError::Throttled { retry_at, .. }) => Done::NoDraft {
            until: Some(retry_at),
        },
        Err(DispatchError::QueueFull { .. }) => Done::NoDraft {
            until: Some(services.clock.monotonic() + Duration::from_secs(1)),
        },
        Err(error) => {
            tracing::debug!(%error, correlation_id = %address.correlation_id, "no draft; editing instead");
            Done::NoDraft { until: None }
        }
    }
}

/// What the handler is told of a failure.
fn outcome_of(services: &Services, error: &DispatchError) -> Outcome {
    match error {
        DispatchError::Throttled { retry_at, .. } => Outcome::Throttled { until: *retry_at },
        DispatchError::QueueFull { .. } => Outcome::Throttled {
            until: services.clock.monotonic() + Duration::from_secs(1),
        },
        DispatchError::NoAdapter { .. } | DispatchError::Security(_) => Outcome::Failed { permanent: true },
        DispatchError::Delivery(delivery) => match &delivery.kind {
            DeliveryErrorKind::NothingToEdit => Outcome::Gone,
            DeliveryErrorKind::RateLimited { retry_after, .. } => Outcome::Throttled {
                until: services.clock.monotonic() + *retry_after,
            },
            // Whether it arrived is unknown: showing it again now could double it, so the rest comes with the final text.
            _ => Outcome::Failed {
                permanent: delivery.is_permanent() || delivery.is_ambiguous(),
            },
        },
    }
}

/// Whether a text may look different once its Markdown is read. Errs towards yes: a needless last edit is harmless.
fn needs_formatting(text: &str) -> bool {
    text.contains([
        '*', '_', '`', '#', '[', ']', '>', '<', '~', '|', '\\', '&', '+', '=',
    ]) || text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("- ") || line.starts_with(|c: char| c.is_ascii_digit())
    })
}
