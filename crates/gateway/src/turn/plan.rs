//! What is settled before a turn begins: the model, what it is told, and the tokens that are set aside.

use super::{Plan, STOPPED, TurnRunner};
use crate::error::Refusal;
use crate::ledger::row_of_lost_call;
use crate::ports::{BeginTurn, HistoryMessage, OpenEntry, ReservationRecord, StoreError};
use crate::purse::Want;
use crate::services::Needs;
use openclaw_ai_fabric::{ChatRequest, FREE_POOL, OUTPUT_FLOOR, estimate_tokens};
use openclaw_concurrency::WorkContext;
use openclaw_core::{ChatMessage, Role, TokenUsage};
use openclaw_session::{SizedMessage, trim_history};
use std::time::Duration;

/// How long a worker waits for a conversation to be started over; the message then waits outside.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(5);
/// Messages of the conversation that are read at most.
const MAX_HISTORY_MESSAGES: usize = 400;

// === impl TurnRunner ===

impl TurnRunner {
    /// Waits until the conversation has been started over, where its person asked for that before writing this.
    pub(super) async fn renewed(&self, entry: &OpenEntry, context: &WorkContext) -> Result<(), StoreError> {
        let services = &self.services;
        tokio::select! {
            biased;
            () = services.renewals.done_before(&entry.tenant.tenant_id, entry.id) => Ok(()),
            // The turn then ends as any other that is stopped.
            () = context.cancelled() => Ok(()),
            // Only a store that refuses takes so long, and the worker has better to do.
            () = services.clock.sleep(RENEWAL_PATIENCE) => Err(StoreError::Unavailable {
                reason: "the conversation could not be started over yet".to_owned(),
            }),
        }
    }

    /// Chooses the model, reads the conversation, and sets the tokens aside.
    pub(super) async fn plan(&self, entry: &OpenEntry) -> Result<Plan, Refusal> {
        let services = &self.services;
        let tenant = &entry.tenant;
        let asked = services.config.max_reply_tokens;
        let own = ChatMessage::text(Role::User, entry.message.text.clone());
        let own_tokens = estimate_tokens(&entry.message.text);
        let (model, chain) = services.choose(&Needs {
            model: None,
            capabilities: Vec::new(),
            tier: tenant.tier,
            input_tokens: own_tokens,
            output_tokens: asked.min(OUTPUT_FLOOR),
        })?;
        let room = model
            .model
            .context_window
            .saturating_sub(asked.min(model.model.max_output_tokens));
        if own_tokens >= room {
            return Err(Refusal::TooLong {
                needed: own_tokens,
                available: room,
            });
        }
        let limit = services.config.max_history_tokens.min(room);
        let remembered = services
            .recall
            .history(entry.key, MAX_HISTORY_MESSAGES, limit)
            .await?;
        let mut messages = Vec::with_capacity(remembered.len() + 2);
        if !services.config.system_prompt.is_empty() {
            messages.push(ChatMessage::text(
                Role::System,
                services.config.system_prompt.clone(),
            ));
        }
        let remembered = without_what_is_asked_again(remembered, &entry.message.text);
        // Where a conversation ends with its session, only the newest session's messages count.
        let newest = remembered.last().map(|message| message.generation);
        let counts = |generation| !services.config.forget_with_session || Some(generation) == newest;
        messages.extend(
            remembered
                .into_iter()
                .filter(|message| counts(message.generation))
                .map(|message| message.message),
        );
        messages.push(own);
        let messages = trimmed(messages, limit);
        let mut request = ChatRequest::new(messages, 0);
        let account = services.budget.account_for(&tenant.tenant_id);
        let want = |input| Want {
            input,
            output: asked,
            model_limit: model.model.max_output_tokens,
        };
        // A long conversation must not shut a small budget out: what does not fit is left out, oldest first.
        let reservation = loop {
            let input = services.estimator.request(&model.model.id, &request);
            match services
                .purse
                .reserve(&account, tenant.tier, want(input), entry.correlation_id)
                .await
            {
                Ok(reservation) => break reservation,
                Err(refusal @ Refusal::Budget { .. }) => {
                    let shorter = trimmed(request.messages.clone(), input / 2);
                    if shorter.len() == request.messages.len() {
                        return Err(refusal);
                    }
                    request.messages = shorter;
                }
                Err(refusal) => return Err(refusal),
            }
        };
        request.max_output_tokens = reservation.output_allowed();
        Ok(Plan {
            chain,
            model,
            request,
            reservation,
        })
    }

    pub(super) fn begin(&self, entry: &OpenEntry, plan: &Plan) -> BeginTurn {
        let now = self.services.clock.now();
        let request = TokenUsage {
            input_tokens: plan.reservation.input_estimate(),
            output_tokens: 0,
            estimated: true,
        };
        let tenant = &entry.tenant;
        BeginTurn {
            entry: entry.id,
            now,
            session_ttl: self.services.config.session_ttl,
            reservation: Some(ReservationRecord {
                account: plan.reservation.account().to_owned(),
                tokens: plan.reservation.tokens(),
                input_estimate: plan.reservation.input_estimate(),
                window_started_at: plan.reservation.window_started_at(),
                shared: plan
                    .reservation
                    .pool_window()
                    .map(|window| (FREE_POOL.to_owned(), window)),
                if_lost: row_of_lost_call(&plan.model.model, request, &tenant.tenant_id, tenant.tier, now),
            }),
            max_attempts: self.services.config.max_attempts,
        }
    }
}

/// The conversation without the last answers that were cut short and whose question is now asked again: a model would see
/// the question twice, and take its own torn answers for what was wanted. The person still reads them.
fn without_what_is_asked_again(mut remembered: Vec<HistoryMessage>, question: &str) -> Vec<HistoryMessage> {
    while let Some(entry) = remembered.last().and_then(|last| last.entry) {
        let begins = remembered
            .iter()
            .rposition(|message| message.entry != Some(entry))
            .map_or(0, |before| before + 1);
        let turn = &remembered[begins..];
        let is_the_question = turn.first().is_some_and(|first| {
            first.message.role == Role::User && first.message.joined_text().trim() == question.trim()
        });
        let is_cut_short = turn.iter().any(|message| {
            matches!(
                message.finish_reason.as_deref(),
                Some(STOPPED | "length" | "content_filter")
            )
        });
        if !is_the_question || !is_cut_short {
            break;
        }
        remembered.truncate(begins);
    }
    remembered
}

/// The newest of the conversation within the limit, no tool call parted from its result. The system prompt and the last
/// message stay whatever they count: a model that is not told the question answers something else.
fn trimmed(messages: Vec<ChatMessage>, limit: u64) -> Vec<ChatMessage> {
    let sized: Vec<_> = messages
        .into_iter()
        .map(|message| SizedMessage {
            tokens: estimate_tokens(&message.joined_text()) + 4,
            message,
        })
        .collect();
    let question = sized.len().saturating_sub(1);
    let least = sized
        .iter()
        .enumerate()
        .filter(|(at, sized)| *at == question || sized.message.role == Role::System)
        .fold(0, |sum: u64, (_, sized)| sum.saturating_add(sized.tokens));
    trim_history(sized, limit.max(least))
        .into_iter()
        .map(|sized| sized.message)
        .collect()
}
