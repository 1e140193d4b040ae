//! What was said and what was used.

use super::{DAY, Store, StoreUnderTest, accept_one, answer, begin, commit, said, t};
use crate::ports::{
    AccountUsage, CloseEntry, CommitTurn, HISTORY_KEPT, NewHistoryMessage, Outcome, StoreError, Sweep,
    UsageDelta,
};
use openclaw_session::TenantKey;

async fn texts(store: &dyn Store, tenant: TenantKey, max_messages: usize, max_tokens: u64) -> Vec<String> {
    let history = store.history(tenant, max_messages, max_tokens).await.unwrap();
    assert!(
        history.windows(2).all(|pair| pair[0].seq < pair[1].seq),
        "{history:?}"
    );
    history.iter().map(|said| said.message.joined_text()).collect()
}

async fn say(store: &dyn Store, user: &str, seconds: i64, text: &str, tokens: u64) -> TenantKey {
    let entry = accept_one(store, user, &format!("{user}-{seconds}"), t(seconds)).await;
    commit(store, entry.id, t(seconds), text, tokens).await.unwrap();
    entry.key
}

fn usage(window: i64, tokens: u64) -> UsageDelta {
    UsageDelta {
        account: "account".into(),
        window_started_at: t(window),
        tokens,
        settled: 1,
    }
}

async fn account(store: &dyn Store) -> Option<AccountUsage> {
    store.usage("account").await.unwrap()
}

fn stored(window: i64, used: u64, settled: u64) -> Option<AccountUsage> {
    Some(AccountUsage {
        account: "account".into(),
        window_started_at: t(window),
        used,
        settled,
    })
}

/// Both limits hold; the newest are kept, oldest first.
pub async fn history_grows_in_order_and_is_read_newest_first_within_limits<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    let first = CommitTurn {
        history: vec![said("a", 10), said("b", 20)],
        ..answer(entry.id, grant.fence, t(1))
    };
    store.commit_turn(first).await.unwrap();
    let key = say(store, "1", 2, "c", 30).await;
    assert_eq!(texts(store, key, 99, 99).await, ["a", "b", "c"]);
    assert_eq!(texts(store, key, 2, 99).await, ["b", "c"]);
    assert_eq!(texts(store, key, 99, 50).await, ["b", "c"]);
    assert_eq!(texts(store, key, 99, 49).await, ["c"]);
    let newest = &store.history(key, 1, 99).await.unwrap()[0];
    assert_eq!((newest.at, newest.tokens, newest.generation), (t(2), 30, 1));
    assert_eq!(newest.model, Some("model-1".parse().unwrap()));
    assert_eq!(newest.message, said("c", 30).message);
}

/// However small the limits.
pub async fn history_gives_at_least_the_newest_message<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let key = say(store, "1", 0, "a", 100).await;
    say(store, "1", 1, "b", 1_000).await;
    assert_eq!(texts(store, key, 0, 0).await, ["b"]);
    assert_eq!(texts(store, key, 9, 1_099).await, ["b"]);
    assert_eq!(texts(store, TenantKey(key.0 + 5), 9, 9).await, [""; 0]);
}

/// Only what is said afterwards is told again.
pub async fn starting_over_hides_what_was_said<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let key = say(under_test.store(), "1", 0, "before", 1).await;
    under_test.store().start_over(key, t(1)).await.unwrap();
    assert_eq!(texts(under_test.store(), key, 9, 9).await, [""; 0]);
    let under_test = under_test.crash().await;
    let store = under_test.store();
    say(store, "1", 2, "after", 1).await;
    assert_eq!(texts(store, key, 9, 9).await, ["after"]);
    let absent = store.start_over(TenantKey(key.0 + 5), t(3)).await;
    assert!(matches!(absent, Err(StoreError::NotFound { .. })), "{absent:?}");
}

/// The answer belongs to the conversation it was asked in.
pub async fn starting_over_during_a_turn_hides_its_answer_too<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    assert!(store.start_over(entry.key, t(2)).await.unwrap().is_some());
    let end = CommitTurn {
        history: vec![said("answer", 1)],
        ..answer(entry.id, grant.fence, t(3))
    };
    store.commit_turn(end).await.unwrap();
    assert_eq!(texts(store, entry.key, 9, 9).await, [""; 0]);
    say(store, "1", 4, "anew", 1).await;
    assert_eq!(texts(store, entry.key, 9, 9).await, ["anew"]);
    assert_eq!(store.history(entry.key, 9, 9).await.unwrap()[0].generation, 2);
}

/// Promise 4.
pub async fn histories_of_tenants_are_apart<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let one = say(store, "1", 0, "mine", 1).await;
    let other = say(store, "2", 1, "theirs", 1).await;
    assert_eq!(texts(store, one, 9, 9).await, ["mine"]);
    store.start_over(one, t(2)).await.unwrap();
    assert_eq!(texts(store, other, 9, 9).await, ["theirs"]);
}

/// Windows are told apart by their beginning.
pub async fn a_newer_window_replaces_and_an_older_adds_nothing<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    assert_eq!(account(under_test.store()).await, None);
    let deltas = vec![usage(100, 5), usage(100, 7)];
    under_test.store().add_usage(deltas, Vec::new()).await.unwrap();
    assert_eq!(account(under_test.store()).await, stored(100, 12, 2));
    under_test
        .store()
        .add_usage(vec![usage(99, 1_000)], Vec::new())
        .await
        .unwrap();
    assert_eq!(account(under_test.store()).await, stored(100, 12, 2));
    under_test
        .store()
        .add_usage(vec![usage(200, 3)], Vec::new())
        .await
        .unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(account(under_test.store()).await, stored(200, 3, 1));
}

/// No sum wraps or fails.
pub async fn sums_of_usage_saturate<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    store
        .add_usage(
            vec![usage(1, u64::MAX), usage(1, u64::MAX), usage(1, 1)],
            Vec::new(),
        )
        .await
        .unwrap();
    let used = account(store).await.unwrap().used;
    assert!(used >= i64::MAX.unsigned_abs(), "{used}");
}

/// A model is told nothing of it.
pub async fn what_has_no_answer_is_there_to_be_read_only<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let key = say(store, "1", 1, "answered", 10).await;
    let refused = accept_one(store, "1", "b", t(2)).await;
    let without = |text| NewHistoryMessage {
        unanswered: Some(Outcome::Refused),
        model: None,
        ..said(text, 0)
    };
    let close = CloseEntry {
        entry: refused.id,
        now: t(3),
        outcome: Outcome::Refused,
        history: vec![without("asked"), without("words")],
        outbox: Vec::new(),
    };
    store.close(close.clone()).await.unwrap().unwrap();
    assert_eq!(store.close(close).await.unwrap(), None, "once");
    say(store, "1", 4, "later", 10).await;
    let under_test = under_test.crash().await;
    let store = under_test.store();
    assert_eq!(texts(store, key, 99, 99).await, ["answered", "later"]);
    assert_eq!(
        texts(store, key, 2, 99).await,
        ["answered", "later"],
        "they take no place"
    );
    let read = store.said(key, 3).await.unwrap();
    let read: Vec<_> = read
        .iter()
        .map(|said| (said.message.joined_text(), said.unanswered, said.at))
        .collect();
    assert_eq!(
        read,
        [
            ("asked".to_owned(), Some(Outcome::Refused), t(3)),
            ("words".to_owned(), Some(Outcome::Refused), t(3)),
            ("later".to_owned(), None, t(4)),
        ]
    );
    let said = store.said(key, 99).await.unwrap();
    assert_eq!(said[1].entry, Some(refused.id));
    assert!(said.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

/// Whichever ended first: what waits behind a turn can be stopped or dropped before it.
pub async fn a_conversation_is_in_the_order_of_acceptance<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "a", t(1)).await;
    let second = accept_one(store, "1", "b", t(2)).await;
    let third = accept_one(store, "1", "c", t(3)).await;
    let grant = begin(store, first.id, t(4)).await;
    for (entry, seconds, question, words) in [(&third, 5, "c", "no c"), (&second, 6, "b", "no b")] {
        let close = CloseEntry {
            entry: entry.id,
            now: t(seconds),
            outcome: Outcome::Stopped,
            history: vec![
                NewHistoryMessage {
                    at: Some(entry.accepted_at),
                    ..said(question, 1)
                },
                said(words, 1),
            ],
            outbox: Vec::new(),
        };
        store.close(close).await.unwrap().unwrap();
    }
    let end = CommitTurn {
        history: vec![
            said("a", 1),
            NewHistoryMessage {
                finish_reason: Some("stopped".to_owned()),
                ..said("half", 1)
            },
        ],
        ..answer(first.id, grant.fence, t(7))
    };
    store.commit_turn(end).await.unwrap();
    let under_test = under_test.crash().await;
    let store = under_test.store();
    let read = store.said(first.key, 9).await.unwrap();
    assert_eq!(store.history(first.key, 9, 99).await.unwrap(), read);
    let places: Vec<_> = read
        .iter()
        .map(|said| (said.message.joined_text(), said.at))
        .collect();
    let expected = [
        ("a", t(7)),
        ("half", t(7)),
        ("b", t(2)),
        ("no b", t(6)),
        ("c", t(3)),
        ("no c", t(5)),
    ];
    assert_eq!(places, expected.map(|(text, at)| (text.to_owned(), at)));
    let ends: Vec<_> = read.iter().map(|said| said.finish_reason.as_deref()).collect();
    assert_eq!(ends, [None, Some("stopped"), None, None, None, None]);
    let newest = store.said(first.key, 3).await.unwrap();
    assert_eq!(newest, read[3..], "the newest are those accepted last");
}

/// After the conversation was started over there is no session, and what is refused now is not of the old one.
pub async fn what_is_said_outside_a_turn_belongs_to_the_session_to_come<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let key = say(store, "1", 1, "old", 10).await;
    store.start_over(key, t(2)).await.unwrap();
    let refused = accept_one(store, "1", "b", t(3)).await;
    let close = CloseEntry {
        entry: refused.id,
        now: t(3),
        outcome: Outcome::Refused,
        history: vec![said("asked", 0)],
        outbox: Vec::new(),
    };
    store.close(close).await.unwrap().unwrap();
    say(store, "1", 4, "new", 10).await;
    assert_eq!(texts(store, key, 99, 99).await, ["asked", "new"]);
}

/// The others can be read by nobody.
pub async fn a_conversation_keeps_its_newest_messages<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    let many = CommitTurn {
        history: (0..HISTORY_KEPT)
            .map(|number| said(&number.to_string(), 1))
            .collect(),
        ..answer(entry.id, grant.fence, t(1))
    };
    store.commit_turn(many).await.unwrap();
    say(store, "1", 2, "last", 1).await;
    let kept = store.said(entry.key, usize::MAX).await.unwrap();
    assert_eq!(kept.len(), HISTORY_KEPT);
    assert_eq!(kept[0].message.joined_text(), "1");
    assert_eq!(kept[HISTORY_KEPT - 1].message.joined_text(), "last");
}

/// Retention, a batch at a time.
pub async fn old_messages_are_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let key = say(store, "1", 0, "a", 1).await;
    for (seconds, text) in [(1, "b"), (2, "c"), (3, "d")] {
        say(store, "1", seconds, text, 1).await;
    }
    let sweep = Sweep {
        now: t(4),
        closed_before: t(0) - DAY,
        history_before: t(3),
        limit: 2,
    };
    let swept = store.sweep(sweep).await.unwrap();
    assert_eq!((swept.history, swept.entries, swept.more), (2, 0, true));
    assert_eq!(texts(store, key, 9, 9).await, ["c", "d"]);
    let swept = store.sweep(sweep).await.unwrap();
    assert_eq!((swept.history, swept.more), (1, false));
    assert_eq!(texts(store, key, 9, 9).await, ["d"]);
}
