//! From the inbox into the pool, and what becomes of a turn whose worker does not come back.
//!
//! Accepted entries wait in a room of their own, in the order the pool's scheduler would serve them: by priority, tenants
//! in turn, one session at a time. They enter the pool as its level falls, so that waiting outside is as fair as
//! waiting inside. Nothing here is the truth: what waits is in the store, and a restart finds it there.

mod supervise;
mod taking_out;
mod telling;

pub(crate) use self::taking_out::{Dropped, ToDrop};

use crate::housekeeping::{Held, shrink};
use crate::job::{Job, JobEnd, TurnJob};
use crate::ports::{EntryId, OpenEntry, Outcome};
use crate::queue::QueueId;
use crate::services::Services;
use crate::words;
use openclaw_concurrency::{
    Admission as Place, Canceller, Dequeued, EntryId as WaitingId, Priority, PriorityScheduler, Scheduled,
    Submission, WorkerPool,
};
use openclaw_core::{Monotonic, TenantId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pool the gateway works with.
pub type TurnPool = WorkerPool<Job, JobEnd>;

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
    Between(Fate),
    /// In the pool.
    InPool(Canceller),
}

/// What is to become of a turn that is between two places.
#[derive(Debug, Default)]
enum Fate {
    /// It goes on to the next.
    #[default]
    On,
    /// Its person wants it stopped.
    Stopped,
    /// An operator wants it out of the queue, and waits for the end of that.
    Dropped(oneshot::Sender<Option<Dropped>>),
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
        let (place, waits, own) = {
            let room = self.room.lock();
            let waiting = room.waiting.get(&waits_as);
            let own = waiting.map_or(0, |waiting| {
                waiting.iter().take_while(|(_, other)| *other != id).count()
            });
            let own = own + usize::from(room.running.contains_key(&waits_as));
            (room.scheduler.len(), waiting.is_some(), own)
        };
        if waits && place > 0 {
            // What has a place in the pool is before it. To a messenger only the room counts: a bot has few calls to spare.
            let before = if self.services.has_chat(&tenant) {
                0
            } else {
                self.waiting_in_pool()
            };
            self.show_waiting(&tenant, id, before + place, own);
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
                        room.running.insert(key, (entry, Running::Between(Fate::On)));
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
        if let Some(told) = self.dropped_meanwhile(&key) {
            drop(place);
            let item = self.item_of(&submission);
            let admission = Arc::clone(self);
            return self.spawn(async move { admission.end_dropped(item, submission.request, told).await });
        }
        let mut job = None;
        let priority = submission.priority;
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
        match before {
            Some((_, Running::Between(Fate::Stopped))) => canceller.cancel(),
            Some((_, Running::Between(Fate::Dropped(told)))) => {
                let dropped = self.drop_in_pool(QueueId::Turn(entry_id));
                self.spawn(async move {
                    // Nobody waits for it any more: it has ended all the same.
                    told.send(dropped.await).ok();
                });
            }
            Some((_, Running::Between(Fate::On) | Running::InPool(_))) | None => {}
        }
        let admission = Arc::clone(self);
        if let Some(job) = job {
            let tenant = &job.entry.tenant.tenant_id;
            // A worker that is free takes it at once; where one of its priority waits, none is.
            if !self.services.has_chat(tenant) && self.pool.queue_depth_of(priority) > 0 {
                self.show_waiting(tenant, entry_id, self.waiting_in_pool(), 0);
            }
            self.spawn(async move { admission.supervise(key, id, job, ticket).await });
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
