//! Shows an answer while it is being written.
//!
//! A chat's reply drives the [`ResponseHandler`] of `openclaw-streaming`: text and times go in, its actions are carried
//! out through the dispatcher, at most one at a time, and what became of them is told back. A feed's reply, for the web
//! page and the native API, gathers text for a moment and publishes it.

mod chat;
mod feed;

use crate::draft::DraftPace;
use crate::feed::FeedEvent;
use crate::job::TurnProgress;
use crate::ports::{EntryId, Fence, NewOutboxPart, OpenEntry};
use crate::services::{Services, ShowMode};
use crate::step::{Followed, Step};
use futures::future::BoxFuture;
use openclaw_ai_fabric::RoutedStream;
use openclaw_concurrency::WorkContext;
use openclaw_core::{
    AccessTier, ChatKind, CorrelationId, MessageId, Monotonic, OutgoingMessage, TenantId, TextFormat,
};
use openclaw_plugins::{CancelReason, HookContext, HookName};
use openclaw_streaming::{
    LengthUnit, MessageLimit, Outcome, ReplyConfig, ReplyMode, ResponseHandler, StreamConfig,
    TokenAccumulator,
};
use std::sync::Arc;
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
