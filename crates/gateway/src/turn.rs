//! One turn: from an inbox entry to its end.
//!
//! The order is the one of a promise: tokens are set aside before the turn begins, the turn is written down before a
//! model is asked, a message's id is written down before it is edited, and the result is written down together with
//! what is still to be delivered. Every await is a place where the worker may be killed; what then remains is ended by
//! the supervisor in `admission`, with what [`TurnProgress`] knows.

mod end;
mod plan;

pub(crate) use self::end::parts_in_place;
use self::end::remembered;

use crate::error::Refusal;
use crate::gateway::expired;
use crate::job::{JobEnd, TurnJob, TurnProgress};
use crate::ledger::{self, Spent};
use crate::ports::{BeginError, NewHistoryMessage, OpenEntry, Outcome, StoreError, TurnGrant};
use crate::reply::{Closing, Reply};
use crate::services::Services;
use crate::step::{Followed, Step, ToolCall};
use crate::words;
use openclaw_ai_fabric::{
    ChatRequest, FallbackChain, FoundModel, Reservation, RoutedRequest, estimate_tokens,
};
use openclaw_concurrency::WorkContext;
use openclaw_core::{ChatMessage, CodedError, ContentBlock, Role, StopReason, TokenUsage};
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use openclaw_session::event::{SessionActivated, SessionCreated};
use std::sync::Arc;

/// Model calls of one turn; a model that still calls tools after that has its last text taken for the answer.
const MAX_STEPS: usize = 10;
/// How an answer has ended that its person stopped.
const STOPPED: &str = "stopped";

/// Runs turns.
#[derive(Clone, Debug)]
pub(crate) struct TurnRunner {
    services: Arc<Services>,
}

/// What a turn needs before it may begin.
struct Plan {
    chain: FallbackChain,
    model: FoundModel,
    request: ChatRequest,
    reservation: Reservation,
}

/// The same, once the reservation is in the hands of whoever ends the turn.
struct Begun {
    chain: FallbackChain,
    model: FoundModel,
    request: ChatRequest,
}

/// How an answer ended.
struct Answer {
    outcome: Outcome,
    finish_reason: &'static str,
    closing: Closing,
    usage: TokenUsage,
    /// What that was spent on.
    spent: Vec<Spent>,
    /// What the model said, to be remembered.
    said: Vec<NewHistoryMessage>,
    refusal: Option<Refusal>,
}

// === impl TurnRunner ===

impl TurnRunner {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Answers the entry's message and ends the entry.
    pub(crate) async fn run(&self, job: TurnJob, context: WorkContext) -> JobEnd {
        let entry = job.entry;
        match self.turn(&entry, &job.progress, &context).await {
            Ok(()) => JobEnd::Ended,
            Err(error) => {
                context.mark_failed();
                tracing::error!(%error, correlation_id = %entry.correlation_id, entry = entry.id.0, "turn not stored");
                JobEnd::NotStored
            }
        }
    }

    async fn turn(
        &self,
        entry: &Arc<OpenEntry>,
        progress: &Arc<TurnProgress>,
        context: &WorkContext,
    ) -> Result<(), StoreError> {
        let services = &self.services;
        self.renewed(entry, context).await?;
        let plan = match self.plan(entry).await {
            Ok(plan) => plan,
            Err(Refusal::Store(error)) => return Err(error),
            Err(refusal) => {
                context.mark_failed();
                return services.refuse(entry, Outcome::Refused, &refusal).await;
            }
        };
        let grant = match services.store.begin_turn(self.begin(entry, &plan)).await {
            Ok(grant) => grant,
            Err(BeginError::Closed) => return Ok(()),
            Err(BeginError::TooManyAttempts { attempts }) => {
                context.mark_failed();
                tracing::error!(correlation_id = %entry.correlation_id, entry = entry.id.0, attempts, "entry set aside");
                return services
                    .close_with(
                        entry,
                        Outcome::DeadLettered,
                        words::set_aside(entry.message.language()),
                    )
                    .await;
            }
            Err(BeginError::Suspended) => {
                return services
                    .refuse(entry, Outcome::Refused, &Refusal::TenantSuspended)
                    .await;
            }
            Err(BeginError::Store(error)) => return Err(error),
        };
        let Plan {
            chain,
            model,
            request,
            reservation,
        } = plan;
        let mut plan = Begun {
            chain,
            model,
            request,
        };
        progress.update(|progress| {
            progress.fence = Some(grant.fence);
            progress.generation = Some(grant.session.generation);
            progress.reservation = Some(reservation);
            progress.asked = Some(Arc::clone(&plan.model.model));
            progress.shown = entry
                .shown
                .iter()
                .map(|shown| (shown.part, shown.message_id.clone()))
                .collect();
        });
        if grant.opened && services.config.forget_with_session {
            let last = plan.request.messages.len().saturating_sub(1);
            let mut index = 0..;
            plan.request.messages.retain(|message| {
                let index = index.next().unwrap_or(last);
                index == last || message.role == Role::System
            });
        }
        self.announce(entry, &grant).await;
        let answer = self.answer(entry, &mut plan, &grant, progress, context).await;
        let Some(answer) = answer else { return Ok(()) };
        if matches!(answer.outcome, Outcome::Failed) {
            context.mark_failed();
        }
        self.commit(entry, plan, progress, answer).await
    }

    /// Tells of sessions that ended and opened.
    async fn announce(&self, entry: &OpenEntry, grant: &TurnGrant) {
        let services = &self.services;
        let correlation_id = entry.correlation_id;
        let tenant = &entry.tenant.tenant_id;
        if let Some(ended) = &grant.ended {
            services
                .session_events
                .publish(Some(correlation_id), || expired(ended));
            services
                .session_hook(
                    HookName::OnSessionEnd,
                    || HookContext::OnSessionEnd {
                        tenant: tenant.clone(),
                        session: ended.id.clone(),
                        generation: ended.generation,
                        reason: SessionEndReason::Expired,
                    },
                    entry,
                )
                .await;
        }
        if grant.opened {
            services
                .session_events
                .publish(Some(correlation_id), || SessionCreated {
                    session_id: grant.session.id.clone(),
                    tenant_id: tenant.clone(),
                    generation: grant.session.generation,
                    expires_at: grant.session.expires_at,
                });
            services
                .session_events
                .publish(Some(correlation_id), || SessionActivated {
                    session_id: grant.session.id.clone(),
                    tenant_id: tenant.clone(),
                    generation: grant.session.generation,
                });
            services
                .session_hook(
                    HookName::OnSessionStart,
                    || HookContext::OnSessionStart {
                        tenant: tenant.clone(),
                        session: grant.session.id.clone(),
                        generation: grant.session.generation,
                    },
                    entry,
                )
                .await;
        }
    }

    /// Runs the hooks and the loop of model steps. `None` when another turn has taken over.
    async fn answer(
        &self,
        entry: &Arc<OpenEntry>,
        plan: &mut Begun,
        grant: &TurnGrant,
        progress: &Arc<TurnProgress>,
        context: &WorkContext,
    ) -> Option<Answer> {
        let services = &self.services;
        let language = entry.message.language();
        let mut reply = Reply::new(services, entry, grant.fence, progress);
        if let Err(refusal) = self.received(entry, plan, progress).await {
            let outcome = match refusal {
                Refusal::CancelledByPlugin { .. } => Outcome::Cancelled,
                _ => Outcome::Refused,
            };
            reply.replace(&refusal.user_message(language));
            let closing = reply.close().await.ok()?;
            return Some(Answer {
                outcome,
                finish_reason: "cancelled",
                closing,
                usage: TokenUsage::default(),
                spent: Vec::new(),
                said: Vec::new(),
                refusal: Some(refusal),
            });
        }
        let mut spent = TokenUsage::default();
        let mut rows = Vec::new();
        let mut said = Vec::new();
        let mut finish_reason = StopReason::EndTurn.as_openai();
        let mut outcome = Outcome::Answered;
        let mut refusal = None;
        for _ in 0..MAX_STEPS {
            let mut step = Step::default();
            let mut stream = services.router.route(RoutedRequest {
                chat: plan.request.clone(),
                chain: plan.chain.clone(),
                correlation_id: entry.correlation_id,
                deadline: context.deadline(),
                may_restart: true,
            });
            let followed = reply.follow(&mut stream, &mut step, context).await;
            // Failed attempts cost as well: what counts is everything the providers were asked for.
            let usage = stream.spent();
            rows.extend(ledger::rows_of(
                &stream.finish(),
                &entry.tenant.tenant_id,
                entry.tenant.tier,
                services.clock.now(),
            ));
            spent.input_tokens = spent.input_tokens.saturating_add(usage.input_tokens);
            spent.output_tokens = spent.output_tokens.saturating_add(usage.output_tokens);
            spent.estimated |= usage.estimated;
            match followed {
                Followed::Superseded => return None,
                Followed::Failed(error) => {
                    let error = Refusal::from(error);
                    reply.replace(&error.user_message(language));
                    outcome = Outcome::Failed;
                    refusal = Some(error);
                    break;
                }
                Followed::Stopped => {
                    if !step.text.is_empty() {
                        said.push(remembered(&step, usage));
                    }
                    outcome = Outcome::Stopped;
                    finish_reason = STOPPED;
                    break;
                }
                Followed::Complete => {}
            }
            let stop = step.stop.unwrap_or(StopReason::EndTurn);
            finish_reason = stop.as_openai();
            if !step.text.is_empty() || !step.tool_calls.is_empty() {
                said.push(remembered(&step, usage));
            }
            if step.tool_calls.is_empty() {
                if said
                    .iter()
                    .all(|message| message.message.joined_text().is_empty())
                {
                    reply.replace(words::empty_answer(language));
                    outcome = Outcome::Failed;
                }
                break;
            }
            let results = self.call_tools(entry, &step.tool_calls).await;
            plan.request.messages.push(step.message());
            for message in results {
                said.push(NewHistoryMessage {
                    tokens: estimate_tokens(&message.joined_text()) + 16,
                    message: message.clone(),
                    model: None,
                    unanswered: None,
                    at: None,
                    finish_reason: None,
                });
                plan.request.messages.push(message);
            }
        }
        let mut closing = reply.close().await.ok()?;
        if let Some(cancelled) = closing.cancelled.take() {
            // The answer must not be seen; what a plugin says in its place may be.
            outcome = Outcome::Cancelled;
            finish_reason = "cancelled";
            let words = cancelled
                .text
                .unwrap_or_else(|| words::cancelled_by_plugin(language).to_owned());
            closing = self.words_in_place(entry, progress, words);
        }
        Some(Answer {
            outcome,
            finish_reason,
            closing,
            usage: spent,
            spent: rows,
            said,
            refusal,
        })
    }

    /// Runs the hooks for a message; takes over its changed text.
    async fn received(
        &self,
        entry: &OpenEntry,
        plan: &mut Begun,
        progress: &TurnProgress,
    ) -> Result<(), Refusal> {
        let services = &self.services;
        if !services.hooks.has(HookName::OnMessageReceived) {
            return Ok(());
        }
        let mut context = HookContext::OnMessageReceived {
            tenant: entry.tenant.tenant_id.clone(),
            text: entry.message.text.clone(),
            language: entry.message.language(),
            attachments: entry.message.attachments.len(),
        };
        let cancelled = services
            .hooks
            .dispatch(
                HookName::OnMessageReceived,
                &mut context,
                entry.tenant.tier,
                Some(entry.correlation_id),
            )
            .await;
        if let Some(reason) = cancelled {
            return Err(Refusal::CancelledByPlugin {
                plugin: reason.plugin,
                text: reason.text,
            });
        }
        let HookContext::OnMessageReceived { text, .. } = context else {
            return Ok(());
        };
        if text == entry.message.text {
            return Ok(());
        }
        if let Some(last) = plan.request.messages.last_mut() {
            *last = ChatMessage::text(Role::User, text);
        }
        // A longer message lowers what the answer may cost, so that the reservation holds.
        let input = services.estimator.request(&plan.model.model.id, &plan.request);
        let mut refitted = None;
        progress.update(|progress| {
            if let Some(reservation) = &mut progress.reservation {
                let available = reservation.tokens();
                let fitted = reservation.refit(input, plan.model.model.max_output_tokens);
                refitted = Some(fitted.map_err(|error| Refusal::TooLong {
                    needed: error.requested,
                    available,
                }));
            }
        });
        if let Some(allowed) = refitted {
            plan.request.max_output_tokens = allowed?;
        }
        Ok(())
    }

    /// Answers the model's tool calls. No tool is offered yet, so a call is answered with an error the model can read.
    async fn call_tools(&self, entry: &OpenEntry, calls: &[ToolCall]) -> Vec<ChatMessage> {
        calls
            .iter()
            .map(|call| {
                tracing::info!(correlation_id = %entry.correlation_id, tool = %call.name, "the model called a tool that is not offered");
                ChatMessage {
                    role: Role::Tool,
                    content: vec![ContentBlock::ToolResult {
                        id: call.id.clone(),
                        content: format!("there is no tool named {:?}; answer without tools", call.name),
                        is_error: true,
                    }],
                }
            })
            .collect()
    }
}
