//! Providers' limits.

use crate::support::at;
use futures::FutureExt;
use openclaw_ai_fabric::{
    ProviderRateLimit, QuotaReport, QuotaSink, RateLimitKind, RateLimitPermit, RateLimiter, RemainingQuota,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{Clock, ProviderId};
use proptest::prelude::*;
use std::num::NonZeroU64;
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn limiter(requests: u64, tokens: u64, concurrent: u64) -> (Arc<ManualClock>, RateLimiter, ProviderId) {
    let clock = ManualClock::new();
    let limiter = RateLimiter::new(Arc::clone(&clock) as _);
    let id: ProviderId = "p".parse().unwrap();
    limiter.set_limits(
        &id,
        ProviderRateLimit {
            requests_per_minute: NonZeroU64::new(requests),
            tokens_per_minute: NonZeroU64::new(tokens),
            concurrent_requests: NonZeroU64::new(concurrent),
        },
    );
    (clock, limiter, id)
}

#[test]
fn there_is_no_burst_of_twice_the_limit_at_a_minutes_edge() {
    let (clock, limiter, id) = limiter(10, 0, 0);
    clock.advance(Duration::from_millis(59_999));
    for _ in 0..10 {
        drop(limiter.acquire(&id, 0).unwrap());
    }
    clock.advance(Duration::from_millis(1));
    let refused = limiter.acquire(&id, 0).unwrap_err();
    assert_eq!(
        (refused.retry_after_ms, refused.limit),
        (59_999, RateLimitKind::Requests(10))
    );
    clock.advance(Duration::from_millis(59_998));
    assert!(limiter.check(&id, 0).is_err());
    clock.advance(Duration::from_millis(1));
    assert!(limiter.check(&id, 0).is_ok());
}

#[test]
fn tokens_are_settled_to_what_was_used() {
    let (_, limiter, id) = limiter(0, 1_000, 0);
    let permit = limiter.acquire(&id, 900).unwrap();
    assert_eq!(
        limiter.acquire(&id, 200).unwrap_err().limit,
        RateLimitKind::Tokens(1_000)
    );
    permit.settle(100);
    assert_eq!(limiter.remaining_quota(&id).unwrap().tokens, Some(900));
    limiter.acquire(&id, 900).unwrap().refund();
    assert_eq!(limiter.remaining_quota(&id).unwrap().tokens, Some(900));
    limiter.acquire(&id, 100).unwrap().settle(5_000);
    assert_eq!(limiter.remaining_quota(&id).unwrap().tokens, Some(0));
}

#[test]
fn a_call_that_outlived_the_window_settles_nothing_in_the_next() {
    let (clock, limiter, id) = limiter(0, 1_000, 0);
    let old = limiter.acquire(&id, 500).unwrap();
    clock.advance(Duration::from_millis(60_001));
    drop(limiter.acquire(&id, 600).unwrap());
    old.settle(0);
    assert_eq!(limiter.remaining_quota(&id).unwrap().tokens, Some(400));
}

#[test]
fn a_call_larger_than_the_limit_passes_alone() {
    let (_, limiter, id) = limiter(0, 1_000, 0);
    drop(limiter.acquire(&id, 1_000_000).unwrap());
    assert!(limiter.acquire(&id, 1).is_err());
}

#[test]
fn places_come_back_on_drop_and_requests_do_not() {
    let (_, limiter, id) = limiter(5, 0, 2);
    let first = limiter.acquire(&id, 0).unwrap();
    let second = limiter.acquire(&id, 0).unwrap();
    assert_eq!(
        limiter.acquire(&id, 0).unwrap_err().limit,
        RateLimitKind::Concurrency(2)
    );
    drop(first);
    let third = limiter.acquire(&id, 0).unwrap();
    let expected = RemainingQuota {
        requests: Some(2),
        tokens: None,
        concurrent: Some(0),
        in_flight: 2,
    };
    assert_eq!(limiter.remaining_quota(&id), Some(expected));
    drop((second, third));
    assert_eq!(limiter.remaining_quota(&id).unwrap().concurrent, Some(2));
}

#[test]
fn no_limit_refuses_nothing() {
    let (_, limiter, id) = limiter(0, 0, 0);
    let permits: Vec<_> = (0..1_000)
        .map(|_| limiter.acquire(&id, u64::MAX).unwrap())
        .collect();
    assert_eq!(
        limiter.remaining_quota(&id).unwrap().in_flight,
        permits.len() as u64
    );
    assert!(limiter.acquire(&"unknown".parse().unwrap(), 1).is_ok());
}

#[test]
fn a_burst_of_threads_passes_exactly_the_limit() {
    let (_, limiter, id) = limiter(10, 0, 0);
    let barrier = Barrier::new(64);
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    usize::from(limiter.acquire(&id, 1).is_ok())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10);
}

#[test]
fn a_waiter_takes_the_place_that_becomes_free() {
    let (clock, limiter, id) = limiter(0, 0, 1);
    let held = limiter.acquire(&id, 0).unwrap();
    let mut waiter = Box::pin(limiter.acquire_by(&id, 0, at(10_000)));
    assert!((&mut waiter).now_or_never().is_none());
    drop(held);
    let held = waiter.now_or_never().unwrap().unwrap();
    // One that leaves takes nothing, and one whose time is over is refused.
    let left = Box::pin(limiter.acquire_by(&id, 0, at(10_000)));
    drop(left);
    let mut late = Box::pin(limiter.acquire_by(&id, 0, at(500)));
    assert!((&mut late).now_or_never().is_none());
    clock.advance(Duration::from_millis(500));
    assert!(late.now_or_never().unwrap().is_err());
    drop(held);
    assert!(limiter.acquire(&id, 0).is_ok());
}

#[test]
fn a_wait_that_is_known_to_be_too_long_is_not_begun() {
    let (clock, limiter, id) = limiter(1, 0, 0);
    drop(limiter.acquire(&id, 0).unwrap());
    let refused = limiter.acquire_by(&id, 0, at(59_999)).now_or_never().unwrap();
    assert_eq!(refused.unwrap_err().retry_after_ms, 60_000);
    let mut waiter = Box::pin(limiter.acquire_by(&id, 0, at(60_000)));
    assert!((&mut waiter).now_or_never().is_none());
    clock.advance(Duration::from_secs(60));
    assert!(waiter.now_or_never().unwrap().is_ok());
}

#[test]
fn what_a_provider_says_corrects_the_count_downwards_until_its_reset() {
    let (clock, limiter, id) = limiter(100, 0, 0);
    drop(limiter.acquire(&id, 0).unwrap());
    let report = |remaining, reset| QuotaReport {
        remaining_requests: Some(remaining),
        requests_reset: Some(Duration::from_secs(reset)),
        ..QuotaReport::default()
    };
    limiter.observe(&id, report(0, 20));
    let refused = limiter.acquire(&id, 0).unwrap_err();
    assert_eq!(refused.retry_after_ms, 20_000);
    clock.advance(Duration::from_secs(20));
    assert_eq!(limiter.remaining_quota(&id).unwrap().requests, Some(99));
    limiter.observe(&id, report(5_000, 20));
    assert_eq!(limiter.remaining_quota(&id).unwrap().requests, Some(99));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a log of everything that was let through: no 60 s hold more than the limits, nothing is refused that
    /// would have fitted, and the wait that is told is exact.
    #[test]
    fn the_window_is_exact(steps in proptest::collection::vec((0_u64..15_000, 1_u64..60, any::<bool>()), 1..120)) {
        let (clock, limiter, id) = limiter(7, 100, 0);
        let mut log: Vec<(u64, u64)> = Vec::new();
        let mut held: Vec<RateLimitPermit> = Vec::new();
        for (passed, tokens, keep) in steps {
            clock.advance(Duration::from_millis(passed));
            let now = u64::try_from(clock.monotonic().since_origin().as_millis()).unwrap();
            let fits = |now: u64| {
                let window = log.iter().filter(|(at, _)| at + 60_000 > now);
                let (requests, used) = window.fold((0, 0), |(requests, used), (_, tokens)| (requests + 1, used + tokens));
                requests < 7 && used + tokens <= 100
            };
            match limiter.acquire(&id, tokens) {
                Ok(permit) => {
                    prop_assert!(fits(now));
                    log.push((now, tokens));
                    if keep { held.push(permit) }
                }
                Err(refused) => {
                    prop_assert!(!fits(now));
                    prop_assert!(fits(now + refused.retry_after_ms));
                    prop_assert!(!fits(now + refused.retry_after_ms - 1));
                }
            }
        }
        prop_assert_eq!(limiter.remaining_quota(&id).unwrap().in_flight, held.len() as u64);
    }
}

#[test]
fn not_even_a_fraction_of_a_millisecond_leaves_the_window_too_early() {
    let (clock, limiter, id) = limiter(1, 0, 0);
    clock.advance(Duration::from_micros(500));
    drop(limiter.acquire(&id, 0).unwrap());
    clock.advance(Duration::from_micros(59_999_800));
    let refused = limiter.acquire(&id, 0).unwrap_err();
    clock.advance(Duration::from_millis(refused.retry_after_ms));
    assert!(limiter.acquire(&id, 0).is_ok());
}

#[test]
fn a_provider_without_a_limit_of_ours_is_believed_when_it_has_nothing_left() {
    let (clock, limiter, id) = limiter(0, 0, 0);
    let report = QuotaReport {
        remaining_tokens: Some(0),
        tokens_reset: Some(Duration::from_millis(250)),
        ..QuotaReport::default()
    };
    limiter.observe(&id, report);
    let refused = limiter.acquire(&id, 1).unwrap_err();
    assert_eq!(
        (refused.retry_after_ms, refused.limit),
        (250, RateLimitKind::Provider)
    );
    clock.advance(Duration::from_millis(250));
    assert!(limiter.acquire(&id, 1).is_ok());
}

#[test]
fn a_call_that_was_never_made_lets_a_waiter_through() {
    let (_, limiter, id) = limiter(0, 100, 0);
    let held = limiter.acquire(&id, 100).unwrap();
    let mut waiter = Box::pin(limiter.acquire_by(&id, 50, at(120_000)));
    assert!((&mut waiter).now_or_never().is_none());
    held.refund();
    assert!(waiter.now_or_never().unwrap().is_ok());
}
