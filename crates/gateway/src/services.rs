//! What the use cases work with, wired once.

use crate::config::GatewayConfig;
use crate::error::Refusal;
use crate::feed::ChatFeeds;
use crate::outbox::Outbox;
use crate::ports::TurnStore;
use crate::purse::Purse;
use crate::recall::Recall;
use crate::renewal::Renewals;
use openclaw_ai_fabric::{
    Estimator, FallbackChain, FallbackRouter, FoundModel, ModelCapability, ModelSelector, SelectionError,
    SelectionRequest, TokenBudget, Verdict,
};
use openclaw_core::{AccessTier, BotId, Clock, EventContext, ModelId, Platform, Random};
use openclaw_messenger::MessageDispatcher;
use openclaw_plugins::HookDispatcher;
use openclaw_streaming::StreamConfig;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything the gateway is built from. Held by the composition root until [`crate::Gateway::new`].
#[derive(Debug)]
pub struct GatewayParts {
    /// Settings.
    pub config: GatewayConfig,
    /// How answers are shown, by platform.
    pub streaming: HashMap<Platform, StreamConfig>,
    /// How answers are shown while they are written, on platforms that differ from [`ShowMode::Auto`].
    pub show: HashMap<Platform, ShowMode>,
    /// Which models are tried, in order, when the request names none; `None` lets the selector choose.
    pub default_chain: Option<FallbackChain>,
    /// How often a model is tried again, whoever chose it.
    pub retries: Retries,
    /// Inbox, session, history, budget and outbox.
    pub store: Arc<dyn TurnStore>,
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

/// How an answer is shown in a messenger's chat while it is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShowMode {
    /// As a draft in private chats where the platform has drafts, else by edits.
    #[default]
    Auto,
    /// The same; a platform without drafts is edited.
    Draft,
    /// By sending early and editing.
    Edit,
    /// Not at all: the whole text at the end.
    Off,
}

/// How often a model is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after the first, per model.
    pub max_retries: u32,
    /// Before the first of them; doubles with each.
    pub retry_delay: Duration,
}

/// Which models are tried, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Routing {
    pub(crate) default_chain: Option<FallbackChain>,
    pub(crate) retries: Retries,
}

/// The same, as the use cases share it.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) config: GatewayConfig,
    pub(crate) streaming: HashMap<Platform, StreamConfig>,
    pub(crate) show: HashMap<Platform, ShowMode>,
    /// Replaced as a whole by a reload; a request reads it once.
    pub(crate) routing: RwLock<Arc<Routing>>,
    pub(crate) store: Arc<dyn TurnStore>,
    pub(crate) selector: Arc<ModelSelector>,
    pub(crate) router: Arc<FallbackRouter>,
    pub(crate) budget: Arc<TokenBudget>,
    pub(crate) purse: Purse,
    /// Written with the ends of entries; everything that was said is read through it.
    pub(crate) recall: Recall,
    pub(crate) renewals: Arc<Renewals>,
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

/// What a request needs of the model that answers it.
#[derive(Debug)]
pub(crate) struct Needs {
    /// The model asked for by name.
    pub(crate) model: Option<ModelId>,
    pub(crate) capabilities: Vec<ModelCapability>,
    pub(crate) tier: AccessTier,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// How many other models stand in when the selector chooses.
const STAND_INS: usize = 2;

// === impl Routing ===

impl Routing {
    fn chain_of(&self, primary_model: ModelId, fallbacks: Vec<ModelId>) -> FallbackChain {
        let Retries {
            max_retries,
            retry_delay,
        } = self.retries;
        FallbackChain {
            primary_model,
            fallbacks,
            max_retries,
            retry_delay,
        }
    }
}

// === impl Services ===

impl Services {
    /// Chooses the model and who stands in for it. A model asked for by name has nobody to stand in: its caller wanted
    /// that one. Of a configured chain the first that can serve the request leads.
    pub(crate) fn choose(&self, needs: &Needs) -> Result<(FoundModel, FallbackChain), Refusal> {
        let routing = Arc::clone(&self.routing.read());
        let request = |model: Option<ModelId>| SelectionRequest {
            capabilities: needs.capabilities.clone(),
            input_tokens: needs.input_tokens,
            output_tokens: needs.output_tokens,
            tier: needs.tier,
            model,
        };
        if let Some(model) = &needs.model {
            let chosen = self.selector.select(&request(Some(model.clone())))?.chosen;
            return Ok((chosen, routing.chain_of(model.clone(), Vec::new())));
        }
        let Some(configured) = &routing.default_chain else {
            let selection = self.selector.select(&request(None))?;
            let chosen = selection.chosen.model.id.clone();
            let others = selection.explanation.candidates.into_iter().filter(|candidate| {
                candidate.model != chosen && matches!(candidate.verdict, Verdict::Scored { .. })
            });
            let fallbacks = others.take(STAND_INS).map(|candidate| candidate.model).collect();
            return Ok((selection.chosen, routing.chain_of(chosen, fallbacks)));
        };
        let mut first_error = None;
        let mut index = 0;
        while let Some(model) = configured.model(index) {
            match self.selector.select(&request(Some(model.clone()))) {
                Ok(selection) => {
                    let rest = configured.fallbacks.iter().skip(index).cloned().collect();
                    return Ok((selection.chosen, routing.chain_of(model.clone(), rest)));
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
            index += 1;
        }
        Err(first_error.unwrap_or(SelectionError::NoneSuitable).into())
    }

    /// How answers are shown on a platform.
    pub(crate) fn stream_config(&self, platform: Platform) -> StreamConfig {
        self.streaming
            .get(&platform)
            .copied()
            .unwrap_or_else(|| StreamConfig::for_platform(platform))
    }

    /// How answers are shown in the platform's chats while they are being written.
    pub(crate) fn show_mode(&self, platform: Platform) -> ShowMode {
        self.show.get(&platform).copied().unwrap_or_default()
    }
}
