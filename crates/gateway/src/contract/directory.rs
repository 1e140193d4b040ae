//! Tenants, API keys, remembered values.

use super::{
    StoreUnderTest, accept_one, answer, begin, begin_with, bot, close_as, commit, entry_from, message_from,
    part, t, tenant_of,
};
use crate::ports::{Accepted, ApiKeyRecord, BeginError, KEYS_KEPT, Outcome, StoreError, Sweep};
use openclaw_core::{AccessTier, Platform, TenantId};
use openclaw_session::{TenantKey, UserTenant, change_tenant_tier, create_user_tenant, suspend_tenant};

fn tenant(id: &str) -> UserTenant {
    create_user_tenant(id.parse().unwrap(), AccessTier::Standard, t(0))
}

/// The second creation returns what is there.
pub async fn a_tenant_is_created_once_per_address<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let id: TenantId = "web:1:2".parse().unwrap();
    assert_eq!(store.find(&bot(), &id).await.unwrap(), None);
    let made = store.create(&bot(), tenant("web:1:2")).await.unwrap();
    assert_eq!((made.version, &made.tenant), (1, &tenant("web:1:2")));
    let again = store
        .create(&bot(), change_tenant_tier(&made.tenant, AccessTier::Admin))
        .await
        .unwrap();
    assert_eq!(again, made);
    let other_bot = store
        .create(&"second".parse().unwrap(), tenant("web:1:2"))
        .await
        .unwrap();
    assert_ne!(other_bot.key, made.key);
    assert_eq!(store.find(&bot(), &id).await.unwrap(), Some(made));
}

/// A lost update is seen.
pub async fn an_update_needs_the_stored_version<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let made = store.create(&bot(), tenant("web:1:2")).await.unwrap();
    let premium = change_tenant_tier(&made.tenant, AccessTier::Premium);
    let updated = store
        .update(made.key, made.version, premium.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&updated.tenant, updated.version), (&premium, 2));
    let lost = store
        .update(made.key, made.version, suspend_tenant(&made.tenant))
        .await
        .unwrap();
    assert_eq!(lost, None);
    let under_test = under_test.crash().await;
    let found = under_test
        .store()
        .find(&bot(), &made.tenant.tenant_id)
        .await
        .unwrap();
    assert_eq!(found, Some(updated));
}

/// Absent is not "changed meanwhile".
pub async fn an_update_of_an_absent_tenant_is_not_found<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let result = under_test
        .store()
        .update(TenantKey(5), 1, tenant("web:1:2"))
        .await;
    assert!(
        matches!(result, Err(StoreError::NotFound { what: "tenant" })),
        "{result:?}"
    );
}

/// Messages and operators do not get in each other's way.
pub async fn activity_is_no_change_of_version_and_is_not_lost<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    accept_one(store, "1", "a", t(0)).await;
    let read = tenant_of(store, "1").await;
    accept_one(store, "1", "b", t(9)).await;
    let updated = store
        .update(
            read.key,
            read.version,
            change_tenant_tier(&read.tenant, AccessTier::Admin),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(updated.tenant.last_active_at, t(9));
    assert_eq!(tenant_of(store, "1").await, updated);
}

/// A Telegram group that becomes a supergroup keeps its history, session and what waits for it.
pub async fn a_tenant_that_moves_keeps_its_key<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let first = accept_one(store, "1", "a", t(0)).await;
    commit(store, first.id, t(1), "said", 1).await.unwrap();
    let second = accept_one(store, "1", "b", t(2)).await;
    close_as(store, second.id, Outcome::Refused, t(2), vec![part(0, "no")]).await;
    let stored = tenant_of(store, "1").await;
    let moved = UserTenant {
        tenant_id: "telegram:1:moved".parse().unwrap(),
        ..stored.tenant.clone()
    };
    store
        .update(stored.key, stored.version, moved.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.find(&bot(), &stored.tenant.tenant_id).await.unwrap(), None);
    assert_eq!(
        store.pending_outbox(None, 9).await.unwrap()[0].tenant,
        moved.tenant_id
    );
    let mut message = message_from("1", "c", "hello");
    message.chat = "moved".parse().unwrap();
    let mut entry = entry_from("1", "c", t(3));
    entry.message = message;
    let accepted = store.accept(vec![entry]).await.unwrap();
    let [Accepted::New(third)] = &accepted[..] else {
        panic!("{accepted:?}");
    };
    assert_eq!((third.key, third.tenant_is_new), (stored.key, false));
    let grant = begin(store, third.id, t(4)).await;
    assert_eq!(grant.session.id.to_string(), "session:telegram:1:moved");
    assert_eq!((grant.opened, grant.session.generation), (false, 1));
    assert_eq!(store.history(stored.key, 9, 9).await.unwrap().len(), 1);
}

/// Two tenants never have one address.
pub async fn an_address_that_is_taken_is_refused<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let one = store.create(&bot(), tenant("web:1:1")).await.unwrap();
    let two = store.create(&bot(), tenant("web:2:2")).await.unwrap();
    let result = store.update(one.key, one.version, two.tenant.clone()).await;
    assert!(
        matches!(result, Err(StoreError::Unavailable { .. })),
        "{result:?}"
    );
    assert_eq!(store.list(None, None, 9).await.unwrap(), [one, two]);
}

/// Pages by key; of one person when asked.
pub async fn tenants_are_listed_in_pages_and_by_person<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let mut made = Vec::new();
    for id in ["web:1:1", "web:2:1", "api:1:1", "web:1:2"] {
        made.push(store.create(&bot(), tenant(id)).await.unwrap());
    }
    assert_eq!(store.list(None, None, 2).await.unwrap(), made[..2]);
    assert_eq!(store.list(None, Some(made[1].key), 9).await.unwrap(), made[2..]);
    let person = Some((Platform::Web, "1".parse().unwrap()));
    let theirs = store.list(person.clone(), None, 9).await.unwrap();
    assert_eq!(theirs, [made[0].clone(), made[3].clone()]);
    let rest = store.list(person, Some(made[0].key), 9).await.unwrap();
    assert_eq!(rest, made[3..]);
}

/// Erasure, and open entries end without an answer.
pub async fn deleting_a_tenant_removes_everything_of_it_and_nothing_else<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let theirs = accept_one(store, "2", "other", t(0)).await;
    let told = accept_one(store, "2", "told", t(0)).await;
    close_as(store, told.id, Outcome::Refused, t(0), vec![part(0, "no")]).await;
    let first = accept_one(store, "1", "a", t(0)).await;
    commit(store, first.id, t(1), "said", 1).await.unwrap();
    let waiting = accept_one(store, "1", "b", t(1)).await;
    close_as(store, waiting.id, Outcome::Refused, t(1), vec![part(0, "no")]).await;
    let running = accept_one(store, "1", "c", t(2)).await;
    let grant = begin_with(store, running.id, t(2), Some(30)).await.unwrap();
    assert!(store.delete(first.key).await.unwrap());
    assert!(!store.delete(first.key).await.unwrap());
    let late = store.commit_turn(answer(running.id, grant.fence, t(3))).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    let begun = begin_with(store, running.id, t(3), None).await;
    assert!(matches!(begun, Err(BeginError::Closed)), "{begun:?}");
    assert_eq!(store.history(first.key, 9, 9).await.unwrap(), []);
    let open: Vec<_> = store
        .open_entries(None, 9)
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(open, [theirs.id]);
    let pending: Vec<_> = store
        .pending_outbox(None, 9)
        .await
        .unwrap()
        .iter()
        .map(|part| part.entry)
        .collect();
    assert_eq!(pending, [told.id]);
    let sweep = Sweep {
        now: t(1_000_000),
        closed_before: t(0),
        history_before: t(0),
        limit: 9,
    };
    assert_eq!(store.sweep(sweep).await.unwrap().sessions, []);
    assert_eq!(
        store.usage("budget").await.unwrap().map(|usage| usage.used),
        Some(31)
    );
    let anew = accept_one(store, "1", "d", t(4)).await;
    assert!(anew.tenant_is_new && anew.key > theirs.key && anew.key != first.key);
}

fn key(id: &str, hash: &str, seconds: i64) -> ApiKeyRecord {
    ApiKeyRecord {
        id: id.into(),
        hash: hash.into(),
        user: "1".parse().unwrap(),
        platform: Platform::Api,
        tier: AccessTier::Premium,
        limited: true,
        created_at: t(seconds),
        expires_at: None,
        revoked_at: None,
    }
}

/// All of them, also after a crash.
pub async fn keys_are_listed_oldest_first_and_replaced_by_hash<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let (young, old) = (key("young", "h1", 9), key("old", "h2", 1));
    store.put_key(young.clone()).await.unwrap();
    store.put_key(old.clone()).await.unwrap();
    let replaced = ApiKeyRecord {
        tier: AccessTier::Free,
        limited: false,
        expires_at: Some(t(99)),
        ..young
    };
    store.put_key(replaced.clone()).await.unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(under_test.store().keys().await.unwrap(), [old, replaced]);
}

/// Of several calls one is told that it did it.
pub async fn a_key_is_revoked_once<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    store.put_key(key("a", "h1", 1)).await.unwrap();
    let expiring = ApiKeyRecord {
        expires_at: Some(t(5)),
        ..key("b", "h2", 2)
    };
    store.put_key(expiring).await.unwrap();
    assert!(store.revoke_key("a", t(3)).await.unwrap());
    assert!(!store.revoke_key("a", t(4)).await.unwrap());
    assert!(
        !store.revoke_key("b", t(5)).await.unwrap(),
        "it has ended by itself"
    );
    assert!(!store.revoke_key("c", t(5)).await.unwrap());
    let revoked: Vec<_> = store
        .keys()
        .await
        .unwrap()
        .iter()
        .map(|key| key.revoked_at)
        .collect();
    assert_eq!(revoked, [Some(t(3)), None]);
}

/// The list of keys does not grow for ever.
pub async fn keys_are_swept_long_after_their_end<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    let store = under_test.store();
    let keys = [
        key("in use", "h0", 0),
        ApiKeyRecord {
            expires_at: Some(t(10)),
            ..key("expired", "h1", 1)
        },
        ApiKeyRecord {
            revoked_at: Some(t(10)),
            ..key("revoked", "h2", 2)
        },
        ApiKeyRecord {
            revoked_at: Some(t(10)),
            expires_at: Some(t(99)),
            ..key("revoked before its time", "h3", 3)
        },
        ApiKeyRecord {
            expires_at: Some(t(11)),
            ..key("expired later", "h4", 4)
        },
    ];
    for key in keys {
        store.put_key(key).await.unwrap();
    }
    let ids = async || -> Vec<String> {
        let keys = store.keys().await.unwrap();
        keys.into_iter().map(|key| key.id).collect()
    };
    let sweep = |now| Sweep {
        now,
        closed_before: t(0),
        history_before: t(0),
        limit: 2,
    };
    let all = ids().await;
    assert!(!store.sweep(sweep(t(10) + KEYS_KEPT)).await.unwrap().more);
    assert_eq!(ids().await, all, "not before their time");
    let after = t(11) + KEYS_KEPT;
    assert!(store.sweep(sweep(after)).await.unwrap().more);
    assert_eq!(ids().await.len(), 3);
    assert!(!store.sweep(sweep(after)).await.unwrap().more);
    assert_eq!(ids().await, ["in use", "expired later"]);
}

/// Across crashes.
pub async fn a_remembered_value_is_the_last_one<U: StoreUnderTest>() {
    let under_test = U::fresh().await;
    assert_eq!(under_test.store().get_meta("k").await.unwrap(), None);
    for value in ["1", "2"] {
        under_test.store().put_meta("k", value).await.unwrap();
    }
    under_test.store().put_meta("other", "3").await.unwrap();
    let under_test = under_test.crash().await;
    assert_eq!(
        under_test.store().get_meta("k").await.unwrap().as_deref(),
        Some("2")
    );
}
