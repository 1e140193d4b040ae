//! What becomes of a turn once it is in the pool, and the ends of entries, stored however long the store refuses.

use super::{Admission, Fate, Running};
use crate::error::Refusal;
use crate::job::{JobEnd, TurnJob};
use crate::ledger::row_of_lost_call;
use crate::ports::{CommitTurn, EntryId, OpenEntry, Outcome, ShownPart, StoreError};
use crate::purse::Purse;
use crate::recall::Saying;
use crate::turn::parts_in_place;
use crate::unanswered;
use openclaw_concurrency::{EntryId as WaitingId, RequestError, Scheduled, Ticket};
use openclaw_core::{CodedError, TokenUsage};
use std::sync::Arc;
use std::time::Duration;

/// After a store failure, an entry, or its end, is tried again this much later.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// How long the stop of the server waits for what a turn was just showing or storing. Much less than a stop may take.
const LAST_STEP: Duration = Duration::from_secs(1);

// === impl Admission ===

impl Admission {
    /// Waits for a turn's worker and makes sure that the entry has an end, or is run again.
    pub(super) async fn supervise(
        self: Arc<Self>,
        key: Arc<str>,
        id: WaitingId,
        job: TurnJob,
        ticket: Ticket<JobEnd>,
    ) {
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
        self.room
            .lock()
            .running
            .insert(Arc::clone(key), (job.entry.id, Running::Between(Fate::On)));
        loop {
            self.pause().await;
            // At the stop, too: the next start would charge the turn once more.
            let given_back = self.give_back(job).await;
            if self.is_closing() {
                return false;
            }
            if given_back {
                break;
            }
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
        let (fate, taken) = {
            let mut room = self.room.lock();
            let fate = match room.running.remove(key) {
                Some((_, Running::Between(fate))) => fate,
                Some((_, Running::InPool(_))) | None => Fate::On,
            };
            let id = room.scheduler.requeue_front(Scheduled { id, submission });
            if matches!(fate, Fate::On) {
                let waiting = room.waiting.entry(Arc::clone(key)).or_default();
                waiting.push((id, job.entry.id));
                (fate, None)
            } else {
                (fate, room.scheduler.remove(id))
            }
        };
        let Some(Scheduled { submission, .. }) = taken else {
            return true;
        };
        let admission = Arc::clone(self);
        match fate {
            Fate::Dropped(told) => {
                let item = self.item_of(&submission);
                self.spawn(async move { admission.end_dropped(item, submission.request, told).await });
            }
            Fate::Stopped | Fate::On => {
                let entry = submission.request;
                self.spawn(async move { admission.close_entry(&entry, Outcome::Stopped, "", None).await });
            }
        }
        true
    }

    /// Gives a turn back whose end the store refused. What it has cost is stored without it, and first: its reservation,
    /// which is gone then, must be charged neither beside that nor in its place. `false` when the store still refuses.
    async fn give_back(&self, job: &TurnJob) -> bool {
        let services = &self.services;
        let Some(fence) = job.progress.read(|progress| progress.refused) else {
            return true;
        };
        let given_back = match services.purse.flush().await {
            Ok(()) => {
                let now = services.clock.now();
                services.store.release(job.entry.id, fence, now).await
            }
            Err(error) => Err(error),
        };
        match given_back {
            Ok(()) | Err(StoreError::Stale) => {
                job.progress.update(|progress| progress.refused = None);
                true
            }
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(%error, entry = job.entry.id.0, "a turn is not given back yet");
                false
            }
            Err(error) => {
                lost(job.entry.id, &error);
                true
            }
        }
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
            // What its worker could not store is settled already: closing would charge its reservation beside that.
            while !self.give_back(job).await && !self.is_closing() {
                self.pause().await;
            }
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
        let now = services.clock.now();
        let said = unanswered::remembered(entry, outcome, text.as_deref().unwrap_or_default());
        let saying = Saying {
            tenant: entry.key,
            entry: entry.id,
            generation: ending.generation,
            at: now,
        };
        let commit = CommitTurn {
            entry: entry.id,
            fence: ending.fence,
            now,
            outcome,
            history: services.recall.to_store(&said),
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
                services.recall.keep(saying, said);
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
                if matches!(error, StoreError::Stale) {
                    // Another turn has ended it.
                    return true;
                }
                // At the stop, too: the next start would charge the turn once more.
                job.progress
                    .update(|progress| progress.refused = Some(ending.fence));
                self.give_back(job).await;
                lost(entry.id, &error);
                false
            }
        }
    }

    /// Gives a turn back that the stop of the server has interrupted.
    async fn hand_back(&self, job: &TurnJob) {
        // The next start must know what is on its way into the chat, and nobody yet knows of an end on its way into the
        // store whether it arrives.
        tokio::select! {
            biased;
            at_rest = Arc::clone(&job.progress).acting() => drop(at_rest),
            () = self.services.clock.sleep(LAST_STEP) => {}
        }
        let Some(ending) = job.progress.end() else {
            // If the store refused the end, what it has cost is settled, and the next start would charge it once more.
            self.give_back(job).await;
            return;
        };
        let now = self.services.clock.now();
        match self.services.store.release(job.entry.id, ending.fence, now).await {
            Ok(()) | Err(StoreError::Stale) => {}
            Err(error) => lost(job.entry.id, &error),
        }
    }
}

fn lost(entry: EntryId, error: &StoreError) {
    // The entry is still open in the store and is taken up again at the next start.
    tracing::error!(%error, entry = entry.0, "the end of an entry was not stored");
}
