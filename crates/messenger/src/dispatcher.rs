//! Messages out: the right chat, within the limits, told to the rest of the system.

use crate::capabilities::Capabilities;
use crate::error::{DeliveryError, DeliveryErrorKind, DispatchError, SecurityError};
use crate::event::{MessageDeliveryFailed, MessageSent};
use crate::limits::{DispatchLimits, RateLimit};
use crate::pacer::{NoTurn, Pacer, PacerLimits, Passing, Place};
use crate::ports::MessengerPort;
use async_trait::async_trait;
use openclaw_core::{
    ChatId, ChatKind, Clock, CodedError, CorrelationId, EventContext, IncomingMessage, MessageId, Monotonic,
    OutgoingMessage, Platform, TenantId,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How many moved chats are remembered; the oldest is forgotten.
const MAX_MOVES: usize = 10_000;

/// Whether a message waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A later one will replace it: never waits, leaves room for final messages.
    Interim,
    /// What must stand in the chat: waits its turn, in order within its chat.
    Final,
}

/// Sends messages to the platforms.
///
/// Dropping a future of it gives up the place in line; a call to the platform that was under way may still succeed.
#[derive(Debug)]
pub struct MessageDispatcher {
    clock: Arc<dyn Clock>,
    events: EventContext,
    bots: BTreeMap<Platform, Bot>,
    /// Guards the limits only.
    limits: Mutex<DispatchLimits>,
}

/// One platform's adapter and the budget of its bot.
#[derive(Debug)]
struct Bot {
    adapter: Arc<dyn MessengerPort>,
    pacer: Pacer,
    /// Chats that have another id now. Guards the table only.
    moves: Mutex<Moves>,
}

#[derive(Debug, Default)]
struct Moves {
    to: HashMap<ChatId, ChatId>,
    order: VecDeque<ChatId>,
}

/// One call to the platform, to be made as often as its error asks for.
#[async_trait]
trait Call: Send + Sync {
    type Done: Send;
    async fn call(
        &self,
        adapter: &dyn MessengerPort,
        message: &OutgoingMessage,
    ) -> Result<Self::Done, DeliveryError>;
}

struct SendNew;
struct Edit<'a>(&'a MessageId);
struct Delete<'a>(&'a MessageId);

// === impl MessageDispatcher ===

impl MessageDispatcher {
    /// A dispatcher for the adapters, the last one of a platform counts. `events` is put in the name of `messenger`.
    pub fn new(
        adapters: Vec<Arc<dyn MessengerPort>>,
        limits: DispatchLimits,
        clock: Arc<dyn Clock>,
        events: &EventContext,
    ) -> Self {
        let bots = adapters
            .into_iter()
            .map(|adapter| {
                let platform = adapter.platform();
                let pacer = Pacer::new(
                    pacer_limits(&limits, platform, &adapter.capabilities()),
                    Arc::clone(&clock),
                );
                let bot = Bot {
                    adapter,
                    pacer,
                    moves: Mutex::default(),
                };
                (platform, bot)
            })
            .collect();
        Self {
            clock,
            events: events.for_source("messenger"),
            bots,
            limits: Mutex::new(limits),
        }
    }

    /// Forgets chats that are at rest: their buckets are full again and nothing waits for them. Call it now and then.
    pub fn forget_idle(&self) {
        for bot in self.bots.values() {
            bot.pacer.forget_idle();
        }
    }

    /// How many chats are remembered on all platforms, and for how many there is room.
    pub fn remembered_chats(&self) -> (usize, usize) {
        self.bots.values().fold((0, 0), |(chats, room), bot| {
            (chats + bot.pacer.chats(), room + bot.pacer.capacity())
        })
    }

    /// Sends a message and returns the platform's id of it. Publishes `messenger.message.sent`, or
    /// `messenger.message.delivery_failed` when the platform or the way to it failed.
    pub async fn send(
        &self,
        tenant: &TenantId,
        message: &OutgoingMessage,
        urgency: Urgency,
        correlation_id: CorrelationId,
    ) -> Result<MessageId, DispatchError> {
        check_chat(tenant, message)?;
        let bot = self.bot(tenant.platform())?;
        let (id, chat) = self
            .deliver(bot, tenant, message, urgency, correlation_id, &SendNew)
            .await?;
        self.sent(tenant, chat, &id, message, false, correlation_id);
        Ok(id)
    }

    /// Makes a message read as given. Publishes like [`MessageDispatcher::send`] when the edit is final.
    pub async fn edit(
        &self,
        tenant: &TenantId,
        id: &MessageId,
        message: &OutgoingMessage,
        urgency: Urgency,
        correlation_id: CorrelationId,
    ) -> Result<(), DispatchError> {
        check_chat(tenant, message)?;
        let bot = self.bot(tenant.platform())?;
        let ((), chat) = self
            .deliver(bot, tenant, message, urgency, correlation_id, &Edit(id))
            .await?;
        if urgency == Urgency::Final {
            self.sent(tenant, chat, id, message, true, correlation_id);
        }
        Ok(())
    }

    /// Takes a message away. Waits its turn.
    pub async fn delete(
        &self,
        tenant: &TenantId,
        chat_kind: ChatKind,
        id: &MessageId,
        correlation_id: CorrelationId,
    ) -> Result<(), DispatchError> {
        let bot = self.bot(tenant.platform())?;
        let message = empty_message(tenant, chat_kind);
        self.deliver(bot, tenant, &message, Urgency::Final, correlation_id, &Delete(id))
            .await
            .map(|_| ())
    }

    /// Shows that an answer is being written, when there is plenty of budget; else `Throttled`, and nothing is lost.
    pub async fn typing(&self, tenant: &TenantId, chat_kind: ChatKind) -> Result<(), DispatchError> {
        let bot = self.bot(tenant.platform())?;
        let capabilities = bot.adapter.capabilities();
        if !capabilities.typing {
            return Ok(());
        }
        let chat = bot.resolve(tenant.chat());
        let own = self.own_limit(&capabilities, chat_kind);
        self.pass(bot, &chat, own, Passing::Typing)?;
        match bot.adapter.send_typing_indicator(&chat).await {
            Ok(()) => Ok(()),
            Err(error) => {
                if let DeliveryErrorKind::RateLimited {
                    retry_after,
                    whole_bot,
                } = error.kind
                {
                    bot.pacer.penalise(chat.bare(), retry_after, whole_bot);
                }
                Err(error.into())
            }
        }
    }

    /// Shows a text as being written, without sending it. Never waits. A platform's request for a pause holds up
    /// drafts only.
    pub async fn draft(
        &self,
        tenant: &TenantId,
        draft: i64,
        message: &OutgoingMessage,
    ) -> Result<(), DispatchError> {
        check_chat(tenant, message)?;
        let bot = self.bot(tenant.platform())?;
        let capabilities = bot.adapter.capabilities();
        if !capabilities.drafts {
            return Err(DeliveryError::unsupported("drafts").into());
        }
        let message = bot.addressed(message);
        let own = self.own_limit(&capabilities, message.chat_kind);
        self.pass(bot, &message.chat, own, Passing::Draft)?;
        match bot.adapter.send_draft(draft, &message).await {
            Ok(()) => Ok(()),
            Err(DeliveryError {
                kind: DeliveryErrorKind::RateLimited { retry_after, .. },
                ..
            }) => {
                bot.pacer.penalise_drafts(message.chat.bare(), retry_after);
                Err(self.throttled(self.clock.monotonic() + retry_after))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the platform that a button press has arrived. Not limited.
    pub async fn acknowledge(&self, message: &IncomingMessage) -> Result<(), DispatchError> {
        let bot = self.bot(message.platform)?;
        Ok(bot.adapter.acknowledge(message).await?)
    }

    /// Remembers that a chat has another id, as an update told: messages to the old one go to the new one.
    pub fn chat_moved(&self, platform: Platform, from: &ChatId, to: &ChatId) {
        if let Some(bot) = self.bots.get(&platform) {
            bot.moves.lock().insert(from, to);
        }
    }

    /// What a platform can do; `None` without an adapter.
    pub fn capabilities(&self, platform: Platform) -> Option<Capabilities> {
        self.bots.get(&platform).map(|bot| bot.adapter.capabilities())
    }

    /// Changes the limits while running. What was sent so far still counts.
    pub fn set_limits(&self, limits: DispatchLimits) {
        for (platform, bot) in &self.bots {
            bot.pacer
                .set_limits(pacer_limits(&limits, *platform, &bot.adapter.capabilities()));
        }
        *self.limits.lock() = limits;
    }

    /// How many messages wait for their turn or are on their way, on all platforms.
    pub fn waiting(&self) -> usize {
        self.bots.values().map(|bot| bot.pacer.waiting()).sum()
    }

    fn bot(&self, platform: Platform) -> Result<&Bot, DispatchError> {
        self.bots
            .get(&platform)
            .ok_or(DispatchError::NoAdapter { platform })
    }

    fn own_limit(&self, capabilities: &Capabilities, kind: ChatKind) -> Option<RateLimit> {
        let platforms = capabilities.chat_limit(kind)?;
        let limits = self.limits.lock();
        let configured = match kind {
            ChatKind::Private => limits.private_chat,
            ChatKind::Group | ChatKind::Channel => limits.group_chat,
        };
        Some(configured.unwrap_or(platforms))
    }

    fn pass(
        &self,
        bot: &Bot,
        chat: &ChatId,
        own: Option<RateLimit>,
        what: Passing,
    ) -> Result<(), DispatchError> {
        bot.pacer
            .pass(chat.bare(), own, what)
            .map_err(|no_turn| self.no_turn(no_turn))
    }

    fn no_turn(&self, no_turn: NoTurn) -> DispatchError {
        match no_turn {
            NoTurn::Until(retry_at) => self.throttled(retry_at),
            NoTurn::Full(waiting) => DispatchError::QueueFull { waiting },
        }
    }

    fn throttled(&self, retry_at: Monotonic) -> DispatchError {
        DispatchError::Throttled {
            retry_at,
            retry_after: retry_at.saturating_since(self.clock.monotonic()),
        }
    }

    /// Makes the call in its turn, again after a pause the platform asks for, and once more where a chat has moved to.
    async fn deliver<C: Call>(
        &self,
        bot: &Bot,
        tenant: &TenantId,
        message: &OutgoingMessage,
        urgency: Urgency,
        correlation_id: CorrelationId,
        call: &C,
    ) -> Result<(C::Done, ChatId), DispatchError> {
        let give_up = self.clock.monotonic() + self.limits.lock().final_patience;
        let own = self.own_limit(&bot.adapter.capabilities(), message.chat_kind);
        let mut message = bot.addressed(message);
        let mut place: Option<Place<'_>> = None;
        let mut moved = false;
        loop {
            match urgency {
                Urgency::Interim => self.pass(bot, &message.chat, own, Passing::Interim)?,
                Urgency::Final => {
                    let place = match &mut place {
                        Some(place) => place,
                        none => none.insert(
                            bot.pacer
                                .enter(message.chat.bare(), own)
                                .map_err(|no_turn| self.no_turn(no_turn))?,
                        ),
                    };
                    place
                        .turn(give_up)
                        .await
                        .map_err(|no_turn| self.no_turn(no_turn))?;
                }
            }
            let error = match call.call(bot.adapter.as_ref(), &message).await {
                Ok(done) => return Ok((done, message.chat)),
                Err(error) => error,
            };
            match &error.kind {
                DeliveryErrorKind::RateLimited {
                    retry_after,
                    whole_bot,
                } => {
                    let retry_at = self.clock.monotonic() + *retry_after;
                    bot.pacer.penalise(message.chat.bare(), *retry_after, *whole_bot);
                    tracing::info!(
                        platform = %tenant.platform(), tenant_id = %tenant, correlation_id = %correlation_id,
                        retry_after_ms = retry_after.as_millis() as u64, "the platform asks to wait"
                    );
                    match urgency {
                        Urgency::Interim => return Err(self.throttled(retry_at)),
                        Urgency::Final if retry_at <= give_up => continue,
                        Urgency::Final => {}
                    }
                }
                DeliveryErrorKind::Migrated { to } if !moved => {
                    bot.moves.lock().insert(&message.chat, to);
                    moved = true;
                    place = None;
                    message = bot.addressed(&message);
                    continue;
                }
                _ => {}
            }
            self.failed(tenant, &error, urgency, correlation_id);
            return Err(error.into());
        }
    }

    fn sent(
        &self,
        tenant: &TenantId,
        chat: ChatId,
        id: &MessageId,
        message: &OutgoingMessage,
        edited: bool,
        correlation_id: CorrelationId,
    ) {
        self.events.publish(Some(correlation_id), || MessageSent {
            tenant_id: tenant.clone(),
            chat_id: chat,
            message_id: id.clone(),
            length: message.text.chars().count(),
            edited,
        });
    }

    fn failed(
        &self,
        tenant: &TenantId,
        error: &DeliveryError,
        urgency: Urgency,
        correlation_id: CorrelationId,
    ) {
        tracing::warn!(
            platform = %tenant.platform(), tenant_id = %tenant, correlation_id = %correlation_id,
            code = error.code(), certainty = ?error.certainty, ?urgency, %error, "a message was not delivered"
        );
        self.events
            .publish(Some(correlation_id), || MessageDeliveryFailed {
                tenant_id: tenant.clone(),
                code: error.code(),
                permanent: error.is_permanent(),
                ambiguous: error.is_ambiguous(),
            });
    }
}

// === impl Bot ===

impl Bot {
    /// Where messages to a chat go now. A topic moves with its chat.
    fn resolve(&self, chat: &ChatId) -> ChatId {
        let moves = self.moves.lock();
        if let Some(to) = moves.to.get(chat) {
            return to.clone();
        }
        let Some(topic) = chat.topic() else {
            return chat.clone();
        };
        ChatId::parse(chat.bare())
            .ok()
            .and_then(|bare| moves.to.get(&bare).cloned())
            .and_then(|to| ChatId::parse(format!("{}.{topic}", to.bare())).ok())
            .unwrap_or_else(|| chat.clone())
    }

    fn addressed(&self, message: &OutgoingMessage) -> OutgoingMessage {
        OutgoingMessage {
            chat: self.resolve(&message.chat),
            ..message.clone()
        }
    }
}

// === impl Moves ===

impl Moves {
    fn insert(&mut self, from: &ChatId, to: &ChatId) {
        let parts = (ChatId::parse(from.bare()), ChatId::parse(to.bare()));
        let (Ok(from), Ok(to)) = parts else {
            return;
        };
        if from == to {
            return;
        }
        if self.to.insert(from.clone(), to).is_none() {
            self.order.push_back(from);
        }
        if self.order.len() > MAX_MOVES
            && let Some(oldest) = self.order.pop_front()
        {
            self.to.remove(&oldest);
        }
    }
}

// === impl Call ===

#[async_trait]
impl Call for SendNew {
    type Done = MessageId;

    async fn call(
        &self,
        adapter: &dyn MessengerPort,
        message: &OutgoingMessage,
    ) -> Result<MessageId, DeliveryError> {
        adapter.send_message(message).await
    }
}

#[async_trait]
impl Call for Edit<'_> {
    type Done = ();

    async fn call(
        &self,
        adapter: &dyn MessengerPort,
        message: &OutgoingMessage,
    ) -> Result<(), DeliveryError> {
        adapter.edit_message(self.0, message).await
    }
}

#[async_trait]
impl Call for Delete<'_> {
    type Done = ();

    async fn call(
        &self,
        adapter: &dyn MessengerPort,
        message: &OutgoingMessage,
    ) -> Result<(), DeliveryError> {
        adapter.delete_message(&message.chat, self.0).await
    }
}

fn check_chat(tenant: &TenantId, message: &OutgoingMessage) -> Result<(), SecurityError> {
    if message.chat == *tenant.chat() {
        return Ok(());
    }
    tracing::error!(tenant_id = %tenant, chat = %message.chat, "a message was addressed to a foreign chat");
    Err(SecurityError::ForeignChat {
        tenant: tenant.clone(),
        chat: message.chat.clone(),
    })
}

fn empty_message(tenant: &TenantId, chat_kind: ChatKind) -> OutgoingMessage {
    OutgoingMessage {
        chat: tenant.chat().clone(),
        chat_kind,
        reply_to: None,
        text: String::new(),
        format: openclaw_core::TextFormat::Plain,
    }
}

fn pacer_limits(limits: &DispatchLimits, platform: Platform, capabilities: &Capabilities) -> PacerLimits {
    let rate = limits.rates.of(platform);
    PacerLimits {
        chat: rate,
        bot: capabilities.bot_limit.then_some(rate),
        draft: capabilities.draft_limit,
        max_waiting_per_chat: limits.max_waiting_per_chat.max(1),
        max_waiting: limits.max_waiting.max(1),
        max_chats: limits.max_chats.max(1),
    }
}
