//! The gateway: what can happen from outside, one method each.

use crate::admission::{Admission, OpenPlaces, TurnPool};
use crate::commands::{self, Command};
use crate::completion::{self, CompletionJob, CompletionRequest, CompletionRunner, CompletionStream};
use crate::error::Refusal;
use crate::feed::{ChatFeeds, turn_id};
use crate::housekeeping::{self, Held, Remembered, shrink};
use crate::job::{Job, JobEnd};
use crate::outbox::{Outbox, OutboxCounts};
use crate::ports::{Accepted, EntryId, NewEntry, OpenEntry, Outcome, StoreError, Sweep};
use crate::purse::Purse;
use crate::services::{GatewayParts, Needs, Retries, Routing, Services};
use crate::turn::TurnRunner;
use crate::words;
use openclaw_ai_fabric::{BudgetDetails, BudgetUsage, FallbackChain, SelectionRequest};
use openclaw_concurrency::{Priority, ShutdownReport, Submission, WorkContext};
use openclaw_core::{
    AccessTier, BotId, ChatId, CorrelationId, IncomingKind, IncomingMessage, Monotonic, Platform, TenantId,
};
use openclaw_messenger::MessageReceived;
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use openclaw_session::TenantSession;
use openclaw_session::event::{SessionExpired, TenantCreated};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Closed entries are remembered this long, so that a late second delivery is known.
const REMEMBER_CLOSED: Duration = Duration::from_secs(72 * 3600);
const SWEEP_ROWS: usize = 500;
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

    fn start_timers(&self) {
        let inner = &self.inner;
        let admission = Arc::clone(&inner.admission);
        self.run_until_closed(async move { admission.keep_feeding().await });
        let admission = Arc::clone(&inner.admission);
        self.every(Duration::from_secs(1), move || {
            admission.expire();
            futures::future::ready(())
        });
        let admission = Arc::clone(&inner.admission);
        self.every(Duration::from_secs(4), move || {
            admission.show_typing();
            futures::future::ready(())
        });
        let services = Arc::clone(&inner.services);
        let tasks = inner.tasks.clone();
        self.every(inner.services.config.usage_flush_interval, move || {
            let flushing = flush_in(&tasks, &services);
            async move {
                if let Err(error) = flushing.await {
                    tracing::error!(%error, "usage not stored");
                }
            }
        });
        let gateway = Arc::downgrade(&self.inner);
        self.every(housekeeping::EVERY, move || {
            if let Some(inner) = gateway.upgrade() {
                inner.keep_house();
            }
            futures::future::ready(())
        });
        let gateway = Arc::downgrade(&self.inner);
        self.every(inner.services.config.cleanup_interval, move || {
            let inner = gateway.upgrade();
            async move {
                if let Some(inner) = inner {
                    inner.sweep().await;
                }
            }
        });
    }

    fn run_until_closed(&self, work: impl Future<Output = ()> + Send + 'static) {
        let closing = self.inner.closing.clone();
        self.inner.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = work => {}
                    () = closing.cancelled() => {}
                }
            },
            &self.inner.services.runtime,
        );
    }

    fn every<F: Future<Output = ()> + Send>(
        &self,
        interval: Duration,
        mut act: impl FnMut() -> F + Send + 'static,
    ) {
        let clock = Arc::clone(&self.inner.services.clock);
        self.run_until_closed(async move {
            loop {
                clock.sleep(interval).await;
                act().await;
            }
        });
    }

    /// What is held in memory of people and chats.
    pub fn remembered(&self) -> Remembered {
        self.inner.remembered()
    }

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

    /// The same for a request that is known by a correlation id already: the first of its messages goes on under it.
    pub async fn receive_as(
        &self,
        correlation_id: Option<CorrelationId>,
        messages: Vec<IncomingMessage>,
        tier: Option<AccessTier>,
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
            .spawn(async move { gateway.accept(correlation_id, messages, tier, places).await });
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
        mut correlation_id: Option<CorrelationId>,
        messages: Vec<IncomingMessage>,
        tier: Option<AccessTier>,
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
                correlation_id: correlation_id
                    .take()
                    .unwrap_or_else(|| CorrelationId::new(now, &*services.random)),
                tier_if_new: tier.unwrap_or(services.config.default_tier),
                received_at: now,
            })
            .collect();
        let ids: Vec<CorrelationId> = entries.iter().map(|entry| entry.correlation_id).collect();
        let accepted = services.store.accept(entries).await?;
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
                    self.admit(entry);
                    receipt
                }
            });
        }
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
    fn admit(&self, entry: OpenEntry) {
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
                    inner
                        .admission
                        .spawn(async move { commands::run(&services, &admission, &entry, command).await });
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

    /// Forgets what nobody needs any more. Call it now and then.
    fn keep_house(&self) {
        let services = &self.services;
        services.budget.forget_idle();
        services.dispatcher.forget_idle();
        services.feeds.sweep();
        services.outbox.shrink();
        self.admission.shrink();
        {
            let now = services.clock.monotonic();
            let mut notices = self.notices.lock();
            notices
                .retain(|_, told| now.saturating_since(*told) < services.config.suspension_notice_interval);
            shrink(&mut notices);
        }
        tracing::debug!(remembered = ?self.remembered().tables(), "forgot what is idle");
    }

    fn remembered(&self) -> Remembered {
        let services = &self.services;
        let (running, waiting) = self.admission.held();
        let (chats, room_for_chats) = services.dispatcher.remembered_chats();
        let held = |entries, room| Held { entries, room };
        Remembered {
            accounts: held(services.budget.loaded_accounts(), services.budget.capacity()),
            paced_chats: held(chats, room_for_chats),
            feeds: held(services.feeds.len(), services.feeds.capacity()),
            outbox_lanes: services.outbox.held(),
            running,
            waiting,
            notices: Held::of(&self.notices.lock()),
        }
    }

    async fn sweep(&self) {
        loop {
            let now = self.services.clock.now();
            let swept = self
                .services
                .store
                .sweep(Sweep {
                    now,
                    closed_before: now - REMEMBER_CLOSED,
                    history_before: now - self.services.config.history_retention,
                    limit: SWEEP_ROWS,
                })
                .await;
            let swept = match swept {
                Ok(swept) => swept,
                Err(error) => {
                    tracing::warn!(%error, "clean-up did not run");
                    return;
                }
            };
            for session in &swept.sessions {
                self.services.session_events.publish(None, || expired(session));
                if self.services.hooks.has(HookName::OnSessionEnd) {
                    let mut context = HookContext::OnSessionEnd {
                        tenant: session.id.tenant().clone(),
                        session: session.id.clone(),
                        generation: session.generation,
                        reason: SessionEndReason::Expired,
                    };
                    // The tier is not at hand here; a hook that asks for more than the lowest does not run.
                    self.services
                        .hooks
                        .dispatch(HookName::OnSessionEnd, &mut context, AccessTier::Free, None)
                        .await;
                }
            }
            if !swept.more {
                return;
            }
        }
    }
}

/// Stores usage in a task of its own: who asked for it, or the server, may go away meanwhile.
fn flush_in(
    tasks: &TaskTracker,
    services: &Arc<Services>,
) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
    let own = Arc::clone(services);
    let flushing = async move { own.purse.flush().await };
    to_its_end(tasks.spawn_on(flushing, &services.runtime))
}

async fn to_its_end(work: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    work.await.unwrap_or_else(|error| {
        Err(StoreError::Unknown {
            reason: error.to_string(),
        })
    })
}

/// The event of a session that is past its time.
pub(crate) fn expired(session: &TenantSession) -> SessionExpired {
    SessionExpired {
        session_id: session.id.clone(),
        tenant_id: session.id.tenant().clone(),
        generation: session.generation,
        last_activity_at: session.last_activity_at,
    }
}
