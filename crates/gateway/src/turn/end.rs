//! The end of a turn: written once, with what is remembered of it and what is still to be delivered.

use super::{Answer, Begun, TurnRunner};
use crate::job::TurnProgress;
use crate::ports::{CommitTurn, NewHistoryMessage, NewOutboxPart, OpenEntry, Outcome, StoreError};
use crate::purse::Purse;
use crate::recall::Saying;
use crate::reply::{Address, Closing};
use crate::step::Step;
use crate::unanswered;
use openclaw_ai_fabric::estimate_tokens;
use openclaw_core::{ChatMessage, Role, TextFormat, TokenUsage};
use std::sync::Arc;

// === impl TurnRunner ===

impl TurnRunner {
    /// Words that take the place of whatever was shown.
    pub(super) fn words_in_place(&self, entry: &OpenEntry, progress: &TurnProgress, text: String) -> Closing {
        Closing {
            outbox: progress.read(|progress| parts_in_place(entry, &progress.shown, &text)),
            text,
            ..Closing::default()
        }
    }

    /// Writes the turn's end and hands over what is to be delivered. Runs to its end on the server's own threads, also
    /// when the worker is killed meanwhile: a result that is stored must be delivered.
    pub(super) async fn commit(
        &self,
        entry: &Arc<OpenEntry>,
        plan: Begun,
        progress: &Arc<TurnProgress>,
        answer: Answer,
    ) -> Result<(), StoreError> {
        // Held until the end is stored, remembered and on its way: whoever ends a turn whose worker is gone waits for it,
        // and so does the next turn of the session then. Words of theirs could come first otherwise, and the next turn would
        // be told nothing of this one where conversations are in memory only.
        let at_rest = Arc::clone(progress).acting().await;
        let Some(ending) = progress.end() else {
            return Ok(());
        };
        let services = Arc::clone(&self.services);
        let entry = Arc::clone(entry);
        let progress = Arc::clone(progress);
        let question = plan
            .request
            .messages
            .iter()
            .rfind(|message| message.role == Role::User)
            .cloned();
        let committing = self.services.runtime.spawn(async move {
            let settlement = ending
                .reservation
                .map(|reservation| reservation.settle(answer.usage.total()));
            let now = services.clock.now();
            let said = remembered_turn(&entry, question, &answer);
            let saying = Saying {
                tenant: entry.key,
                entry: entry.id,
                generation: ending.generation,
                at: now,
            };
            let committed = services
                .store
                .commit_turn(CommitTurn {
                    entry: entry.id,
                    fence: ending.fence,
                    now,
                    outcome: answer.outcome,
                    history: services.recall.to_store(&said),
                    usage: settlement.as_ref().map(Purse::deltas).unwrap_or_default(),
                    spent: answer.spent.clone(),
                    outbox: answer.closing.outbox,
                    session_ttl: services.config.session_ttl,
                })
                .await;
            match committed {
                Ok(parts) => {
                    if let Some(settlement) = &settlement {
                        services.purse.stored(settlement);
                    }
                    services.recall.keep(saying, said);
                    services.tell_end(
                        &entry,
                        &answer.closing.text,
                        answer.finish_reason,
                        answer.usage,
                        answer.refusal.as_ref(),
                    );
                    let delivered = services.outbox.deliver(parts);
                    drop(at_rest);
                    delivered.await;
                    services.remove(&entry, answer.closing.surplus).await;
                    Ok(())
                }
                Err(error) => {
                    // The tokens are spent whatever the store says; they are stored with the next usage.
                    if let Some(settlement) = &settlement {
                        services.purse.store_later(settlement, answer.spent);
                    }
                    progress.update(|progress| progress.refused = Some(ending.fence));
                    if matches!(error, StoreError::Stale) {
                        Ok(())
                    } else {
                        Err(error)
                    }
                }
            }
        });
        committing.await.unwrap_or_else(|error| {
            Err(StoreError::Unknown {
                reason: error.to_string(),
            })
        })
    }
}

/// The words as parts of a reply: the first message shown is edited, the others say no more.
pub(crate) fn parts_in_place(
    entry: &OpenEntry,
    shown: &[(u32, openclaw_core::MessageId)],
    text: &str,
) -> Vec<NewOutboxPart> {
    let address = Address::of(entry);
    let first = shown.iter().min_by_key(|(part, _)| *part);
    vec![NewOutboxPart {
        part: 0,
        message: address.message(text.to_owned(), TextFormat::Plain),
        edits: first.map(|(_, id)| id.clone()),
    }]
}

/// What stays in the conversation of a turn: the question and what was answered, as far as it came; or, where nothing
/// was answered, what is remembered of such a message.
fn remembered_turn(
    entry: &OpenEntry,
    question: Option<ChatMessage>,
    answer: &Answer,
) -> Vec<NewHistoryMessage> {
    let Some(question) = question else {
        return Vec::new();
    };
    let is_answered = match answer.outcome {
        Outcome::Answered => true,
        // What was said to a tool alone leaves nothing to read.
        Outcome::Stopped => answer.said.iter().any(is_read),
        Outcome::Command
        | Outcome::Refused
        | Outcome::Cancelled
        | Outcome::Failed
        | Outcome::Expired
        | Outcome::DeadLettered
        | Outcome::Ignored => false,
    };
    if !is_answered {
        return unanswered::remembered_as(entry, question, answer.outcome, &answer.closing.text);
    }
    let question = NewHistoryMessage {
        tokens: estimate_tokens(&question.joined_text()) + 4,
        message: question,
        model: None,
        unanswered: None,
        at: Some(entry.accepted_at),
        finish_reason: None,
    };
    let mut said: Vec<_> = std::iter::once(question)
        .chain(answer.said.iter().cloned())
        .collect();
    if let Some(last) = said.iter_mut().rfind(|said| is_read(said)) {
        last.finish_reason = Some(answer.finish_reason.to_owned());
    }
    said
}

/// Whether a person has something of it to read.
fn is_read(said: &NewHistoryMessage) -> bool {
    said.message.role == Role::Assistant && !said.message.joined_text().trim().is_empty()
}

pub(super) fn remembered(step: &Step, usage: TokenUsage) -> NewHistoryMessage {
    NewHistoryMessage {
        message: step.message(),
        tokens: usage.output_tokens.max(1),
        model: step.model.clone(),
        unanswered: None,
        at: None,
        finish_reason: None,
    }
}
