//! Domain events: a constant name, a serialisable payload and an envelope that says when, where from and whose.

use crate::id::CorrelationId;
use crate::ports::{Clock, EventBus};
use crate::time::Timestamp;
use serde::Serialize;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Something that happened. One type per event; events carry ids and lengths, never texts or secrets.
pub trait Event: Serialize + fmt::Debug + Any + Send + Sync {
    /// The stable name, such as `request.completed`.
    const NAME: &'static str;
}

/// What the envelope knows of its payload without knowing its type.
trait Payload: Any + Send + Sync + fmt::Debug {
    fn to_json(&self) -> serde_json::Value;
    fn as_any(&self) -> &(dyn Any + Send + Sync);
}

impl<E: Event> Payload for E {
    fn to_json(&self) -> serde_json::Value {
        // A payload that cannot be written as JSON is a programming error of its type; it is shown, not hidden.
        serde_json::to_value(self).unwrap_or_else(|error| serde_json::Value::String(error.to_string()))
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

/// An event on its way. Cheap to clone; the payload is serialised only when a subscriber asks.
#[derive(Clone, Debug)]
pub struct Envelope {
    name: &'static str,
    timestamp: Timestamp,
    correlation_id: Option<CorrelationId>,
    source_context: &'static str,
    payload: Arc<dyn Payload>,
}

/// Publishes events of one context: knows the bus, the clock and the context's name.
#[derive(Clone, Debug)]
pub struct EventContext {
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    source: &'static str,
}

// === impl Envelope ===

impl Envelope {
    /// Wraps an event.
    pub fn new<E: Event>(
        event: E,
        timestamp: Timestamp,
        correlation_id: Option<CorrelationId>,
        source_context: &'static str,
    ) -> Self {
        Self {
            name: E::NAME,
            timestamp,
            correlation_id,
            source_context,
            payload: Arc::new(event),
        }
    }

    /// The event's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Which message it belongs to, if to one.
    pub fn correlation_id(&self) -> Option<CorrelationId> {
        self.correlation_id
    }

    /// Which context published it, such as `concurrency`.
    pub fn source_context(&self) -> &'static str {
        self.source_context
    }

    /// The payload, when it is an `E`.
    pub fn payload<E: Event>(&self) -> Option<&E> {
        self.payload.as_any().downcast_ref()
    }

    /// The whole event as JSON: `type`, `payload`, `timestamp` (ms), `correlationId`, `sourceContext`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "type": self.name,
            "payload": self.payload.to_json(),
            "timestamp": self.timestamp,
            "correlationId": self.correlation_id,
            "sourceContext": self.source_context,
        })
    }
}

// === impl EventContext ===

impl EventContext {
    /// Publishes on `bus` in the name of `source`, such as `session`.
    pub fn new(bus: Arc<dyn EventBus>, clock: Arc<dyn Clock>, source: &'static str) -> Self {
        Self { bus, clock, source }
    }

    /// The same bus and clock for another context.
    pub fn for_source(&self, source: &'static str) -> Self {
        Self {
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            source,
        }
    }

    /// Publishes the event that `build` makes; builds nothing when nobody listens.
    pub fn publish<E: Event>(&self, correlation_id: Option<CorrelationId>, build: impl FnOnce() -> E) {
        if self.bus.wants(E::NAME) {
            self.bus.publish(Envelope::new(
                build(),
                self.clock.now(),
                correlation_id,
                self.source,
            ));
        }
    }
}
