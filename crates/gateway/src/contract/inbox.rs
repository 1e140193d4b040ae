//! Accepting, ending, listing.

use super::{StoreUnderTest, accept_one, begin, bot, close_as, entry_from, message_from, part, t, tenant_of};
use crate::ports::{Accepted, NewEntry, Outcome, Repeated, StoreDepths, Sweep};
use openclaw_core::{AccessTier, Attachment, IncomingMessage, Platform};

/// Redelivery changes nothing, and says what was there.
pub async fn a_message_is_accepted_once_however_often_it_comes<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "a", t(0)).await;
    assert_eq!(first.message, message_from("1", "a", "text of a"));
    assert_eq!((first.accepted_at, first.attempts), (t(0), 0));
    for seconds in 1..4 {
        let again = store
            .accept(vec![entry_from("1", "a", t(seconds))])
            .await
            .unwrap();
        let expected = Accepted::Duplicate {
            entry: first.id,
            message: first.message.clone(),
            same: true,
        };
        assert_eq!(again, [expected]);
    }
    assert_eq!(tenant_of(store, "1").await.tenant.last_active_at, t(0));
    let other = NewEntry {
        message: message_from("1", "a", "something else"),
        ..entry_from("1", "a", t(5))
    };
    let again = store.accept(vec![other]).await.unwrap();
    assert!(
        matches!(&again[..], [Accepted::Duplicate { same: false, message, .. }] if *message == first.message)
    );
    assert_eq!(store.depths().await.unwrap().inbox_open, 1);
}

/// The second of two equal deliveries sees the first.
pub async fn two_deliveries_in_one_call_give_one_entry<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let call = ["a", "b", "a"].map(|key| entry_from("1", key, t(0)));
    let accepted = store.accept(call.to_vec()).await.unwrap();
    let [
        Accepted::New(a),
        Accepted::New(b),
        Accepted::Duplicate {
            entry, same: true, ..
        },
    ] = &accepted[..]
    else {
        panic!("{accepted:?}");
    };
    assert_eq!(*entry, a.id);
    assert!(a.id < b.id && a.key == b.key);
    assert_eq!((a.tenant_is_new, b.tenant_is_new), (true, false));
}

/// Keys are unique by platform and bot only.
pub async fn the_same_key_of_another_bot_or_platform_is_another_message<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = entry_from("1", "a", t(0));
    let (mut of_bot, mut of_platform) = (entry.clone(), entry.clone());
    of_bot.message.bot = "second".parse().unwrap();
    of_platform.message.platform = Platform::Max;
    let accepted = store.accept(vec![entry, of_bot, of_platform]).await.unwrap();
    let keys: Vec<_> = accepted
        .iter()
        .map(|accepted| match accepted {
            Accepted::New(entry) => entry.key,
            Accepted::Duplicate { .. } => panic!("{accepted:?}"),
        })
        .collect();
    assert!(
        keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2],
        "each its own tenant"
    );
}

/// Order is the order of ids.
pub async fn entries_grow_in_the_order_they_were_accepted<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(accept_one(store, "1", key, t(0)).await.id);
        ids.push(accept_one(store, "2", &format!("{key}{key}"), t(0)).await.id);
    }
    assert!(
        ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]),
        "{ids:?}"
    );
}

/// The tier asked for counts at first contact only.
pub async fn first_contact_makes_the_tenant_with_the_tier_asked_for<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let premium = NewEntry {
        tier_if_new: AccessTier::Premium,
        ..entry_from("1", "a", t(3))
    };
    let accepted = store.accept(vec![premium]).await.unwrap();
    let [Accepted::New(first)] = &accepted[..] else {
        panic!("{accepted:?}");
    };
    assert!(first.tenant_is_new);
    assert_eq!(first.tenant.tier, AccessTier::Premium);
    assert_eq!(first.tenant.created_at, t(3));
    assert_eq!(first.tenant.workspace_path, "/workspaces/telegram:1:chat-1");
    let second = accept_one(store, "1", "b", t(4)).await;
    assert_eq!(
        (second.tenant_is_new, second.tenant.tier),
        (false, AccessTier::Premium)
    );
    assert_eq!(second.key, first.key);
}

/// Activity is the latest seen.
pub async fn later_messages_touch_the_tenant_and_time_does_not_go_back<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    accept_one(store, "1", "a", t(0)).await;
    assert_eq!(
        accept_one(store, "1", "b", t(9)).await.tenant.last_active_at,
        t(9)
    );
    assert_eq!(
        accept_one(store, "1", "c", t(5)).await.tenant.last_active_at,
        t(9)
    );
}

/// The second end changes nothing and tells nobody.
pub async fn an_entry_is_closed_once<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let entry = accept_one(store, "1", "a", t(0)).await;
    let told = close_as(store, entry.id, Outcome::Refused, t(1), vec![part(0, "no")]).await;
    assert_eq!(told.map(|parts| parts.len()), Some(1));
    let again = close_as(store, entry.id, Outcome::Expired, t(2), vec![part(0, "late")]).await;
    assert_eq!(again, None);
    assert_eq!(store.pending_outbox(None, 9).await.unwrap().len(), 1);
    let absent = crate::ports::EntryId(entry.id.0 + 1_000);
    assert_eq!(
        close_as(store, absent, Outcome::Expired, t(2), vec![part(0, "who")]).await,
        None
    );
}

/// What de-duplication needs outlives the text.
pub async fn a_closed_entry_is_still_recognised_and_its_text_is_gone<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let mut entry = entry_from("1", "a", t(0));
    entry.message.attachments.push(Attachment {
        kind: "photo".into(),
        reference: "ref".into(),
        name: Some("a.png".into()),
        size: Some(u64::MAX),
    });
    let accepted = under_test.store().accept(vec![entry.clone()]).await.unwrap();
    let [Accepted::New(open)] = &accepted[..] else {
        panic!("{accepted:?}");
    };
    assert_eq!(open.message, entry.message);
    close_as(under_test.store(), open.id, Outcome::Ignored, t(1), Vec::new()).await;
    let under_test = under_test.crash().await;
    let again = under_test.store().accept(vec![entry.clone()]).await.unwrap();
    let mut emptied = entry.message.clone();
    emptied.text.clear();
    emptied.attachments.clear();
    let expected = Accepted::Duplicate {
        entry: open.id,
        message: emptied,
        same: true,
    };
    assert_eq!(again, [expected]);
    entry.message.text.push('!');
    let other = under_test.store().accept(vec![entry]).await.unwrap();
    assert!(
        matches!(other[..], [Accepted::Duplicate { same: false, .. }]),
        "{other:?}"
    );
}

/// Then its author may mean another with it.
pub async fn a_key_stands_for_its_message_only_so_long<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "k", t(10)).await;
    close_as(store, first.id, Outcome::Answered, t(11), Vec::new()).await;
    let again = |after| NewEntry {
        repeats_after: Some(t(after)),
        ..entry_from("1", "k", t(20))
    };
    let accept = async |entry| store.accept(vec![entry]).await.unwrap().remove(0);
    let Accepted::Duplicate { entry, same, .. } = accept(again(9)).await else {
        panic!("not known");
    };
    assert_eq!((entry, same), (first.id, true));
    let Accepted::New(second) = accept(again(10)).await else {
        panic!("still known");
    };
    assert!(second.id > first.id);
    let Accepted::Duplicate { entry, .. } = accept(again(10)).await else {
        panic!("the second is not known");
    };
    assert_eq!(entry, second.id);
    // The first is swept without its successor's key.
    let sweep = Sweep {
        now: t(30),
        closed_before: t(30),
        history_before: t(0),
        limit: 9,
    };
    assert_eq!(store.sweep(sweep).await.unwrap().entries, 1);
    let Accepted::Duplicate { entry, .. } = accept(again(10)).await else {
        panic!("the second is not known after the sweep");
    };
    assert_eq!(entry, second.id);
}

/// Asked before a place is taken: a second delivery needs none.
pub async fn what_a_message_repeats_is_known_without_taking_it<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let message = message_from("1", "k", "text of k");
    let repeated = async |text: &str, since| {
        let message = message_from("1", "k", text);
        store.repeated(&message, t(since)).await.unwrap()
    };
    assert_eq!(repeated(&message.text, 0).await, None);
    assert!(store.find(&bot(), &message.tenant_id()).await.unwrap().is_none());
    let first = accept_one(store, "1", "k", t(10)).await;
    let known = |same| {
        Some(Repeated {
            entry: first.id,
            same,
        })
    };
    assert_eq!(repeated(&message.text, 9).await, known(true));
    assert_eq!(repeated("something else", 9).await, known(false));
    assert_eq!(repeated(&message.text, 10).await, None, "it is another by now");
    // The text is forgotten, what it said is not.
    close_as(store, first.id, Outcome::Answered, t(11), Vec::new()).await;
    assert_eq!(repeated(&message.text, 9).await, known(true));
    assert_eq!(repeated("something else", 9).await, known(false));
    let other = IncomingMessage {
        platform: Platform::Max,
        ..message
    };
    assert_eq!(store.repeated(&other, t(9)).await.unwrap(), None);
}

/// Entries whose turn runs are open too.
pub async fn open_entries_are_listed_oldest_first_in_pages<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(
            accept_one(store, &number.to_string(), &format!("k{number}"), t(number))
                .await
                .id,
        );
    }
    close_as(store, ids.remove(1), Outcome::Refused, t(9), Vec::new()).await;
    begin(store, ids[0], t(9)).await;
    let page = store.open_entries(None, 3).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids[..3]);
    assert_eq!(page[0].attempts, 1);
    assert_eq!(page[1].message, message_from("2", "k2", "text of k2"));
    let rest = store.open_entries(Some(page[2].id), 3).await.unwrap();
    assert_eq!(rest.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids[3..]);
}

/// Depths are exact.
pub async fn depths_count_what_is_open_and_pending<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    assert_eq!(store.depths().await.unwrap(), StoreDepths::default());
    let first = accept_one(store, "1", "a", t(1)).await;
    accept_one(store, "1", "b", t(2)).await;
    close_as(
        store,
        first.id,
        Outcome::Refused,
        t(3),
        vec![part(0, "x"), part(1, "y")],
    )
    .await;
    let expected = StoreDepths {
        inbox_open: 1,
        outbox_pending: 2,
        oldest_open_at: Some(t(2)),
    };
    assert_eq!(store.depths().await.unwrap(), expected);
    store.writable().unwrap();
}
