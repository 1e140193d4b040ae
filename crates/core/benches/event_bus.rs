//! What publishing an event costs: with nobody listening and with ten subscribers.

use criterion::{Criterion, criterion_group, criterion_main};
use openclaw_core::testing::{ManualClock, SeededRandom};
use openclaw_core::{Clock, CorrelationId, Event, EventBus, EventContext, InProcessEventBus};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Completed {
    duration_ms: u64,
}
impl Event for Completed {
    const NAME: &'static str = "request.completed";
}

#[derive(Debug, Serialize)]
struct Other;
impl Event for Other {
    const NAME: &'static str = "other";
}

fn publish(criterion: &mut Criterion) {
    let clock = ManualClock::new();
    let correlation = CorrelationId::new(clock.now(), &SeededRandom::new(1));
    let mut group = criterion.benchmark_group("event publish");

    let bus = InProcessEventBus::new();
    let context = EventContext::new(Arc::clone(&bus) as Arc<dyn EventBus>, clock.clone(), "bench");
    let mut duration_ms = 0;
    group.bench_function("no subscriber", |bencher| {
        bencher.iter(|| {
            duration_ms += 1;
            context.publish(Some(black_box(correlation)), || Completed { duration_ms });
        });
    });

    let others: Vec<_> = (0..10).map(|_| bus.subscribe::<Other>(1_024)).collect();
    group.bench_function("10 subscribers to other events", |bencher| {
        bencher.iter(|| {
            duration_ms += 1;
            context.publish(Some(black_box(correlation)), || Completed { duration_ms });
        });
    });
    drop(others);

    // The queues fill up during the measurement, so that dropping the oldest is part of it.
    let bus = InProcessEventBus::new();
    let context = EventContext::new(Arc::clone(&bus) as Arc<dyn EventBus>, clock, "bench");
    let subscribers: Vec<_> = (0..10).map(|_| bus.subscribe::<Completed>(1_024)).collect();
    group.bench_function("10 subscribers", |bencher| {
        bencher.iter(|| {
            duration_ms += 1;
            context.publish(Some(black_box(correlation)), || Completed { duration_ms });
        });
    });
    assert!(
        subscribers
            .iter()
            .all(|subscriber| subscriber.try_next().is_some())
    );
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
