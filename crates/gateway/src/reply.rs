//! Shows an answer while it is being written.
//!
//! A chat's reply drives the [`ResponseHandler`] of `openclaw-streaming`: text and times go in, its actions are carried
//! out through the dispatcher, at most one at a time, and what became of them is told back. A feed's reply, for the web
//! page and the native API, gathers text for a moment and publishes it.

use crate::draft::DraftPace;
use crate::feed::FeedEvent;
use crate::job::TurnProgress;
use crate::ports::{EntryId, Fence, NewOutboxPart, OpenEntry, ShownPart, StoreError};
use crate::services::{Services, ShowMode};
use crate::step::{Change, Followed, Step};
use futures::StreamExt;
use futures::future::BoxFuture;
use openclaw_ai_fabric::RoutedStream;
use openclaw_concurrency::WorkContext;
use openclaw_core::{
    AccessTier, ChatKind, CorrelationId, MessageId, Monotonic, OutgoingMessage, TenantId, TextFormat,
};
use openclaw_messenger::{DeliveryErrorKind, DispatchError, Urgency};
use openclaw_plugins::{CancelReason, HookContext, HookName};
use openclaw_streaming::{
    Action, FlushReason, LengthUnit, MessageLimit, Outcome, ReplyConfig, ReplyMode, ResponseHandler,
    StreamConfig, TokenAccumulator, split_message,
};
use std::sync::Arc;
use std::time::Duration;

/// How long an intermediate edit waits when something older is still to be delivered in the chat.
const BEHIND_OUTBOX: Duration = Duration::from_millis(500);
/// The longest answer that is shown; a model that goes on beyond that is not read any further.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// An answer being shown.
pub(crate) enum Reply {
    /// In a messenger's chat, by sending and editing.
    Chat(Box<ChatReply>),
    /// On the feed of a web or API chat.
    Feed(Box<FeedReply>),
}

/// What remains to be done when an answer has its final text.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    /// Parts to be brought into the chat by the outbox.
    pub(crate) outbox: Vec<NewOutboxPart>,
    /// A plugin did not let the answer out.
    pub(crate) cancelled: Option<CancelReason>,
    /// The text as the person sees it.
    pub(crate) text: String,
    /// Messages that stand in the chat and are no longer part of the answer.
    pub(crate) surplus: Vec<MessageId>,
}

/// Whose answer it is and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) tenant: TenantId,
    pub(crate) tier: AccessTier,
    pub(crate) chat_kind: ChatKind,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) entry: EntryId,
    pub(crate) correlation_id: CorrelationId,
}

pub(crate) struct ChatReply {
    services: Arc<Services>,
    address: Address,
    fence: Fence,
    progress: Arc<TurnProgress>,
    handler: ResponseHandler,
    limit: MessageLimit,
    /// While drafts are shown; the handler then sends nothing before the end.
    draft: Option<DraftPace>,
    action: Option<BoxFuture<'static, Done>>,
    timer: Option<(Monotonic, BoxFuture<'static, ()>)>,
    superseded: bool,
}

pub(crate) struct FeedReply {
    services: Arc<Services>,
    tenant: TenantId,
    tier: AccessTier,
    correlation_id: CorrelationId,
    turn_id: String,
    gathered: TokenAccumulator,
    /// Text that a plugin must see whole before any of it may be shown.
    held_back: bool,
    text: String,
    progress: Arc<TurnProgress>,
}

/// What became of an action.
enum Done {
    Outcome(Outcome),
    /// Typing, or something nobody waits for.
    Nothing,
    /// A draft was not shown: not before a time, or not at all.
    NoDraft {
        until: Option<Monotonic>,
    },
    Superseded,
}

// === impl Address ===

impl Address {
    pub(crate) fn of(entry: &OpenEntry) -> Self {
        Self {
            tenant: entry.tenant.tenant_id.clone(),
            tier: entry.tenant.tier,
            chat_kind: entry.message.chat_kind,
            // In a private chat everything answers the one person; elsewhere it must be seen whom.
            reply_to: match entry.message.chat_kind {
                ChatKind::Private => None,
                ChatKind::Group | ChatKind::Channel => entry.message.message_id.clone(),
            },
            entry: entry.id,
            correlation_id: entry.correlation_id,
        }
    }

    pub(crate) fn message(&self, text: String, format: TextFormat) -> OutgoingMessage {
        OutgoingMessage {
            chat: self.tenant.chat().clone(),
            chat_kind: self.chat_kind,
            reply_to: self.reply_to.clone(),
            text,
            format,
        }
    }
}

// === impl Reply ===

impl Reply {
    /// Gets ready to show the answer to an entry.
    pub(crate) fn new(
        services: &Arc<Services>,
        entry: &OpenEntry,
        fence: Fence,
        progress: &Arc<TurnProgress>,
    ) -> Self {
        let platform = entry.tenant.platform();
        let stream = services.stream_config(platform);
        match services.dispatcher.capabilities(platform) {
            Some(capabilities) => {
                let limit = chat_limit(&stream, &capabilities);
                let shown: Vec<_> = entry
                    .shown
                    .iter()
                    .map(|shown| (shown.part, shown.message_id.clone()))
                    .collect();
                let now = services.clock.monotonic();
                let drafts = match services.show_mode(platform) {
                    // What already stands in the chat is edited; a draft beside it would be a second answer.
                    ShowMode::Auto | ShowMode::Draft => {
                        capabilities.drafts
                            && entry.message.chat_kind == ChatKind::Private
                            && shown.is_empty()
                    }
                    ShowMode::Edit | ShowMode::Off => false,
                };
                let mode = match services.show_mode(platform) {
                    ShowMode::Off => ReplyMode::Batch,
                    _ if drafts || !capabilities.edit => ReplyMode::Batch,
                    ShowMode::Auto | ShowMode::Draft | ShowMode::Edit => ReplyMode::Edit,
                };
                let config = ReplyConfig {
                    stream,
                    limit,
                    mode,
                    max_text_bytes: MAX_TEXT_BYTES,
                };
                Self::Chat(Box::new(ChatReply {
                    handler: ResponseHandler::new(config, shown, now),
                    services: Arc::clone(services),
                    address: Address::of(entry),
                    fence,
                    progress: Arc::clone(progress),
                    limit,
                    draft: drafts.then(|| DraftPace::new(entry.id.0, limit, now)),
                    action: None,
                    timer: None,
                    superseded: false,
                }))
            }
            None => {
                let turn_id = crate::feed::turn_id(entry.id);
                let tenant = entry.tenant.tenant_id.clone();
                services.feeds.publish(
                    &tenant,
                    FeedEvent::TurnStarted {
                        turn_id: turn_id.clone(),
                    },
                );
                Self::Feed(Box::new(FeedReply {
                    held_back: services.hooks.has(HookName::OnBeforeSend),
                    services: Arc::clone(services),
                    tenant,
                    tier: entry.tenant.tier,
                    correlation_id: entry.correlation_id,
                    turn_id,
                    gathered: TokenAccumulator::from(&stream),
                    text: String::new(),
                    progress: Arc::clone(progress),
                }))
            }
        }
    }

    /// Shows what a model says until it has said everything, the person stops it, or it fails.
    pub(crate) async fn follow(
        &mut self,
        stream: &mut RoutedStream,
        step: &mut Step,
        context: &WorkContext,
    ) -> Followed {
        match self {
            Self::Chat(reply) => reply.follow(stream, step, context).await,
            Self::Feed(reply) => reply.follow(stream, step, context).await,
        }
    }

    /// Voids what was shown and shows this instead.
    pub(crate) fn replace(&mut self, text: &str) {
        match self {
            Self::Chat(reply) => {
                let now = reply.services.clock.monotonic();
                reply.handler.replace(now);
                reply.handler.push(text, now);
            }
            Self::Feed(reply) => {
                reply.gathered.clear();
                reply.text = text.to_owned();
                reply.publish_replacement();
            }
        }
    }

    /// The text has its final form: what remains to be done so that it stands in the chat.
    pub(crate) async fn close(&mut self) -> Result<Closing, Followed> {
        match self {
            Self::Chat(reply) => reply.close().await,
            Self::Feed(reply) => Ok(reply.close().await),
        }
    }
}

// === impl ChatReply ===

impl ChatReply {
    async fn follow(
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

    async fn close(&mut self) -> Result<Closing, Followed> {
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
    let message = address.message(text, TextFormat::Plain);
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

/// Lets plugins see and change a text before it becomes visible.
async fn before_send(
    services: &Services,
    address: &Address,
    text: String,
    is_final: bool,
) -> Result<String, CancelReason> {
    if !services.hooks.has(HookName::OnBeforeSend) {
        return Ok(text);
    }
    let mut context = HookContext::OnBeforeSend {
        tenant: address.tenant.clone(),
        text,
        is_final,
    };
    let cancelled = services
        .hooks
        .dispatch(
            HookName::OnBeforeSend,
            &mut context,
            address.tier,
            Some(address.correlation_id),
        )
        .await;
    match (cancelled, context) {
        (Some(reason), _) => Err(reason),
        (None, HookContext::OnBeforeSend { text, .. }) => Ok(text),
        // A dispatcher gives back the kind of context it was given.
        (None, _) => Ok(String::new()),
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

fn chat_limit(stream: &StreamConfig, capabilities: &openclaw_messenger::Capabilities) -> MessageLimit {
    let unit = match capabilities.unit {
        openclaw_messenger::LengthUnit::Utf16 => LengthUnit::Utf16,
        openclaw_messenger::LengthUnit::Scalars => LengthUnit::Scalars,
    };
    let max = match (stream.max_message_length, capabilities.max_length) {
        (Some(own), Some(platform)) => Some(own.min(platform)),
        (own, platform) => own.or(platform),
    };
    MessageLimit { max, unit }
}

// === impl FeedReply ===

impl FeedReply {
    async fn follow(
        &mut self,
        stream: &mut RoutedStream,
        step: &mut Step,
        context: &WorkContext,
    ) -> Followed {
        let cancelled = context.cancelled();
        tokio::pin!(cancelled);
        let mut timer: Option<(Monotonic, BoxFuture<'static, ()>)> = None;
        loop {
            let deadline = self.gathered.next_deadline();
            if timer.as_ref().map(|(at, _)| *at) != deadline {
                timer = deadline.map(|at| (at, self.services.clock.sleep_until(at)));
            }
            tokio::select! {
                biased;
                () = &mut cancelled => return Followed::Stopped,
                event = stream.next() => match event {
                    Some(Ok(event)) => match step.take(event) {
                        Change::Text(text) => {
                            self.progress.update(|progress| progress.said.add(&text));
                            self.push(&text);
                        }
                        Change::Void => self.void(),
                        Change::None => {}
                    },
                    Some(Err(error)) => return Followed::Failed(error),
                    None => {
                        self.flush();
                        return Followed::Complete;
                    }
                },
                () = due(&mut timer) => {
                    timer = None;
                    if let Some(flush) = self.gathered.poll(self.services.clock.monotonic()) {
                        self.publish(flush.text);
                    }
                }
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(flush) = self.gathered.push(text, self.services.clock.monotonic()) {
            self.publish(flush.text);
        }
    }

    fn publish(&self, text: String) {
        if !self.held_back && !text.is_empty() {
            let event = FeedEvent::TextDelta {
                turn_id: self.turn_id.clone(),
                text,
            };
            self.services.feeds.publish(&self.tenant, event);
        }
    }

    fn flush(&mut self) {
        if let Some(flush) = self.gathered.flush(FlushReason::Done) {
            self.publish(flush.text);
        }
    }

    /// What this step has shown is void; what earlier steps of the turn have shown as well, because the page shows one text.
    fn void(&mut self) {
        self.gathered.clear();
        self.text.clear();
        self.publish_replacement();
    }

    fn publish_replacement(&self) {
        if !self.held_back {
            let event = FeedEvent::TextReplace {
                turn_id: self.turn_id.clone(),
                text: self.text.clone(),
            };
            self.services.feeds.publish(&self.tenant, event);
        }
    }

    async fn close(&mut self) -> Closing {
        self.flush();
        let mut closing = Closing {
            text: self.text.clone(),
            ..Closing::default()
        };
        if self.held_back {
            let address = Address {
                tenant: self.tenant.clone(),
                tier: self.tier,
                chat_kind: ChatKind::Private,
                reply_to: None,
                entry: EntryId(0),
                correlation_id: self.correlation_id,
            };
            match before_send(&self.services, &address, std::mem::take(&mut closing.text), true).await {
                Ok(text) => closing.text = text,
                Err(reason) => closing.cancelled = Some(reason),
            }
        }
        closing
    }
}

/// Ends when the future in the slot does; never, when there is none.
async fn ready<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Ends when the timer in the slot does; never, when there is none.
async fn due(timer: &mut Option<(Monotonic, BoxFuture<'static, ()>)>) {
    match timer {
        Some((_, sleep)) => sleep.await,
        None => std::future::pending().await,
    }
}
