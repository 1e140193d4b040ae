//! The bus inside one process.
//!
//! A publisher copies the envelope into the bounded queue of each subscriber and goes on: it never waits, and a
//! subscriber that is slow, fails or panics does so on its own task and touches no other. What a full queue could not
//! take is dropped, oldest first, and counted on the subscription.

use crate::event::{Envelope, Event};
use crate::ports::EventBus;
use futures::stream::Stream;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

/// The event bus of one process.
#[derive(Debug, Default)]
pub struct InProcessEventBus {
    subscribers: RwLock<Vec<Arc<Queue>>>,
    /// How many subscribers there are, so that publishing to nobody costs one load.
    count: AtomicUsize,
}

/// One subscriber's end: a stream of envelopes in the order they were published. Ends when the bus is dropped.
/// Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// `None` takes every event.
    name: Option<&'static str>,
    capacity: usize,
    /// Guards the envelopes only; held for a push or a pop.
    envelopes: Mutex<VecDeque<Envelope>>,
    waker: AtomicWaker,
    dropped: AtomicU64,
    /// Set when the subscription is dropped; the bus then forgets the queue at its next subscription or publish.
    abandoned: AtomicBool,
    closed: AtomicBool,
}

// === impl InProcessEventBus ===

impl InProcessEventBus {
    /// An empty bus.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Subscribes to events of type `E`. At most `capacity` wait; at the bound the oldest is dropped and counted.
    pub fn subscribe<E: Event>(&self, capacity: usize) -> Subscription {
        self.add(Some(E::NAME), capacity)
    }

    /// Subscribes to every event.
    pub fn subscribe_all(&self, capacity: usize) -> Subscription {
        self.add(None, capacity)
    }

    fn add(&self, name: Option<&'static str>, capacity: usize) -> Subscription {
        let queue = Arc::new(Queue {
            name,
            capacity: capacity.max(1),
            envelopes: Mutex::default(),
            waker: AtomicWaker::new(),
            dropped: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|queue| !queue.abandoned.load(Ordering::Acquire));
        subscribers.push(Arc::clone(&queue));
        self.count.store(subscribers.len(), Ordering::Release);
        Subscription { queue }
    }

    fn forget_abandoned(&self) {
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|queue| !queue.abandoned.load(Ordering::Acquire));
        self.count.store(subscribers.len(), Ordering::Release);
    }
}

impl EventBus for InProcessEventBus {
    fn publish(&self, envelope: Envelope) {
        let mut abandoned = false;
        {
            let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
            for queue in subscribers.iter() {
                if queue.abandoned.load(Ordering::Acquire) {
                    abandoned = true;
                } else if queue.takes(envelope.name()) {
                    queue.push(envelope.clone());
                }
            }
        }
        if abandoned {
            self.forget_abandoned();
        }
    }

    fn wants(&self, name: &'static str) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.subscribers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|queue| queue.takes(name))
    }
}

impl Drop for InProcessEventBus {
    fn drop(&mut self) {
        for queue in self.subscribers.get_mut().unwrap_or_else(PoisonError::into_inner) {
            queue.closed.store(true, Ordering::Release);
            queue.waker.wake();
        }
    }
}

// === impl Queue ===

impl Queue {
    fn takes(&self, name: &str) -> bool {
        self.name.is_none_or(|own| own == name)
    }

    fn push(&self, envelope: Envelope) {
        {
            let mut envelopes = self.envelopes.lock().unwrap_or_else(PoisonError::into_inner);
            if envelopes.len() == self.capacity {
                envelopes.pop_front();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            envelopes.push_back(envelope);
        }
        self.waker.wake();
    }

    fn pop(&self) -> Option<Envelope> {
        self.envelopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

// === impl Subscription ===

impl Subscription {
    /// The next event that already waits, if any.
    pub fn try_next(&self) -> Option<Envelope> {
        self.queue.pop()
    }

    /// How many events were dropped because this subscriber's queue was full.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Stream for Subscription {
    type Item = Envelope;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Envelope>> {
        if let Some(envelope) = self.queue.pop() {
            return Poll::Ready(Some(envelope));
        }
        self.queue.waker.register(context.waker());
        // A push between the look and the registration would otherwise be slept through.
        match self.queue.pop() {
            Some(envelope) => Poll::Ready(Some(envelope)),
            None if self.queue.closed.load(Ordering::Acquire) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.abandoned.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventContext;
    use crate::testing::ManualClock;
    use futures::StreamExt;
    use futures::executor::block_on;
    use serde::Serialize;

    #[derive(Debug, Serialize)]
    struct Rang {
        times: u32,
    }
    impl Event for Rang {
        const NAME: &'static str = "bell.rang";
    }

    #[derive(Debug, Serialize)]
    struct Fell;
    impl Event for Fell {
        const NAME: &'static str = "bell.fell";
    }

    fn context(bus: &Arc<InProcessEventBus>) -> EventContext {
        EventContext::new(Arc::clone(bus) as Arc<dyn EventBus>, ManualClock::new(), "tests")
    }

    #[test]
    fn a_subscriber_gets_its_own_events_in_order_and_one_for_all_gets_every_event() {
        let bus = InProcessEventBus::new();
        let (rang, all) = (bus.subscribe::<Rang>(8), bus.subscribe_all(8));
        let context = context(&bus);
        context.publish(None, || Rang { times: 1 });
        context.publish(None, || Fell);
        context.publish(None, || Rang { times: 2 });
        drop((context, bus));
        let times: Vec<u32> = block_on(
            rang.map(|envelope| envelope.payload::<Rang>().expect("a Rang").times)
                .collect(),
        );
        assert_eq!(times, [1, 2]);
        let names: Vec<&str> = block_on(all.map(|envelope| envelope.name()).collect());
        assert_eq!(names, ["bell.rang", "bell.fell", "bell.rang"]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_it() {
        let bus = InProcessEventBus::new();
        let slow = bus.subscribe::<Rang>(2);
        for times in 1..=5 {
            context(&bus).publish(None, || Rang { times });
        }
        assert_eq!(slow.dropped(), 3);
        let kept: Vec<u32> = std::iter::from_fn(|| slow.try_next())
            .map(|envelope| envelope.payload::<Rang>().expect("a Rang").times)
            .collect();
        assert_eq!(kept, [4, 5]);
    }

    #[test]
    fn nothing_is_built_when_nobody_listens() {
        let bus = InProcessEventBus::new();
        let other = bus.subscribe::<Fell>(1);
        context(&bus).publish(None, || -> Rang { panic!("built for nobody") });
        drop(other);
        context(&bus).publish(None, || Fell);
        assert!(!bus.wants(Fell::NAME), "an abandoned subscription is forgotten");
    }

    #[test]
    fn the_envelope_reads_as_the_documented_json() {
        let bus = InProcessEventBus::new();
        let all = bus.subscribe_all(1);
        context(&bus).publish(None, || Rang { times: 3 });
        let json = all.try_next().expect("one event").to_json();
        assert_eq!(json["type"], "bell.rang");
        assert_eq!(json["payload"]["times"], 3);
        assert_eq!(json["sourceContext"], "tests");
        assert!(json["timestamp"].is_i64());
    }
}
