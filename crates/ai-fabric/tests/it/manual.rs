//! The operations manual's sections 1.2 and 2.4, row by row: every number and name it gives is one of these tests.

use crate::router::{errors, request, run};
use crate::support::{World, server_error};
use openclaw_ai_fabric::event::{FallbackTriggered, RateLimitHit, TokenBudgetWarning};
use openclaw_ai_fabric::{
    CircuitConfig, FREE_POOL, FallbackChain, ModelError, OUTPUT_FLOOR, ProviderRateLimit, RateLimitPermit,
    RateLimiter, Reservation, ReserveError, ReserveRequest, RouterConfig, StoredUsage, TokenBudget,
    TokenBudgetConfig,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{
    AccessTier, Clock, CodedError, EventContext, InProcessEventBus, ProviderId, Subscription,
};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

struct Bank {
    clock: Arc<ManualClock>,
    budget: TokenBudget,
    warnings: Subscription,
    _bus: Arc<InProcessEventBus>,
}

fn bank(config: TokenBudgetConfig) -> Bank {
    let clock = ManualClock::new();
    let bus = InProcessEventBus::new();
    let warnings = bus.subscribe_all(100);
    let context = EventContext::new(Arc::clone(&bus) as _, Arc::clone(&clock) as _, "test");
    let budget = TokenBudget::new(config, Arc::clone(&clock) as _, &context);
    budget.prime("t", None);
    Bank {
        clock,
        budget,
        warnings,
        _bus: bus,
    }
}

impl Bank {
    fn reserve(&self, account: &str, tier: AccessTier, tokens: u64) -> Result<Reservation, ReserveError> {
        self.budget.reserve(&ReserveRequest {
            account,
            tier,
            input_estimate: 0,
            wanted_output: tokens,
            model_limit: u64::MAX,
            // All or nothing, so that a number of the manual is met exactly.
            floor: tokens.max(OUTPUT_FLOOR),
            correlation_id: None,
        })
    }

    fn warned(&self) -> Vec<(String, u8)> {
        std::iter::from_fn(|| self.warnings.try_next())
            .filter_map(|event| {
                let warning = event.payload::<TokenBudgetWarning>()?;
                Some((warning.account.clone(), warning.percent))
            })
            .collect()
    }
}

fn limiter(limits: ProviderRateLimit) -> (Arc<ManualClock>, RateLimiter, ProviderId) {
    let clock = ManualClock::new();
    let limiter = RateLimiter::new(Arc::clone(&clock) as _);
    let id: ProviderId = "p".parse().unwrap();
    limiter.set_limits(&id, limits);
    (clock, limiter, id)
}

/// `TokenBudget.getUsage(tenantId)` gives `{ used, limit, remaining }`.
#[test]
fn manual_1_2_usage_is_used_limit_and_remaining() {
    let bank = bank(TokenBudgetConfig::default());
    bank.reserve("t", AccessTier::Free, 2_000).unwrap().settle(1_500);
    let _held = bank.reserve("t", AccessTier::Free, 500).unwrap();
    let json = serde_json::to_value(bank.budget.usage("t", AccessTier::Free)).unwrap();
    assert_eq!(json["used"], 1_500);
    assert_eq!(json["limit"], 10_000);
    assert_eq!(json["remaining"], 8_000, "what is set aside is not left");
    let unlimited = serde_json::to_value(bank.budget.usage("t", AccessTier::Admin)).unwrap();
    assert!(unlimited["limit"].is_null() && unlimited["remaining"].is_null());
}

/// "Сброс каждые 24 часа."
#[test]
fn manual_1_2_usage_resets_every_24_hours() {
    let bank = bank(TokenBudgetConfig::default());
    for _ in 0..3 {
        let whole = bank.reserve("t", AccessTier::Free, 10_000).unwrap();
        whole.settle(10_000);
        bank.clock.advance(24 * HOUR - Duration::from_millis(1));
        assert!(bank.reserve("t", AccessTier::Free, 256).is_err());
        bank.clock.advance(Duration::from_millis(1));
        assert_eq!(bank.budget.usage("t", AccessTier::Free).remaining, Some(10_000));
    }
}

/// `requestsPerMinute`, `tokensPerMinute`, `concurrentRequests`: each refuses under its own name.
#[test]
fn manual_1_2_the_rate_limiter_tracks_its_three_counts() {
    let one = |limit: u64| NonZeroU64::new(limit);
    let none = ProviderRateLimit::default();
    let cases = [
        (
            ProviderRateLimit {
                requests_per_minute: one(2),
                ..none
            },
            "requestsPerMinute",
        ),
        (
            ProviderRateLimit {
                tokens_per_minute: one(20),
                ..none
            },
            "tokensPerMinute",
        ),
        (
            ProviderRateLimit {
                concurrent_requests: one(2),
                ..none
            },
            "concurrentRequests",
        ),
    ];
    for (limits, name) in cases {
        let (_, limiter, id) = limiter(limits);
        let held: Vec<RateLimitPermit> = (0..2).map(|_| limiter.acquire(&id, 10).unwrap()).collect();
        let refused = limiter.acquire(&id, 10).unwrap_err();
        assert_eq!(refused.limit.as_str(), name);
        assert!(refused.retry_after_ms > 0);
        drop(held);
        // Places come back at once; what was counted in the minute stays counted.
        assert_eq!(
            limiter.acquire(&id, 10).is_ok(),
            name == "concurrentRequests",
            "{name}"
        );
    }
}

/// "скользящее окно 60 сек": exact to the millisecond, and no burst of twice the limit at a minute's edge.
#[test]
fn manual_1_2_the_window_slides_over_60_seconds() {
    let limits = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(10),
        ..ProviderRateLimit::default()
    };
    let (clock, limiter, id) = limiter(limits);
    clock.advance(Duration::from_secs(59));
    for _ in 0..10 {
        drop(limiter.acquire(&id, 1).unwrap());
    }
    clock.advance(Duration::from_secs(2));
    assert!(
        limiter.acquire(&id, 1).is_err(),
        "a calendar minute would let ten more through"
    );
    clock.advance(Duration::from_millis(57_999));
    assert_eq!(limiter.acquire(&id, 1).unwrap_err().retry_after_ms, 1);
    clock.advance(Duration::from_millis(1));
    for _ in 0..10 {
        drop(limiter.acquire(&id, 1).unwrap());
    }
    assert!(limiter.acquire(&id, 1).is_err());
}

/// `getRemainingQuota(providerId)`.
#[test]
fn manual_1_2_remaining_quota_tells_what_is_left_of_each_limit() {
    let limits = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(10),
        tokens_per_minute: NonZeroU64::new(1_000),
        concurrent_requests: NonZeroU64::new(3),
    };
    let (clock, limiter, id) = limiter(limits);
    let held = limiter.acquire(&id, 300).unwrap();
    limiter.acquire(&id, 300).unwrap().settle(50);
    let left = limiter.remaining_quota(&id).unwrap();
    assert_eq!((left.requests, left.tokens), (Some(8), Some(650)));
    assert_eq!((left.concurrent, left.in_flight), (Some(2), 1));
    drop(held);
    clock.advance(Duration::from_secs(60));
    let left = limiter.remaining_quota(&id).unwrap();
    assert_eq!(
        (left.requests, left.tokens, left.concurrent),
        (Some(10), Some(1_000), Some(3))
    );
    assert!(limiter.remaining_quota(&"nobody".parse().unwrap()).is_none());
}

/// "основная модель, список запасных, maxRetries, retryDelayMs": one attempt and exactly `maxRetries` retries of each,
/// `retryDelayMs` before the first, doubled.
#[test]
fn manual_1_2_a_fallback_chain_tries_each_model_once_and_exactly_max_retries_times_more() {
    for max_retries in 0..4_u32 {
        let config = RouterConfig {
            retries_per_minute: 1_000,
            ..RouterConfig::default()
        };
        let circuit = CircuitConfig {
            failure_threshold: 1_000,
            ..CircuitConfig::default()
        };
        let world = World::with(config, circuit, ProviderRateLimit::default());
        world.port.script((0..100).map(|_| server_error()));
        let mut asked = request(&["b", "c"]);
        asked.chain = FallbackChain {
            max_retries,
            retry_delay: Duration::from_millis(100),
            ..asked.chain
        };
        let (_, error, _) = run(&world, world.router.route(asked));
        let each = 1 + max_retries as usize;
        assert_eq!(errors(error).len(), 3 * each);
        let called = world.port.called();
        for model in ["a", "b", "c"] {
            assert_eq!(
                called.iter().filter(|one| *one == model).count(),
                each,
                "{called:?}"
            );
        }
        let times = world.port.times();
        for (retry, pair) in times.windows(2).take(max_retries as usize).enumerate() {
            let least = Duration::from_millis(100) * 2_u32.pow(retry as u32);
            let gap = pair[1] - pair[0];
            assert!(
                (least..=least.mul_f64(1.26)).contains(&gap),
                "{gap:?} before retry {retry}"
            );
        }
    }
}

/// "Мониторить через события шины."
#[test]
fn manual_1_2_fallbacks_are_seen_on_the_bus() {
    let world = World::new();
    world.port.script((0..3).map(|_| server_error()));
    let fallbacks = world.bus.subscribe::<FallbackTriggered>(10);
    let (_, error, _) = run(&world, world.router.route(request(&["b"])));
    assert_eq!(error, None);
    let event = fallbacks.try_next().expect("one switch");
    let event = event.payload::<FallbackTriggered>().unwrap();
    assert_eq!(event.primary_model.as_str(), "a");
    assert_eq!(
        (event.from_model.as_str(), event.fallback_model.as_str()),
        ("a", "b")
    );
    assert_eq!(event.reason, "MODEL_SERVER_ERROR");
    assert!(fallbacks.try_next().is_none());
}

/// Exactly so much in 24 h, and not a token more.
#[track_caller]
fn check_tier(tier: AccessTier, limit: u64) {
    let bank = bank(TokenBudgetConfig::default());
    assert_eq!(bank.budget.usage("t", tier).limit, Some(limit));
    bank.reserve("t", tier, limit - 256).unwrap().settle(limit - 256);
    assert!(matches!(
        bank.reserve("t", tier, 257),
        Err(ReserveError::Exceeded(_))
    ));
    bank.reserve("t", tier, 256).unwrap().settle(256);
    assert_eq!(bank.budget.usage("t", tier).remaining, Some(0));
    assert!(bank.reserve("t", tier, 256).is_err());
}

#[test]
fn manual_2_4_free() {
    check_tier(AccessTier::Free, 10_000);
}

#[test]
fn manual_2_4_standard() {
    check_tier(AccessTier::Standard, 100_000);
}

#[test]
fn manual_2_4_premium() {
    check_tier(AccessTier::Premium, 1_000_000);
}

#[test]
fn manual_2_4_admin() {
    let bank = bank(TokenBudgetConfig::default());
    let much = u64::MAX / 4;
    for _ in 0..3 {
        bank.reserve("t", AccessTier::Admin, much).unwrap().settle(much);
    }
    let usage = bank.budget.usage("t", AccessTier::Admin);
    assert_eq!((usage.limit, usage.remaining), (None, None));
    assert_eq!(usage.used, 3 * much, "what has no limit is counted all the same");
    assert_eq!(bank.warned(), [], "nothing to warn of");
}

/// "Автосброс каждые 24 часа от момента первого использования": from the first use, not from midnight or from the start.
#[test]
fn manual_2_4_the_reset_counts_from_the_first_use() {
    let bank = bank(TokenBudgetConfig::default());
    bank.clock.advance(20 * HOUR);
    assert_eq!(
        bank.budget.usage("t", AccessTier::Free).resets_at,
        None,
        "no window has begun"
    );
    let first = bank.clock.now();
    bank.reserve("t", AccessTier::Free, 1_000).unwrap().settle(1_000);
    bank.clock.advance(10 * HOUR);
    bank.reserve("t", AccessTier::Free, 1_000).unwrap().settle(1_000);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!((usage.used, usage.resets_at), (2_000, Some(first + 24 * HOUR)));
    bank.clock.advance(14 * HOUR);
    assert_eq!(bank.budget.usage("t", AccessTier::Free).used, 0);
    // The next window begins with its own first use.
    bank.clock.advance(5 * HOUR);
    let second = bank.clock.now();
    bank.reserve("t", AccessTier::Free, 300).unwrap().settle(300);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!(usage.resets_at, Some(second + 24 * HOUR));
}

/// What a store knows counts from its own beginning, also in a new process.
#[test]
fn manual_2_4_the_window_goes_on_after_a_restart() {
    let bank = bank(TokenBudgetConfig::default());
    let began = bank.clock.now();
    bank.clock.advance(23 * HOUR);
    let stored = StoredUsage {
        window_started_at: began,
        used: 9_900,
        settled: 3,
    };
    bank.budget.prime("old", Some(stored));
    assert!(bank.reserve("old", AccessTier::Free, 256).is_err());
    assert_eq!(bank.budget.details("old", AccessTier::Free).settled, 3);
    bank.clock.advance(HOUR);
    assert!(bank.reserve("old", AccessTier::Free, 256).is_ok());
}

/// Warned at 80 % and at 100 %, each once a window.
#[test]
fn manual_2_4_a_budget_warns_once_a_window_at_80_and_at_100_per_cent() {
    let bank = bank(TokenBudgetConfig::default());
    let spend = |tokens| {
        bank.reserve("t", AccessTier::Free, tokens)
            .unwrap()
            .settle(tokens);
    };
    spend(7_999);
    assert_eq!(bank.warned(), []);
    bank.reserve("t", AccessTier::Free, 300).unwrap().settle(1);
    assert_eq!(bank.warned(), [("t".to_owned(), 80)], "8 000 of 10 000");
    spend(300);
    assert_eq!(bank.warned(), []);
    spend(1_700);
    for _ in 0..3 {
        assert!(bank.reserve("t", AccessTier::Free, 256).is_err());
    }
    assert_eq!(bank.warned(), [("t".to_owned(), 100)]);
    bank.clock.advance(24 * HOUR);
    spend(9_000);
    assert_eq!(bank.warned(), [("t".to_owned(), 80)]);
}

/// The free tier as a whole has a ceiling where one is set; other tiers are not concerned, failures give all back.
#[test]
fn the_free_tier_together_stays_below_its_ceiling() {
    let config = TokenBudgetConfig {
        free_total: Some(12_000),
        ..TokenBudgetConfig::default()
    };
    let bank = bank(config);
    bank.budget.prime("other", None);
    assert!(matches!(
        bank.reserve("t", AccessTier::Free, 256),
        Err(ReserveError::NotLoaded)
    ));
    assert_eq!(bank.budget.pool_of(AccessTier::Free), Some(FREE_POOL));
    assert_eq!(bank.budget.pool_of(AccessTier::Standard), None);
    bank.budget.prime(FREE_POOL, None);
    bank.reserve("t", AccessTier::Free, 9_000).unwrap().settle(9_000);
    let held = bank.reserve("other", AccessTier::Free, 3_000).unwrap();
    let Err(ReserveError::Exceeded(refused)) = bank.reserve("other", AccessTier::Free, 256) else {
        panic!("the ceiling holds what is set aside, too");
    };
    assert_eq!((refused.limit, refused.used), (12_000, 12_000));
    drop(held);
    let settled = bank
        .reserve("other", AccessTier::Free, 2_500)
        .unwrap()
        .settle(2_500);
    assert!(settled.pool_window.is_some(), "both are stored");
    assert_eq!(bank.budget.free_usage().unwrap().used, 11_500);
    assert!(bank.reserve("other", AccessTier::Free, 1_000).is_err());
    assert!(bank.reserve("other", AccessTier::Standard, 1_000).is_ok());
    let warned = bank.warned();
    assert!(warned.contains(&(FREE_POOL.to_owned(), 80)), "{warned:?}");
}

/// Manual 10, "Rate limit": the refusal carries `retryAfterMs`, and the bus is told which limit it was.
#[test]
fn manual_10_a_rate_limit_tells_when_to_come_back() {
    let limits = ProviderRateLimit {
        requests_per_minute: NonZeroU64::new(1),
        ..ProviderRateLimit::default()
    };
    let world = World::with(RouterConfig::default(), CircuitConfig::default(), limits);
    let hits = world.bus.subscribe::<RateLimitHit>(10);
    assert_eq!(run(&world, world.router.route(request(&[]))).1, None);
    let mut second = request(&[]);
    second.deadline = crate::support::at(5_000);
    let (_, error, _) = run(&world, world.router.route(second));
    let refused = errors(error);
    let [
        ModelError::RateLimited {
            retry_after: Some(wait),
        },
    ] = refused.as_slice()
    else {
        panic!("{refused:?}");
    };
    assert!(*wait > Duration::from_secs(55), "{wait:?}");
    let hit = hits.try_next().unwrap();
    let hit = hit.payload::<RateLimitHit>().unwrap();
    assert_eq!(
        (hit.limit, hit.retry_after_ms > 55_000),
        ("requestsPerMinute", true)
    );
}

/// Manual 10, "Бюджет токенов": the refusal says what was asked, what is allowed and when it resets.
#[test]
fn manual_10_a_used_up_budget_tells_when_it_resets() {
    let bank = bank(TokenBudgetConfig::default());
    let began = bank.clock.now();
    bank.reserve("t", AccessTier::Free, 9_800).unwrap().settle(9_800);
    let Err(ReserveError::Exceeded(error)) = bank.reserve("t", AccessTier::Free, 900) else {
        panic!("there is no room for it");
    };
    assert_eq!(error.code(), "TOKEN_BUDGET_EXCEEDED");
    assert_eq!((error.limit, error.used, error.requested), (10_000, 9_800, 900));
    assert_eq!(error.resets_at, began + 24 * HOUR);
}
