//! The outbox, and forgetting what is done.

use super::{
    Store, StoreUnderTest, TTL, accept_one, answer, begin, bot, close_as, commit, entry_from, message_from,
    part, said, t,
};
use crate::ports::{
    Accepted, CommitTurn, Delivery, EntryId, NewEntry, NewOutboxPart, OutboxId, OutboxPart, Outcome,
    StoreDepths, StoredTenant, Sweep, Swept,
};
use openclaw_core::{AccessTier, IncomingMessage, Platform};
use openclaw_session::{SessionState, change_tenant_tier, create_user_tenant};

async fn answered(store: &dyn Store, parts: Vec<NewOutboxPart>) -> Vec<OutboxPart> {
    let entry = accept_one(store, "1", "a", t(0)).await;
    let grant = begin(store, entry.id, t(1)).await;
    let end = CommitTurn {
        outbox: parts,
        ..answer(entry.id, grant.fence, t(2))
    };
    store.commit_turn(end).await.unwrap()
}

const DELIVERED: Delivery = Delivery::Delivered { message_id: None };

/// I-11, and every part knows whose it is.
pub async fn the_outbox_is_written_with_the_end_of_the_turn<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let edited = NewOutboxPart {
        edits: Some("88".parse().unwrap()),
        ..part(1, "two")
    };
    let written = answered(store, vec![part(0, "one"), edited.clone()]).await;
    assert_eq!(written.len(), 2);
    let last = &written[1];
    assert_eq!(last.part, edited);
    assert_eq!(last.tenant.to_string(), "telegram:1:chat-1");
    assert_eq!(last.bot, bot());
    assert_eq!(last.correlation_id, entry_from("1", "a", t(0)).correlation_id);
    assert_eq!((last.attempts, last.ambiguous, last.due_at), (0, 0, t(2)));
    assert_eq!(store.pending_outbox(None, 9).await.unwrap(), written);
}

/// Oldest first, in pages; a delivered part makes place.
pub async fn parts_wait_in_order_until_delivered<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let mut written = answered(store, vec![part(0, "a"), part(1, "b"), part(2, "c")]).await;
    assert!(written.is_sorted_by_key(|part| part.id));
    store
        .record_delivery(written[1].id, DELIVERED, t(3))
        .await
        .unwrap();
    written.remove(1);
    assert_eq!(store.pending_outbox(None, 9).await.unwrap(), written);
    assert_eq!(store.pending_outbox(None, 1).await.unwrap(), written[..1]);
    assert_eq!(
        store.pending_outbox(Some(written[0].id), 9).await.unwrap(),
        written[1..]
    );
    assert_eq!(store.depths().await.unwrap().outbox_pending, 2);
}

/// I-13 counts ambiguous attempts.
pub async fn a_retry_is_counted_and_ambiguity_too<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let id = answered(store, vec![part(0, "a")]).await[0].id;
    for (seconds, ambiguous) in [(10, false), (20, true), (30, false)] {
        let retry = Delivery::Retry {
            due_at: t(seconds),
            ambiguous,
        };
        store.record_delivery(id, retry, t(5)).await.unwrap();
    }
    let waiting = &store.pending_outbox(None, 9).await.unwrap()[0];
    assert_eq!(
        (waiting.attempts, waiting.ambiguous, waiting.due_at),
        (3, 1, t(30))
    );
    assert_eq!(waiting.part, part(0, "a"));
}

/// It is not tried again.
pub async fn a_part_given_up_is_gone<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let id = answered(store, vec![part(0, "a")]).await[0].id;
    let failed = Delivery::Failed {
        reason: "blocked".into(),
    };
    store.record_delivery(id, failed, t(3)).await.unwrap();
    assert_eq!(store.pending_outbox(None, 9).await.unwrap(), []);
}

/// A late word changes nothing.
pub async fn a_part_that_is_gone_is_left_alone<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let id = answered(store, vec![part(0, "a")]).await[0].id;
    store.record_delivery(id, DELIVERED, t(3)).await.unwrap();
    let retry = Delivery::Retry {
        due_at: t(9),
        ambiguous: true,
    };
    for gone in [id, OutboxId(id.0 + 100)] {
        store.record_delivery(gone, DELIVERED, t(4)).await.unwrap();
        store.record_delivery(gone, retry.clone(), t(4)).await.unwrap();
    }
    assert_eq!(store.depths().await.unwrap(), StoreDepths::default());
}

/// What was promised is delivered by the next process.
pub async fn the_outbox_survives_a_crash<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let mut written = answered(under_test.store(), vec![part(0, "a"), part(1, "b")]).await;
    let retry = Delivery::Retry {
        due_at: t(9),
        ambiguous: true,
    };
    under_test
        .store()
        .record_delivery(written[0].id, retry, t(3))
        .await
        .unwrap();
    (written[0].attempts, written[0].ambiguous, written[0].due_at) = (1, 1, t(9));
    let under_test = under_test.crash().await;
    assert_eq!(under_test.store().pending_outbox(None, 9).await.unwrap(), written);
    let later = accept_one(under_test.store(), "2", "b", t(10)).await;
    let more = close_as(
        under_test.store(),
        later.id,
        Outcome::Refused,
        t(11),
        vec![part(0, "no")],
    )
    .await;
    assert!(more.unwrap()[0].id > written[1].id, "ids are not used again");
}

/// De-duplication lasts as long as is asked for, and no reply loses its entry.
pub async fn closed_entries_are_swept_after_their_time_and_not_before_delivery<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let undelivered = answered(store, vec![part(0, "a")]).await[0].clone();
    let done = accept_one(store, "2", "b", t(0)).await;
    close_as(store, done.id, Outcome::Ignored, t(2), Vec::new()).await;
    let recent = accept_one(store, "2", "c", t(0)).await;
    close_as(store, recent.id, Outcome::Ignored, t(3), Vec::new()).await;
    let open = accept_one(store, "2", "d", t(0)).await;
    let sweep = Sweep {
        now: t(10),
        closed_before: t(3),
        history_before: t(0),
        limit: 10,
    };
    let swept = store.sweep(sweep).await.unwrap();
    let expected = Swept {
        entries: 1,
        ..Swept::default()
    };
    assert_eq!(swept, expected);
    let again = ["b", "c", "d"].map(|key| entry_from("2", key, t(11)));
    let again = store.accept(again.to_vec()).await.unwrap();
    assert!(matches!(&again[0], Accepted::New(entry) if entry.id > open.id));
    assert!(matches!(&again[1], Accepted::Duplicate { entry, .. } if *entry == recent.id));
    assert!(matches!(&again[2], Accepted::Duplicate { entry, .. } if *entry == open.id));
    store
        .record_delivery(undelivered.id, DELIVERED, t(12))
        .await
        .unwrap();
    assert_eq!(store.sweep(sweep).await.unwrap().entries, 1);
}

/// Running turns keep their session.
pub async fn sessions_past_their_time_are_swept_in_batches<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    for (number, user) in ["3", "1", "2"].into_iter().enumerate() {
        let seconds = i64::try_from(number).unwrap();
        let entry = accept_one(store, user, user, t(seconds)).await;
        commit(store, entry.id, t(seconds), "x", 1).await.unwrap();
    }
    let running = accept_one(store, "4", "4", t(0)).await;
    begin(store, running.id, t(0)).await;
    let sweep = Sweep {
        now: t(1) + TTL,
        closed_before: t(0),
        history_before: t(0),
        limit: 1,
    };
    let mut ended = Vec::new();
    loop {
        let swept = store.sweep(sweep).await.unwrap();
        ended.extend(swept.sessions);
        if !swept.more {
            break;
        }
    }
    assert!(ended.iter().all(|session| session.state == SessionState::Expired));
    let users: Vec<_> = ended
        .iter()
        .map(|session| session.id.tenant().user().as_str())
        .collect();
    assert_eq!(users, ["3", "1"]);
}

/// Whoever opens chats and writes in none leaves nothing for ever.
pub async fn chats_that_were_never_written_in_are_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let open = async |id: &str, opened_at| {
        let tenant = create_user_tenant(id.parse().unwrap(), AccessTier::Free, opened_at);
        store.create(&bot(), tenant).await.unwrap()
    };
    let mut unused = Vec::new();
    for (number, id) in [(2, "web:1:b"), (1, "api:1:a"), (3, "web:1:c")] {
        open(id, t(number)).await;
        unused.push(id);
    }
    unused.swap(0, 1);
    open("web:1:young", t(10)).await;
    open("telegram:1:1", t(1)).await;
    let changed = open("web:1:changed", t(1)).await;
    let tenant = change_tenant_tier(&changed.tenant, AccessTier::Premium);
    store.update(changed.key, 1, tenant).await.unwrap().unwrap();
    let written = open("web:1:written", t(1)).await;
    let message = IncomingMessage {
        platform: Platform::Web,
        chat: "written".parse().unwrap(),
        ..message_from("1", "k", "hello")
    };
    let entry = NewEntry {
        message,
        ..entry_from("1", "k", t(2))
    };
    store.accept(vec![entry]).await.unwrap();
    let sweep = Sweep {
        now: t(20),
        closed_before: t(0),
        history_before: t(10),
        limit: 2,
    };
    let mut swept = Vec::new();
    loop {
        let round = store.sweep(sweep).await.unwrap();
        swept.extend(round.chats.iter().map(ToString::to_string));
        if !round.more {
            break;
        }
    }
    assert_eq!(swept, unused);
    let left: Vec<String> = store
        .list(None, None, 99)
        .await
        .unwrap()
        .iter()
        .map(|stored| stored.tenant.tenant_id.to_string())
        .collect();
    let expected = ["web:1:young", "telegram:1:1", "web:1:changed", "web:1:written"];
    assert_eq!(left, expected);
    assert_eq!(
        store
            .find(&bot(), &written.tenant.tenant_id)
            .await
            .unwrap()
            .unwrap()
            .key,
        written.key
    );
    let anew = open(unused[0], t(20)).await;
    assert!(anew.key > written.key, "no key is used again");
}

/// A visitor comes once and writes: nothing of that is left for ever either. A key's chat and a person in a messenger
/// stay, and so does one that an operator has changed.
pub async fn visitors_chats_of_which_nothing_is_kept_are_swept<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    for (chat, at) in [("later", 3), ("first", 2), ("third", 4), ("young", 10)] {
        answered_in(store, Platform::Web, chat, at, at).await;
    }
    answered_in(store, Platform::Api, "of-a-key", 2, 2).await;
    answered_in(store, Platform::Telegram, "person", 2, 2).await;
    let changed = answered_in(store, Platform::Web, "changed", 2, 2).await;
    let tenant = change_tenant_tier(&changed.tenant, AccessTier::Premium);
    let changed = store.update(changed.key, changed.version, tenant).await;
    changed.unwrap().unwrap();
    write_in(store, Platform::Web, "waiting", 2).await;
    let running = write_in(store, Platform::Web, "running", 2).await;
    begin(store, running, t(2)).await;
    assert_eq!(
        chats_swept(store, LONG_AFTER, 10, 10).await,
        ["web:1:first", "web:1:later", "web:1:third"]
    );
    let left: Vec<String> = store
        .list(None, None, 99)
        .await
        .unwrap()
        .iter()
        .map(|stored| stored.tenant.tenant_id.to_string())
        .collect();
    let expected = [
        "web:1:young",
        "api:1:of-a-key",
        "telegram:1:person",
        "web:1:changed",
        "web:1:waiting",
        "web:1:running",
    ];
    assert_eq!(left, expected);
}

/// Until then each thing that is kept of a chat keeps the chat.
pub async fn a_visitors_chat_stays_while_anything_of_it_is_kept<U: StoreUnderTest>() {
    for (kept, answered_at, (now, closed_before, history_before)) in [
        ("its session goes on", 2, (20, 10, 10)),
        ("what was accepted may come again", 2, (LONG_AFTER, 2, 10)),
        ("its answer is remembered", 12, (LONG_AFTER, 20, 10)),
        ("it was written in since", 2, (LONG_AFTER, 10, 2)),
    ] {
        let under_test = U::fresh().await;
        let store = under_test.store();
        answered_in(store, Platform::Web, "chat", 2, answered_at).await;
        let swept = chats_swept(store, now, closed_before, history_before).await;
        assert_eq!(swept, [""; 0], "{kept}");
        let swept = chats_swept(store, LONG_AFTER, 20, 20).await;
        assert_eq!(swept, ["web:1:chat"], "{kept}");
    }
}

/// When every session has ended.
const LONG_AFTER: i64 = 1_000_000;

async fn write_in(store: &dyn Store, platform: Platform, chat: &str, at: i64) -> EntryId {
    let message = IncomingMessage {
        platform,
        chat: chat.parse().unwrap(),
        ..message_from("1", chat, "hello")
    };
    let entry = NewEntry {
        message,
        ..entry_from("1", chat, t(at))
    };
    match store.accept(vec![entry]).await.unwrap().as_slice() {
        [Accepted::New(entry)] => entry.id,
        other => panic!("expected a new entry, got {other:?}"),
    }
}

async fn answered_in(
    store: &dyn Store,
    platform: Platform,
    chat: &str,
    at: i64,
    answered_at: i64,
) -> StoredTenant {
    let entry = write_in(store, platform, chat, at).await;
    let grant = begin(store, entry, t(at)).await;
    let end = CommitTurn {
        history: vec![said("answer", 1)],
        ..answer(entry, grant.fence, t(answered_at))
    };
    store.commit_turn(end).await.unwrap();
    let id = format!("{platform}:1:{chat}").parse().unwrap();
    store.find(&bot(), &id).await.unwrap().unwrap()
}

async fn chats_swept(store: &dyn Store, now: i64, closed_before: i64, history_before: i64) -> Vec<String> {
    let sweep = Sweep {
        now: t(now),
        closed_before: t(closed_before),
        history_before: t(history_before),
        limit: 2,
    };
    let mut swept = Vec::new();
    loop {
        let round = store.sweep(sweep).await.unwrap();
        swept.extend(round.chats.iter().map(ToString::to_string));
        if !round.more {
            return swept;
        }
    }
}
