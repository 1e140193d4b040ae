//! Watches the event bus: counts what Prometheus asks for, keeps what models last did, and writes what an operator must
//! see to the log, at `debug` every event.
//!
//! A handler that fails or panics is logged with the event's type and counted; it touches neither the publisher nor any
//! other handler.

mod lines;

use crate::model_states::ModelStates;
use crate::prometheus::Counters;
use futures::stream::{Stream, StreamExt, select_all};
use openclaw_ai_fabric::event::{
    AllModelsFailed, CircuitClosed, CircuitOpened, FallbackTriggered, ModelFailed, ModelResponded,
    RateLimitHit, TokenBudgetWarning,
};
use openclaw_concurrency::event::RequestCompleted;
use openclaw_core::{Envelope, InProcessEventBus};
use openclaw_messenger::{MessageDeliveryFailed, MessageReceived, MessageSent};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Events that may wait for a handler; at the bound the oldest are dropped and counted by the subscription.
const WAITING_EVENTS: usize = 8_192;

/// Watches until the bus ends.
#[derive(Debug)]
pub(crate) struct Observer {
    bus: Arc<InProcessEventBus>,
    counters: Arc<Counters>,
    writes: AtomicBool,
}

/// Starts watching.
pub(crate) fn start(
    bus: Arc<InProcessEventBus>,
    counters: Arc<Counters>,
    models: Arc<ModelStates>,
) -> Observer {
    let handle = {
        let counters = Arc::clone(&counters);
        move |event: &Envelope| {
            lines::write(event);
            models.observe(event);
            count(&counters, event)
        }
    };
    // Only what is counted: every event that somebody listens to wakes this task, and several are published between a
    // request and its answer.
    let counted = select_all([
        bus.subscribe::<MessageReceived>(WAITING_EVENTS),
        bus.subscribe::<MessageSent>(WAITING_EVENTS),
        bus.subscribe::<MessageDeliveryFailed>(WAITING_EVENTS),
        bus.subscribe::<RequestCompleted>(WAITING_EVENTS),
        bus.subscribe::<ModelFailed>(WAITING_EVENTS),
        bus.subscribe::<AllModelsFailed>(WAITING_EVENTS),
        bus.subscribe::<ModelResponded>(WAITING_EVENTS),
        bus.subscribe::<FallbackTriggered>(WAITING_EVENTS),
        bus.subscribe::<RateLimitHit>(WAITING_EVENTS),
        bus.subscribe::<TokenBudgetWarning>(WAITING_EVENTS),
        bus.subscribe::<CircuitOpened>(WAITING_EVENTS),
        bus.subscribe::<CircuitClosed>(WAITING_EVENTS),
    ]);
    spawn(counted, Arc::clone(&counters), handle);
    let observer = Observer {
        bus,
        counters,
        writes: AtomicBool::new(false),
    };
    observer.follow_level();
    observer
}

// === impl Observer ===

impl Observer {
    /// Starts writing events once `debug` is logged; at other levels events cost the log nothing. To be called whenever
    /// the levels change.
    pub(crate) fn follow_level(&self) {
        if tracing::enabled!(tracing::Level::DEBUG) && !self.writes.swap(true, Ordering::AcqRel) {
            let events = self.bus.subscribe_all(WAITING_EVENTS);
            spawn(events, Arc::clone(&self.counters), |event| {
                write(event);
                Ok(())
            });
        }
    }
}

/// Hands every event to a handler, one after the other.
fn spawn(
    mut events: impl Stream<Item = Envelope> + Send + Unpin + 'static,
    counters: Arc<Counters>,
    handle: impl Fn(&Envelope) -> anyhow::Result<()> + Send + 'static,
) {
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            isolated(&counters, &event, &handle);
        }
    });
}

fn isolated(counters: &Counters, event: &Envelope, handle: &impl Fn(&Envelope) -> anyhow::Result<()>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| handle(event)));
    let error = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handler panicked".to_owned(),
    };
    counters.event_handler_errors.bump([event.name()]);
    tracing::error!(eventType = event.name(), error, "Event handler error");
}

fn count(counters: &Counters, event: &Envelope) -> anyhow::Result<()> {
    counters.fabric.count(event);
    if let Some(received) = event.payload::<MessageReceived>() {
        counters
            .messages
            .bump([received.tenant_id.platform().as_str(), "in", "ok"]);
    } else if let Some(sent) = event.payload::<MessageSent>() {
        counters
            .messages
            .bump([sent.tenant_id.platform().as_str(), "out", "ok"]);
    } else if let Some(failed) = event.payload::<MessageDeliveryFailed>() {
        let outcome = if failed.permanent { "failed" } else { "put_off" };
        counters
            .messages
            .bump([failed.tenant_id.platform().as_str(), "out", outcome]);
    } else if let Some(completed) = event.payload::<RequestCompleted>() {
        let took = Duration::from_millis(completed.waited_ms.saturating_add(completed.ran_ms));
        counters
            .request_duration
            .observe([completed.outcome.as_str()], took);
    }
    Ok(())
}

fn write(event: &Envelope) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let correlation_id = event.correlation_id().map(|id| id.to_string());
    let json = event.to_json();
    tracing::debug!(
        correlationId = correlation_id,
        eventType = event.name(),
        source = event.source_context(),
        payload = %json["payload"],
        "event"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_concurrency::event::RequestStarted;
    use openclaw_core::{Event, EventBus, Timestamp};
    use serde::Serialize;

    #[derive(Debug, Serialize)]
    struct Happened;
    impl Event for Happened {
        const NAME: &'static str = "test.happened";
    }

    #[tokio::test]
    async fn an_event_that_is_not_counted_wakes_nobody_and_one_that_is_is_counted() {
        let (bus, counters) = (InProcessEventBus::new(), Arc::new(Counters::default()));
        let _observer = start(Arc::clone(&bus), Arc::clone(&counters), Arc::default());
        assert!(!bus.wants(Happened::NAME) && !bus.wants(RequestStarted::NAME));
        for name in [
            MessageReceived::NAME,
            MessageSent::NAME,
            MessageDeliveryFailed::NAME,
            RequestCompleted::NAME,
            ModelFailed::NAME,
            AllModelsFailed::NAME,
        ] {
            assert!(bus.wants(name), "{name}");
        }
    }

    #[test]
    fn a_handler_that_panics_or_fails_is_counted_and_the_next_event_is_handled() {
        let counters = Counters::default();
        let event = Envelope::new(Happened, Timestamp::default(), None, "tests");
        isolated(&counters, &event, &|_: &Envelope| panic!("broken handler"));
        isolated(&counters, &event, &|_: &Envelope| anyhow::bail!("failed handler"));
        isolated(&counters, &event, &|_: &Envelope| Ok(()));
        assert_eq!(counters.event_handler_errors.get(["test.happened"]), 2);
    }
}
