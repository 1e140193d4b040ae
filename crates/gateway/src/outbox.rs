//! Delivers what is written in the outbox, in order per chat, and tries again while that makes sense.
//!
//! Every chat has a lane: a queue worked off by one task that lives as long as the queue is not empty. A part that
//! waits for its retry holds back later parts of its chat and of no other. A part is in the store until it is
//! delivered or given up, so a crash at any point repeats at most the delivery that was under way.

use crate::housekeeping::{Held, shrink};
use crate::ports::{Delivery, NewOutboxPart, OutboxId, OutboxPart, StoreError, TurnStore};
use openclaw_core::{BotId, Clock, CorrelationId, MessageId, Platform, Random, TenantId};
use openclaw_messenger::{DeliveryErrorKind, DispatchError, MessageDispatcher, Urgency};
use openclaw_plugins::{HookContext, HookDispatcher, HookName};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Deliveries of one part before it is given up.
const MAX_ATTEMPTS: u32 = 20;
/// New messages of which it is unknown whether they arrived, before a part is given up: each may be a double.
const MAX_AMBIGUOUS: u32 = 2;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// After the store refused, a delivery is recorded this much later.
const RECORD_RETRY: Duration = Duration::from_secs(5);
/// How many parts may wait in memory; what does not fit stays in the store until the next start.
const MAX_WAITING: usize = 100_000;

/// The outbox of one process.
#[derive(Debug)]
pub struct Outbox {
    store: Arc<dyn TurnStore>,
    dispatcher: Arc<MessageDispatcher>,
    hooks: Arc<HookDispatcher>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    lanes: Mutex<Lanes>,
    tasks: TaskTracker,
    closing: CancellationToken,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Lanes {
    by_chat: HashMap<LaneKey, VecDeque<Waiting>>,
    waiting: usize,
}

#[derive(Debug)]
struct Waiting {
    part: OutboxPart,
    /// Told when the part was delivered, given up or put off.
    done: Option<oneshot::Sender<()>>,
}

/// A chat as a platform knows it: topics of a forum share its limits and its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LaneKey {
    platform: Platform,
    bot: BotId,
    chat: String,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    ambiguous: AtomicU64,
}

/// What the outbox did since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Parts that stand in their chat.
    pub delivered: u64,
    /// Parts given up.
    pub failed: u64,
    /// Attempts put off.
    pub retried: u64,
    /// Sends of which it is unknown whether they arrived.
    pub ambiguous: u64,
}

enum Attempt {
    Over(Delivery),
    /// The message to edit is gone: send a new one.
    SendAnew,
    Later {
        wait: Duration,
        ambiguous: bool,
    },
}

// === impl Outbox ===

impl Outbox {
    /// Delivers from `store` through `dispatcher`.
    pub fn new(
        store: Arc<dyn TurnStore>,
        dispatcher: Arc<MessageDispatcher>,
        hooks: Arc<HookDispatcher>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            dispatcher,
            hooks,
            clock,
            random,
            lanes: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            counts: Counts::default(),
        })
    }

    /// What was done since the start.
    pub fn counts(&self) -> OutboxCounts {
        OutboxCounts {
            delivered: self.counts.delivered.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
            retried: self.counts.retried.load(Ordering::Relaxed),
            ambiguous: self.counts.ambiguous.load(Ordering::Relaxed),
        }
    }

    /// Hands in parts that are in the store. Must run inside a tokio runtime. The future ends when each of them was
    /// delivered, given up or put off for the first time; dropping it changes nothing for the parts.
    pub fn deliver(self: &Arc<Self>, parts: Vec<OutboxPart>) -> impl Future<Output = ()> + Send + 'static {
        let mut outcomes = Vec::with_capacity(parts.len());
        for part in parts {
            let (done, outcome) = oneshot::channel();
            if self.enqueue(Waiting {
                part,
                done: Some(done),
            }) {
                outcomes.push(outcome);
            }
        }
        async move {
            for outcome in outcomes {
                // A sender that is gone without a word belongs to an outbox that is closing.
                outcome.await.ok();
            }
        }
    }

    /// Chats with something to be delivered.
    pub(crate) fn held(&self) -> Held {
        Held::of(&self.lanes.lock().by_chat)
    }

    /// Gives back the room of lanes that are gone.
    pub(crate) fn shrink(&self) {
        shrink(&mut self.lanes.lock().by_chat);
    }

    /// Whether something waits to be delivered to the chat; a turn then shows nothing new in it.
    pub fn is_busy(&self, tenant: &TenantId, bot: &BotId) -> bool {
        self.lanes.lock().by_chat.contains_key(&lane_key(tenant, bot))
    }

    /// Takes up everything the store still holds. Call it once at the start, before new messages are taken.
    pub async fn recover(self: &Arc<Self>) -> Result<u64, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let parts = self.store.pending_outbox(after, 500).await?;
            let Some(last) = parts.last() else {
                return Ok(count);
            };
            after = Some(last.id);
            for part in parts {
                count += 1;
                self.enqueue(Waiting { part, done: None });
            }
        }
    }

    /// Stops delivering; what waits stays in the store. Ends when no delivery is under way any more.
    pub async fn shut_down(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn enqueue(self: &Arc<Self>, waiting: Waiting) -> bool {
        let key = lane_key(&waiting.part.tenant, &waiting.part.bot);
        let mut lanes = self.lanes.lock();
        if lanes.waiting >= MAX_WAITING || self.closing.is_cancelled() {
            return false;
        }
        lanes.waiting += 1;
        let lane = lanes.by_chat.entry(key.clone());
        let is_new = matches!(lane, std::collections::hash_map::Entry::Vacant(_));
        lane.or_default().push_back(waiting);
        drop(lanes);
        if is_new {
            let outbox = Arc::clone(self);
            self.tasks.spawn(async move { outbox.work_off(key).await });
        }
        true
    }

    /// Works off one chat's lane and removes it when it is empty.
    async fn work_off(self: Arc<Self>, key: LaneKey) {
        loop {
            let next = {
                let mut lanes = self.lanes.lock();
                match lanes.by_chat.get_mut(&key).and_then(VecDeque::pop_front) {
                    Some(next) => next,
                    None => {
                        lanes.by_chat.remove(&key);
                        return;
                    }
                }
            };
            let ended = self.deliver_one(next).await;
            self.lanes.lock().waiting -= 1;
            if !ended {
                self.lanes.lock().by_chat.remove(&key);
                return;
            }
        }
    }

    /// Delivers one part, however long it takes. `false` when the outbox is closing.
    async fn deliver_one(self: &Arc<Self>, waiting: Waiting) -> bool {
        let Waiting { mut part, mut done } = waiting;
        let mut wait = part.due_at.saturating_since(self.clock.now());
        loop {
            if !wait.is_zero() {
                if let Some(done) = done.take() {
                    done.send(()).ok();
                }
                tokio::select! {
                    () = self.clock.sleep(wait) => {}
                    () = self.closing.cancelled() => return false,
                }
            }
            if self.closing.is_cancelled() {
                return false;
            }
            let attempt = self.attempt(&part).await;
            part.attempts = part.attempts.saturating_add(1);
            let delivery = match attempt {
                Attempt::SendAnew => {
                    part.part.edits = None;
                    wait = Duration::ZERO;
                    continue;
                }
                Attempt::Later {
                    wait: later,
                    ambiguous,
                } => {
                    part.ambiguous = part.ambiguous.saturating_add(u32::from(ambiguous));
                    wait = later;
                    self.put_off(&part, later, ambiguous)
                }
                Attempt::Over(delivery) => delivery,
            };
            let over = !matches!(delivery, Delivery::Retry { .. });
            match &delivery {
                Delivery::Delivered { .. } => self.counts.delivered.fetch_add(1, Ordering::Relaxed),
                Delivery::Failed { .. } => self.counts.failed.fetch_add(1, Ordering::Relaxed),
                Delivery::Retry { .. } => self.counts.retried.fetch_add(1, Ordering::Relaxed),
            };
            let delivered = match &delivery {
                Delivery::Delivered { message_id } => message_id.clone(),
                Delivery::Retry { .. } | Delivery::Failed { .. } => None,
            };
            self.record(part.id, part.correlation_id, delivery, over).await;
            if let Some(id) = delivered {
                self.after_send(&part, &id).await;
            }
            if over {
                if let Some(done) = done.take() {
                    done.send(()).ok();
                }
                return true;
            }
        }
    }

    /// Writes down what became of a part. When the store refuses, an end is written as soon as it takes writes again,
    /// so that a restart does not deliver once more; a part put off is delivered again either way.
    async fn record(
        self: &Arc<Self>,
        part: OutboxId,
        correlation_id: CorrelationId,
        delivery: Delivery,
        over: bool,
    ) {
        let now = self.clock.now();
        let Err(error) = self.store.record_delivery(part, delivery.clone(), now).await else {
            return;
        };
        tracing::warn!(%error, %correlation_id, "delivery not recorded");
        if !over || !matches!(error, StoreError::Unavailable { .. }) {
            return;
        }
        // Beside the lane: later parts of the chat need not wait for the disk.
        let outbox = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = outbox.clock.sleep(RECORD_RETRY) => {}
                    () = outbox.closing.cancelled() => {}
                }
                let now = outbox.clock.now();
                match outbox.store.record_delivery(part, delivery.clone(), now).await {
                    Err(StoreError::Unavailable { .. }) if !outbox.closing.is_cancelled() => {}
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(%error, %correlation_id, "the part is delivered once more at the next start");
                        return;
                    }
                }
            }
        });
    }

    fn put_off(&self, part: &OutboxPart, wait: Duration, ambiguous: bool) -> Delivery {
        if part.attempts >= MAX_ATTEMPTS {
            return Delivery::Failed {
                reason: format!("given up after {} attempts", part.attempts),
            };
        }
        if ambiguous {
            self.counts.ambiguous.fetch_add(1, Ordering::Relaxed);
            if part.ambiguous > MAX_AMBIGUOUS {
                return Delivery::Failed {
                    reason: "it is unknown whether the message arrived".to_owned(),
                };
            }
        }
        Delivery::Retry {
            due_at: self.clock.now() + wait,
            ambiguous,
        }
    }

    async fn attempt(&self, part: &OutboxPart) -> Attempt {
        let NewOutboxPart { message, edits, .. } = &part.part;
        let sent = match edits {
            Some(id) => self
                .dispatcher
                .edit(&part.tenant, id, message, Urgency::Final, part.correlation_id)
                .await
                .map(|()| id.clone()),
            None => {
                self.dispatcher
                    .send(&part.tenant, message, Urgency::Final, part.correlation_id)
                    .await
            }
        };
        match sent {
            Ok(id) => Attempt::Over(Delivery::Delivered { message_id: Some(id) }),
            Err(error) => self.judge(part, &error),
        }
    }

    fn judge(&self, part: &OutboxPart, error: &DispatchError) -> Attempt {
        let correlation_id = part.correlation_id;
        if let DispatchError::Throttled { retry_after, .. } = error {
            return Attempt::Later {
                wait: *retry_after,
                ambiguous: false,
            };
        }
        if let Some(delivery) = error.delivery() {
            let edits = part.part.edits.is_some();
            if edits && delivery.kind == DeliveryErrorKind::NothingToEdit {
                return Attempt::SendAnew;
            }
            if let DeliveryErrorKind::RateLimited { retry_after, .. } = delivery.kind {
                return Attempt::Later {
                    wait: retry_after.max(FIRST_RETRY),
                    ambiguous: false,
                };
            }
            if !delivery.is_permanent() {
                // An edit that is repeated changes nothing; a message that is repeated is a second message.
                let ambiguous = delivery.is_ambiguous() && !edits;
                tracing::warn!(%error, %correlation_id, attempt = part.attempts + 1, ambiguous, "delivery put off");
                return Attempt::Later {
                    wait: self.backoff(part.attempts),
                    ambiguous,
                };
            }
        } else if !error.is_permanent() {
            return Attempt::Later {
                wait: self.backoff(part.attempts),
                ambiguous: false,
            };
        }
        tracing::warn!(%error, %correlation_id, "delivery given up");
        Attempt::Over(Delivery::Failed {
            reason: error.to_string(),
        })
    }

    /// Doubles from a second to five minutes, less up to a quarter by chance.
    fn backoff(&self, attempts: u32) -> Duration {
        let full = FIRST_RETRY
            .saturating_mul(2_u32.saturating_pow(attempts.min(16)))
            .min(LONGEST_RETRY);
        full.mul_f64(1.0 - 0.25 * self.random.unit())
    }

    async fn after_send(&self, part: &OutboxPart, id: &MessageId) {
        if self.hooks.has(HookName::OnAfterSend) {
            let mut context = HookContext::OnAfterSend {
                tenant: part.tenant.clone(),
                text: part.part.message.text.clone(),
                message_id: id.clone(),
            };
            self.hooks
                .dispatch(
                    HookName::OnAfterSend,
                    &mut context,
                    part.tier,
                    Some(part.correlation_id),
                )
                .await;
        }
    }
}

fn lane_key(tenant: &TenantId, bot: &BotId) -> LaneKey {
    LaneKey {
        platform: tenant.platform(),
        bot: bot.clone(),
        chat: tenant.chat().bare().to_owned(),
    }
}
