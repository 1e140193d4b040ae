//! A store that cannot write says so, changes nothing, and goes on when it can.

use crate::open;
use openclaw_core::Timestamp;
use openclaw_gateway::contract::{entry_from, t};
use openclaw_gateway::ports::{Accepted, MetaStore, StoreError, TurnStore};
use openclaw_sqlite::{SqliteOptions, SqliteStore};

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SqliteOptions {
        max_bytes: Some(512 * 1024),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(dir.path(), options, Timestamp::from_millis(0)).expect("a store");
    let mut accepted = 0_u64;
    let error = loop {
        let mut entry = entry_from("1", &format!("k{accepted}"), t(0));
        entry.message.text = "long ".repeat(2_000);
        match store.accept(vec![entry]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1_000, "the limit is not kept");
    };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(accepted > 10, "{accepted}");
    assert!(store.writable().is_err());
    assert_eq!(
        store.depths().await.expect("reading goes on").inbox_open,
        accepted
    );
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.recovery().open_entries, accepted);
    let more = store
        .accept(vec![entry_from("1", "more", t(1))])
        .await
        .expect("accepted");
    assert!(matches!(more[..], [Accepted::New(_)]));
    store.writable().expect("takes writes");
}

#[tokio::test]
async fn an_abandoned_wait_abandons_no_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    // Polled once: handed in, then dropped. One that is written before the poll is over leaves no wait to abandon.
    let mut number = 0;
    let abandoned = loop {
        let key = number.to_string();
        let mut write = std::pin::pin!(store.put_meta(&key, "v"));
        if futures::poll!(write.as_mut()).is_pending() {
            break key.clone();
        }
        number += 1;
    };
    store.shut_down().await;
    assert_eq!(
        open(dir.path())
            .get_meta(&abandoned)
            .await
            .expect("read")
            .as_deref(),
        Some("v")
    );
}
