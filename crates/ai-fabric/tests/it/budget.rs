//! Token budgets.

use openclaw_ai_fabric::budget::BUDGET_WINDOW;
use openclaw_ai_fabric::event::TokenBudgetWarning;
use openclaw_ai_fabric::{
    BudgetScope, ChatRequest, Estimator, OUTPUT_FLOOR, Reservation, ReserveError, ReserveRequest,
    StoredUsage, TokenBudget, TokenBudgetConfig,
};
use openclaw_core::testing::ManualClock;
use openclaw_core::{
    AccessTier, ChatMessage, Clock, EventContext, InProcessEventBus, Role, Subscription, TenantId,
};
use proptest::prelude::*;
use std::sync::{Arc, Barrier};
use std::time::Duration;

struct Bank {
    clock: Arc<ManualClock>,
    budget: TokenBudget,
    warnings: Subscription,
    _bus: Arc<InProcessEventBus>,
}

fn bank(config: TokenBudgetConfig) -> Bank {
    let clock = ManualClock::new();
    let bus = InProcessEventBus::new();
    let events = EventContext::new(Arc::clone(&bus) as _, Arc::clone(&clock) as _, "test");
    Bank {
        budget: TokenBudget::new(config, Arc::clone(&clock) as _, &events),
        warnings: bus.subscribe::<TokenBudgetWarning>(100),
        clock,
        _bus: bus,
    }
}

fn free(account: &str, input_estimate: u64, wanted_output: u64) -> ReserveRequest<'_> {
    ReserveRequest {
        account,
        tier: AccessTier::Free,
        input_estimate,
        wanted_output,
        model_limit: 4_096,
        floor: OUTPUT_FLOOR,
        correlation_id: None,
    }
}

fn loaded() -> Bank {
    let bank = bank(TokenBudgetConfig::default());
    bank.budget.prime("t", None);
    bank
}

fn reserve(bank: &Bank, input: u64, output: u64) -> Result<Reservation, ReserveError> {
    bank.budget.reserve(&free("t", input, output))
}

#[test]
fn of_64_at_once_exactly_as_many_pass_as_there_is_budget_for() {
    let bank = loaded();
    let barrier = Barrier::new(64);
    let reservations: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    reserve(&bank, 500, 500)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(
        reservations.iter().filter(|reserved| reserved.is_ok()).count(),
        10
    );
    drop(reservations);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!(
        (usage.reserved, usage.remaining, usage.resets_at),
        (0, Some(10_000), None)
    );
}

#[test]
fn a_russian_chat_of_the_free_tier() {
    let bank = loaded();
    let text = "Расскажи, пожалуйста, как устроен двигатель внутреннего сгорания. ".repeat(20);
    let chat = ChatRequest::new(vec![ChatMessage::text(Role::User, text)], 2_048);
    let input = Estimator::new().request(&"m".parse().unwrap(), &chat);
    // 1 320 characters at 2.2 a token, and the template.
    assert!((590..=625).contains(&input), "{input}");
    for _ in 0..3 {
        let reservation = reserve(&bank, input, 2_048).unwrap();
        assert_eq!(reservation.tokens(), input + 2_048);
        reservation.settle(input + 2_048);
    }
    let left = bank.budget.usage("t", AccessTier::Free).remaining.unwrap();
    let cut = reserve(&bank, input, 2_048).unwrap();
    assert_eq!(cut.output_allowed(), left - input);
    drop(cut);
    reserve(&bank, left - 300, 0x800).unwrap().settle(left - 300);
    let Err(ReserveError::Exceeded(error)) = reserve(&bank, 45, 2_048) else {
        panic!("255 tokens of output are below the floor");
    };
    assert_eq!(
        (error.limit, error.used, error.requested),
        (10_000, 9_700, 45 + 2_048)
    );
    assert_eq!(reserve(&bank, 44, 2_048).unwrap().output_allowed(), 256);
}

#[test]
fn a_request_that_wants_less_than_the_floor_is_content_with_it() {
    let bank = loaded();
    reserve(&bank, 9_900, 0).unwrap_err();
    assert_eq!(reserve(&bank, 9_900, 16).unwrap().output_allowed(), 16);
    assert!(reserve(&bank, 9_990, 16).is_err());
}

#[test]
fn a_window_lasts_24_hours_from_its_first_use() {
    let bank = loaded();
    bank.clock.advance(Duration::from_secs(1_000));
    let began = bank.clock.now();
    reserve(&bank, 100, 1_000).unwrap().settle(9_000);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!(
        (usage.used, usage.resets_at),
        (9_000, Some(began + BUDGET_WINDOW))
    );
    bank.clock.advance(BUDGET_WINDOW - Duration::from_millis(1));
    assert!(reserve(&bank, 1_000, 1_000).is_err());
    bank.clock.advance(Duration::from_millis(1));
    assert_eq!(bank.budget.usage("t", AccessTier::Free).remaining, Some(10_000));
}

#[test]
fn a_turn_across_the_edge_is_settled_to_the_window_it_began_in() {
    let bank = loaded();
    let old = reserve(&bank, 100, 1_000).unwrap();
    let began = old.window_started_at();
    bank.clock.advance(BUDGET_WINDOW);
    let new = reserve(&bank, 100, 1_000).unwrap();
    let settlement = old.settle(5_000);
    assert_eq!((settlement.window_started_at, settlement.tokens), (began, 5_000));
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!((usage.used, usage.reserved), (0, new.tokens()));
}

#[test]
fn an_admin_has_no_limit_and_is_counted_all_the_same() {
    let bank = loaded();
    let admin = ReserveRequest {
        tier: AccessTier::Admin,
        ..free("t", 1_000_000, 1_000_000)
    };
    let reservation = bank.budget.reserve(&admin).unwrap();
    assert_eq!(reservation.output_allowed(), 4_096);
    reservation.settle(2_000_000);
    let usage = bank.budget.usage("t", AccessTier::Admin);
    let json = serde_json::to_value(usage).unwrap();
    assert_eq!(
        (usage.used, &json["limit"], &json["remaining"]),
        (2_000_000, &serde_json::Value::Null, &serde_json::Value::Null)
    );
}

#[test]
fn warnings_are_published_once_a_window_at_80_and_at_100_per_cent() {
    let bank = loaded();
    let percents = || -> Vec<u8> {
        std::iter::from_fn(|| bank.warnings.try_next())
            .map(|envelope| envelope.payload::<TokenBudgetWarning>().unwrap().percent)
            .collect()
    };
    let settle = |tokens| reserve(&bank, 10, 256).unwrap().settle(tokens);
    settle(7_999);
    assert_eq!(percents(), [0_u8; 0]);
    settle(1);
    assert_eq!(percents(), [80]);
    settle(100);
    assert_eq!(percents(), [0_u8; 0]);
    settle(3_000);
    assert_eq!(percents(), [100]);
    assert!(reserve(&bank, 10, 256).is_err());
    assert_eq!(percents(), [0_u8; 0]);
    bank.clock.advance(BUDGET_WINDOW);
    settle(8_500);
    assert_eq!(percents(), [80]);
}

#[test]
fn a_longer_message_lowers_the_output_so_that_the_reservation_holds() {
    let bank = loaded();
    let mut reservation = reserve(&bank, 100, 1_000).unwrap();
    assert_eq!(reservation.refit(500, 4_096), Ok(600));
    assert_eq!(reservation.refit(500, 300), Ok(300));
    assert!(reservation.refit(900, 4_096).is_err());
    assert_eq!((reservation.tokens(), reservation.output_allowed()), (1_100, 300));
    assert_eq!(bank.budget.usage("t", AccessTier::Free).reserved, 1_100);
}

#[test]
fn the_store_is_believed_only_about_accounts_that_are_not_in_memory() {
    let bank = bank(TokenBudgetConfig::default());
    assert!(matches!(
        bank.budget.reserve(&free("t", 1, 300)),
        Err(ReserveError::NotLoaded)
    ));
    bank.budget.prime(
        "t",
        Some(StoredUsage {
            window_started_at: bank.clock.now(),
            used: 9_000,
            settled: 1,
        }),
    );
    bank.budget.prime("t", None);
    assert!(bank.budget.is_loaded("t"));
    assert_eq!(bank.budget.usage("t", AccessTier::Free).used, 9_000);
}

#[test]
fn idle_accounts_are_forgotten_at_the_bound_and_unstored_ones_are_not() {
    let bank = bank(TokenBudgetConfig {
        max_accounts: 10,
        ..TokenBudgetConfig::default()
    });
    for account in ["held", "unstored", "stored"] {
        bank.budget.prime(account, None);
    }
    let _held = bank.budget.reserve(&free("held", 1, 300)).unwrap();
    let _unstored = bank.budget.reserve(&free("unstored", 1, 300)).unwrap().settle(5);
    let stored = bank.budget.reserve(&free("stored", 1, 300)).unwrap().settle(5);
    bank.budget.stored(&stored);
    for number in 0..8 {
        bank.budget.prime(&format!("idle{number}"), None);
    }
    assert!(bank.budget.is_loaded("held") && bank.budget.is_loaded("unstored"));
    assert!(!bank.budget.is_loaded("stored"));
    assert_eq!(bank.budget.loaded_accounts(), 3);
}

#[test]
fn an_account_that_somebody_loads_stays_whatever_the_bound() {
    let bank = bank(TokenBudgetConfig {
        max_accounts: 1,
        ..TokenBudgetConfig::default()
    });
    let (one, other) = (bank.budget.keep("one"), bank.budget.keep("one"));
    bank.budget.prime("one", None);
    let stored = bank.budget.reserve(&free("one", 1, 300)).unwrap().settle(5);
    bank.budget.stored(&stored);
    for number in 0..8 {
        bank.budget.prime(&format!("idle{number}"), None);
        bank.budget.forget_idle();
        bank.budget.forget_idle();
    }
    drop(one);
    bank.budget.forget_idle();
    // What the store was asked before the account was used.
    bank.budget.prime("one", None);
    assert_eq!(bank.budget.usage("one", AccessTier::Free).used, 5);
    drop(other);
    bank.budget.forget_idle();
    assert_eq!(bank.budget.loaded_accounts(), 0);
}

#[test]
fn accounts_nobody_uses_are_forgotten_with_the_room_they_took() {
    let bank = bank(TokenBudgetConfig::default());
    bank.budget.prime("held", None);
    let _held = bank.budget.reserve(&free("held", 1, 300)).unwrap();
    bank.budget.prime("unstored", None);
    let unstored = bank.budget.reserve(&free("unstored", 1, 300)).unwrap().settle(5);
    for number in 0..5_000 {
        let account = format!("tenant{number}");
        bank.budget.prime(&account, None);
        let settled = bank.budget.reserve(&free(&account, 1, 300)).unwrap().settle(5);
        bank.budget.stored(&settled);
    }
    bank.budget.forget_idle();
    assert_eq!(bank.budget.loaded_accounts(), 5_002, "all were used just now");
    let again = bank.budget.reserve(&free("tenant7", 1, 300)).unwrap();
    bank.budget.stored(&again.settle(5));
    bank.budget.forget_idle();
    assert_eq!(bank.budget.loaded_accounts(), 3);
    assert!(bank.budget.is_loaded("tenant7"), "used in between");
    assert_eq!(bank.budget.usage("unstored", AccessTier::Free).used, 5);
    assert!(bank.budget.capacity() < 2_000, "{}", bank.budget.capacity());
    bank.budget.stored(&unstored);
    bank.budget.forget_idle();
    assert_eq!(
        bank.budget.loaded_accounts(),
        1,
        "what is reserved is not in the store"
    );
}

#[test]
fn the_api_is_charged_to_its_keys_user_whatever_the_scope() {
    let tenant = |text: &str| TenantId::parse(text).unwrap();
    let by_tenant = bank(TokenBudgetConfig::default()).budget;
    assert_eq!(by_tenant.account_for(&tenant("telegram:1:2")), "telegram:1:2");
    assert_eq!(
        by_tenant.account_for(&tenant("api:key:a")),
        by_tenant.account_for(&tenant("api:key:b"))
    );
    let by_user = bank(TokenBudgetConfig {
        scope: BudgetScope::User,
        ..TokenBudgetConfig::default()
    })
    .budget;
    assert_eq!(
        by_user.account_for(&tenant("telegram:1:2")),
        by_user.account_for(&tenant("telegram:1:3"))
    );
    assert_ne!(
        by_user.account_for(&tenant("telegram:1:2")),
        by_user.account_for(&tenant("max:1:2"))
    );
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u64, u64),
    Release(usize),
    Settle(usize, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..4_000, 0_u64..4_000).prop_map(|(input, output)| Step::Reserve(input, output)),
        1 => any::<usize>().prop_map(Step::Release),
        2 => (any::<usize>(), 0_u64..5_000).prop_map(|(which, tokens)| Step::Settle(which, tokens)),
        1 => (0_u64..40_000_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The model: what was settled and what is reserved, each with the start of its window.
    #[test]
    fn no_sequence_of_turns_reserves_more_than_is_left(steps in proptest::collection::vec(step(), 1..60)) {
        let bank = loaded();
        let (mut held, mut used, mut window) = (Vec::<Reservation>::new(), 0_u64, None);
        for step in steps {
            if window.is_some_and(|began| bank.clock.now().saturating_since(began) >= BUDGET_WINDOW) {
                (window, used) = (None, 0);
            }
            let reserved: u64 = held.iter().filter(|one| Some(one.window_started_at()) == window)
                .map(Reservation::tokens).sum();
            match step {
                Step::Reserve(input, output) => {
                    let left = 10_000_u64.saturating_sub(used).saturating_sub(reserved);
                    let allowed = left.checked_sub(input).map(|room| room.min(output));
                    let expected = allowed.filter(|allowed| *allowed >= 256.min(output) && *allowed > 0);
                    let got = reserve(&bank, input, output);
                    prop_assert_eq!(got.as_ref().ok().map(Reservation::output_allowed), expected);
                    if let Ok(reservation) = got {
                        prop_assert_eq!(reservation.tokens(), input + reservation.output_allowed());
                        window = Some(reservation.window_started_at());
                        held.push(reservation);
                    }
                }
                Step::Release(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                Step::Settle(which, tokens) if !held.is_empty() => {
                    let one = held.swap_remove(which % held.len());
                    if Some(one.window_started_at()) == window {
                        used += tokens;
                    }
                    bank.budget.stored(&one.settle(tokens));
                }
                Step::Release(_) | Step::Settle(..) => {}
                Step::Pass(millis) => bank.clock.advance(Duration::from_millis(millis)),
            }
            let current = held.iter().any(|one| Some(one.window_started_at()) == window);
            if used == 0 && !current {
                window = None;
            }
        }
        drop(held);
        prop_assert_eq!(bank.budget.usage("t", AccessTier::Free).reserved, 0);
    }
}

#[test]
fn other_limits_count_for_what_follows_and_leave_reservations_alone() {
    let bank = loaded();
    let held = reserve(&bank, 0, 9_000).unwrap();
    let tokens = held.tokens();
    let mut config = TokenBudgetConfig::default();
    config.limits.free = Some(tokens);
    bank.budget.configure(config);
    assert!(reserve(&bank, 0, 256).is_err());
    assert_eq!(held.tokens(), tokens);
    held.settle(1_000);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!(
        (usage.limit, usage.remaining),
        (Some(tokens), Some(tokens - 1_000))
    );
}

#[test]
fn details_tell_since_when_and_for_how_many_turns_tokens_are_set_aside() {
    let bank = loaded();
    let began = bank.clock.now();
    let first = reserve(&bank, 0, 300).unwrap();
    bank.clock.advance(Duration::from_secs(5));
    let second = reserve(&bank, 0, 300).unwrap();
    let details = bank.budget.details("t", AccessTier::Free);
    assert_eq!((details.outstanding, details.reserved_since), (2, Some(began)));
    assert_eq!(details.window_started_at, Some(began));
    first.settle(10);
    drop(second);
    let details = bank.budget.details("t", AccessTier::Free);
    assert_eq!(
        (details.outstanding, details.reserved_since, details.settled),
        (0, None, 1)
    );
}

#[test]
fn a_budget_started_over_begins_a_window_that_nothing_of_the_old_one_counts_in() {
    let bank = loaded();
    let old = bank.budget.reserve(&free("t", 100, 300)).unwrap();
    let over = bank.budget.window_to_close("t");
    assert_eq!(over, old.window_started_at());
    bank.budget.reset("t", over);
    // No time has passed: the windows differ all the same.
    let new = bank.budget.reserve(&free("t", 10, 300)).unwrap();
    assert!(new.window_started_at() > over);
    let reserved = new.tokens();
    let settlement = old.settle(5_000);
    assert_eq!(settlement.window_started_at, over);
    let usage = bank.budget.usage("t", AccessTier::Free);
    assert_eq!((usage.used, usage.reserved), (0, reserved));
    // What began after the time that was named is not over.
    bank.budget.reset("t", over);
    drop(new.settle(20));
    assert_eq!(bank.budget.usage("t", AccessTier::Free).used, 20);
}

#[test]
fn a_budget_that_is_known_as_started_over_begins_its_window_with_its_first_use() {
    let bank = bank(TokenBudgetConfig::default());
    let over = bank.clock.now() + Duration::from_secs(60);
    bank.budget.prime(
        "t",
        Some(StoredUsage {
            window_started_at: over,
            used: 0,
            settled: 0,
        }),
    );
    assert_eq!(bank.budget.usage("t", AccessTier::Free).resets_at, None);
    let early = bank.budget.reserve(&free("t", 10, 300)).unwrap();
    assert!(
        early.window_started_at() > over,
        "a clock that was set back makes no window that is over"
    );
    drop(early);
    bank.clock.advance(Duration::from_secs(3_600));
    let first = bank.budget.reserve(&free("t", 10, 300)).unwrap();
    assert_eq!(first.window_started_at(), bank.clock.now());
}
