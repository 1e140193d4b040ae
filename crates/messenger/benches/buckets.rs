//! What a decision of the limiters costs: one bucket, one of many by key, one pass through the pacer;
//! beside one bucket and many, the same decision of `governor`.

use criterion::{Criterion, criterion_group, criterion_main};
use futures::future::BoxFuture;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter as Governor};
use openclaw_core::{Clock, Monotonic, Timestamp};
use openclaw_messenger::pacer::{Pacer, PacerLimits, Passing};
use openclaw_messenger::{RateLimit, RateLimiter, TokenBucket};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that costs what the peer's does: one atomic number.
#[derive(Debug, Default)]
struct Stepped(AtomicU64);

impl Stepped {
    fn advance(&self, by: Duration) {
        let nanos = Monotonic::from_origin(by).as_nanos();
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _deadline: Monotonic) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn buckets(criterion: &mut Criterion) {
    let limit = RateLimit::per_second(100, 100);
    criterion.bench_function("token_bucket/acquire", |bencher| {
        let (mut bucket, mut now) = (TokenBucket::new(limit), Monotonic::ZERO);
        bencher.iter(|| {
            now = now + Duration::from_millis(7);
            black_box(bucket.acquire(now))
        });
    });

    criterion.bench_function("token_bucket/governor", |bencher| {
        let clock = FakeRelativeClock::default();
        let hundred = NonZeroU32::new(100).expect("not zero");
        let limiter = Governor::direct_with_clock(Quota::per_second(hundred), clock.clone());
        bencher.iter(|| {
            clock.advance(Duration::from_millis(7));
            black_box(limiter.check().is_ok())
        });
    });

    for count in [1_000, 10_000, 100_000] {
        let keys: Vec<String> = (0..count).map(|key| format!("visitor-{key}")).collect();
        let clock = Arc::new(Stepped::default());
        let limiter = RateLimiter::new(limit, 200_000, Arc::clone(&clock) as Arc<dyn Clock>);
        for key in &keys {
            black_box(limiter.acquire(key).is_ok());
        }
        let mut next = keys.iter().cycle();
        criterion.bench_function(&format!("rate_limiter/{count}"), |bencher| {
            bencher.iter(|| {
                clock.advance(Duration::from_micros(10));
                black_box(next.next().map(|key| limiter.acquire(key)))
            });
        });
        let clock = FakeRelativeClock::default();
        let hundred = NonZeroU32::new(100).expect("not zero");
        let limiter = Governor::hashmap_with_clock(Quota::per_second(hundred), clock.clone());
        for key in &keys {
            black_box(limiter.check_key(key).is_ok());
        }
        let mut next = keys.iter().cycle();
        criterion.bench_function(&format!("rate_limiter_peer_governor/{count}"), |bencher| {
            bencher.iter(|| {
                clock.advance(Duration::from_micros(10));
                black_box(next.next().map(|key| limiter.check_key(key).is_ok()))
            });
        });
    }

    criterion.bench_function("pacer/pass_1000_chats", |bencher| {
        let clock = Arc::new(Stepped::default());
        let limits = PacerLimits {
            chat: limit,
            bot: Some(RateLimit::per_second(100_000, 100_000)),
            draft: None,
            max_waiting_per_chat: 64,
            max_waiting: 10_000,
            max_chats: 100_000,
        };
        let pacer = Pacer::new(limits, Arc::clone(&clock) as Arc<dyn Clock>);
        let chats: Vec<String> = (0..1_000).map(|chat| chat.to_string()).collect();
        let mut next = chats.iter().cycle();
        bencher.iter(|| {
            clock.advance(Duration::from_micros(10));
            black_box(next.next().map(|chat| pacer.pass(chat, None, Passing::Interim)))
        });
    });
}

criterion_group!(benches, buckets);
criterion_main!(benches);
