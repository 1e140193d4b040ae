//! From the inbox into the pool, and what becomes of a turn whose worker does not come back.
//!
//! Accepted entries wait in a room of their own, in the order the pool's scheduler would serve them: by priority, tenants
//! in turn, one session at a time. They enter the pool as its level falls, so that waiting outside is as fair as
//! waiting inside. Nothing here is the truth: what waits is in the store, and a restart finds it there.

use crate::error::Refusal;
use crate::housekeeping::{Held, shrink};
use crate::job::{Job, JobEnd, TurnJob};
use crate::ledger::row_of_lost_call;
use crate::ports::{CommitTurn, EntryId, OpenEntry, Outcome, ShownPart, StoreError};
use crate::purse::Purse;
use crate::queue::WaitingEntry;
use crate::services::Services;
use crate::turn::parts_in_place;
use crate::words;
use openclaw_concurrency::{
    Admission as Place, Canceller, Dequeued, EntryId as WaitingId, Priority, PriorityScheduler, RequestError,
    Scheduled, Submission, Ticket, WorkerPool,
};
use openclaw_core::{CodedError, Monotonic, TenantId, TokenUsage};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pool the gateway works with.
pub type TurnPool = WorkerPool<Job, JobEnd>;

/// After a store failure, an entry, or its end, is tried again this much later.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// Chats that are shown a typing indicator while they wait, at most, per round.
const TYPING_AT_ONCE: usize = 64;

/// The waiting room and its feeder.
#[derive(Debug)]
pub(crate) struct Admission {
    services: Arc<Services>,
    pool: Arc<TurnPool>,
    /// Guards the waiting room; never held across an await.
    room: Mutex<Room>,
    /// Entries that were accepted and have no end yet.
    open: AtomicUsize,
    /// Told when something waits that did not fit.
    waiting: Notify,
    closing: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Room {
    scheduler: PriorityScheduler<OpenEntry>,
    /// Whose turn can be stopped, and how.
    running: HashMap<Arc<str>, (EntryId, Running)>,
    /// What waits for each tenant, to be stopped with it.
    waiting: HashMap<Arc<str>, Vec<(WaitingId, EntryId)>>,
}

/// A turn that is no longer among those that wait.
#[derive(Debug)]
enum Running {
    /// On its way into the pool, or to be put back because the store failed.
    Between {
        /// Whether its person wants it stopped.
        stopped: bool,
    },
    /// In the pool.
    InPool(Canceller),
}

/// Places among the open entries, taken before anybody knows how many will be needed. Those not used are given back
/// on drop.
#[derive(Debug)]
pub(crate) struct OpenPlaces {
    admission: Arc<Admission>,
    left: usize,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new(services: Arc<Services>, pool: Arc<TurnPool>, starvation_limit: Duration) -> Arc<Self> {
        let room = Room {
            scheduler: PriorityScheduler::new(services.config.max_open_entries, starvation_limit),
            running: HashMap::new(),
            waiting: HashMap::new(),
        };
        Arc::new(Self {
            services,
            pool,
            room: Mutex::new(room),
            open: AtomicUsize::new(0),
            waiting: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// From now on nothing is put back to wait: what has no end stays in the inbox for the next start.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(crate) fn open_entries(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Tenants with a turn under way, and tenants with messages that wait.
    pub(crate) fn held(&self) -> (Held, Held) {
        let room = self.room.lock();
        (Held::of(&room.running), Held::of(&room.waiting))
    }

    /// Gives back the room of tenants that are gone.
    pub(crate) fn shrink(&self) {
        let mut room = self.room.lock();
        shrink(&mut room.running);
        shrink(&mut room.waiting);
    }

    pub(crate) fn waiting_entries(&self) -> usize {
        self.room.lock().scheduler.len()
    }

    /// Takes places for entries that may be opened, unless that would be more than `limit`.
    pub(crate) fn try_open(self: &Arc<Self>, count: usize, limit: usize) -> Option<OpenPlaces> {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                open.checked_add(count).filter(|open| *open <= limit)
            })
            .ok()?;
        Some(OpenPlaces {
            admission: Arc::clone(self),
            left: count,
        })
    }

    pub(crate) fn opened(&self, count: usize) {
        self.open.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) {
        // Saturating: an entry that was ended twice must not wrap the count.
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| open.checked_sub(1))
            .ok();
    }

    /// Runs a piece of work that ends an entry, on the server's own threads, to its end.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        self.tasks.spawn_on(work, &self.services.runtime);
    }

    /// The same, for a caller that waits for its end.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_on(work, &self.services.runtime)
    }

    /// Lets an entry wait for a worker. Its age counts from when it was accepted, its deadline from now.
    pub(crate) fn enter(self: &Arc<Self>, entry: OpenEntry) {
        let tenant = entry.tenant.tenant_id.clone();
        let id = entry.id;
        let submission = self.submission(entry);
        let key = Arc::clone(&submission.tenant);
        let waits_as = Arc::clone(&key);
        let refused = {
            let mut room = self.room.lock();
            match room.scheduler.enqueue(submission) {
                Ok(scheduled) => {
                    room.waiting.entry(key).or_default().push((scheduled, id));
                    None
                }
                Err(rejected) => Some(rejected.submission.request),
            }
        };
        if let Some(entry) = refused {
            // The count of open entries keeps the room from filling; this is its second line.
            let admission = Arc::clone(self);
            self.spawn(async move { admission.refuse_late(entry).await });
            return;
        }
        self.feed();
        let (place, waits) = {
            let room = self.room.lock();
            (room.scheduler.len(), room.waiting.contains_key(&waits_as))
        };
        if waits && place > 0 {
            self.services.show_waiting(&tenant, id, place);
        }
    }

    fn submission(&self, entry: OpenEntry) -> Submission<OpenEntry> {
        let now = self.services.clock.monotonic();
        let age = self.services.clock.now().saturating_since(entry.accepted_at);
        let key = key_of(&entry.tenant.tenant_id);
        Submission {
            priority: Priority::for_tier(entry.tenant.tier),
            tenant: Arc::clone(&key),
            exclusive: Some(key),
            accepted_at: now - age,
            deadline: Some(now + self.services.config.admission_deadline),
            correlation_id: Some(entry.correlation_id),
            request: entry,
        }
    }

    /// Moves entries into the pool while it takes them.
    pub(crate) fn feed(self: &Arc<Self>) {
        loop {
            // In a paused pool an entry would wait without its deadline.
            if self.pool.is_paused() || !self.room.lock().scheduler.has_ready() {
                return;
            }
            // Asking first: a refusal would be counted and published as one, and nobody has been refused.
            if !self.pool.would_admit() {
                self.waiting.notify_one();
                return;
            }
            let Ok(place) = self.pool.admit() else {
                self.waiting.notify_one();
                return;
            };
            let now = self.services.clock.monotonic();
            let next = {
                let mut room = self.room.lock();
                let next = room.scheduler.dequeue(now);
                match &next {
                    Some(Dequeued::Ready(scheduled)) => {
                        room.left(scheduled);
                        // In the same step: whoever stops the tenant finds the turn in one place or the other.
                        let key = Arc::clone(&scheduled.submission.tenant);
                        let entry = scheduled.submission.request.id;
                        room.running
                            .insert(key, (entry, Running::Between { stopped: false }));
                    }
                    Some(Dequeued::Expired(scheduled)) => room.left(scheduled),
                    None => {}
                }
                next
            };
            match next {
                Some(Dequeued::Ready(scheduled)) => self.start(scheduled, place),
                Some(Dequeued::Expired(scheduled)) => {
                    let admission = Arc::clone(self);
                    let entry = scheduled.submission.request;
                    self.spawn(async move { admission.refuse_late(entry).await });
                }
                None => return,
            }
        }
    }

    /// Feeds whenever the pool has room again. Runs until it is dropped.
    pub(crate) async fn keep_feeding(self: Arc<Self>) {
        loop {
            self.waiting.notified().await;
            while !self.pool.is_paused() && self.room.lock().scheduler.has_ready() {
                if self.pool.admissible().await.is_err() {
                    // Shutting down: what waits stays in the inbox.
                    return;
                }
                self.feed();
                tokio::task::yield_now().await;
            }
        }
    }

    fn start(self: &Arc<Self>, scheduled: Scheduled<OpenEntry>, place: Place<Job, JobEnd>) {
        let Scheduled { id, submission } = scheduled;
        let key = Arc::clone(&submission.tenant);
        let entry_id = submission.request.id;
        let mut job = None;
        let submission = Submission {
            deadline: None,
            ..submission
        }
        .map(|entry| {
            let turn = TurnJob::new(entry);
            job = Some(turn.clone());
            Job::Turn(turn)
        });
        let ticket = place.submit(submission);
        let canceller = ticket.canceller();
        let before = self
            .room
            .lock()
            .running
            .insert(Arc::clone(&key), (entry_id, Running::InPool(canceller.clone())));
        if matches!(before, Some((_, Running::Between { stopped: true }))) {
            canceller.cancel();
        }
        let admission = Arc::clone(self);
        if let Some(job) = job {
            self.spawn(async move { admission.supervise(key, id, job, ticket).await });
        }
    }

    /// Waits for a turn's worker and makes sure that the entry has an end, or is run again.
    async fn supervise(self: Arc<Self>, key: Arc<str>, id: WaitingId, job: TurnJob, ticket: Ticket<JobEnd>) {
        let ended = match ticket.await {
            Ok(JobEnd::Ended) => true,
            Ok(JobEnd::NotStored) => {
                if self.put_back(&key, id, &job).await {
                    return self.feed();
                }
                false
            }
            Err(RequestError::ShuttingDown) => {
                self.hand_back(&job).await;
                false
            }
            Err(RequestError::Cancelled) => {
                self.end(&job, Outcome::Stopped, None).await;
                true
            }
            Err(error @ RequestError::Dropped) => {
                let stored = self
                    .end(&job, Outcome::Refused, Some(&Refusal::Worker(error)))
                    .await;
                job.progress.was_dropped(stored);
                true
            }
            Err(error) => {
                tracing::error!(%error, correlation_id = %job.entry.correlation_id, "turn ended from outside");
                self.end(&job, Outcome::Failed, Some(&Refusal::Worker(error)))
                    .await;
                true
            }
        };
        {
            let mut room = self.room.lock();
            room.running.remove(&key);
            room.scheduler.release(&key);
        }
        if ended {
            self.ended();
        }
        self.feed();
    }

    /// Lets a turn that could not be stored wait a moment and puts its entry back, before everything that came after
    /// it: the session stays taken meanwhile. `false` when it is not to be run again.
    async fn put_back(self: &Arc<Self>, key: &Arc<str>, id: WaitingId, job: &TurnJob) -> bool {
        self.room.lock().running.insert(
            Arc::clone(key),
            (job.entry.id, Running::Between { stopped: false }),
        );
        self.pause().await;
        if self.is_closing() {
            return false;
        }
        let mut entry = OpenEntry::clone(&job.entry);
        let shown = job.progress.read(|progress| progress.shown.clone());
        if !shown.is_empty() {
            // What the turn has shown is edited by the next one, not sent anew.
            entry.shown = shown
                .into_iter()
                .map(|(part, message_id)| ShownPart { part, message_id })
                .collect();
        }
        let submission = self.submission(entry);
        let stopped = {
            let mut room = self.room.lock();
            let before = room.running.remove(key);
            let id = room.scheduler.requeue_front(Scheduled { id, submission });
            if matches!(before, Some((_, Running::Between { stopped: true }))) {
                room.scheduler.remove(id)
            } else {
                let waiting = room.waiting.entry(Arc::clone(key)).or_default();
                waiting.push((id, job.entry.id));
                None
            }
        };
        if let Some(scheduled) = stopped {
            let admission = Arc::clone(self);
            let entry = scheduled.submission.request;
            self.spawn(async move { admission.close_entry(&entry, Outcome::Stopped, "", None).await });
        }
        true
    }

    /// Waits before the store is asked again, not longer than until the shutdown begins.
    async fn pause(&self) {
        tokio::select! {
            () = self.services.clock.sleep(STORE_RETRY) => {}
            () = self.closing.cancelled() => {}
        }
    }

    /// Ends an entry that no turn is running for, however long the store refuses. At a shutdown it stays open, for the
    /// next start: `false`.
    pub(crate) async fn close_entry(
        &self,
        entry: &OpenEntry,
        outcome: Outcome,
        words: &str,
        refusal: Option<&Refusal>,
    ) -> bool {
        let stored = self.close_until_stored(entry, outcome, words, refusal).await;
        self.ended();
        stored
    }

    async fn close_until_stored(
        &self,
        entry: &OpenEntry,
        outcome: Outcome,
        words: &str,
        refusal: Option<&Refusal>,
    ) -> bool {
        loop {
            match self.services.close_entry(entry, outcome, words, refusal).await {
                Ok(()) => return true,
                Err(error @ StoreError::Unavailable { .. }) if !self.is_closing() => {
                    tracing::warn!(%error, entry = entry.id.0, "the end of an entry is not stored yet");
                    self.pause().await;
                }
                Err(error) => {
                    lost(entry.id, &error);
                    return false;
                }
            }
        }
    }

    /// Ends a turn whose worker is gone, with words in the place of what it has shown. Whether its end is in the store.
    async fn end(&self, job: &TurnJob, outcome: Outcome, refusal: Option<&Refusal>) -> bool {
        let services = &self.services;
        let entry = &job.entry;
        let text = refusal.map(|refusal| refusal.user_message(entry.message.language()).into_owned());
        // What is on its way into the chat must be known before its place is taken. A platform's call takes seconds at most.
        let at_rest = Arc::clone(&job.progress).acting().await;
        let ended = job.progress.end();
        drop(at_rest);
        let Some(ending) = ended else {
            // It had not begun, or was just being ended by its worker: closing what has an end changes nothing.
            let words = text.unwrap_or_default();
            return self.close_until_stored(entry, outcome, &words, refusal).await;
        };
        let spent = match (&ending.reservation, &ending.asked) {
            (Some(reservation), Some(model)) => {
                let usage = TokenUsage {
                    input_tokens: reservation.input_estimate(),
                    output_tokens: ending.said.tokens(),
                    estimated: true,
                };
                let tenant = &entry.tenant;
                let now = services.clock.now();
                vec![row_of_lost_call(
                    model,
                    usage,
                    &tenant.tenant_id,
                    tenant.tier,
                    now,
                )]
            }
            (Some(_) | None, _) => Vec::new(),
        };
        let settlement = ending.reservation.map(|reservation| {
            let spent = reservation.input_estimate().saturating_add(ending.said.tokens());
            reservation.settle(spent)
        });
        let outbox = match (&text, services.has_chat(&entry.tenant.tenant_id)) {
            (Some(text), true) => parts_in_place(entry, &ending.shown, text),
            (Some(_) | None, _) => Vec::new(),
        };
        let commit = CommitTurn {
            entry: entry.id,
            fence: ending.fence,
            now: services.clock.now(),
            outcome,
            history: Vec::new(),
            usage: settlement.as_ref().map(Purse::deltas).unwrap_or_default(),
            spent,
            outbox,
            session_ttl: services.config.session_ttl,
        };
        let committed = loop {
            match services.store.commit_turn(commit.clone()).await {
                Err(error @ StoreError::Unavailable { .. }) if !self.is_closing() => {
                    tracing::warn!(%error, entry = entry.id.0, "the end of a turn is not stored yet");
                    self.pause().await;
                }
                committed => break committed,
            }
        };
        match committed {
            Ok(parts) => {
                if let Some(settlement) = &settlement {
                    services.purse.stored(settlement);
                }
                let text = text.unwrap_or_default();
                services.tell_refused(entry, &text, refusal);
                services.outbox.deliver(parts).await;
                // The words stand in the first message shown; the others are no longer part of anything.
                if !text.is_empty() {
                    let mut shown = ending.shown;
                    shown.sort_by_key(|(part, _)| *part);
                    services
                        .remove(entry, shown.into_iter().skip(1).map(|(_, id)| id).collect())
                        .await;
                }
                true
            }
            Err(error) => {
                if let Some(settlement) = &settlement {
                    services.purse.store_later(settlement, commit.spent);
                }
                // Stale: another turn has ended it.
                let ended = matches!(error, StoreError::Stale);
                if !ended {
                    lost(entry.id, &error);
                }
                ended
            }
        }
    }

    async fn hand_back(&self, job: &TurnJob) {
        if let Some(ending) = job.progress.end() {
            let now = self.services.clock.now();
            match self.services.store.release(job.entry.id, ending.fence, now).await {
                Ok(()) | Err(StoreError::Stale) => {}
                Err(error) => lost(job.entry.id, &error),
            }
        }
    }

    async fn refuse_late(&self, entry: OpenEntry) {
        let paused = self.pool.is_paused();
        let words = if paused {
            words::paused(entry.message.language())
        } else {
            words::too_busy(entry.message.language())
        };
        tracing::warn!(correlation_id = %entry.correlation_id, paused, "no place in the pool within the admission deadline");
        self.close_entry(&entry, Outcome::Refused, words, None).await;
    }

    /// Refuses what has waited past its deadline. Call it about once a second.
    pub(crate) fn expire(self: &Arc<Self>) {
        let now = self.services.clock.monotonic();
        let late = {
            let mut room = self.room.lock();
            let late = room.scheduler.expire(now);
            for scheduled in &late {
                room.left(scheduled);
            }
            late
        };
        for scheduled in late {
            let admission = Arc::clone(self);
            let entry = scheduled.submission.request;
            self.spawn(async move { admission.refuse_late(entry).await });
        }
    }

    /// Stops a tenant's turn and ends what waits behind it; of these only what was accepted before `command`, where one
    /// says so: what its person wrote after it is to be answered. Returns whether there was anything. Dropping the future
    /// abandons the wait, not the ends.
    pub(crate) async fn stop(self: &Arc<Self>, tenant: &TenantId, command: Option<EntryId>) -> bool {
        let key = key_of(tenant);
        let is_meant = |entry: EntryId| command.is_none_or(|command| entry < command);
        let (canceller, is_running, waiting) = {
            let mut room = self.room.lock();
            let room = &mut *room;
            let mut waiting = Vec::new();
            if let Some(ids) = room.waiting.get_mut(&key) {
                ids.retain(|(id, entry)| {
                    if is_meant(*entry) {
                        waiting.extend(room.scheduler.remove(*id));
                    }
                    !is_meant(*entry)
                });
                if ids.is_empty() {
                    room.waiting.remove(&key);
                }
            }
            let running = room.running.get_mut(&key).filter(|(entry, _)| is_meant(*entry));
            let is_running = running.is_some();
            let canceller = match running {
                Some((_, Running::InPool(canceller))) => Some(canceller.clone()),
                Some((_, Running::Between { stopped })) => {
                    *stopped = true;
                    None
                }
                None => None,
            };
            (canceller, is_running, waiting)
        };
        let anything = is_running || !waiting.is_empty();
        if let Some(canceller) = canceller {
            canceller.cancel();
        }
        let ends: Vec<_> = waiting
            .into_iter()
            .map(|scheduled| {
                let admission = Arc::clone(self);
                let entry = scheduled.submission.request;
                self.tasks.spawn_on(
                    async move { admission.close_entry(&entry, Outcome::Stopped, "", None).await },
                    &self.services.runtime,
                )
            })
            .collect();
        futures::future::join_all(ends).await;
        anything
    }

    /// Looks at everything in the waiting room, in no order. `look` runs under the room's lock and must be quick.
    pub(crate) fn waiting<X>(&self, mut look: impl FnMut(&OpenEntry, &WaitingEntry<'_>) -> X) -> Vec<X> {
        let room = self.room.lock();
        room.scheduler
            .queued()
            .map(|queued| look(&queued.submission.request, &WaitingEntry::of(&queued)))
            .collect()
    }

    /// Takes the first entry out of the waiting room that `choose` gives something for. Whoever has it must end it.
    pub(crate) fn take_out<X>(
        &self,
        mut choose: impl FnMut(&OpenEntry, &WaitingEntry<'_>) -> Option<X>,
    ) -> Option<(X, OpenEntry)> {
        let mut room = self.room.lock();
        let (id, chosen) = room.scheduler.queued().find_map(|queued| {
            let chosen = choose(&queued.submission.request, &WaitingEntry::of(&queued))?;
            Some((queued.id, chosen))
        })?;
        let scheduled = room.scheduler.remove(id)?;
        room.left(&scheduled);
        Some((chosen, scheduled.submission.request))
    }

    /// Shows the people who wait that they are not forgotten. Call it every few seconds.
    pub(crate) fn show_typing(self: &Arc<Self>) {
        let keys: Vec<Arc<str>> = self
            .room
            .lock()
            .waiting
            .keys()
            .take(TYPING_AT_ONCE)
            .cloned()
            .collect();
        for tenant in keys.iter().filter_map(|key| key.parse::<TenantId>().ok()) {
            let services = Arc::clone(&self.services);
            self.spawn(async move {
                services
                    .dispatcher
                    .typing(&tenant, openclaw_core::ChatKind::Private)
                    .await
                    .ok();
            });
        }
    }

    /// Ends when nothing that ends an entry is under way any more.
    pub(crate) async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How long the entry that waits longest has waited for a worker.
    pub(crate) fn oldest_waiting(&self) -> Option<Duration> {
        let now = self.services.clock.monotonic();
        self.room
            .lock()
            .scheduler
            .oldest_ready()
            .map(|since: Monotonic| now.saturating_since(since))
    }
}

// === impl OpenPlaces ===

impl OpenPlaces {
    /// An entry was opened in one of the places; [`Admission::ended`] gives it back.
    pub(crate) fn use_one(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

impl Drop for OpenPlaces {
    fn drop(&mut self) {
        for _ in 0..self.left {
            self.admission.ended();
        }
    }
}

// === impl Room ===

impl Room {
    /// An entry has left the scheduler.
    fn left(&mut self, scheduled: &Scheduled<OpenEntry>) {
        let key = &scheduled.submission.tenant;
        if let Some(ids) = self.waiting.get_mut(key) {
            ids.retain(|(id, _)| *id != scheduled.id);
            if ids.is_empty() {
                self.waiting.remove(key);
            }
        }
    }
}

fn key_of(tenant: &TenantId) -> Arc<str> {
    Arc::from(tenant.to_string())
}

fn lost(entry: EntryId, error: &StoreError) {
    // The entry is still open in the store and is taken up again at the next start.
    tracing::error!(%error, entry = entry.0, "the end of an entry was not stored");
}
