//! What the use cases work with, wired once.

use crate::config::GatewayConfig;
use crate::feed::ChatFeeds;
use crate::outbox::Outbox;
use crate::ports::TurnStore;
use crate::purse::Purse;
use openclaw_ai_fabric::{Estimator, FallbackRouter, ModelSelector, ProviderRegistry, TokenBudget};
use openclaw_core::{BotId, Clock, EventContext, Platform, Random};
use openclaw_messenger::MessageDispatcher;
use openclaw_plugins::HookDispatcher;
use openclaw_streaming::StreamConfigs;
use std::collections::HashSet;
use std::sync::Arc;

/// Everything the gateway is built from. Held by the composition root until [`crate::Gateway::new`].
#[derive(Debug)]
pub struct GatewayParts {
    /// Settings.
    pub config: GatewayConfig,
    /// How answers are shown, by platform.
    pub streaming: StreamConfigs,
    /// Platforms on which answers are not shown while they are written.
    pub quiet_platforms: HashSet<Platform>,
    /// Which models are tried, in order, when the request names none.
    pub default_chain: openclaw_ai_fabric::FallbackChain,
    /// Inbox, session, history, budget and outbox.
    pub store: Arc<dyn TurnStore>,
    /// Models.
    pub registry: Arc<ProviderRegistry>,
    /// Chooses among them.
    pub selector: Arc<ModelSelector>,
    /// Calls them.
    pub router: Arc<FallbackRouter>,
    /// Decides what may be spent.
    pub budget: Arc<TokenBudget>,
    /// Guesses what a text costs.
    pub estimator: Arc<Estimator>,
    /// Plugins.
    pub hooks: Arc<HookDispatcher>,
    /// Messengers.
    pub dispatcher: Arc<MessageDispatcher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Where events go.
    pub events: EventContext,
}

/// The same, as the use cases share it.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) config: GatewayConfig,
    pub(crate) streaming: StreamConfigs,
    pub(crate) quiet_platforms: HashSet<Platform>,
    pub(crate) default_chain: openclaw_ai_fabric::FallbackChain,
    pub(crate) store: Arc<dyn TurnStore>,
    pub(crate) registry: Arc<ProviderRegistry>,
    pub(crate) selector: Arc<ModelSelector>,
    pub(crate) router: Arc<FallbackRouter>,
    pub(crate) budget: Arc<TokenBudget>,
    pub(crate) purse: Purse,
    pub(crate) estimator: Arc<Estimator>,
    pub(crate) hooks: Arc<HookDispatcher>,
    pub(crate) dispatcher: Arc<MessageDispatcher>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) feeds: Arc<ChatFeeds>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// In the name of `session`; the contexts' own services publish in theirs.
    pub(crate) session_events: EventContext,
    pub(crate) messenger_events: EventContext,
    pub(crate) bot: BotId,
    /// The server's own threads. What must outlive a worker runs here.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Services {
    /// Whether answers are shown in the platform's chats while they are being written.
    pub(crate) fn streams_in_chat(&self, platform: Platform) -> bool {
        !self.quiet_platforms.contains(&platform)
    }
}
