//! Feedback: one opinion of an answer, kept through a crash, gone with its tenant and in time.

use super::fixture::{accept_one, commit, t, tenant_of};
use super::{Store, StoreUnderTest};
use crate::ports::{EntryId, Feedback, Opinion, Rating, StoreError, Sweep};
use openclaw_core::Timestamp;
use openclaw_session::TenantKey;

fn opinion(entry: EntryId, rating: Rating, text: Option<&str>, at: Timestamp) -> Feedback {
    Feedback {
        entry,
        opinion: Opinion {
            rating,
            text: text.map(str::to_owned),
        },
        at,
    }
}

/// All that a person thinks of answers.
async fn of(store: &dyn Store, tenant: TenantKey) -> Result<Vec<Feedback>, StoreError> {
    store.feedback(tenant, EntryId(0)..=EntryId(i64::MAX)).await
}

/// A person with an answer.
async fn answered(store: &dyn Store, user: &str, key: &str, at: Timestamp) -> (TenantKey, EntryId) {
    let entry = accept_one(store, user, key, at).await;
    commit(store, entry.id, at, "said", 1).await.unwrap();
    (tenant_of(store, user).await.key, entry.id)
}

/// Another opinion takes the place of the first, with its words; those of other answers and people are left alone.
pub async fn of_one_answer_the_latest_opinion_is_kept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let (one, first) = answered(store, "1", "a", t(0)).await;
    let (_, second) = answered(store, "1", "b", t(1)).await;
    let (two, third) = answered(store, "2", "c", t(2)).await;
    let kept = [
        opinion(first, Rating::Down, Some("wrong \0 'day'"), t(9)),
        opinion(second, Rating::Up, None, t(4)),
    ];
    let of_two = opinion(third, Rating::Up, Some("good"), t(5));
    assert!(
        store
            .rate(one, opinion(first, Rating::Up, Some("right"), t(3)))
            .await
            .unwrap()
    );
    assert!(store.rate(one, kept[1].clone()).await.unwrap());
    assert!(store.rate(two, of_two.clone()).await.unwrap());
    assert!(store.rate(one, kept[0].clone()).await.unwrap());
    assert_eq!(of(store, one).await.unwrap(), kept);
    for (entries, asked_for) in [(first..=first, &kept[..1]), (second..=third, &kept[1..])] {
        assert_eq!(store.feedback(one, entries).await.unwrap(), asked_for);
    }
    let under_test = under_test.crash().await;
    let store = under_test.store();
    assert_eq!(of(store, one).await.unwrap(), kept);
    assert_eq!(of(store, two).await.unwrap(), [of_two]);
}

/// Nothing is kept of a tenant who is gone, nor for one.
pub async fn feedback_goes_with_its_tenant<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let (one, entry) = answered(store, "1", "a", t(0)).await;
    let said = opinion(entry, Rating::Up, None, t(1));
    assert!(store.rate(one, said.clone()).await.unwrap());
    assert!(store.delete(one).await.unwrap());
    assert_eq!(of(store, one).await.unwrap(), []);
    assert!(!store.rate(one, said).await.unwrap());
    assert_eq!(of(store, one).await.unwrap(), []);
}

/// As old as what was said in the conversation may get, and no older.
pub async fn old_feedback_is_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let (one, entry) = answered(store, "1", "a", t(0)).await;
    let (_, later) = answered(store, "1", "b", t(0)).await;
    let young = opinion(later, Rating::Down, None, t(10));
    store
        .rate(one, opinion(entry, Rating::Up, Some("old"), t(9)))
        .await
        .unwrap();
    store.rate(one, young.clone()).await.unwrap();
    let sweep = Sweep {
        now: t(20),
        closed_before: t(0),
        history_before: t(10),
        limit: 1,
    };
    while store.sweep(sweep).await.unwrap().more {}
    assert_eq!(of(store, one).await.unwrap(), [young]);
}
