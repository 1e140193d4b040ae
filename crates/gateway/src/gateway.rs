//! The gateway: what can happen from outside, one method each.

mod intake;
mod upkeep;

pub(crate) use self::upkeep::expired;
use self::upkeep::{flush_in, to_its_end};

use crate::admission::{Admission, TurnPool};
use crate::arrivals::Arrivals;
use crate::completion::{self, CompletionJob, CompletionRequest, CompletionRunner, CompletionStream};
use crate::error::Refusal;
use crate::feed::ChatFeeds;
use crate::job::{Job, JobEnd};
use crate::outbox::{Outbox, OutboxCounts};
use crate::ports::{EntryId, Outcome, StoreError};
use crate::purse::Purse;
use crate::recall::Recall;
use crate::services::{GatewayParts, Needs, Retries, Routing, Services};
use crate::turn::TurnRunner;
use crate::words;
use openclaw_ai_fabric::{AnswerForm, BudgetDetails, BudgetUsage, FallbackChain, SelectionRequest};
use openclaw_concurrency::{Priority, ShutdownReport, Submission, WorkContext};
use openclaw_core::{AccessTier, BotId, ChatId, CorrelationId, Monotonic, Platform, TenantId};
use openclaw_plugins::HookName;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Closed entries are remembered this long, so that a late second delivery is known.
const REMEMBER_CLOSED: Duration = Duration::from_secs(72 * 3600);
/// Suspended tenants whose last notice is remembered, at most.
const MAX_NOTICES: usize = 10_000;
/// How long a chat of the web page or the API can be picked up again.
const RESUME_WINDOW: Duration = Duration::from_secs(600);

/// What became of a message that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry it has in the inbox.
    pub entry: EntryId,
    /// It was there already; nothing happened.
    pub duplicate: bool,
    /// For a duplicate: whether it says the same as what was accepted then.
    pub same: bool,
    /// What the message is found by.
    pub correlation_id: CorrelationId,
}

/// What was found at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Messages that are answered now.
    pub entries: u64,
    /// Messages that were too old and were closed with an apology.
    pub expired: u64,
    /// Parts of replies that are delivered now.
    pub parts: u64,
}

/// Runs jobs on the pool's workers. Built before the pool, which needs it.
#[derive(Clone, Debug)]
pub struct JobRunner {
    turns: TurnRunner,
    completions: CompletionRunner,
    services: Arc<Services>,
}

/// The use cases of the platform. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    services: Arc<Services>,
    pool: Arc<TurnPool>,
    admission: Arc<Admission>,
    arrivals: Arc<Arrivals>,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// When each suspended tenant was last told so.
    notices: Mutex<HashMap<TenantId, Monotonic>>,
}

// === impl JobRunner ===

impl JobRunner {
    /// Must be called inside the server's tokio runtime: what must outlive a worker runs there.
    pub fn new(parts: GatewayParts) -> Self {
        let outbox = Outbox::new(
            Arc::clone(&parts.store),
            Arc::clone(&parts.dispatcher),
            Arc::clone(&parts.hooks),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.random),
        );
        let services = Arc::new(Services {
            purse: Purse::new(
                Arc::clone(&parts.budget),
                Arc::clone(&parts.store),
                Arc::clone(&parts.clock),
            ),
            recall: Recall::new(
                Arc::clone(&parts.store),
                parts.config.store_texts,
                parts.clock.now(),
            ),
            renewals: Arc::default(),
            feeds: Arc::new(ChatFeeds::new(Arc::clone(&parts.clock), RESUME_WINDOW)),
            session_events: parts.events.for_source("session"),
            messenger_events: parts.events.for_source("messenger"),
            bot: BotId::default(),
            runtime: tokio::runtime::Handle::current(),
            config: parts.config,
            streaming: parts.streaming,
            show: parts.show,
            routing: RwLock::new(Arc::new(Routing {
                default_chain: parts.default_chain,
                retries: parts.retries,
            })),
            store: parts.store,
            selector: parts.selector,
            router: parts.router,
            budget: parts.budget,
            estimator: parts.estimator,
            hooks: parts.hooks,
            dispatcher: parts.dispatcher,
            outbox,
            clock: parts.clock,
            random: parts.random,
        });
        Self {
            turns: TurnRunner::new(Arc::clone(&services)),
            completions: CompletionRunner::new(Arc::clone(&services)),
            services,
        }
    }

    /// Whether a job only waits for others and answers once, as a stateless call does that wants its answer in one piece
    /// and that no plugin looks at. Plugins may hold their thread; and pieces of a stream that go from thread to thread
    /// are gathered on the way, which costs less than to write each as it comes.
    pub fn only_waits(&self, job: &Job) -> bool {
        match job {
            Job::Turn(_) => false,
            Job::Completion(call) => {
                let plugged = |hook| self.services.hooks.has(hook);
                call.request.chat.form == AnswerForm::Whole
                    && !plugged(HookName::OnMessageReceived)
                    && !plugged(HookName::OnBeforeSend)
            }
        }
    }

    /// Does one job. Dropping the future abandons it; the gateway then ends what it began.
    pub async fn run(&self, job: Job, context: WorkContext) -> JobEnd {
        match job {
            Job::Turn(turn) => self.turns.run(turn, context).await,
            Job::Completion(completion) => self.completions.run(completion, context).await,
        }
    }
}

// === impl Gateway ===

impl Gateway {
    /// Joins the runner with the pool whose workers run it. Nothing happens before [`Gateway::start`].
    pub fn new(runner: &JobRunner, pool: Arc<TurnPool>, starvation_limit: Duration) -> Self {
        let services = Arc::clone(&runner.services);
        let admission = Admission::new(Arc::clone(&services), Arc::clone(&pool), starvation_limit);
        Self {
            inner: Arc::new(Inner {
                services,
                pool,
                admission,
                arrivals: Arc::default(),
                closing: CancellationToken::new(),
                tasks: TaskTracker::new(),
                notices: Mutex::default(),
            }),
        }
    }

    /// Takes up what an earlier process left, oldest first, and starts the timers. Call it once, before messages are
    /// taken: what was accepted earlier must be answered earlier.
    pub async fn start(&self) -> Result<Resumed, StoreError> {
        let inner = &self.inner;
        let mut resumed = Resumed {
            parts: inner.services.outbox.recover().await?,
            ..Resumed::default()
        };
        let now = inner.services.clock.now();
        let mut after = None;
        loop {
            let entries = inner.services.store.open_entries(after, 500).await?;
            let Some(last) = entries.last() else { break };
            after = Some(last.id);
            for entry in entries {
                inner.admission.opened(1);
                if now.saturating_since(entry.accepted_at) > inner.services.config.replay_max_age {
                    resumed.expired += 1;
                    let admission = Arc::clone(&inner.admission);
                    inner.admission.spawn(async move {
                        let words = words::too_late(entry.message.language());
                        admission.close_entry(&entry, Outcome::Expired, words, None).await;
                    });
                } else {
                    resumed.entries += 1;
                    self.admit(entry);
                }
            }
        }
        self.start_timers();
        Ok(resumed)
    }

    /// Answers a stateless call, or refuses it at once. Nothing of it is kept.
    pub fn complete(&self, request: CompletionRequest) -> Result<CompletionStream, Refusal> {
        let inner = &self.inner;
        let place = inner.pool.admit()?;
        let tenant: Arc<str> = Arc::from(request.tenant.to_string());
        let (events, receiver) = completion::channel();
        let ticket = place.submit(Submission {
            tenant,
            priority: Priority::for_tier(request.tier),
            exclusive: None,
            accepted_at: inner.services.clock.monotonic(),
            deadline: None,
            correlation_id: Some(request.correlation_id),
            request: Job::Completion(CompletionJob { request, events }),
        });
        Ok(CompletionStream::new(receiver, ticket))
    }

    /// Whether the pool would take a request now; the refusal it would give when not.
    pub fn check_admission(&self) -> Result<(), Refusal> {
        // Taking a place and giving it back is the one way to the exact refusal.
        self.inner.pool.admit().map(drop).map_err(Refusal::from)
    }

    /// A chat of a platform has another id now: what is sent to the old one goes to the new one.
    pub fn chat_moved(&self, platform: Platform, from: &ChatId, to: &ChatId) {
        self.inner.services.dispatcher.chat_moved(platform, from, to);
    }

    /// Stops the tenant's running turn and whatever waits behind it. Returns whether there was anything.
    pub async fn stop(&self, tenant: &TenantId) -> bool {
        self.inner.admission.stop(tenant, None).await
    }

    /// Another chain and other retries, for requests that are chosen a model from now on.
    pub fn set_routing(&self, default_chain: Option<FallbackChain>, retries: Retries) {
        *self.inner.services.routing.write() = Arc::new(Routing {
            default_chain,
            retries,
        });
    }

    /// The chain of requests that name no model, where there is one.
    pub fn default_chain(&self) -> Option<FallbackChain> {
        self.inner.services.routing.read().default_chain.clone()
    }

    /// The models a request of this kind would ask, in order.
    pub fn would_ask(&self, request: &SelectionRequest) -> Result<FallbackChain, Refusal> {
        let needs = Needs {
            model: request.model.clone(),
            capabilities: request.capabilities.clone(),
            tier: request.tier,
            input_tokens: request.input_tokens,
            output_tokens: request.output_tokens,
        };
        self.inner.services.choose(&needs).map(|(_, chain)| chain)
    }

    /// Output tokens a chat asks the model for.
    pub fn max_reply_tokens(&self) -> u64 {
        self.inner.services.config.max_reply_tokens
    }

    /// The budget a tenant draws on.
    pub fn account_of(&self, tenant: &TenantId) -> String {
        self.inner.services.budget.account_for(tenant)
    }

    /// What a budget has used and who holds what of it.
    pub async fn budget_details(&self, account: &str, tier: AccessTier) -> Result<BudgetDetails, Refusal> {
        Ok(self.inner.services.purse.details(account, tier).await?)
    }

    /// Starts a budget over, in memory and in the store. Turns under way are charged to the window that is over.
    /// Dropping the future abandons the wait, not the work.
    pub async fn reset_budget(&self, account: &str) -> Result<(), Refusal> {
        let Inner { services, tasks, .. } = &*self.inner;
        let (own, account) = (Arc::clone(services), account.to_owned());
        let resetting = async move { own.purse.reset(&account).await };
        Ok(to_its_end(tasks.spawn_on(resetting, &services.runtime)).await?)
    }

    /// Stores at once what calls have used and the store does not know yet. Dropping the future abandons the wait, not
    /// the work.
    pub async fn flush_usage(&self) -> Result<(), Refusal> {
        Ok(flush_in(&self.inner.tasks, &self.inner.services).await?)
    }

    /// What the tenant's budget has used and has left.
    pub async fn usage(&self, tenant: &TenantId, tier: AccessTier) -> Result<BudgetUsage, Refusal> {
        let account = self.inner.services.budget.account_for(tenant);
        self.inner.services.purse.usage(&account, tier).await
    }

    /// A new correlation id, for what begins at the edge.
    pub fn correlation_id(&self) -> CorrelationId {
        CorrelationId::new(self.inner.services.clock.now(), &*self.inner.services.random)
    }

    /// What the use cases share.
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    /// Where accepted messages wait.
    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.inner.admission
    }

    /// The feeds of web and API chats.
    pub fn feeds(&self) -> &Arc<ChatFeeds> {
        &self.inner.services.feeds
    }

    /// The pool, for metrics and operators.
    pub fn pool(&self) -> &Arc<TurnPool> {
        &self.inner.pool
    }

    /// Messages that were accepted and have no end yet.
    pub fn open_entries(&self) -> usize {
        self.inner.admission.open_entries()
    }

    /// Messages that wait outside the pool.
    pub fn waiting_entries(&self) -> usize {
        self.inner.admission.waiting_entries()
    }

    /// How long the message that waits longest outside the pool has waited.
    pub fn oldest_waiting(&self) -> Option<Duration> {
        self.inner.admission.oldest_waiting()
    }

    /// What the outbox did.
    pub fn outbox(&self) -> OutboxCounts {
        self.inner.services.outbox.counts()
    }

    /// Stops: no new work is begun, running turns may finish within `grace`, the rest goes back to the inbox, usage is
    /// stored, deliveries under way are finished, the store is closed. Ends within `grace` and a few seconds.
    pub async fn shut_down(&self, grace: Duration) -> ShutdownReport<Job> {
        let inner = &self.inner;
        inner.admission.close();
        let mut report = inner.pool.shutdown(grace).await;
        // A call goes back nowhere, and its caller hears of the end when the job is gone.
        report.returned.retain(|job| matches!(job, Job::Turn(_)));
        inner.closing.cancel();
        inner.tasks.close();
        inner.tasks.wait().await;
        inner.admission.settle().await;
        inner.services.outbox.shut_down().await;
        if let Err(error) = inner.services.purse.flush().await {
            tracing::error!(%error, "usage not stored");
        }
        inner.services.store.shut_down().await;
        report
    }
}
