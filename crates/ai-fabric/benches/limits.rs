//! What a decision costs: the rate limiter, the token budget, the token estimate.

use criterion::{Criterion, criterion_group, criterion_main};
use openclaw_ai_fabric::{
    ProviderRateLimit, RateLimiter, ReserveRequest, TokenBudget, TokenBudgetConfig, estimate_tokens,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{AccessTier, Clock, EventContext, InProcessEventBus, ProviderId};
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

fn limiter(criterion: &mut Criterion) {
    let clock = ManualClock::new();
    let limiter = RateLimiter::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let id = ProviderId::parse("p").expect("a valid id");
    limiter.set_limits(
        &id,
        ProviderRateLimit {
            requests_per_minute: NonZeroU64::new(1_000_000),
            tokens_per_minute: NonZeroU64::new(u64::MAX),
            concurrent_requests: NonZeroU64::new(1_000),
        },
    );
    criterion.bench_function("rate limiter: acquire, settle, release", |bencher| {
        bencher.iter(|| {
            clock.advance(Duration::from_micros(100));
            if let Ok(permit) = limiter.acquire(black_box(&id), 100) {
                permit.settle(80);
            }
        });
    });
}

fn budget(criterion: &mut Criterion) {
    for accounts in [1_000, 10_000, 100_000] {
        budget_of(criterion, accounts);
    }
}

/// With so many other accounts in memory.
fn budget_of(criterion: &mut Criterion, accounts: usize) {
    let clock = ManualClock::new();
    let events = EventContext::new(
        InProcessEventBus::new(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        "bench",
    );
    let budget = TokenBudget::new(TokenBudgetConfig::default(), clock, &events);
    for account in 0..accounts {
        budget.prime(&format!("telegram:{account}:{account}"), None);
    }
    let request = ReserveRequest {
        account: "telegram:1:1",
        tier: AccessTier::Free,
        input_estimate: 100,
        wanted_output: 2_048,
        model_limit: 4_096,
        floor: 256,
        correlation_id: None,
    };
    let name = format!("token budget: reserve, settle, stored/{accounts}");
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            if let Ok(reservation) = budget.reserve(black_box(&request)) {
                budget.stored(&reservation.settle(0));
            }
        });
    });
}

fn estimate(criterion: &mut Criterion) {
    let text = "Съешь же ещё этих мягких французских булок, да выпей чаю. ".repeat(20);
    criterion.bench_function("estimate of 1 160 characters", |bencher| {
        bencher.iter(|| estimate_tokens(black_box(&text)));
    });
}

criterion_group!(benches, limiter, budget, estimate);
criterion_main!(benches);
