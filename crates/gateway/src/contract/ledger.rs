//! The ledger: what calls have cost, written with turns and usage, added up, kept through a crash, forgotten in time.

use super::fixture::{DAY, accept_one, answer, begin, begin_with, close_as, lost, t};
use super::{Store, StoreUnderTest};
use crate::ledger::{FORGOTTEN_PAYER, LEDGER_DAYS, Spent, SpentBy, SpentQuery, SpentRow, SpentSums, day_of};
use crate::ports::{AccountUsage, CommitTurn, Outcome, Sweep, USAGE_KEPT, UsageDelta};
use openclaw_core::AccessTier;
use std::time::Duration;

fn spent(day: i64, payer: &str, model: &str, tokens: u64) -> Spent {
    Spent {
        day,
        payer: payer.to_owned(),
        tier: AccessTier::Standard,
        provider: "p".parse().unwrap(),
        model: model.parse().unwrap(),
        sums: SpentSums {
            calls: 1,
            estimated_calls: 0,
            input_tokens: tokens,
            output_tokens: 1,
            cost_micros: 5,
        },
    }
}

async fn sums(store: &dyn Store, by: SpentBy, since_day: i64) -> Vec<(String, u64, u64)> {
    let query = SpentQuery {
        by,
        since_day,
        payer: None,
        limit: 99,
    };
    let rows = store.spent(query).await.unwrap();
    rows.into_iter()
        .map(|row| (row.key, row.sums.calls, row.sums.input_tokens))
        .collect()
}

fn row(key: &str, calls: u64, tokens: u64) -> (String, u64, u64) {
    (key.to_owned(), calls, tokens)
}

/// The same day, payer, tier and model are one row; every question adds up the same rows.
pub async fn what_was_spent_is_added_up_by_tenant_tier_model_and_day<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let all = vec![
        spent(10, "a", "m", 100),
        spent(10, "a", "m", 50),
        spent(11, "a", "n", 7),
        spent(11, "b", "m", 20),
    ];
    under_test.store().add_usage(Vec::new(), all).await.unwrap();
    let under_test = under_test.crash().await;
    let store = under_test.store();
    assert_eq!(
        sums(store, SpentBy::Tenant, 0).await,
        [row("a", 3, 157), row("b", 1, 20)]
    );
    assert_eq!(
        sums(store, SpentBy::Model, 0).await,
        [row("p/m", 3, 170), row("p/n", 1, 7)]
    );
    assert_eq!(sums(store, SpentBy::Tier, 0).await, [row("standard", 4, 177)]);
    assert_eq!(
        sums(store, SpentBy::Day, 0).await,
        [row("10", 2, 150), row("11", 2, 27)]
    );
    assert_eq!(
        sums(store, SpentBy::Tenant, 11).await,
        [row("b", 1, 20), row("a", 1, 7)]
    );
    let one = SpentQuery {
        by: SpentBy::Model,
        since_day: 0,
        payer: Some("a".to_owned()),
        limit: 1,
    };
    let rows = store.spent(one).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].sums.cost_micros, 10);
    assert_eq!(rows[0].sums.output_tokens, 2);
}

/// One transaction with the turn's end.
pub async fn a_turn_is_written_into_the_ledger_with_its_end<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    let end = CommitTurn {
        spent: vec![spent(3, "a", "m", 9)],
        ..answer(entry.id, grant.fence, t(2))
    };
    store.commit_turn(end.clone()).await.unwrap();
    // The turn has its end: nothing of a second one counts.
    assert!(store.commit_turn(end).await.is_err());
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("a", 1, 9)]);
}

/// A charge that nobody can find again would look like an error of the budget.
pub async fn a_turn_that_a_crash_cuts_is_in_the_ledger<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    begin_with(store, entry.id, t(1), Some(40)).await.unwrap();
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [], "it may still end");
    let under_test = under_test.crash().await;
    let all = SpentQuery {
        by: SpentBy::Model,
        since_day: day_of(t(0)),
        payer: Some("budget".into()),
        limit: 9,
    };
    let rows = under_test.store().spent(all).await.unwrap();
    let expected = SpentRow {
        key: "p/m".into(),
        sums: lost(40).sums,
    };
    assert_eq!(rows, [expected]);
    let under_test = under_test.crash().await;
    assert_eq!(
        sums(under_test.store(), SpentBy::Tenant, 0).await,
        [row("budget", 1, 40)],
        "once"
    );
}

/// Taken over, left running, deleted; and not when it was given back or came to its end.
pub async fn a_turn_without_an_end_is_in_the_ledger_as_often_as_it_is_charged<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    begin_with(store, entry.id, t(1), Some(7)).await.unwrap();
    let second = begin_with(store, entry.id, t(2), Some(20)).await.unwrap();
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("budget", 1, 7)]);
    store.release(entry.id, second.fence, t(3)).await.unwrap();
    let third = begin_with(store, entry.id, t(4), Some(30)).await.unwrap();
    store
        .commit_turn(answer(entry.id, third.fence, t(5)))
        .await
        .unwrap();
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("budget", 1, 7)]);
    let left = accept_one(store, "1", "b", t(6)).await;
    begin_with(store, left.id, t(7), Some(2)).await.unwrap();
    close_as(store, left.id, Outcome::Failed, t(8), Vec::new()).await;
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("budget", 2, 9)]);
    let gone = accept_one(store, "1", "c", t(9)).await;
    begin_with(store, gone.id, t(10), Some(1)).await.unwrap();
    assert!(store.delete(gone.key).await.unwrap());
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("budget", 3, 10)]);
    let used = store.usage("budget").await.unwrap().unwrap();
    assert_eq!((used.used, used.settled), (10, 3));
}

/// The sums stay; whose they were is forgotten.
pub async fn a_deleted_tenants_sums_stay_without_its_name<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let payer = entry.tenant.tenant_id.to_string();
    let all = vec![
        spent(3, &payer, "m", 9),
        spent(3, FORGOTTEN_PAYER, "m", 1),
        spent(4, &payer, "m", 2),
        spent(4, "other", "m", 4),
    ];
    store.add_usage(Vec::new(), all).await.unwrap();
    assert!(store.delete(entry.key).await.unwrap());
    assert_eq!(
        sums(store, SpentBy::Tenant, 0).await,
        [row(FORGOTTEN_PAYER, 3, 12), row("other", 1, 4)]
    );
}

/// Retention.
pub async fn old_days_of_the_ledger_are_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let now = t(0) + DAY * 1_000;
    let today = day_of(now);
    let all = vec![
        spent(today - LEDGER_DAYS - 1, "a", "m", 9),
        spent(today - LEDGER_DAYS, "a", "m", 1),
    ];
    store.add_usage(Vec::new(), all).await.unwrap();
    let sweep = Sweep {
        now,
        closed_before: t(0),
        history_before: t(0),
        limit: 9,
    };
    store.sweep(sweep).await.unwrap();
    assert_eq!(sums(store, SpentBy::Tenant, 0).await, [row("a", 1, 1)]);
}

/// One row of every budget that was ever used would be without end.
pub async fn usage_of_windows_long_over_is_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let delta = |account: &str, window_started_at| UsageDelta {
        account: account.into(),
        window_started_at,
        tokens: 5,
        settled: 1,
    };
    let (oldest, before) = (t(0), t(0) - Duration::from_millis(1));
    let all = vec![
        delta("old", before),
        delta("older", before - DAY),
        delta("kept", oldest),
        // Used again: there is one window only.
        delta("in use", before),
        delta("in use", oldest + DAY),
    ];
    store.add_usage(all, Vec::new()).await.unwrap();
    let sweep = Sweep {
        now: oldest + USAGE_KEPT,
        closed_before: t(0),
        history_before: t(0),
        limit: 1,
    };
    let mut rounds = 0;
    while store.sweep(sweep).await.unwrap().more {
        rounds += 1;
        assert!(rounds < 9, "it never ends");
    }
    for (account, is_kept) in [("old", false), ("older", false), ("kept", true), ("in use", true)] {
        let known = store.usage(account).await.unwrap();
        assert_eq!(known.is_some(), is_kept, "{account}");
    }
}

/// What ends or crashes later counts in the window it was taken from, and that is over.
pub async fn a_budget_started_over_takes_nothing_more_of_what_is_over<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let delta = |window, tokens| UsageDelta {
        account: "budget".into(),
        window_started_at: t(window),
        tokens,
        settled: 1,
    };
    // One turn runs, of a window nothing of which is stored yet; another one's usage is.
    let entry = accept_one(store, "1", "a", t(0)).await;
    begin_with(store, entry.id, t(1), Some(40)).await.unwrap();
    let other = accept_one(store, "2", "b", t(0)).await;
    let ends = begin_with(store, other.id, t(1), Some(40)).await.unwrap();
    store.reset_usage("budget", t(2)).await.unwrap();
    let nothing = Some(AccountUsage {
        account: "budget".into(),
        window_started_at: t(2) + Duration::from_millis(1),
        used: 0,
        settled: 0,
    });
    assert_eq!(store.usage("budget").await.unwrap(), nothing);
    let end = CommitTurn {
        usage: vec![delta(0, 50)],
        ..answer(other.id, ends.fence, t(3))
    };
    store.commit_turn(end).await.unwrap();
    store.add_usage(vec![delta(2, 7)], Vec::new()).await.unwrap();
    let under_test = under_test.crash().await;
    let store = under_test.store();
    assert_eq!(store.recovery().settled_reservations, 1);
    assert_eq!(store.usage("budget").await.unwrap(), nothing);
    store.add_usage(vec![delta(9, 5)], Vec::new()).await.unwrap();
    let used = store.usage("budget").await.unwrap().unwrap();
    assert_eq!((used.window_started_at, used.used), (t(9), 5));
    // A window that has begun meanwhile is not over.
    store.reset_usage("budget", t(8)).await.unwrap();
    assert_eq!(store.usage("budget").await.unwrap().unwrap().used, 5);
}
