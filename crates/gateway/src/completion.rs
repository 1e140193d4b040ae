//! Stateless calls: a full turn without inbox, session and history. Its caller waits, and is told when there is no
//! answer. Usage is settled at once in memory and stored shortly after.

use crate::error::Refusal;
use crate::job::JobEnd;
use crate::ledger::rows_of;
use crate::purse::Want;
use crate::services::{Needs, Services};
use futures::StreamExt;
use openclaw_ai_fabric::{
    AnswerForm, ChatRequest, Reservation, RouteError, RoutedEvent, RoutedRequest, RoutedStream,
};
use openclaw_concurrency::{Ticket, WorkContext, give_way};
use openclaw_core::{
    AccessTier, ContentBlock, CorrelationId, Language, ModelEvent, ModelId, Role, TenantId, TokenUsage,
};
use openclaw_plugins::{HookContext, HookName};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::mpsc;

/// Batches a caller may be behind before the model has to wait.
const BATCHES_AHEAD: usize = 32;
/// Events handed over at once, at most. Caller and worker live on different threads: what comes in one read from the
/// provider crosses over as one.
const EVENTS_AT_ONCE: usize = 64;

/// A stateless call.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// `api:{the key's user}:{the user field}`.
    pub tenant: TenantId,
    /// The key's tier.
    pub tier: AccessTier,
    /// Which model; `None` lets the platform choose.
    pub model: Option<ModelId>,
    /// The conversation and what is asked of the model. `max_output_tokens` 0 asks for the model's own limit. An answer
    /// that is wanted in one piece is handed over when it is complete, neighbouring pieces of text joined; if it fails,
    /// only its failure is.
    pub chat: ChatRequest,
    /// What the call is found by.
    pub correlation_id: CorrelationId,
    /// The language refusals are put in.
    pub language: Language,
}

/// A stateless call on its way to a worker.
#[derive(Debug)]
pub struct CompletionJob {
    pub(crate) request: CompletionRequest,
    pub(crate) events: mpsc::Sender<Vec<CompletionEvent>>,
}

/// What a caller hears.
#[derive(Debug)]
pub enum CompletionEvent {
    /// A model answers.
    Began {
        /// Which.
        model: ModelId,
    },
    /// A piece of the answer. [`ModelEvent::Usage`] comes once, as the last but one, whatever the provider sends.
    Event(ModelEvent),
    /// The answer is complete.
    Done,
    /// There is no answer, or no more of it.
    Failed(Refusal),
}

/// The answer to a stateless call. Dropping it ends the call and closes the connection to the provider.
#[derive(Debug)]
pub struct CompletionStream {
    batches: mpsc::Receiver<Vec<CompletionEvent>>,
    /// What has come and was not asked for yet; one batch at most.
    ready: VecDeque<CompletionEvent>,
    /// Ends the request when dropped.
    ticket: Option<Ticket<JobEnd>>,
}

// === impl CompletionStream ===

impl CompletionStream {
    pub(crate) fn new(batches: mpsc::Receiver<Vec<CompletionEvent>>, ticket: Ticket<JobEnd>) -> Self {
        Self {
            batches,
            ready: VecDeque::new(),
            ticket: Some(ticket),
        }
    }

    /// The next event; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<CompletionEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.batches.recv().await {
                Some(batch) => self.arrived(batch),
                // The worker is gone. If it did not end the call itself, its ticket knows why.
                None => {
                    // Taken only when it has answered: a dropped wait must not lose the reason.
                    let ended = self.ticket.as_mut()?.await;
                    self.ticket = None;
                    return match ended {
                        Ok(_) => None,
                        Err(error) => Some(CompletionEvent::Failed(Refusal::Worker(error))),
                    };
                }
            }
        }
    }

    /// More events that already wait, up to `limit`, appended to `events`.
    pub fn take_ready(&mut self, events: &mut Vec<CompletionEvent>, limit: usize) {
        while events.len() < limit {
            match self.ready.pop_front() {
                Some(event) => events.push(event),
                None => match self.batches.try_recv() {
                    Ok(batch) => self.arrived(batch),
                    Err(_) => break,
                },
            }
        }
    }

    fn arrived(&mut self, batch: Vec<CompletionEvent>) {
        let ended = matches!(
            batch.last(),
            Some(CompletionEvent::Done | CompletionEvent::Failed(_))
        );
        // A caller that has heard everything and leaves cancels nothing: the call counts as what it was.
        if ended && let Some(ticket) = self.ticket.take() {
            ticket.detach();
        }
        self.ready = batch.into();
    }
}

/// A channel of the size calls use.
pub(crate) fn channel() -> (
    mpsc::Sender<Vec<CompletionEvent>>,
    mpsc::Receiver<Vec<CompletionEvent>>,
) {
    mpsc::channel(BATCHES_AHEAD)
}

/// Events on their way to the caller, gathered into batches.
#[derive(Debug)]
struct Outgoing {
    batches: mpsc::Sender<Vec<CompletionEvent>>,
    /// Bounded by `EVENTS_AT_ONCE`; of a whole answer, by what a model may say.
    gathered: Vec<CompletionEvent>,
    form: AnswerForm,
}

/// What there is to do next.
enum Next {
    Event(Result<RoutedEvent, RouteError>),
    /// The caller is behind, and something waits for it.
    Full,
    Ended,
}

// === impl Outgoing ===

impl Outgoing {
    fn put(&mut self, event: CompletionEvent) {
        if self.form == AnswerForm::Whole
            && let CompletionEvent::Event(ModelEvent::TextDelta(more)) = &event
            && let Some(CompletionEvent::Event(ModelEvent::TextDelta(text))) = self.gathered.last_mut()
        {
            text.push_str(more);
            return;
        }
        self.gathered.push(event);
    }

    /// The model's next event. While it is silent, the caller is given what it has said.
    async fn next(&mut self, stream: &mut RoutedStream) -> Next {
        if self.form == AnswerForm::Whole {
            return stream.next().await.map_or(Next::Ended, Next::Event);
        }
        if self.gathered.len() >= EVENTS_AT_ONCE {
            return Next::Full;
        }
        poll_fn(|context| match stream.poll_next_unpin(context) {
            Poll::Ready(event) => Poll::Ready(event.map_or(Next::Ended, Next::Event)),
            Poll::Pending if self.gathered.is_empty() => Poll::Pending,
            Poll::Pending => match self.batches.try_reserve() {
                Ok(place) => {
                    place.send(std::mem::take(&mut self.gathered));
                    Poll::Pending
                }
                Err(_) => Poll::Ready(Next::Full),
            },
        })
        .await
    }

    /// Hands over what is gathered. A caller that has gone is noticed by `run`, which drops the whole work.
    async fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.batches.send(std::mem::take(&mut self.gathered)).await.ok();
        }
    }
}

/// Runs stateless calls.
#[derive(Clone, Debug)]
pub(crate) struct CompletionRunner {
    services: Arc<Services>,
}

// === impl CompletionRunner ===

impl CompletionRunner {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Answers the call.
    pub(crate) async fn run(&self, job: CompletionJob, context: WorkContext) -> JobEnd {
        let CompletionJob { request, events } = job;
        let mut outgoing = Outgoing {
            batches: events.clone(),
            gathered: Vec::new(),
            form: request.chat.form,
        };
        let answered = async {
            if let Err(refusal) = self.answer(request, &mut outgoing, &context).await {
                context.mark_failed();
                if outgoing.form == AnswerForm::Whole {
                    outgoing.gathered.clear();
                }
                outgoing.put(CompletionEvent::Failed(refusal));
            }
            outgoing.flush().await;
            // The caller has all of it. Where it waits on this very thread, what is left to do here would keep the answer
            // from the wire.
            give_way().await;
        };
        tokio::select! {
            biased;
            // A caller that has gone wants nothing more; dropping the work closes the provider's connection.
            () = context.cancelled() => {}
            () = events.closed() => {}
            () = answered => {}
        }
        JobEnd::Ended
    }

    async fn answer(
        &self,
        mut request: CompletionRequest,
        outgoing: &mut Outgoing,
        context: &WorkContext,
    ) -> Result<(), Refusal> {
        let services = &self.services;
        self.received(&mut request).await?;
        let (found, chain) = services.choose(&Needs {
            model: request.model.clone(),
            capabilities: request.chat.needs(),
            tier: request.tier,
            input_tokens: 0,
            output_tokens: 1,
        })?;
        let model = &found.model;
        let input = services.estimator.request(&model.id, &request.chat);
        let asked = match request.chat.max_output_tokens {
            0 => model.max_output_tokens,
            asked => asked,
        };
        let account = services.budget.account_for(&request.tenant);
        let want = Want {
            input,
            output: asked,
            model_limit: model.max_output_tokens,
        };
        let reservation = services
            .purse
            .reserve(&account, request.tier, want, request.correlation_id)
            .await?;
        // Nothing is asked of the provider that the caller did not ask for, unless the budget demands it.
        if request.chat.max_output_tokens != 0 || reservation.output_allowed() < model.max_output_tokens {
            request.chat.max_output_tokens = reservation.output_allowed();
        }
        let mut spending = Spending {
            services: Arc::clone(services),
            reservation: Some(reservation),
            stream: None,
            tenant: request.tenant.clone(),
            tier: request.tier,
        };
        let stream = spending.stream.insert(services.router.route(RoutedRequest {
            chat: request.chat,
            chain,
            correlation_id: request.correlation_id,
            deadline: context.deadline(),
            may_restart: false,
        }));
        // A plugin that looks at answers must see the whole one before any of it is out.
        let mut held_back = services.hooks.has(HookName::OnBeforeSend).then(String::new);
        let mut stop = None;
        let mut usage = TokenUsage::default();
        loop {
            let event = match outgoing.next(stream).await {
                Next::Event(event) => event?,
                Next::Full => {
                    outgoing.flush().await;
                    continue;
                }
                Next::Ended => break,
            };
            match event {
                RoutedEvent::Began { model, .. } => outgoing.put(CompletionEvent::Began { model }),
                // A call that may not restart never does.
                RoutedEvent::Restarted { .. } => {}
                RoutedEvent::Event(ModelEvent::Usage(reported)) => usage = reported,
                RoutedEvent::Event(ModelEvent::Stop(reason)) => stop = Some(reason),
                RoutedEvent::Event(ModelEvent::TextDelta(text)) => match &mut held_back {
                    Some(held) => held.push_str(&text),
                    None => outgoing.put(CompletionEvent::Event(ModelEvent::TextDelta(text))),
                },
                RoutedEvent::Event(event) => outgoing.put(CompletionEvent::Event(event)),
            }
        }
        if let Some(text) = held_back {
            let text = self
                .before_send(&request.tenant, request.tier, request.correlation_id, text)
                .await?;
            outgoing.put(CompletionEvent::Event(ModelEvent::TextDelta(text)));
        }
        // What was spent is settled before its caller hears the end.
        drop(spending);
        if let Some(reason) = stop {
            outgoing.put(CompletionEvent::Event(ModelEvent::Stop(reason)));
        }
        outgoing.put(CompletionEvent::Event(ModelEvent::Usage(usage)));
        outgoing.put(CompletionEvent::Done);
        Ok(())
    }

    /// Runs the hooks for the caller's last message.
    async fn received(&self, request: &mut CompletionRequest) -> Result<(), Refusal> {
        if !self.services.hooks.has(HookName::OnMessageReceived) {
            return Ok(());
        }
        let Some(last) = request
            .chat
            .messages
            .iter()
            .rposition(|message| message.role == Role::User)
        else {
            return Ok(());
        };
        let before = request.chat.messages[last].joined_text();
        let mut context = HookContext::OnMessageReceived {
            tenant: request.tenant.clone(),
            text: before.clone(),
            language: request.language,
            attachments: 0,
        };
        let cancelled = self
            .services
            .hooks
            .dispatch(
                HookName::OnMessageReceived,
                &mut context,
                request.tier,
                Some(request.correlation_id),
            )
            .await;
        match (cancelled, context) {
            (Some(reason), _) => Err(Refusal::CancelledByPlugin {
                plugin: reason.plugin,
                text: reason.text,
            }),
            (None, HookContext::OnMessageReceived { text, .. }) if text != before => {
                // What else is in the message, such as an image, is not the plugin's and stays.
                let content = &mut request.chat.messages[last].content;
                content.retain(|block| !matches!(block, ContentBlock::Text { .. }));
                content.insert(0, ContentBlock::Text { text });
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    async fn before_send(
        &self,
        tenant: &TenantId,
        tier: AccessTier,
        correlation_id: CorrelationId,
        text: String,
    ) -> Result<String, Refusal> {
        let mut context = HookContext::OnBeforeSend {
            tenant: tenant.clone(),
            text,
            is_final: true,
        };
        let cancelled = self
            .services
            .hooks
            .dispatch(HookName::OnBeforeSend, &mut context, tier, Some(correlation_id))
            .await;
        match (cancelled, context) {
            (Some(reason), _) => Err(Refusal::CancelledByPlugin {
                plugin: reason.plugin,
                text: reason.text,
            }),
            (None, HookContext::OnBeforeSend { text, .. }) => Ok(text),
            (None, _) => Ok(String::new()),
        }
    }
}

/// What a call spends. Settled when this is dropped, however the call ends, with what the providers were asked for until then; a call that
/// reached no model costs nothing.
struct Spending {
    services: Arc<Services>,
    reservation: Option<Reservation>,
    stream: Option<RoutedStream>,
    tenant: TenantId,
    tier: AccessTier,
}

// === impl Spending ===

impl Drop for Spending {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let spent = stream.spent().total();
        let attempts = stream.finish();
        if let (Some(reservation), true) = (self.reservation.take(), spent > 0) {
            let settlement = reservation.settle(spent);
            let rows = rows_of(&attempts, &self.tenant, self.tier, self.services.clock.now());
            self.services.purse.store_later(&settlement, rows);
        }
    }
}
